"""M11: the size where capital costs what it saves, as a band, and what the fund earns."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import genpareto

from solvency.quantity import Quantity, make_unknown
from solvency.sizing import (
    compute_fund_return,
    compute_optimal_size,
    compute_overcapitalisation,
    compute_size_band,
)


@dataclass(frozen=True)
class Tail:
    """A fitted tail as the fit hands it over."""

    threshold: float = 10.0
    shape: float = 0.5
    scale: float = 7.0
    n_obs: int = 2167
    n_excess: int = 109


# Worked example "gpd": u 10, ξ .5, β 7, 109 of 2,167 days beyond u.
EXAMPLE = Tail()
# 100 days: 90 calm ones, then losses of 1 … 10.
RECORD = [0.0] * 90 + [float(loss) for loss in range(1, 11)]
BAND = Quantity(None, "usd", words="band over c/k from 0.1% to 1.0%", n_obs=365, ci_low=20.0, ci_high=80.0)


def uncovered_beyond(size: float, tail: Tail) -> float:
    """E[(L − F)⁺] by quadrature of the tail's survival function."""
    law = genpareto(tail.shape, loc=tail.threshold, scale=tail.scale)
    return tail.n_excess / tail.n_obs * float(quad(law.sf, size, math.inf, epsabs=1e-14, epsrel=1e-12)[0])


def test_the_size_and_the_uncovered_loss_of_the_worked_example() -> None:
    found = compute_optimal_size(0.01, fit=EXAMPLE)
    assert found.size.value == pytest.approx(27.398711685732657, rel=1e-9)
    assert found.uncovered.value == pytest.approx(0.3139871168573269, rel=1e-9)
    assert (found.size.unit, found.size.n_obs, found.size.n_events) == ("usd", 2167, 109)
    assert found.uncovered.unit == "usd per day"


def test_the_band_of_the_worked_example_runs_between_its_two_quantiles() -> None:
    band = compute_size_band(fit=EXAMPLE)
    # VaR .99 and VaR .999 of the same fit.
    assert (band.ci_low, band.ci_high) == pytest.approx((27.398711685732657, 95.29144452186023), rel=1e-9)
    assert (band.value, band.quality, band.words) == (None, "ok", "band over c/k from 0.1% to 1.0%")


@pytest.mark.parametrize("shape", [-0.3, 0.0, 1e-12, 0.2, 0.7])
@pytest.mark.parametrize("cost_ratio", [0.001, 0.01, 0.04])
def test_the_size_agrees_with_the_tail_of_scipy(shape: float, cost_ratio: float) -> None:
    tail = Tail(shape=shape)
    found = compute_optimal_size(cost_ratio, fit=tail)
    beyond = cost_ratio * tail.n_obs / tail.n_excess
    assert found.size.value == pytest.approx(10 + genpareto.isf(beyond, shape, scale=7.0), rel=1e-6)
    assert found.size.value is not None
    assert found.uncovered.value == pytest.approx(uncovered_beyond(found.size.value, tail), rel=1e-6)


def test_no_other_size_costs_less() -> None:
    best = minimize_scalar(
        lambda size: 0.01 * size + uncovered_beyond(size, EXAMPLE), bounds=(10.0, 200.0), method="bounded"
    )
    assert compute_optimal_size(0.01, fit=EXAMPLE).size.value == pytest.approx(best.x, rel=1e-4)


def test_a_vanishing_shape_goes_to_the_exponential_tail() -> None:
    at_zero = compute_optimal_size(0.01, fit=Tail(shape=0.0))
    nearly = compute_optimal_size(0.01, fit=Tail(shape=1e-13))
    assert at_zero.size.value == pytest.approx(10 + 7 * math.log(109 / 2167 / 0.01), rel=1e-12)
    assert nearly.size.value == pytest.approx(at_zero.size.value, rel=1e-11)
    assert nearly.uncovered.value == pytest.approx(at_zero.uncovered.value, rel=1e-11)


@pytest.mark.parametrize("shape", [1.0, 1.4])
def test_a_tail_without_a_finite_mean_has_a_size_but_no_uncovered_loss(shape: float) -> None:
    found = compute_optimal_size(0.01, fit=Tail(shape=shape))
    assert found.size.value is not None
    assert found.size.value > 27.4
    assert (found.uncovered.value, found.uncovered.reason) == (None, "no finite mean")


def test_a_tail_too_heavy_for_any_number_is_unknown() -> None:
    # Overflow in the power, and only once the scale is multiplied in.
    for tail in (Tail(shape=500.0), Tail(shape=180.0, scale=1e9)):
        found = compute_optimal_size(0.001, fit=tail)
        assert found.size.quality == found.uncovered.quality == "unknown"
        assert "too heavy" in found.size.reason


def test_at_the_share_of_days_beyond_it_the_size_is_the_threshold() -> None:
    assert compute_optimal_size(109 / 2167, fit=EXAMPLE).size.value == pytest.approx(10.0, rel=1e-12)


def test_above_the_threshold_share_the_days_themselves_decide() -> None:
    # 7 % of 100 days may lose more: 10, 9, 8, 7, 6, 5, 4. The size is the next, 3.
    found = compute_optimal_size(0.07, fit=Tail(threshold=5.0, n_obs=100, n_excess=5), losses=RECORD)
    assert (found.size.value, found.size.n_obs, found.size.n_events) == (3.0, 100, 10)
    assert found.uncovered.value == pytest.approx((1 + 2 + 3 + 4 + 5 + 6 + 7) / 100)
    without = compute_optimal_size(0.07, fit=Tail(threshold=5.0, n_obs=100, n_excess=5))
    assert (without.size.quality, without.size.value) == ("unknown", None)


@pytest.mark.parametrize(("cost_ratio", "size"), [(0.01, 9.0), (0.019, 9.0), (0.02, 8.0), (0.1, 0.0), (0.5, 0.0)])
def test_the_size_of_a_record_is_the_least_that_no_more_days_exceed(cost_ratio: float, size: float) -> None:
    assert compute_optimal_size(cost_ratio, losses=RECORD).size.value == size


def test_a_whole_number_of_days_is_not_lost_to_rounding() -> None:
    # In floats 1 − 0.971 and its like fall on either side of the whole number of thousandths.
    record = [0.0] * 900 + [float(loss) for loss in range(1, 101)]
    for days in range(1, 100):
        assert compute_optimal_size(days / 1_000, losses=record).size.value == 100 - days
        assert compute_optimal_size(1 - (1_000 - days) / 1_000, losses=record).size.value == 100 - days


def test_a_record_too_short_for_the_chance_gives_a_lower_bound_and_no_uncovered_loss() -> None:
    found = compute_optimal_size(0.001, losses=RECORD)
    assert (found.size.value, found.size.quality, found.size.is_lower_bound) == (10.0, "partial", True)
    assert (found.uncovered.value, found.uncovered.quality) == (None, "unknown")
    band = compute_size_band(losses=RECORD)
    assert (band.ci_low, band.ci_high, band.quality, band.is_lower_bound) == (9.0, 10.0, "partial", True)


def test_equal_losses_at_the_edge_count_once() -> None:
    found = compute_optimal_size(0.05, losses=[0.0] * 90 + [4.0] * 10)
    assert (found.size.value, found.uncovered.value) == (4.0, 0.0)


@pytest.mark.parametrize(
    ("given_inputs", "reason"),
    [
        ({}, "no daily losses"),
        ({"losses": [5.0] * 89}, "under 90 observed days"),
        ({"losses": [0.0] * 400}, "no shortfall recognised"),
        ({"fit": Tail(n_obs=89, n_excess=20)}, "under 90 observed days"),
    ],
)
def test_without_a_record_the_size_is_unknown_and_never_zero(given_inputs: dict[str, Any], reason: str) -> None:
    found = compute_optimal_size(0.01, **given_inputs)
    for number in (found.size, found.uncovered, compute_size_band(**given_inputs)):
        assert (number.value, number.quality, number.reason) == (None, "unknown", reason)
        assert number.ci_low is number.ci_high is None


def test_ninety_observed_days_are_enough() -> None:
    assert compute_optimal_size(0.02, losses=[5.0] * 90).size.value == 5.0
    assert compute_optimal_size(0.02, fit=Tail(n_obs=90, n_excess=20)).size.quality == "ok"


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.01, math.nan])
def test_a_cost_ratio_outside_zero_to_one_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="has no optimum"):
        compute_optimal_size(ratio, fit=EXAMPLE)


def test_impossible_records_and_fits_are_refused() -> None:
    for losses in ([], [[1.0]], 3.0):
        with pytest.raises(ValueError, match="one number a day"):
            compute_optimal_size(0.01, losses=losses)
    for loss in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="negative or no number"):
            compute_optimal_size(0.01, losses=[*RECORD, loss])
    for tail in (Tail(scale=0.0), Tail(threshold=-1.0), Tail(n_excess=0), Tail(n_excess=3_000)):
        with pytest.raises(ValueError, match="need u ≥ 0"):
            compute_optimal_size(0.01, fit=tail)
    with pytest.raises(ValueError, match="is no fit"):
        compute_optimal_size(0.01, fit=Tail(shape=math.nan))
    with pytest.raises(ValueError, match="two cost ratios"):
        compute_size_band(fit=EXAMPLE, cost_ratios=(0.01,))


def test_overcapitalisation_is_a_band_turned_upside_down() -> None:
    found = compute_overcapitalisation(Quantity(40.0, "usd"), BAND)
    assert (found.value, found.ci_low, found.ci_high, found.unit) == (None, 0.5, 2.0, "ratio")
    below_zero = compute_overcapitalisation(Quantity(-40.0, "usd"), BAND)
    assert (below_zero.ci_low, below_zero.ci_high) == (0.0, 0.0)


def test_a_band_from_zero_has_no_upper_end_and_a_band_of_zero_is_said_in_words() -> None:
    from_zero = Quantity(None, "usd", words="band", ci_low=0.0, ci_high=80.0)
    found = compute_overcapitalisation(Quantity(40.0, "usd"), from_zero)
    assert (found.ci_low, found.ci_high) == (0.5, None)
    nothing = Quantity(None, "usd", words="band", ci_low=0.0, ci_high=0.0)
    assert compute_overcapitalisation(Quantity(40.0, "usd"), nothing).words == "no modelled loss"


def test_overcapitalisation_of_an_unknown_is_unknown() -> None:
    unread = compute_overcapitalisation(make_unknown("usd", "balance not read"), BAND)
    assert (unread.quality, unread.reason, unread.ci_low) == ("unknown", "balance not read", None)
    unsized = compute_overcapitalisation(Quantity(1.0, "usd"), make_unknown("usd", "no daily losses"))
    assert (unsized.quality, unsized.reason) == ("unknown", "no daily losses")
    partial = compute_overcapitalisation(Quantity(1.0, "usd", "partial", "a price is missing"), BAND)
    assert (partial.quality, partial.reason) == ("partial", "a price is missing")


def test_the_return_is_the_net_inflow_of_a_year_over_the_balance() -> None:
    found = compute_fund_return(Quantity(30.0, "usd"), Quantity(10.0, "usd"), Quantity(200.0, "usd"), days=365)
    assert (found.value, found.unit, found.quality, found.window_days) == (0.1, "per year", "ok", 365)
    losing = compute_fund_return(Quantity(10.0, "usd"), Quantity(30.0, "usd"), Quantity(200.0, "usd"), days=730)
    assert losing.value == pytest.approx(-0.05)


def test_a_return_from_less_than_a_year_is_partial_and_one_without_inputs_unknown() -> None:
    flow, balance = Quantity(10.0, "usd"), Quantity(100.0, "usd")
    short = compute_fund_return(flow, Quantity(0.0, "usd"), balance, days=73)
    assert (short.value, short.quality) == (pytest.approx(0.5), "partial")
    unknown = compute_fund_return(flow, make_unknown("usd", "payouts not read"), balance, days=365)
    assert (unknown.value, unknown.quality, unknown.reason) == (None, "unknown", "payouts not read")
    unread = make_unknown("usd", "flows not read")
    assert compute_fund_return(unread, unread, balance, days=365).reason == "flows not read"


def test_an_empty_fund_has_no_return() -> None:
    flow = Quantity(10.0, "usd")
    assert compute_fund_return(flow, flow, Quantity(0.0, "usd"), days=365).words == "nothing in the fund"
    for days in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite number above 0"):
            compute_fund_return(flow, flow, flow, days=days)
    with pytest.raises(ValueError, match="both are ≥ 0"):
        compute_fund_return(Quantity(-1.0, "usd"), flow, flow, days=365)


ratios = st.floats(1e-4, 0.05)
shapes = st.floats(-0.5, 0.95)
records = st.lists(st.just(0.0) | st.floats(0.01, 1e9), max_size=15).map(lambda losses: [0.0] * 90 + losses)


@given(ratios, ratios, shapes)
def test_dearer_capital_never_means_a_larger_fund_of_the_fit(first: float, second: float, shape: float) -> None:
    cheap, dear = (compute_optimal_size(ratio, fit=Tail(shape=shape)) for ratio in sorted((first, second)))
    assert cheap.size.value is not None
    assert dear.size.value is not None
    assert dear.size.value <= cheap.size.value
    assert (dear.uncovered.value or 0.0) >= (cheap.uncovered.value or 0.0) * (1 - 1e-12)


@given(records, st.floats(1e-3, 0.99), st.floats(1e-3, 0.99))
def test_dearer_capital_never_means_a_larger_fund_of_the_record(
    losses: list[float], first: float, second: float
) -> None:
    cheap, dear = (compute_optimal_size(ratio, losses=losses).size.value for ratio in sorted((first, second)))
    if not any(losses):
        assert cheap is dear is None
        return
    assert cheap is not None
    assert dear is not None
    assert dear <= cheap
    exceeded = np.mean(np.array(losses) > dear)
    assert exceeded <= max(first, second) * (1 + 1e-9)


@given(records, st.integers(0, 2**32))
def test_the_order_of_days_changes_no_digit(losses: list[float], seed: int) -> None:
    shuffled = list(np.random.default_rng(seed).permutation(losses))
    assert compute_optimal_size(0.05, losses=shuffled) == compute_optimal_size(0.05, losses=losses)
    assert compute_size_band(losses=shuffled) == compute_size_band(losses=losses)


@given(shapes, records, st.just(0.0) | st.floats(1e-6, 1e9), st.sampled_from([2.0**-20, 4.0, 2.0**40]))
def test_all_money_times_k_changes_no_ratio(shape: float, losses: list[float], usable: float, k: float) -> None:
    fits = [Tail(10.0 * factor, shape, 7.0 * factor) for factor in (1.0, k)]
    samples = [[loss * factor for loss in losses] for factor in (1.0, k)]
    money = [Quantity(usable * factor, "usd") for factor in (1.0, k)]
    by_fit, by_record = (
        [compute_overcapitalisation(usd, compute_size_band(**{name: given_one})) for usd, given_one in pairs]
        for name, pairs in (
            ("fit", zip(money, fits, strict=True)),
            ("losses", zip(money, samples, strict=True)),
        )
    )
    assert by_record[0] == by_record[1]
    assert by_fit[0].ci_low == pytest.approx(by_fit[1].ci_low, rel=1e-12)
    assert by_fit[0].ci_high == pytest.approx(by_fit[1].ci_high, rel=1e-12)


@pytest.mark.parametrize("k", [1e-12, 1.0, 1e18])
def test_huge_and_tiny_money_has_the_same_size_in_its_own_unit(k: float) -> None:
    found = compute_optimal_size(0.01, fit=Tail(10.0 * k, 0.5, 7.0 * k))
    assert found.size.value == pytest.approx(27.398711685732657 * k, rel=1e-9)
    assert found.uncovered.value == pytest.approx(0.3139871168573269 * k, rel=1e-9)
