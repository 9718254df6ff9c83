"""Morpho Blue: a loss is shortfall and socialised loss in one, and totals are sums of events."""

import gzip
import json
from pathlib import Path

import pytest

from indexer.adapter import Known, Log
from indexer.adapters.morpho_blue import (
    ACCRUE_INTEREST,
    BORROW,
    CREATE_MARKET,
    LIQUIDATE,
    REPAY,
    SUPPLY,
    SUPPLY_COLLATERAL,
    WITHDRAW,
    MorphoBlue,
)
from indexer.reconcile import market_totals
from indexer.registry import FUNDS
from indexer.specs import load_fund_file
from ledger.facts import MarketMove
from ledger.kinds import ReadingName, Role, Side
from tests.indexer.emitting import account, log_of

MARKET = "0x" + "ab" * 32
LENDER, BORROWER, CALLER = account(1), account(2), account(3)
COLLATERAL, ORACLE = account(0xC0), account(0x0C)


@pytest.fixture
def adapter() -> MorphoBlue:
    return MorphoBlue(load_fund_file(FUNDS / "morpho-blue-ethereum.toml"))


@pytest.fixture
def loan(adapter: MorphoBlue) -> str:
    return sorted(adapter.decimals)[0]


def created(adapter: MorphoBlue, loan: str) -> Log:
    return log_of(CREATE_MARKET, adapter.morpho, MARKET, loan, COLLATERAL, ORACLE, account(9), 86 * 10**16)


def test_a_liquidation_with_bad_debt_is_shortfall_and_socialised_loss(adapter: MorphoBlue, loan: str) -> None:
    adapter.decode(created(adapter, loan))
    facts = adapter.decode(log_of(LIQUIDATE, adapter.morpho, MARKET, CALLER, BORROWER, 70, 7, 50, 30, 3))
    assert [(f.role, f.side, f.amount_raw, f.asset) for f in facts] == [
        (Role.LIQUIDATION, Side.DEBT, 70, loan),
        (Role.LIQUIDATION, Side.COLLATERAL, 50, COLLATERAL),
        (Role.EXPOSURE_CHANGE, Side.DEBT, -100, loan),
        (Role.EXPOSURE_CHANGE, Side.DEBT_SHARES, -10, None),
        (Role.EXPOSURE_CHANGE, Side.COLLATERAL, -50, COLLATERAL),
        (Role.SHORTFALL, None, 30, loan),
        (Role.SOCIALISED_LOSS, None, 30, loan),
    ]
    assert {f.account for f in facts} == {BORROWER}


def test_an_ordinary_liquidation_is_no_loss(adapter: MorphoBlue, loan: str) -> None:
    adapter.decode(created(adapter, loan))
    facts = adapter.decode(log_of(LIQUIDATE, adapter.morpho, MARKET, CALLER, BORROWER, 70, 7, 50, 0, 0))
    assert {Role.SHORTFALL, Role.SOCIALISED_LOSS}.isdisjoint(f.role for f in facts)


def test_totals_are_sums_of_events_with_interest_and_losses(adapter: MorphoBlue, loan: str) -> None:
    logs = [
        created(adapter, loan),
        log_of(SUPPLY, adapter.morpho, MARKET, CALLER, LENDER, 1000, 1_000_000),
        log_of(SUPPLY_COLLATERAL, adapter.morpho, MARKET, CALLER, BORROWER, 500),
        log_of(BORROW, adapter.morpho, MARKET, CALLER, BORROWER, BORROWER, 400, 400_000),
        log_of(ACCRUE_INTEREST, adapter.morpho, MARKET, 5, 40, 300),
        log_of(REPAY, adapter.morpho, MARKET, CALLER, BORROWER, 110, 100_000),
        log_of(WITHDRAW, adapter.morpho, MARKET, CALLER, LENDER, LENDER, 200, 190_000),
        log_of(LIQUIDATE, adapter.morpho, MARKET, CALLER, BORROWER, 250, 240_000, 500, 80, 60_000),
    ]
    facts = [fact for log in logs for fact in adapter.decode(log)]
    moves = [
        MarketMove(1, f.market or "", f.role, f.side, f.amount_raw or 0)
        for f in facts
        if f.role in (Role.EXPOSURE_CHANGE, Role.INTEREST_ACCRUED, Role.SOCIALISED_LOSS)
    ]
    total = market_totals(moves)[MARKET]
    # supply 1,000 + 40 − 200 − 80; borrow 400 + 40 − 110 − 250 − 80; shares with 300 of fee.
    assert (total.supply, total.borrow) == (760, 0)
    assert (total.supply_shares, total.borrow_shares) == (1_000_000 + 300 - 190_000, 0)


def test_a_restart_remembers_the_tokens_of_markets(adapter: MorphoBlue, loan: str) -> None:
    log = log_of(SUPPLY, adapter.morpho, MARKET, CALLER, LENDER, 5, 5)
    assert adapter.decode(log)[0].asset is None
    adapter.remember({MARKET: {"loan": loan, "collateral": COLLATERAL}})
    assert adapter.decode(log)[0].asset == loan


def test_markets_of_listed_loan_tokens_are_read(adapter: MorphoBlue, loan: str) -> None:
    listed = {"loan": loan, "collateral": COLLATERAL, "oracle": ORACLE}
    known = Known({MARKET: listed, "0x" + "cd" * 32: {**listed, "loan": account(0xDD)}})
    reads = adapter.scheduled_reads(known)
    assert [(read.call.signature, [v.name for v in read.values]) for read in reads] == [
        (
            "market(bytes32)",
            [
                ReadingName.TOTAL_SUPPLY,
                ReadingName.TOTAL_SUPPLY_SHARES,
                ReadingName.TOTAL_BORROW,
                ReadingName.TOTAL_BORROW_SHARES,
            ],
        ),
        ("price()", [ReadingName.ORACLE_PRICE]),
    ]


def test_the_same_event_of_another_contract_is_ignored(adapter: MorphoBlue) -> None:
    assert adapter.decode(log_of(SUPPLY, account(0xBAD), MARKET, CALLER, LENDER, 5, 5)) == ()


def test_genuine_logs_decode(adapter: MorphoBlue, real_data: Path) -> None:
    with gzip.open(real_data / "genuine_raw_logs.jsonl.gz", "rt") as file:
        rows = [json.loads(line)["log"] for line in file]
    logs = [
        Log(r["address"].lower(), tuple(r["topics"]), r["data"], r["blockNumber"], r["blockHash"],
            r["transactionHash"], r["logIndex"])
        for r in rows
        if r["address"].lower() == adapter.morpho and r["topics"][0] in adapter.handlers
    ]  # fmt: skip
    assert logs, "the file holds logs of Morpho Blue"
    seen = 0
    for log in logs:
        facts = adapter.decode(log)
        words = {int(log.data[k : k + 64], 16) for k in range(2, len(log.data), 64)}
        amounts = {abs(f.amount_raw) for f in facts if f.amount_raw is not None}
        assert {fact.market for fact in facts} <= {log.topics[1]}
        if log.topics[0] != LIQUIDATE.topic0:  # A liquidation's amounts are sums of its words.
            assert amounts <= words
            seen += len(amounts)
    assert seen > 0
