"""M8: runway, drawdown, self-funding, inflow by source and what the facts explain."""

from decimal import Decimal

import pytest

from solvency.flows import (
    compute_explained_share,
    compute_max_drawdown,
    compute_runway,
    compute_self_funding,
    group_by_source,
    split_usd_change,
    sum_recurring,
)
from solvency.quantity import Quantity, make_unknown


def test_the_runway_of_the_worked_example_is_730_days() -> None:
    runway = compute_runway(Quantity(365_000.0, "USDC"), inflow_per_day=1_000, payout_per_day=1_500, observed_days=90)
    assert (runway.value, runway.quality) == (730.0, "ok")


@pytest.mark.parametrize("inflow", [1_500, 2_000])
def test_a_fund_that_earns_what_it_pays_is_not_shrinking_and_has_no_number(inflow: float) -> None:
    runway = compute_runway(Quantity(1.0, "USDC"), inflow_per_day=inflow, payout_per_day=1_500, observed_days=365)
    assert (runway.value, runway.words, runway.is_known) == (None, "not shrinking", True)


def test_a_runway_from_fewer_than_90_days_is_partial() -> None:
    runway = compute_runway(Quantity(100.0, "USDC"), inflow_per_day=0, payout_per_day=1, observed_days=89)
    assert (runway.value, runway.quality, runway.window_days) == (100.0, "partial", 89)


def test_a_runway_without_observed_days_or_balance_is_unknown() -> None:
    balance = Quantity(100.0, "USDC")
    assert compute_runway(balance, inflow_per_day=0, payout_per_day=1, observed_days=0).quality == "unknown"
    hidden = make_unknown("USDC", "call reverted")
    assert "call reverted" in compute_runway(hidden, inflow_per_day=0, payout_per_day=1, observed_days=90).reason


def test_a_fund_below_zero_that_shrinks_has_no_days_left() -> None:
    balance = Quantity(-5.0, "USDC")
    assert compute_runway(balance, inflow_per_day=0, payout_per_day=1, observed_days=90).value == 0.0


def test_a_stale_balance_makes_the_runway_stale() -> None:
    balance = Quantity(5.0, "USDC", "stale", "balance is 3 h old")
    assert compute_runway(balance, inflow_per_day=0, payout_per_day=1, observed_days=90).quality == "stale"


def test_the_drawdown_of_the_worked_example() -> None:
    found = compute_max_drawdown([100, 120, 90, 110, 60, 130])
    assert (found.share.value, found.peak, found.trough) == (0.5, 1, 4)


def test_a_series_that_only_rises_has_no_drawdown() -> None:
    found = compute_max_drawdown([1, 2, 3])
    assert (found.share.value, found.peak, found.trough) == (0.0, None, None)


def test_a_balance_below_zero_draws_down_more_than_everything() -> None:
    assert compute_max_drawdown([100, -50]).share.value == 1.5


def test_unknown_balances_are_skipped_and_said() -> None:
    found = compute_max_drawdown([None, 100, None, 80])
    assert (found.share.value, found.share.quality, found.peak, found.trough) == (0.2, "partial", 1, 3)
    assert compute_max_drawdown([None]).share.quality == "unknown"


def test_a_usd_change_is_use_plus_price_effect() -> None:
    # 10 tokens at 100 become 8 at 90: 2 used at 100, 8 lost 10 each; 1,000 → 720.
    assert split_usd_change((10, 100), (8, 90)) == (Decimal(-200), Decimal(-80))


def test_self_funding_of_the_worked_example() -> None:
    assert compute_self_funding(400.0, 500.0).value == 0.8


def test_self_funding_without_a_shortfall_is_said_in_words() -> None:
    assert compute_self_funding(400, 0).words == "no shortfall to fund"
    with pytest.raises(ValueError, match="positive"):
        compute_self_funding(400, -1)


def test_inflow_is_grouped_by_source_and_only_contractual_sources_recur() -> None:
    inflows = [("liquidation_fee", 3), ("top_up", 100), ("trading_fee", 2), ("liquidation_fee", 4), ("stake", 50)]
    by_source = group_by_source(inflows)
    assert by_source == {"liquidation_fee": 7, "stake": 50, "top_up": 100, "trading_fee": 2}
    assert list(by_source) == sorted(by_source)
    assert sum_recurring(by_source) == 9


@pytest.mark.parametrize(
    ("change", "flows", "share"), [(100, 100, 1.0), (100, 75, 0.75), (75, 100, 0.75), (-10, 10, 0.0), (0, 50, 0.0)]
)
def test_the_explained_share_of_a_change(change: int, flows: int, share: float) -> None:
    assert compute_explained_share(change, flows).value == share


def test_nothing_changed_and_nothing_flowed_is_said_in_words() -> None:
    assert compute_explained_share(0, 0).words == "no change"
