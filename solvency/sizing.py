"""M11 size of a fund: where capital costs as much as it saves, as a band and never as "the right size"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvency.few import MIN_OBSERVED_DAYS
from solvency.quantity import Quantity, inherit_quality, make_unknown, render_count

# Cost of capital over cost of an uncovered loss, a day: .1 % to 1 %, the largest fund first.
BAND_RATIOS = (0.001, 0.01)
DAYS_A_YEAR = 365
NO_MODELLED_LOSS = "no modelled loss"
PER_DAY = "usd per day"


class TailFit(Protocol):
    """Generalised Pareto tail of daily losses: β scale and u threshold in USD, ξ shape, N_u days of n beyond u."""

    @property
    def threshold(self) -> float: ...
    @property
    def shape(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def n_obs(self) -> int: ...
    @property
    def n_excess(self) -> int: ...


@dataclass(frozen=True, slots=True)
class OptimalSize:
    """Size F* in USD and what it leaves uncovered, E[(L − F*)⁺], USD per day."""

    size: Quantity
    uncovered: Quantity


def compute_optimal_size(
    cost_ratio: float, *, fit: TailFit | None = None, losses: ArrayLike | None = None
) -> OptimalSize:
    """F* = argmin c·F + k·E[(L − F)⁺], so that P(L > F*) = c/k, with `cost_ratio` c/k in (0, 1) (METHOD M11).

    From the fit where c/k ≤ N_u/n, else from `losses`, every observed day in USD, zero days included. ξ ≥ 1: the
    size is known, the uncovered loss is not. Under 90 days or nothing to compute from: both unknown.
    """
    if not 0 < cost_ratio < 1:
        raise ValueError(f"a cost ratio c/k of {cost_ratio} has no optimum; give one between 0 and 1")
    sample = None if losses is None else _check_losses(losses)
    if fit is not None:
        _check_fit(fit)
        if cost_ratio * fit.n_obs <= fit.n_excess:
            return _size_from_fit(cost_ratio, fit)
    if sample is not None:
        return _size_from_sample(cost_ratio, sample)
    if fit is not None:
        return _make_unknown_size("c/k is above the share of days that the fit describes", fit.n_obs)
    return _make_unknown_size("no daily losses")


def compute_size_band(
    *, fit: TailFit | None = None, losses: ArrayLike | None = None, cost_ratios: Sequence[float] = BAND_RATIOS
) -> Quantity:
    """F* over the range of c/k as a band, USD: `ci_low` … `ci_high`, in words and without a value.

    No single number is given on purpose. One end unknown: unknown; one end partial: partial.
    """
    if len(cost_ratios) < 2:
        raise ValueError(f"a band needs two cost ratios c/k at least, got {len(cost_ratios)}")
    sizes = [compute_optimal_size(ratio, fit=fit, losses=losses).size for ratio in sorted(cost_ratios)]
    largest, smallest = sizes[0], sizes[-1]
    if largest.value is None or smallest.value is None:
        reasons = dict.fromkeys(size.reason for size in sizes if size.value is None)
        return make_unknown("usd", "; ".join(reasons), n_obs=largest.n_obs)
    band = Quantity(
        None,
        "usd",
        words=f"band over c/k from {min(cost_ratios):.1%} to {max(cost_ratios):.1%}",
        n_obs=largest.n_obs,
        n_events=largest.n_events,
        ci_low=smallest.value,
        ci_high=largest.value,
        is_lower_bound=largest.is_lower_bound,
    )
    return inherit_quality(band, sizes)


def compute_overcapitalisation(usable: Quantity, band: Quantity) -> Quantity:
    """U / F* over the size band, ×, as a band: below 1 smaller, above 1 larger than F* at that c/k.

    U below 0 counts as 0. A band from 0 has no upper end; a band of 0 … 0 is "no modelled loss".
    """
    if usable.value is None or band.ci_low is None or band.ci_high is None:
        missing = usable if usable.value is None else band
        return make_unknown("ratio", missing.reason or missing.words or "no size band")
    if band.ci_high == 0:
        return inherit_quality(Quantity(None, "ratio", words=NO_MODELLED_LOSS), (usable, band))
    money = max(0.0, usable.value)
    ratio = Quantity(
        None,
        "ratio",
        words=band.words,
        n_obs=band.n_obs,
        n_events=band.n_events,
        ci_low=money / band.ci_high,
        ci_high=money / band.ci_low if band.ci_low > 0 else None,
        is_lower_bound=usable.is_lower_bound and not band.is_lower_bound,
    )
    return inherit_quality(ratio, (usable, band))


def compute_fund_return(inflow: Quantity, payout: Quantity, balance: Quantity, *, days: float) -> Quantity:
    """(inflow − payout) of the last `days` as a rate a year / balance, fraction per year; all three in USD.

    One unknown: unknown. Under 365 days: partial. A balance ≤ 0 earns nothing that could be stated.
    """
    if not 0 < days < math.inf:
        raise ValueError(f"flows of {days} days have no rate; give a finite number above 0")
    legs = (inflow, payout, balance)
    if inflow.value is None or payout.value is None or balance.value is None:
        missing = dict.fromkeys(leg.reason or leg.words for leg in legs if leg.value is None)
        return make_unknown("per year", "; ".join(missing))
    if inflow.value < 0 or payout.value < 0:
        raise ValueError(f"inflow {inflow.value}, payout {payout.value}: both are ≥ 0")
    if balance.value <= 0:
        return inherit_quality(Quantity(None, "per year", words="nothing in the fund"), legs)
    rate = (inflow.value - payout.value) / days * DAYS_A_YEAR / balance.value
    result = Quantity(rate, "per year", window_days=days)
    if days < DAYS_A_YEAR:
        result = result.lower_quality("partial", f"a year's rate from {render_count(days, 'day')}")
    return inherit_quality(result, legs)


def _size_from_fit(cost_ratio: float, fit: TailFit) -> OptimalSize:
    """F* = u + β/ξ·((p/ζ)^−ξ − 1) and E[(L − F*)⁺] = p·(β + ξ(F* − u))/(1 − ξ), p = c/k, ζ = N_u/n."""
    if fit.n_obs < MIN_OBSERVED_DAYS:
        return _make_unknown_size(f"under {MIN_OBSERVED_DAYS} observed days", fit.n_obs)
    log_odds = math.log(fit.n_excess / fit.n_obs / cost_ratio)
    with np.errstate(over="ignore"):
        # expm1 keeps the digits as ξ goes to 0, where the quotient goes to ln(ζ/p).
        beyond = fit.scale * (float(np.expm1(fit.shape * log_odds)) / fit.shape if fit.shape else log_odds)
    if not math.isfinite(beyond):
        return _make_unknown_size(f"a tail of shape {fit.shape:.3g} is too heavy to size", fit.n_obs)
    size = Quantity(fit.threshold + beyond, "usd", n_obs=fit.n_obs, n_events=fit.n_excess)
    if fit.shape >= 1:
        return OptimalSize(size, make_unknown(PER_DAY, "no finite mean", n_obs=fit.n_obs))
    uncovered = cost_ratio * (fit.scale + fit.shape * beyond) / (1 - fit.shape)
    return OptimalSize(size, Quantity(uncovered, PER_DAY, n_obs=fit.n_obs, n_events=fit.n_excess))


def _size_from_sample(cost_ratio: float, losses: NDArray[np.float64]) -> OptimalSize:
    """F* = x_(⌈n(1 − c/k)⌉), the least size that no more than c/k of the days exceed."""
    n, n_events = losses.size, int(np.count_nonzero(losses))
    if n < MIN_OBSERVED_DAYS:
        return _make_unknown_size(f"under {MIN_OBSERVED_DAYS} observed days", n)
    if n_events == 0:
        return _make_unknown_size("no shortfall recognised", n)
    # Days allowed beyond F*, guarded: in floats n·c/k may fall a hair short of its whole number.
    allowed = math.floor(n * cost_ratio * (1 + 1e-12))
    size = Quantity(float(losses[n - 1 - allowed]), "usd", n_obs=n, n_events=n_events, is_lower_bound=allowed == 0)
    if allowed == 0:
        reason = f"{n} days hold none beyond a chance of {cost_ratio:.3g}: the largest loss seen"
        return OptimalSize(size.lower_quality("partial", reason), make_unknown(PER_DAY, reason, n_obs=n))
    uncovered = math.fsum(np.maximum(0.0, losses - losses[n - 1 - allowed])) / n
    return OptimalSize(size, Quantity(uncovered, PER_DAY, n_obs=n, n_events=n_events))


def _make_unknown_size(reason: str, n_obs: int | None = None) -> OptimalSize:
    return OptimalSize(make_unknown("usd", reason, n_obs=n_obs), make_unknown(PER_DAY, reason, n_obs=n_obs))


def _check_losses(losses: ArrayLike) -> NDArray[np.float64]:
    """Return the daily losses in ascending order; an empty, negative or unfinished record is an error."""
    array = np.asarray(losses, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"daily losses of shape {array.shape}; give one number a day, one day at least")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError("a daily loss is negative or no number; losses are ≥ 0, and an unknown day is left out")
    return np.sort(array)


def _check_fit(fit: TailFit) -> None:
    if not all(math.isfinite(number) for number in (fit.threshold, fit.shape, fit.scale)):
        raise ValueError(f"a fit of u {fit.threshold}, ξ {fit.shape}, β {fit.scale} is no fit; leave it out")
    if fit.threshold < 0 or fit.scale <= 0 or not 0 < fit.n_excess <= fit.n_obs:
        raise ValueError(
            f"u {fit.threshold}, β {fit.scale}, {fit.n_excess} of {fit.n_obs} days: need u ≥ 0, β > 0, 0 < N_u ≤ n"
        )
