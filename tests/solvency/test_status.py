"""Status: cut points, the raw band, Depleted, and what is published."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.quantity import Quantity, make_unknown
from solvency.status import (
    REQUIRED,
    Band,
    Decision,
    decide_band,
    describe_band,
    grade_gap,
    grade_past_shortfall,
    grade_runway,
    grade_uncovered,
    grade_worst_week,
    is_depleted,
    publish_bands,
)


def number(value: float, unit: str = "ratio") -> Quantity:
    return Quantity(value, unit)


UNKNOWN = make_unknown("ratio", "not read")
STALE = Quantity(9.0, "ratio", "stale", "3 h old")


@pytest.mark.parametrize(
    ("gap", "band"), [(0.5, 0), (0.30, 0), (0.29, 1), (0.20, 1), (0.19, 2), (0.10, 2), (0.09, 3), (0.0, 3)]
)
def test_cut_points_of_the_gap_survived(gap: float, band: int) -> None:
    assert grade_gap(number(gap, "fraction")) == band


@pytest.mark.parametrize(("ratio", "band"), [(3, 0), (2.99, 1), (2, 1), (1.99, 2), (1, 2), (0.99, 3), (-1, 3)])
def test_cut_points_of_the_worst_week(ratio: float, band: int) -> None:
    assert grade_worst_week(number(ratio)) == band


@pytest.mark.parametrize(("days", "band"), [(730, 0), (729, 1), (365, 1), (364, 2), (180, 2), (179, 3), (0, 3)])
def test_cut_points_of_the_runway(days: float, band: int) -> None:
    assert grade_runway(number(days, "days")) == band


def test_not_shrinking_and_no_modelled_loss_are_ample() -> None:
    assert grade_runway(Quantity(None, "days", words="not shrinking")) == Band.AMPLE
    assert grade_worst_week(Quantity(None, "ratio", words="no modelled loss")) == Band.AMPLE


@pytest.mark.parametrize("missing", [UNKNOWN, STALE])
def test_unknown_and_stale_numbers_get_no_band(missing: Quantity) -> None:
    assert grade_gap(missing) is None
    assert grade_worst_week(missing) is None
    assert grade_runway(missing) is None
    assert grade_uncovered(missing, number(0, "usd")) is None


@pytest.mark.parametrize(
    ("ratio", "episodes", "days", "band"),
    [
        (9, 5, 90, 0),  # enough of both: M3 alone
        (9, 4, 400, 1),  # few episodes: never Ample
        (9, 4, 364, 2),
        (1.5, 4, 400, 2),  # the worse of M3 and observed days
        (0.5, 4, 400, 3),
        (9, 4, 89, None),
        (9, 5, 89, None),
    ],
)
def test_few_shortfalls_take_the_worse_of_m3_and_observed_days(
    ratio: float, episodes: int, days: int, band: int | None
) -> None:
    assert grade_past_shortfall(number(ratio), n_episodes=episodes, observed_days=days) == band


@pytest.mark.parametrize(("days", "band"), [(365, 1), (364, 2), (90, 2), (89, None), (0, None)])
def test_with_none_recognised_observed_days_alone_decide(days: int, band: int | None) -> None:
    assert grade_past_shortfall(UNKNOWN, n_episodes=0, observed_days=days) == band


def test_a_few_shortfalls_of_unknown_size_are_unknown_however_long_the_record() -> None:
    assert grade_past_shortfall(UNKNOWN, n_episodes=2, observed_days=1_000) is None


@pytest.mark.parametrize(("year", "month", "band"), [(0, 0, 0), (5, 0, 2), (5, 5, 3)])
def test_uncovered_loss_is_graded_by_how_recent_it_is(year: float, month: float, band: int) -> None:
    assert grade_uncovered(number(year, "usd"), number(month, "usd")) == band


def test_the_worked_example_is_not_computable_and_says_at_best() -> None:
    bands = {"stress30": 1, "es99": 2, "dep90": 0, "worst7": None}
    assert decide_band(bands, ["stress30", "worst7"]) == Decision(None, Band.THIN, ("worst7",))


def test_the_grade_is_the_worst_of_all_known_metrics_required_or_not() -> None:
    assert decide_band({"a": 0, "b": 3, "c": None}, ["a"]) == Decision(Band.SHORT, Band.SHORT, ())


def test_a_required_metric_that_nobody_computed_is_missing() -> None:
    assert decide_band({"a": 0}, ["a", "b"]).missing == ("b",)


def test_a_required_metric_that_is_never_graded_only_has_to_be_known() -> None:
    assert decide_band({"a": 1}, ["a", "exposure"], known=["exposure"]).grade == Band.COVERED


def test_nothing_known_is_not_computable_without_a_best() -> None:
    assert decide_band({"a": None}, ["a"]) == Decision(None, None, ("a",))
    assert decide_band({}, []) == Decision(None, None, ())


def test_a_balance_at_or_below_zero_is_depleted_at_once() -> None:
    nothing = number(0, "usd")
    assert is_depleted(nothing, nothing, nothing)
    assert is_depleted(number(-5, "usd"), UNKNOWN, UNKNOWN)
    assert not is_depleted(number(5, "usd"), nothing, nothing)


def test_an_unresolved_deficit_above_usable_value_is_depleted() -> None:
    assert is_depleted(number(50, "usd"), number(41, "usd"), number(40, "usd"))
    assert not is_depleted(number(50, "usd"), number(40, "usd"), number(40, "usd"))
    assert not is_depleted(number(50, "usd"), number(0, "usd"), number(-1, "usd"))


def test_what_is_not_known_depletes_nothing() -> None:
    assert not is_depleted(UNKNOWN, UNKNOWN, UNKNOWN)
    assert not is_depleted(replace(STALE, value=0.0), UNKNOWN, UNKNOWN)
    at_least = Quantity(0.0, "usd", "partial", "at least: ALT has no price", is_lower_bound=True)
    assert not is_depleted(at_least, number(0, "usd"), number(0, "usd"))


def test_the_published_band_of_the_worked_example() -> None:
    raw = [1, 2, 1, 1, 1, 3, 0, 0, 0, 0, None, 0, 0]
    assert publish_bands(raw) == [1, 2, 2, 2, 1, 3, 3, 3, 0, 0, None, 0, 0]


def test_depleted_applies_at_once_and_is_not_remembered() -> None:
    assert publish_bands([0, 4, 0, 0]) == [0, 4, 0, 0]
    assert publish_bands([3, 4, 4, 4, 0]) == [3, 4, 4, 4, 3]


@pytest.mark.parametrize(
    ("band", "best", "kind", "words"),
    [
        (2, None, "perp_fund", "Thin"),
        (4, None, "venue_fund", "Depleted"),
        (None, 1, "perp_fund", "Not computable (at best Covered)"),
        (None, None, "perp_fund", "Not computable"),
        (None, 0, "reserve", "Not computable: covers no defined exposure"),
        (None, None, "no_fund", "No fund"),
    ],
)
def test_words_of_a_status(band: int | None, best: int | None, kind: str, words: str) -> None:
    assert describe_band(band, best, kind=kind) == words


bands = st.none() | st.integers(0, 3)


@given(st.dictionaries(st.sampled_from("abcdef"), bands, min_size=1), st.data())
def test_replacing_a_number_by_unknown_never_yields_a_better_raw_band(
    known: dict[str, int | None], data: st.DataObject
) -> None:
    before = decide_band(known, known)
    hidden = data.draw(st.sampled_from(sorted(known)))
    after = decide_band({**known, hidden: None}, known)
    assert after.grade is None
    assert set(before.missing) <= set(after.missing)


@given(st.sampled_from(["perp_fund", "lending_backstop", "venue_fund"]), st.data())
def test_hiding_any_required_metric_of_a_fund_leaves_no_grade(kind: str, data: st.DataObject) -> None:
    known = {name: data.draw(st.integers(0, 3)) for name in REQUIRED[kind]}
    assert decide_band(known, REQUIRED[kind]).grade == max(known.values())
    hidden = data.draw(st.sampled_from(REQUIRED[kind]))
    assert decide_band({**known, hidden: None}, REQUIRED[kind]).grade is None


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_better_number_never_gets_a_worse_band(first: float, second: float) -> None:
    low, high = sorted((first, second))
    for grade in (grade_gap, grade_worst_week, grade_runway):
        assert (grade(number(high)) or 0) <= (grade(number(low)) or 0)


@given(st.lists(bands, max_size=20), st.data())
def test_published_bands_are_monotone_in_the_raw_ones(raw: list[int | None], data: st.DataObject) -> None:
    worse = [None if band is None else data.draw(st.integers(band, 3)) for band in raw]
    for mild, harsh in zip(publish_bands(raw), publish_bands(worse), strict=True):
        assert (mild is None) == (harsh is None)
        assert mild is None or harsh is None or mild <= harsh
