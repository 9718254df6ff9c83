"""A fund whose contract's events are known in certain layouts: how it decodes them and enters the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from indexer.adapter import FactDraft, Known, Log, LogFilter, Read
from indexer.lanes import Tracked
from indexer.words import Event
from ledger.kinds import Role, Side
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import add_fund, register


class LayoutAdapter:
    """Amounts of one contract's events, each in the layouts it is known to have had."""

    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, contract: str, events: Iterable[Event], *, version: int = 1) -> None:
        self.contract = contract
        self.version = version
        self.events = tuple(events)

    def filters(self) -> Sequence[LogFilter]:
        return [LogFilter(frozenset({self.contract}), (frozenset(event.topic0 for event in self.events),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        namesakes = [event for event in self.events if event.topic0 == log.topics[0]]
        fitting = [event for event in namesakes if event.indexed_count == len(log.topics) - 1] or namesakes
        (event,) = fitting
        names = [parameter.name for parameter in event.parameters]
        return [
            FactDraft(Role.EXPOSURE_CHANGE, event.values(log)[names.index("amount")], detail={"says": event.canonical})
        ]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        return []

    def flow_reads(self, known: Known) -> Sequence[Read]:
        return []


def follow(engine: Engine, adapter: LayoutAdapter, segment_id: int = 1) -> Tracked:
    """A fund with this adapter, scanned from block 0 on."""
    if segment_id == 1:
        register(engine, [])
    tracked = add_fund(engine, segment_id, adapter.contract)
    return replace(tracked, adapter=adapter, start_block=0)


def amounts(engine: Engine) -> list[tuple[int, int, str]]:
    """(block, amount, which layout) of every fact."""
    rows = sorted(dump_tables(engine)["fact"], key=lambda row: (row["block_number"], row["log_index"]))
    return [(row["block_number"], row["amount_raw"], row["detail"]["says"]) for row in rows]
