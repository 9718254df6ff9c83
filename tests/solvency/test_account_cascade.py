"""The cascade where margin is shared, held against the one of isolated positions and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.account_cascade import compute_account_cascade
from solvency.cascade import compute_cascade, make_position_book
from solvency.stress import AccountBook, Position, compute_account_losses, make_isolated_book

PRICE = 100.0
# q, entry, margin, maintenance rate: the worked example of the method.
POSITIONS = [
    Position(10.0, 100.0, 100.0, 0.05),
    Position(10.0, 100.0, 200.0, 0.05),
    Position(5.0, 100.0, 250.0, 0.05),
    Position(-25.0, 100.0, 1_500.0, 0.05),
]


def requirement_of(positions: list[Position]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([p.maintenance_rate * abs(p.size) * PRICE for p in positions])


@pytest.mark.parametrize("shock", [-0.5, -0.3, -0.2, -0.1, -0.05, 0.1, 0.3])
@pytest.mark.parametrize("impact", [0.0, 0.002])
def test_one_market_and_isolated_margin_give_the_cascade_of_positions(shock: float, impact: float) -> None:
    depth = np.array([PRICE / impact if impact else 0.0])
    found = compute_account_cascade(
        make_isolated_book(POSITIONS, PRICE), shock, requirement=requirement_of(POSITIONS), depth=depth
    )
    (wanted,) = compute_cascade(make_position_book(POSITIONS), PRICE, [shock], impact=impact)
    assert (found.liquidated, found.rounds) == (wanted.liquidated, wanted.rounds)
    assert found.shortfall == pytest.approx(wanted.shortfall, abs=1e-9)
    assert PRICE * (1 + found.returns[0]) == pytest.approx(wanted.price)


def test_an_account_is_closed_in_all_its_markets_and_drags_others_with_it() -> None:
    # The first loses on ETH; its BTC is sold as well, which takes the second, who holds BTC alone, below its margin.
    book = AccountBook(np.array([10.0, 5.0]), np.array([[100.0, 100.0], [0.0, 100.0]]), np.array([1.0, 0.0]))
    needed = np.array([10.0, 4.0])
    calm = compute_account_cascade(book, -0.2, requirement=needed, depth=np.array([0.0, 0.0]))
    assert (calm.liquidated, calm.shortfall) == (1, pytest.approx(10.0))
    thin = compute_account_cascade(book, -0.2, requirement=needed, depth=np.array([0.0, 1_000.0]))
    # BTC falls by 10 % when 100 are sold into 1,000; at the mean of before and after the first loses 5 more.
    assert (thin.liquidated, thin.rounds) == (2, 2)
    assert thin.returns[1] == pytest.approx(0.9 * 0.9 - 1)
    assert thin.shortfall == pytest.approx(10.0 + 5.0 + (100 * (1 - 0.9 * 0.95) - 5.0))


@given(
    st.lists(st.tuples(st.floats(-50, 500), st.floats(-300, 300), st.floats(-300, 300)), min_size=1, max_size=8),
    st.sampled_from([-0.3, -0.1, 0.1, 0.3]),
)
def test_without_depth_a_cascade_costs_no_more_than_the_static_loss_and_no_price_moves(
    accounts: list[tuple[float, float, float]], shock: float
) -> None:
    book = AccountBook(
        np.array([a[0] for a in accounts]), np.array([[a[1], a[2]] for a in accounts]), np.array([1.0, 0.5])
    )
    none = np.zeros(len(accounts))
    found = compute_account_cascade(book, shock, requirement=none, depth=np.zeros(2))
    assert found.shortfall == pytest.approx(float(compute_account_losses(book, [shock])[0]), abs=1e-9)
    assert found.returns == pytest.approx(shock * book.betas)


def test_no_price_falls_below_zero_however_thin_the_market() -> None:
    book = AccountBook(np.array([1.0]), np.array([[100.0]]), np.array([1.0]))
    found = compute_account_cascade(book, -0.5, requirement=np.array([1.0]), depth=np.array([1.0]))
    assert found.returns[0] == -1.0
    # Closed half way between −50 % and nothing.
    assert found.shortfall == pytest.approx(75.0 - 1.0)


def test_columns_of_another_length_are_refused() -> None:
    book = AccountBook(np.array([1.0]), np.array([[100.0]]), np.array([1.0]))
    with pytest.raises(ValueError, match="one an account and one a market"):
        compute_account_cascade(book, -0.5, requirement=np.array([1.0, 2.0]), depth=np.array([1.0]))
