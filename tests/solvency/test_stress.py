"""M6: static stress of accounts, of the published leverage mix and of loans, and the gap survived."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.quantity import Quantity, make_unknown
from solvency.stress import (
    LADDER,
    PUBLISHED_MIX,
    AccountBook,
    MarketLadder,
    Position,
    compute_account_losses,
    compute_asset_losses,
    compute_bankruptcy_price,
    compute_gap_survived,
    compute_lending_losses,
    compute_market_losses,
    compute_mix_losses,
    compute_stress_ratio,
    make_book,
    make_isolated_book,
)

# Worked example "stress": size, entry, margin, maintenance margin rate; price now 100.
EXAMPLE = [
    Position(10.0, 100.0, 100.0, 0.05),
    Position(10.0, 100.0, 200.0, 0.05),
    Position(5.0, 100.0, 250.0, 0.05),
    Position(-25.0, 100.0, 1_500.0, 0.05),
]
DOWN = [-step for step in LADDER]
FLAT = np.zeros(len(LADDER))


def test_bankruptcy_prices_of_the_worked_example() -> None:
    assert [compute_bankruptcy_price(p) for p in EXAMPLE] == [90.0, 80.0, 50.0, 160.0]


def test_the_documented_short_of_dydx_is_bankrupt_at_1_2_and_owes_400_at_2() -> None:
    short = Position(-500, 1, 100)
    assert compute_bankruptcy_price(short) == 1.2
    assert make_isolated_book([short], 2).equity[0] == -400


def test_no_position_has_no_bankruptcy_price() -> None:
    assert compute_bankruptcy_price(Position(0, 100, 50)) is None


@pytest.mark.parametrize(
    ("shock", "loss"),
    [(-0.1, 0.0), (-0.2, 100.0), (-0.3, 300.0), (-0.4, 500.0), (-0.5, 700.0), (0.1, 0.0), (0.3, 0.0)],
)
def test_static_losses_of_the_worked_example(shock: float, loss: float) -> None:
    assert compute_account_losses(make_isolated_book(EXAMPLE, 100.0), [shock])[0] == pytest.approx(loss, abs=1e-9)


def test_five_percent_slippage_at_minus_thirty_of_the_worked_example() -> None:
    assert compute_account_losses(make_isolated_book(EXAMPLE, 100.0), [-0.3], slip=0.05)[0] == pytest.approx(370.0)


def test_an_upward_shock_costs_shorts_and_slips_against_them() -> None:
    book = make_isolated_book([Position(-10, 100, 100)], 100.0)
    assert compute_account_losses(book, [0.2])[0] == pytest.approx(100.0)
    # Bought back at 120 × 1.05 = 126: 260 lost against a margin of 100.
    assert compute_account_losses(book, [0.2], slip=0.05)[0] == pytest.approx(160.0)


def test_margin_is_shared_across_markets_of_one_account() -> None:
    # Alone the long would be 100 below zero at −30 %; the short in the other market pays for it.
    book = make_book({"a": (200.0, {"ETH": 1_000.0, "BTC": -500.0})})
    assert compute_account_losses(book, [-0.3])[0] == 0.0
    assert compute_asset_losses(book, book.markets.index("ETH"), [-0.3])[0] == pytest.approx(100.0)


def test_beta_scales_the_move_of_an_asset_but_no_price_falls_below_zero() -> None:
    book = make_book({"a": (0.0, {"ALT": 100.0})}, {"ALT": 3.0})
    assert list(compute_account_losses(book, [-0.1, -0.5])) == pytest.approx([30.0, 100.0])


def test_an_account_below_zero_already_counts_without_any_shock() -> None:
    assert compute_account_losses(make_book({"a": (-7.0, {"ETH": 100.0})}), [0.0])[0] == 7.0


def test_losses_by_market_add_up_and_follow_the_losing_positions() -> None:
    book = make_book({"a": (-10.0, {"ETH": 300.0, "BTC": 100.0, "ALT": -50.0}), "b": (-4.0, {})})
    split = compute_market_losses(book, [-0.2, 0.0])
    # At −20 %: equity −10 − 60 − 20 + 10 = −80, split 60:20 between the two losing longs; ALT gains.
    assert dict(zip(book.markets, split[0], strict=True)) == pytest.approx({"ETH": 60.0, "BTC": 20.0, "ALT": 0.0})
    assert split[1].sum() == pytest.approx(10.0)  # Account b is below zero without any market.


def test_an_empty_book_loses_nothing() -> None:
    assert list(compute_account_losses(make_book({}), [-0.5, 0.5])) == [0.0, 0.0]


def test_a_book_with_a_hole_in_it_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        AccountBook(np.array([np.nan]), np.zeros((1, 1)), np.ones(1))
    with pytest.raises(ValueError, match="1 accounts"):
        AccountBook(np.zeros(2), np.zeros((1, 1)), np.ones(1))


def test_the_published_mix_costs_what_the_method_states() -> None:
    assert sum(PUBLISHED_MIX.values()) == pytest.approx(1.0)
    assert list(compute_mix_losses(1_000.0, [-0.1, -0.2, 0.2, 0.0])) == pytest.approx([18.0, 83.0, 83.0, 0.0])


def test_the_mix_follows_beta() -> None:
    assert compute_mix_losses(1_000.0, [-0.1], beta=2.0)[0] == pytest.approx(83.0)
    assert compute_mix_losses(1_000.0, [-0.9], beta=2.0)[0] == compute_mix_losses(1_000.0, [-1.0])[0]


def test_a_negative_open_interest_is_an_error() -> None:
    with pytest.raises(ValueError, match="impossible"):
        compute_mix_losses(-1.0, [0.1])


@pytest.mark.parametrize(
    ("shock", "slip", "loss"),
    [(-0.1, 0, 0.0), (-0.25, 0, 3.5714285714285694), (-0.5, 0, 27.38095238095238), (-0.25, 0.1, 10.714285714285722)],
)
def test_lending_losses_of_the_worked_example(shock: float, slip: float, loss: float) -> None:
    found = compute_lending_losses(
        debt=[75.0], collateral=[100.0], threshold=[0.8], bonus=[0.05], shocks=[shock], slip=slip
    )
    assert found[0, 0] == pytest.approx(loss, abs=1e-12)


def test_a_loan_that_is_not_liquidatable_loses_nothing_yet() -> None:
    # 90 · 0.9 = 81 ≥ 80: no liquidation, although collateral after the bonus would not repay 80 at 12 %.
    found = compute_lending_losses(debt=[80.0], collateral=[90.0], threshold=[0.9], bonus=[0.2], shocks=[0.0])
    assert found[0, 0] == 0.0


def test_collateral_and_debt_are_shocked_alike() -> None:
    both = compute_lending_losses(
        debt=[90.0], collateral=[100.0], threshold=[0.95], bonus=[0.0], shocks=[-0.5], debt_beta=1.0
    )
    assert both[0, 0] == 0.0
    debt_only = compute_lending_losses(
        debt=[90.0],
        collateral=[100.0],
        threshold=[0.95],
        bonus=[0.0],
        shocks=[0.5],
        debt_beta=1.0,
        collateral_beta=0.0,
    )
    assert debt_only[0, 0] == pytest.approx(35.0)


def test_the_gap_is_the_last_step_before_the_first_failure_in_either_direction() -> None:
    usable = np.full(len(LADDER), 100.0)
    down = np.array([step * 1_000 for step in LADDER])  # 100 at 10 %, beyond from 11 %.
    up = np.array([step * 500 for step in LADDER])
    assert compute_gap_survived(usable, down, up).value == 0.10
    assert compute_gap_survived(usable, up, down).value == 0.10
    assert compute_gap_survived(usable, up, up).value == 0.20


def test_a_gap_beyond_a_failed_smaller_one_does_not_count() -> None:
    usable, down = np.full(len(LADDER), 100.0), np.zeros(len(LADDER))
    down[5] = 101.0
    assert compute_gap_survived(usable, down, FLAT).value == 0.04


def test_everything_survived_is_at_least_fifty_percent_in_words() -> None:
    gap = compute_gap_survived(FLAT + 1, FLAT, FLAT)
    assert (gap.value, gap.words) == (0.5, "≥ 50 %")


def test_a_loss_above_usable_value_without_any_shock_is_a_gap_of_zero() -> None:
    assert compute_gap_survived(FLAT + 1, FLAT + 2, FLAT).value == 0.0
    assert compute_gap_survived(FLAT - 1, FLAT, FLAT).value == 0.0


def test_a_rise_is_paid_from_todays_usable_value_and_a_fall_from_the_stressed_one() -> None:
    usable = np.array([100.0 - 100 * step for step in LADDER])
    loss = np.full(len(LADDER), 80.0)
    assert compute_gap_survived(usable, FLAT, loss).value == 0.5
    assert compute_gap_survived(usable, loss, FLAT).value == 0.20


def test_a_gap_is_survived_only_if_every_market_stays_under_what_its_cap_leaves() -> None:
    losses = np.array([step * 100 for step in LADDER])
    capped = MarketLadder("SOL-PERP", 7.0, losses, FLAT)
    assert compute_gap_survived(FLAT + 1e9, losses, FLAT, markets=[capped]).value == 0.07
    exhausted = MarketLadder("SOL-PERP", -1.0, FLAT, FLAT)
    assert compute_gap_survived(FLAT + 1e9, FLAT, FLAT, markets=[exhausted]).value == 0.0


def test_a_ladder_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="51 steps"):
        compute_gap_survived([1.0], [0.0], [0.0])


def test_no_loss_is_not_exhausted_and_an_unknown_loss_stays_unknown() -> None:
    usable = Quantity(10.0, "usd")
    assert compute_stress_ratio(usable, Quantity(0.0, "usd")).words == "not exhausted"
    assert compute_stress_ratio(usable, make_unknown("usd", "positions not read")).quality == "unknown"
    assert compute_stress_ratio(usable, Quantity(4.0, "usd")).value == 2.5


money = st.floats(-1e6, 1e6, allow_nan=False)
books = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(money, st.dictionaries(st.sampled_from(["BTC", "ETH"]), money, max_size=2)),
    min_size=1,
)


@given(books, st.data())
def test_the_order_of_accounts_is_irrelevant(
    accounts: dict[str, tuple[float, dict[str, float]]], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(accounts.items()))))
    assert list(compute_account_losses(make_book(shuffled), DOWN)) == list(
        compute_account_losses(make_book(accounts), DOWN)
    )


@given(books, st.floats(0, 1e5), st.floats(0, 1e5))
def test_more_loss_or_less_usable_value_never_widens_the_gap(
    accounts: dict[str, tuple[float, dict[str, float]]], usable: float, more: float
) -> None:
    book = make_book(accounts)
    down, up = compute_account_losses(book, DOWN), compute_account_losses(book, LADDER)
    gap = compute_gap_survived(FLAT + usable, down, up).value or 0.0
    assert (compute_gap_survived(FLAT + usable, down + more, up).value or 0.0) <= gap
    assert (compute_gap_survived(FLAT + usable + more, down, up).value or 0.0) >= gap


@given(books, st.floats(0, 1e5), st.sampled_from([0.25, 2.0, 1024.0]))
def test_all_money_times_k_changes_no_gap(
    accounts: dict[str, tuple[float, dict[str, float]]], usable: float, k: float
) -> None:
    larger = {
        name: (equity * k, {m: size * k for m, size in sizes.items()}) for name, (equity, sizes) in accounts.items()
    }
    gaps = [
        compute_gap_survived(
            FLAT + money, compute_account_losses(make_book(book), DOWN), compute_account_losses(make_book(book), LADDER)
        )
        for book, money in ((accounts, usable), (larger, usable * k))
    ]
    assert gaps[0] == gaps[1]


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_more_open_interest_never_costs_less(first: float, second: float) -> None:
    small, large = sorted((first, second))
    assert (compute_mix_losses(small, DOWN) <= compute_mix_losses(large, DOWN)).all()
