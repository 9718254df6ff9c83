"""M3: exact windows, windows scaled by exposure, episodes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.losses import (
    DAY_SECONDS,
    ExposureReading,
    LossEvent,
    WorstWindow,
    compute_gross_shortfall_lending,
    compute_gross_shortfall_perp,
    compute_scaled_worst_window,
    compute_worst_window,
    group_episodes,
)
from solvency.quantity import Quantity, divide, make_unknown

DAY, WEEK, YEAR = DAY_SECONDS, 7 * DAY_SECONDS, 365 * DAY_SECONDS

# Worked example "worst": (seconds, L).
EXAMPLE = [
    LossEvent(t, amount)
    for t, amount in [
        (0, 100.0),
        (3_600, 50.0),
        (86_399, 25.0),
        (86_400, 10.0),
        (432_000, 500.0),
        (518_400, 5.0),
        (1_728_000, 300.0),
    ]
]


def worst(events: list[LossEvent], window: int = WEEK, observed: int = YEAR) -> WorstWindow:
    return compute_worst_window(events, window_seconds=window, observed_seconds=observed)


def scaled(events: list[LossEvent], readings: list[tuple[int, float]], now: Quantity) -> WorstWindow:
    exposures = [ExposureReading(t, amount) for t, amount in readings]
    return compute_scaled_worst_window(events, exposures, exposure_now=now, window_seconds=WEEK, observed_seconds=YEAR)


def test_the_worked_example_is_met_for_a_day_and_a_week() -> None:
    assert worst(EXAMPLE, DAY).loss.value == 500.0
    assert worst(EXAMPLE).loss.value == 690.0
    usable = Quantity(13_485_025.0, "usd")
    assert divide(usable, worst(EXAMPLE, DAY).loss, when_zero="").value == 26_970.05
    assert divide(usable, worst(EXAMPLE).loss, when_zero="").value == 19_543.514492753624


def test_a_window_names_its_first_and_last_loss_and_counts_them() -> None:
    found = worst(EXAMPLE)
    assert (found.first_seconds, found.last_seconds, found.loss.n_events) == (0, 518_400, 6)


def test_a_loss_exactly_one_window_earlier_is_outside() -> None:
    assert worst([LossEvent(0, 1), LossEvent(WEEK, 1)]).loss.value == 1
    assert worst([LossEvent(0, 1), LossEvent(WEEK - 1, 1)]).loss.value == 2


def test_losses_of_one_second_belong_to_one_window() -> None:
    assert worst([LossEvent(5, 1), LossEvent(5, 2), LossEvent(5, 4)], 1).loss.value == 7


def test_no_shortfall_is_unknown_and_not_infinite_coverage() -> None:
    assert worst([]).loss.quality == "unknown"
    assert worst([LossEvent(3, 0)]).loss.quality == "unknown"
    assert scaled([], [], Quantity(1.0, "usd")).loss.quality == "unknown"


def test_a_history_shorter_than_the_window_is_partial() -> None:
    assert worst(EXAMPLE, 30 * DAY, 20 * DAY).loss.quality == "partial"
    assert worst(EXAMPLE, 30 * DAY, 30 * DAY).loss.quality == "ok"


def test_a_negative_shortfall_is_an_error() -> None:
    with pytest.raises(ValueError, match="impossible"):
        LossEvent(0, -1)


def test_an_empty_window_is_an_error() -> None:
    with pytest.raises(ValueError, match="positive length"):
        worst(EXAMPLE, 0)


def test_a_window_is_scaled_by_exposure_now_over_exposure_at_its_first_loss() -> None:
    # 10 lost of 100 exposed, 30 lost of 1,000: at today's 500 that is 50 and 15; the smaller loss is the worse one.
    events = [LossEvent(10 * DAY, 10), LossEvent(100 * DAY, 30)]
    found = scaled(events, [(9 * DAY, 100.0), (50 * DAY, 1_000.0)], Quantity(500.0, "usd"))
    assert (found.loss.value, found.unscaled, found.exposure_then) == (50.0, 10.0, 100.0)
    assert found.loss.quality == "ok"


def test_a_reading_at_the_very_second_of_the_first_loss_counts_and_a_later_one_does_not() -> None:
    readings = [(100, 10.0), (101, 1_000.0)]
    assert scaled([LossEvent(100, 1)], readings, Quantity(20.0, "usd")).loss.value == 2.0


def test_without_a_reading_before_the_loss_the_window_is_unscaled_and_partial() -> None:
    found = scaled([LossEvent(100, 7)], [(200, 10.0)], Quantity(20.0, "usd"))
    assert (found.loss.value, found.loss.quality) == (7.0, "partial")


def test_an_exposure_of_zero_then_cannot_scale_and_is_partial() -> None:
    found = scaled([LossEvent(100, 7)], [(50, 0.0)], Quantity(20.0, "usd"))
    assert (found.loss.value, found.loss.quality) == (7.0, "partial")


def test_an_unknown_exposure_now_makes_the_scaled_worst_unknown() -> None:
    found = scaled([LossEvent(100, 7)], [(50, 10.0)], make_unknown("usd", "no open interest read"))
    assert found.loss.quality == "unknown"
    assert "no open interest read" in found.loss.reason


def test_a_stale_exposure_now_makes_the_scaled_worst_stale() -> None:
    now = Quantity(20.0, "usd", "stale", "exposure is 3 h old")
    assert scaled([LossEvent(100, 7)], [(50, 10.0)], now).loss.quality == "stale"


def test_episodes_join_while_less_than_a_day_apart() -> None:
    # 0, 3600, 86399, 86400 join; 432000 and 518400 are exactly 24 h apart: not less, so two episodes.
    episodes = group_episodes(EXAMPLE)
    assert [(e.first_seconds, e.last_seconds, e.amount, e.n_events) for e in episodes] == [
        (0, 86_400, Decimal(185), 4),
        (432_000, 432_000, Decimal(500), 1),
        (518_400, 518_400, Decimal(5), 1),
        (1_728_000, 1_728_000, Decimal(300), 1),
    ]


def test_a_gross_shortfall_is_never_negative() -> None:
    assert compute_gross_shortfall_lending(100, 97.5) == Decimal("2.5")
    assert compute_gross_shortfall_lending(100, 130) == 0
    assert compute_gross_shortfall_perp(-400) == 400
    assert compute_gross_shortfall_perp(12) == 0


events = st.lists(
    st.builds(LossEvent, st.integers(0, 40 * DAY), st.decimals(0, 10**9, places=6)), min_size=1, max_size=25
)


@given(events)
def test_the_two_pointers_find_what_trying_every_window_finds(losses: list[LossEvent]) -> None:
    brute = max(
        sum(e.amount for e in losses if anchor.seconds - WEEK < e.seconds <= anchor.seconds) for anchor in losses
    )
    found = worst(losses).loss.value
    assert (found or 0) == float(brute)


@given(events)
def test_a_week_loses_at_least_as_much_as_its_worst_day(losses: list[LossEvent]) -> None:
    assert (worst(losses).loss.value or 0) >= (worst(losses, DAY).loss.value or 0)


@given(events, st.data())
def test_the_order_of_losses_is_irrelevant(losses: list[LossEvent], data: st.DataObject) -> None:
    assert worst(data.draw(st.permutations(losses))) == worst(losses)


@given(events, st.builds(LossEvent, st.integers(0, 40 * DAY), st.decimals(1, 10**9, places=6)))
def test_one_more_loss_never_makes_the_worst_window_smaller(losses: list[LossEvent], more: LossEvent) -> None:
    assert (worst([*losses, more]).loss.value or 0) >= (worst(losses).loss.value or 0)


@given(events)
def test_episodes_keep_every_unit_of_loss(losses: list[LossEvent]) -> None:
    assert sum(e.amount for e in group_episodes(losses)) == sum(e.amount for e in losses)
