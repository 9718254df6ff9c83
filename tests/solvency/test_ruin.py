"""M7: depletion in closed form and the adjustment coefficient."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from solvency.ruin import (
    compute_adjustment_coefficient,
    compute_record_adjustment_coefficient,
    compute_ruin_forever,
    compute_ruin_within,
    is_ruin_certain,
)

# Worked example "ruin": F = 10, λ = .1 a day, μ = 2, c = .25 a day.
EXAMPLE = {"rate": 0.1, "mean_claim": 2.0, "inflow": 0.25}


@pytest.mark.parametrize(
    ("days", "chance"), [(30, 0.04981874331064065), (90, 0.13403055914829826), (365, 0.24979709368570246)]
)
def test_depletion_within_the_horizons_of_the_worked_example(days: float, chance: float) -> None:
    assert compute_ruin_within(10, days, **EXAMPLE) == pytest.approx(chance, rel=1e-9)


def test_eventual_depletion_and_adjustment_coefficient_of_the_worked_example() -> None:
    assert compute_ruin_forever(10, **EXAMPLE) == pytest.approx(0.29430355293715393, rel=1e-9)
    assert compute_adjustment_coefficient(**EXAMPLE) == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize(
    ("reserve", "chance"), [(0, 0.6), (1, 0.08120116994), (2, 0.01098938333), (3, 0.001487251306), (4, 0.0002012775767)]
)
def test_the_published_check_of_actuar(reserve: int, chance: float) -> None:
    # The R package actuar: claims exp(5), waiting times exp(3), premium 1.
    found = compute_ruin_forever(reserve, rate=3, mean_claim=1 / 5, inflow=1)
    assert found == pytest.approx(chance, rel=1e-9)


def compute_asmussen_integral(reserve: float, days: float, *, rate: float, mean_claim: float, inflow: float) -> float:
    """Asmussen & Albrecher 2010, V.1, in units of a claim and of c/μ; for λμ ≥ c the leading term is its limit 1."""
    rho, u, t = rate * mean_claim / inflow, reserve / mean_claim, days * inflow / mean_claim
    root = math.sqrt(rho)

    def compute_integrand(angle: float) -> float:
        first = rho * math.exp(2 * root * t * math.cos(angle) - (1 + rho) * t + u * (root * math.cos(angle) - 1))
        phase = u * root * math.sin(angle)
        second = math.cos(phase) - math.cos(phase + 2 * angle)
        return first * second / (1 + rho - 2 * root * math.cos(angle))

    whole, _ = integrate.quad(compute_integrand, 0, math.pi, epsabs=1e-13, epsrel=1e-13, limit=1_000)
    leading = rho * math.exp(-(1 - rho) * u) if rho < 1 else 1.0
    return leading - float(whole) / math.pi


@pytest.mark.parametrize("days", [1, 30, 365, 3_650])
@pytest.mark.parametrize("loading", [0.8, 0.95, 1.05, 1.25, 3.0])
@pytest.mark.parametrize("claims", [0.0, 0.1, 1.0, 10.0])
def test_the_density_of_ruin_integrates_to_asmussens_integral(claims: float, loading: float, days: float) -> None:
    case = {"rate": 0.05, "mean_claim": 7.0, "inflow": loading * 0.05 * 7.0}
    expected = compute_asmussen_integral(claims * 7.0, days, **case)
    assert compute_ruin_within(claims * 7.0, days, **case) == pytest.approx(expected, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize(("claims", "days"), [(0.0, 30.0), (0.5, 30.0), (10.0, 30.0), (10.0, 365.0), (300.0, 3_650.0)])
def test_without_inflow_depletion_is_a_compound_poisson_sum_above_the_reserve(claims: float, days: float) -> None:
    # P(Σ X > F) = Σ_n P(N = n) · P(Gamma(n) > F/μ): the sum only grows, so its last value decides.
    counts = np.arange(1, 1_000)
    series = math.fsum(stats.poisson.pmf(counts, 0.1 * days) * special.gammaincc(counts, claims))
    assert compute_ruin_within(claims * 2.0, days, rate=0.1, mean_claim=2.0, inflow=0.0) == pytest.approx(
        series, rel=1e-9
    )


@pytest.mark.parametrize("inflow", [0.0, 0.1, 0.2, 0.25])
def test_no_time_depletes_nothing_and_a_moment_only_by_its_first_claim(inflow: float) -> None:
    case = {"rate": 0.1, "mean_claim": 2.0, "inflow": inflow}
    assert compute_ruin_within(10, 0, **case) == 0.0
    assert compute_ruin_within(10, 1e-6, **case) == pytest.approx(0.1 * 1e-6 * math.exp(-5), rel=1e-5)


def test_a_long_horizon_approaches_eventual_depletion() -> None:
    assert compute_ruin_within(10, 1e6, **EXAMPLE) == pytest.approx(compute_ruin_forever(10, **EXAMPLE), rel=1e-9)
    # λμ = c: a walk without drift comes back slowly. It survives n claims with (u + 1)·√(2/π) / √(2n), u = F/μ.
    assert compute_ruin_within(10, 1e6, rate=0.1, mean_claim=2.0, inflow=0.2) == pytest.approx(
        1 - 6 * math.sqrt(2 / math.pi) / math.sqrt(2e5), abs=1e-5
    )


@pytest.mark.parametrize("inflow", [0.16, 0.3, 0.6])
@pytest.mark.parametrize("claims", [0.0, 1.0, 1e5])
def test_a_horizon_of_millions_of_claims_does_not_step_over_the_early_depletions(claims: float, inflow: float) -> None:
    case = {"rate": 0.1, "mean_claim": 2.0, "inflow": inflow}
    expected = compute_ruin_forever(claims * 2.0, **case)
    assert compute_ruin_within(claims * 2.0, 1e9, **case) == pytest.approx(expected, rel=1e-9)


def test_losses_outrun_a_weak_inflow_even_from_a_large_reserve() -> None:
    # Loses .05 a day against a reserve of 1,000: about day 20,000 it is gone, by day 60,000 all but surely.
    case = {"rate": 0.1, "mean_claim": 2.0, "inflow": 0.15}
    assert compute_ruin_within(1_000, 20_000, **case) == pytest.approx(0.5, abs=0.05)
    assert compute_ruin_within(1_000, 60_000, **case) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("inflow", [0.0, 0.19, 0.2])
def test_an_inflow_that_does_not_outrun_the_losses_ends_in_depletion(inflow: float) -> None:
    case = {"rate": 0.1, "mean_claim": 2.0, "inflow": inflow}
    assert is_ruin_certain(**case)
    assert compute_ruin_forever(1e9, **case) == 1.0
    assert compute_adjustment_coefficient(**case) is None
    assert compute_record_adjustment_coefficient([1.0, 3.0], rate=0.1, inflow=inflow) is None


def test_a_recorded_coefficient_solves_its_equation() -> None:
    claims = [0.5, 1.0, 1.0, 2.5, 40.0]
    found = compute_record_adjustment_coefficient(claims, rate=0.02, inflow=0.25)
    assert found is not None
    moment = math.fsum(math.exp(found * claim) for claim in claims) / 5
    assert 0.02 * (moment - 1) == pytest.approx(0.25 * found, rel=1e-9)


def test_equal_claims_have_the_coefficient_of_their_equation() -> None:
    # e^r − 1 = 2r for claims of 1 and c = 2λ: r = 1.2564312086261697.
    found = compute_record_adjustment_coefficient([1.0, 1.0], rate=0.3, inflow=0.6)
    assert found == pytest.approx(1.2564312086261697, rel=1e-9)


def test_a_fine_record_of_exponential_claims_comes_close_to_the_closed_form() -> None:
    claims = -2.0 * np.log1p(-(np.arange(200_000) + 0.5) / 200_000)
    found = compute_record_adjustment_coefficient(claims.tolist(), rate=0.1, inflow=0.25)
    assert found == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("loading", [1 + 1e-9, 1.5, 50.0, 1e6])
def test_a_coefficient_exists_for_the_thinnest_and_the_widest_loading(loading: float) -> None:
    found = compute_record_adjustment_coefficient([1.0, 2.0, 30.0], rate=1.0, inflow=11.0 * loading)
    assert found is not None
    moment = math.fsum(math.expm1(found * claim) for claim in (1.0, 2.0, 30.0)) / 3
    assert moment == pytest.approx(11.0 * loading * found, rel=1e-6)


def test_a_coefficient_does_not_depend_on_the_order_of_the_record() -> None:
    claims = [0.1, 0.7, 3.3, 12.9]
    forward = compute_record_adjustment_coefficient(claims, rate=0.1, inflow=1.0)
    assert forward == compute_record_adjustment_coefficient(claims[::-1], rate=0.1, inflow=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reserve": -1.0}, "reserve of -1.0"),
        ({"reserve": math.nan}, "reserve of nan"),
        ({"days": -1.0}, "horizon of -1.0"),
        ({"days": math.inf}, "horizon of inf"),
        ({"rate": 0.0}, "above 0, or unknown"),
        ({"mean_claim": 0.0}, "above 0, or unknown"),
        ({"mean_claim": math.nan}, "above 0, or unknown"),
        ({"inflow": -0.1}, "inflow of -0.1"),
    ],
)
def test_impossible_inputs_are_errors(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_ruin_within(**{"reserve": 10.0, "days": 30.0, **EXAMPLE, **change})


@pytest.mark.parametrize("claims", [[], [1.0, 0.0], [1.0, -2.0], [math.nan]])
def test_a_record_with_a_hole_in_it_has_no_coefficient(claims: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one, each finite and above 0"):
        compute_record_adjustment_coefficient(claims, rate=0.1, inflow=1.0)


reserves = st.just(0.0) | st.floats(1e-6, 1e3)
loadings = st.just(0.0) | st.floats(1e-6, 3)
spans = st.just(0.0) | st.floats(1e-6, 3_650)


@given(reserves, loadings, spans, spans)
def test_a_longer_horizon_never_lowers_the_chance_and_it_stays_below_the_eventual_one(
    reserve: float, loading: float, first: float, second: float
) -> None:
    short, long = sorted((first, second))
    case = {"rate": 0.1, "mean_claim": 1.0, "inflow": 0.1 * loading}
    early, late = (compute_ruin_within(reserve, days, **case) for days in (short, long))
    assert 0 <= early <= late + 1e-10
    assert late <= compute_ruin_forever(reserve, **case)


@given(reserves, loadings, spans, st.tuples(st.floats(0, 100), st.floats(0, 1)))
def test_more_reserve_or_more_inflow_never_raises_the_chance(
    reserve: float, loading: float, days: float, more: tuple[float, float]
) -> None:
    def compute(funds: float, inflow: float) -> float:
        return compute_ruin_within(funds, days, rate=0.1, mean_claim=1.0, inflow=0.1 * inflow)

    chance = compute(reserve, loading)
    assert compute(reserve + more[0], loading) <= chance + 1e-10
    assert compute(reserve, loading + more[1]) <= chance + 1e-10


@pytest.mark.parametrize("k", [1e-12, 3.0, 1e12, 2.0**40])
def test_all_money_times_k_changes_no_chance(k: float) -> None:
    larger = {"rate": 0.1, "mean_claim": 2.0 * k, "inflow": 0.25 * k}
    assert compute_ruin_within(10 * k, 90, **larger) == pytest.approx(compute_ruin_within(10, 90, **EXAMPLE), rel=1e-9)
    assert compute_ruin_forever(10 * k, **larger) == pytest.approx(compute_ruin_forever(10, **EXAMPLE), rel=1e-9)
    record, scaled = [1.0, 3.0], [1.0 * k, 3.0 * k]
    coefficient = compute_record_adjustment_coefficient(record, rate=0.1, inflow=0.5)
    assert coefficient is not None
    assert compute_record_adjustment_coefficient(scaled, rate=0.1, inflow=0.5 * k) == pytest.approx(
        coefficient / k, rel=1e-9
    )
