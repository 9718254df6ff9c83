"""A recording in memory, arranged for questions: headers by number and hash, logs, calls, code, storage, polls."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import msgspec

from indexer.replay.logs import LogShelf
from indexer.replay.multicall import InnerAnswer
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

    __slots__ = ("_answers", "_blocks")

    def __init__(self) -> None:
        self._blocks = array("q")
        self._answers: list[InnerAnswer] = []

    def add(self, block: int, answer: InnerAnswer) -> None:
        # Most answers repeat from block to block: the same object is kept once.
        same = self._answers[-1] if self._answers and self._answers[-1] == answer else answer
        self._blocks.append(block)
        self._answers.append(same)

    def at(self, block: int) -> InnerAnswer | None:
        """The answer given at exactly this block."""
        place = bisect_left(self._blocks, block)
        return self._answers[place] if place < len(self._blocks) and self._blocks[place] == block else None


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

    def call(self, to: str, data: str, block: int) -> InnerAnswer | None:
        """What a call gave back at exactly this block."""
        asked = self._calls.get((to, data))
        return asked.at(block) if asked else None

    def storage(self, address: str, slot: str, block: int) -> str | None:
        """A storage word at exactly this block."""
        asked = self._storage.get((address, slot))
        answer = asked.at(block) if asked else None
        return answer.data if answer else None

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
                asked = self._calls.setdefault((record.to, record.data), Answered())
                asked.add(record.block, _read_outcome(record))
            case StorageRecord():
                words = self._storage.setdefault((record.address, record.slot), Answered())
                words.add(record.block, InnerAnswer(True, record.value))
            case CodeRecord():
                self._code.setdefault(record.address, []).append(record)
            case PollRecord():
                self.times.append(record.time)
                self.polls.append(render_poll(record))


def _read_outcome(call: CallRecord) -> InnerAnswer:
    if call.result is not None:
        return InnerAnswer(True, call.result)
    return InnerAnswer(False, call.revert or "0x")


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
