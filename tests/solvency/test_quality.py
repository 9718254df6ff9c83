"""M13: ages, reconciliation, observed days, sources that disagree."""

import pytest

from solvency.quality import (
    compute_period,
    compute_stale_after,
    count_observed_days,
    find_polled_days,
    judge_age,
    judge_feed,
    reconcile_balance,
    resolve_disagreement,
)
from solvency.quantity import Quantity, make_unknown

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def test_the_period_is_the_median_gap_of_the_last_thirty_days() -> None:
    now = 100 * DAY
    old = [now - 40 * DAY, now - 39 * DAY]
    assert compute_period([*old, now - 5 * HOUR, now - 2 * HOUR, now - HOUR, now], now_seconds=now) == HOUR
    assert compute_period([now], now_seconds=now) is None


def test_a_poll_of_the_future_does_not_count() -> None:
    assert compute_period([0, HOUR, 9 * HOUR], now_seconds=2 * HOUR) == HOUR


@pytest.mark.parametrize(("period", "limit"), [(None, 30 * MINUTE), (MINUTE, 30 * MINUTE), (HOUR, 3 * HOUR)])
def test_stale_is_beyond_three_periods_or_half_an_hour(period: float | None, limit: float) -> None:
    assert compute_stale_after(period) == limit


def test_an_age_at_the_limit_is_fresh_and_a_second_more_is_stale_with_the_age_said() -> None:
    assert judge_age("balance", read_seconds=0, now_seconds=3 * HOUR, period_seconds=HOUR) == ("ok", "")
    quality, reason = judge_age("balance", read_seconds=0, now_seconds=3 * HOUR + 1, period_seconds=HOUR)
    assert (quality, reason) == ("stale", "balance is 3 h old")


def test_what_was_never_read_is_unknown() -> None:
    assert judge_age("balance", read_seconds=None, now_seconds=5, period_seconds=None)[0] == "unknown"


def test_a_feed_may_be_25_hours_old_by_its_own_word() -> None:
    assert judge_feed("USDC/USD", updated_seconds=0, now_seconds=25 * HOUR) == ("ok", "")
    assert judge_feed("USDC/USD", updated_seconds=0, now_seconds=25 * HOUR + 1)[0] == "stale"
    assert judge_feed("USDC/USD", updated_seconds=0, now_seconds=2 * HOUR, max_age_seconds=HOUR)[0] == "stale"
    assert judge_feed("USDC/USD", updated_seconds=None, now_seconds=99 * DAY) == ("ok", "")


@pytest.mark.parametrize(
    ("change", "flows", "balance", "rounding", "is_reconciled"),
    [
        (100, 95, 1_000, 0, True),  # 5 is exactly 0.5 % of 1,000
        (100, 94, 1_000, 0, False),
        (100, 94, -1_200, 0, True),  # |balance|: a signed capacity below zero has the same tolerance
        (3, 0, 0, 3, True),
        (4, 0, 0, 3, False),
    ],
)
def test_a_balance_reconciles_within_half_a_percent_or_the_stated_rounding(
    *, change: int, flows: int, balance: int, rounding: int, is_reconciled: bool
) -> None:
    found = reconcile_balance(balance_change=change, flows=flows, balance=balance, rounding=rounding)
    assert found.is_reconciled is is_reconciled
    assert found.difference == change - flows


def test_a_day_is_observed_only_when_every_filter_scanned_all_of_its_blocks() -> None:
    days = [(1, 10), (11, 20), (21, 30)]
    whole, holed = [(1, 15), (16, 30)], [(1, 12), (14, 30)]
    assert count_observed_days(days, [whole]) == [True, True, True]
    assert count_observed_days(days, [whole, holed]) == [True, False, True]
    assert count_observed_days(days, []) == [False, False, False]


def test_a_day_without_a_block_is_observed_when_its_neighbours_are() -> None:
    assert count_observed_days([(11, 10)], [[(1, 30)]]) == [True]
    assert count_observed_days([(11, 10)], [[(1, 10)]]) == [False]


def test_a_polled_day_is_observed_when_it_lies_between_two_polls() -> None:
    days = [0, DAY, 2 * DAY, 3 * DAY]
    assert find_polled_days(days, [HOUR, 3 * DAY]) == [False, True, True, False]
    assert find_polled_days(days, []) == [False] * 4


def test_of_two_sources_the_lower_balance_and_the_higher_exposure_count() -> None:
    usable, exposure = resolve_disagreement(
        [Quantity(100.0, "usd"), Quantity(103.0, "usd")], [Quantity(50.0, "usd"), Quantity(50.5, "usd")]
    )
    assert (usable.value, usable.quality) == (100.0, "partial")
    assert "103.00" in usable.reason
    assert (exposure.value, exposure.quality) == (50.5, "ok")


def test_an_unknown_source_neither_wins_nor_hides_the_other() -> None:
    hidden = make_unknown("usd", "source down")
    usable, exposure = resolve_disagreement([hidden, Quantity(7.0, "usd")], [hidden])
    assert usable.value == 7.0
    assert exposure.quality == "unknown"
