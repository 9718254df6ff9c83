"""Rows of a range made ready for the driver, logs and facts as the database takes them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Engine

from indexer.adapter import AdapterError, Log
from indexer.facts import Prepared, RowMaker
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched
from indexer.scan.verify import portions
from ledger.blocks import BlockRow
from ledger.bulk import MANY_ROWS, Bulk
from ledger.kinds import BlockStatus
from ledger.logs import fact_maker, log_maker


@dataclass(frozen=True)
class ReadyRows:
    """What one commit writes, logs and facts ready for the driver, and which segments could not be decoded.

    Facts by segment.
    """

    blocks: Sequence[BlockRow]
    logs: Bulk
    facts: Mapping[int, Bulk]
    broken: Mapping[int, AdapterError]


@dataclass(frozen=True)
class Surroundings:
    """What rows of a range need besides its logs: how many these are, the headers of their blocks, their finality."""

    log_count: int
    headers: Mapping[int, Header]
    status: BlockStatus

    @classmethod
    def of(cls, fetched: Fetched, status: BlockStatus) -> Self:
        """Those of a range."""
        return cls(len(fetched.logs), fetched.headers, status)


@dataclass(frozen=True)
class Readying:
    """Makes rows ready for one chain and one kind of database. Pure: it may be done beside a commit, or elsewhere."""

    rows: RowMaker
    engine: Engine
    """Only for its kind: nothing is asked of it."""

    def of_range(self, fetched: Fetched, segments: Sequence[Prepared], status: BlockStatus) -> ReadyRows:
        """The rows of a range at hand."""
        return self.of_portions(portions(fetched.logs), Surroundings.of(fetched, status), segments)

    def of_portions(
        self, logs: Iterable[Sequence[Log]], around: Surroundings, segments: Sequence[Prepared]
    ) -> ReadyRows:
        """The rows of a range whose logs come in portions of whole blocks; one after the other is dealt with."""
        are_many = around.log_count >= MANY_ROWS
        raw_logs = log_maker(self.engine, are_many=are_many)
        facts = {segment.id: fact_maker(self.engine, are_many=are_many) for segment in segments}
        numbers, broken = set[int](), dict[int, AdapterError]()
        for rows in self.rows.parts(logs, around.headers, segments):
            raw_logs.add(rows.logs)
            numbers.update(rows.numbers)
            broken.update(rows.broken)
            for segment_id, columns in rows.facts.items():
                facts[segment_id].add(columns)
        blocks = self.rows.blocks(around.headers.values(), numbers, around.status)
        sound = {segment_id: maker.made() for segment_id, maker in facts.items() if segment_id not in broken}
        return ReadyRows(blocks, raw_logs.made(), sound, broken)
