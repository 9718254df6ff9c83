"""M2 and the one number behind the word coverage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.coverage import (
    Coverage,
    StressLeg,
    compute_coverage,
    compute_exposure_coverage,
    compute_market_coverage,
    compute_target_share,
)
from solvency.quantity import Quantity, make_unknown


def usd(value: float) -> Quantity:
    return Quantity(value, "usd")


UNKNOWN = make_unknown("usd", "positions not read")


def cover(
    down: tuple[Quantity, Quantity], up: tuple[Quantity, Quantity], past: Quantity, *, none: bool = False
) -> Coverage:
    stress = [StressLeg(-0.2, *down), StressLeg(0.2, *up)]
    return compute_coverage(usd(100), past, stress, is_none_recognised=none)


def test_the_worked_example_over_open_interest() -> None:
    assert compute_exposure_coverage(usd(13_485_025), usd(250_000_000)).value == pytest.approx(0.0539401)


def test_no_open_interest_is_said_in_words() -> None:
    ratio = compute_exposure_coverage(usd(5), usd(0))
    assert (ratio.value, ratio.words) == (None, "no open interest")


def test_an_unknown_exposure_gives_no_ratio() -> None:
    assert compute_exposure_coverage(usd(5), UNKNOWN).quality == "unknown"


@pytest.mark.parametrize(
    ("cap_left", "cover"), [(None, 0.5), (usd(20), 0.1), (usd(500), 0.5), (usd(0), 0.0), (usd(-3), 0.0)]
)
def test_cover_of_a_market_is_limited_by_what_its_cap_leaves(cap_left: Quantity | None, cover: float) -> None:
    assert compute_market_coverage(usd(100), cap_left, usd(200)).value == cover


def test_an_unknown_cap_makes_the_market_unknown_and_not_uncapped() -> None:
    assert compute_market_coverage(usd(100), make_unknown("usd", "cap not read"), usd(200)).reason == "cap not read"


def test_the_share_of_a_target_the_platform_publishes() -> None:
    assert compute_target_share(usd(30), usd(40)).value == 0.75
    assert compute_target_share(usd(30), usd(0)).words == "no target"


def test_coverage_is_the_smallest_of_past_and_both_directions_and_names_its_loss() -> None:
    found = cover((usd(90), usd(45)), (usd(100), usd(80)), usd(20))
    assert (found.ratio.value, found.reference_loss.value, found.source) == (1.25, 80, "stress of +20 %")
    found = cover((usd(90), usd(45)), (usd(100), usd(10)), usd(20))
    assert (found.ratio.value, found.source) == (2.0, "stress of −20 %")
    found = cover((usd(90), usd(45)), (usd(100), usd(10)), usd(200))
    assert (found.ratio.value, found.reference_loss.value) == (0.5, 200)
    assert found.source.startswith("worst 7 days")


def test_a_direction_without_loss_is_never_the_smaller_one() -> None:
    found = cover((usd(90), usd(0)), (usd(100), usd(50)), usd(10))
    assert (found.ratio.value, found.source) == (2.0, "stress of +20 %")


def test_without_any_loss_there_is_no_modelled_loss() -> None:
    found = cover((usd(90), usd(0)), (usd(100), usd(0)), UNKNOWN, none=True)
    assert (found.ratio.value, found.ratio.words, found.reference_loss.value) == (None, "no modelled loss", 0)


def test_one_unknown_leg_makes_coverage_unknown() -> None:
    assert cover((usd(90), UNKNOWN), (usd(100), usd(50)), usd(20)).ratio.quality == "unknown"
    past_unknown = cover((usd(90), usd(45)), (usd(100), usd(50)), UNKNOWN)
    assert past_unknown.ratio.quality == "unknown"
    assert past_unknown.reference_loss.quality == "unknown"


def test_where_no_shortfall_was_recognised_the_stress_stands_alone() -> None:
    assert cover((usd(90), usd(45)), (usd(100), usd(80)), UNKNOWN, none=True).ratio.value == 1.25


def test_coverage_is_no_better_than_its_worst_leg_even_if_that_leg_is_not_the_smaller() -> None:
    stale = Quantity(20, "usd", "stale", "exposure is 3 h old")
    found = cover((usd(90), usd(45)), (usd(100), usd(80)), stale)
    assert (found.ratio.value, found.ratio.quality) == (1.25, "stale")


def test_nothing_known_at_all_is_unknown() -> None:
    assert compute_coverage(usd(1), UNKNOWN, [], is_none_recognised=True).ratio.quality == "unknown"


def test_a_fund_below_zero_covers_nothing_and_the_larger_loss_is_named() -> None:
    found = cover((usd(-10), usd(5)), (usd(-10), usd(500)), UNKNOWN, none=True)
    assert (found.ratio.value, found.reference_loss.value) == (0.0, 500)


amounts = st.floats(0, 1e12)


@given(balance=st.floats(-1e12, 1e12), down=amounts, up=amounts, past=amounts, more=amounts)
def test_more_loss_or_exposure_never_improves_coverage(
    *, balance: float, down: float, up: float, past: float, more: float
) -> None:
    def ratio(extra: float) -> float:
        stress = (usd(balance), usd(down + extra)), (usd(balance), usd(up + extra))
        value = compute_coverage(
            usd(balance),
            usd(past + extra),
            [StressLeg(-0.2, *stress[0]), StressLeg(0.2, *stress[1])],
            is_none_recognised=False,
        ).ratio.value
        return float("inf") if value is None else value

    assert ratio(more) <= ratio(0.0)
    one, two = (compute_exposure_coverage(usd(balance), usd(past + extra)).value for extra in (0.0, more))
    assert two is None or one is None or two <= one
