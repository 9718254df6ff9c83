"""What a page says made a status: the metrics of the worst band with what was looked at, or an earlier day."""

from typing import Any

import pytest
from sqlalchemy import Engine

from ledger.database import writing
from ledger.numbers import NO_BREAK
from ledger.tables import Platform
from tests.web.inventor import LIVE, NOW, Inventor, perp_metrics
from tests.web.witness import reader_of, rows_of, said

Told = dict[str, Any]
BANDS = {"gap_survived": 1, "past_shortfall": 2, "runway": 2, "cover_2": 0, "uncovered": 0}
GRADED: Told = {
    "gap_survived": {"value": 0.23, "unit": "fraction", "words": ""},
    "past_shortfall": {"value": 112.0, "unit": "observed days", "words": ""},
    "runway": {"value": 278.4, "unit": "days", "words": ""},
    "cover_2": {"value": None, "unit": "ratio", "words": "no loss"},
    "uncovered": {"value": 0.0, "unit": "usd", "words": ""},
}
BAND_OF = {"ample": 0, "covered": 1, "thin": 2, "not_computable": 2, "short": 3, "depleted": 4}
CUTS = {
    "observed_days": {"covered": 365, "thin": 90, "unit": "days"},
    "cover_2": {"ample": 1.5, "covered": 1.0, "thin": 1.0, "unit": "ratio"},
}


def page_of(engine: Engine, status: str, today: int | None, *, graded: object = GRADED, cuts: object = CUTS) -> str:
    """The page of a fund published under that status, whose numbers of the day alone would be `today`."""
    detail: Told = {"bands": BANDS, "graded": graded, "cut_points": cuts}
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="small", name="Small"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        fund = inventor.fund("alpha", "Alpha", LIVE, "small", asset=inventor.asset(LIVE, "USDC", 6, 1.0, NOW))
        own = {"status": (BAND_OF[status], "band", status, "ok", "", detail | {"raw_last": [None, 3, today]})}
        inventor.metrics(fund, NOW, perp_metrics(status, BAND_OF[status], "514874", "512300.11", **own))
    return reader_of(engine).get("/funds/alpha").text


def rows_by_title(page: str) -> dict[str, list[str]]:
    table = page[page.index("the worst of them is the band") :]
    return {row[0]: row[1:] for row in rows_of(table[: table.index("</table>")])}


def test_the_metrics_of_the_worst_band_are_named_with_what_was_looked_at(new_ledger: Engine) -> None:
    page = page_of(new_ledger, "thin", 2)
    told = "What makes it Thin: a record of 112 observed days and runway (278 days). It could pay for an instant"
    assert told in said(page)
    rows = rows_by_title(page)
    by_days = "Covered from 365 days, Thin from 90 days"
    assert rows["Coverage of the scaled worst 7 days"] == ["1.42×", "112 observed days", "Thin", by_days]
    assert rows["Uncovered loss, 365 days"] == ["$0", "$0", "Ample", "Ample none, Thin any, Short any in 30 days"]
    assert rows["Coverage of Cover-2"][1:] == [
        "no loss",
        "Ample",
        "Ample from 1.50×, Covered from 1.00×, Thin from 1.00× of Cover-1",
    ]


@pytest.mark.parametrize(
    ("status", "today", "told"),
    [
        ("covered", 1, "What makes it Covered: gap survived (23 %)."),
        ("short", 2, "What makes it Short: one of the last three daily bands; this day alone would be Thin."),
    ],
)
def test_one_metric_or_an_earlier_day_may_have_made_it(new_ledger: Engine, status: str, today: int, told: str) -> None:
    assert told in said(page_of(new_ledger, status, today))


@pytest.mark.parametrize(("status", "today"), [("ample", 0), ("depleted", 4), ("not_computable", None)])
def test_no_metric_is_named_where_all_share_the_band_or_something_else_made_it(
    new_ledger: Engine, status: str, today: int | None
) -> None:
    page = said(page_of(new_ledger, status, today))
    assert "What makes it" not in page


def test_without_what_was_looked_at_the_metric_is_named_alone(new_ledger: Engine) -> None:
    page = page_of(new_ledger, "covered", 1, graded="nonsense", cuts={})
    assert "What makes it Covered: gap survived. It could" in said(page)
    assert rows_by_title(page)["Runway"][:3] == ["not shrinking", "not stored", "Thin"]
    assert rows_by_title(page)["Coverage of Cover-2"][3] == "stated in the methodology"


def test_what_made_the_status_stands_in_the_table_of_funds_and_in_every_twin(new_ledger: Engine) -> None:
    page_of(new_ledger, "thin", 2)
    reader, why = reader_of(new_ledger), "a record of 112 observed days and runway (278 days)"
    assert f"Alpha Thin: {why}" in said(reader.get("/").text)
    assert reader.get("/funds.json").json()["funds"][0]["segments"][0]["status_reason"].replace(NO_BREAK, " ") == why
    assert why in reader.get("/funds.csv").text.replace(NO_BREAK, " ")
    assert why in said(reader.get("/compare?f=alpha").text)


def test_a_depleted_fund_says_in_the_table_of_funds_what_it_owes(new_ledger: Engine) -> None:
    page_of(new_ledger, "depleted", 4)
    assert "Alpha Depleted: the fund held 514,874 USDC at block" in said(reader_of(new_ledger).get("/").text)
