"""M14 liquidation engine: how late it closes accounts, how often below bankruptcy, what the fund gets of penalties."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from solvency.quantity import Quantity, make_unknown, render_count

NO_LIQUIDATION = "no liquidation recognised"
NO_PENALTY = "no penalty charged"


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One liquidation; None where it is not known.

    Times in seconds (Unix) at which the account became liquidatable and was liquidated, gross shortfall L in USD
    (above 0: closed worse than its bankruptcy price), penalty charged and the part of it paid to the fund, USD.
    """

    liquidatable_seconds: float | None = None
    liquidated_seconds: float | None = None
    shortfall: float | None = None
    penalty: float | None = None
    penalty_to_fund: float | None = None

    def __post_init__(self) -> None:
        for name in ("liquidatable_seconds", "liquidated_seconds", "shortfall", "penalty", "penalty_to_fund"):
            number = getattr(self, name)
            if number is not None and not (math.isfinite(number) and number >= 0):
                raise ValueError(f"{name} of {number} is impossible; give a finite number ≥ 0, or None if unknown")
        if self.delay_seconds is not None and self.delay_seconds < 0:
            raise ValueError(f"liquidated {-self.delay_seconds} s before the account was liquidatable: check the reads")
        # The two parts are valued apart, so they may differ in the last digits.
        if self.penalty is not None and (self.penalty_to_fund or 0.0) > self.penalty * (1 + 1e-9):
            raise ValueError(f"{self.penalty_to_fund} of a penalty of {self.penalty} reached the fund: at most all can")

    @property
    def delay_seconds(self) -> float | None:
        """Return the seconds from liquidatable to liquidated; None when one time is unknown."""
        if self.liquidatable_seconds is None or self.liquidated_seconds is None:
            return None
        return self.liquidated_seconds - self.liquidatable_seconds


@dataclass(frozen=True, slots=True)
class LiquidationDelay:
    """Median and 95 % quantile of the delay, seconds."""

    median: Quantity
    upper: Quantity


def compute_liquidation_delay(liquidations: Sequence[Liquidation]) -> LiquidationDelay:
    """Seconds from liquidatable to liquidated: median, and the least delay that 95 % do not exceed.

    Liquidations without both times are left out and make it partial; none with both: unknown.
    """
    delays = sorted(one.delay_seconds for one in liquidations if one.delay_seconds is not None)
    if not delays:
        unknown = _make_missing("seconds", liquidations, "both times")
        return LiquidationDelay(unknown, unknown)
    # ⌈.95·n⌉ in whole numbers: floats would push 0.95 × n over an integer for some n.
    rank = -(-95 * len(delays) // 100)
    median, upper = (
        _mark_partial(Quantity(seconds, "seconds", n_obs=len(delays)), liquidations, "both times")
        for seconds in (statistics.median(delays), delays[rank - 1])
    )
    return LiquidationDelay(median, upper)


def compute_bankrupt_share(liquidations: Sequence[Liquidation]) -> Quantity:
    """Share of liquidations closed worse than the bankruptcy price (L > 0), 0 … 1, of those whose L is known."""
    shortfalls = [one.shortfall for one in liquidations if one.shortfall is not None]
    if not shortfalls:
        return _make_missing("fraction", liquidations, "shortfall")
    n_bankrupt = sum(shortfall > 0 for shortfall in shortfalls)
    share = Quantity(n_bankrupt / len(shortfalls), "fraction", n_obs=len(shortfalls), n_events=n_bankrupt)
    return _mark_partial(share, liquidations, "shortfall")


def compute_penalty_share(liquidations: Sequence[Liquidation]) -> Quantity:
    """Share of the penalties that reached the fund, Σ to the fund / Σ penalty, 0 … 1, where both are known."""
    pairs = [
        (one.penalty_to_fund, one.penalty)
        for one in liquidations
        if one.penalty_to_fund is not None and one.penalty is not None
    ]
    if not pairs:
        return _make_missing("fraction", liquidations, "penalty and its part for the fund")
    to_fund, charged = (math.fsum(column) for column in zip(*pairs, strict=True))
    if charged == 0:
        share = Quantity(None, "fraction", words=NO_PENALTY, n_obs=len(pairs))
    else:
        share = Quantity(min(1.0, to_fund / charged), "fraction", n_obs=len(pairs))
    return _mark_partial(share, liquidations, "penalty and its part for the fund")


def _make_missing(unit: str, liquidations: Sequence[Liquidation], what: str) -> Quantity:
    """Say whether there was no liquidation at all or none with what the number needs."""
    closed = render_count(len(liquidations), "liquidation")
    reason = f"{what} not known of any of {closed}" if liquidations else NO_LIQUIDATION
    return make_unknown(unit, reason, n_obs=0)


def _mark_partial(number: Quantity, liquidations: Sequence[Liquidation], what: str) -> Quantity:
    """Mark a number that rests on a part of the liquidations."""
    n_missing = len(liquidations) - (number.n_obs or 0)
    if n_missing == 0:
        return number
    closed = render_count(len(liquidations), "liquidation")
    return number.lower_quality("partial", f"{what} not known of {n_missing:,} of {closed}")
