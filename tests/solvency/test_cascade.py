"""M6: liquidation cascades of isolated positions and of loans."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.cascade import (
    Cascade,
    LoanBook,
    PositionBook,
    compute_cascade,
    compute_impact,
    compute_lending_cascade,
    make_position_book,
)
from solvency.stress import Position, compute_account_losses, compute_lending_losses, make_isolated_book
from tests.solvency.cascade_loop import LOAN_RULES, POSITION_RULES, Loan, compute_equity, walk_rounds

# Worked example "cascade": size, entry, margin, maintenance margin rate; price now 100, λ = .002.
EXAMPLE = [
    Position(10.0, 100.0, 100.0, 0.05),
    Position(10.0, 100.0, 200.0, 0.05),
    Position(5.0, 100.0, 250.0, 0.05),
    Position(-25.0, 100.0, 1_500.0, 0.05),
]
IMPACT = 0.002


def make_loan_book(loans: Sequence[Loan]) -> LoanBook:
    return LoanBook(*np.array(loans, dtype=np.float64).reshape(len(loans), 4).T.copy())


def run_one(positions: Sequence[Position], shock: float, *, impact: float = IMPACT, price: float = 100.0) -> Cascade:
    return compute_cascade(make_position_book(positions), price, [shock], impact=impact)[0]


def run_loan(loan: Loan, shock: float, *, impact: float, price: float = 1.0) -> Cascade:
    return compute_lending_cascade(make_loan_book([loan]), price, [shock], impact=impact)[0]


@pytest.mark.parametrize(
    ("shock", "impact", "price", "shortfall", "liquidated", "rounds"),
    [
        (-0.05, IMPACT, 95.0, 0.0, 0, 0),
        (-0.1, IMPACT, 88.2, 9.000000000000057, 1, 1),
        (-0.2, IMPACT, 76.8, 131.9999999999999, 2, 1),
        (-0.3, IMPACT, 67.2, 328.0000000000001, 2, 1),
        (-0.2, 0.0, 80.0, 100.0, 2, 1),
    ],
)
def test_cascades_of_the_worked_example(
    shock: float, impact: float, *, price: float, shortfall: float, liquidated: int, rounds: int
) -> None:
    found = run_one(EXAMPLE, shock, impact=impact)
    assert found.price == pytest.approx(price, rel=1e-9)
    assert found.shortfall == pytest.approx(shortfall, rel=1e-9)
    assert (found.liquidated, found.rounds, found.residual_equity) == (liquidated, rounds, 0.0)
    assert not found.is_floored


def test_the_impact_is_one_over_the_depth() -> None:
    assert compute_impact(500.0) == IMPACT


@pytest.mark.parametrize("depth", [0.0, -1.0, math.nan, math.inf])
def test_a_market_without_depth_has_no_impact_to_compute_with(depth: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        compute_impact(depth)


def test_one_liquidation_drives_the_price_into_the_next() -> None:
    second = Position(10.0, 100.0, 150.0, 0.05)  # Alone it stands down to 850/9.5 = 89.5.
    assert run_one([second], -0.1).liquidated == 0
    # Round 1 at 90 as in the worked example, −9; round 2 at 88.2: dp = −1.764, fill 87.318, equity 23.18 kept.
    both = run_one([EXAMPLE[0], second], -0.1)
    assert (both.liquidated, both.rounds) == (2, 2)
    assert both.price == pytest.approx(86.436)
    assert both.shortfall == pytest.approx(9.0)
    assert both.residual_equity == pytest.approx(23.18)


def test_closing_shorts_buys_and_drives_the_price_up() -> None:
    # At 110 equity 0 < 55: dp = +.002 · 10 · 110 = 2.2, bought back at 111.1 for 11 more than there is.
    squeeze = run_one([Position(-10.0, 100.0, 100.0, 0.05)], 0.1)
    assert squeeze.price == pytest.approx(112.2)
    assert squeeze.shortfall == pytest.approx(11.0)


def test_longs_and_shorts_of_one_round_are_netted() -> None:
    # Long 10 (equity 30 < 50) and short 4 (10 < 20) at 100: net 6, dp = −1.2, fill 99.4: 24 and 12.4 are kept.
    both = run_one([Position(10.0, 100.0, 30.0, 0.05), Position(-4.0, 100.0, 10.0, 0.05)], 0.0)
    assert both.price == pytest.approx(98.8)
    assert (both.shortfall, both.liquidated, both.rounds) == (0.0, 2, 1)
    assert both.residual_equity == pytest.approx(36.4)


def test_equity_equal_to_maintenance_is_not_liquidated_yet() -> None:
    # Rates at which the liquidation price as a quotient is off by its last digit.
    rates = [k / 1_000 for k in range(1, 500)]
    exact = [Position(q, 100.0, rate * 10 * 90.0 + q * 10, rate) for rate in rates for q in (10.0, -10.0)]
    for position in exact:
        is_below = compute_equity(position, 90.0) < position.maintenance_rate * 10.0 * 90.0
        assert run_one([position], 0.0, price=90.0, impact=0.0).liquidated == is_below


def test_a_position_just_spared_in_one_round_falls_in_the_next() -> None:
    # At 90 equity 45 equals maintenance 45: only the other one is closed, and its sale takes this one along.
    spared = Position(10.0, 100.0, 145.0, 0.05)
    assert run_one([spared], -0.1).liquidated == 0
    both = run_one([spared, EXAMPLE[0]], -0.1)
    assert (both.liquidated, both.rounds) == (2, 2)


def test_sizes_too_small_for_a_trigger_price_still_count_by_their_margin() -> None:
    dust = [Position(sign * 1e-300, 100.0, margin, 0.05) for sign in (1, -1) for margin in (1e10, -1e10)]
    found = run_one(dust, -0.2)
    assert (found.liquidated, found.shortfall, found.residual_equity) == (2, 2e10, 0.0)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e15])
def test_no_amount_of_money_is_too_small_or_too_large(unit: float) -> None:
    scaled = [Position(p.size * unit, p.entry, p.margin * unit, p.maintenance_rate) for p in EXAMPLE]
    found = run_one(scaled, -0.2, impact=IMPACT / unit)
    assert found.price == pytest.approx(76.8, rel=1e-9)
    assert found.shortfall == pytest.approx(131.9999999999999 * unit, rel=1e-9)


def test_an_impact_beyond_the_whole_price_stops_at_zero_and_says_so() -> None:
    # dp = −5 · 10 · 90 is far below −90: the fill is 0, and all of the entry value but the margin is lost.
    crash = run_one(EXAMPLE[:1], -0.1, impact=5.0)
    assert (crash.price, crash.shortfall, crash.is_floored) == (0.0, 900.0, True)


def test_an_impact_beyond_all_numbers_is_an_error() -> None:
    with pytest.raises(ValueError, match="beyond all numbers"):
        run_one([Position(-10.0, 100.0, 0.0, 0.05)], 0.1, impact=1e307)


def test_a_total_loss_of_value_leaves_longs_their_entry_less_margin() -> None:
    assert run_one(EXAMPLE, -1.0).shortfall == pytest.approx(900.0 + 800.0 + 250.0)
    assert run_one(EXAMPLE, -1.7) == run_one(EXAMPLE, -1.0)


def test_a_margin_already_below_zero_counts_without_any_shock() -> None:
    assert run_one([Position(1.0, 100.0, -7.0, 0.05)], 0.0, impact=0.0).shortfall == 7.0


def test_a_closed_row_counts_only_by_what_it_owes() -> None:
    closed = run_one([Position(0.0, 100.0, -7.0, 0.05), Position(0.0, 100.0, 50.0, 0.05)], -0.3)
    assert closed == Cascade(70.0, 7.0, 1, 1, 0.0)


def test_without_maintenance_only_the_bankrupt_are_liquidated() -> None:
    at_zero, below = Position(10.0, 100.0, 100.0, 0.0), Position(10.0, 100.0, 99.0, 0.0)
    assert run_one([at_zero], -0.1, impact=0.0).liquidated == 0
    assert run_one([below], -0.1, impact=0.0).shortfall == pytest.approx(1.0)


def test_a_market_without_positions_only_moves_by_the_shock() -> None:
    assert run_one([], -0.2) == Cascade(80.0, 0.0, 0, 0, 0.0)
    assert compute_cascade(make_position_book(EXAMPLE), 100.0, [], impact=IMPACT) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", math.nan, "size of the book is not a number"),
        ("margin", math.inf, "margin of the book is not a number"),
        ("entry", -1.0, "entry price of -1.0 is impossible"),
        ("maintenance_rate", -0.01, "outside 0 ≤ rate < 1"),
        ("maintenance_rate", 1.0, "outside 0 ≤ rate < 1"),
    ],
)
def test_an_impossible_position_is_refused(field: str, value: float, message: str) -> None:
    columns = {"size": 1.0, "entry": 100.0, "margin": 10.0, "maintenance_rate": 0.05} | {field: value}
    with pytest.raises(ValueError, match=message):
        PositionBook(**{name: np.array([number]) for name, number in columns.items()})


def test_columns_of_other_lengths_or_of_integers_are_refused() -> None:
    two, one = np.zeros(2), np.zeros(1)
    with pytest.raises(ValueError, match="one length"):
        PositionBook(two, one, two, two)
    with pytest.raises(ValueError, match="one length"):
        LoanBook(*[np.zeros((1, 1))] * 4)
    with pytest.raises(ValueError, match="float64"):
        PositionBook(np.array([10]), one, one, one)


@pytest.mark.parametrize(
    ("price", "shock", "impact", "message"),
    [
        (0.0, -0.1, 0.1, "price of 0.0"),
        (math.nan, -0.1, 0.1, "price of nan"),
        (100.0, math.nan, 0.1, "shock"),
        (100.0, -0.1, -0.1, "impact of -0.1"),
        (100.0, -0.1, math.inf, "impact of inf"),
    ],
)
def test_an_impossible_market_is_refused(price: float, shock: float, impact: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_one(EXAMPLE, shock, impact=impact, price=price)


@pytest.mark.parametrize(
    ("loan", "message"),
    [
        ((-1.0, 1.0, 0.8, 0.05), "debt of -1.0"),
        ((1.0, -1.0, 0.8, 0.05), "collateral of -1.0"),
        ((1.0, 1.0, 1.1, 0.05), "outside 0 … 1"),
        ((1.0, 1.0, 0.8, -0.05), "bonus of -0.05"),
        ((math.nan, 1.0, 0.8, 0.05), "debt of the book is not a number"),
    ],
)
def test_an_impossible_loan_is_refused(loan: Loan, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_loan_book([loan])


@pytest.mark.parametrize(("shock", "loss"), [(-0.1, 0.0), (-0.25, 3.5714285714285694), (-0.5, 27.38095238095238)])
def test_without_impact_a_loan_loses_what_the_worked_example_of_lending_states(shock: float, loss: float) -> None:
    assert run_loan((75.0, 100.0, 0.8, 0.05), shock, impact=0.0).shortfall == pytest.approx(loss, rel=1e-9, abs=1e-12)


def test_sold_collateral_pushes_its_own_price_down() -> None:
    # At −25 % all 100 are seized: dp = −.001 · 100 · .75 = −.075, fill .7125, recovered 71.25/1.05 = 67.857….
    sold = run_loan((75.0, 100.0, 0.8, 0.05), -0.25, impact=0.001)
    assert sold.price == pytest.approx(0.675)
    assert sold.shortfall == pytest.approx(75.0 - 71.25 / 1.05)
    assert (sold.liquidated, sold.rounds, sold.residual_equity) == (1, 1, 0.0)


def test_no_more_collateral_is_seized_than_debt_and_bonus() -> None:
    # 60 · 1.05 / .7 = 90 of 100 at −30 %: dp = −.001 · 90 · .7 = −.063, fill .6685; 10 units are not sold.
    sold = run_loan((60.0, 100.0, 0.8, 0.05), -0.3, impact=0.001)
    assert sold.price == pytest.approx(0.637)
    # All of the collateral stands behind the debt: 100 · .6685 / 1.05 is more than 60.
    assert sold.shortfall == 0.0
    assert sold.residual_equity == pytest.approx(66.85 - 63.0)


def test_one_sale_makes_the_next_loan_liquidatable() -> None:
    first, second = (75.0, 100.0, 0.8, 0.05), (55.0, 100.0, 0.8, 0.05)  # The second stands down to .6875.
    book = make_loan_book([first, second])
    assert run_loan(second, -0.25, impact=0.001).liquidated == 0
    both = compute_lending_cascade(book, 1.0, [-0.25], impact=0.001)[0]
    assert (both.liquidated, both.rounds) == (2, 2)


def test_worthless_collateral_loses_the_whole_debt() -> None:
    assert run_loan((75.0, 100.0, 0.8, 0.05), -1.0, impact=0.001).shortfall == 75.0
    assert run_loan((75.0, 0.0, 0.8, 0.05), 0.0, impact=0.001).shortfall == 75.0
    crash = run_loan((75.0, 100.0, 0.8, 0.05), -0.25, impact=1.0)
    assert (crash.price, crash.shortfall, crash.is_floored) == (0.0, 75.0, True)


def test_a_loan_exactly_at_its_threshold_is_not_liquidated_yet() -> None:
    assert run_loan((80.0, 100.0, 0.8, 0.05), 0.0, impact=0.001).liquidated == 0
    assert run_loan((80.5, 100.0, 0.8, 0.05), 0.0, impact=0.001).liquidated == 1


def test_collateral_without_debt_is_never_sold() -> None:
    assert run_loan((0.0, 100.0, 0.8, 0.05), -0.9, impact=0.001).liquidated == 0


# Round numbers make ties and exact boundaries likely, floats make rounding so.
amounts = st.one_of(st.integers(0, 300).map(float), st.floats(0.01, 300.0))
rates = st.sampled_from([0.0, 0.005, 0.05, 0.1, 0.5, 0.9])
position_lists = st.lists(
    st.builds(
        Position,
        st.one_of(st.integers(-20, 20).map(float), st.floats(0.01, 20.0), st.floats(-20.0, -0.01)),
        amounts,
        st.one_of(amounts, st.integers(-50, 1_500).map(float)),
        rates,
    ),
    max_size=12,
)
loan_lists = st.lists(
    st.tuples(
        amounts, amounts.map(lambda x: x / 64), st.sampled_from([0.0, 0.5, 0.8, 1.0]), st.sampled_from([0.0, 0.1])
    ),
    max_size=12,
)
shock_lists = st.lists(st.one_of(st.integers(-10, 10).map(lambda k: k / 10), st.floats(-1.0, 1.0)), max_size=4)
impacts = st.one_of(st.sampled_from([0.0, 0.002, 0.01, 0.125]), st.floats(0.0, 0.2))


@given(position_lists, shock_lists, impacts)
def test_a_cascade_is_exactly_the_plain_loop_of_its_definition(
    positions: list[Position], shocks: list[float], impact: float
) -> None:
    expected = [walk_rounds(100.0 * (1 + shock), impact, positions, POSITION_RULES) for shock in shocks]
    assert compute_cascade(make_position_book(positions), 100.0, shocks, impact=impact) == expected


@given(loan_lists, shock_lists, impacts)
def test_a_lending_cascade_is_the_plain_loop_of_its_definition(
    loans: list[Loan], shocks: list[float], impact: float
) -> None:
    found = compute_lending_cascade(make_loan_book(loans), 100.0, shocks, impact=impact)
    for one, shock in zip(found, shocks, strict=True):
        expected = walk_rounds(100.0 * (1 + shock), impact, loans, LOAN_RULES)
        assert (one.price, one.liquidated, one.rounds, one.is_floored) == (
            expected.price,
            expected.liquidated,
            expected.rounds,
            expected.is_floored,
        )
        assert one.shortfall == pytest.approx(expected.shortfall, rel=1e-12, abs=1e-11)
        assert one.residual_equity == pytest.approx(expected.residual_equity, rel=1e-12, abs=1e-11)


@given(position_lists, shock_lists)
def test_without_impact_positions_lose_what_the_static_stress_states(
    positions: list[Position], shocks: list[float]
) -> None:
    static = compute_account_losses(make_isolated_book(positions, 100.0), shocks)
    found = compute_cascade(make_position_book(positions), 100.0, shocks, impact=0.0)
    assert [one.shortfall for one in found] == pytest.approx(list(static), rel=1e-9, abs=1e-9)


@given(loan_lists, shock_lists)
def test_without_impact_loans_lose_exactly_what_the_static_stress_states(
    loans: list[Loan], shocks: list[float]
) -> None:
    book = make_loan_book(loans)
    static = compute_lending_losses(
        debt=book.debt, collateral=book.collateral, threshold=book.threshold, bonus=book.bonus, shocks=shocks
    )
    found = compute_lending_cascade(book, 1.0, shocks, impact=0.0)
    assert [one.shortfall for one in found] == [math.fsum(row) for row in static]


@given(position_lists, shock_lists, impacts, st.data())
def test_the_order_of_positions_changes_no_digit(
    positions: list[Position], shocks: list[float], impact: float, data: st.DataObject
) -> None:
    mixed = make_position_book(data.draw(st.permutations(positions)))
    expected = compute_cascade(make_position_book(positions), 100.0, shocks, impact=impact)
    assert compute_cascade(mixed, 100.0, shocks, impact=impact) == expected


@given(loan_lists, shock_lists, impacts, st.data())
def test_the_order_of_loans_changes_no_digit(
    loans: list[Loan], shocks: list[float], impact: float, data: st.DataObject
) -> None:
    mixed = make_loan_book(data.draw(st.permutations(loans)))
    expected = compute_lending_cascade(make_loan_book(loans), 100.0, shocks, impact=impact)
    assert compute_lending_cascade(mixed, 100.0, shocks, impact=impact) == expected


@given(position_lists, shock_lists, impacts, st.sampled_from([2.0**-40, 0.25, 1024.0, 2.0**40]))
def test_all_money_times_k_multiplies_money_and_changes_nothing_else(
    positions: list[Position], shocks: list[float], impact: float, k: float
) -> None:
    larger = [Position(p.size, p.entry * k, p.margin * k, p.maintenance_rate) for p in positions]
    found = compute_cascade(make_position_book(larger), 100.0 * k, shocks, impact=impact)
    for one, many in zip(
        compute_cascade(make_position_book(positions), 100.0, shocks, impact=impact), found, strict=True
    ):
        assert (one.price * k, one.shortfall * k, one.residual_equity * k) == (
            many.price,
            many.shortfall,
            many.residual_equity,
        )
        assert (one.liquidated, one.rounds) == (many.liquidated, many.rounds)


@given(position_lists, shock_lists, impacts, st.sampled_from([2.0**-20, 8.0, 2.0**20]))
def test_a_market_k_times_as_large_and_as_deep_ends_at_the_same_price(
    positions: list[Position], shocks: list[float], impact: float, k: float
) -> None:
    larger = [Position(p.size * k, p.entry, p.margin * k, p.maintenance_rate) for p in positions]
    found = compute_cascade(make_position_book(larger), 100.0, shocks, impact=impact / k)
    expected = compute_cascade(make_position_book(positions), 100.0, shocks, impact=impact)
    assert [(one.price, one.liquidated, one.rounds) for one in found] == [
        (one.price, one.liquidated, one.rounds) for one in expected
    ]
    assert [one.shortfall for one in found] == [one.shortfall * k for one in expected]
