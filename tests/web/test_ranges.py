"""A chart of part of a balance's record: its own extremes, holes and markers; everything else on the page as it was."""

import gzip
import html
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine, writing
from ledger.kinds import Role
from ledger.pages import Point
from ledger.tables import Platform, Segment
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.crawling import find_faults, text_of
from tests.web.inventor import LIVE, NOW, Inventor
from tests.web.witness import SITE, reader_of
from web.charts import BalanceLine, Marker, chart_balance, split_runs
from web.edition import SiteConfig
from web.press import Press
from web.ranges import cut_line, offered_ranges, range_choices

DAY = timedelta(days=1)
PAGE = "/funds/alpha"
LOWS = {400: 7, 200: 11, 60: 13, 10: 17}
"""Days before the last reading, and the balance then in whole tokens; else it is 1,000 and the number of days."""


def invent(engine: Engine, days: int, *, beside: int = 0) -> Reader:
    """A fund read daily for so many days, with a shortfall 50 days before the end, and a second segment beside it."""
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="alpha", name="Alpha"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        usdc = inventor.asset(LIVE, "USDC", 6, 1.0, NOW)
        fund = inventor.fund("alpha", "Alpha", LIVE, "alpha", asset=usdc)
        inventor.balances(fund, usdc, [(NOW - ago * DAY, balance(ago) * 10**6) for ago in range(days, -1, -1)])
        inventor.fact(fund, NOW - 50 * DAY, Role.SHORTFALL, 10**6, asset_id=usdc.id)
        if beside:
            told = {"fund_slug": "alpha", "slug": "alpha/beta", "name": "Beta", "status": "ok", "status_reason": ""}
            other = inventor.add(Segment(**told, chain_id=LIVE, asset_id=usdc.id, start_number=1000))
            inventor.balances(other, usdc, [(NOW - ago * DAY, 5 * 10**6) for ago in range(beside, -1, -1)])
    return reader_of(engine)


@pytest.fixture(scope="module")
def long_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader of a fund whose record is long enough for every range."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('ranges') / 'ledger.sqlite'}")
    upgrade(engine)
    yield invent(engine, 410)
    engine.dispose()


def balance(ago: int) -> int:
    return LOWS.get(ago, 1000 + ago)


def caption_of(page: str) -> str:
    return text_of(re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)[0])


def links_of(page: str) -> list[list[tuple[str, str]]]:
    """For each row of ranges its words, with the address; the one that is shown has none."""
    rows = re.findall(r'<p class="fine">Range: (.*?)</p>', page)
    one = re.compile(r'<a href="([^"]+)">([^<]+)</a>|<strong aria-current="true">([^<]+)</strong>')
    return [[(shown or words, href) for href, words, shown in one.findall(row)] for row in rows]


def points(*ages: float, period: float = 1.0, unknown: Sequence[float] = ()) -> list[Point]:
    """Readings of so many days ago, the oldest first."""
    assert list(ages) == sorted(ages, reverse=True)
    return [
        Point(place, NOW - age * period * DAY, None if age in unknown else int(age) + 1, 0)
        for place, age in enumerate(ages)
    ]


def line_of(found: Sequence[Point], *markers: Marker) -> BalanceLine:
    return BalanceLine(found, "USDC", None, "", markers)


@pytest.mark.parametrize(
    ("days", "since", "readings", "low", "low_day"),
    [
        ("30", "23 Oct 2026", 31, 17, "12 Nov 2026"),
        ("90", "24 Aug 2026", 91, 13, "23 Sep 2026"),
        ("365", "22 Nov 2025", 366, 11, "6 May 2026"),
        ("", "8 Oct 2025", 411, 7, "18 Oct 2025"),
    ],
)
def test_a_range_has_its_own_dates_and_extremes(  # noqa: PLR0917  Read as rows of a table.
    long_reader: Reader, days: str, since: str, readings: int, low: int, low_day: str
) -> None:
    page = long_reader.get(f"{PAGE}?days={days}" if days else PAGE).text
    caption = caption_of(page).replace("\N{NO-BREAK SPACE}", " ")
    assert caption.startswith(f"Balance in USDC, {since} to 22 Nov 2026, 17:02 UTC: {readings} readings.")
    assert f"Lowest {low} USDC on {low_day}; last 1,000 USDC." in caption
    # The shortfall of 50 days ago is a triangle only where the range reaches it.
    assert ("Triangles" in caption) is (days != "30")
    assert ("Look closer at the whole record" in caption) is bool(days)


def test_everything_else_on_the_page_stays_as_it_is(long_reader: Reader) -> None:
    section = re.compile(r'<section id="chart">.*?</section>', re.DOTALL)
    whole = long_reader.get(PAGE).text
    assert len(section.findall(whole)) == 1
    for days in ("30", "90", "365"):
        answer = long_reader.get(f"{PAGE}?days={days}")
        assert section.sub("", answer.text) == section.sub("", whole)
        assert section.findall(answer.text) != section.findall(whole)
        assert f'<link rel="canonical" href="{SITE}{PAGE}">' in answer.text
        assert not find_faults(PAGE, answer.text, SITE)
        assert len(gzip.compress(answer.content)) < 60_000
        assert "max-age=60" in answer.headers["cache-control"]


def test_the_range_that_is_shown_is_marked_and_the_others_lead_to_it(long_reader: Reader) -> None:
    (row,) = links_of(long_reader.get(PAGE).text)
    assert row == [
        ("30 days", f"{PAGE}?days=30#chart"),
        ("90 days", f"{PAGE}?days=90#chart"),
        ("1 year", f"{PAGE}?days=365#chart"),
        ("All", ""),
    ]
    for words, href in row[:3]:
        (there,) = links_of(long_reader.get(href.removesuffix("#chart")).text)
        assert [one for one, target in there if not target] == [words]
        assert ("All", f"{PAGE}#chart") in there
    assert "a copy of these pages on another one shows the whole record" in text_of(long_reader.get(PAGE).text)


def test_a_range_is_offered_where_the_record_is_longer_and_not_where_it_is_as_long() -> None:
    assert offered_ranges(points(30, 0)) == []
    assert offered_ranges(points(30 + 1 / 86_400, 0)) == ["30"]
    assert offered_ranges(points(90.5, 0)) == ["30", "90"]
    assert offered_ranges(points(365, 0)) == ["30", "90"]
    assert offered_ranges(points(366, 0)) == ["30", "90", "365"]
    assert offered_ranges(points(40, 20, 0, unknown=[40, 0])) == [], "what is not known makes no record longer"
    assert offered_ranges([]) == []
    assert range_choices(points(30, 0), "") == ()


def test_a_record_one_day_too_short_for_a_range_does_not_have_it(new_ledger: Engine) -> None:
    reader = invent(new_ledger, 90)
    assert [words for words, _ in links_of(reader.get(PAGE).text)[0]] == ["30 days", "All"]
    assert reader.get(f"{PAGE}?days=30").status_code == 200
    assert reader.get(f"{PAGE}?days=90").status_code == 400


@pytest.mark.parametrize("days", ["7", "0", "-30", "030", "30 ", "3e1", "NaN", "<b>", "٣٠", "x" * 3000])
def test_a_range_that_there_is_not_is_refused_in_words(long_reader: Reader, days: str) -> None:
    answer = long_reader.get(f"{PAGE}?days={days}")
    assert answer.status_code == 400
    said = text_of(answer.text)
    assert f"“{days[:60]}” is no range that a chart of this fund can show" in said
    assert "Ask for days=30, days=90 or days=365" in said
    assert f'<a href="{PAGE}">' in answer.text
    assert "<b>" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert long_reader.get(f"/funds/nobody?days={days}").status_code == 404


@pytest.mark.parametrize("query", ["days=", "days", "utm_source=x", "role=payout"])
def test_what_asks_for_no_range_gets_the_page_itself(long_reader: Reader, query: str) -> None:
    assert long_reader.get(f"{PAGE}?{query}").text == long_reader.get(PAGE).text


def test_a_fund_without_a_record_has_no_ranges(reader: Reader) -> None:
    for slug in ("morpho-simulated", "reserve-simulated", "hostile"):
        assert not links_of(reader.get(f"/funds/{slug}").text)
        assert reader.get(f"/funds/{slug}?days=30").status_code == 400


def test_an_answer_is_made_once_and_its_bytes_are_the_same_elsewhere(new_ledger: Engine) -> None:
    invent(new_ledger, 100)
    first, second = (Press(new_ledger, lambda: NOW, SiteConfig(site_url=SITE)) for _ in range(2))
    found = first.sheet(PAGE, (("days", "90"),))
    assert found is not None
    assert first.sheet(PAGE, (("utm", "x"), ("days", "90"))) is found
    other = second.sheet(PAGE, (("days", "90"),))
    assert other is not None
    assert other.body == found.body
    whole = first.sheet(PAGE)
    assert whole is not None
    assert whole.body != found.body
    assert first.sheet(f"{PAGE}?days=90") is None, "an address with a question mark of its own is no page"


def test_each_segment_has_the_ranges_of_its_own_record(new_ledger: Engine) -> None:
    reader = invent(new_ledger, 100, beside=50)
    page = reader.get(f"{PAGE}?days=90").text
    rows = {row[-1][1] or row[0][1]: [words for words, href in row if not href] for row in links_of(page)}
    assert rows == {f"{PAGE}#alpha-chart": ["90 days"], f"{PAGE}?days=30#alpha-beta-chart": ["All"]}
    ids = re.findall(r' id="([^"]+)"', page)
    assert {"alpha-chart", "alpha-beta-chart"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_a_hole_breaks_the_line_in_a_range_as_in_the_whole() -> None:
    ages = [age for age in range(100, -1, -1) if not 12 < age < 19]
    line = line_of(points(*ages, unknown=[5]))
    cut = cut_line(line, "30")
    chart = chart_balance(cut, "a")
    assert chart is not None
    assert "The line breaks 2 times, where no balance is known." in chart.caption
    assert "no balance is known. " not in chart.caption.partition("The line breaks")[0]
    breaks = [run[0].time for run in split_runs(line.points)][1:]
    assert len(breaks) == 2
    for moment in breaks:
        assert moment > (cut.since or NOW)


def test_a_range_that_begins_in_a_hole_says_since_when_it_knows_anything() -> None:
    ages = [age for age in range(100, -1, -1) if not 25 < age < 40]
    chart = chart_balance(cut_line(line_of(points(*ages)), "30"), "a")
    assert chart is not None
    assert chart.caption.startswith("Balance in USDC, 28 Oct 2026 to 22 Nov 2026, 17:02 UTC: 26 readings.")
    assert "From 23 Oct 2026, 17:02 UTC to 28 Oct 2026, 17:02 UTC no balance is known." in chart.caption
    assert "The line breaks" not in chart.caption


def test_a_range_ends_with_the_last_reading_that_is_known() -> None:
    found = points(*range(100, -1, -1), unknown=range(10))
    cut = cut_line(line_of(found), "30")
    assert cut.since == NOW - 40 * DAY
    chart = chart_balance(cut, "a")
    assert chart is not None
    assert "to 12 Nov 2026, 17:02 UTC: 31 readings." in chart.caption


def test_a_range_with_one_reading_draws_no_line_and_says_so(new_ledger: Engine) -> None:
    assert chart_balance(cut_line(line_of(points(100, 99, 0)), "30"), "a") is None
    with writing(new_ledger) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="alpha", name="Alpha"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        usdc = inventor.asset(LIVE, "USDC", 6, 1.0, NOW)
        fund = inventor.fund("alpha", "Alpha", LIVE, "alpha", asset=usdc)
        inventor.balances(fund, usdc, [(NOW - ago * DAY, 10**6) for ago in (100, 99, 0)])
    page = reader_of(new_ledger).get(f"{PAGE}?days=30").text
    assert "Too few balances were read in this range to draw a line." in text_of(page)
    assert links_of(page)[0][-1] == ("All", f"{PAGE}#chart"), "the way back is there without a chart, too"


def test_a_spike_of_one_reading_stays_in_a_range_of_thousands() -> None:
    found = points(*range(40 * 96, -1, -1), period=1 / 96)
    spike = found[-500]
    found[-500] = Point(spike.number, spike.time, 999_999, 0)
    whole = chart_balance(line_of(found), "a")
    chart = chart_balance(cut_line(line_of(found), "30"), "a")
    assert chart is not None
    assert whole is not None
    for svg in (chart.wide, whole.wide):
        assert "1M" in svg
        (path,) = re.findall(r'd="(M[^"]+)"[^>]*stroke="var\(--accent\)"', svg)
        assert len(path.split("L")) <= 1002
    assert "2,881 readings" in chart.caption


def test_markers_before_a_range_do_not_widen_it() -> None:
    markers = [Marker(NOW - ago * DAY, f"Shortfall {ago}", f"shortfall-{ago}") for ago in (80, 30, 3)]
    cut = cut_line(line_of(points(*range(100, -1, -1)), *markers), "30")
    assert [marker.anchor for marker in cut.markers] == ["shortfall-30", "shortfall-3"]
    chart = chart_balance(cut, "a")
    assert chart is not None
    assert html.unescape(chart.wide).count("<a href") == 2


def test_a_line_stays_as_it_is_where_its_record_does_not_have_the_range() -> None:
    line = line_of(points(30, 10, 0))
    assert cut_line(line, "30") is line
    assert cut_line(line, "") is line
