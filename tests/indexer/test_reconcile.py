"""Opening balance + flows = balance on chain: by hand, and what a hole in the flows does."""

import pytest

from indexer.reconcile import Tolerance, Total, market_totals, residuals, wrong_positions, wrong_totals
from ledger.facts import Flow, MarketMove
from ledger.kinds import ReadingName, Role, Side
from ledger.readings import Value


def test_flows_between_two_balances_explain_their_difference() -> None:
    flows = [Flow(10, 1, 500), Flow(12, 1, -200), Flow(20, 1, 7)]
    found = residuals([(10, 1000), (15, 800), (20, 807)], flows, tolerance=Tolerance(0))
    assert [(r.number, r.amount_raw, r.is_reconciled) for r in found] == [(15, 0, True), (20, 0, True)]


def test_a_dropped_flow_is_seen() -> None:
    found = residuals([(1, 100_000), (9, 98_000)], [], tolerance=Tolerance(2))
    assert [(r.amount_raw, r.is_reconciled) for r in found] == [(-2000, False)]


@pytest.mark.parametrize(("closing", "is_ok"), [(200_000, True), (200_999, True), (201_001, True), (201_006, False)])
def test_half_a_percent_of_the_balance_is_tolerated(closing: int, is_ok: bool) -> None:
    # 0.5 % of 201,001 is 1,005 (rounded down); of 201,006 it is 1,005 as well.
    assert residuals([(1, 200_000), (2, closing)], [], tolerance=Tolerance(0))[0].is_reconciled is is_ok


def test_rounding_is_tolerated_for_each_flow_also_at_a_zero_balance() -> None:
    flows = [Flow(2, 1, 10), Flow(2, 1, -13)]
    assert residuals([(1, 3), (2, 4)], flows, tolerance=Tolerance(2))[0].is_reconciled
    assert not residuals([(1, 3), (2, 5)], flows, tolerance=Tolerance(2))[0].is_reconciled


def test_where_flows_are_exact_half_a_percent_is_as_wrong_as_all_of_it() -> None:
    # 12 units of 200,000 are far below 0.5 %, and a log is missing all the same.
    (found,) = residuals([(1, 200_000), (2, 200_012)], [Flow(2, 1, 1)], tolerance=Tolerance(2, per_mille=0))
    assert (found.amount_raw, found.is_reconciled, found.is_explained, found.before) == (11, False, False, 1)
    (found,) = residuals([(1, 200_000), (2, 200_012)], [Flow(2, 1, 1)], tolerance=Tolerance(2))
    assert (found.is_reconciled, found.is_explained) == (True, False)


def test_a_capacity_below_zero_reconciles_like_any_other() -> None:
    (found,) = residuals([(1, 50), (2, -950)], [Flow(2, 1, -1000)], tolerance=Tolerance(0))
    assert (found.amount_raw, found.is_reconciled) == (0, True)


def test_one_balance_alone_decides_nothing() -> None:
    assert residuals([(1, 50)], [Flow(1, 1, 50)], tolerance=Tolerance(0)) == []


def size(subject: str, value: int | None) -> Value:
    return Value(1, subject, value, None, None if value is not None else "reverted")


def test_positions_that_differ_from_the_contract_are_named_and_unread_ones_are_not() -> None:
    sums = {("a", "m", Side.POSITION): 5, ("b", "m", Side.POSITION): -1, ("b", "m", Side.LIQUIDITY): 9}
    read = [size("a/m", 5), size("b/m", -2), size("c/m", 0), size("d/m", None)]
    assert wrong_positions(sums, read) == ["b/m"]


def test_totals_may_be_off_by_one_unit_a_repayment_and_no_more() -> None:
    moves = [
        MarketMove(1, "m", Role.EXPOSURE_CHANGE, Side.DEBT, 100),
        MarketMove(2, "m", Role.EXPOSURE_CHANGE, Side.DEBT, -101),
    ]
    totals = market_totals(moves)
    assert totals == {"m": Total(0, -1, 0, 0, 1)}
    assert wrong_totals(totals, {ReadingName.TOTAL_BORROW: [size("m", 0)]}) == []
    assert wrong_totals(totals, {ReadingName.TOTAL_BORROW: [size("m", 1)]}) == ["m"]
    assert wrong_totals(totals, {ReadingName.TOTAL_SUPPLY: [size("m", 1)]}) == ["m"]
    assert wrong_totals({}, {ReadingName.TOTAL_SUPPLY: [size("new", 0)]}) == []
