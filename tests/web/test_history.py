"""A fund's numbers through time: every digit in the files, the key numbers as a table, each number at its block."""

import csv
import io
import re
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from ledger.database import reading, writing
from ledger.pages import list_places
from ledger.tables import Metric
from tests.web.conftest import Reader
from tests.web.inventor import LIVE, RECONSTRUCTED, digest
from tests.web.witness import NOON, reader_of, rows_of, said, witnessing
from web.history import COLUMNS, SHOWN_DAYS
from web.origins import KEY_METRICS, PUBLISHED_DAYS

LARGE = "/funds/perp-v2-large-simulated"
DAY = timedelta(days=1)


def test_csv_and_json_hold_the_same_rows_and_each_digit_that_is_stored(reader: Reader, engine: Engine) -> None:
    header, *lines = csv.reader(io.StringIO(reader.get(f"{LARGE}/history.csv").text, newline=""), strict=True)
    assert tuple(header) == COLUMNS
    told = reader.get(f"{LARGE}/history.json").json()
    assert told["columns"] == header
    assert told["count"] == len(told["rows"]) == len(lines)
    for line, row in zip(lines, told["rows"], strict=True):
        assert [cell.removeprefix("'") for cell in line] == [
            "" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in row
        ]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    with reading(engine) as session:
        segment_id = next(place.segment_id for place in list_places(session) if place.fund.slug == LARGE[7:])
        stored = session.exec(select(Metric).where(Metric.segment_id == segment_id)).all()
    values = {(metric.day, metric.name): "" if metric.value is None else str(metric.value) for metric in stored}
    assert {(row["day"], row["name"]): row["value"] for row in rows} == values


def test_an_unknown_number_is_empty_and_has_its_reason(reader: Reader) -> None:
    rows = list(csv.DictReader(io.StringIO(reader.get("/funds/reserve-simulated/history.csv").text, newline="")))
    coverage = next(row for row in rows if row["name"] == "coverage")
    assert (coverage["value"], coverage["quality"]) == ("", "unknown")
    assert coverage["reason"] == "it covers no defined exposure"
    assert all(row["block_number"] and row["block_time"].endswith("Z") and row["unit"] for row in rows)


def test_blocks_that_a_reconstruction_made_up_are_marked_in_every_row(reader: Reader) -> None:
    path = "/funds/aave-v2-2021-reconstructed/history.csv"
    rows = list(csv.DictReader(io.StringIO(reader.get(path).text, newline="")))
    assert {row["synthetic"] for row in rows} == {"block_hash block_number"}


def test_the_page_shows_one_row_a_day_and_says_how_many_are_missing(reader: Reader) -> None:
    page = reader.get(f"{LARGE}/history").text
    rows = rows_of(page)
    assert [row[0] for row in rows] == ["2021-05-23", "2021-05-22", "2021-05-21", "2021-05-20"]
    assert rows[0][2:5] == ["Thin", "514,874 USDC", "$512,300"]
    assert f"{SHOWN_DAYS - 4} days of these {SHOWN_DAYS} without any number." in page


def test_an_unknown_number_in_the_table_has_its_reason_below_it(reader: Reader) -> None:
    page = reader.get("/funds/reserve-simulated/history").text
    assert "unknown" in rows_of(page)[0]
    assert "Coverage: it covers no defined exposure." in said(page)


def test_a_stale_number_says_so_in_the_table(reader: Reader) -> None:
    assert "$1,010,000 (stale)" in said(reader.get("/funds/perp-v2-optimism/history").text)


def test_a_fund_without_numbers_has_a_page_that_says_so(reader: Reader) -> None:
    assert "No number was computed for this fund yet" in reader.get("/funds/hostile/history").text
    assert reader.get("/funds/hostile/history.json").json()["rows"] == []
    assert reader.get("/funds/nobody/history").status_code == 404
    assert reader.get("/funds/nobody/history.csv").status_code == 404


@pytest.fixture
def ten_days(new_ledger: Engine) -> Reader:
    """A site over a fund of ten days whose coverage and observed days grow by one a day; the tenth still runs."""
    with witnessing(new_ledger) as witness:
        for day in range(10):
            rows = {"coverage": (f"{day}.125", "ratio"), "observed_days": (str(day), "days")}
            witness.inventor.metrics(witness.segments[LIVE], NOON + day * DAY, rows)
    with writing(new_ledger) as session:
        for metric in session.exec(select(Metric).where(Metric.day == f"{NOON + 9 * DAY:%Y-%m-%d}")).all():
            metric.is_day_final = False
    return reader_of(new_ledger)


def block_of(day: int) -> int:
    """Number of the block of a day of `ten_days`."""
    return (int((NOON + day * DAY).timestamp()) - 1_600_000_000) // 12


def test_a_number_stands_at_its_block_as_it_stood_then(ten_days: Reader) -> None:
    number = block_of(3)
    answer = ten_days.get(f"/funds/alpha/facts/coverage/{number}")
    page = said(answer.text)
    assert f"Coverage at block {number:,}" in page
    assert "All digits: 3.125×" in page
    assert digest(LIVE, number) in page
    assert '<a href="/funds/alpha/facts/coverage">The latest one</a>' in answer.text
    history = answer.text[answer.text.index("<caption>Day by day") :]
    assert [row[1] for row in rows_of(history)] == ["3.12×", "2.12×", "1.12×", "0.12×"]
    told = ten_days.get(f"/funds/alpha/facts/coverage/{number}.json").json()
    assert told["self"].endswith(f"/funds/alpha/facts/coverage/{number}.json")
    (segment,) = told["segments"]
    assert (segment["metric"]["value"], segment["metric"]["block_number"]) == ("3.125", number)
    assert len(segment["history"]) == 4


def test_where_there_is_no_number_the_nearest_blocks_are_named(ten_days: Reader) -> None:
    number = block_of(3) + 1
    answer = ten_days.get(f"/funds/alpha/facts/coverage/{number}")
    assert answer.status_code == 404
    for word in (f"was not computed at block {number:,}", f"block {block_of(3):,} and block {block_of(4):,}"):
        assert word in said(answer.text)
    assert ten_days.get(f"/funds/alpha/facts/coverage/{number}.json").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/funds/alpha/facts/nothing/5",
        "/funds/nobody/facts/coverage/5",
        "/funds/alpha/facts/coverage/-1",
        "/funds/alpha/facts/coverage/05",
        "/funds/alpha/facts/coverage/1.5",
        "/funds/alpha/facts/coverage/0x10",
        "/funds/alpha/facts/coverage/" + "9" * 15,
        "/funds/alpha/facts/coverage/" + "9" * 40,
    ],
)
def test_a_block_that_is_none_has_no_page(ten_days: Reader, path: str) -> None:
    assert ten_days.get(path).status_code == 404
    assert ten_days.get(f"{path}.json").status_code == 404


def test_only_the_newest_final_days_of_key_numbers_are_linked_and_each_link_is_published(ten_days: Reader) -> None:
    linked = set(re.findall(r'href="(/funds/alpha/facts/\w+/\d+)"', ten_days.get("/funds/alpha/facts/coverage").text))
    assert linked == {f"/funds/alpha/facts/coverage/{block_of(day)}" for day in range(9 - PUBLISHED_DAYS, 9)}
    assert "observed_days" not in KEY_METRICS
    assert not re.findall(r'href="/funds/alpha/facts/\w+/\d+"', ten_days.get("/funds/alpha/facts/observed_days").text)
    assert set(re.findall(r'href="(/funds/alpha/facts/\w+/\d+)"', ten_days.get("/funds/alpha/history").text)) == linked
    sitemap = ten_days.get("/sitemap.xml").text
    assert all(f"{path}<" in sitemap for path in linked)


def test_a_block_of_a_reconstruction_is_not_shown_as_evidence(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        segment = witness.segments[RECONSTRUCTED]
        witness.inventor.metrics(segment, NOON, {"socialised_total": ("5", "usd")})
        number = witness.inventor.number(RECONSTRUCTED, NOON)
    page = reader_of(new_ledger).get(f"/funds/past-reconstructed/facts/socialised_total/{number}")
    assert page.status_code == 200
    assert digest(RECONSTRUCTED, number) not in page.text
    assert "made up, like the block's number" in said(page.text)
