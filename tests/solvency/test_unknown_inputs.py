"""One input after the other goes missing: never a rated band, and unknown, stale and zero stay three results."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from ledger.kinds import ReadingName, Role, SourceKind
from ledger.tables import Price, Reading
from tests.solvency.rows import DAY, ETH_ADDRESS, START, Rows, compute, find_metric, lossy, venue

LAST = 93
"""The last final day of lossy(95)."""


def hide_reading(name: ReadingName) -> Callable[[Rows], None]:
    """What was asked on that day reverted."""

    def hide(rows: Rows) -> None:
        hidden = [
            row
            for row in rows.found
            if isinstance(row, Reading) and row.name == name and row.block_time == START + DAY * (LAST + 0.5)
        ]
        assert hidden, name
        for row in hidden:
            row.value_raw, row.error = None, "reverted"

    return hide


def hide_price(rows: Rows) -> None:
    for row in rows.found:
        if isinstance(row, Price):
            row.answer_raw, row.error = None, "reverted"


def unprice_a_loss(rows: Rows) -> None:
    rows.fact(LAST + 0.1, Role.SHORTFALL, 1.0, account="x", market=ETH_ADDRESS, asset=2)


HIDING = {
    "balance": hide_reading(ReadingName.BALANCE),
    "index price": hide_reading(ReadingName.INDEX_PRICE),
    "account values": hide_reading(ReadingName.ACCOUNT_VALUE),
    "every price": hide_price,
    "price of a loss": unprice_a_loss,
}


def test_all_inputs_give_a_band(engine: Engine) -> None:
    lossy(95).write(engine)
    compute(engine)
    assert find_metric(engine, "status_raw", LAST).value is not None


@pytest.mark.parametrize("what", HIDING)
def test_without_a_required_input_no_band_is_printed(what: str, engine: Engine) -> None:
    rows = lossy(95)
    HIDING[what](rows)
    rows.write(engine)
    compute(engine)
    raw, status = find_metric(engine, "status_raw", LAST), find_metric(engine, "status", LAST)
    assert (raw.value, status.value, status.text) == (None, None, "not_computable")
    assert status.reason


def test_unknown_stale_and_zero_are_three_results(engine: Engine) -> None:
    rows = venue(4)
    rows.source = SourceKind.LIVE
    balances = [row for row in rows.found if isinstance(row, Reading) and row.name == ReadingName.BALANCE]
    balances[1].value_raw = 0
    balances[2].value_raw, balances[2].error = None, "timeout"
    rows.write(engine)
    compute(engine, now=START + DAY * 8 + timedelta(hours=1))
    zero, unknown, stale = (find_metric(engine, "gross_balance", day) for day in (1, 2, 8))
    assert (zero.value, zero.quality) == (Decimal(0), "ok")
    assert (unknown.value, unknown.quality) == (None, "unknown")
    assert (stale.value, stale.quality) == (Decimal(5_000), "stale")
    assert find_metric(engine, "status", 1).text == "depleted"
    assert find_metric(engine, "status", 2).text == "not_computable"
    assert find_metric(engine, "status", 8).text == "not_computable"


def test_a_cascade_without_a_margin_requirement_is_unknown_and_not_one_that_spares_the_account(engine: Engine) -> None:
    rows = lossy(3)
    rows.found = [
        row for row in rows.found if not (isinstance(row, Reading) and row.name == ReadingName.MARGIN_REQUIREMENT)
    ]
    rows.write(engine)
    compute(engine)
    found = find_metric(engine, "cascade_loss_20", 1)
    assert (found.value, found.quality) == (None, "unknown")
    assert "margin requirement" in found.reason


def test_a_single_loss_without_a_price_is_told_in_the_singular(engine: Engine) -> None:
    rows = lossy(95)
    unprice_a_loss(rows)
    rows.write(engine)
    compute(engine)
    for name in ("worst_7d", "expected_shortfall_975"):
        assert find_metric(engine, name, LAST).reason == "1 shortfall has no price in USD", name
