"""Stress from real loans: debt shares and collateral of events, totals and oracle of one block."""

from decimal import Decimal

import pytest
from sqlalchemy import Engine

from ledger.history import LoanTerms
from ledger.kinds import FundKind, ReadingName, Role, Shape
from ledger.tables import Fact, Metric, Reading
from solvency.loans import compute_incentive
from tests.solvency.rows import ETH, ETH_ADDRESS, USDC_ADDRESS, Rows, compute, find_metric

MARKET = "0x" + "cd" * 32
LLTV = 860_000_000_000_000_000
USDC_UNIT, ETH_UNIT, SHARE = 10**6, 10**18, 10**12
"""A million shares stand for each unit of the loan's token."""


def change(rows: Rows, account: str, side: str, amount: int, *, day: float = 0.1) -> None:
    rows.fact(day, Role.EXPOSURE_CHANGE, 0.0, side=side, account=account, market=MARKET, asset=ETH)
    (fact,) = [row for row in rows.found if isinstance(row, Fact)][-1:]
    fact.amount_raw = amount


def lending(*, debt: int = 3_000) -> Rows:
    """One market of USDC against ETH at 2,000: one loan of 1,500 on 1 ETH, one of 1,500 on 2 ETH."""
    rows = Rows(FundKind.NO_FUND, Shape.MORPHO_BLUE, asset=None)
    rows.fact(0.05, Role.MARKET_CREATED, market=MARKET)
    (created,) = [row for row in rows.found if isinstance(row, Fact)]
    created.amount_raw, created.asset_id = None, None
    created.detail = {"loan": USDC_ADDRESS, "collateral": ETH_ADDRESS, "oracle": "0x", "irm": "0x", "lltv": str(LLTV)}
    for account, coins in (("risky", 1), ("safe", 2)):
        change(rows, account, "debt_shares", 1_500 * SHARE)
        change(rows, account, "collateral", coins * ETH_UNIT)
    for day in range(3):
        noon = day + 0.5
        rows.snapshot(noon)
        rows.price(noon)
        rows.read(noon, ReadingName.TOTAL_BORROW, float(debt), MARKET, asset=1)
        rows.read(noon, ReadingName.TOTAL_BORROW_SHARES, float(3_000 * SHARE), MARKET, decimals=0)
        # One ETH, 10^18 units, is 2,000 · 10^6 units of USDC: 2,000 · 10^(6 − 18 + 36).
        rows.read(noon, ReadingName.ORACLE_PRICE, 2_000.0 * 10**-12, MARKET, decimals=36)
    rows.scan()
    return rows


def stress_of(engine: Engine, rows: Rows, day: int = 1) -> Metric:
    rows.write(engine)
    compute(engine)
    return find_metric(engine, "stress_loss_20", day)


def test_a_loan_that_a_fall_makes_liquidatable_leaves_what_its_collateral_does_not_pay(engine: Engine) -> None:
    loss = stress_of(engine, lending())
    # At −20 % one ETH is 1,600; 1,600 · 0.86 < 1,500, and 1,600 / 1.0438… = 1,532.8 pays the debt. At −30 %: 1,400.
    assert (loss.value, loss.quality, loss.n_obs) == (Decimal("0.00"), "ok", 2)
    assert loss.detail is not None
    grid = {row["shock"]: Decimal(row["loss"]) for row in loss.detail["grid"]}
    bonus = 1 / (1 - 0.3 * 0.14) - 1
    assert float(grid[-0.3]) == pytest.approx(1_500 - 1_400 / (1 + bonus), abs=0.01)
    # At −50 % the second one's 2,000 · 0.86 still holds 1,500.
    assert float(grid[-0.5]) == pytest.approx(1_500 - 1_000 / (1 + bonus), abs=0.01)
    assert grid[0.5] == 0


def test_interest_raises_every_debt_by_its_shares(engine: Engine) -> None:
    loss = stress_of(engine, lending(debt=3_300))
    bonus = 1 / (1 - 0.3 * 0.14) - 1
    # Each owes 1,650 now, and at −20 % the first one's collateral recovers 1,532.8 of it.
    assert loss.value is not None
    assert float(loss.value) == pytest.approx(1_650 - 1_600 / (1 + bonus), abs=0.02)
    assert loss.detail is not None
    assert loss.detail["by_market"] == [{"market": MARKET, "debt_usd": "3300.00", "loss": str(loss.value)}]


def test_what_was_repaid_and_taken_back_is_no_loan(engine: Engine) -> None:
    rows = lending()
    change(rows, "risky", "debt_shares", -1_500 * SHARE, day=0.2)
    change(rows, "risky", "collateral", -1 * ETH_UNIT, day=0.2)
    loss = stress_of(engine, rows)
    assert (loss.value, loss.n_obs) == (Decimal("0.00"), 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (ReadingName.ORACLE_PRICE, "collateral without an oracle price"),
        (ReadingName.TOTAL_BORROW, "its totals could not be read"),
        (ReadingName.TOTAL_BORROW_SHARES, "its totals could not be read"),
    ],
)
def test_one_missing_answer_makes_the_stress_unknown(name: ReadingName, said: str, engine: Engine) -> None:
    rows = lending()
    for row in rows.found:
        if isinstance(row, Reading) and row.name == name:
            row.value_raw, row.error = None, "reverted"
    loss = stress_of(engine, rows)
    assert (loss.value, loss.quality) == (None, "unknown")
    assert said in loss.reason


def test_a_market_whose_creation_was_not_seen_has_no_terms(engine: Engine) -> None:
    rows = lending()
    rows.found = [row for row in rows.found if not (isinstance(row, Fact) and row.role == Role.MARKET_CREATED)]
    loss = stress_of(engine, rows)
    assert (loss.value, "terms are not in the ledger" in loss.reason) == (None, True)


@pytest.mark.parametrize(
    ("lltv", "incentive"), [("0.86", "1.0438"), ("0.915", "1.0262"), ("0.385", "1.15"), ("1", "1")]
)
def test_the_incentive_of_a_liquidation_follows_from_the_threshold(lltv: str, incentive: str) -> None:
    found = compute_incentive(LoanTerms("", "", int(Decimal(lltv) * 10**18)))
    assert round(found, 4) == Decimal(incentive)
