"""M7 depletion in closed form: exponential losses over a finite or an endless horizon, and the adjustment coefficient.

Symbols: reserve F ≥ 0 and inflow c a day in USD, rate λ of episodes a day, mean claim μ in USD, θ = c / λμ the
inflow per expected loss. The simulated probability (ruin_paths) is tested against these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import integrate, optimize, special

# e^709 is the last power of e that a float holds.
_MAX_EXPONENT = 700.0


def is_ruin_certain(*, rate: float, mean_claim: float, inflow: float) -> bool:
    """True when c ≤ λμ: on an endless horizon the inflow does not outrun the losses (METHOD M7)."""
    return inflow <= rate * mean_claim


def compute_ruin_forever(reserve: float, *, rate: float, mean_claim: float, inflow: float) -> float:
    """Probability that the reserve is ever depleted: ψ(F) = λμ/c · e^{−(1/μ − λ/c) F}; c ≤ λμ gives 1.

    Exponential claims (Asmussen & Albrecher 2010). Impossible inputs are a ValueError.
    """
    _check(reserve, rate=rate, mean_claim=mean_claim, inflow=inflow)
    decay = compute_adjustment_coefficient(rate=rate, mean_claim=mean_claim, inflow=inflow)
    if decay is None:
        return 1.0
    return rate * mean_claim / inflow * math.exp(-decay * reserve)


def compute_ruin_within(reserve: float, days: float, *, rate: float, mean_claim: float, inflow: float) -> float:
    """Probability that the reserve is depleted within `days`; exponential claims, any c ≥ 0, in 0 … ψ(F).

    Integral of the density of the time of ruin (Drekic & Willmot 2003), equal to Asmussen's integral (Asmussen &
    Albrecher 2010, V.1). Impossible inputs are a ValueError.
    """
    _check(reserve, rate=rate, mean_claim=mean_claim, inflow=inflow)
    if not (math.isfinite(days) and days >= 0):
        raise ValueError(f"a horizon of {days} days is impossible; give a finite number ≥ 0")
    claims, size, theta = rate * days, reserve / mean_claim, inflow / (rate * mean_claim)
    within, _ = integrate.quad(
        _compute_ruin_density,
        0.0,
        claims,
        args=(size, theta),
        points=_find_breaks(claims, size, theta),
        epsabs=1e-14,
        epsrel=1e-11,
        limit=500,
    )
    forever = compute_ruin_forever(reserve, rate=rate, mean_claim=mean_claim, inflow=inflow)
    return min(max(float(within), 0.0), forever)


def compute_adjustment_coefficient(*, rate: float, mean_claim: float, inflow: float) -> float | None:
    """R = 1/μ − λ/c per USD for exponential claims: e^{−RF} bounds eventual ruin; None when c ≤ λμ."""
    _check(0.0, rate=rate, mean_claim=mean_claim, inflow=inflow)
    if is_ruin_certain(rate=rate, mean_claim=mean_claim, inflow=inflow):
        return None
    return (inflow - rate * mean_claim) / (mean_claim * inflow)


def compute_record_adjustment_coefficient(claims: Sequence[float], *, rate: float, inflow: float) -> float | None:
    """Root R > 0 per USD of λ(M(r) − 1) = c·r, with M(r) = mean of e^{r·claim} over the record; None when c ≤ λμ.

    Claims are positive USD in any order (Asmussen & Albrecher 2010, IV.1). Impossible inputs are a ValueError.
    """
    sizes = np.sort(np.asarray(claims, dtype=np.float64))
    if sizes.size == 0 or not np.isfinite(sizes).all() or sizes[0] <= 0:
        raise ValueError("a record of claims holds at least one, each finite and above 0")
    mean = math.fsum(sizes / sizes.size)
    _check(0.0, rate=rate, mean_claim=mean, inflow=inflow)
    sizes, theta = sizes / mean, inflow / (rate * mean)
    if theta <= 1:
        return None

    def compute_excess(r: float) -> float:
        return math.fsum(np.expm1(r * sizes) / sizes.size) - theta * r

    # Lundberg's lower bound ln θ / largest claim, halved against rounding; above, e^x ≥ 1 + x + x²/2 bounds the root.
    low = math.log1p(theta - 1) / (2 * sizes[-1])
    high = 2 * (theta - 1) / math.fsum(sizes**2 / sizes.size)
    root = optimize.brentq(
        compute_excess, low, min(1.001 * high, _MAX_EXPONENT / sizes[-1]), xtol=1e-14 * low, rtol=1e-13
    )
    return float(root) / mean


def _compute_ruin_density(claims: float, size: float, theta: float) -> float:
    """Density of ruin in operational time n = λt, for size u = F/μ and inflow θ per expected loss.

    e^{−x − n} (I₀(z) − θn/x · I₂(z)) with x = u + θn, z = 2√(nx); I₂ = I₀ − 2I₁/z makes every term positive, and
    Bessel functions scaled by e^{−z} stay in range. Asmussen's integrand oscillates and overflows where c < λμ.
    """
    x = size + theta * claims
    z = 2 * math.sqrt(claims) * math.sqrt(x)
    from_reserve = size / x if x > 0 else 0.0
    slope = 2 * special.i1e(z) / z if z > 0 else 1.0
    scale = math.exp(-((math.sqrt(x) - math.sqrt(claims)) ** 2))
    return float(scale * (from_reserve * special.i0e(z) + (1 - from_reserve) * slope))


def _find_breaks(claims: float, size: float, theta: float) -> list[float]:
    """Times around which the density of ruin is steep, so that the quadrature cannot step over it.

    Its peak, and ever smaller times; the quadrature itself leaves out those beyond the horizon.
    """
    breaks = [claims * 10.0**-k for k in range(1, 9)]
    if theta != 1:
        peak = size / (1 - theta) if theta < 1 else size / (theta * (theta - 1))
        breaks += [peak / 2, peak, 2 * peak]
    return breaks


def _check(reserve: float, *, rate: float, mean_claim: float, inflow: float) -> None:
    """Refuse what cannot be: an unknown rate or severity is no 0, and an outflow has no closed form here."""
    if not (math.isfinite(reserve) and reserve >= 0):
        raise ValueError(f"a reserve of {reserve} has no closed form; give a finite number ≥ 0")
    if not (math.isfinite(rate) and rate > 0 and math.isfinite(mean_claim) and mean_claim > 0):
        raise ValueError(f"rate {rate} a day, mean claim {mean_claim}: both are finite and above 0, or unknown")
    if not (math.isfinite(inflow) and inflow >= 0):
        raise ValueError(f"an inflow of {inflow} a day has no closed form; give a finite number ≥ 0")
