"""M3 worst historical shortfall: exact rolling windows, windows scaled by exposure, and episodes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from solvency.quantity import Number, Quantity, make_exact, make_unknown

DAY_SECONDS = 86_400
EPISODE_GAP_SECONDS = 86_400
_EXACT = Context(prec=80)


@dataclass(frozen=True, slots=True)
class LossEvent:
    """One gross shortfall L in USD at a time in seconds (Unix), before asking who paid."""

    seconds: int
    amount: Number

    def __post_init__(self) -> None:
        if make_exact(self.amount) < 0:
            raise ValueError(f"a gross shortfall of {self.amount} at {self.seconds} is impossible: L = max(0, …)")


@dataclass(frozen=True, slots=True)
class ExposureReading:
    """Exposure in USD read at a time in seconds."""

    seconds: int
    amount: float


@dataclass(frozen=True, slots=True)
class WorstWindow:
    """The worst window: its loss (USD), first and last loss in seconds; times are None when unknown."""

    loss: Quantity
    first_seconds: int | None = None
    last_seconds: int | None = None
    unscaled: float | None = None
    exposure_then: float | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """Shortfalls joined while less than 24 h apart."""

    first_seconds: int
    last_seconds: int
    amount: Decimal
    n_events: int


def compute_gross_shortfall_lending(debt_owed: Number, proceeds: Number) -> Decimal:
    """L = max(0, debt owed − proceeds recovered) of one liquidation, USD."""
    return max(Decimal(0), make_exact(debt_owed) - make_exact(proceeds))


def compute_gross_shortfall_perp(equity_at_fill: Number) -> Decimal:
    """L = max(0, −equity at the fill) of one liquidation, USD."""
    return max(Decimal(0), -make_exact(equity_at_fill))


def compute_worst_window(events: Sequence[LossEvent], *, window_seconds: int, observed_seconds: int) -> WorstWindow:
    """W_w = max over events t of Σ L in (t − w, t], USD, exact.

    No event: unknown ("none recognised"), not 0. A history shorter than w: partial.
    """
    windows = list(_slide(events, window_seconds))
    if not windows:
        return WorstWindow(make_unknown("usd", "no shortfall recognised", n_obs=observed_seconds // DAY_SECONDS))
    # Of equal windows the earliest is named, so that a later tie does not move the date.
    first, last, total, count = max(windows, key=lambda entry: (entry[2], -entry[1]))
    loss = Quantity(
        float(total),
        "usd",
        window_days=window_seconds / DAY_SECONDS,
        n_obs=observed_seconds // DAY_SECONDS,
        n_events=count,
    )
    return WorstWindow(_mark_short(loss, window_seconds, observed_seconds), first, last, float(total))


def compute_scaled_worst_window(
    events: Sequence[LossEvent],
    exposures: Sequence[ExposureReading],
    *,
    exposure_now: Quantity,
    window_seconds: int,
    observed_seconds: int,
) -> WorstWindow:
    """Return the largest window after scaling each by exposure now / exposure then, USD.

    "Then" is the last exposure read at or before the window's first loss. A window without such a reading (or
    with one of 0) stays unscaled and makes the result partial. Exposure now unknown: unknown.
    """
    windows = list(_slide(events, window_seconds))
    if not windows:
        return WorstWindow(make_unknown("usd", "no shortfall recognised", n_obs=observed_seconds // DAY_SECONDS))
    if exposure_now.value is None:
        return WorstWindow(make_unknown("usd", f"exposure now: {exposure_now.reason or exposure_now.words}"))
    readings = sorted(exposures, key=lambda reading: (reading.seconds, reading.amount))
    times = [reading.seconds for reading in readings]
    scaled = []
    for first, last, total, count in windows:
        index = bisect_right(times, first) - 1
        then = readings[index].amount if index >= 0 and readings[index].amount > 0 else None
        factor = exposure_now.value / then if then else 1.0
        scaled.append((float(total) * factor, -last, first, float(total), then, count))
    amount, minus_last, first, unscaled, then, count = max(scaled, key=lambda entry: entry[:2])
    loss = Quantity(
        amount,
        "usd",
        window_days=window_seconds / DAY_SECONDS,
        n_obs=observed_seconds // DAY_SECONDS,
        n_events=count,
    )
    if any(entry[4] is None for entry in scaled):
        loss = loss.lower_quality("partial", "no exposure reading at or before a loss: that window is unscaled")
    if not exposure_now.is_known or exposure_now.quality == "partial":
        loss = loss.lower_quality(exposure_now.quality, exposure_now.reason)
    loss = _mark_short(loss, window_seconds, observed_seconds)
    return WorstWindow(loss, first, -minus_last, unscaled, then)


def group_episodes(events: Sequence[LossEvent], *, gap_seconds: int = EPISODE_GAP_SECONDS) -> list[Episode]:
    """Join the shortfalls of one segment while they are less than `gap_seconds` apart, in order of time."""
    episodes: list[Episode] = []
    with localcontext(_EXACT):
        for seconds, amount in _sort(events):
            if episodes and seconds - episodes[-1].last_seconds < gap_seconds:
                open_one = episodes[-1]
                episodes[-1] = Episode(open_one.first_seconds, seconds, open_one.amount + amount, open_one.n_events + 1)
            else:
                episodes.append(Episode(seconds, seconds, amount, 1))
    return episodes


def _sort(events: Sequence[LossEvent]) -> list[tuple[int, Decimal]]:
    """Order by time; a loss of 0 is no shortfall and is left out."""
    return sorted((event.seconds, exact) for event in events if (exact := make_exact(event.amount)) > 0)


def _slide(events: Sequence[LossEvent], window_seconds: int) -> Iterator[tuple[int, int, Decimal, int]]:
    """Yield (first loss, last loss, Σ L, count) of the window (t − w, t] of each event, with two pointers."""
    if window_seconds <= 0:
        raise ValueError(f"a window of {window_seconds} seconds is empty; give a positive length")
    ordered = _sort(events)
    left, total = 0, Decimal(0)
    with localcontext(_EXACT) as context:
        add, subtract = context.add, context.subtract
    for right, (seconds, amount) in enumerate(ordered):
        total = add(total, amount)
        while ordered[left][0] <= seconds - window_seconds:
            total = subtract(total, ordered[left][1])
            left += 1
        # Losses of one second belong to one window: only the last of them anchors it.
        if right + 1 == len(ordered) or ordered[right + 1][0] != seconds:
            yield ordered[left][0], seconds, total, right - left + 1


def _mark_short(loss: Quantity, window_seconds: int, observed_seconds: int) -> Quantity:
    """Mark a worst window from a history shorter than the window."""
    if observed_seconds >= window_seconds:
        return loss
    days = observed_seconds / DAY_SECONDS
    return loss.lower_quality("partial", f"history of {days:.1f} days is shorter than the window")
