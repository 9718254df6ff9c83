"""The backtest of daily VaR forecasts: number of failures, independence, both together, and what may be said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from solvency.backtest import (
    RatioTest,
    compute_backtest,
    compute_christoffersen,
    compute_joint,
    compute_kupiec,
)


def days(failed: list[bool | None]) -> tuple[list[float | None], list[float | None]]:
    """Forecasts of 10 and the losses that make a failure (11), a calm day (10, not beyond it) or an unknown one."""
    return [10.0] * len(failed), [None if day is None else 11.0 if day else 10.0 for day in failed]


def test_kupiec_of_the_worked_example() -> None:
    found = compute_kupiec(250, 6, 0.01)
    assert found.statistic == pytest.approx(3.5553547710617437, rel=1e-9)
    assert found.p_value == pytest.approx(0.0593536189722889, rel=1e-9)


def test_kupiec_as_published_by_mathworks() -> None:
    found = compute_kupiec(1043, 57, 0.05)
    assert found.statistic == pytest.approx(0.46147, abs=5e-6)
    assert found.p_value == pytest.approx(0.49694, abs=5e-6)


def test_christoffersen_of_the_worked_example() -> None:
    found = compute_christoffersen(230, 9, 9, 2)
    assert found.statistic == pytest.approx(3.113066892484259, rel=1e-9)
    assert found.p_value == pytest.approx(0.07766658758426902, rel=1e-9)


@pytest.mark.parametrize(("n", "failures", "p"), [(250, 0, 0.01), (10, 10, 0.025), (1, 0, 0.5), (500, 13, 0.025)])
def test_kupiec_is_twice_the_log_of_the_ratio_of_binomial_chances(n: int, failures: int, p: float) -> None:
    free, restricted = (stats.binom.logpmf(failures, n, chance) for chance in (failures / n, p))
    assert compute_kupiec(n, failures, p).statistic == pytest.approx(2 * (free - restricted), rel=1e-9)


def test_kupiec_without_and_with_only_failures_goes_to_its_limits() -> None:
    assert compute_kupiec(250, 0, 0.01).statistic == pytest.approx(-2 * 250 * math.log(0.99), rel=1e-12)
    assert compute_kupiec(4, 4, 0.01).statistic == pytest.approx(-2 * 4 * math.log(0.01), rel=1e-12)


def test_as_many_failures_as_expected_are_no_evidence() -> None:
    assert compute_kupiec(400, 10, 0.025) == RatioTest(0.0, 1.0)


@pytest.mark.parametrize("counts", [(230, 6, 12, 2), (100, 3, 40, 7), (5, 80, 70, 900)])
def test_independence_is_the_likelihood_ratio_of_the_two_by_two_table(counts: tuple[int, int, int, int]) -> None:
    calm_calm, failed_calm, calm_failed, failed_failed = counts
    table = np.array([[calm_calm, calm_failed], [failed_calm, failed_failed]], dtype=np.float64)
    expected = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    found = compute_christoffersen(*counts)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("counts", [(249, 0, 0, 0), (0, 0, 0, 30), (200, 0, 1, 0), (7, 1, 0, 0), (0, 1, 0, 1)])
def test_counts_that_cannot_tell_give_no_evidence_of_runs(counts: tuple[int, int, int, int]) -> None:
    found = compute_christoffersen(*counts)
    assert found.statistic == pytest.approx(0.0, abs=1e-12)
    assert found.p_value == pytest.approx(1.0, abs=1e-5)


def test_failures_that_only_follow_failures_are_evidence_by_the_limit() -> None:
    # One chance for all: 8 calm, 4 failed of 12. Apart: 8 of 8 calm, 4 of 4 failed, each with likelihood 1.
    expected = -2 * (8 * math.log(8 / 12) + 4 * math.log(4 / 12))
    assert compute_christoffersen(8, 0, 0, 4).statistic == pytest.approx(expected, rel=1e-12)


def test_the_joint_test_adds_the_statistics_and_has_two_degrees() -> None:
    found = compute_joint(RatioTest(3.0, 0.1), RatioTest(2.0, 0.2))
    assert found.statistic == 5.0
    assert found.p_value == pytest.approx(math.exp(-2.5), rel=1e-12)


def test_a_series_is_counted_by_days_and_by_pairs_of_days() -> None:
    found = compute_backtest(*days([False, True, True, False, False, True]), level=0.9)
    assert (found.n, found.failures, found.n_unknown) == (6, 3, 0)
    assert found.expected == pytest.approx(0.6)
    assert found.kupiec == compute_kupiec(6, 3, 1 - 0.9)
    assert found.christoffersen == compute_christoffersen(1, 1, 2, 1)
    assert found.kupiec is not None
    assert found.christoffersen is not None
    assert found.joint == compute_joint(found.kupiec, found.christoffersen)


def test_a_loss_equal_to_the_forecast_is_no_failure() -> None:
    assert compute_backtest([10.0, 10.0], [10.0, np.nextafter(10.0, 11.0)], level=0.9).failures == 1


def test_an_unknown_day_is_left_out_counted_and_breaks_the_pair() -> None:
    found = compute_backtest(*days([True, None, True, False, False, True]), level=0.9)
    assert (found.n, found.failures, found.n_unknown) == (5, 3, 1)
    assert found.christoffersen == compute_christoffersen(1, 1, 1, 0)
    forecasts: list[float | None] = [None, 10.0]
    assert compute_backtest(forecasts, [99.0, 1.0], level=0.9).failures == 0


def test_no_known_day_has_no_test_and_says_so() -> None:
    found = compute_backtest([None], [3.0], level=0.975)
    assert (found.n, found.n_unknown, found.kupiec, found.christoffersen, found.joint) == (0, 1, None, None, None)
    assert found.words == "unknown: no day with both a forecast and a loss"


def test_one_day_has_a_number_of_failures_but_no_pair() -> None:
    found = compute_backtest([1.0], [0.0], level=0.975)
    assert found.kupiec is not None
    assert found.christoffersen is None
    assert found.joint is None


@pytest.mark.parametrize("n", [1, 250, 999, 1_000, 3_000])
def test_the_words_never_say_validated_and_state_the_power_under_a_thousand_days(n: int) -> None:
    found = compute_backtest(*days([day % 40 == 20 for day in range(n)]), level=0.975)
    assert "validated" not in found.words
    assert ("24 %" in found.words) is (n < 1_000)


def test_the_power_that_the_words_state_is_that_of_the_test() -> None:
    failures = np.arange(251)
    is_rejected = np.array([compute_kupiec(250, int(x), 0.01).p_value < 0.05 for x in failures])
    assert stats.binom.pmf(failures, 250, 0.02)[is_rejected].sum() == pytest.approx(0.24, abs=0.005)


def test_the_words_name_the_tests_that_reject() -> None:
    as_forecast = compute_backtest(*days([day % 40 == 20 for day in range(1_000)]), level=0.975)
    assert as_forecast.words == "25 of 1,000 days beyond the forecast, 25.0 expected; not rejected at 5 %"
    too_many = compute_backtest(*days([day % 5 == 0 for day in range(1_000)]), level=0.975)
    assert too_many.words.startswith("200 of 1,000 days beyond the forecast, 25.0 expected; rejected at 5 % by: number")
    in_a_run = compute_backtest(*days([500 <= day < 525 for day in range(1_000)]), level=0.975)
    assert in_a_run.words.endswith("rejected at 5 % by: independence, both together")


def test_days_forecast_at_zero_are_named() -> None:
    # A quiet record: 97.5 % of days lose nothing, so a right forecast is 0 and fails more rarely than 2.5 %.
    found = compute_backtest([0.0] * 1_000, [0.0] * 1_000, level=0.975)
    assert "forecast of 0 on 1,000 of them" in found.words
    left_out: list[float | None] = [None, 0.0]
    assert "forecast of 0 on 1 of them" in compute_backtest([0.0, 0.0], left_out, level=0.975).words
    assert "forecast of 0" not in compute_backtest(*days([False] * 1_000), level=0.975).words


def test_impossible_counts_levels_and_series_are_refused() -> None:
    for n, failures in ((0, 0), (5, 6), (5, -1)):
        with pytest.raises(ValueError, match="is impossible"):
            compute_kupiec(n, failures, 0.01)
    for p in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="cannot be tested"):
            compute_kupiec(10, 1, p)
    for counts in ((0, 0, 0, 0), (5, -1, 2, 0)):
        with pytest.raises(ValueError, match="cannot be tested"):
            compute_christoffersen(*counts)
    for level in (0.0, 1.0, 97.5, math.nan):
        with pytest.raises(ValueError, match="level of"):
            compute_backtest([1.0], [1.0], level=level)
    with pytest.raises(ValueError, match="one of each a day"):
        compute_backtest([1.0], [], level=0.975)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="VaR forecast of"):
            compute_backtest([wrong], [None], level=0.975)
        with pytest.raises(ValueError, match="a loss of"):
            compute_backtest([None], [wrong], level=0.975)


counts = st.integers(0, 2_000)


@given(counts, counts, st.floats(1e-3, 0.5))
def test_every_statistic_is_at_least_zero_and_every_p_value_a_chance(n: int, x: int, p: float) -> None:
    failures, n_days = min(n, x), max(n, x, 1)
    found = compute_kupiec(n_days, failures, p)
    assert found.statistic >= 0
    assert 0 <= found.p_value <= 1


@given(st.integers(1, 500), st.data())
def test_more_failures_than_expected_are_ever_stronger_evidence(n: int, data: st.DataObject) -> None:
    least = math.ceil(n * 0.025)
    x = data.draw(st.integers(least, n))
    more = data.draw(st.integers(x, n))
    assert compute_kupiec(n, more, 0.025).statistic >= compute_kupiec(n, x, 0.025).statistic - 1e-9


amounts = st.none() | st.just(0.0) | st.floats(1e-6, 1e9)
series = st.lists(st.tuples(amounts, amounts), max_size=60)


@given(series, st.sampled_from([2.0**-20, 0.5, 2.0**40]))
def test_all_money_times_k_changes_no_test(rows: list[tuple[float | None, float | None]], k: float) -> None:
    # Amounts in whole cents, so that no tiny one rounds to 0.
    cents = [tuple(None if usd is None else round(usd, 2) for usd in row) for row in rows]
    one, other = (
        compute_backtest(
            [None if forecast is None else forecast * factor for forecast, _ in cents],
            [None if loss is None else loss * factor for _, loss in cents],
            level=0.975,
        )
        for factor in (1.0, k)
    )
    assert one == other
    assert one.n + one.n_unknown == len(rows)
