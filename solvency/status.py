"""Status: cut points, the raw band as the worst graded metric, and the published band."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from solvency.few import MIN_EPISODES, MIN_OBSERVED_DAYS
from solvency.quantity import Quantity

CUT_POINTS_VERSION = "2"


class Band(IntEnum):
    """The coverage axis: four bands that compare, and one that is a fact."""

    AMPLE = 0
    COVERED = 1
    THIN = 2
    SHORT = 3
    DEPLETED = 4


@dataclass(frozen=True, slots=True)
class CutPoints:
    """Where a metric leaves a band. They are ours, versioned, and shown on the page."""

    unit: str
    ample: float
    covered: float
    thin: float
    is_smaller_better: bool = False

    def grade(self, value: float) -> Band:
        """Return the band of a value; a value on the cut belongs to the better band."""
        sign = -1 if self.is_smaller_better else 1
        for band, cut in ((Band.AMPLE, self.ample), (Band.COVERED, self.covered), (Band.THIN, self.thin)):
            if sign * value >= sign * cut:
                return band
        return Band.SHORT


CUT_POINTS: Mapping[str, CutPoints] = {
    "gap_survived": CutPoints("fraction", 0.30, 0.20, 0.10),
    "worst_7d_coverage": CutPoints("ratio", 3.0, 2.0, 1.0),
    "runway": CutPoints("days", 730.0, 365.0, 180.0),
    "expected_shortfall": CutPoints("ratio", 5.0, 2.0, 1.0),
    "cover_2": CutPoints("ratio", 1.5, 1.0, 1.0),
    "depletion_90d": CutPoints("fraction", 0.001, 0.01, 0.1, is_smaller_better=True),
}
FEW_COVERED_DAYS = 365
TAIL_LOSS_DAYS = 5
"""Days with a loss from which on M4 is required; losses never leave the record, so it stays required."""

FundKind = Literal["perp_fund", "lending_backstop", "reserve", "venue_fund", "no_fund"]

_PERP = ("usable_value", "exposure", "gap_survived", "past_shortfall", "runway", "uncovered")
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "perp_fund": _PERP,
    "venue_fund": _PERP,
    "lending_backstop": ("usable_value", "exposure", "gap_survived", "past_shortfall", "uncovered"),
    "reserve": ("usable_value", "runway"),
    "no_fund": (),
}
# Required, never graded: without them the other numbers have no ground.
UNGRADED = frozenset({"usable_value", "exposure"})


def grade_gap(gap: Quantity) -> Band | None:
    """Grade the gap survived (M6); unknown or stale: None."""
    return _grade_number(gap, "gap_survived")


def grade_worst_week(ratio: Quantity) -> Band | None:
    """Grade U / exposure-scaled worst 7 days (M3); a loss of 0 said in words is Ample."""
    if ratio.is_known and ratio.value is None:
        return Band.AMPLE
    return _grade_number(ratio, "worst_7d_coverage")


def grade_past_shortfall(ratio: Quantity, *, n_episodes: int, observed_days: int) -> Band | None:
    """Grade M3, or M12 with fewer than 5 episodes or 90 observed days: the worse of M3 and observed days.

    With none recognised observed days alone decide: ≥ 365 Covered, ≥ 90 Thin, fewer unknown. Never Ample.
    """
    by_loss = grade_worst_week(ratio)
    if n_episodes >= 5 and observed_days >= MIN_OBSERVED_DAYS:
        return by_loss
    if observed_days < MIN_OBSERVED_DAYS:
        return None
    by_days = Band.COVERED if observed_days >= FEW_COVERED_DAYS else Band.THIN
    if n_episodes == 0:
        return by_days
    return None if by_loss is None else max(by_loss, by_days)


def find_required(
    kind: str, *, n_loss_days: int, n_episodes: int, observed_days: int, has_public_positions: bool
) -> tuple[str, ...]:
    """Name the metrics that a segment needs for a band: those of its kind, and each model whose inputs it ever had.

    M4 from 90 observed days and five loss days on, M5 where positions are public, M7 from five episodes on: records
    only grow, so closing one's books never helps.
    """
    always = REQUIRED[kind]
    if "exposure" not in always:
        return always
    models = {
        "expected_shortfall": observed_days >= MIN_OBSERVED_DAYS and n_loss_days >= TAIL_LOSS_DAYS,
        "cover_2": has_public_positions,
        "depletion_90d": n_episodes >= MIN_EPISODES,
    }
    return (*always, *(name for name, is_possible in models.items() if is_possible))


def grade_expected_shortfall(ratio: Quantity) -> Band | None:
    """Grade U / upper bound of ES 97.5 (M4): less data, wider interval, lower grade. Without a bound: None."""
    return _grade_number(ratio, "expected_shortfall")


def grade_cover(cover_2: Quantity, cover_1: Quantity) -> Band | None:
    """Grade U / Cover-2 (M5); U ≥ Cover-1 alone gives at most Thin, and no loss in any scenario is Ample."""
    if cover_2.is_known and cover_2.value is None:
        return Band.AMPLE
    if not cover_2.is_known or not cover_1.is_known or cover_2.value is None:
        return None
    if cover_2.value >= CUT_POINTS["cover_2"].covered:
        return CUT_POINTS["cover_2"].grade(cover_2.value)
    is_first_covered = cover_1.value is None or cover_1.value >= CUT_POINTS["cover_2"].thin
    return Band.THIN if is_first_covered else Band.SHORT


def grade_depletion(upper: Quantity) -> Band | None:
    """Grade the upper bound of the chance of depletion within 90 days (M7)."""
    return _grade_number(upper, "depletion_90d")


def grade_runway(runway: Quantity) -> Band | None:
    """Grade the runway (M8); "not shrinking" is Ample."""
    if runway.is_known and runway.value is None:
        return Band.AMPLE
    return _grade_number(runway, "runway")


def grade_uncovered(last_year: Quantity, last_month: Quantity) -> Band | None:
    """Grade uncovered loss (M9): none in 365 days Ample, any Thin, any in the last 30 days Short."""
    if not (last_year.is_known and last_month.is_known) or last_year.value is None or last_month.value is None:
        return None
    if last_month.value > 0:
        return Band.SHORT
    return Band.THIN if last_year.value > 0 else Band.AMPLE


@dataclass(frozen=True, slots=True)
class Decision:
    """A raw status: `grade` None means not computable, then `at_best` is the worst known band, if any."""

    grade: Band | None
    at_best: Band | None
    missing: tuple[str, ...]


def decide_band(bands: Mapping[str, int | None], required: Collection[str], *, known: Collection[str] = ()) -> Decision:
    """Return the worst known band; it is a grade only if every required metric is known.

    `bands` by metric, None = unknown or stale; `known` names required metrics that are never graded but known.
    """
    graded = [Band(band) for band in bands.values() if band is not None]
    worst = max(graded, default=None)
    missing = tuple(sorted(name for name in required if bands.get(name) is None and name not in known))
    if missing or worst is None:
        return Decision(None, worst, missing)
    return Decision(worst, worst, ())


def is_depleted(balance: Quantity, unresolved: Quantity, usable: Quantity) -> bool:
    """True when the gross balance or signed capacity at the block is ≤ 0, or an unresolved deficit exceeds U.

    A fact needs its numbers: one that is unknown or stale depletes nothing, nor does "at least 0".
    """
    if balance.is_known and not balance.is_lower_bound and balance.value is not None and balance.value <= 0:
        return True
    is_comparable = unresolved.is_known and usable.is_known
    if not is_comparable or unresolved.value is None or usable.value is None:
        return False
    return unresolved.value > 0 and unresolved.value > usable.value


def publish_bands(raw: Sequence[int | None], *, window: int = 3) -> list[int | None]:
    """Return the published band of each day: the worst of the last `window` known raw ones.

    Unknown passes through and does not reset. Depleted applies at once, ends at once, and is never remembered.
    """
    published: list[int | None] = []
    last_known: list[int] = []
    for band in raw:
        if band is None or band == Band.DEPLETED:
            published.append(band)
            continue
        last_known = [*last_known, band][-window:]
        published.append(max(last_known))
    return published


def describe_band(band: int | None, at_best: int | None = None, *, kind: str = "perp_fund", reason: str = "") -> str:
    """Render the words of a status, such as "Thin" or "Not computable (at best Covered)"."""
    if kind == "no_fund":
        return "No fund"
    if band is not None:
        return Band(band).name.capitalize()
    if kind == "reserve":
        return "Not computable: covers no defined exposure"
    words = "Not computable" if at_best is None else f"Not computable (at best {Band(at_best).name.capitalize()})"
    return f"{words}: {reason}" if reason else words


def _grade_number(number: Quantity, metric: str) -> Band | None:
    """Grade a number by its cut points; unknown or stale: None."""
    if not number.is_known or number.value is None:
        return None
    return CUT_POINTS[metric].grade(number.value)
