"""What the snapshot lane reads: which segments, which questions at which block, and the answers to them."""

from dataclasses import dataclass, field
from functools import cached_property

from indexer.adapter import AdapterError, Read
from indexer.facts import prepare
from indexer.lanes import Tracked
from indexer.prices import Priced, Quote
from indexer.rpc.reader import CallAnswer, Header
from ledger.kinds import SnapshotKind


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
    """What to read of one segment at one block."""

    segment_id: int
    kind: SnapshotKind
    reads: tuple[Read, ...]
    priced: tuple[Priced, ...] = ()


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
