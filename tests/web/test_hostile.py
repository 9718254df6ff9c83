"""Funds with hostile names and impossible numbers: each is listed, in words that are right, and breaks nothing."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Dialog
from playwright.sync_api import Page as BrowserPage
from sqlalchemy import Engine

from app.server import open_socket, serving
from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.crawling import find_faults, internal_links, text_of
from tests.web.hostility import (
    DEEP,
    LONG,
    NAMES,
    ODD,
    PLAIN_TWIN,
    PRINTED,
    SITE,
    SITE_URL,
    SLUGS,
    SPREAD,
    UINT,
    Elements,
    Odd,
    Page,
    Pages,
    form_of,
    invent_hostile,
    of_kind,
    paths_of,
    rows_of,
)
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.site import create_site

ATOM = "{http://www.w3.org/2005/Atom}"
SVG = "{http://www.w3.org/2000/svg}"

ON_A_PHONE = (
    *("/", "/funds/all", "/funds/long", "/funds/garbage", "/funds/long/history", "/funds/long/events", "/events"),
    *("/changes", "/compare?f=all&f=long&f=lines&f=garbage", "/stress?fund=long&shock=-20", "/alerts/log", "/coverage"),
    *("/status", "/funds/long/at/2026-11-21", "/funds/long/facts/gross_balance"),
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The ledger of hostile funds; tests only read it."""
    yield from _ledger(tmp_path_factory.mktemp("hostile"), ODD)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same numbers under a plain name."""
    yield from _ledger(tmp_path_factory.mktemp("plain"), PLAIN_TWIN)


def _ledger(folder: Path, funds: tuple[Odd, ...]) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{folder / 'ledger.sqlite'}")
    upgrade(engine)
    invent_hostile(engine, funds)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def asked(hostile: Engine) -> Reader:
    """A reader of the site of hostile funds."""
    return _reader(hostile)


def _reader(engine: Engine) -> Reader:
    return Reader(create_site(engine, lambda: NOW, SiteConfig(SITE_URL, docs=Path("docs").resolve())))


@pytest.fixture(scope="module")
def shown(asked: Reader) -> Pages:
    """Every form of every fund, and every page of the site that lists them, each with its facts' own pages."""
    paths = [*SITE, *(path for slug in SLUGS for path in paths_of(slug))]
    found = {path: _get(asked, path) for path in paths}
    linked = {link for path in ("/events", "/changes") for link in internal_links(found[path].text)}
    deep = re.compile(rf"/events/(?:.*-)?(?:{'|'.join(DEEP)})-")
    return found | {link: _get(asked, link) for link in sorted(linked) if deep.match(link)}


def _get(reader: Reader, path: str) -> Page:
    answer = reader.get(path)
    assert answer.status_code == 200, f"{path} answers {answer.status_code}"
    return Page(answer.headers["content-type"].partition(";")[0], answer.content)


def test_no_element_and_no_attribute_of_a_page_comes_from_data(shown: Pages, plain: Engine) -> None:
    twin, same = _reader(plain), dict[str, set[tuple[str, ...]]]()
    pages = of_kind(shown, "text/html")
    assert len(pages) > 70
    for path in pages:
        if path in SITE or re.search(r"\b(script|old|unpriced|unanswered|negative|all)\b", path):
            same.setdefault(form_of(path), set()).update(Elements(twin.get(path).text).kinds)
    for path, page in pages.items():
        elements = Elements(page.text)
        # A text that was cut stands whole in a title.
        extra = elements.kinds - same[form_of(path)] - {("span", "title")}
        assert not extra, (path, extra)
        assert not elements.others, path
        for _, target in elements.values:
            assert re.fullmatch(r"(?:/|#|\?|https://)[^\s<>\"\\]*", target), (path, target)


def is_invisible(sign: str) -> bool:
    """Controls, marks of direction and of no width, separators of lines, and what is no character."""
    return unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") or sign in "\ufffe\uffff"


def test_nothing_that_cannot_be_seen_reaches_a_reader(shown: Pages) -> None:
    for path, page in shown.items():
        found = {sign for sign in set(page.text) - {"\t", "\n", "\r"} if is_invisible(sign)}
        assert not found, (path, found)


def test_names_stand_as_they_are_or_neat_where_they_cannot(shown: Pages) -> None:
    for slug, name in PRINTED.items():
        head = re.search(r"<h1>(.*?)</h1>", shown[f"/funds/{slug}"].text, re.DOTALL)
        assert head
        assert text_of(head[1]) == name
        row = re.search(rf'<th scope="row"><a href="/funds/{slug}">(.*?)</a>', shown["/"].text)
        assert row
        assert text_of(row[1]) == name
        assert f" {name}" in text_of(shown["/compare"].text)
        assert json.loads(shown[f"/badges/{slug}.json"].body)["label"] == name


def test_every_fund_is_listed_wherever_funds_are(shown: Pages) -> None:
    for path in ("/", "/coverage", "/compare", "/stress", "/alerts/log", "/events", "/changes"):
        assert not [slug for slug in SLUGS if not re.search(rf'"/?(funds/)?{slug}["#]', shown[path].text)], path
    for path in ("/funds.json", "/api/v1/funds"):
        told = json.loads(shown[path].body)
        assert {fund["slug"] for fund in told.get("funds") or told["data"]} == set(SLUGS)
    for path, tag in (("/sitemap.xml", "loc"), ("/alerts/log.atom", "id"), ("/events.atom", "id")):
        assert sum(element.tag.endswith(tag) for element in ElementTree.fromstring(shown[path].body).iter()) > len(
            SLUGS
        )


def test_a_name_of_ten_kilobytes_is_cut_in_its_words_and_not_by_a_style(shown: Pages) -> None:
    for path, page in shown.items():
        if path == "/funds.csv" or page.kind in ("text/html", "application/atom+xml", "image/svg+xml"):
            assert LONG[:500] not in page.text, path
            assert SPREAD[:1300] not in page.text, path
    rows = re.findall(r'<tr>\n<th scope="row">.*?</tr>', shown["/"].text, re.DOTALL)
    assert len(rows) == len(SLUGS)
    assert max(len(text_of(row)) for row in rows) < 450
    assert len(shown["/"].body) < 100_000


def test_no_page_prints_what_is_no_number_or_lacks_its_heading(shown: Pages) -> None:
    for path, page in of_kind(shown, "text/html").items():
        if "?" not in path:
            assert not find_faults(path, page.text, SITE_URL)


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def test_twins_and_answers_are_strict_json_that_keeps_what_contracts_say(shown: Pages) -> None:
    pages = of_kind(shown, "application/json")
    assert len(pages) > 80
    for page in pages.values():
        json.loads(page.body, parse_constant=refuse)
    (row,) = json.loads(shown["/api/v1/funds/lines/readings?name=balance"].body)["data"][-1:]
    assert row["call"] == NAMES["lines"]
    (row,) = json.loads(shown["/api/v1/funds/garbage/readings?name=balance"].body)["data"][-1:]
    assert (row["value_raw"], row["quality"]) == (str(UINT), "ok")


def test_files_have_whole_rows_and_no_cell_that_a_table_program_would_run(shown: Pages) -> None:
    for path, page in of_kind(shown, "text/csv").items():
        rows = rows_of(page)
        assert rows, path
        for cell in (cell for row in rows for cell in row.values()):
            is_number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", cell) is not None
            assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (path, cell[:80])
    found = {row["fund"]: row for row in rows_of(shown["/funds.csv"])}
    assert set(found) == set(SLUGS)
    for slug, name in PRINTED.items():
        assert found[slug]["name"] == (f"'{name}" if name[0] in "=+@" else name)
    assert found["negative"]["usable_value"] == "-105166.01"
    assert (found["unpriced"]["usable_value"], found["unpriced"]["usable_value_quality"]) == ("", "unknown")


def test_feeds_are_atom_whose_texts_are_texts(shown: Pages) -> None:
    pages = of_kind(shown, "application/atom+xml")
    assert len(pages) == len(SLUGS) + 3
    for path, page in pages.items():
        feed = ElementTree.fromstring(page.body)
        assert feed.tag == f"{ATOM}feed"
        entries = list(feed.iter(f"{ATOM}entry"))
        assert entries, path
        ids = [element.text for element in feed.iter(f"{ATOM}id")]
        assert len(ids) == len(set(ids))
        for part in (feed, *entries):
            for needed in ("id", "title", "updated", "link"):
                assert len([child for child in part if child.tag == ATOM + needed]) >= 1, (path, needed)
            assert datetime.fromisoformat(part.findtext(f"{ATOM}updated") or "").tzinfo
        # RFC 4287: only these of our elements hold others.
        holders = {element.tag for element in feed.iter() if len(element)}
        assert holders == {f"{ATOM}feed", f"{ATOM}entry", f"{ATOM}author"}
        links = [element.get("href", "") for element in feed.iter(f"{ATOM}link")]
        assert all(re.fullmatch(rf"{SITE_URL}/[\w/.#-]+", link) for link in links), path
    titles = {element.text for element in ElementTree.fromstring(shown["/funds/cdata/events.atom"].body).iter()}
    assert f"Backstop: events of {PRINTED['cdata']}" in titles


def test_badges_are_pictures_of_one_line(shown: Pages) -> None:
    for path, page in of_kind(shown, "image/svg+xml").items():
        picture = ElementTree.fromstring(page.body)
        tags = {element.tag.removeprefix(SVG) for element in picture.iter()}
        assert tags <= {"svg", "title", "rect", "g", "text", "circle", "path"}, path
        assert int(picture.get("width", "")) < 700
    texts = [element.text for element in ElementTree.fromstring(shown["/badges/script.svg"].body).iter(f"{SVG}text")]
    assert PRINTED["script"] in texts


@pytest.mark.parametrize("slug", ["all", "lines", "empty", "garbage"])
def test_a_preview_picture_is_drawn(asked: Reader, slug: str) -> None:
    picture = asked.get(f"/og/{slug}.png").content
    assert picture.startswith(b"\x89PNG")
    assert (int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")) == (1200, 630)


def cells(shown: Pages, slug: str) -> dict[str, str]:
    """The row of a fund on the home page, by the labels of its cells."""
    row = re.search(rf'<th scope="row"><a href="/funds/{slug}">.*?</tr>', shown["/"].text, re.DOTALL)
    assert row
    return {label: text_of(cell) for label, cell in re.findall(r'<td[^>]* data-label="([^"]+)">(.*?)</td>', row[0])}


def metric(shown: Pages, slug: str, name: str) -> Any:
    """One number of a fund's twin."""
    (segment,) = json.loads(shown[f"/funds/{slug}.json"].body)["segments"]
    return next(row for row in segment["metrics"] if row["name"] == name)


def said(shown: Pages, slug: str) -> str:
    """The one sentence of a fund's page, with its usable value and its coverage beneath."""
    found = re.search(r'<p class="said">.*?</dl>', shown[f"/funds/{slug}"].text, re.DOTALL)
    assert found
    return text_of(found[0]).replace("\xa0", " ")


def test_no_open_interest_is_words_and_neither_infinity_nor_nothing(shown: Pages) -> None:
    assert cells(shown, "zero")["Open interest or borrows"] == "$0"
    row = metric(shown, "zero", "coverage_of_exposure")
    assert (row["value"], row["text"]) == (None, "no open interest")
    assert (metric(shown, "zero", "exposure")["value"], metric(shown, "zero", "exposure")["quality"]) == ("0.00", "ok")
    values = re.findall(r'<td class="n" data-label="Value">(.*?)</td>', shown["/funds/zero"].text)
    assert "no open interest" in map(text_of, values)


def test_a_fund_that_owes_more_than_it_holds_is_depleted_and_its_debt_has_a_sign(shown: Pages) -> None:
    row = cells(shown, "negative")
    assert (row["Status"], row["Usable"]) == ("Depleted verified on chain", "−$105,167")
    assert said(shown, "negative").startswith(
        "The fund owes 105,167 PLAIN net at block 16,280,566 (22 Nov 2026, 17:00 UTC)"
    )
    assert metric(shown, "negative", "gross_balance")["value"] == "-105166.000001"
    assert json.loads(shown["/badges/negative.json"].body)["message"].startswith("Depleted")


def test_a_number_of_thirty_days_ago_is_shown_with_its_date_and_never_as_current(shown: Pages) -> None:
    row = cells(shown, "old")
    assert row["Status"] == "? Not computable at best Ample stale"
    assert row["As of"].startswith("23 Oct 2026")
    assert all(row[label].endswith("stale") for label in ("Usable", "Coverage", "Reference loss"))
    told = said(shown, "old")
    assert told.startswith("Coverage cannot be stated: the balance or its price is 720 h old")
    assert "The last known usable value, $50,000, dates from block 16,064,566 (23 Oct 2026, 17:00 UTC)." in told
    assert json.loads(shown["/badges/old.json"].body)["message"] == "Not computable"
    assert (metric(shown, "old", "usable_value")["quality"], metric(shown, "old", "status")["text"]) == (
        "stale",
        "not_computable",
    )


def test_all_at_once_is_said_one_after_the_other(shown: Pages) -> None:
    row = cells(shown, "all")
    assert row["Status"] == "Depleted stale"
    assert (row["Usable"], row["Coverage"], row["Open interest or borrows"]) == ("unknown", "unknown", "$0 stale")
    assert row["As of"].startswith("23 Oct 2026")
    assert said(shown, "all").startswith("The fund owes 5.79 × 10⁷⁰ <script>")


def test_the_largest_number_of_a_contract_does_not_burst_a_page(shown: Pages) -> None:
    row = cells(shown, "garbage")
    assert row["Usable"] == "$1.15 × 10⁷¹"
    assert max(map(len, row.values())) < 60
    assert metric(shown, "garbage", "gross_balance")["value"] == f"{UINT // 10**6}.{UINT % 10**6:06d}"
    assert f"{UINT // 10**6:,}.{UINT % 10**6:06d}" in shown["/funds/garbage/facts/gross_balance"].text


@pytest.mark.parametrize(
    ("slug", "reason"),
    [("unpriced", "at least: PLAIN has no price"), ("unanswered", "PLAIN: its signed value could not be read")],
)
def test_what_nobody_answered_is_unknown_with_its_reason_and_never_nothing(
    shown: Pages, slug: str, reason: str
) -> None:
    row = cells(shown, slug)
    assert (row["Usable"], row["Coverage"]) == ("unknown", "unknown")
    assert f"Usable value unknown {reason}" in said(shown, slug)
    assert (metric(shown, slug, "usable_value")["value"], metric(shown, slug, "usable_value")["quality"]) == (
        None,
        "unknown",
    )


@pytest.mark.parametrize(
    ("slug", "symbol"),
    [("dollar", "“usd”"), ("times", "“ratio”"), ("empty", "(unnamed token)"), ("script", PRINTED["script"])],
)
def test_a_token_called_as_a_unit_or_not_at_all_stays_a_token(shown: Pages, slug: str, symbol: str) -> None:
    page = text_of(shown[f"/funds/{slug}"].text).replace("\xa0", " ")
    assert f"Holds 50,000 {symbol}, at block" in page
    assert f"last 50,000 {symbol}." in page
    (row,) = [row for row in rows_of(shown[f"/funds/{slug}/events.csv"]) if row["role"] == "payout"]
    assert (row["amount"], row["asset"]) == ("1.000001", symbol)


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_no_cell_is_high_and_no_dialog_opens(browser: Browser, hostile: Engine, width: int) -> None:
    site = create_site(hostile, lambda: NOW, SiteConfig(docs=Path("docs").resolve()))
    with serving(site, open_socket("127.0.0.1", 0)) as served:
        for path in ON_A_PHONE:
            page, complaints = visit(browser, served.url + path, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("script:not([type=module]), img, [onerror], b, iframe").count() == 0, path
            if path == "/":
                lines = page.locator(".funds tbody :is(th, td)").evaluate_all(
                    "cells => cells.map(cell => cell.clientHeight / parseFloat(getComputedStyle(cell).lineHeight))"
                )
                assert len(lines) == 9 * len(SLUGS)
                assert max(lines) <= (6.5 if width == 390 else 7)
            page.context.close()
            assert not complaints, path


def visit(browser: Browser, url: str, width: int) -> tuple[BrowserPage, list[str]]:
    """A page on a phone, and what it complained of or asked."""
    page = browser.new_context(viewport={"width": width, "height": 844}).new_page()
    complaints: list[str] = []

    def refuse_dialog(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", refuse_dialog)
    page.goto(url, wait_until="load")
    return page, complaints
