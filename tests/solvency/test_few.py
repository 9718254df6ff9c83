"""M12: bounds from few or no shortfalls."""

import pytest
from scipy import stats

from solvency.few import (
    compute_daily_chance_bound,
    compute_garwood_interval,
    compute_rate_bound,
    describe_none_recognised,
    has_few_shortfalls,
)


def test_none_in_365_days_of_the_worked_example() -> None:
    assert compute_daily_chance_bound(0, 365).value == pytest.approx(0.008173896228170283, rel=1e-12)
    assert compute_rate_bound(0, 365).value == pytest.approx(0.008207485680969835, rel=1e-12)
    assert compute_garwood_interval(0, 365) == pytest.approx((0.0, 0.010106519052366945), rel=1e-12)


@pytest.mark.parametrize("n", [1, 7, 90, 365, 4_000])
def test_the_bound_for_none_is_the_closed_form(n: int) -> None:
    assert compute_daily_chance_bound(0, n).value == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(1, 90), (4, 365), (30, 100)])
def test_at_the_bound_so_few_events_have_a_chance_of_five_percent(k: int, n: int) -> None:
    daily, rate = compute_daily_chance_bound(k, n).value, compute_rate_bound(k, n).value
    assert daily is not None
    assert rate is not None
    assert stats.binom.cdf(k, n, daily) == pytest.approx(0.05)
    assert stats.poisson.cdf(k, rate * n) == pytest.approx(0.05)


def test_the_garwood_interval_holds_two_and_a_half_percent_on_each_side() -> None:
    low, high = compute_garwood_interval(4, 2.0)
    assert stats.poisson.sf(3, low * 2.0) == pytest.approx(0.025)
    assert stats.poisson.cdf(4, high * 2.0) == pytest.approx(0.025)


def test_a_loss_on_every_day_leaves_no_bound_below_one() -> None:
    assert compute_daily_chance_bound(5, 5).value == 1.0


def test_without_an_observed_day_nothing_is_known() -> None:
    assert compute_daily_chance_bound(0, 0).quality == "unknown"
    assert compute_rate_bound(0, 0).quality == "unknown"


@pytest.mark.parametrize("call", [(-1, 5), (6, 5)])
def test_impossible_counts_are_errors(call: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="impossible"):
        compute_daily_chance_bound(*call)
    with pytest.raises(ValueError, match="time > 0"):
        compute_garwood_interval(1, 0)


@pytest.mark.parametrize(
    ("episodes", "days", "is_few"), [(4, 365, True), (5, 90, False), (5, 89, True), (0, 1_000, True)]
)
def test_few_is_under_five_episodes_or_under_ninety_days(episodes: int, days: int, is_few: bool) -> None:
    assert has_few_shortfalls(episodes, days) is is_few


def test_an_empty_record_says_none_recognised() -> None:
    assert describe_none_recognised(42) == "no shortfall recognised in 42 observed days"
    assert describe_none_recognised(1) == "no shortfall recognised in 1 observed day"
