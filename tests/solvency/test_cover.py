"""M5: Cover-1 and Cover-2, by group of accounts and in one and the same scenario."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvency.cover import (
    Cover,
    compute_attributed_share,
    compute_cover,
    compute_cover_ratio,
    compute_group_losses,
    describe_shock,
)
from solvency.quantity import Quantity, make_unknown
from solvency.stress import AccountBook, compute_account_losses, make_book

# Worked example "cover".
LOSSES = {
    "down30": {"a": 50.0, "b": 40.0, "c": 5.0},
    "up30": {"a": 0.0, "b": 10.0, "d": 70.0},
    "down10": {"a": 5.0},
}


def read_amount(losses: dict[str, dict[str, float]], n: int) -> float:
    value = compute_cover(losses, n).amount.value
    assert value is not None
    return value


def test_cover_1_and_cover_2_of_the_worked_example() -> None:
    assert compute_cover(LOSSES, 1) == Cover(Quantity(70.0, "usd"), "up30", ("d",))
    assert compute_cover(LOSSES, 2) == Cover(Quantity(90.0, "usd"), "down30", ("a", "b"))


def test_cover_is_not_the_sum_of_everyones_own_worst_scenario() -> None:
    # d's worst (70, up) and a's worst (50, down) never happen together: 90, not 120.
    own_worst = sorted((max(by.get(group, 0.0) for by in LOSSES.values()) for group in "abcd"), reverse=True)
    assert sum(own_worst[:2]) == 120.0
    assert read_amount(LOSSES, 2) == 90.0


def test_cover_beyond_the_number_of_groups_is_the_whole_loss_of_the_worst_scenario() -> None:
    assert compute_cover(LOSSES, 9) == Cover(Quantity(95.0, "usd"), "down30", ("a", "b", "c"))


def test_a_group_that_loses_nothing_is_not_named() -> None:
    assert compute_cover({"up30": LOSSES["up30"]}, 3).groups == ("d", "b")


def test_equal_scenarios_and_equal_groups_go_by_name_whatever_the_order_given() -> None:
    tied = {"up": {"y": 7.0, "x": 7.0, "z": 7.0}, "down": {"z": 7.0, "y": 7.0, "x": 7.0}}
    for losses in (tied, dict(reversed(tied.items()))):
        assert compute_cover(losses, 2) == Cover(Quantity(14.0, "usd"), "down", ("x", "y"))


def test_nobody_beyond_his_margin_is_a_cover_of_zero_that_names_nobody() -> None:
    calm = compute_cover({"down30": {"a": 0.0}, "down10": {}}, 2)
    assert calm == Cover(Quantity(0.0, "usd"), "down10", ())
    assert compute_cover_ratio({"down10": Quantity(5.0, "usd")}, calm).words == "no modelled loss"


def test_without_a_scenario_cover_and_its_ratio_are_unknown() -> None:
    empty = compute_cover({}, 1)
    assert (empty.amount.quality, empty.amount.value, empty.groups) == ("unknown", None, ())
    assert compute_cover_ratio({"down30": Quantity(5.0, "usd")}, empty) == make_unknown("ratio", empty.amount.reason)


@pytest.mark.parametrize("loss", [-1.0, math.nan, math.inf])
def test_an_impossible_loss_is_an_error_that_names_it(loss: float) -> None:
    with pytest.raises(ValueError, match="of b in down30 is impossible"):
        compute_cover({"down30": {"a": 1.0, "b": loss}}, 1)


def test_a_cover_of_no_group_is_an_error() -> None:
    with pytest.raises(ValueError, match="Cover-0 is impossible"):
        compute_cover(LOSSES, 0)


def test_the_ratio_takes_usable_value_in_the_scenario_that_sets_the_cover() -> None:
    usable = {"down30": Quantity(180.0, "usd"), "up30": Quantity(350.0, "usd"), "down10": Quantity(1.0, "usd")}
    assert compute_cover_ratio(usable, compute_cover(LOSSES, 1)).value == 5.0
    assert compute_cover_ratio(usable, compute_cover(LOSSES, 2)).value == 2.0


def test_usable_value_that_is_missing_unknown_or_below_zero_covers_nothing_it_could_not() -> None:
    cover = compute_cover(LOSSES, 1)
    assert "up30" in compute_cover_ratio({"down30": Quantity(1.0, "usd")}, cover).reason
    assert compute_cover_ratio({"up30": make_unknown("usd", "no price")}, cover) == make_unknown("ratio", "no price")
    assert compute_cover_ratio({"up30": Quantity(-1.0, "usd")}, cover).value == 0.0


def test_the_share_of_exposure_attributed_is_a_fraction_and_carried_along() -> None:
    share = compute_attributed_share(Quantity(29.0, "usd"), Quantity(100.0, "usd"))
    assert share == Quantity(0.29, "fraction")
    cover = compute_cover(LOSSES, 1, attributed_share=share)
    assert cover.attributed_share == share
    # An owner nobody knows may lose more than the largest known group.
    assert (cover.amount.value, cover.amount.quality, cover.amount.is_lower_bound) == (70.0, "partial", True)
    assert cover.amount.reason == "29 % of exposure attributed"
    assert compute_cover_ratio({"up30": Quantity(70.0, "usd")}, cover).quality == "partial"


def test_all_exposure_attributed_leaves_the_cover_as_it_is() -> None:
    whole = compute_attributed_share(Quantity(100.0, "usd"), Quantity(100.0, "usd"))
    assert compute_cover(LOSSES, 1, attributed_share=whole).amount == Quantity(70.0, "usd")
    nothing = compute_attributed_share(Quantity(0.0, "usd"), Quantity(0.0, "usd"))
    assert nothing.words == "no open interest"
    assert compute_cover(LOSSES, 1, attributed_share=nothing).amount == Quantity(70.0, "usd")


def test_an_unknown_share_makes_the_cover_partial_with_its_reason() -> None:
    share = compute_attributed_share(Quantity(1.0, "usd"), make_unknown("usd", "no open interest read"))
    assert share == make_unknown("fraction", "no open interest read")
    amount = compute_cover(LOSSES, 1, attributed_share=share).amount
    assert (amount.value, amount.quality) == (70.0, "partial")
    assert amount.reason == "share of exposure attributed: no open interest read"


def test_more_attributed_than_read_is_all_of_it_and_partial() -> None:
    share = compute_attributed_share(Quantity(101.0, "usd"), Quantity(100.0, "usd"))
    assert (share.value, share.quality) == (1.0, "partial")


def test_a_negative_attributed_exposure_is_an_error() -> None:
    with pytest.raises(ValueError, match="impossible"):
        compute_attributed_share(Quantity(-1.0, "usd"), Quantity(100.0, "usd"))


@pytest.mark.parametrize(
    ("shock", "name"),
    [(-0.3, "-30 %"), (0.1, "+10 %"), (0.07, "+7 %"), (0.0, "+0 %"), (-0.0, "+0 %"), (-0.125, "-12.5 %")],
)
def test_a_scenario_is_named_by_its_shock(shock: float, name: str) -> None:
    assert describe_shock(shock) == name


def test_a_group_loses_what_its_accounts_lose_beyond_their_own_margins() -> None:
    book = make_book({"a": (100.0, {"ETH": 1_000.0}), "b": (50.0, {"ETH": 400.0}), "c": (20.0, {"ETH": -500.0})})
    # −30 %: a −200, b −70, c gains. +10 %: only c, −30.
    losses = compute_group_losses(book, ["whale", "whale", "c"], [-0.3, 0.1, -0.1])
    assert list(losses) == ["-30 %", "+10 %", "-10 %"]
    assert losses["-30 %"] == pytest.approx({"whale": 270.0})
    assert losses["+10 %"] == pytest.approx({"c": 30.0})
    assert losses["-10 %"] == {}


def test_a_gain_of_one_account_pays_for_no_other_of_its_group() -> None:
    book = make_book({"a": (0.0, {"ETH": 100.0}), "b": (0.0, {"ETH": -100.0})})
    assert compute_group_losses(book, ["g", "g"], [-0.5])["-50 %"] == {"g": 50.0}


def test_within_an_account_margin_is_shared_and_betas_apply_down_to_a_price_of_zero() -> None:
    book = make_book({"a": (0.0, {"ALT": 100.0, "BTC": -40.0})}, {"ALT": 3.0})
    assert compute_group_losses(book, ["a"], [-0.5])["-50 %"] == pytest.approx({"a": 80.0})


def test_an_account_without_a_group_or_a_group_without_an_account_is_refused() -> None:
    book = make_book({"a": (0.0, {}), "b": (0.0, {})})
    with pytest.raises(ValueError, match="1 group names for 2 accounts"):
        compute_group_losses(book, ["a"], [0.0])
    with pytest.raises(ValueError, match="its own group"):
        compute_group_losses(book, ["a", ""], [0.0])


@pytest.mark.parametrize("shocks", [[math.nan], [0.1, 0.1], [0.0, -0.0]])
def test_shocks_that_are_no_numbers_or_one_scenario_twice_are_refused(shocks: list[float]) -> None:
    with pytest.raises(ValueError, match="distinct numbers"):
        compute_group_losses(make_book({}), [], shocks)


def test_an_empty_book_loses_nothing_in_any_scenario() -> None:
    assert compute_group_losses(make_book({}), [], [-0.3, 0.3]) == {"-30 %": {}, "+30 %": {}}


amounts = st.one_of(st.integers(0, 100).map(float), st.floats(1e-6, 1e15))
loss_tables = st.dictionaries(
    st.sampled_from(["down", "flat", "up"]), st.dictionaries(st.sampled_from("abcdef"), amounts), min_size=1
)
signed = st.one_of(st.integers(-100, 100).map(float), st.floats(1e-6, 1e9), st.floats(-1e9, -1e-6))
account_rows = st.lists(st.tuples(signed, signed, signed, st.sampled_from("uvw")), min_size=1, max_size=12)
SHOCKS = [-0.5, -0.2, 0.0, 0.3]


def build_book(rows: list[tuple[float, float, float, str]]) -> AccountBook:
    numbers = np.array([row[:3] for row in rows])
    return AccountBook(numbers[:, 0], numbers[:, 1:], np.array([1.0, 1.5]), ("BTC", "ETH"))


@given(loss_tables, st.integers(1, 4))
def test_more_groups_together_never_need_less_cover(losses: dict[str, dict[str, float]], n: int) -> None:
    assert read_amount(losses, n + 1) >= read_amount(losses, n)


@given(loss_tables, st.integers(1, 3))
def test_cover_is_at_most_the_sum_of_own_worst_scenarios(losses: dict[str, dict[str, float]], n: int) -> None:
    own_worst = sorted((max(by.get(group, 0.0) for by in losses.values()) for group in "abcdef"), reverse=True)
    assert read_amount(losses, n) <= math.fsum(own_worst[:n])


@given(loss_tables, st.integers(1, 3), st.data())
def test_the_order_of_scenarios_and_groups_is_irrelevant(
    losses: dict[str, dict[str, float]], n: int, data: st.DataObject
) -> None:
    mixed = {
        scenario: dict(data.draw(st.permutations(list(by.items()))))
        for scenario, by in data.draw(st.permutations(list(losses.items())))
    }
    assert compute_cover(mixed, n) == compute_cover(losses, n)


@given(loss_tables, st.integers(1, 3), st.sampled_from("abcdef"), amounts)
def test_a_larger_loss_never_lowers_cover(losses: dict[str, dict[str, float]], n: int, group: str, more: float) -> None:
    worse = {scenario: by | {group: by.get(group, 0.0) + more} for scenario, by in losses.items()}
    assert read_amount(worse, n) >= read_amount(losses, n)


@given(loss_tables, st.integers(1, 3), st.sampled_from([2.0**-20, 1024.0, 2.0**40]))
def test_all_money_times_k_changes_no_ratio(losses: dict[str, dict[str, float]], n: int, k: float) -> None:
    larger = {scenario: {group: loss * k for group, loss in by.items()} for scenario, by in losses.items()}
    ratios = [
        compute_cover_ratio(dict.fromkeys(table, Quantity(usable, "usd")), compute_cover(table, n))
        for table, usable in ((losses, 50.0), (larger, 50.0 * k))
    ]
    assert ratios[0] == ratios[1]


@given(account_rows, st.sampled_from("uvw"), st.sampled_from("uvw"))
def test_merging_groups_never_lowers_cover_1(
    rows: list[tuple[float, float, float, str]], first: str, second: str
) -> None:
    book, apart = build_book(rows), [row[3] for row in rows]
    joined = [first if name == second else name for name in apart]
    amounts_of = [compute_cover(compute_group_losses(book, names, SHOCKS), 1).amount.value for names in (joined, apart)]
    assert amounts_of[0] is not None
    assert amounts_of[1] is not None
    assert amounts_of[0] >= amounts_of[1]


@given(account_rows)
def test_the_losses_of_all_groups_add_up_to_the_static_stress(rows: list[tuple[float, float, float, str]]) -> None:
    book = build_book(rows)
    losses = compute_group_losses(book, [row[3] for row in rows], SHOCKS)
    static = compute_account_losses(book, SHOCKS)
    assert [math.fsum(by.values()) for by in losses.values()] == pytest.approx(list(static), rel=1e-9, abs=1e-6)


@given(account_rows, st.data())
def test_the_order_of_accounts_changes_no_digit(
    rows: list[tuple[float, float, float, str]], data: st.DataObject
) -> None:
    mixed = data.draw(st.permutations(rows))
    assert compute_group_losses(build_book(mixed), [row[3] for row in mixed], SHOCKS) == compute_group_losses(
        build_book(rows), [row[3] for row in rows], SHOCKS
    )
