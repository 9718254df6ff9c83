"""M4 expected shortfall of the one-day gross shortfall: by the record or by a fitted tail, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from solvency.bootstrap import REPLICATES, Floats, compute_bootstrap_intervals, compute_tail_days, make_daily_losses
from solvency.few import MIN_EPISODES, MIN_OBSERVED_DAYS, describe_none_recognised
from solvency.gpd import GpdFit, compute_es_interval, compute_gpd_es, compute_gpd_var, compute_var_interval, fit_gpd
from solvency.quantity import Quality, Quantity, make_unknown, render_count

LEVELS: tuple[float, ...] = (0.975, 0.99)
THRESHOLD_LEVELS: tuple[float, ...] = (0.95, 0.925, 0.90)
MIN_EXCESSES = 20
ENOUGH_EXCESSES = 50
# From here down likelihood theory fails (Smith 1985): the fit hangs on the largest losses, and where those are equal
# it lies below them, with an interval far too short.
MIN_SHAPE = -0.5

Method = Literal["gpd", "empirical", ""]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Threshold u in USD and the number N_u of days strictly above it."""

    u: float
    n_excess: int


@dataclass(frozen=True, slots=True)
class LevelRisk:
    """VaR and ES in USD at one level, and the way they were computed; "" when both are unknown."""

    level: float
    method: Method
    var: Quantity
    es: Quantity


@dataclass(frozen=True, slots=True)
class TailRisk:
    """VaR and ES at each level, threshold u (USD), days above it, and the fit to them where one was made."""

    threshold: float | None
    n_excess: int
    fit: GpdFit | None
    levels: tuple[LevelRisk, ...]

    @property
    def method(self) -> Method:
        """ "gpd" as soon as a fit was made; "" where all is unknown."""
        return "gpd" if self.fit else "" if self.threshold is None else "empirical"


@dataclass(frozen=True, slots=True)
class _Record:
    """Daily losses (n,) in order of days, how to resample them, and the quality of what is published from them."""

    losses: Floats
    seed: int
    replicates: int
    quality: Quality = "ok"
    reason: str = ""

    @property
    def n_loss_days(self) -> int:
        """Days with a loss."""
        return int((self.losses > 0).sum())

    def publish(self, value: float, interval: tuple[float, float] | None) -> Quantity:
        """Return money with its interval, which never leaves out the estimate."""
        low, high = (None, None) if interval is None else (min(interval[0], value), max(interval[1], value))
        return self._count(Quantity(value, "usd", self.quality, self.reason, ci_low=low, ci_high=high))

    def withhold(self, reason: str) -> Quantity:
        """Return unknown money with its reason."""
        return self._count(make_unknown("usd", reason))

    def _count(self, money: Quantity) -> Quantity:
        n = self.losses.size
        return replace(money, window_days=float(n), n_obs=n, n_events=self.n_loss_days)


def compute_var(daily: Sequence[float] | Floats, level: float) -> float:
    """Empirical VaR = x_(⌈nα⌉) in USD of daily losses (n,), zero days included (METHOD M4)."""
    losses = make_daily_losses(daily)
    beyond = int(compute_tail_days(losses.size, level))
    return float(np.sort(losses)[max(losses.size - beyond, 1) - 1])


def compute_empirical_es(daily: Sequence[float] | Floats, level: float) -> float:
    """ES = (Σ of the ⌊n(1 − α)⌋ largest + fraction × next) / (n(1 − α)) in USD of daily losses (n,).

    Exact for fractional tails (Acerbi & Tasche 2002), and never under VaR.
    """
    losses, var = np.sort(make_daily_losses(daily)), compute_var(daily, level)
    tail = compute_tail_days(losses.size, level)
    # The next is VaR itself. What lies above it is summed, so that rounding cannot take ES below it.
    return var + math.fsum(losses[losses.size - int(tail) :] - var) / tail


def select_threshold(daily: Sequence[float] | Floats) -> Threshold:
    """Of the 95, 92.5 and 90 % quantiles x_(⌈nα⌉) the highest with N_u ≥ 50, else the 90 %, USD (METHOD M4).

    Days equal to u are not above it. Where under a tenth of all days had a loss, u can be 0.
    """
    losses = make_daily_losses(daily)
    found = Threshold(0.0, 0)
    for level in THRESHOLD_LEVELS:
        u = compute_var(losses, level)
        found = Threshold(u, int((losses > u).sum()))
        if found.n_excess >= ENOUGH_EXCESSES:
            break
    return found


def compute_tail_risk(
    daily: Sequence[float] | Floats, *, seed: int, levels: Sequence[float] = LEVELS, replicates: int = REPLICATES
) -> TailRisk:
    """VaR and ES in USD of daily losses (n,) in order of days, zero days included, each ES with its 95 % interval.

    Unknown under 90 days, without a loss, or under 5 loss days (M12: severity unknown). N_u < 20: empirical, with
    bootstrap; 20–49: fitted; both partial. Empirical too: a level under the threshold, and ξ ≤ −½ (partial). ES is
    unknown where ξ ≥ 1 is fitted (VaR stays) or not excluded: without an upper end it must never earn a better grade.
    """
    losses = make_daily_losses(daily) if len(daily) else np.empty(0)
    record = _Record(losses, seed, replicates)
    obstacle = _find_obstacle(losses.size, record.n_loss_days)
    if obstacle:
        unknown = record.withhold(obstacle)
        risks = tuple(LevelRisk(level, "", unknown, unknown) for level in sorted(levels))
        return TailRisk(None, 0, None, risks)
    threshold = select_threshold(losses)
    quality, reason = _grade_excesses(threshold.n_excess)
    record = replace(record, quality=quality, reason=reason)
    if threshold.n_excess >= MIN_EXCESSES:
        fit = fit_gpd(losses[losses > threshold.u] - threshold.u, n_obs=losses.size, threshold=threshold.u)
        if fit.shape > MIN_SHAPE:
            risks = _measure_levels(record, levels, fit)
            return TailRisk(threshold.u, threshold.n_excess, fit, risks)
        record = replace(
            record, quality="partial", reason=f"fitted shape ξ = {fit.shape:.2f} has no interval: empirical"
        )
    return TailRisk(threshold.u, threshold.n_excess, None, _measure_levels(record, levels, None))


def _find_obstacle(n_obs: int, n_loss_days: int) -> str:
    """Say why nothing can be computed; "" when it can."""
    if n_obs < MIN_OBSERVED_DAYS:
        return f"{render_count(n_obs, 'observed day')}; expected shortfall needs {MIN_OBSERVED_DAYS}"
    if n_loss_days == 0:
        return describe_none_recognised(n_obs)
    # Shortfalls less than 24 h apart are one episode, so there are never more episodes than loss days.
    if n_loss_days < MIN_EPISODES:
        return f"days with a shortfall: {n_loss_days}; expected shortfall needs {MIN_EPISODES}"
    return ""


def _grade_excesses(n_excess: int) -> tuple[Quality, str]:
    """Quality by the days above the threshold: fewer of them never make a better number."""
    above = f"{render_count(n_excess, 'day')} above the threshold"
    if n_excess < MIN_EXCESSES:
        return "partial", f"{above}, under {MIN_EXCESSES}: empirical, not fitted"
    if n_excess < ENOUGH_EXCESSES:
        return "partial", f"low confidence: {above}, under {ENOUGH_EXCESSES}"
    return "ok", ""


def _measure_levels(record: _Record, levels: Sequence[float], fit: GpdFit | None) -> tuple[LevelRisk, ...]:
    """Measure each level by the fit where it reaches, else by the record, in rising order of level."""
    n = record.losses.size
    reached = [] if fit is None else [level for level in levels if compute_tail_days(n, level) <= fit.n_excess]
    by_record = _measure_record(record, [level for level in levels if level not in reached])
    if fit is None:
        return by_record
    # A mean that is not finite is missing at every level, not only where the fit is used for it.
    kept = by_record if fit.shape < 1 else tuple(replace(risk, es=_withhold_es(record, fit)) for risk in by_record)
    return kept + tuple(_measure_fit(record, level, fit) for level in sorted(reached))


def _measure_record(record: _Record, levels: Sequence[float]) -> tuple[LevelRisk, ...]:
    """Empirical VaR and ES with their bootstrap intervals, in rising order of level."""
    if not levels:
        return ()
    losses = record.losses
    bands = compute_bootstrap_intervals(losses, sorted(levels), seed=record.seed, replicates=record.replicates)
    return tuple(
        LevelRisk(
            band.level,
            "empirical",
            record.publish(compute_var(losses, band.level), (band.var_low, band.var_high)),
            record.publish(compute_empirical_es(losses, band.level), (band.es_low, band.es_high)),
        )
        for band in bands
    )


def _measure_fit(record: _Record, level: float, fit: GpdFit) -> LevelRisk:
    """VaR and ES of the fit with their profile intervals."""
    excesses = record.losses[record.losses > fit.threshold] - fit.threshold
    var = record.publish(compute_gpd_var(fit, level), compute_var_interval(fit, excesses, level))
    es, interval = compute_gpd_es(fit, level), compute_es_interval(fit, excesses, level)
    if es is None or interval is None:
        return LevelRisk(level, "gpd", var, _withhold_es(record, fit))
    low, high = interval
    if high is None:
        return LevelRisk(level, "gpd", var, record.withhold("no upper bound: no finite mean (ξ ≥ 1) is not excluded"))
    return LevelRisk(level, "gpd", var, record.publish(es, (low, high)))


def _withhold_es(record: _Record, fit: GpdFit) -> Quantity:
    return record.withhold(f"no finite mean: fitted shape ξ = {fit.shape:.2f}, and ES needs ξ < 1")
