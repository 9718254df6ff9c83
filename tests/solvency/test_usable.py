"""M1: usable value, its worked example by hand, and what missing numbers do to it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.usable import (
    Holding,
    Liability,
    compute_concentration,
    compute_gross_balance,
    compute_slashable,
    compute_usable_value,
)

# METHOD M1, worked example: 10 M USDC, 1,000 stETH, 5 M own token, 2 M stable of which 30 % is accessible.
EXAMPLE = [
    Holding("USDC", 10_000_000.0, 0.9995, h_floor=0.005),
    Holding("stETH", 1_000, 3_000, beta=1.0, h_liq=0.02),
    Holding("OWN", 5_000_000.0, 0.8, beta=1.5, h_floor=1.0),
    Holding("DAI", 2_000_000.0, 1.0, access=0.3),
]


@pytest.mark.parametrize(
    ("shock", "usable"), [(0, 13_485_025.0), (-0.1, 13_191_025.0), (-0.3, 12_603_025.0), (-0.5, 12_015_025.0)]
)
def test_the_worked_example_is_met_to_the_cent(shock: float, usable: float) -> None:
    assert compute_usable_value(EXAMPLE, shock=shock).value == usable


def test_a_rise_is_never_credited() -> None:
    assert compute_usable_value(EXAMPLE, shock=0.5) == compute_usable_value(EXAMPLE)


def test_a_beta_above_one_takes_no_more_than_everything() -> None:
    assert compute_usable_value([Holding("ALT", 10, 5, beta=3)], shock=-0.5).value == 0


def test_the_floor_and_the_depth_haircut_are_not_added() -> None:
    # min((1 − 0.1·1)·(1 − 0.02), 1 − 0.3) = min(0.882, 0.7)
    assert compute_usable_value([Holding("X", 1, 100, beta=1, h_liq=0.02, h_floor=0.3)], shock=-0.1).value == 70


def test_a_missing_price_of_an_asset_leaves_a_lower_bound_that_says_at_least() -> None:
    found = compute_usable_value([Holding("USDC", 100, 1), Holding("ALT", 5, None)])
    assert (found.value, found.quality, found.is_lower_bound) == (100, "partial", True)
    assert "at least" in found.reason
    assert "ALT" in found.reason


def test_a_missing_price_of_the_own_token_costs_nothing_because_it_counts_nothing() -> None:
    found = compute_usable_value([Holding("USDC", 100, 1), Holding("OWN", 5, None, h_floor=1)])
    assert (found.value, found.quality) == (100, "ok")


def test_no_price_at_all_is_unknown_and_not_zero() -> None:
    found = compute_usable_value([Holding("USDC", 100, None)])
    assert (found.value, found.quality) == (None, "unknown")


def test_no_holding_read_is_unknown() -> None:
    assert compute_usable_value([]).quality == "unknown"


def test_an_empty_balance_is_zero_even_without_a_price() -> None:
    assert compute_usable_value([Holding("USDC", 0, None)]).value == 0


def test_a_liability_without_a_price_makes_usable_value_unknown() -> None:
    found = compute_usable_value([Holding("USDC", 100, 1)], [Liability("loan", 5, None)])
    assert found.quality == "unknown"
    assert "loan" in found.reason


def test_liabilities_subtract_in_full_under_every_shock() -> None:
    fund = [Holding("USDC", 100, 1)]
    assert compute_usable_value(fund, [Liability("loan", 2, 10)], shock=-0.5).value == 80


def test_a_negative_token_balance_is_an_error_that_names_the_asset() -> None:
    with pytest.raises(ValueError, match="USDC"):
        Holding("USDC", -1, 1)


def test_a_signed_net_value_below_zero_is_owed_in_full_without_haircut() -> None:
    fund = [Holding("capacity", -1_000, 1, h_floor=0.005, access=0.5, is_signed=True)]
    assert compute_usable_value(fund).value == -1_000


def test_a_signed_net_value_below_zero_without_a_price_is_unknown() -> None:
    assert compute_usable_value([Holding("capacity", -1, None, is_signed=True)]).quality == "unknown"


def test_a_signed_value_that_could_not_be_read_is_unknown_beside_other_holdings() -> None:
    fund = [Holding("USDC", 100, 1), Holding("capacity", None, 1, is_signed=True)]
    assert compute_usable_value(fund).quality == "unknown"


def test_the_gross_balance_knows_no_haircut() -> None:
    assert compute_gross_balance(EXAMPLE).value == 9_995_000 + 3_000_000 + 4_000_000 + 2_000_000


def test_the_staked_layer_leaves_out_matured_cooldowns() -> None:
    assert compute_slashable(1_000_000, 200_000, 0.3) == 240_000


def test_more_matured_than_staked_leaves_nothing_to_slash() -> None:
    assert compute_slashable(100, 200, 0.3) == 0


def test_concentration_is_the_herfindahl_index() -> None:
    assert compute_concentration([50, 30, 20]).value == 0.38


def test_concentration_of_nothing_is_unknown() -> None:
    assert compute_concentration([0, 0]).quality == "unknown"


@pytest.mark.parametrize("name", ["access", "h_liq", "h_floor"])
def test_a_share_above_one_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Holding("X", 1, 1, **{name: 1.1})  # type: ignore[arg-type]


amounts = st.decimals(0, 10**12, places=6)
shares = st.decimals(0, 1, places=3)
holdings = st.builds(
    Holding,
    st.sampled_from(["A", "B", "C"]),
    amounts,
    st.decimals(0, 10**5, places=8),
    access=shares,
    beta=st.decimals(0, 3, places=2),
    h_liq=shares,
    h_floor=shares,
)


@given(st.lists(holdings, min_size=1, max_size=5), st.data())
def test_the_order_of_assets_is_irrelevant(fund: list[Holding], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(fund))
    assert compute_usable_value(shuffled, shock=-0.3) == compute_usable_value(fund, shock=-0.3)


@given(st.lists(holdings, min_size=1, max_size=5), st.integers(0, 100), st.integers(0, 100))
def test_usable_value_falls_with_the_size_of_the_shock(fund: list[Holding], first: int, second: int) -> None:
    small, large = sorted((first, second))
    mild = compute_usable_value(fund, shock=Decimal(-small) / 100).value
    harsh = compute_usable_value(fund, shock=Decimal(-large) / 100).value
    assert mild is not None
    assert harsh is not None
    assert harsh <= mild


@given(st.lists(holdings, min_size=2, max_size=5))
def test_hiding_a_price_never_raises_usable_value(fund: list[Holding]) -> None:
    hidden = Holding(fund[0].asset, fund[0].quantity, None, fund[0].access, fund[0].beta)
    whole, part = compute_usable_value(fund).value, compute_usable_value([hidden, *fund[1:]]).value
    assert whole is not None
    assert part is None or part <= whole
