"""M14: delay of liquidations, share closed below bankruptcy, share of the penalty that reaches the fund."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.engine import (
    Liquidation,
    compute_bankrupt_share,
    compute_liquidation_delay,
    compute_penalty_share,
)


def delayed(*seconds: float) -> list[Liquidation]:
    return [Liquidation(1_000.0, 1_000.0 + delay) for delay in seconds]


def test_the_median_is_the_middle_and_the_upper_delay_is_not_exceeded_by_95_percent() -> None:
    found = compute_liquidation_delay(delayed(*range(1, 21)))
    assert (found.median.value, found.median.unit, found.median.n_obs) == (10.5, "seconds", 20)
    # 19 of 20 are 95 %.
    assert (found.upper.value, found.upper.n_obs) == (19.0, 20)
    assert compute_liquidation_delay(delayed(*range(1, 22))).upper.value == 20.0


def test_one_liquidation_in_the_block_that_made_it_possible_has_no_delay() -> None:
    found = compute_liquidation_delay(delayed(0.0))
    assert (found.median.value, found.upper.value, found.median.quality) == (0.0, 0.0, "ok")


def test_liquidations_without_a_time_make_the_delay_partial() -> None:
    found = compute_liquidation_delay([*delayed(4.0, 6.0), Liquidation(liquidated_seconds=7.0)])
    assert (found.median.value, found.median.quality, found.median.n_obs) == (5.0, "partial", 2)
    assert "1 of 3" in found.upper.reason


def test_a_liquidation_exactly_at_bankruptcy_is_not_worse_than_it() -> None:
    share = compute_bankrupt_share([Liquidation(shortfall=loss) for loss in (0.0, 0.0, 5.0, 1e-9)])
    assert (share.value, share.n_obs, share.n_events, share.quality) == (0.5, 4, 2, "ok")


def test_an_unknown_shortfall_is_left_out_and_never_counted_as_none() -> None:
    share = compute_bankrupt_share([Liquidation(shortfall=3.0), Liquidation()])
    assert (share.value, share.n_obs, share.quality) == (1.0, 1, "partial")


def test_the_penalty_share_is_weighted_by_money() -> None:
    share = compute_penalty_share(
        [Liquidation(penalty=90.0, penalty_to_fund=0.0), Liquidation(penalty=10.0, penalty_to_fund=10.0)]
    )
    assert (share.value, share.n_obs) == (pytest.approx(0.1), 2)


def test_a_part_whose_penalty_is_unknown_is_left_out() -> None:
    share = compute_penalty_share(
        [Liquidation(penalty=10.0, penalty_to_fund=4.0), Liquidation(penalty_to_fund=9.0), Liquidation(penalty=9.0)]
    )
    assert (share.value, share.quality) == (pytest.approx(0.4), "partial")


def test_no_penalty_charged_is_said_in_words() -> None:
    share = compute_penalty_share([Liquidation(penalty=0.0, penalty_to_fund=0.0)])
    assert (share.value, share.words, share.quality) == (None, "no penalty charged", "ok")


def test_parts_that_differ_in_the_last_digit_give_the_whole_and_not_more() -> None:
    assert 0.1 * 3 > 0.3
    assert compute_penalty_share([Liquidation(penalty=0.3, penalty_to_fund=0.1 * 3)]).value == 1.0


@pytest.mark.parametrize(
    ("liquidations", "reason"),
    [([], "no liquidation recognised"), ([Liquidation(), Liquidation()], "not known of any of 2 liquidations")],
)
def test_without_inputs_nothing_is_known(liquidations: list[Liquidation], reason: str) -> None:
    delay = compute_liquidation_delay(liquidations)
    shares = [compute_bankrupt_share(liquidations), compute_penalty_share(liquidations)]
    for number in (delay.median, delay.upper, *shares):
        assert (number.value, number.quality, number.n_obs) == (None, "unknown", 0)
        assert reason in number.reason


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shortfall": -1.0}, "shortfall of -1.0 is impossible"),
        ({"shortfall": math.nan}, "shortfall of nan"),
        ({"penalty": -2.0}, "penalty of -2.0"),
        ({"penalty": 1.0, "penalty_to_fund": 1.1}, "at most all"),
        ({"liquidatable_seconds": 5.0, "liquidated_seconds": 4.0}, "before the account was liquidatable"),
    ],
)
def test_an_impossible_liquidation_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Liquidation(**wrong)


# No amount so small that a power of two below would round it to 0.
money = st.just(0.0) | st.floats(1e-6, 1e12)
liquidations = st.lists(
    st.builds(
        lambda start, delay, shortfall, penalty, part: Liquidation(
            start, start + delay, shortfall, penalty, penalty * part
        ),
        st.integers(0, 2**31).map(float),
        st.integers(0, 10**6).map(float),
        st.none() | money,
        money,
        st.integers(0, 100).map(lambda percent: percent / 100),
    ),
    min_size=1,
    max_size=6,
)


@given(liquidations, st.data())
def test_the_order_of_liquidations_changes_no_digit(rows: list[Liquidation], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    for compute in (compute_liquidation_delay, compute_bankrupt_share, compute_penalty_share):
        assert compute(shuffled) == compute(rows)


@given(liquidations)
def test_the_median_never_exceeds_the_upper_delay_and_shares_stay_within_one(rows: list[Liquidation]) -> None:
    delay = compute_liquidation_delay(rows)
    assert delay.median.value is not None
    assert delay.upper.value is not None
    assert delay.median.value <= delay.upper.value
    for share in (compute_bankrupt_share(rows), compute_penalty_share(rows)):
        assert share.value is None or 0 <= share.value <= 1


@given(liquidations, st.sampled_from([2.0**-30, 2.0, 2.0**30]))
def test_all_money_times_k_changes_no_share(rows: list[Liquidation], k: float) -> None:
    larger = [
        Liquidation(
            one.liquidatable_seconds,
            one.liquidated_seconds,
            None if one.shortfall is None else one.shortfall * k,
            (one.penalty or 0.0) * k,
            (one.penalty_to_fund or 0.0) * k,
        )
        for one in rows
    ]
    assert compute_bankrupt_share(larger) == compute_bankrupt_share(rows)
    assert compute_penalty_share(larger) == compute_penalty_share(rows)
