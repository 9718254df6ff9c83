"""M10 price of the protection: the fund as a short put on the market, what it can pay of it, and the fair premium."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from solvency.quantity import Quantity, divide

Floats = NDArray[np.float64]

NO_PREMIUM = "no premium due"


@dataclass(frozen=True, slots=True)
class Protection:
    """Present value of all shortfalls at the horizon, USD: cost = longs (puts) + shorts (calls)."""

    cost: float
    longs: float
    shorts: float


@dataclass(frozen=True, slots=True)
class DepletionPrices:
    """Prices at which Σ shortfall first equals the reserve, falling and rising; None: never on that side."""

    falling: float | None
    rising: float | None


@dataclass(frozen=True, slots=True)
class _Lognormal:
    """The price at the horizon: lognormal around the forward spot·e^(rt), `years` ahead, volatility a year."""

    spot: float
    years: float
    rate: float
    volatility: float

    def __post_init__(self) -> None:
        _check_spot(self.spot)
        if not (math.isfinite(self.years) and self.years >= 0):
            raise ValueError(f"a horizon of {self.years} years is impossible; give a finite number ≥ 0")
        if not (math.isfinite(self.volatility) and self.volatility >= 0):
            raise ValueError(f"a volatility of {self.volatility} is impossible; give a finite number ≥ 0 a year")
        if not math.isfinite(self.rate):
            raise ValueError(f"an interest rate of {self.rate} is no number; give a finite one a year")

    def discount(self) -> float:
        """Return e^(−rt), the value today of 1 at the horizon."""
        return math.exp(-self.rate * self.years)

    def price(self, strikes: Floats, side: Literal[1, -1]) -> Floats:
        """Black–Scholes value of calls (side 1) or puts (side −1)."""
        present = strikes * self.discount()
        intrinsic = np.maximum(0.0, side * (self.spot - present))
        spread = self.volatility * math.sqrt(self.years)
        if spread == 0:
            return intrinsic
        # A strike ≤ 0 lies below every price: its put is worth nothing, its call the discounted difference.
        is_open = present > 0
        strike = np.where(is_open, present, self.spot)
        with np.errstate(over="ignore"):
            moneyness = (math.log(self.spot) - np.log(strike)) / spread
        upper, lower = ndtr(side * (moneyness + spread / 2)), ndtr(side * (moneyness - spread / 2))
        # Rounding may take a value just below its floor, which no option can be.
        value = np.maximum(intrinsic, side * (self.spot * upper - strike * lower))
        return np.where(is_open, value, intrinsic)


def compute_puts(strikes: ArrayLike, *, spot: float, years: float, rate: float, volatility: float) -> Floats:
    """Value of European puts, K·e^(−rt)·N(−d2) − S·N(−d1), in the unit of the spot, shape of `strikes`.

    t in years, r and σ a year. t = 0 or σ = 0: discounted intrinsic value. K ≤ 0 (a long that can never be
    bankrupt): 0. Spot ≤ 0, a negative t or σ, or what is not finite: ValueError. Black & Scholes 1973.
    """
    return _Lognormal(spot, years, rate, volatility).price(_check_numbers(strikes, "strike"), -1)


def compute_calls(strikes: ArrayLike, *, spot: float, years: float, rate: float, volatility: float) -> Floats:
    """Value of European calls, S·N(d1) − K·e^(−rt)·N(d2); otherwise as `compute_puts`. K ≤ 0: S − K·e^(−rt)."""
    return _Lognormal(spot, years, rate, volatility).price(_check_numbers(strikes, "strike"), 1)


def compute_protection_cost(
    sizes: ArrayLike, bankruptcies: ArrayLike, *, spot: float, years: float, rate: float, volatility: float
) -> Protection:
    """V = Σ longs q·Put(K) + Σ shorts |q|·Call(K) with K the bankruptcy price, USD (METHOD M10).

    `sizes` (n,) signed in base units, `bankruptcies` (n,) in USD; a size of 0 is no position. No position: 0.
    """
    law = _Lognormal(spot, years, rate, volatility)
    book = _make_book(sizes, bankruptcies)
    longs = math.fsum(book.longs * law.price(book.strikes, -1))
    shorts = math.fsum(book.shorts * law.price(book.strikes, 1))
    return Protection(longs + shorts, longs, shorts)


def compute_depletion_prices(
    sizes: ArrayLike, bankruptcies: ArrayLike, *, reserve: float, spot: float
) -> DepletionPrices:
    """Return the first prices below and above the spot where Σ shortfall = reserve F (USD), exact.

    The sum is convex and piecewise linear in the price, so each side has at most one. Falling: None when F still
    pays at a price of 0. Rising: None without shorts. F ≤ Σ shortfall at the spot: the spot itself, on both sides.
    """
    _check_spot(spot)
    book, payable = _make_book(sizes, bankruptcies), _floor_reserve(reserve)
    bounds = book.find_bounds(payable)
    if bounds is None or book.sum_shortfalls(spot) >= payable:
        return DepletionPrices(spot, spot)
    return DepletionPrices(
        None if bounds.falling is None else min(spot, bounds.falling),
        None if bounds.rising is None else max(spot, bounds.rising),
    )


def compute_capped_cost(
    sizes: ArrayLike,
    bankruptcies: ArrayLike,
    *,
    reserve: float,
    spot: float,
    years: float,
    rate: float,
    volatility: float,
) -> float:
    """Present value of what the fund can pay, e^(−rt)·E[min(L, F)], USD: a spread down to each depletion price.

    Between the depletion prices d < u the fund pays all, beyond them F = L(d) = L(u). So min(L, F) is L at the
    price held within d … u, and each position is a spread: Put(K) − Put(d) for a long, Call(K) − Call(u) for a
    short. Cost − capped cost is the tail that users are short. A reserve below 0 pays nothing.
    """
    law = _Lognormal(spot, years, rate, volatility)
    book, payable = _make_book(sizes, bankruptcies), _floor_reserve(reserve)
    bounds = book.find_bounds(payable)
    if bounds is None:
        return payable * law.discount()
    low = 0.0 if bounds.falling is None else bounds.falling
    high = math.inf if bounds.rising is None else bounds.rising
    held = np.clip(book.strikes, low, high)
    beyond_low = law.price(np.array([low]), -1)[0]
    beyond_high = 0.0 if bounds.rising is None else law.price(np.array([high]), 1)[0]
    # A long bankrupt above u (a short below d) owes at least the distance at every price within d … u.
    owed = np.abs(book.strikes - held) * law.discount()
    longs = np.where(book.strikes > low, law.price(held, -1) - beyond_low, 0.0) + np.where(held == high, owed, 0.0)
    shorts = np.where(book.strikes < high, law.price(held, 1) - beyond_high, 0.0) + np.where(held == low, owed, 0.0)
    return math.fsum(np.concatenate((book.longs * longs, book.shorts * shorts)))


def compute_surcharge_adequacy(collected: Quantity, fair: Quantity) -> Quantity:
    """Surcharge collected / fair premium of the same span, ×: at least 1 is adequate. A yardstick, not a grade.

    Both in USD per the same time, else ValueError. One unknown: unknown. A fair premium of 0 is said in words.
    """
    if collected.unit != fair.unit:
        raise ValueError(f"collected in {collected.unit}, fair premium in {fair.unit}: compare the same span")
    if collected.value is not None and collected.value < 0:
        raise ValueError(f"a surcharge of {collected.value} {collected.unit} is impossible; leave refunds out")
    return divide(collected, fair, when_zero=NO_PREMIUM)


@dataclass(frozen=True, slots=True)
class _Book:
    """Positions by bankruptcy price, ascending (n,): size of longs and of shorts, both ≥ 0."""

    strikes: Floats
    longs: Floats
    shorts: Floats

    def sum_shortfalls(self, price: float) -> float:
        """Return L(P) = Σ longs q·max(0, K − P) + Σ shorts |q|·max(0, P − K)."""
        below = self.longs * np.maximum(0.0, self.strikes - price)
        return math.fsum(below + self.shorts * np.maximum(0.0, price - self.strikes))

    def find_bounds(self, reserve: float) -> DepletionPrices | None:
        """Return the prices between which L(P) < reserve; None when there is no such price from 0 up."""
        knots = np.concatenate(([0.0], self.strikes[self.strikes > 0]))
        losses = self._sum_at_knots(knots)
        paid = np.flatnonzero(losses < reserve)
        if paid.size == 0:
            return None
        first, last = int(paid[0]), int(paid[-1])
        falling = None if first == 0 else _interpolate(knots, losses, inside=first, outside=first - 1, level=reserve)
        if last + 1 < len(knots):
            rising = _interpolate(knots, losses, inside=last, outside=last + 1, level=reserve)
            return DepletionPrices(falling, rising)
        slope = math.fsum(self.shorts)
        rising = float(knots[-1]) + (reserve - float(losses[-1])) / slope if slope > 0 else math.inf
        # Shorts of dust would need a price beyond any number.
        return DepletionPrices(falling, rising if rising < math.inf else None)

    def _sum_at_knots(self, knots: Floats) -> Floats:
        """Return L at 0 and at each bankruptcy price above it, by adding up slopes × gaps from either end."""
        is_above = self.strikes > 0
        gaps = np.diff(knots)
        longs_beyond = np.cumsum(self.longs[is_above][::-1])[::-1]
        from_longs = np.append(np.cumsum((longs_beyond * gaps)[::-1])[::-1], 0.0)
        # Shorts at or below 0 lose at every price: they open the sum and its slope.
        opening = math.fsum(-(self.shorts * self.strikes)[~is_above])
        slopes = np.cumsum(np.append(math.fsum(self.shorts[~is_above]), self.shorts[is_above]))
        from_shorts = np.cumsum(np.append(opening, slopes[:-1] * gaps))
        return np.asarray(from_longs + from_shorts)


def _make_book(sizes: ArrayLike, bankruptcies: ArrayLike) -> _Book:
    """Check and sort the positions, so that their order changes no digit; a size of 0 is left out."""
    size, strike = _check_numbers(sizes, "size"), np.asarray(bankruptcies, dtype=np.float64)
    if size.shape != strike.shape or size.ndim != 1:
        raise ValueError(f"{size.shape} sizes with {strike.shape} bankruptcy prices; give one of each a position")
    size, strike = size[size != 0], _check_numbers(strike[size != 0], "bankruptcy price")
    order = np.lexsort((size, strike))
    return _Book(strike[order], np.maximum(size, 0.0)[order], np.maximum(-size, 0.0)[order])


def _interpolate(knots: Floats, losses: Floats, *, inside: int, outside: int, level: float) -> float:
    """Price at which the straight line between two knots reaches the level."""
    share = (level - losses[inside]) / (losses[outside] - losses[inside])
    return float(knots[inside] + share * (knots[outside] - knots[inside]))


def _check_numbers(numbers: ArrayLike, what: str) -> Floats:
    """Return the numbers as an array; one that is not finite is an error."""
    array = np.asarray(numbers, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"a {what} is not a finite number; leave the position out and say so")
    return array


def _check_spot(spot: float) -> None:
    if not (math.isfinite(spot) and spot > 0):
        raise ValueError(f"a price of {spot} is impossible; give a finite one above 0")


def _floor_reserve(reserve: float) -> float:
    """Return max(0, F): a fund below zero pays nothing."""
    if not math.isfinite(reserve):
        raise ValueError(f"a reserve of {reserve} is no number; an unknown reserve has no depletion price")
    # Below the smallest float of full precision a division by a size tells nothing any more.
    return reserve if reserve >= sys.float_info.min else 0.0
