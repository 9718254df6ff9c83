"""M4: the stationary block bootstrap of the empirical tail."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.bootstrap import (
    compute_bootstrap_intervals,
    compute_tail_days,
    draw_stationary_indices,
    make_daily_losses,
)
from solvency.tail import compute_empirical_es, compute_var

LEVELS = (0.975, 0.99)


def make_generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def make_record(seed: int, n: int = 400) -> np.ndarray:
    """A record in which a fifth of the days had a loss, with a heavy tail."""
    generator = np.random.default_rng(seed)
    return generator.pareto(2, n) * (generator.random(n) < 0.2)


@pytest.mark.parametrize(("n", "level", "days"), [(100, 0.975, 2.5), (30, 0.9, 3.0), (1_000, 0.99, 10.0)])
def test_the_days_beyond_a_level_are_free_of_floating_error(n: int, level: float, days: float) -> None:
    assert int(compute_tail_days(n, level)) == int(days)
    assert compute_tail_days(n, level) == pytest.approx(days, rel=1e-12)


def test_a_level_so_high_that_less_than_a_day_lies_beyond_keeps_its_fraction() -> None:
    assert compute_tail_days(10, 1 - 1e-12) == pytest.approx(1e-11, rel=1e-3)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    daily = make_record(1)
    first, again, other = (compute_bootstrap_intervals(daily, LEVELS, seed=s, replicates=200) for s in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_seed_as_long_as_a_digest_is_taken() -> None:
    assert compute_bootstrap_intervals([1.0, 2.0], (0.9,), seed=2**256 - 1, replicates=1)


def test_every_day_is_drawn_alike_and_blocks_have_ten_days_in_the_mean() -> None:
    days = draw_stationary_indices(make_generator(3), 50, 4_000)
    counts = np.bincount(days.ravel(), minlength=50)
    assert days.shape == (4_000, 50)
    assert len(counts) == 50
    # Blocks inflate the variance of a count about 19-fold against independent draws: 4,000 ± 270.
    assert counts.min() > 4_000 - 5 * 270
    assert counts.max() < 4_000 + 5 * 270
    follows = days[:, 1:] == (days[:, :-1] + 1) % 50
    assert follows.mean() == pytest.approx(0.9 + 0.1 / 50, abs=0.005)


def test_the_first_day_follows_the_last() -> None:
    days = draw_stationary_indices(make_generator(4), 7, 500)
    after_last = days[:, 1:][days[:, :-1] == 6]
    assert (after_last == 0).mean() > 0.85


def test_each_replicate_starts_a_block_of_its_own() -> None:
    days = draw_stationary_indices(make_generator(8), 20, 5_000)
    follows = days[1:, 0] == (days[:-1, -1] + 1) % 20
    assert follows.mean() == pytest.approx(1 / 20, abs=0.015)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.975, 0.99])
def test_one_replicate_has_the_empirical_var_and_es_of_the_days_it_drew(level: float) -> None:
    daily = make_record(2)
    drawn = daily[draw_stationary_indices(make_generator(11), daily.size, 1)[0]]
    (band,) = compute_bootstrap_intervals(daily, (level,), seed=11, replicates=1)
    assert band.var_low == band.var_high == compute_var(drawn, level)
    assert band.es_low == band.es_high == pytest.approx(compute_empirical_es(drawn, level), rel=1e-12)


def test_single_days_of_a_record_give_the_classic_interval_of_its_mean() -> None:
    daily = np.random.default_rng(7).gamma(3.0, size=500)
    # At a level near 0 the whole record lies beyond, so ES is the mean.
    (band,) = compute_bootstrap_intervals(daily, (1e-9,), seed=1, mean_block=1)
    half = 1.959964 * daily.std() / np.sqrt(500)
    assert band.es_low == pytest.approx(daily.mean() - half, abs=0.1 * half)
    assert band.es_high == pytest.approx(daily.mean() + half, abs=0.1 * half)


def test_losses_that_come_in_clusters_widen_the_interval() -> None:
    daily = np.zeros(500)
    daily[100:110] = daily[300:310] = 1.0
    blocks, single = (
        compute_bootstrap_intervals(daily, (0.9,), seed=1, mean_block=mean_block)[0] for mean_block in (10, 1)
    )
    assert blocks.es_high - blocks.es_low > 1.5 * (single.es_high - single.es_low)


def test_a_higher_confidence_holds_the_lower_one() -> None:
    daily = make_record(3)
    (wide,), (narrow,) = (compute_bootstrap_intervals(daily, (0.975,), seed=2, confidence=c) for c in (0.99, 0.8))
    assert wide.es_low < narrow.es_low < narrow.es_high < wide.es_high


def test_both_levels_come_from_the_same_replicates() -> None:
    both = compute_bootstrap_intervals(make_record(4), LEVELS, seed=2, replicates=300)
    assert [band.level for band in both] == list(LEVELS)
    for level, band in zip(LEVELS, both, strict=True):
        assert compute_bootstrap_intervals(make_record(4), (level,), seed=2, replicates=300) == [band]
    assert both[0].es_low <= both[1].es_low
    assert both[0].es_high <= both[1].es_high


def test_five_years_of_days_are_resampled_in_under_fifty_megabytes() -> None:
    daily = make_record(5, n=1_825)
    tracemalloc.start()
    compute_bootstrap_intervals(daily, LEVELS, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_a_record_without_a_loss_and_one_of_equal_losses_do_not_vary() -> None:
    for amount in (0.0, 0.1):
        (band,) = compute_bootstrap_intervals(np.full(90, amount), (0.975,), seed=1, replicates=50)
        assert (band.var_low, band.var_high, band.es_low, band.es_high) == (amount,) * 4


def test_a_single_day_is_its_own_interval() -> None:
    (band,) = compute_bootstrap_intervals([3.0], (0.99,), seed=1, replicates=9)
    assert (band.var_low, band.es_low, band.es_high) == (3.0, 3.0, 3.0)


def test_at_a_level_of_nothing_the_least_day_is_var_and_the_mean_is_es() -> None:
    (band,) = compute_bootstrap_intervals([3.0, 3.0], (1e-13,), seed=1, replicates=9)
    assert (band.var_low, band.es_low) == (3.0, 3.0)


@pytest.mark.parametrize("daily", [[], [[1.0]], [-1.0], [float("nan")], [float("inf")]])
def test_a_record_that_is_no_record_is_refused(daily: list[float]) -> None:
    with pytest.raises(ValueError, match="daily loss"):
        make_daily_losses(daily)


def test_impossible_settings_are_refused() -> None:
    for level in (0.0, 1.0, 97.5, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            compute_bootstrap_intervals([1.0], (level,), seed=1)
    for setting in ({"replicates": 0}, {"confidence": 1.0}):
        with pytest.raises(ValueError, match="need at least 1"):
            compute_bootstrap_intervals([1.0], (0.9,), seed=1, **setting)
    with pytest.raises(ValueError, match="at least 1"):
        compute_bootstrap_intervals([1.0], (0.9,), seed=1, mean_block=0.5)


@given(
    st.lists(st.just(0.0) | st.floats(1e-6, 1e9), min_size=1, max_size=60), st.sampled_from([2.0**-60, 0.25, 2.0**40])
)
def test_all_money_times_k_scales_the_interval(daily: list[float], k: float) -> None:
    plain = compute_bootstrap_intervals(daily, LEVELS, seed=1, replicates=40)
    scaled = compute_bootstrap_intervals(np.array(daily) * k, LEVELS, seed=1, replicates=40)
    assert [band.es_high * k for band in plain] == pytest.approx([band.es_high for band in scaled], rel=1e-12)
    assert [band.var_low * k for band in plain] == pytest.approx([band.var_low for band in scaled], rel=1e-12)


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e9), min_size=1, max_size=60), st.data())
def test_more_loss_on_any_day_never_lowers_an_end(daily: list[float], data: st.DataObject) -> None:
    worse = list(daily)
    worse[data.draw(st.integers(0, len(daily) - 1))] += data.draw(st.floats(0, 1e9))
    for less, more in zip(
        *(compute_bootstrap_intervals(d, LEVELS, seed=1, replicates=40) for d in (daily, worse)), strict=True
    ):
        assert more.es_low >= less.es_low * (1 - 1e-12)
        assert more.es_high >= less.es_high * (1 - 1e-12)
