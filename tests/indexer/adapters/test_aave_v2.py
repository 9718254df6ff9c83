"""Aave V2: one liquidation is the debt repaid and the collateral taken."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from indexer.adapter import Log
from indexer.adapters.aave_v2 import LIQUIDATION_CALL, AaveV2
from indexer.registry import FUNDS
from indexer.specs import FundSpec, load_fund_file
from ledger.kinds import Role, Side
from tests.indexer.emitting import account, log_of


@pytest.fixture
def fund() -> FundSpec:
    return load_fund_file(FUNDS / "aave-v2-2021-reconstructed" / "aave-v2.toml")


@pytest.fixture
def adapter(fund: FundSpec) -> AaveV2:
    return AaveV2(fund)


def lines(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(path.open("rb")))


def test_a_liquidation_is_two_facts(adapter: AaveV2) -> None:
    pool, collateral, debt, user = sorted(adapter.pools)[0], account(1), account(2), account(3)
    facts = adapter.decode(log_of(LIQUIDATION_CALL, pool, collateral, debt, user, 70, 50, account(4), True))
    assert [(f.role, f.side, f.amount_raw, f.asset, f.account) for f in facts] == [
        (Role.LIQUIDATION, Side.DEBT, 70, debt, user),
        (Role.LIQUIDATION, Side.COLLATERAL, 50, collateral, user),
    ]


def test_a_forged_emitter_is_ignored(adapter: AaveV2) -> None:
    log = log_of(LIQUIDATION_CALL, account(0xBAD), account(1), account(2), account(3), 70, 50, account(4), True)
    assert adapter.decode(log) == ()


def test_all_real_liquidations_decode_and_sum_as_the_table_says(
    adapter: AaveV2, fund: FundSpec, real_data: Path
) -> None:
    symbols = {asset.address: asset.symbol.upper() for asset in fund.assets}
    found: Counter[str] = Counter()
    with lines(real_data / "aave_v2_2021_rebuilt_logs.jsonl.zst") as file:
        for line in file:
            r = json.loads(line)
            log = Log(r["address"], tuple(r["topics"]), r["data"], r["blockNumber"], "0x0", r["transactionHash"],
                      r["logIndex"])  # fmt: skip
            debt, _ = adapter.decode(log)
            found[symbols[debt.asset or ""]] += debt.amount_raw or 0
    expected: Counter[str] = Counter()
    with lines(real_data / "aave_v2_liquidations_int_2020-12_2021-07.csv.zst") as file:
        for row in csv.DictReader(file):
            expected[row["principalReserve"].removeprefix("Amm").upper()] += int(row["principalAmount"])
    assert found == expected
