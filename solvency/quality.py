"""M13 data quality: when a number is stale, unreconciled or disputed, and which days were observed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from solvency.quantity import Number, Quality, Quantity, make_exact

MIN_STALE_SECONDS = 30 * 60
STALE_PERIODS = 3
FEED_MAX_AGE_SECONDS = 25 * 3_600
PERIOD_WINDOW_SECONDS = 30 * 86_400
DAY_SECONDS = 86_400
MAX_DISAGREEMENT = 0.02


def compute_period(poll_seconds: Sequence[int], *, now_seconds: int) -> float | None:
    """Polling period in seconds: the median gap of the last 30 days; None with fewer than two polls."""
    recent = sorted({t for t in poll_seconds if now_seconds - PERIOD_WINDOW_SECONDS <= t <= now_seconds})
    gaps = [later - earlier for earlier, later in pairwise(recent)]
    return float(median(gaps)) if gaps else None


def compute_stale_after(period_seconds: float | None) -> float:
    """Age in seconds from which a reading is stale: max(3 polling periods, 30 min)."""
    return max(STALE_PERIODS * (period_seconds or 0.0), MIN_STALE_SECONDS)


def judge_age(
    what: str, *, read_seconds: int | None, now_seconds: int, period_seconds: float | None
) -> tuple[Quality, str]:
    """Judge a balance, an exposure or our own read of a price by its age; never read is unknown."""
    if read_seconds is None:
        return "unknown", f"{what} was never read"
    age = now_seconds - read_seconds
    if age > compute_stale_after(period_seconds):
        return "stale", f"{what} is {_describe_age(age)} old"
    return "ok", ""


def judge_feed(
    what: str, *, updated_seconds: int | None, now_seconds: int, max_age_seconds: int = FEED_MAX_AGE_SECONDS
) -> tuple[Quality, str]:
    """Judge a feed by its own updatedAt (None: it has none and is dated by our read, judged elsewhere)."""
    if updated_seconds is not None and now_seconds - updated_seconds > max_age_seconds:
        return "stale", f"{what} was last updated {_describe_age(now_seconds - updated_seconds)} ago"
    return "ok", ""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Balance change against flows, in tokens; `difference` = Δbalance − Σ flows."""

    difference: Number
    tolerance: Number
    is_reconciled: bool


def reconcile_balance(
    *, balance_change: Number, flows: Number, balance: Number, rounding: Number = 0
) -> Reconciliation:
    """Compare Δbalance with Σ flows: unreconciled when apart by more than max(0.5 % of |balance|, rounding)."""
    difference = make_exact(balance_change) - make_exact(flows)
    tolerance = max(abs(make_exact(balance)) / 200, make_exact(rounding))
    return Reconciliation(difference, tolerance, abs(difference) <= tolerance)


def count_observed_days(days: Sequence[tuple[int, int]], scanned: Sequence[Sequence[tuple[int, int]]]) -> list[bool]:
    """Tell for each day, given as its (first block, last block), whether every filter scanned all of it.

    `scanned` holds the inclusive block intervals of each filter; no filter at all observes nothing. A day
    without a block (first > last) is observed when the blocks around it are.
    """
    merged = [_merge(intervals) for intervals in scanned]
    return [bool(merged) and all(_contains(m, min(day), max(day)) for m in merged) for day in days]


def find_polled_days(days: Sequence[int], poll_seconds: Sequence[int]) -> list[bool]:
    """Tell for each UTC day (its first second) whether it lies between two polls of a cumulative counter."""
    if not poll_seconds:
        return [False] * len(days)
    first, last = min(poll_seconds), max(poll_seconds)
    return [first <= day and day + DAY_SECONDS <= last for day in days]


def resolve_disagreement(usable: Sequence[Quantity], exposure: Sequence[Quantity]) -> tuple[Quantity, Quantity]:
    """Choose among sources the lower usable value and the higher open interest; apart by > 2 % is partial."""
    return _choose(usable, True, "sources of the balance"), _choose(exposure, False, "sources of open interest")


def _choose(sources: Sequence[Quantity], is_lower_cautious: bool, what: str) -> Quantity:
    """Take the cautious one of the known sources."""
    if not sources:
        raise ValueError(f"no {what} given; pass an unknown quantity instead of none")
    known = sorted((s for s in sources if s.value is not None), key=lambda s: s.value or 0.0)
    if not known:
        return sources[0]
    chosen = known[0] if is_lower_cautious else known[-1]
    low, high = known[0].value or 0.0, known[-1].value or 0.0
    if high - low > MAX_DISAGREEMENT * max(abs(low), abs(high)):
        return chosen.lower_quality("partial", f"{what} differ: {low:,.2f} and {high:,.2f} {chosen.unit}")
    return chosen


def _merge(intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join inclusive intervals that touch or overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _contains(merged: Sequence[tuple[int, int]], first: int, last: int) -> bool:
    """Tell whether one merged interval holds first … last."""
    index = bisect_right(merged, (first, float("inf"))) - 1
    return index >= 0 and merged[index][1] >= last


def _describe_age(seconds: float) -> str:
    """Render an age for a reason, such as "26 h" or "42 min"."""
    return f"{seconds / 3600:.0f} h" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} min"
