"""From logs to facts: every log in order, whole transactions for those who need them, errors with their place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from indexer.adapter import AdapterError, FactDraft, Known, Log, LogFilter, Read
from indexer.adapters.address_fund import TRANSFER
from indexer.decode import decode_logs
from ledger.kinds import Role, Side
from tests.indexer.emitting import account, log_of


@dataclass
class Counting:
    """One fact a log; `raises` is what a log of amount 0 does."""

    raises: Exception = field(default_factory=lambda: ValueError("no amount"))
    version: int = 1
    rounding_per_flow_raw: int = 0
    tracked_sides: frozenset[Side] = frozenset()

    def filters(self) -> Sequence[LogFilter]:
        return []

    def decode(self, log: Log) -> Sequence[FactDraft]:
        amount = TRANSFER.values(log)[2]
        if amount == 0:
            raise self.raises
        return [FactDraft(Role.CONTRIBUTION, amount)]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        return []

    def flow_reads(self, known: Known) -> Sequence[Read]:
        return []


@dataclass
class Whole(Counting):
    """Numbers the facts within their transaction."""

    seen: list[list[str]] = field(default_factory=list)

    def attribute(self, logs: Sequence[Log], facts: Sequence[Sequence[FactDraft]]) -> Sequence[Sequence[FactDraft]]:
        self.seen.append([log.log_index for log in logs])
        return [[replace(draft, market=str(at)) for draft in drafts] for at, drafts in enumerate(facts)]


def sent(amount: int, *, block: int = 7, tx: int = 1, index: int = 0) -> Log:
    """A transfer."""
    return log_of(TRANSFER, account(1), account(2), account(3), amount, block=block, tx=tx, index=index)


def test_facts_come_in_the_order_of_their_logs() -> None:
    logs = [sent(amount, index=amount) for amount in range(1, 9)]
    assert [[draft.amount_raw for draft in drafts] for drafts in decode_logs(Counting(), logs)] == [
        [amount] for amount in range(1, 9)
    ]


@pytest.mark.parametrize("error", [ValueError("out of range"), IndexError("tuple index out of range")])
def test_a_log_that_cannot_be_decoded_is_named_by_block_index_and_contract(error: Exception) -> None:
    with pytest.raises(AdapterError, match=f"log 3 of block 19 from {account(1)} cannot be decoded .{error}.*") as said:
        decode_logs(Counting(raises=error), [sent(5), sent(0, block=19, index=3)])
    assert said.value.__cause__ is error


def test_an_event_of_the_same_name_in_another_layout_is_no_amount() -> None:
    collectible = replace(sent(5), topics=(*sent(5).topics, "0x" + "0" * 63 + "5"), data="0x")
    with pytest.raises(AdapterError, match="another event of the same name"):
        decode_logs(Counting(), [collectible])


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=12))
def test_an_adapter_that_attributes_sees_each_transaction_once_and_whole(places: list[tuple[int, int]]) -> None:
    logs = [sent(1 + at, block=block, tx=tx, index=at) for at, (block, tx) in enumerate(sorted(places))]
    adapter = Whole()
    facts = decode_logs(adapter, logs)
    transactions: dict[tuple[str, str], list[str]] = {}
    for log in logs:
        transactions.setdefault((log.block_hash, log.transaction_hash), []).append(log.log_index)
    assert adapter.seen == list(transactions.values())
    assert [drafts[0].amount_raw for drafts in facts] == [1 + at for at in range(len(logs))]
    assert [drafts[0].market for drafts in facts] == [
        str(at) for members in transactions.values() for at in range(len(members))
    ]
