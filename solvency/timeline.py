"""A segment's days: which block each stands on, what "now" was, and a digest of every row read until then."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from ledger.history import BlockRow, PointRow, SegmentHistory
from ledger.kinds import SegmentStatus, SnapshotKind
from solvency.quality import count_observed_days, find_polled_days

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DayPlan:
    """One UTC day: the points read in it, the block it stands on, and the time its ages are counted from."""

    start: datetime
    points: Sequence[PointRow]
    as_of: PointRow
    now: datetime
    is_final: bool
    is_observed: bool

    @property
    def number(self) -> int:
        """Days since 1970 (UTC)."""
        return (self.start - EPOCH).days

    @property
    def name(self) -> str:
        """The day as YYYY-MM-DD."""
        return self.start.strftime("%Y-%m-%d")


def plan_days(history: SegmentHistory, now: datetime) -> list[DayPlan]:
    """Plan every UTC day from the first point to now.

    A day stands on its last complete snapshot; a day without one stands on the last before it, read as old as it
    is at the day's end. A day is final when both the clock and the scanned blocks have passed its end.
    """
    points = list_points(history)
    if not points:
        return []
    first = points[0].time.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [first + DAY * k for k in range((now - first).days + 1)] if now >= first else []
    observed = _find_observed(history, starts, points)
    reached = _find_reached(history, points, now)
    times = [point.time for point in points]
    plans = []
    for start, is_observed in zip(starts, observed, strict=True):
        left, right = bisect_left(times, start), bisect_left(times, start + DAY)
        inside = points[left:right]
        as_of = _choose_as_of(inside or points[:right])
        is_final = min(now, reached) >= start + DAY
        # A past day speaks as of its own snapshot; the running day and a day without one grow old.
        moment = as_of.time if is_final and inside else min(now, start + DAY)
        plans.append(DayPlan(start, inside, as_of, moment, is_final, is_observed))
    return plans


def list_points(history: SegmentHistory) -> list[PointRow]:
    """The blocks a segment was read at; where no contract is ever read, each block with a fact says all there is."""
    numbers = {row.number for row in history.readings} or {row.number for row in history.facts}
    if history.readings and any(point.kind == SnapshotKind.SCHEDULED for point in history.points):
        return list(history.points)
    known = {point.number for point in history.points}
    found = [_as_point(block) for block in history.blocks if block.number in numbers - known]
    return sorted([*history.points, *found], key=lambda point: point[:2])


def _as_point(block: BlockRow) -> PointRow:
    return PointRow(block.number, block.block_hash, block.time, SnapshotKind.SCHEDULED, None, None)


def _choose_as_of(points: Sequence[PointRow]) -> PointRow:
    """The last complete snapshot; a flow snapshot only where there is no other."""
    complete = [point for point in points if point.kind == SnapshotKind.SCHEDULED]
    return complete[-1] if complete else points[-1]


def _find_reached(history: SegmentHistory, points: Sequence[PointRow], now: datetime) -> datetime:
    """Chain time up to which this segment's blocks are scanned; a venue is as far as its last poll."""
    if history.chain.is_venue or not history.coverage:
        return points[-1].time
    if history.segment.status == SegmentStatus.UNVERIFIED:
        # A halted chain settles no day from that block on.
        return _time_at(history, history.segment.status_number or 0)
    reached = max((row.to_number for row in history.coverage), default=0)
    if history.tip_number is not None and reached >= history.tip_number and history.chain.head_number is not None:
        # Nothing is left to scan: only the clock decides.
        return now if history.tip_number >= history.chain.head_number else _time_at(history, reached)
    return _time_at(history, reached)


def _time_at(history: SegmentHistory, number: int) -> datetime:
    """Time of the last stored block at or below a number."""
    index = bisect_right([block.number for block in history.blocks], number) - 1
    return history.blocks[index].time if index >= 0 else datetime.min.replace(tzinfo=UTC)


def _find_observed(history: SegmentHistory, starts: Sequence[datetime], points: Sequence[PointRow]) -> list[bool]:
    """Tell for each day whether all of it was scanned or, for a venue, lies between two polls."""
    if history.chain.is_venue:
        return find_polled_days([int(s.timestamp()) for s in starts], [int(p.time.timestamp()) for p in points])
    times, numbers = [b.time for b in history.blocks], [b.number for b in history.blocks]
    first = history.segment.start_number or (numbers[0] if numbers else 0)
    spans: list[tuple[int, int] | None] = []
    for start in starts:
        before, after = bisect_left(times, start) - 1, bisect_left(times, start + DAY)
        # Without a stored block beyond the day its end is not known to be scanned.
        low = max(numbers[before] + 1 if before >= 0 else first, first)
        spans.append((low, numbers[after] - 1) if after < len(numbers) else None)
    known = [span for span in spans if span is not None]
    by_digest: dict[str, list[tuple[int, int]]] = {}
    for row in history.coverage:
        by_digest.setdefault(row.filter_digest, []).append((row.from_number, row.to_number))
    # Filters of an older decoder stay in the record: a day counts when one complete set of filters saw all of it.
    judged = [count_observed_days(known, [intervals]) for intervals in by_digest.values()]
    flags = iter([any(row) for row in zip(*judged, strict=True)] if judged else [False] * len(known))
    return [False if span is None else next(flags) for span in spans]


class RowDigest:
    """A running sha256 of rows in their canonical order: the same rows give the same digest on any database."""

    def __init__(self) -> None:
        self._hash = sha256()

    def add(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Take in further rows."""
        for row in rows:
            self._hash.update(repr(tuple(row)).encode())

    def hexdigest(self) -> str:
        """The digest of every row so far."""
        return self._hash.copy().hexdigest()


def join_digests(version: str, parts: Iterable[tuple[str, str]]) -> str:
    """Digest of named digests under a method version."""
    text = "\n".join([version, *(f"{name} {digest}" for name, digest in parts)])
    return sha256(text.encode()).hexdigest()
