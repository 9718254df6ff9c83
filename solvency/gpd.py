"""M4 peaks over threshold: the generalised Pareto fit, its VaR and expected shortfall, and their profile interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
# Stands for ξ = 0 and ξ/β = 0: log1p(ξy)/ξ and expm1(ξx)/ξ reach their limits y and x exactly at such a number.
_NEAR_ZERO = 1e-200
_ZOOM_POINTS = 17
# A fit needs the place of its maximum, a profile only the height, which is flat there: fewer rounds do.
_FIT_ROUNDS = 9
_PROFILE_ROUNDS = 5
# Beyond e^40 times the estimate an upper end is of no use to anyone: it counts as none.
_MAX_LOG_RATIO = 40.0
# log(1 − ξ) of the shapes that a profile of ES tries: ξ from −1 up to 1 − e^−50, denser where fits lie.
_LOG_GAPS = np.concatenate([np.linspace(-50, -3, 24), np.linspace(-2.9, math.log(2), 48)])


@dataclass(frozen=True, slots=True)
class GpdFit:
    """A generalised Pareto fit: threshold u and scale β in USD, shape ξ, n days of which N_u lie above u.

    `log_likelihood` is that of the N_u excesses, in USD.
    """

    threshold: float
    shape: float
    scale: float
    n_obs: int
    n_excess: int
    log_likelihood: float


def fit_gpd(excesses: Sequence[float] | Floats, *, n_obs: int, threshold: float = 0.0) -> GpdFit:
    """Fit ξ and β by maximum likelihood to the excesses x − u > 0 in USD of n observed days, shape (N_u,).

    The likelihood is profiled over θ = ξ/β, where ξ(θ) = mean log(1 + θy) (Grimshaw 1993), over the whole range
    that can hold a root. ξ ≥ −1, below which the likelihood has no bound: there ξ = −1 and β = the largest excess.
    """
    y, unit = _scale_excesses(excesses)
    if n_obs < y.size:
        raise ValueError(f"{y.size} excesses in {n_obs} days is impossible; n_obs counts all observed days")

    def compute_profile(logs: Floats) -> Floats:
        """Log-likelihood at θ = e^t − 1 with its best ξ; a ξ under −1 is no candidate."""
        theta = _keep_off_zero(np.expm1(logs))
        shape = np.log1p(theta[:, None] * y).mean(axis=1)
        is_allowed = shape > -1
        scale = np.where(is_allowed, shape / theta, 1.0)
        return np.where(is_allowed, -y.size * (np.log(scale) + shape + 1), -np.inf)

    log_theta, best = _maximise(compute_profile, _make_theta_grid(y), rounds=_FIT_ROUNDS)
    shape, scale = -1.0, 1.0
    if best >= 0:  # The uniform law on (0, largest], the bound at ξ = −1, has log-likelihood 0 in this unit.
        theta = float(_keep_off_zero(np.expm1(np.array([log_theta])))[0])
        shape = float(np.log1p(theta * y).mean())
        scale = shape / theta
    likelihood = max(best, 0.0) - y.size * math.log(unit)
    return GpdFit(threshold, shape, scale * unit, n_obs, y.size, likelihood)


def compute_gpd_var(fit: GpdFit, level: float) -> float:
    """VaR = u + β/ξ · [((1 − α)/(N_u/n))^−ξ − 1] in USD; ξ → 0 by its limit (McNeil, Frey & Embrechts)."""
    return fit.threshold + fit.scale * float(_compute_var_factor(np.array([fit.shape]), _compute_share(fit, level))[0])


def compute_gpd_es(fit: GpdFit, level: float) -> float | None:
    """ES = VaR/(1 − ξ) + (β − ξu)/(1 − ξ) in USD; ξ ≥ 1 has no finite mean: None (McNeil, Frey & Embrechts)."""
    if fit.shape >= 1:
        return None
    beyond = compute_gpd_var(fit, level) - fit.threshold
    return fit.threshold + (beyond + fit.scale) / (1 - fit.shape)


def compute_es_interval(
    fit: GpdFit, excesses: Sequence[float] | Floats, level: float, *, confidence: float = CONFIDENCE
) -> tuple[float, float | None] | None:
    """Profile-likelihood interval of ES in USD; ξ ≥ 1: None, as there is no ES.

    β is written by ES and ξ, the likelihood maximised over −1 ≤ ξ < 1 for each ES, and cut at χ²₁. The upper end is
    None where it does not exist: if ξ = 1 lies inside the cut, every ES however large does. N_u/n counts as known.
    """
    y, unit = _scale_excesses(excesses)
    share, estimate = _compute_share(fit, level), compute_gpd_es(fit, level)
    if estimate is None:
        return None
    peak = fit.log_likelihood + y.size * math.log(unit)

    def compute_profile(log_beyond: float) -> float:
        """Log-likelihood maximised over ξ, ES − u held at e^log_beyond."""

        def compute_at(log_gaps: Floats) -> Floats:
            gaps = np.exp(log_gaps)
            factors = (_compute_var_factor(1 - gaps, share) + 1) / gaps
            return _compute_log_likelihood(1 - gaps, math.exp(log_beyond) / factors, y)

        return _maximise(compute_at, _LOG_GAPS)[1]

    center = math.log((estimate - fit.threshold) / unit)
    low, high = _find_ends(compute_profile, center, peak, confidence)
    return _shift(low, fit, unit), None if high is None else _shift(high, fit, unit)


def compute_var_interval(
    fit: GpdFit, excesses: Sequence[float] | Floats, level: float, *, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Profile-likelihood interval of VaR in USD, β written by VaR and ξ.

    None where VaR is the threshold itself (1 − α = N_u/n): the fit holds no news about it.
    """
    y, unit = _scale_excesses(excesses)
    share = _compute_share(fit, level)
    if share >= 1:
        return None
    peak = fit.log_likelihood + y.size * math.log(unit)
    # Twice the standard error (1 + ξ)/√N_u of a shape is under 1 + ξ from four excesses on.
    shapes = np.linspace(-1, 2 * max(fit.shape, 0.0) + 3, 80)

    def compute_profile(log_beyond: float) -> float:
        """Log-likelihood maximised over ξ, VaR − u held at e^log_beyond."""

        def compute_at(shape: Floats) -> Floats:
            return _compute_log_likelihood(shape, math.exp(log_beyond) / _compute_var_factor(shape, share), y)

        return _maximise(compute_at, shapes)[1]

    center = math.log((compute_gpd_var(fit, level) - fit.threshold) / unit)
    low, high = _find_ends(compute_profile, center, peak, confidence)
    return None if high is None else (_shift(low, fit, unit), _shift(high, fit, unit))


def _scale_excesses(excesses: Sequence[float] | Floats) -> tuple[Floats, float]:
    """Return the excesses sorted and divided by the largest, and that one: no unit of money is too large or small."""
    y = np.sort(np.asarray(excesses, dtype=np.float64))
    if y.ndim != 1 or y.size == 0:
        raise ValueError(f"excesses of shape {y.shape}; give one number for each day above the threshold, at least one")
    if not (np.isfinite(y).all() and y[0] > 0):
        raise ValueError("an excess is not a number above 0; a day at the threshold is not above it")
    return y / y[-1], float(y[-1])


def _make_theta_grid(y: Floats) -> Floats:
    """Grid of log(1 + θ) over all θ = ξ/β that can hold a maximum, y scaled so that the largest is 1.

    No root lies beyond θ = 2(ȳ − y₁)/y₁², y₁ the smallest (Grimshaw 1993); in logarithms, as y₁ may be tiny.
    """
    bound = math.log(2 * float(y.mean() - y[0]) + y[0] ** 2) - 2 * math.log(y[0])
    last = min(max(bound, 1.0), 300.0)
    return np.concatenate([np.linspace(-30, -3.1, 28), np.linspace(-3, last, math.ceil(8 * (last + 3)))])


def _compute_share(fit: GpdFit, level: float) -> float:
    """(1 − α)/(N_u/n): the share of the excesses that lies beyond the level, up to 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is impossible; it lies between 0 and 1, as 0.975")
    share = (1 - level) * fit.n_obs / fit.n_excess
    if share > 1 + 1e-9:
        raise ValueError(f"level {level} lies under the threshold ({fit.n_excess} of {fit.n_obs} days above it)")
    # Without this, floating error would put VaR a hair above the threshold and give it an interval.
    return 1.0 if share > 1 - 1e-9 else share


def _keep_off_zero(values: Floats) -> Floats:
    return np.where(values == 0, _NEAR_ZERO, values)


def _compute_var_factor(shape: Floats, share: float) -> Floats:
    """(VaR − u)/β = (share^−ξ − 1)/ξ for each shape."""
    shape = _keep_off_zero(shape)
    return np.asarray(np.expm1(-shape * math.log(share)) / shape)


def _compute_log_likelihood(shape: Floats, scale: Floats, y: Floats) -> Floats:
    """−N log β − (1 + 1/ξ) Σ log(1 + ξy/β) for each pair of ξ and β; −∞ where an excess lies beyond the support."""
    shape = _keep_off_zero(shape)
    slope = shape / scale
    is_inside = 1 + slope * y[-1] > 0
    logs = np.log1p(np.where(is_inside, slope, 0.0)[:, None] * y).sum(axis=1)
    return np.where(is_inside, -y.size * np.log(scale) - (1 + 1 / shape) * logs, -np.inf)


def _maximise(
    function: Callable[[Floats], Floats], points: Floats, *, rounds: int = _PROFILE_ROUNDS
) -> tuple[float, float]:
    """Return where a vectorised function is largest on a grid, zoomed in between the neighbours, and its value."""
    for _ in range(rounds):
        values = function(points)
        best = int(np.argmax(values))
        where, value = float(points[best]), float(values[best])
        points = np.linspace(points[max(best - 1, 0)], points[min(best + 1, points.size - 1)], _ZOOM_POINTS)
    return where, value


def _find_ends(
    profile: Callable[[float], float], center: float, peak: float, confidence: float
) -> tuple[float, float | None]:
    """Return where a profile falls χ²₁/2 under its peak on both sides of the center; None above where it does not."""
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is impossible; it lies between 0 and 1, as 0.95")
    floor = peak - float(stats.chi2.ppf(confidence, 1)) / 2

    def find(sign: float) -> float | None:
        inner, outer = 0.0, 0.125
        while profile(center + sign * outer) > floor:
            inner, outer = outer, 2 * outer
            if outer > _MAX_LOG_RATIO:
                return None
        root = optimize.brentq(lambda step: profile(center + sign * step) - floor, inner, outer, xtol=1e-8)
        return center + sign * float(root)

    low = find(-1)
    return (-math.inf if low is None else low), find(1)


def _shift(log_beyond: float, fit: GpdFit, unit: float) -> float:
    """Return the money at the logarithm of what lies beyond the threshold."""
    return fit.threshold + math.exp(log_beyond) * unit
