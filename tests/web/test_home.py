"""The table of funds as it is asked for by address: filters, orders, mistakes, the banner, and nothing kept of it."""

import html
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import open_engine
from ledger.tables import Platform
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.inventor import CRASH_END, NOW, SIMULATED, Inventor, perp_metrics
from web.edition import SiteConfig
from web.press import Press
from web.site import create_site

ROW = re.compile(r'<th scope="row"><a href="/funds/([^"]+)"')


def rows(text: str) -> list[str]:
    return ROW.findall(text)


def said(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def test_a_filter_leaves_those_rows_and_says_how_many(reader: Reader) -> None:
    answer = reader.get("/?status=thin&q=&kind=&chain=&data=&sort=")
    assert answer.status_code == 200
    assert rows(answer.text) == ["perp-v2-large-simulated"]
    assert "1 of 8 funds" in said(answer.text)
    assert '<option value="thin" selected>Thin</option>' in answer.text


def test_the_counts_are_those_of_all_funds_whatever_is_filtered(reader: Reader) -> None:
    counts = [re.findall(r"<dd>(\d+)</dd></div>", reader.get(path).text) for path in ("/", "/?status=thin")]
    assert counts[0] == counts[1] == ["8", "8", "2", "3"]


def test_every_head_leads_to_the_table_in_its_order(reader: Reader) -> None:
    home = reader.get("/").text
    links = [html.unescape(link) for link in re.findall(r'<th scope="col"[^>]*><a href="([^"]+)"', home)]
    assert len(links) == 8
    for link in links:
        answer = reader.get(f"/{link}")
        assert answer.status_code == 200
        assert sorted(rows(answer.text)) == sorted(rows(home))
        assert answer.text.count("aria-sort=") == 1
    lowest = reader.get("/?sort=coverage&dir=asc").text
    assert rows(lowest)[0] == "drift-2022-third-party"
    assert rows(reader.get("/?sort=coverage&dir=desc").text)[0] != "drift-2022-third-party"


def test_a_question_does_not_change_the_address_of_the_page(reader: Reader) -> None:
    for query in ("", "?sort=coverage", "?q=perp", "?utm_source=letter"):
        assert '<link rel="canonical" href="https://backstop.example/">' in reader.get(f"/{query}").text


def test_the_plain_page_is_the_published_one_before_and_after_questions(
    engine: Engine, site_config: SiteConfig
) -> None:
    press = Press(engine, lambda: NOW, site_config)
    plain = press.sheet("/")
    asked = press.sheet("/", (("q", "drift"),))
    assert plain is not None
    assert asked is not None
    assert plain.body != asked.body
    assert press.sheet("/") is plain
    assert press.sheet("/", (("q", "drift"),)) is not asked, "an answer is made for one reader and not kept"
    nothing = press.sheet("/", (("utm_source", "letter"),))
    assert nothing is not None
    assert nothing.body == plain.body


def test_no_fund_like_that_is_said_with_a_way_back(reader: Reader) -> None:
    answer = reader.get("/?q=zzzz&sort=coverage")
    assert answer.status_code == 200
    assert rows(answer.text) == []
    assert "No fund is like that." in answer.text
    assert 'href="?sort=coverage&amp;dir=asc">Show all funds' in answer.text
    assert "No fund is in the ledger yet" not in answer.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("kind=bank", "Type: nothing has that name"),
        ("sort=nope", "no such order"),
        ("dir=up", "up (asc) or down (desc)"),
        ("q=" + "x" * 5000, "at most 60"),
        ("status=thin&status=short", "asked for twice"),
        ("q=%00", "at most 60"),
    ],
)
def test_a_wrong_question_is_answered_with_400_and_what_is_wrong(reader: Reader, query: str, words: str) -> None:
    answer = reader.get(f"/?{query}")
    assert answer.status_code == 400
    assert words in said(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    ids = re.findall(r' id="([^"]+)"', answer.text)
    alert = answer.text[answer.text.index('role="alert"') :]
    targets = re.findall(r'href="#([^"]+)"', alert[: alert.index("</div>")])
    assert targets
    assert set(targets) <= set(ids)


def test_what_is_typed_stays_text(reader: Reader) -> None:
    answer = reader.get('/?q="><script>alert(1)</script>')
    assert "<script" not in answer.text
    assert 'value="&#34;&gt;&lt;script&gt;' in answer.text


def test_the_banner_names_open_shortfalls_with_number_and_block_and_sources_that_are_behind(reader: Reader) -> None:
    text = reader.get("/").text
    banner = text[text.index('<aside class="banner"') : text.index('<div class="opening">')]
    assert "Our reading of Optimism is behind" in banner
    assert "$86,400 that no event has booked yet, at block" in said(banner)
    assert 'href="/funds/perp-v2-small-simulated/facts/unbooked_loss"' in banner
    assert banner.count("<p>") == 2


def test_last_changes_and_the_way_to_alerts_stand_below_the_last_events(reader: Reader) -> None:
    text = reader.get("/").text
    places = [text.index(words) for words in ("<h2>Last events", "<h2>Last changes", "<h2>Hear of it")]
    assert places == sorted(places)
    assert 'href="/alerts"' in text[places[-1] :]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A site of one recording whose twelve funds owe nobody anything."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('quiet') / 'ledger.sqlite'}")
    upgrade(engine)
    with Session(engine) as session:
        invent_quiet(Inventor(session))
        session.commit()
    return Reader(create_site(engine, lambda: CRASH_END + timedelta(minutes=1)))


def invent_quiet(inventor: Inventor) -> None:
    inventor.add(Platform(slug="perp", name="Perp v2"))
    inventor.chain(SIMULATED, "crash", "Crash of May 2021 (simulated)", "simulated", CRASH_END)
    usdc = inventor.asset(SIMULATED, "USDC", 6, 1.0, CRASH_END)
    for number in range(12):
        segment = inventor.fund(f"quiet-{number}", f"Quiet fund {number}", SIMULATED, "perp", asset=usdc)
        told = perp_metrics("covered", 1, f"{1000 * (number + 1)}", f"{1000 * (number + 1)}")
        inventor.metrics(segment, CRASH_END, told)


def test_without_an_open_shortfall_or_an_incident_there_is_no_banner(quiet: Reader) -> None:
    assert 'class="banner"' not in quiet.get("/").text


def test_amounts_are_ordered_as_numbers_not_as_words(quiet: Reader) -> None:
    found = [int(slug.removeprefix("quiet-")) for slug in rows(quiet.get("/?sort=usable").text)]
    assert found == list(reversed(range(12)))


def test_a_fund_without_readings_says_so_where_one_would_look_closer(quiet: Reader) -> None:
    told = quiet.get("/funds/quiet-0/balance/quiet-0.json").json()
    assert told == {"reason": "Too few balances were read to draw a line."}
    assert "data-bundle" not in quiet.get("/funds/quiet-0").text


def test_an_empty_ledger_has_no_banner_and_takes_every_question(tmp_path: Path) -> None:
    empty = open_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    upgrade(empty)
    answer = Reader(create_site(empty, lambda: NOW)).get("/?q=drift&sort=worst")
    assert answer.status_code == 200
    assert "No fund" in answer.text
    empty.dispose()
