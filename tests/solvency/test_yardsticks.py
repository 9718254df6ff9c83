"""From rows of the ledger to the price of the protection, the return and the liquidation engine of a day."""

from collections.abc import Sequence
from decimal import Decimal
from math import log, sqrt
from statistics import NormalDist
from typing import Any

import pytest
from sqlalchemy import Engine

from ledger.kinds import ReadingName, Role
from ledger.tables import Fact
from solvency.formulas import FORMULAS
from solvency.yardsticks import BETWEEN_SNAPSHOTS, STRESSED_VOLATILITY
from tests.solvency.rows import ETH, ETH_ADDRESS, Rows, compute, find_metric, perp_days, venue

ENGINE = ("liquidation_delay", "bankrupt_share", "penalty_share")
COSTS = ("protection_cost_1d", "protection_cost_7d")


def put(spot: float, strike: float, days: int) -> float:
    """A put by Black and Scholes at 150 % a year, written out again."""
    spread, law = 1.5 * sqrt(days / 365), NormalDist()
    upper = log(spot / strike) / spread + spread / 2
    return strike * law.cdf(spread - upper) - spot * law.cdf(-upper)


def call(spot: float, strike: float, days: int) -> float:
    return put(spot, strike, days) + spot - strike


def detail_of(engine: Engine, name: str, day: int) -> dict[str, Any]:
    detail = find_metric(engine, name, day).detail
    assert detail is not None
    return detail


def follow(values: Sequence[float | None], *, blind: Sequence[int] = ()) -> Rows:
    """The taker's account value at noon of each day, 10,000 being required; nothing but money is read on blind days."""
    rows = Rows()
    rows.take(0.1, "taker", 100.0)
    for day, value in enumerate(values):
        rows.money(day + 0.5, 600_000.0)
        if day not in blind:
            rows.market(day + 0.5, 2_000.0)
            rows.account(day + 0.5, "taker", value, 100.0)
            rows.account(day + 0.5, "maker", 500_000.0, -100.0)
    rows.scan()
    return rows


def liquidate(rows: Rows, day: float, account: str | None = "taker") -> None:
    rows.fact(day, Role.LIQUIDATION, 1_000.0, side="position", account=account, market=ETH_ADDRESS)


def run(engine: Engine, rows: Rows) -> Engine:
    rows.scan()
    rows.write(engine)
    compute(engine)
    return engine


def test_the_cost_is_a_put_on_the_long_and_a_call_on_the_short(engine: Engine) -> None:
    run(engine, perp_days(3, balance=50_000.0))
    # Long 100 at 2,000 with 40,000: bankrupt at 2,000 − 400 = 1,600. Short 100 with 500,000: at 2,000 + 5,000 = 7,000.
    # A day at 150 % is 0.078513: d1 = 2.881, Put(1,600) = 0.0926719 each; the call is 16 deviations away.
    day, week = (find_metric(engine, name, 1) for name in COSTS)
    assert (day.value, day.n_obs, day.quality) == (Decimal("9.27"), 2, "ok")
    assert week.value == Decimal("2673.20")  # 100 × 26.731911, rounded up.
    assert float(week.value or 0) == pytest.approx(100 * (put(2_000, 1_600, 7) + call(2_000, 7_000, 7)), abs=0.01)
    (row,) = detail_of(engine, "protection_cost_7d", 1)["markets"]
    assert (row["market"], row["price"], row["volatility"]) == ("vETH", "2000", 1.5)
    assert (row["cost"], row["longs"], row["shorts"]) == ("2673.19", "2673.19", "0.00")
    # 100 · (1,600 − P) = 50,000 at 1,100 and 100 · (P − 7,000) at 7,500; the fund pays the spread between.
    assert (row["depleted_below"], row["depleted_above"]) == ("1100", "7500")
    assert float(row["capped"]) == pytest.approx(100 * (put(2_000, 1_600, 7) - put(2_000, 1_100, 7)), abs=0.01)
    assumed = f"{STRESSED_VOLATILITY * 100:g} %"
    assert any(assumed in words for words in detail_of(engine, "protection_cost_1d", 1)["assumptions"])
    assert all(assumed in FORMULAS[name].text for name in COSTS)


def test_an_account_with_two_positions_shares_its_equity_among_them_by_size(engine: Engine) -> None:
    rows = perp_days(3)
    for noon in (0.5, 1.5, 2.5):
        rows.read(noon, ReadingName.INDEX_PRICE, 100.0, "sol", decimals=18)
        rows.read(noon, ReadingName.ACCOUNT_VALUE, 30_000.0, "both", decimals=18)
        rows.read(noon, ReadingName.MARGIN_REQUIREMENT, 0.0, "both", decimals=18)
        rows.read(noon, ReadingName.POSITION_SIZE, 100.0, f"both/{ETH_ADDRESS}", decimals=18)
        rows.read(noon, ReadingName.POSITION_SIZE, -1_000.0, "both/sol", decimals=18)
    run(engine, rows)
    # 200,000 long and 100,000 short with 30,000: shares of 20,000 and 10,000, bankrupt at 1,800 and at 110.
    # Put(1,800) × 100 = 619.618, Call(110) × 1,000 = 448.699, and 9.267 of the taker.
    found = find_metric(engine, "protection_cost_1d", 1)
    assert (found.value, found.n_obs) == (Decimal("1077.59"), 4)
    eth, sol = detail_of(engine, "protection_cost_1d", 1)["markets"]
    assert (eth["longs"], sol["shorts"], sol["longs"]) == ("628.89", "448.70", "0.00")
    assert 1_000 * call(100, 110, 1) == pytest.approx(448.699, abs=0.001)


def test_an_account_below_zero_costs_at_least_what_it_lacks(engine: Engine) -> None:
    run(engine, follow([-5_000.0] * 3))
    row = detail_of(engine, "protection_cost_1d", 1)["markets"][0]
    assert float(row["longs"]) == pytest.approx(100 * put(2_000, 2_050, 1), abs=0.01)
    assert float(row["longs"]) > 5_000


def test_without_the_balance_the_cost_stands_and_what_the_fund_pays_of_it_does_not(engine: Engine) -> None:
    rows = perp_days(3)
    for row in rows.found:
        if getattr(row, "name", "") == "balance":
            row.value_raw = None  # type: ignore[attr-defined]
    run(engine, rows)
    assert find_metric(engine, "protection_cost_1d", 1).value == Decimal("9.27")
    detail = detail_of(engine, "protection_cost_1d", 1)
    assert detail["reserve_usd"] is None
    assert "capped" not in detail["markets"][0]
    assert find_metric(engine, "fund_return", 1).quality == "unknown"


@pytest.mark.parametrize(
    ("value", "price", "reason"),
    [(None, 2_000.0, "the value of account taker could not be read"), (1.0, 0.0, "without an index price above 0")],
)
def test_what_was_not_read_leaves_cost_and_adequacy_unknown(
    engine: Engine, value: float | None, price: float, reason: str
) -> None:
    rows = Rows()
    rows.take(0.1, "taker", 100.0)
    for noon in (0.5, 1.5):
        rows.money(noon, 1_000.0)
        rows.market(noon, price)
        rows.account(noon, "taker", value, 100.0)
    run(engine, rows)
    for name in (*COSTS, "surcharge_adequacy"):
        found = find_metric(engine, name, 0)
        assert (found.value, found.quality) == (None, "unknown"), name
        assert reason in found.reason, name


def test_adequacy_looks_at_ninety_days_and_the_return_at_a_year(engine: Engine) -> None:
    rows = perp_days(95)
    rows.fact(1.6, Role.CONTRIBUTION, 940.0, source="trading_fee")
    rows.fact(50.6, Role.CONTRIBUTION, 1_800.0, source="liquidation_fee")
    rows.fact(55.6, Role.CONTRIBUTION, 5_000.0, source="top_up")
    rows.fact(60.6, Role.SHORTFALL, 860.0, account="x", market=ETH_ADDRESS)
    rows.fact(60.6, Role.PAYOUT, 860.0, account="x", market=ETH_ADDRESS)
    run(engine, rows)
    # 1,800 in 90 days are 20 a day, over 9.267187: 2.15815.
    adequacy = find_metric(engine, "surcharge_adequacy", 93)
    assert (adequacy.value, adequacy.quality) == (Decimal("2.1581"), "ok")
    assert detail_of(engine, "surcharge_adequacy", 93) == {
        "inflow_per_day_usd": "20.00",
        "days": 90,
        "premium_usd": "9.27",
    }
    # (940 + 1,800 − 860) ÷ 94 days × 365 ÷ 600,000 = 20 × 365 ÷ 600,000 = 0.0121667.
    earned = find_metric(engine, "fund_return", 93)
    assert (earned.value, earned.unit, earned.quality) == (Decimal("0.0121"), "per year", "partial")
    assert earned.reason == "a year's rate from 94 days"
    early = find_metric(engine, "surcharge_adequacy", 3)
    assert (early.value, early.quality) == (Decimal("25.3582"), "partial")  # 940 ÷ 4 ÷ 9.267187.
    assert early.reason == "4 observed days, under 90"


def test_without_a_position_the_protection_costs_nothing_and_no_premium_is_due(engine: Engine) -> None:
    rows = Rows()
    for noon in (0.5, 1.5):
        rows.money(noon, 1_000.0)
        rows.market(noon, 2_000.0)
    run(engine, rows)
    cost, adequacy = find_metric(engine, "protection_cost_1d", 0), find_metric(engine, "surcharge_adequacy", 0)
    assert (cost.value, cost.n_obs, cost.quality) == (Decimal(0), 0, "ok")
    assert (adequacy.value, adequacy.text) == (None, "no premium due")


def test_a_premium_of_less_than_a_cent_is_none(engine: Engine) -> None:
    rows = follow([199_000.0] * 4)  # Bankrupt at 10: the put is 10^-1000 or so, and the call not much more.
    rows.fact(1.6, Role.CONTRIBUTION, 900.0, source="trading_fee")
    run(engine, rows)
    assert find_metric(engine, "protection_cost_1d", 2).value == Decimal(0)
    adequacy = find_metric(engine, "surcharge_adequacy", 2)
    assert (adequacy.value, adequacy.text) == (None, "no premium due")


def test_a_flow_without_a_price_leaves_adequacy_and_return_unknown(engine: Engine) -> None:
    rows = perp_days(4)
    rows.fact(1.6, Role.CONTRIBUTION, 1.0, source="trading_fee", asset=ETH)
    run(engine, rows)
    for name in ("surcharge_adequacy", "fund_return"):
        found = find_metric(engine, name, 2)
        assert (found.value, found.quality, found.reason) == (None, "unknown", "a flow has no price in USD"), name


def test_inflow_of_an_unknown_source_makes_adequacy_and_return_partial(engine: Engine) -> None:
    rows = perp_days(4)
    rows.fact(1.6, Role.CONTRIBUTION, 1.0, source="unexplained")
    run(engine, rows)
    for name in ("surcharge_adequacy", "fund_return"):
        found = find_metric(engine, name, 2)
        assert (found.value, found.quality) == (Decimal("0.0000"), "partial"), name
        assert "inflow of an unknown source is not counted" in found.reason, name


def test_a_segment_without_a_balance_of_its_own_has_no_return(engine: Engine) -> None:
    rows = perp_days(3)
    rows.asset = None
    run(engine, rows)
    found = find_metric(engine, "fund_return", 1)
    assert found.quality == "unknown"
    assert "no balance of its own" in found.reason


FINE, LATE = 40_000.0, 5_000.0


@pytest.mark.parametrize(
    ("values", "closed", "delay"),
    [
        # Seen below its requirement on the third and the fourth noon, closed 6 hours after: 30 to 54 hours.
        ((FINE, FINE, LATE, LATE, FINE), [3.75], (108_000, 194_400)),
        # In good order 6 hours before: closed at once, or up to 6 hours late.
        ((FINE, FINE, FINE, FINE, FINE), [3.75], (0, 21_600)),
        # Just what is required is enough.
        ((FINE, FINE, FINE, 10_000.0, FINE), [3.75], (0, 21_600)),
        # A good noon between two bad ones begins a new spell.
        ((FINE, LATE, FINE, LATE, FINE), [3.75], (21_600, 108_000)),
        # A liquidation ends the spell; the rest is seen a noon later. (6 h + 30 h) ÷ 2 to (30 h + 54 h) ÷ 2.
        ((FINE, LATE, LATE, LATE, FINE), [1.75, 3.75], (64_800, 151_200)),
        # Two positions of one account in one block have waited equally long.
        ((FINE, FINE, LATE, LATE, FINE), [3.75, 3.75], (108_000, 194_400)),
    ],
)
def test_a_delay_runs_from_the_first_snapshot_below_the_requirement(
    engine: Engine, values: Sequence[float], closed: list[float], delay: tuple[int, int]
) -> None:
    rows, (shortest, longest) = follow(values), delay
    for day in closed:
        liquidate(rows, day)
    run(engine, rows)
    found = find_metric(engine, "liquidation_delay", 4)
    assert (found.value, found.unit, found.n_obs) == (Decimal(shortest), "seconds", len(closed))
    assert (found.ci_low, found.ci_high) == (shortest, longest)
    assert (found.quality, found.reason) == ("partial", BETWEEN_SNAPSHOTS)
    detail = detail_of(engine, "liquidation_delay", 4)
    assert (detail["is_lower_bound"], detail["liquidations"]) == (True, len(closed))
    assert detail["upper_95_seconds"] == ([108_000, 194_400] if len(set(closed)) > 1 else [shortest, longest])


@pytest.mark.parametrize(
    ("values", "blind"),
    [
        ((LATE, LATE, LATE, LATE, FINE), ()),  # Nobody saw the spell begin.
        ((FINE, FINE, LATE, None, FINE), ()),  # Not read at the last noon.
        ((FINE, FINE, None, LATE, FINE), ()),  # Not read at the noon before it was seen below.
        ((FINE, FINE, LATE, LATE, FINE), (3,)),  # No account read at the last noon.
        ((FINE, FINE, LATE, LATE, FINE), (2,)),
    ],
)
def test_a_spell_whose_begin_nobody_saw_has_no_delay(
    engine: Engine, values: Sequence[float | None], blind: Sequence[int]
) -> None:
    rows = follow(values, blind=blind)
    liquidate(rows, 3.75)
    run(engine, rows)
    found = find_metric(engine, "liquidation_delay", 4)
    assert (found.value, found.quality) == (None, "unknown")
    assert found.reason == "both times not known of any of 1 liquidation"


def test_what_is_closed_again_before_the_next_snapshot_is_not_timed(engine: Engine) -> None:
    rows = follow((FINE, FINE, LATE, LATE, FINE))
    liquidate(rows, 3.75)
    liquidate(rows, 3.8)
    run(engine, rows)
    found = find_metric(engine, "liquidation_delay", 4)
    assert (found.value, found.n_obs) == (Decimal(108_000), 1)
    assert "both times not known of 1 of 2 liquidations" in found.reason


def test_collateral_seized_is_one_liquidation_without_a_delay_and_ends_no_spell(engine: Engine) -> None:
    rows = follow((FINE, FINE, LATE, LATE, FINE))
    for side in ("debt", "collateral"):
        rows.fact(2.75, Role.LIQUIDATION, 10.0, side=side, account="taker")
    debt, seized = (row for row in rows.found if isinstance(row, Fact) and row.role == Role.LIQUIDATION)
    seized.log_index, seized.fact_no = debt.log_index, 1
    liquidate(rows, 3.75)
    run(engine, rows)
    found = find_metric(engine, "liquidation_delay", 4)
    assert (found.value, found.n_obs) == (Decimal(108_000), 1)
    assert detail_of(engine, "liquidation_delay", 4)["liquidations"] == 2


def test_a_shortfall_of_the_same_account_in_the_same_block_is_worse_than_bankruptcy(engine: Engine) -> None:
    rows = follow([FINE] * 5)
    for day, account, loser in ((1.75, "a", "a"), (2.75, "b", "c"), (3.6, "d", None), (3.7, "e", None)):
        liquidate(rows, day, account)
        if loser:
            rows.fact(day, Role.SHORTFALL, 1.0, account=loser, market=ETH_ADDRESS)
    rows.fact(3.8, Role.SHORTFALL, 1.0, account="d", market=ETH_ADDRESS)
    run(engine, rows)
    # Of four only the first: the second block lost for another account, the fourth's loss came in a later block.
    found = find_metric(engine, "bankrupt_share", 4)
    assert (found.value, found.n_obs, found.n_events, found.quality) == (Decimal("0.2500000"), 4, 1, "ok")
    assert find_metric(engine, "bankrupt_share", 2).value == Decimal(1)


def test_a_shortfall_without_a_price_still_counts_and_a_liquidation_of_nobody_does_not(engine: Engine) -> None:
    rows = follow([FINE] * 4)
    liquidate(rows, 1.75)
    rows.fact(1.75, Role.SHORTFALL, 1.0, account="taker", market=ETH_ADDRESS, asset=ETH)
    liquidate(rows, 2.6, None)
    run(engine, rows)
    found = find_metric(engine, "bankrupt_share", 3)
    assert (found.value, found.quality, found.reason) == (
        Decimal(1),
        "partial",
        "shortfall not known of 1 of 2 liquidations",
    )


def test_the_share_of_the_penalty_is_unknown_while_facts_tell_only_the_funds_part(engine: Engine) -> None:
    rows = follow([FINE] * 4)
    liquidate(rows, 1.75)
    rows.fact(1.75, Role.CONTRIBUTION, 12.5, source="liquidation_fee")
    run(engine, rows)
    before, after = find_metric(engine, "penalty_share", 1), find_metric(engine, "penalty_share", 3)
    assert (before.quality, before.reason) == ("unknown", "no liquidation recognised")
    assert (after.value, after.quality) == (None, "unknown")
    assert "not the whole penalty" in after.reason


def test_without_public_positions_cost_and_delay_are_unknown(engine: Engine) -> None:
    venue(4).write(engine)
    compute(engine)
    for name in (*COSTS, "surcharge_adequacy", "liquidation_delay"):
        found = find_metric(engine, name, 2)
        assert (found.value, found.quality) == (None, "unknown"), name
        assert "positions are not public" in found.reason, name
    assert {find_metric(engine, name, 2).quality for name in ENGINE} == {"unknown"}
