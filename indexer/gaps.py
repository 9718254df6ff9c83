"""Which blocks of a segment were scanned, on which rungs of the ladder they stand, and which are holes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.coverage import Verified


@dataclass(frozen=True)
class Interval:
    """Blocks first…last that passed exactly these rungs; none at all: a hole."""

    first: int
    last: int
    passed: tuple[int, ...]

    @property
    def is_hole(self) -> bool:
        """Whether nobody scanned these blocks."""
        return not self.passed

    @property
    def level(self) -> int | None:
        """The highest rung, None for a hole."""
        return self.passed[-1] if self.passed else None

    @property
    def blocks(self) -> int:
        """How many blocks."""
        return self.last - self.first + 1


def intervals_of(wanted: tuple[int, int], covered: Iterable[Verified], verified: Iterable[Verified]) -> list[Interval]:
    """The wanted blocks as intervals of equal rungs, ascending, without gaps or overlaps.

    `covered`: each interval with the lowest rung all its blocks passed, and so those below it. `verified`: higher
    rungs; where nothing is covered they count for nothing.
    """
    first, last = wanted
    changes: dict[int, dict[int, int]] = {}
    for rung, low, high in spread(covered, verified):
        for at, change in ((max(low, first), 1), (min(high, last) + 1, -1)):
            if low <= last and high >= first:
                found = changes.setdefault(at, {})
                found[rung] = found.get(rung, 0) + change
    open_rungs: dict[int, int] = {}
    intervals: list[Interval] = []
    edges = sorted({first, *(at for at in changes if at <= last)})
    for at, following in zip(edges, [*edges[1:], last + 1], strict=True):
        for rung, change in changes.get(at, {}).items():
            open_rungs[rung] = open_rungs.get(rung, 0) + change
        is_covered = open_rungs.get(0, 0) > 0
        passed = tuple(sorted(rung for rung, count in open_rungs.items() if count > 0)) if is_covered else ()
        if intervals and intervals[-1].passed == passed:
            intervals[-1] = Interval(intervals[-1].first, following - 1, passed)
        elif following > at:
            intervals.append(Interval(at, following - 1, passed))
    return intervals


def spread(covered: Iterable[Verified], verified: Iterable[Verified]) -> Iterable[Verified]:
    """Each rung of each interval by itself."""
    for level, low, high in covered:
        yield from (Verified(rung, low, high) for rung in range(level + 1))
    yield from verified


def share_of(intervals: Sequence[Interval], rung: int) -> float:
    """Which part of the blocks passed a rung, 0 to 1; of no blocks, all of them."""
    total = sum(interval.blocks for interval in intervals)
    passed = sum(interval.blocks for interval in intervals if rung in interval.passed)
    return passed / total if total else 1.0
