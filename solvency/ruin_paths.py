"""M7 depletion probability, simulated at claim instants: severities of the record, uncertain rate, nested horizons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from solvency.few import has_few_shortfalls
from solvency.quantity import Quantity, make_unknown, render_count
from solvency.ruin import is_ruin_certain

Floats = NDArray[np.float64]

HORIZONS_DAYS: tuple[float, ...] = (30, 90, 365)
PATHS = 20_000
# Claims simulated at once: a block of this size stays in the processor's cache.
_BLOCK_CLAIMS = 1 << 16
_UPWARDS = Context(prec=2, rounding=ROUND_CEILING)  # A printed bound never claims more than 3/N.


class Severities(Protocol):
    """How large an episode is, USD: a mean and a quantile function, increasing in the uniform numbers (0 … 1)."""

    def compute_mean(self) -> float:
        """Mean claim μ in USD; infinite where the tail has none."""

    def draw_claims(self, uniforms: Floats) -> Floats:
        """Claims in USD at these uniform numbers in [0, 1), of the same shape."""


@dataclass(frozen=True, slots=True)
class ExponentialSeverities:
    """Exponential claims with this mean in USD: the case with a closed form."""

    mean: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and self.mean > 0):
            raise ValueError(f"a mean claim of {self.mean} is impossible; give a finite amount above 0")

    def compute_mean(self) -> float:
        """Return μ in USD."""
        return self.mean

    def draw_claims(self, uniforms: Floats) -> Floats:
        """Quantiles −μ ln(1 − p)."""
        return np.asarray(-self.mean * np.log1p(-uniforms))


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """Generalised Pareto tail of the claims above a threshold in USD: shape ξ, scale β in USD, share above N_u / n."""

    threshold: float
    shape: float
    scale: float
    share: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and self.threshold >= 0 and abs(self.shape) <= 10):
            raise ValueError(f"threshold {self.threshold}, shape {self.shape}: a finite threshold ≥ 0, shape in ±10")
        if not (math.isfinite(self.scale) and self.scale > 0 and 0 < self.share <= 1):
            raise ValueError(f"scale {self.scale}, share above {self.share}: scale above 0, share in (0, 1]")

    def compute_mean(self) -> float:
        """Return the mean of a claim above the threshold, u + β / (1 − ξ); infinite for ξ ≥ 1."""
        return self.threshold + self.scale / (1 - self.shape) if self.shape < 1 else math.inf

    def draw_claims(self, exceedances: Floats) -> Floats:
        """Claims exceeded with these chances in (0, 1], given that they pass the threshold."""
        excess = -np.log(exceedances)  # The limit ξ → 0.
        if self.shape != 0:
            excess = np.expm1(self.shape * excess) / self.shape
        return np.asarray(self.threshold + self.scale * excess)


@dataclass(frozen=True, slots=True)
class RecordSeverities:
    """Claims as recorded, USD, in any order; with a tail, those above its threshold are drawn from the tail instead."""

    episodes: tuple[float, ...]
    tail: ParetoTail | None = None

    def __post_init__(self) -> None:
        if not self.episodes or not all(math.isfinite(amount) and amount > 0 for amount in self.episodes):
            raise ValueError("a record of severities holds at least one episode, each finite and above 0")
        if self.tail is not None and self.tail.share < 1 and min(self.episodes) > self.tail.threshold:
            raise ValueError(f"no episode is at most {self.tail.threshold}: then the share above it is 1")

    def compute_mean(self) -> float:
        """Return μ in USD of record and tail together; infinite for a tail with ξ ≥ 1."""
        body, share = self._select_body(), self._find_share()
        mean_below = math.fsum(body / len(body)) if len(body) else 0.0
        return (1 - share) * mean_below + (share * self.tail.compute_mean() if self.tail else 0.0)

    def draw_claims(self, uniforms: Floats) -> Floats:
        """Quantiles: each recorded claim below the threshold equally likely, the upper share from the tail."""
        body, below = self._select_body(), 1 - self._find_share()
        claims = np.empty_like(uniforms)
        is_body = uniforms < below
        ranks = (uniforms[is_body] / below * len(body)).astype(np.intp)
        claims[is_body] = body[np.minimum(ranks, len(body) - 1)]
        if self.tail is not None:
            claims[~is_body] = self.tail.draw_claims(np.minimum(1.0, (1 - uniforms[~is_body]) / self.tail.share))
        return claims

    def _select_body(self) -> Floats:
        limit = math.inf if self.tail is None else self.tail.threshold
        return np.array(sorted(amount for amount in self.episodes if amount <= limit), dtype=np.float64)

    def _find_share(self) -> float:
        return 0.0 if self.tail is None else self.tail.share


@dataclass(frozen=True, slots=True)
class RatePosterior:
    """Episodes a day after k in T observed days: Gamma with shape k + ½ and rate T (Jeffreys), drawn once per path."""

    n_episodes: int
    observed_days: float

    def __post_init__(self) -> None:
        if self.n_episodes < 0 or not (math.isfinite(self.observed_days) and self.observed_days >= 0):
            raise ValueError(f"{self.n_episodes} episodes in {self.observed_days} days: both are finite and ≥ 0")


@dataclass(frozen=True, slots=True)
class HorizonDepletion:
    """Probability of depletion within `days`; the standard error is None where no path, or every path, is depleted."""

    days: float
    probability: Quantity
    standard_error: float | None


@dataclass(frozen=True, slots=True)
class Depletion:
    """One simulation: its horizons in the order asked, its seed and paths.

    `is_certain_in_the_end`: depleted already, or c ≤ λμ (at the mean of λ); None when unknown.
    """

    horizons: tuple[HorizonDepletion, ...]
    seed: int
    paths: int
    is_certain_in_the_end: bool | None


def compute_depletion(
    reserve: float,
    *,
    inflow: float,
    severities: Severities | None,
    rate: float | RatePosterior,
    horizons: Sequence[float] = HORIZONS_DAYS,
    paths: int = PATHS,
    seed: int,
    floor: float = 0.0,
) -> Depletion:
    """P(R_t ≤ floor within T), R_t = F + c·t − Σ claims, for each horizon in days; USD, c a day (below 0: outflow).

    The interval is Clopper–Pearson at 95 % of the simulation alone; 0 of N paths is "< 3/N". A reserve at the floor
    is depleted: 1. Too short a record (METHOD M12) or none: unknown. Impossible inputs are a ValueError.
    """
    _check(reserve, inflow=inflow, rate=rate, horizons=horizons, paths=paths, floor=floor)
    if reserve <= floor:
        certain = Quantity(1.0, "fraction", ci_low=1.0, ci_high=1.0)
        return Depletion(tuple(HorizonDepletion(days, certain, 0.0) for days in horizons), seed, paths, True)
    reason = _explain_unknown(severities, rate)
    if severities is None or reason:
        unknown = make_unknown("fraction", reason)
        return Depletion(tuple(HorizonDepletion(days, unknown, None) for days in horizons), seed, paths, None)
    hits = np.zeros(len(horizons), dtype=np.int64)
    for times, totals in _draw_paths(severities, rate, days=max(horizons), paths=paths, seed=seed):
        ruin_days = _find_ruin_days(times, totals, cushion=reserve - floor, inflow=inflow)
        hits += (ruin_days[:, None] <= np.asarray(horizons)).sum(axis=0)
    is_certain = is_ruin_certain(rate=_find_mean_rate(rate), mean_claim=severities.compute_mean(), inflow=inflow)
    n_events = rate.n_episodes if isinstance(rate, RatePosterior) else None
    estimates = (_estimate(days, int(k), paths, n_events) for days, k in zip(horizons, hits, strict=True))
    return Depletion(tuple(estimates), seed, paths, is_certain)


def _draw_paths(
    severities: Severities, rate: float | RatePosterior, *, days: float, paths: int, seed: int
) -> Iterator[tuple[Floats, Floats]]:
    """Yield blocks of paths with n claims each: claim times in days and Σ claims, both (rows, n + 1), the last at T.

    Given their number, claims fall uniformly whatever the rate. Neither reserve nor inflow enters, so two reserves
    meet the same paths; each kind of number has its own stream, so the size of a block changes nothing.
    """
    for_counts, for_times, for_claims = (
        np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(seed).spawn(3)
    )
    if isinstance(rate, RatePosterior):
        rates = for_counts.standard_gamma(rate.n_episodes + 0.5, paths) / rate.observed_days
    else:
        rates = np.full(paths, rate)
    for n_claims, n_paths in enumerate(np.bincount(for_counts.poisson(rates * days))):
        rows_at_once = max(1, _BLOCK_CLAIMS // (n_claims + 1))
        for start in range(0, int(n_paths), rows_at_once):
            rows = min(rows_at_once, int(n_paths) - start)
            times = np.cumsum(for_times.standard_exponential((rows, n_claims + 1)), axis=1)
            claims = np.zeros((rows, n_claims + 1))
            claims[:, :n_claims] = severities.draw_claims(for_claims.random((rows, n_claims)))
            yield times / times[:, -1:] * days, np.cumsum(claims, axis=1)


def _find_ruin_days(times: Floats, totals: Floats, *, cushion: float, inflow: float) -> Floats:
    """Day of depletion of each path that has one, shape (depleted paths,): where cushion + c·t − Σ claims ≤ 0 first."""
    is_below = cushion + inflow * times <= totals
    rows = np.flatnonzero(is_below.any(axis=1))
    first = is_below[rows].argmax(axis=1)
    ruin_days: Floats = times[rows, first]
    if inflow >= 0:
        return ruin_days
    # An outflow may empty what the earlier claims left before the next claim comes.
    before = np.where(first > 0, totals[rows, first - 1], 0.0)
    with np.errstate(over="ignore"):  # A trickle takes forever, which is later than any claim.
        return np.minimum(ruin_days, (cushion - before) / -inflow)


def _estimate(days: float, hits: int, paths: int, n_events: int | None) -> HorizonDepletion:
    """Turn k of N depleted paths into a probability with its interval and standard error."""
    if hits == 0:
        words, bound = f"< {_UPWARDS.divide(300, paths):f} %", min(1.0, 3 / paths)
        none = Quantity(None, "fraction", words=words, n_obs=paths, n_events=n_events, ci_low=0.0, ci_high=bound)
        return HorizonDepletion(days, none, None)
    share = hits / paths
    low = float(stats.beta.ppf(0.025, hits, paths - hits + 1))
    high = 1.0 if hits == paths else float(stats.beta.ppf(0.975, hits + 1, paths - hits))
    probability = Quantity(share, "fraction", n_obs=paths, n_events=n_events, ci_low=low, ci_high=high)
    return HorizonDepletion(days, probability, None if hits == paths else math.sqrt(share * (1 - share) / paths))


def _explain_unknown(severities: Severities | None, rate: float | RatePosterior) -> str:
    """Say why there is nothing to simulate from; empty where there is."""
    if isinstance(rate, RatePosterior) and has_few_shortfalls(rate.n_episodes, int(rate.observed_days)):
        observed = render_count(rate.observed_days, "observed day")
        return f"{render_count(rate.n_episodes, 'episode')} in {observed}: too few to know a severity"
    return "" if severities is not None else "no shortfall recognised: severity unknown"


def _find_mean_rate(rate: float | RatePosterior) -> float:
    return (rate.n_episodes + 0.5) / rate.observed_days if isinstance(rate, RatePosterior) else rate


def _check(
    reserve: float,
    *,
    inflow: float,
    rate: float | RatePosterior,
    horizons: Sequence[float],
    paths: int,
    floor: float,
) -> None:
    """Refuse what cannot be; a rate of 0 is refused too, since a short record never shows that losses cannot come."""
    if not all(math.isfinite(amount) for amount in (reserve, inflow, floor)):
        raise ValueError(f"reserve {reserve}, inflow {inflow}, floor {floor}: each is a finite amount in USD")
    if not isinstance(rate, RatePosterior) and not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"a rate of {rate} episodes a day is impossible; give a finite rate above 0")
    if not horizons or not all(math.isfinite(days) and days > 0 for days in horizons):
        raise ValueError(f"horizons {list(horizons)}: give at least one, in days above 0")
    if paths < 1:
        raise ValueError(f"{paths} paths show nothing; give at least 1")
