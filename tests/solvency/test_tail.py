"""M4: empirical VaR and expected shortfall, the threshold, and which of record and fit is published."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvency.bootstrap import compute_bootstrap_intervals
from solvency.gpd import compute_es_interval, compute_gpd_es, compute_gpd_var, compute_var_interval, fit_gpd
from solvency.tail import (
    LEVELS,
    LevelRisk,
    TailRisk,
    Threshold,
    compute_empirical_es,
    compute_tail_risk,
    compute_var,
    select_threshold,
)

# Worked example "es_emp": 90 calm days and ten with a loss.
EXAMPLE = [0.0] * 90 + [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0]


def make_record(n: int, n_loss_days: int, *, seed: int, draw: Callable[[np.random.Generator, int], Any]) -> np.ndarray:
    """Build a record of n days, n_loss_days of them with a drawn loss, in random order."""
    generator = np.random.default_rng(seed)
    daily = np.zeros(n)
    daily[:n_loss_days] = draw(generator, n_loss_days)
    generator.shuffle(daily)
    return daily


def draw_exponential(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.exponential(1_000.0, n)


def compute_tail(daily: np.ndarray) -> TailRisk:
    return compute_tail_risk(daily, seed=1, replicates=200)


@pytest.mark.parametrize(
    ("level", "var", "es"),
    [(0.9, 0.0, 32.50000000000001), (0.975, 40.0, 103.99999999999996), (0.99, 80.0, 159.99999999999986)],
)
def test_var_and_es_of_the_worked_example(level: float, var: float, es: float) -> None:
    assert compute_var(EXAMPLE, level) == var
    assert compute_empirical_es(EXAMPLE, level) == pytest.approx(es, rel=1e-9)


def test_floating_error_in_the_number_of_tail_days_moves_no_day() -> None:
    # 30 · (1 − 0.9) is 2.9999999999999996 in floats: three days, not two and a fraction.
    daily = list(range(1, 31))
    assert compute_var(daily, 0.9) == 27.0
    assert compute_empirical_es(daily, 0.9) == pytest.approx(29.0, rel=1e-12)
    # 1,000 · 0.975 is whole: x_(975) is VaR, the 25 above it are the tail.
    assert compute_var(range(1, 1_001), 0.975) == 975.0
    assert compute_empirical_es(range(1, 1_001), 0.975) == pytest.approx(988.0, rel=1e-12)


def test_one_day_is_its_own_var_and_es() -> None:
    assert compute_var([5.0], 0.99) == compute_empirical_es([5.0], 0.99) == 5.0
    assert compute_empirical_es([5.0, 1.0], 1e-12) == pytest.approx(3.0)


def test_equal_losses_have_exactly_that_es() -> None:
    assert compute_empirical_es([0.1] * 97, 0.975) == 0.1
    assert compute_empirical_es([0.0] * 97, 0.975) == 0.0


@pytest.mark.parametrize("daily", [[], [-1.0], [float("nan")], [float("inf")]])
def test_a_record_that_is_no_record_is_refused(daily: list[float]) -> None:
    for compute in (compute_var, compute_empirical_es):
        with pytest.raises(ValueError, match="daily loss"):
            compute(daily, 0.975)
    with pytest.raises(ValueError, match="daily loss"):
        select_threshold(daily)


def test_a_level_in_percent_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        compute_var(EXAMPLE, 97.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        compute_tail_risk(EXAMPLE, seed=1, levels=(97.5,))


@pytest.mark.parametrize(
    ("n", "u", "n_excess"),
    [
        (1_000, 950, 50),  # 95 %: exactly 50 above.
        (999, 925, 74),  # 95 %: x_(950), only 49 above.
        (667, 617, 50),  # 92.5 %: x_(617), exactly 50 above.
        (500, 450, 50),  # 90 %.
        (400, 360, 40),  # 90 %, although under 50.
    ],
)
def test_the_threshold_is_the_highest_quantile_with_fifty_days_above(n: int, u: float, n_excess: int) -> None:
    assert select_threshold(range(1, n + 1)) == Threshold(u, n_excess)


def test_days_at_the_threshold_are_not_above_it() -> None:
    # x_(950) is one of 20 equal days, of which 10 lie above the quantile's place.
    daily = [*range(1, 941), *[950] * 20, *range(961, 1_001)]
    assert select_threshold(daily) == Threshold(925.0, 75)


def test_where_few_days_had_a_loss_the_threshold_is_zero() -> None:
    assert select_threshold([0.0] * 960 + [1.0] * 40) == Threshold(0.0, 40)


def test_under_ninety_days_everything_is_unknown() -> None:
    for daily in (EXAMPLE[11:], []):
        risk = compute_tail_risk(daily, seed=1)
        assert (risk.method, risk.threshold, risk.fit) == ("", None, None)
        for level in risk.levels:
            assert level.method == ""
            assert level.var.quality == level.es.quality == "unknown"
            assert level.es.reason == f"{len(daily)} observed days; expected shortfall needs 90"
    assert compute_tail(np.array(EXAMPLE[10:])).levels[0].es.is_known


def test_a_record_without_a_loss_is_unknown_and_not_zero() -> None:
    (low, high) = compute_tail(np.zeros(365)).levels
    assert low.var.value is low.es.value is high.es.value is None
    assert low.es.reason == "no shortfall recognised in 365 observed days"
    assert (low.es.n_obs, low.es.n_events, low.es.window_days) == (365, 0, 365)


def test_under_five_loss_days_severity_is_unknown() -> None:
    four, five = (compute_tail(make_record(365, k, seed=1, draw=draw_exponential)) for k in (4, 5))
    assert four.levels[0].es.reason == "days with a shortfall: 4; expected shortfall needs 5"
    assert five.levels[0].es.is_known


def test_under_twenty_days_above_the_threshold_the_record_speaks_with_its_bootstrap() -> None:
    daily = make_record(1_000, 19, seed=2, draw=draw_exponential)
    risk = compute_tail_risk(daily, seed=77)
    assert (risk.method, risk.threshold, risk.n_excess, risk.fit) == ("empirical", 0.0, 19, None)
    for level, band in zip(risk.levels, compute_bootstrap_intervals(daily, LEVELS, seed=77), strict=True):
        assert (level.method, level.level, level.es.quality) == ("empirical", band.level, "partial")
        assert level.es.value == compute_empirical_es(daily, level.level)
        assert level.var.value == compute_var(daily, level.level)
        assert (level.es.ci_low, level.es.ci_high) == (band.es_low, band.es_high)
        assert (level.var.ci_low, level.var.ci_high) == (band.var_low, band.var_high)
        assert "19 days above the threshold" in level.es.reason


@pytest.mark.parametrize(("n_loss_days", "quality"), [(49, "partial"), (50, "ok")])
def test_from_twenty_days_the_tail_is_fitted_and_from_fifty_with_confidence(n_loss_days: int, quality: str) -> None:
    daily = make_record(1_000, n_loss_days, seed=3, draw=draw_exponential)
    risk = compute_tail(daily)
    excesses = daily[daily > 0]
    fit = fit_gpd(excesses, n_obs=1_000)
    assert (risk.method, risk.n_excess, risk.fit) == ("gpd", n_loss_days, fit)
    for level in risk.levels:
        assert (level.method, level.es.quality, level.es.unit) == ("gpd", quality, "usd")
        assert (level.es.reason != "") == (quality == "partial")
        assert level.es.value == compute_gpd_es(fit, level.level)
        assert level.var.value == compute_gpd_var(fit, level.level)
        assert (level.es.ci_low, level.es.ci_high) == compute_es_interval(fit, excesses, level.level)
        assert (level.var.ci_low, level.var.ci_high) == compute_var_interval(fit, excesses, level.level)
        assert (level.es.n_obs, level.es.n_events, level.es.window_days) == (1_000, n_loss_days, 1_000)
    assert risk.levels[0].es.reason == (
        "low confidence: 49 days above the threshold, under 50" if quality == "partial" else ""
    )


def test_a_level_under_the_threshold_is_empirical() -> None:
    # 24 loss days of 1,000: the fit starts at 97.6 %.
    daily = make_record(1_000, 24, seed=4, draw=draw_exponential)
    low, high = compute_tail(daily).levels
    assert (low.method, high.method) == ("empirical", "gpd")
    assert low.es.value == compute_empirical_es(daily, 0.975)
    assert low.es.ci_high is not None
    # At 25 the level is the threshold itself, and the fit reaches it.
    low, high = compute_tail(make_record(1_000, 25, seed=4, draw=draw_exponential)).levels
    assert (low.method, low.var.value, low.var.ci_high) == ("gpd", pytest.approx(0.0, abs=1e-9), None)
    assert low.es.ci_high is not None


def test_a_tail_without_a_finite_mean_has_var_and_no_es() -> None:
    for n_loss_days, methods in ((100, ["gpd", "gpd"]), (24, ["empirical", "gpd"])):
        daily = make_record(1_000, n_loss_days, seed=6, draw=lambda generator, n: generator.pareto(0.45, n))
        risk = compute_tail(daily)
        assert risk.fit is not None
        assert risk.fit.shape >= 1
        assert [level.method for level in risk.levels] == methods
        for level in risk.levels:
            assert level.var.is_known
            assert level.es.quality == "unknown"
            assert "no finite mean" in level.es.reason


def test_a_tail_that_may_have_no_finite_mean_has_no_upper_bound_and_no_es() -> None:
    daily = make_record(1_000, 40, seed=7, draw=lambda generator, n: generator.pareto(1.4, n))
    risk = compute_tail(daily)
    assert risk.fit is not None
    assert 0.5 < risk.fit.shape < 1
    for level in risk.levels:
        assert level.var.is_known
        assert level.es.quality == "unknown"
        assert level.es.ci_high is None
        assert level.es.reason.startswith("no upper bound")


def test_a_fit_that_hangs_on_the_largest_losses_gives_way_to_the_record() -> None:
    # Sixty equal losses: the fit is the uniform law, whose ES of 79 and upper end of 82 lie under every loss there was.
    daily = np.zeros(1_000)
    daily[100:700:10] = 100.0
    excesses = daily[daily > 0]
    fit = fit_gpd(excesses, n_obs=1_000)
    interval = compute_es_interval(fit, excesses, 0.975)
    assert interval is not None
    assert (interval[1] or 100.0) < compute_empirical_es(daily, 0.975) == 100.0
    risk = compute_tail(daily)
    assert (risk.method, risk.n_excess, risk.fit) == ("empirical", 60, None)
    for level in risk.levels:
        assert (level.method, level.es.value, level.es.quality) == ("empirical", 100.0, "partial")
        assert level.es.reason == "fitted shape ξ = -1.00 has no interval: empirical"


def test_an_interval_never_leaves_out_the_estimate() -> None:
    daily = make_record(365, 10, seed=5, draw=draw_exponential)
    sides = set()
    for seed in range(12):
        (band,) = compute_bootstrap_intervals(daily, (0.975,), seed=seed, replicates=1)
        es = compute_tail_risk(daily, seed=seed, replicates=1).levels[0].es
        assert es.value is not None
        assert (es.ci_low, es.ci_high) == (min(band.es_low, es.value), max(band.es_high, es.value))
        sides.add(band.es_low < es.value)
    assert sides == {True, False}


def test_with_twenty_days_above_the_threshold_there_is_a_fit() -> None:
    risk = compute_tail(make_record(1_000, 20, seed=2, draw=draw_exponential))
    assert (risk.method, [level.method for level in risk.levels]) == ("gpd", ["empirical", "gpd"])
    assert {level.var.reason for level in risk.levels} == {"low confidence: 20 days above the threshold, under 50"}


def test_levels_come_in_rising_order() -> None:
    daily = make_record(1_000, 60, seed=8, draw=draw_exponential)
    risk = compute_tail_risk(daily, seed=1, levels=(0.99, 0.975), replicates=50)
    assert risk.method == "gpd"
    assert [level.level for level in risk.levels] == [0.975, 0.99]
    assert [level.level for level in compute_tail_risk([], seed=1, levels=(0.99, 0.975)).levels] == [0.975, 0.99]


def test_the_interval_of_constant_losses_holds_them() -> None:
    (low, _) = compute_tail(np.full(90, 0.1)).levels
    assert (low.es.ci_low, low.es.value, low.es.ci_high) == (0.1, 0.1, 0.1)


def list_money(risk: LevelRisk) -> list[float]:
    """The numbers of a level; one that is missing is −1."""
    money = (risk.var.value, risk.var.ci_low, risk.var.ci_high, risk.es.value, risk.es.ci_low, risk.es.ci_high)
    return [-1.0 if amount is None else amount for amount in money]


few_examples = settings(max_examples=30, deadline=None)
records = st.builds(
    lambda n, share, shape, seed: make_record(
        n, int(n * share), seed=seed, draw=lambda generator, k: 1_000 * np.exp(shape * generator.normal(size=k))
    ),
    st.integers(90, 1_200),
    st.sampled_from([0.02, 0.024, 0.03, 0.06, 0.3, 1.0]),
    st.floats(0.1, 2.5),
    st.integers(0, 10**6),
)


@few_examples
@given(records)
def test_a_known_es_has_an_interval_around_it_and_rises_with_the_level(daily: np.ndarray) -> None:
    risk = compute_tail(daily)
    for level in risk.levels:
        es, var = level.es, level.var
        if es.value is None:
            assert es.reason
            continue
        assert es.ci_low is not None
        assert es.ci_high is not None
        assert es.ci_low <= es.value <= es.ci_high
        assert (var.value or 0.0) <= es.value * (1 + 1e-12)
    known = [level.es.value for level in risk.levels if level.es.value is not None]
    assert known == sorted(known)


@few_examples
@given(records, st.sampled_from([2.0**-60, 0.25, 2.0**50]))
def test_all_money_times_k_changes_no_method_and_scales_every_number(daily: np.ndarray, k: float) -> None:
    plain, scaled = compute_tail(daily), compute_tail(daily * k)
    assert (scaled.method, scaled.n_excess) == (plain.method, plain.n_excess)
    for one, other in zip(plain.levels, scaled.levels, strict=True):
        assert (one.method, one.es.quality, one.es.reason) == (other.method, other.es.quality, other.es.reason)
        expected = [amount if amount < 0 else amount * k for amount in list_money(one)]
        assert list_money(other) == pytest.approx(expected, rel=1e-9, abs=0)


@few_examples
@given(records)
def test_the_order_of_days_changes_no_estimate_and_no_fitted_interval(daily: np.ndarray) -> None:
    plain, turned = compute_tail(daily), compute_tail(np.sort(daily))
    assert (plain.fit, plain.threshold) == (turned.fit, turned.threshold)
    for one, other in zip(plain.levels, turned.levels, strict=True):
        assert (one.var.value, one.es.value, one.method) == (other.var.value, other.es.value, other.method)
        assert one.method != "gpd" or one == other


losses = st.lists(st.just(0.0) | st.floats(1e-6, 1e12), min_size=1, max_size=80)
levels = st.sampled_from([0.5, 0.9, 0.975, 0.99])


@given(losses, st.sampled_from(["0.5", "0.9", "0.975", "0.99"]))
def test_es_is_the_exact_mean_of_the_worst_share_of_days(daily: list[float], level: str) -> None:
    # Acerbi & Tasche: the mean of the quantile function beyond α, each day holding 1/n of it, in exact fractions.
    left = tail = (1 - Fraction(level)) * len(daily)
    total = Fraction(0)
    for loss in sorted(daily, reverse=True):
        total += min(left, Fraction(1)) * Fraction(loss)
        left -= min(left, Fraction(1))
    assert compute_empirical_es(daily, float(level)) == pytest.approx(float(total / tail), rel=1e-9)


@given(losses, levels)
def test_es_is_at_least_var(daily: list[float], level: float) -> None:
    assert compute_empirical_es(daily, level) >= compute_var(daily, level)


@given(losses)
def test_es_at_99_is_at_least_es_at_97_5(daily: list[float]) -> None:
    assert compute_empirical_es(daily, 0.99) >= compute_empirical_es(daily, 0.975) * (1 - 1e-12)
    assert compute_var(daily, 0.99) >= compute_var(daily, 0.975)


@given(losses, levels, st.data())
def test_more_loss_on_any_day_never_lowers_var_or_es(daily: list[float], level: float, data: st.DataObject) -> None:
    worse = list(daily)
    worse[data.draw(st.integers(0, len(daily) - 1))] += data.draw(st.floats(0, 1e12))
    assert compute_var(worse, level) >= compute_var(daily, level)
    assert compute_empirical_es(worse, level) >= compute_empirical_es(daily, level) * (1 - 1e-12)


@given(losses, levels, st.randoms(use_true_random=False))
def test_the_order_of_days_is_irrelevant_to_the_last_byte(daily: list[float], level: float, random: Any) -> None:
    shuffled = list(daily)
    random.shuffle(shuffled)
    assert compute_empirical_es(shuffled, level) == compute_empirical_es(daily, level)
    assert compute_var(shuffled, level) == compute_var(daily, level)
    assert select_threshold(shuffled) == select_threshold(daily)


@given(losses, levels, st.sampled_from([1e-18, 0.1, 3.0, 1e18]))
def test_all_money_times_k_scales_var_and_es(daily: list[float], level: float, k: float) -> None:
    scaled = [loss * k for loss in daily]
    assert compute_var(scaled, level) == compute_var(daily, level) * k
    assert compute_empirical_es(scaled, level) == pytest.approx(compute_empirical_es(daily, level) * k, rel=1e-9)


def test_a_published_number_never_lacks_the_reason_of_a_lower_quality() -> None:
    for n_loss_days in (0, 4, 10, 24, 40, 60):
        for level in compute_tail(make_record(1_000, n_loss_days, seed=9, draw=draw_exponential)).levels:
            for quantity in (level.var, level.es):
                assert (quantity.quality == "ok") == (quantity.reason == "")
