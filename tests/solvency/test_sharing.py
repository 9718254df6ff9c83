"""M9: waterfall, haircuts, ADL and what stays unresolved."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.sharing import (
    NegativeAccount,
    PayerSplit,
    Winner,
    allocate_waterfall,
    compute_events_per_year,
    compute_pro_rata_haircut,
    compute_unpaid_share,
    queue_adl,
    select_unresolved,
)

HOUR = 3_600


def test_the_waterfall_of_the_worked_example() -> None:
    paid, uncovered = allocate_waterfall(130.0, [("fund", 60.0), ("staked", 40.0), ("treasury", 20.0)])
    assert paid == [("fund", 60), ("staked", 40), ("treasury", 20)]
    assert uncovered == 10


def test_later_layers_pay_nothing_while_the_first_suffices_and_a_negative_one_never_pays() -> None:
    assert allocate_waterfall(5, [("fund", 9), ("staked", 9)]) == ([("fund", 5), ("staked", 0)], 0)
    assert allocate_waterfall(5, [("fund", -3)]) == ([("fund", 0)], 5)
    with pytest.raises(ValueError, match="positive"):
        allocate_waterfall(-1, [])


@given(st.decimals(0, 10**12, places=6), st.lists(st.decimals(-(10**9), 10**12, places=6), max_size=6))
def test_the_waterfall_conserves_every_unit(loss: Decimal, sizes: list[Decimal]) -> None:
    paid, uncovered = allocate_waterfall(loss, [(str(i), size) for i, size in enumerate(sizes)])
    assert sum(amount for _, amount in paid) + uncovered == loss
    assert uncovered >= 0


def test_the_pro_rata_haircut_of_the_worked_example_leaves_losers_alone() -> None:
    assert compute_pro_rata_haircut(30.0, {"x": 100.0, "y": 50.0, "z": -20.0}) == (
        Decimal("0.2"),
        {"x": 20, "y": 10, "z": 0},
    )


def test_a_deficit_above_all_profits_takes_all_of_them_and_no_more() -> None:
    assert compute_pro_rata_haircut(500, {"x": 100, "y": 50}) == (1, {"x": 100, "y": 50})


def test_a_deficit_without_winners_is_a_full_haircut_of_nothing() -> None:
    assert compute_pro_rata_haircut(5, {"z": -1}) == (1, {"z": 0})
    assert compute_pro_rata_haircut(0, {"z": -1}) == (0, {"z": 0})


def test_the_adl_queue_of_the_worked_example() -> None:
    accounts = {"x": Winner(100.0, 0.2, 5.0), "y": Winner(50.0, 0.8, 2.0), "z": Winner(-20.0, -0.1, 10.0)}
    assert queue_adl(30.0, accounts) == (["y", "x"], {"y": 30}, 0)


def test_adl_goes_down_the_queue_and_names_what_it_could_not_take() -> None:
    accounts = {"x": Winner(100, 0.2, 5), "y": Winner(50, 0.8, 2)}
    assert queue_adl(170, accounts) == (["y", "x"], {"y": 50, "x": 100}, 20)


def test_equal_ranks_go_by_name_whatever_the_order_given() -> None:
    accounts = {"b": Winner(10, 1, 1), "a": Winner(10, 1, 1)}
    assert queue_adl(5, accounts)[0] == ["a", "b"]


def test_a_split_by_payer_reconciles_or_shows_its_residual() -> None:
    split = PayerSplit(Decimal(60), Decimal(5), Decimal(10), Decimal(20), Decimal(35))
    assert split.compute_residual(130) == 0
    assert split.compute_residual(131) == 1
    assert split.sum_uncovered() == 50


def test_an_account_below_zero_counts_from_24_hours_on_or_at_once_when_refused() -> None:
    accounts = [
        NegativeAccount("young", 10.0, 1_000 + HOUR, is_refused=False),
        NegativeAccount("old", 20.0, 1_000, is_refused=False),
        NegativeAccount("refused", 30.0, 1_000 + 23 * HOUR, is_refused=True),
        NegativeAccount("fine", 0.0, 0, is_refused=True),
    ]
    counted = select_unresolved(accounts, now_seconds=1_000 + 24 * HOUR)
    assert [account.account for account in counted] == ["old", "refused"]


def test_the_share_that_the_fund_did_not_pay() -> None:
    assert compute_unpaid_share(200, 150).value == 0.25
    assert compute_unpaid_share(0, 0).quality == "unknown"


def test_events_a_year_carry_the_garwood_interval() -> None:
    # Worked example "few": none in 365 days is 0 … .010106519 a day, that is 3.6889 a year.
    found = compute_events_per_year(0, 365)
    assert (found.value, found.ci_low) == (0.0, 0.0)
    assert found.ci_high == pytest.approx(0.010106519052366945 * 365)
    assert compute_events_per_year(3, 0).quality == "unknown"
