"""What is still to scan: the wanted interval of each segment minus what the ledger covers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Interval = tuple[int, int]
"""First and last block, both included."""


@dataclass(frozen=True)
class Stretch:
    """Blocks first…last are missing for exactly these segments."""

    first: int
    last: int
    segments: frozenset[int]


def holes(wanted: Interval, covered: Iterable[Interval]) -> list[Interval]:
    """The parts of `wanted` that no covered interval holds, ascending; covered ones may touch or overlap."""
    first, last = wanted
    missing = []
    for start, end in sorted(covered):
        if start > last:
            break
        if start > first:
            missing.append((first, start - 1))
        first = max(first, end + 1)
    return [*missing, (first, last)] if first <= last else missing


def inner_hole(first: int, covered: Sequence[Interval]) -> int | None:
    """The lowest block from `first` on that is not covered although a higher one is; None where there is none."""
    missing = holes((first, max((end for _, end in covered), default=first - 1)), covered)
    return missing[0][0] if missing else None


def plan(missing: Mapping[int, Sequence[Interval]]) -> list[Stretch]:
    """Segment → its holes, as ascending stretches in which the same segments are missing: one request serves all."""
    edges = sorted({edge for parts in missing.values() for first, last in parts for edge in (first, last + 1)})
    stretches = []
    for start, end in pairwise(edges):
        segments = frozenset(
            segment for segment, parts in missing.items() if any(first <= start <= last for first, last in parts)
        )
        if segments:
            stretches.append(Stretch(start, end - 1, segments))
    return stretches
