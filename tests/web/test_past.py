"""A fund as it stood on a day: the published rows, the same bytes for ever, and clear words where there is no day."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlmodel import col, select

from ledger.database import open_engine, writing
from ledger.kinds import Role, SegmentStatus
from ledger.tables import Alert, Asset, Chain, Metric, Platform, Segment
from tests.web.conftest import Reader
from tests.web.crawling import text_of
from tests.web.invented import invent_ledger
from tests.web.inventor import CRASH_END, LIVE, NOW, SIMULATED, Inventor, perp_metrics
from web.edition import SiteConfig
from web.press import Press, Sheet
from web.site import create_site

FUND = "/funds/perp-v2-large-simulated"
SETTLED, NEWEST = f"{FUND}/at/2021-05-21", f"{FUND}/at/2021-05-23"
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def changing(database_url: str) -> Iterator[Engine]:
    """The invented ledger on either database; the test may write to it."""
    engine = open_engine(database_url)
    invent_ledger(engine)
    yield engine
    engine.dispose()


def sheet_of(engine: Engine, path: str) -> Sheet:
    sheet = Press(engine, lambda: NOW, SiteConfig()).sheet(path)
    assert sheet is not None, path
    return sheet


def large_segment(inventor: Inventor) -> Segment:
    return inventor.session.exec(select(Segment).where(Segment.slug == "perp-v2-large-simulated")).one()


def live_on(engine: Engine) -> None:
    """Everything that may come after a settled day: days, losses, funds, assets, alerts, a chain that halts."""
    with writing(engine) as session:
        inventor = Inventor(session)
        large = large_segment(inventor)
        for days in (1, 2):
            when = CRASH_END + timedelta(days=days)
            inventor.metrics(large, when, perp_metrics("depleted", 4, "0", "0"))
            inventor.fact(large, when - timedelta(hours=2), Role.SHORTFALL, 10**12, asset_id=large.asset_id)
        inventor.asset(SIMULATED, "LATE", 18, 2.0, CRASH_END + timedelta(hours=1))
        inventor.add(Platform(slug="later", name="Later"))
        other = inventor.fund("another-fund", "Another fund", LIVE, "later")
        inventor.metrics(other, NOW - timedelta(days=9), perp_metrics("thin", 2, "1", "1"))
        session.add(
            Alert(
                key="later",
                event="fund.depleted",
                severity="critical",
                subject=large.slug,
                fund_slug=large.fund_slug,
                chain_id=SIMULATED,
                episode="later",
                happened_at=CRASH_END,
                created_at=NOW,
                title="Later",
                message={"sentence": "Later."},
            )
        )
        session.execute(
            update(Metric).where(col(Metric.day) == "2021-05-25").values(computed_at=NOW + timedelta(days=1))
        )
        session.execute(
            update(Chain)
            .where(col(Chain.chain_id) == SIMULATED)
            .values(
                head_number=9_000_000, finalized_number=9_000_000, status="halted", status_reason="a reorg too deep"
            )
        )
        session.execute(
            update(Segment)
            .where(col(Segment.id) == large.id)
            .values(status=SegmentStatus.UNVERIFIED, status_reason="unverified since block 1,900,000", status_number=1)
        )


@pytest.mark.parametrize("path", [SETTLED, f"{SETTLED}.json"])
def test_a_settled_day_has_the_same_bytes_whatever_comes_after_it(changing: Engine, path: str) -> None:
    before, today = sheet_of(changing, path), sheet_of(changing, "/funds.json")
    live_on(changing)
    assert sheet_of(changing, "/funds.json").body != today.body
    assert sheet_of(changing, path) == before
    assert before.headers["Cache-Control"] == FOREVER


def test_both_databases_give_the_same_bytes(sqlite_ledger_url: str, postgres_ledger_url: str) -> None:
    found = []
    for url in (sqlite_ledger_url, postgres_ledger_url):
        engine = open_engine(url)
        invent_ledger(engine)
        found.append([sheet_of(engine, path).body for path in (SETTLED, f"{SETTLED}.json", NEWEST)])
        engine.dispose()
    assert found[0] == found[1]


def test_the_page_shows_that_day_and_nothing_of_today(reader: Reader) -> None:
    answer = reader.get(SETTLED)
    page = text_of(answer.text)
    assert "Perp v2, large fund (simulated, May 2021) on 21 May 2021" in page
    assert "The fund could pay $592,000" in page
    assert "512,300" not in page
    assert "Data as of" not in page
    assert "sources current" not in page
    assert reader.get("/funds.json").json()["digest"] not in page
    assert "Replay of" in page
    assert "simulated" in page


def test_it_says_method_version_block_time_and_that_it_is_final(reader: Reader) -> None:
    answer = reader.get(SETTLED)
    page = text_of(answer.text)
    assert "Final. Under method version 1 this page does not change any more." in page
    assert "(22 May 2021, 00:00 UTC). Method version 1. Data: simulated" in page
    assert answer.headers["cache-control"] == FOREVER
    twin = reader.get(f"{SETTLED}.json")
    assert twin.headers["cache-control"] == FOREVER
    assert (twin.json()["is_final"], twin.json()["why_not_final"]) == (True, None)


def test_the_newest_day_may_still_change_and_says_why(changing: Engine) -> None:
    assert "Its chain may still replace the block" in text_of(sheet_of(changing, NEWEST).body.decode())
    with writing(changing) as session:
        session.execute(update(Chain).where(col(Chain.chain_id) == SIMULATED).values(finalized_number=9_000_000))
    final = sheet_of(changing, NEWEST)
    assert "Not final yet. Its numbers are settled; no later day was computed yet" in text_of(final.body.decode())
    assert "Cache-Control" not in final.headers
    with writing(changing) as session:
        session.execute(update(Metric).where(col(Metric.day) == "2021-05-23").values(is_day_final=False))
    assert "The day was not over" in text_of(sheet_of(changing, NEWEST).body.decode())


def test_every_number_leads_to_its_fact_page_at_that_block(reader: Reader) -> None:
    page = reader.get(SETTLED).text
    number = reader.get(f"{SETTLED}.json").json()["segments"][0]["metrics"][0]["block_number"]
    links = re.findall(rf'href="{FUND}/facts/[a-z0-9_]+(/?[0-9]*)"', page)
    assert len(links) > 20
    assert set(links) == {f"/{number}"}


def test_losses_end_at_the_block_of_the_day(reader: Reader) -> None:
    page = text_of(reader.get(f"{FUND}/at/2021-05-20").text)
    assert "18 facts up to block" in page
    exact = sum(13_133_478_889 + place for place in range(9))
    assert f"{exact // 10**6:,}.{exact % 10**6} USDC" in page


def test_a_loss_after_the_block_is_not_on_the_page_of_the_day(changing: Engine) -> None:
    before = sheet_of(changing, f"{SETTLED}.json").body
    with writing(changing) as session:
        inventor = Inventor(session)
        large = large_segment(inventor)
        when = datetime(2021, 5, 22, 3, 7, tzinfo=UTC)
        inventor.fact(large, when, Role.SHORTFALL, 77_000_000, asset_id=large.asset_id)
    assert sheet_of(changing, f"{SETTLED}.json").body == before
    assert b'"losses_count":19' in sheet_of(changing, f"{FUND}/at/2021-05-22.json").body


def test_the_day_before_and_the_day_after_are_linked_where_they_are(reader: Reader) -> None:
    page = reader.get(SETTLED).text
    assert f'<link rel="prev" href="{FUND}/at/2021-05-20">' in page
    assert f'<link rel="next" href="{FUND}/at/2021-05-22">' in page
    assert 'rel="prev"' not in reader.get(f"{FUND}/at/2021-05-20").text
    assert 'rel="next"' not in reader.get(NEWEST).text
    twin = reader.get(f"{SETTLED}.json").json()
    assert (twin["before"], twin["after"]) == ("2021-05-20", "2021-05-22")


def test_the_fund_page_says_where_its_numbers_stay(reader: Reader) -> None:
    assert f'As of 23 May 2021 it stays at <a href="{NEWEST}">' in reader.get(FUND).text
    assert "/at/" not in reader.get("/funds/hostile").text


@pytest.mark.parametrize("day", ["2019-01-01", "2021-05-19", "2030-12-31"])
def test_a_day_without_numbers_is_not_there_and_the_nearest_days_are_named(reader: Reader, day: str) -> None:
    answer = reader.get(f"{FUND}/at/{day}")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
    assert "Nothing was published of Perp v2, large fund" in text_of(answer.text)
    nearest = re.findall(rf'href="{FUND}/at/([^"]+)"', answer.text)
    assert nearest
    assert all(reader.get(f"{FUND}/at/{near}").status_code == 200 for near in nearest)
    twin = reader.get(f"{FUND}/at/{day}.json")
    assert twin.headers["content-type"] == "application/problem+json"
    assert (twin.json()["status"], twin.json()["nearest"]) == (404, nearest)


@pytest.mark.parametrize("day", ["2021-02-30", "2021-13-01", "0000-00-00"])
def test_a_date_that_is_none_is_said_to_be_none(reader: Reader, day: str) -> None:
    answer = reader.get(f"{FUND}/at/{day}")
    assert answer.status_code == 404
    assert f"{day} is no day of the calendar" in text_of(answer.text)


@pytest.mark.parametrize("tail", ["yesterday", "2021-5-1", "20210521", "2021-05-21T00:00", "٢٠٢١-٠٥-٢١", ""])
def test_what_is_no_date_has_no_page(reader: Reader, tail: str) -> None:
    assert reader.get(f"{FUND}/at/{tail}").status_code == 404
    assert reader.get(f"/funds/nobody/at/{tail or '2021-05-21'}").status_code == 404


def test_a_fund_that_was_never_computed_says_so(reader: Reader) -> None:
    answer = reader.get("/funds/hostile/at/2021-05-21")
    assert answer.status_code == 404
    assert "was computed yet" in text_of(answer.text)


def test_unknown_stays_unknown_with_its_reason(reader: Reader) -> None:
    page = text_of(reader.get("/funds/perp-v2-small-simulated/at/2021-05-23").text)
    assert "nothing is left to compare" in page
    rows = reader.get("/funds/perp-v2-small-simulated/at/2021-05-23.json").json()["segments"][0]["metrics"]
    coverage = next(row for row in rows if row["name"] == "coverage")
    assert (coverage["value"], coverage["quality"]) == (None, "unknown")


def test_a_newer_method_version_stands_in_the_place_of_the_older(changing: Engine) -> None:
    assert "Method version 1" in text_of(sheet_of(changing, SETTLED).body.decode())
    with writing(changing) as session:
        for old in session.exec(select(Metric).where(Metric.day == "2021-05-21")).all():
            told: dict[str, Any] = {**old.model_dump(), "method_version": "2"}
            session.add(Metric(**told))
    page = text_of(sheet_of(changing, SETTLED).body.decode())
    assert "Under method version 2 this page does not change any more" in page


def test_a_segment_without_numbers_of_that_day_is_named_and_keeps_the_page_open(changing: Engine) -> None:
    with writing(changing) as session:
        inventor = Inventor(session)
        large = large_segment(inventor)
        usdc = session.get(Asset, large.asset_id)
        assert usdc is not None
        second = inventor.add(
            Segment(
                fund_slug=large.fund_slug,
                slug="second",
                name="Second market",
                chain_id=SIMULATED,
                asset_id=usdc.id,
                start_number=1,
                status="ok",
            )
        )
    never = text_of(sheet_of(changing, SETTLED).body.decode())
    assert "Second market: no numbers of this day." in never
    assert "Not final yet" in never
    with writing(changing) as session:
        inventor = Inventor(session)
        second = session.exec(select(Segment).where(Segment.slug == "second")).one()
        inventor.metrics(second, CRASH_END + timedelta(hours=3), perp_metrics("thin", 2, "1", "1"))
    page = text_of(sheet_of(changing, SETTLED).body.decode())
    assert "Second market: no numbers of this day." in page
    assert "Final. Under method version 1" in page


def test_a_reconstruction_names_no_made_up_block(reader: Reader) -> None:
    day = reader.get("/funds/aave-v2-2021-reconstructed").text
    path = re.search(r'href="(/funds/aave-v2-2021-reconstructed/at/[^"]+)"', day)
    assert path is not None
    page = text_of(reader.get(path[1]).text)
    assert not re.search(r"[Aa]t block\s", page)
    assert "reconstructed" in page


def test_a_reader_who_has_the_day_is_not_sent_it_again(reader: Reader) -> None:
    first = reader.get(SETTLED)
    again = reader.get(SETTLED, {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", FOREVER)


def test_its_style_sheet_has_a_name_that_stays(engine: Engine, reader: Reader) -> None:
    assert '<link rel="stylesheet" href="/static/site.css">' in reader.get(SETTLED).text
    style = Reader(create_site(engine, lambda: NOW)).get("/static/site.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" not in style.headers["cache-control"]
