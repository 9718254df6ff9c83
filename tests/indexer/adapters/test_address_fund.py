"""A wallet: only listed tokens count, and a transfer of nothing is nothing."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from indexer.adapter import Known, Log
from indexer.adapters.address_fund import TRANSFER, AddressFund
from indexer.registry import FUNDS
from indexer.scan.filters import matching
from indexer.specs import AssetSpec, FundSpec, load_fund_file
from ledger.kinds import Contribution, ReadingName, Role
from tests.indexer.emitting import account, log_of

FRIEND = account(0xF)


@pytest.fixture
def fund() -> FundSpec:
    return load_fund_file(FUNDS / "ethena-reserve.toml")


@pytest.fixture
def adapter(fund: FundSpec) -> AddressFund:
    return AddressFund(fund)


def test_transfers_in_and_out_are_top_ups_and_withdrawals(adapter: AddressFund) -> None:
    token = adapter.primary
    (received,) = adapter.decode(log_of(TRANSFER, token, FRIEND, adapter.holder, 5))
    (sent,) = adapter.decode(log_of(TRANSFER, token, adapter.holder, FRIEND, 3))
    assert (received.role, received.source, received.amount_raw, received.account) == (
        Role.CONTRIBUTION,
        Contribution.TOP_UP,
        5,
        FRIEND,
    )
    assert (sent.role, sent.amount_raw, sent.asset) == (Role.WITHDRAWAL, 3, token)


def test_poison_look_alikes_and_strangers_are_no_facts(adapter: AddressFund) -> None:
    token = adapter.primary
    assert adapter.decode(log_of(TRANSFER, token, adapter.holder, FRIEND, 0)) == ()
    assert adapter.decode(log_of(TRANSFER, account(0xBAD), FRIEND, adapter.holder, 10**12)) == ()
    assert adapter.decode(log_of(TRANSFER, token, FRIEND, account(2), 5)) == ()
    assert adapter.decode(log_of(TRANSFER, token, adapter.holder, adapter.holder, 5)) == ()


def test_filters_name_the_wallet_in_either_place(adapter: AddressFund) -> None:
    filters = tuple(adapter.filters())
    logs = [
        log_of(TRANSFER, adapter.primary, FRIEND, adapter.holder, 1, index=0),
        log_of(TRANSFER, adapter.primary, adapter.holder, FRIEND, 1, index=1),
        log_of(TRANSFER, adapter.primary, FRIEND, account(2), 1, index=2),
    ]
    assert [log.log_index for log in matching(filters, logs)] == ["0x0", "0x1"]


def test_the_main_token_has_no_subject_and_the_others_their_address(adapter: AddressFund) -> None:
    values = [value for read in adapter.scheduled_reads(Known()) for value in read.values]
    assert {value.name for value in values} == {ReadingName.BALANCE}
    assert {value.asset: value.subject for value in values} == {
        token: "" if token == adapter.primary else token for token in adapter.decimals
    }


def test_genuine_transfers_decode_to_their_own_words(fund: FundSpec, real_data: Path) -> None:
    with gzip.open(real_data / "genuine_raw_logs.jsonl.gz", "rt") as file:
        rows = [json.loads(line)["log"] for line in file]
    transfers = [
        row for row in rows if row["topics"] and row["topics"][0] == TRANSFER.topic0 and len(row["topics"]) == 3
    ]
    decoded = 0
    for row in transfers[:2000]:
        log = Log(row["address"].lower(), tuple(row["topics"]), row["data"], row["blockNumber"], row["blockHash"],
                  row["transactionHash"], row["logIndex"])  # fmt: skip
        receiver, amount = "0x" + log.topics[2][26:], int(log.data, 16)
        token = AssetSpec(address=log.address, symbol="T", decimals=18)
        wallet = AddressFund(
            msgspec.structs.replace(fund, contracts={"holder": receiver}, assets=(token,), balance_asset="T")
        )
        facts = wallet.decode(log)
        if amount and log.topics[1] != log.topics[2]:
            assert [(f.role, f.amount_raw) for f in facts] == [(Role.CONTRIBUTION, amount)]
            decoded += 1
        else:
            assert facts == ()
    assert decoded > 1000
