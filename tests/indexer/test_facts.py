"""Rows of a range: a log once however many funds it concerns, a fact with its place, nothing that nobody asked for."""

from collections.abc import Sequence
from typing import Any

import pytest

from indexer.adapter import FactDraft, Log, LogFilter
from indexer.adapters.address_fund import TRANSFER
from indexer.facts import Columns, Prepared, RowMaker, Rows, log_of, prepare
from indexer.lanes import Tracked
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched
from indexer.scan.verify import PORTION
from ledger.bulk import Same
from ledger.columns import UINT256_MAX
from ledger.kinds import BlockStatus, Contribution, Role
from ledger.logs import FACT_COLUMNS, LOG_COLUMNS
from ledger.tables import RawLog
from tests.indexer import emitting
from tests.indexer.test_decode import Counting

CHAIN, TOKEN, OTHER = 10, emitting.account(1), emitting.account(9)


class Wallet(Counting):
    """Every transfer of one token."""

    def __init__(self, token: str, draft: FactDraft | None = None) -> None:
        super().__init__()
        self.token = token
        self.draft = draft

    def filters(self) -> Sequence[LogFilter]:
        return [LogFilter(frozenset({self.token}), (frozenset({TRANSFER.topic0}),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        return super().decode(log) if self.draft is None else [self.draft]


def segment(segment_id: int, adapter: Wallet) -> Prepared:
    """A segment of that adapter, from block 0 on."""
    return prepare(Tracked(segment_id, f"fund-{segment_id}", "wallet", adapter, (adapter.token,)), 0)


def sent(token: str, amount: int, *, block: int, index: int = 0) -> Log:
    """A transfer of a token."""
    parties = (emitting.account(2), emitting.account(3))
    return emitting.log_of(TRANSFER, token, *parties, amount, block=block, index=index)


def fetched(*logs: Log, last: int = 9) -> Fetched:
    """Blocks 0…last with these logs and all their headers."""
    headers = {
        n: Header(n, f"0x{n:064x}", f"0x{n - 1:064x}" if n else "0x", 1_700_000_000 + n) for n in range(last + 1)
    }
    return Fetched(0, last, list(logs), headers, 2)


def rows_of(view: Fetched, *segments: Prepared) -> Rows:
    """What is written of these segments; TOKEN is asset 4."""
    return RowMaker(CHAIN, {TOKEN: 4}).rows_of(view, segments)


def logs_in(rows: Rows) -> list[dict[str, Any]]:
    """The raw logs, each by its columns."""
    return rows_by_name(LOG_COLUMNS, rows.logs)


def facts_in(rows: Rows) -> list[dict[str, Any]]:
    """The facts, each by its columns."""
    return [fact for columns in rows.facts.values() for fact in rows_by_name(FACT_COLUMNS, columns)]


def rows_by_name(names: Sequence[str], columns: Columns) -> list[dict[str, Any]]:
    """Each row by its columns; what is the same in all rows stands in each."""
    count = max((len(column) for column in columns if isinstance(column, list)), default=0)
    whole = [[column.value] * count if isinstance(column, Same) else column for column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*whole, strict=True)]


def test_a_log_that_concerns_two_funds_is_stored_once_and_is_a_fact_of_each() -> None:
    view = fetched(sent(TOKEN, 5, block=3), sent(OTHER, 7, block=4))
    rows = rows_of(view, segment(1, Wallet(TOKEN)), segment(2, Wallet(TOKEN)))
    assert [log["address"] for log in logs_in(rows)] == [TOKEN]
    assert [(fact["segment_id"], fact["amount_raw"]) for fact in facts_in(rows)] == [(1, 5), (2, 5)]


def test_a_fact_says_where_it_comes_from_and_who_decoded_it() -> None:
    draft = FactDraft(Role.CONTRIBUTION, 5, TOKEN, Contribution.DONATION, account="0xa", market="m", detail={"k": 1})
    view = fetched(sent(TOKEN, 5, block=3, index=2))
    (fact,) = facts_in(rows_of(view, segment(1, Wallet(TOKEN, draft))))
    assert fact == {
        "chain_id": CHAIN,
        "block_hash": view.logs[0].block_hash,
        "log_index": 2,
        "fact_no": 0,
        "segment_id": 1,
        "block_number": 3,
        "block_time": view.headers[3].time,
        "tx_hash": view.logs[0].transaction_hash,
        "role": "contribution",
        "source": "donation",
        "side": None,
        "amount_raw": 5,
        "asset_id": 4,
        "account": "0xa",
        "market": "m",
        "detail": {"k": 1},
        "decoder": "wallet@1",
    }


def test_an_asset_that_no_file_lists_keeps_its_amount_and_its_address() -> None:
    draft = FactDraft(Role.CONTRIBUTION, 5, OTHER)
    (fact,) = facts_in(rows_of(fetched(sent(TOKEN, 5, block=3)), segment(1, Wallet(TOKEN, draft))))
    assert (fact["asset_id"], fact["amount_raw"], fact["detail"]) == (None, 5, {"asset": OTHER})


def test_final_blocks_without_our_logs_are_not_stored_and_blocks_above_finality_all_are() -> None:
    view = fetched(sent(TOKEN, 5, block=3), sent(OTHER, 7, block=4))
    numbers = rows_of(view, segment(1, Wallet(TOKEN))).numbers
    final, live = (
        RowMaker(CHAIN, {}).blocks(view.headers.values(), numbers, status)
        for status in (BlockStatus.FINALIZED, BlockStatus.UNFINALIZED)
    )
    assert [row[2] for row in final] == [3]
    assert [row[2] for row in live] == list(range(10))


def test_what_cannot_be_decoded_breaks_its_own_fund_only_and_its_logs_are_kept() -> None:
    view = fetched(sent(TOKEN, 0, block=3), sent(OTHER, 7, block=4), sent(TOKEN, 6, block=5))
    rows = rows_of(view, segment(1, Wallet(TOKEN)), segment(2, Wallet(OTHER)))
    assert list(rows.broken) == [1]
    assert [fact["segment_id"] for fact in facts_in(rows)] == [2]
    assert [log["block_number"] for log in logs_in(rows)] == [3, 4, 5]


@pytest.mark.parametrize("amount", [UINT256_MAX + 1, -(2**255) - 1])
def test_a_number_that_no_word_holds_breaks_the_fund_instead_of_being_cut(amount: int) -> None:
    draft = FactDraft(Role.CONTRIBUTION, amount)
    rows = rows_of(fetched(sent(TOKEN, 5, block=3)), segment(1, Wallet(TOKEN, draft)))
    assert facts_in(rows) == []
    assert "is no word" in str(rows.broken[1])


def test_a_stored_log_is_the_log_that_came() -> None:
    log = sent(TOKEN, 5, block=3, index=2)
    (stored,) = logs_in(rows_of(fetched(log), segment(1, Wallet(TOKEN))))
    assert log_of(RawLog(**stored)) == log
    bare = RawLog(**{**stored, "topics": ""})
    assert log_of(bare).topics == ()


def test_another_wish_is_another_digest_and_the_same_wish_the_same() -> None:
    assert segment(1, Wallet(TOKEN)).digest == segment(2, Wallet(TOKEN)).digest
    assert segment(1, Wallet(TOKEN)).digest != segment(1, Wallet(OTHER)).digest


def test_what_breaks_in_a_later_portion_takes_the_facts_of_earlier_ones_along_and_no_log() -> None:
    count = 2 * PORTION + 10
    sound = [sent(TOKEN, 5, block=n // 100, index=n % 100) for n in range(count)]
    garbage = sent(TOKEN, 0, block=count // 100, index=count % 100)
    view = fetched(*sound, garbage)
    rows = rows_of(view, segment(1, Wallet(TOKEN)), segment(2, Wallet(TOKEN, FactDraft(Role.CONTRIBUTION, 1))))
    assert list(rows.broken) == [1]
    assert {fact["segment_id"] for fact in facts_in(rows)} == {2}
    assert len(facts_in(rows)) == len(logs_in(rows)) == len(rows.numbers) == count + 1
    assert [fact["log_index"] for fact in facts_in(rows)] == [log["log_index"] for log in logs_in(rows)]


def test_a_segment_without_logs_in_the_range_leaves_no_row() -> None:
    rows = rows_of(fetched(sent(OTHER, 5, block=3)), segment(1, Wallet(TOKEN)))
    assert rows == Rows()
