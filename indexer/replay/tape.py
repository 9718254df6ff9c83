"""A recording in memory, arranged for questions: headers by number and hash, logs, calls, code, storage, polls."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import msgspec

from indexer.replay.logs import LogShelf
from indexer.replay.recording import (
    CallRecord,
    CodeRecord,
    HeaderRecord,
    LogRecord,
    Metadata,
    PollRecord,
    Record,
    StorageRecord,
    open_recording,
)

LoadProgress = Callable[[int, int], None]
"""Called with records read so far and records in all."""

_REPORT_EVERY = 10_000


class Answered:
    """The answers to one question, by block: ascending blocks and what was answered at each."""

    __slots__ = ("answers", "blocks")

    def __init__(self) -> None:
        self.blocks = array("q")
        self.answers: list[CallRecord | StorageRecord] = []

    def add(self, block: int, answer: CallRecord | StorageRecord) -> None:
        self.blocks.append(block)
        self.answers.append(answer)

    def at(self, block: int) -> CallRecord | StorageRecord | None:
        """The answer given at exactly this block."""
        place = bisect_left(self.blocks, block)
        return self.answers[place] if place < len(self.blocks) and self.blocks[place] == block else None


class Tape:
    """Everything one recording can answer from."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.headers: list[HeaderRecord] = []
        self.number_of: dict[str, int] = {}
        self.times = array("q")
        self.logs = LogShelf()
        self.polls: list[msgspec.Raw] = []
        self._calls: dict[tuple[str, str], Answered] = {}
        self._storage: dict[tuple[str, str], Answered] = {}
        self._code: dict[str, list[CodeRecord]] = {}

    @property
    def first(self) -> int:
        """The first block; of a venue, whose polls are counted, 0."""
        return 0 if self.metadata.is_venue else self.metadata.first

    def header(self, number: int) -> HeaderRecord:
        return self.headers[number - self.metadata.first]

    def call(self, to: str, data: str, block: int) -> CallRecord | None:
        asked = self._calls.get((to, data))
        answer = asked.at(block) if asked else None
        return answer if isinstance(answer, CallRecord) else None

    def storage(self, address: str, slot: str, block: int) -> StorageRecord | None:
        asked = self._storage.get((address, slot))
        answer = asked.at(block) if asked else None
        return answer if isinstance(answer, StorageRecord) else None

    def code(self, address: str, block: int) -> CodeRecord | None:
        return next((each for each in self._code.get(address, ()) if each.first <= block <= each.last), None)

    def add(self, record: Record) -> None:
        """Takes the next record; the format's order makes every index a plain append."""
        match record:
            case HeaderRecord():
                self.number_of[record.hash] = record.number
                self.headers.append(record)
                self.times.append(record.time)
            case LogRecord():
                self.logs.add(record, self.header(record.block))
            case CallRecord():
                self._calls.setdefault((record.to, record.data), Answered()).add(record.block, record)
            case StorageRecord():
                self._storage.setdefault((record.address, record.slot), Answered()).add(record.block, record)
            case CodeRecord():
                self._code.setdefault(record.address, []).append(record)
            case PollRecord():
                self.times.append(record.time)
                self.polls.append(render_poll(record))


def render_poll(poll: PollRecord) -> msgspec.Raw:
    """A poll as it is served: its time, then the venue's own fields; keys sorted, no spaces."""
    return msgspec.Raw(msgspec.json.encode({"time": poll.time, **poll.data}, order="sorted"))


def load_tape(path: Path, *, progress: LoadProgress | None = None) -> Tape:
    """Reads a recording into memory, record by record; raises RecordingError as reading does."""
    with open_recording(path) as recording:
        tape = Tape(recording.metadata)
        total = sum(recording.metadata.records.values())
        for count, record in enumerate(recording.records(), start=1):
            tape.add(record)
            if progress is not None and (count % _REPORT_EVERY == 0 or count == total):
                progress(count, total)
    return tape
