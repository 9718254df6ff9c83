"""M10: the fund as a short put, its depletion prices, what it can pay, and the fair premium."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from vollib.black_scholes import black_scholes

from solvency.protection import (
    DepletionPrices,
    compute_calls,
    compute_capped_cost,
    compute_depletion_prices,
    compute_protection_cost,
    compute_puts,
    compute_surcharge_adequacy,
)
from solvency.quantity import Quantity, make_unknown

# Worked example "protection": four positions by size and bankruptcy price, spot 100, one day at 80 % a year.
SIZES, BANKRUPTCIES = [10.0, 10.0, 5.0, -25.0], [90.0, 80.0, 50.0, 160.0]
DAY = {"spot": 100.0, "years": 1 / 365, "rate": 0.0, "volatility": 0.8}
# A horizon long enough for every part of the formula to weigh.
YEAR = {"spot": 100.0, "years": 1.0, "rate": 0.05, "volatility": 0.7}

# Longs bankrupt above the spot and shorts bankrupt below it owe already; both kinds beside sound ones.
UNDER_WATER = ([3.0, 2.0, 4.0, -2.0, -1.0, -3.0], [110.0, 70.0, 40.0, 95.0, 130.0, 60.0])


def sum_shortfalls(sizes: list[float], bankruptcies: list[float], price: float) -> float:
    return sum(max(0.0, q * (k - price)) for q, k in zip(sizes, bankruptcies, strict=True))


def integrate_capped(
    sizes: list[float], bankruptcies: list[float], reserve: float, *, market: dict[str, float]
) -> float:
    """Discounted E[min(L, F)] by quadrature over the normal law, split at every kink."""
    spread = market["volatility"] * math.sqrt(market["years"])
    centre = math.log(market["spot"]) + market["rate"] * market["years"] - spread**2 / 2

    def pay(z: float) -> float:
        return min(sum_shortfalls(sizes, bankruptcies, math.exp(centre + spread * z)), reserve) * float(norm.pdf(z))

    found = compute_depletion_prices(sizes, bankruptcies, reserve=reserve, spot=market["spot"])
    prices = [*bankruptcies, found.falling or 0.0, found.rising or 0.0]
    cuts = sorted({-12.0, 12.0, *((math.log(p) - centre) / spread for p in prices if p > 0)})
    whole = sum(quad(pay, low, high, epsabs=1e-13, epsrel=1e-12)[0] for low, high in pairwise(cuts))
    return whole * math.exp(-market["rate"] * market["years"])


def test_the_cost_of_the_worked_example() -> None:
    found = compute_protection_cost(SIZES, BANKRUPTCIES, **DAY)
    assert found.cost == pytest.approx(0.07570973188389662, rel=1e-9)
    assert found.longs == pytest.approx(0.07570973188389662, rel=1e-9)
    # The short is bankrupt 60 % above, 11 standard deviations away.
    assert found.shorts == pytest.approx(25 * black_scholes("c", 100, 160, 1 / 365, 0, 0.8), rel=1e-9)


def test_the_depletion_price_of_the_worked_example() -> None:
    found = compute_depletion_prices(SIZES, BANKRUPTCIES, reserve=100.0, spot=100.0)
    assert found.falling == pytest.approx(80.0, rel=1e-9)
    # Upwards: 25 · (164 − 160) = 100.
    assert found.rising == pytest.approx(164.0, rel=1e-9)


@pytest.mark.parametrize("strike", [1e-3, 60.0, 99.0, 100.0, 105.0, 180.0, 4_000.0])
@pytest.mark.parametrize(("years", "rate", "volatility"), [(1 / 365, 0.0, 0.8), (7 / 365, 0.05, 1.5), (2, -0.01, 0.3)])
def test_puts_and_calls_agree_with_an_independent_library(
    strike: float, years: float, rate: float, volatility: float
) -> None:
    market = {"spot": 100.0, "years": years, "rate": rate, "volatility": volatility}
    put, call = (black_scholes(flag, 100.0, strike, years, rate, volatility) for flag in "pc")
    assert compute_puts(strike, **market) == pytest.approx(put, rel=1e-9, abs=1e-12)
    assert compute_calls(strike, **market) == pytest.approx(call, rel=1e-9, abs=1e-12)


def test_the_textbook_option_of_hull() -> None:
    # Hull, Options, Futures and Other Derivatives: S 42, K 40, 10 %, 20 %, half a year: call 4.76, put 0.81.
    hull = {"spot": 42.0, "years": 0.5, "rate": 0.1, "volatility": 0.2}
    assert compute_calls(40.0, **hull) == pytest.approx(4.759422392871532, rel=1e-9)
    assert compute_puts(40.0, **hull) == pytest.approx(0.8085993729000958, rel=1e-9)


@pytest.mark.parametrize(("years", "volatility"), [(0.0, 0.8), (2.0, 0.0)])
def test_without_time_or_volatility_an_option_is_worth_its_discounted_intrinsic_value(
    years: float, volatility: float
) -> None:
    market = {"spot": 100.0, "years": years, "rate": 0.03, "volatility": volatility}
    present = 120.0 * math.exp(-0.03 * years)
    assert list(compute_puts([120.0, 80.0], **market)) == pytest.approx([present - 100.0, 0.0])
    assert list(compute_calls([120.0, 80.0], **market)) == pytest.approx([0.0, 100 - 80 * math.exp(-0.03 * years)])


def test_a_vanishing_volatility_goes_to_the_intrinsic_value() -> None:
    market = {"spot": 100.0, "years": 1.0, "rate": 0.0, "volatility": 1e-300}
    assert list(compute_puts([90.0, 100.0, 130.0], **market)) == pytest.approx([0.0, 0.0, 30.0], abs=1e-12)


def test_a_long_that_can_never_be_bankrupt_costs_nothing() -> None:
    assert list(compute_puts([0.0, -20.0], **YEAR)) == [0.0, 0.0]
    assert compute_protection_cost([5.0], [-20.0], **YEAR).cost == 0.0
    assert compute_depletion_prices([5.0], [-20.0], reserve=1.0, spot=100.0) == DepletionPrices(None, None)


def test_a_call_struck_at_or_below_zero_is_always_exercised() -> None:
    assert list(compute_calls([0.0, -20.0], **YEAR)) == pytest.approx([100.0, 100.0 + 20 * math.exp(-0.05)])


def test_no_position_costs_nothing_and_never_depletes() -> None:
    assert compute_protection_cost([], [], **DAY).cost == 0.0
    assert compute_depletion_prices([], [], reserve=1.0, spot=100.0) == DepletionPrices(None, None)
    assert compute_capped_cost([], [], reserve=1.0, **DAY) == 0.0
    # A size of 0 is no position, and its bankruptcy price is not read.
    assert compute_protection_cost([0.0], [math.nan], **DAY).cost == 0.0


def test_a_fund_that_pays_down_to_a_price_of_zero_is_never_exhausted() -> None:
    # At 0 the longs owe 10·90 + 10·80 + 5·50 = 1,950.
    assert compute_depletion_prices(SIZES, BANKRUPTCIES, reserve=1_950.01, spot=100.0).falling is None
    assert compute_depletion_prices(SIZES, BANKRUPTCIES, reserve=1_950.0, spot=100.0).falling == 0.0
    assert compute_depletion_prices(SIZES, BANKRUPTCIES, reserve=1_925.0, spot=100.0).falling == pytest.approx(1.0)


def test_without_shorts_no_rise_exhausts_the_fund() -> None:
    assert compute_depletion_prices(SIZES[:3], BANKRUPTCIES[:3], reserve=1.0, spot=100.0).rising is None


def test_shorts_of_dust_exhaust_the_fund_at_no_price_that_can_be_written() -> None:
    assert compute_depletion_prices([-1e-309], [100.0], reserve=1.0, spot=100.0).rising is None


@pytest.mark.parametrize("reserve", [0.0, -5.0, 40.0, 50.0])
def test_a_fund_exhausted_at_the_spot_has_the_spot_as_its_depletion_price(reserve: float) -> None:
    # The long owes 20 and the short 30 at 100; together 50.
    found = compute_depletion_prices([2.0, -3.0], [110.0, 90.0], reserve=reserve, spot=100.0)
    assert found == DepletionPrices(100.0, 100.0)


def test_shorts_under_water_are_paid_before_the_price_falls_enough_to_relieve_them() -> None:
    # L(P) = 10·max(0, 90 − P) + 1·max(0, P − 95): 5 at 100; the fall relieves the short before the long owes.
    found = compute_depletion_prices([10.0, -1.0], [90.0, 95.0], reserve=50.0, spot=100.0)
    assert found.falling == pytest.approx(85.0)
    assert found.rising == pytest.approx(145.0)


@pytest.mark.parametrize("market", [DAY, YEAR])
@pytest.mark.parametrize("reserve", [1.0, 100.0, 600.0, 1_950.0, 1e6])
def test_the_capped_cost_agrees_with_numerical_integration(market: dict[str, float], reserve: float) -> None:
    found = compute_capped_cost(SIZES, BANKRUPTCIES, reserve=reserve, **market)
    assert found == pytest.approx(integrate_capped(SIZES, BANKRUPTCIES, reserve, market=market), rel=1e-9)


@pytest.mark.parametrize("reserve", [50.0, 150.0, 200.0, 500.0, 1e6])
def test_the_capped_cost_agrees_with_integration_when_accounts_are_under_water(reserve: float) -> None:
    found = compute_capped_cost(*UNDER_WATER, reserve=reserve, **YEAR)
    assert found == pytest.approx(integrate_capped(*UNDER_WATER, reserve, market=YEAR), rel=1e-9)


@pytest.mark.parametrize(
    "book",
    [
        ([1.0, -10.0], [150.0, 95.0]),  # The fund is exhausted upwards while the long is still bankrupt.
        ([10.0, -1.0], [105.0, 60.0]),  # And downwards while the short is.
        ([10.0, -0.5], [105.0, -10.0]),  # This short owes at every price.
    ],
)
def test_an_account_bankrupt_beyond_a_depletion_price_counts_with_what_it_owes(
    book: tuple[list[float], list[float]],
) -> None:
    found = compute_capped_cost(*book, reserve=80.0, **YEAR)
    assert found == pytest.approx(integrate_capped(*book, 80.0, market=YEAR), rel=1e-9)


def test_a_fund_too_small_at_every_price_pays_all_it_has() -> None:
    # 1·max(0, 110 − P) + 2·max(0, P − 105.5) is least at 105.5, with 4.5: more than 4 at every price.
    found = compute_capped_cost([1.0, -2.0], [110.0, 105.5], reserve=4.0, **YEAR)
    assert found == pytest.approx(4.0 * math.exp(-0.05), rel=1e-12)


@pytest.mark.parametrize("reserve", [0.0, -10.0])
def test_a_fund_without_money_pays_nothing(reserve: float) -> None:
    assert compute_capped_cost(SIZES, BANKRUPTCIES, reserve=reserve, **DAY) == 0.0


def test_a_fund_that_is_never_exhausted_pays_the_whole_cost() -> None:
    longs = (SIZES[:3], BANKRUPTCIES[:3])
    assert compute_capped_cost(*longs, reserve=1_951.0, **YEAR) == compute_protection_cost(*longs, **YEAR).cost


def test_the_surcharge_is_compared_with_the_fair_premium_of_the_same_span() -> None:
    collected, fair = Quantity(30.0, "usd per day"), Quantity(40.0, "usd per day")
    assert compute_surcharge_adequacy(collected, fair).value == 0.75
    assert compute_surcharge_adequacy(collected, Quantity(0.0, "usd per day")).words == "no premium due"
    unknown = compute_surcharge_adequacy(collected, make_unknown("usd per day", "positions not read"))
    assert (unknown.value, unknown.quality, unknown.reason) == (None, "unknown", "positions not read")
    partial = compute_surcharge_adequacy(collected.lower_quality("partial", "two days missing"), fair)
    assert partial.quality == "partial"


def test_a_surcharge_of_another_span_or_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="same span"):
        compute_surcharge_adequacy(Quantity(1.0, "usd per year"), Quantity(1.0, "usd per day"))
    with pytest.raises(ValueError, match="refunds"):
        compute_surcharge_adequacy(Quantity(-1.0, "usd"), Quantity(1.0, "usd"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spot": 0.0}, "above 0"),
        ({"spot": math.nan}, "above 0"),
        ({"years": -1.0}, "horizon"),
        ({"volatility": -0.1}, "volatility"),
        ({"volatility": math.inf}, "volatility"),
        ({"rate": math.nan}, "interest rate"),
    ],
)
def test_an_impossible_market_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_protection_cost(SIZES, BANKRUPTCIES, **{**DAY, **wrong})


def test_positions_with_holes_are_refused() -> None:
    with pytest.raises(ValueError, match="size is not a finite number"):
        compute_protection_cost([math.nan], [90.0], **DAY)
    with pytest.raises(ValueError, match="bankruptcy price is not a finite number"):
        compute_depletion_prices([1.0], [math.inf], reserve=1.0, spot=100.0)
    with pytest.raises(ValueError, match="one of each"):
        compute_capped_cost([1.0, 2.0], [90.0], reserve=1.0, **DAY)
    with pytest.raises(ValueError, match="reserve of nan"):
        compute_capped_cost([1.0], [90.0], reserve=math.nan, **DAY)


prices = st.floats(1.0, 1e3)
# Sizes in thousandths, so that none is so small that a factor below rounds it to 0.
sizes_signed = st.integers(-(10**6), 10**6).map(lambda thousandths: thousandths / 1_000)
positions = st.lists(st.tuples(sizes_signed, st.floats(-10.0, 300.0)), min_size=1, max_size=8)


markets = st.fixed_dictionaries(
    {"spot": prices, "years": st.floats(0.0, 2.0), "rate": st.floats(-0.1, 0.2), "volatility": st.floats(0.0, 3.0)}
)


@given(prices, markets)
def test_puts_and_calls_keep_parity(strike: float, market: dict[str, float]) -> None:
    forward = market["spot"] - strike * math.exp(-market["rate"] * market["years"])
    gap = compute_calls(strike, **market) - compute_puts(strike, **market)
    assert gap == pytest.approx(forward, rel=1e-9, abs=1e-9 * (market["spot"] + strike))


@given(positions, st.floats(0.0, 1e6), st.data())
def test_the_order_of_positions_changes_no_digit(
    rows: list[tuple[float, float]], reserve: float, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    results = []
    for order in (rows, shuffled):
        sizes, bankruptcies = (list(column) for column in zip(*order, strict=True))
        results.append(
            (
                compute_protection_cost(sizes, bankruptcies, **YEAR),
                compute_capped_cost(sizes, bankruptcies, reserve=reserve, **YEAR),
                compute_depletion_prices(sizes, bankruptcies, reserve=reserve, spot=100.0),
            )
        )
    assert results[0] == results[1]


@given(positions, st.floats(0.0, 1e6), st.floats(0.0, 1e6))
@example([(-0.005, 223.0), (-0.009, 0.0)], 0.0, 5e-324)
def test_a_larger_fund_pays_more_but_never_more_than_the_cost(
    rows: list[tuple[float, float]], reserve: float, more: float
) -> None:
    sizes, bankruptcies = (list(column) for column in zip(*rows, strict=True))
    cost = compute_protection_cost(sizes, bankruptcies, **YEAR).cost
    small, large = (
        compute_capped_cost(sizes, bankruptcies, reserve=money, **YEAR) for money in (reserve, reserve + more)
    )
    rounding = 1e-12 * (cost + 1e-12)
    assert 0 <= small <= large + rounding
    assert large <= cost + rounding
    assert small <= reserve * (1 + 1e-9)


@given(positions, st.floats(1e-3, 1e6))
def test_the_shortfalls_at_a_depletion_price_are_the_reserve(rows: list[tuple[float, float]], reserve: float) -> None:
    sizes, bankruptcies = (list(column) for column in zip(*rows, strict=True))
    found = compute_depletion_prices(sizes, bankruptcies, reserve=reserve, spot=100.0)
    now = sum_shortfalls(sizes, bankruptcies, 100.0)
    for price in (found.falling, found.rising):
        if price is not None:
            at = sum_shortfalls(sizes, bankruptcies, price)
            scale = 1e-9 * sum(abs(q) * (abs(k) + price) for q, k in rows)
            assert at == pytest.approx(max(reserve, now), rel=1e-9, abs=scale)
    if found.falling is None:
        assert sum_shortfalls(sizes, bankruptcies, 0.0) < reserve
    if found.rising is None:
        assert not any(q < 0 for q in sizes)


@given(positions, st.floats(1e-3, 1e6), st.sampled_from([2.0**-40, 0.5, 1024.0, 2.0**60]))
def test_all_money_times_k_moves_costs_by_k_and_no_depletion_price(
    rows: list[tuple[float, float]], reserve: float, k: float
) -> None:
    sizes, bankruptcies = (list(column) for column in zip(*rows, strict=True))
    larger = [size * k for size in sizes]
    assert compute_depletion_prices(larger, bankruptcies, reserve=reserve * k, spot=100.0) == compute_depletion_prices(
        sizes, bankruptcies, reserve=reserve, spot=100.0
    )
    one = compute_capped_cost(sizes, bankruptcies, reserve=reserve, **YEAR)
    assert compute_capped_cost(larger, bankruptcies, reserve=reserve * k, **YEAR) == pytest.approx(one * k, rel=1e-12)


@given(positions, st.floats(0.1, 2.0), st.floats(0.0, 1.0))
def test_more_volatility_never_makes_protection_cheaper(
    rows: list[tuple[float, float]], volatility: float, more: float
) -> None:
    sizes, bankruptcies = (np.array(column) for column in zip(*rows, strict=True))
    calm, wild = (
        compute_protection_cost(sizes, bankruptcies, **{**YEAR, "volatility": v}).cost
        for v in (volatility, volatility + more)
    )
    assert wild >= calm * (1 - 1e-9) - 1e-9
