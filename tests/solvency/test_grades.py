"""Grades of the models: expected shortfall, Cover-2 and depletion, and for whom they are required."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.quantity import Quantity, make_unknown
from solvency.status import (
    REQUIRED,
    Band,
    find_required,
    grade_cover,
    grade_depletion,
    grade_expected_shortfall,
)

UNKNOWN = make_unknown("ratio", "not read")
STALE = Quantity(9.0, "ratio", "stale", "3 h old")
NO_LOSS = Quantity(None, "ratio", words="no modelled loss")


def ratio(value: float) -> Quantity:
    return Quantity(value, "ratio")


@pytest.mark.parametrize(("value", "band"), [(5, 0), (4.99, 1), (2, 1), (1.99, 2), (1, 2), (0.99, 3), (0, 3)])
def test_cut_points_of_usable_value_over_the_upper_bound_of_expected_shortfall(value: float, band: int) -> None:
    assert grade_expected_shortfall(ratio(value)) == band


@pytest.mark.parametrize(
    ("two", "one", "band"),
    [(1.5, 2.0, 0), (1.49, 2.0, 1), (1.0, 1.2, 1), (0.99, 1.0, 2), (0.99, 0.99, 3), (0.5, 1.0, 2), (0.0, 0.0, 3)],
)
def test_cover_1_alone_gives_at_most_thin(two: float, one: float, band: int) -> None:
    assert grade_cover(ratio(two), ratio(one)) == band


def test_no_loss_beyond_margin_in_any_scenario_is_ample() -> None:
    assert grade_cover(NO_LOSS, NO_LOSS) == Band.AMPLE


@pytest.mark.parametrize(
    ("upper", "band"), [(0.0, 0), (0.001, 0), (0.0011, 1), (0.01, 1), (0.011, 2), (0.1, 2), (0.11, 3), (1.0, 3)]
)
def test_cut_points_of_the_upper_bound_of_depletion(upper: float, band: int) -> None:
    assert grade_depletion(Quantity(upper, "fraction")) == band


@pytest.mark.parametrize("missing", [UNKNOWN, STALE])
def test_unknown_and_stale_models_get_no_band(missing: Quantity) -> None:
    assert grade_expected_shortfall(missing) is None
    assert grade_depletion(missing) is None
    assert grade_cover(missing, ratio(2.0)) is None
    assert grade_cover(ratio(0.5), missing) is None


@pytest.mark.parametrize(
    ("loss_days", "episodes", "days", "is_public", "models"),
    [
        (0, 0, 2_000, False, ()),
        (5, 5, 89, False, ("depletion_90d",)),
        (5, 4, 90, False, ("expected_shortfall",)),
        (4, 5, 90, False, ("depletion_90d",)),
        (0, 0, 1, True, ("cover_2",)),
        (9, 9, 400, True, ("expected_shortfall", "cover_2", "depletion_90d")),
    ],
)
def test_a_model_is_required_once_its_inputs_were_there(
    loss_days: int, episodes: int, *, days: int, is_public: bool, models: tuple[str, ...]
) -> None:
    for kind in ("perp_fund", "venue_fund", "lending_backstop"):
        found = find_required(
            kind, n_loss_days=loss_days, n_episodes=episodes, observed_days=days, has_public_positions=is_public
        )
        assert found == (*REQUIRED[kind], *models)
    for kind in ("reserve", "no_fund"):
        found = find_required(kind, n_loss_days=9, n_episodes=9, observed_days=400, has_public_positions=True)
        assert found == REQUIRED[kind]


@given(
    loss_days=st.integers(0, 9),
    episodes=st.integers(0, 9),
    days=st.integers(0, 400),
    is_public=st.booleans(),
    more=st.integers(0, 9),
)
def test_a_longer_record_never_requires_less(
    loss_days: int, episodes: int, *, days: int, is_public: bool, more: int
) -> None:
    before, after = (
        find_required(
            "perp_fund",
            n_loss_days=loss_days + k,
            n_episodes=episodes + k,
            observed_days=days + k,
            has_public_positions=is_public,
        )
        for k in (0, more)
    )
    assert set(before) <= set(after)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 10))
def test_more_usable_value_never_worsens_the_band_of_a_model(first: float, second: float, one: float) -> None:
    low, high = sorted((first, second))
    assert (grade_expected_shortfall(ratio(high)) or 0) <= (grade_expected_shortfall(ratio(low)) or 0)
    # Cover-1 is at most Cover-2, so U over it is at least U over Cover-2.
    better, worse = (grade_cover(ratio(value), ratio(value * one)) for value in (high, low))
    assert (better or 0) <= (worse or 0)
    chance = sorted((min(first, 1.0), min(second, 1.0)))
    bands = [grade_depletion(Quantity(value, "fraction")) or 0 for value in chance]
    assert bands == sorted(bands)
