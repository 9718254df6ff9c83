"""One day of a segment as the metrics see it: the walk at its as-of block, the money, the exposure, the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ledger.kinds import FundKind, Shape
from solvency.losses import DAY_SECONDS
from solvency.money import Money, judge_money
from solvency.positions import Exposure
from solvency.quality import compute_period, judge_age
from solvency.quantity import Quantity, make_unknown, render_count
from solvency.timeline import DayPlan
from solvency.walk import Walk

PUBLIC_POSITIONS = frozenset({Shape.PERP_V2_CURIE})
BOOKING_SHAPES = frozenset({Shape.DRIFT, Shape.MORPHO_BLUE, Shape.PERP_V2_CURIE})
"""Shapes that book what users lost; elsewhere "no event" is not "no loss"."""
NEVER_BOOKED = "this protocol books no bad debt: what remained after its liquidations is not known"


@dataclass(frozen=True)
class PastDay:
    """What later days need of an earlier one: its raw band (None: unknown) and what it forecast, by metric."""

    number: int
    """Days since 1970 (UTC)."""
    name: str
    is_observed: bool
    band: int | None
    forecasts: Mapping[str, float | None]


@dataclass(frozen=True)
class Day:
    """A walk that stands at the as-of point of a plan; `observed` are the observed days of `history_days` so far."""

    walk: Walk
    plan: DayPlan
    observed: Sequence[int]
    """Days since 1970 (UTC), ascending, whose every block was scanned."""
    history_days: int
    is_source_down: bool = False
    unverified: str = ""
    """Why nothing of this day can be relied on: its chain is halted. Empty else."""

    @property
    def kind(self) -> FundKind:
        """What the fund is for."""
        return FundKind(self.walk.history.fund.kind)

    @property
    def observed_days(self) -> int:
        """How many days were observed."""
        return len(self.observed)

    @cached_property
    def now_seconds(self) -> int:
        """The time ages are counted from."""
        return int(self.plan.now.timestamp())

    @cached_property
    def as_of_seconds(self) -> int:
        """Time of the as-of block; windows end here."""
        return int(self.plan.as_of.time.timestamp())

    @cached_property
    def observed_seconds(self) -> int:
        """Observed time in whole days."""
        return self.observed_days * DAY_SECONDS

    @cached_property
    def money(self) -> Money:
        """Balance and usable value with their age judged."""
        return judge_money(self.walk, now_seconds=self.now_seconds, is_reconciled=self.plan.as_of.is_reconciled)

    @cached_property
    def exposure(self) -> Exposure:
        """Exposure with its age judged."""
        found = self.walk.exposure
        if found is None:
            return Exposure(make_unknown("usd", "no complete snapshot yet"), (), self.as_of_seconds)
        period = compute_period(self.walk.point_seconds, now_seconds=self.now_seconds)
        quality, reason = judge_age(
            "the exposure", read_seconds=found.read_seconds, now_seconds=self.now_seconds, period_seconds=period
        )
        total = found.total if quality == "ok" else found.total.lower_quality(quality, reason)
        return Exposure(total, found.markets, found.read_seconds)

    @property
    def has_public_positions(self) -> bool:
        """True where the chain answers for each account: positions, values, margin."""
        return self.walk.history.fund.shape in PUBLIC_POSITIONS

    @property
    def never_booked(self) -> str:
        """Why having seen no shortfall says nothing here; empty where one would be, or nothing is covered."""
        is_told = self.kind == FundKind.RESERVE or self.walk.history.fund.shape in BOOKING_SHAPES
        return "" if is_told else NEVER_BOOKED

    def mark_unobserved(self, number: Quantity) -> Quantity:
        """Mark a number of the record partial where days of the history were not observed."""
        gone = self.describe_unobserved()
        return number.lower_quality("partial", gone) if gone else number

    def describe_unobserved(self) -> str:
        """How many days of the history were not observed; empty where all were."""
        gone = self.history_days - self.observed_days
        if gone <= 0:
            return ""
        is_or_are = "is" if gone == 1 else "are"
        return f"{gone:,} of {render_count(self.history_days, 'day')} {is_or_are} not completely observed"
