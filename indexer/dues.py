"""What the snapshot lane reads: which segments, which questions at which block, and the answers to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from indexer.adapter import AdapterError, Read
from indexer.facts import prepare
from indexer.lanes import Tracked
from indexer.prices import Priced, Quote
from indexer.reconcile import split_subject
from indexer.rpc.reader import CallAnswer, Header
from ledger.kinds import ReadingName, Side, SnapshotKind


@dataclass(frozen=True)
class Watched:
    """A segment with its schedule and the assets priced beside it."""

    tracked: Tracked
    step: int
    priced: tuple[Priced, ...] = ()

    @cached_property
    def digest(self) -> str | None:
        """What its coverage is recorded under; None where the adapter cannot say what it wants."""
        try:
            return prepare(self.tracked, 0).digest
        except AdapterError:
            return None


@dataclass(frozen=True)
class Question:
    """What to read of one segment at one block, and what its facts say its sums are there."""

    segment_id: int
    kind: SnapshotKind
    reads: tuple[Read, ...]
    priced: tuple[Priced, ...] = ()
    sums: Mapping[tuple[str, str, Side], int] = field(default_factory=dict)


@dataclass
class Due:
    """One block and everything to read at it."""

    at: Header
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True)
class Answered:
    """One block with every answer."""

    due: Due
    answers: tuple[CallAnswer, ...]
    quotes: dict[str, Quote]

    def contradicted(self) -> set[int]:
        """Segments of which a position was read that is not the sum of its changes."""
        answers = iter(self.answers)
        return {
            question.segment_id
            for question in self.due.questions
            for read, answer in zip(question.reads, answers, strict=False)
            for value in read.values
            if value.name == ReadingName.TAKER_SIZE and answer.values is not None
            if answer.values[value.index] != question.sums.get((*split_subject(value.subject), Side.POSITION), 0)
        }
