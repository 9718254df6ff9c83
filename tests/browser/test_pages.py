"""The pages in a real browser: without scripts, narrow and wide, light and dark, and for those who cannot see them."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from app.server import open_socket, serving
from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.web.invented import invent_ledger
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.press import MAKERS
from web.site import create_site

PATHS = (
    "/",
    "/funds/perp-v2-large-simulated",
    "/funds/perp-v2-large-simulated?days=30",
    "/funds/perp-v2-large-simulated?days=7",
    "/funds/aave-v2-2021-reconstructed",
    "/funds/drift-2022-third-party",
    "/funds/hostile",
    "/funds/perp-v2-large-simulated/facts/usable_value",
    "/funds/perp-v2-large-simulated/facts/coverage/1817866",
    "/funds/perp-v2-large-simulated/at/2021-05-23",
    "/funds/perp-v2-large-simulated/at/2019-01-01",
    "/funds/perp-v2-large-simulated/history",
    "/funds/perp-v2-large-simulated/events",
    "/funds/hostile/history",
    "/events",
    "/events/payout-drift-2022-third-party-2022-12-03-t000000-0",
    "/changes",
    "/compare?f=perp-v2-large-simulated&f=drift-2022-third-party&f=hostile",
    "/stress?fund=perp-v2-large-simulated&shock=-30",
    "/coverage",
    "/data",
    "/data/dictionary",
    "/alerts",
    "/alerts/log",
    "/methodology",
    "/methodology/changelog",
    "/glossary",
    "/status",
    "/nowhere",
)
NOT_THERE = {
    "/funds/perp-v2-large-simulated?days=7": "400",
    "/funds/perp-v2-large-simulated/at/2019-01-01": "404",
    "/nowhere": "404",
}
"""Pages that say that there is nothing, with their code."""
SERIOUS = {"serious", "critical"}
SPLIT_CELLS = """cells => cells.filter(cell =>
    [...cell.childNodes].filter(part => part.textContent.trim() || part.nodeType === Node.ELEMENT_NODE).length > 1
).map(cell => cell.outerHTML)"""
"""Cells of cards with several parts: beside its label each would stand in a row of its own, below the label."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a site over the invented ledger is served."""
    engine: Engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('browser') / 'ledger.sqlite'}")
    upgrade(engine)
    invent_ledger(engine)
    site = create_site(engine, lambda: NOW, SiteConfig(docs=Path("docs").resolve()))
    listening: socket.socket = open_socket("127.0.0.1", 0)
    with serving(site, listening) as served:
        yield served.url
    engine.dispose()


def visit(browser: Browser, url: str, **options: Any) -> tuple[Page, list[str], list[str]]:
    """A page in a context of its own, what it complained of, and which hosts it asked."""
    page = browser.new_context(**options).new_page()
    complaints: list[str] = []
    hosts: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: hosts.append(urlsplit(asked.url).netloc))
    page.goto(url, wait_until="load")
    return page, complaints, hosts


@pytest.mark.parametrize("path", PATHS)
def test_a_page_without_scripts_complains_of_nothing_and_asks_nobody_else(
    browser: Browser, address: str, path: str
) -> None:
    page, complaints, hosts = visit(browser, address + path, java_script_enabled=False)
    assert page.locator("h1").first.inner_text()
    assert len(complaints) == (path in NOT_THERE), complaints
    assert all(NOT_THERE[path] in said for said in complaints)
    assert set(hosts) == {urlsplit(address).netloc}
    page.context.close()


@pytest.mark.parametrize("look", [(path, scheme) for path in PATHS for scheme in ("light", "dark")])
def test_axe_finds_nothing_serious(browser: Browser, address: str, axe_source: str, look: tuple[str, Any]) -> None:
    path, scheme = look
    page, _, _ = visit(
        browser, address + path, color_scheme=scheme, viewport={"width": 1366, "height": 768}, bypass_csp=True
    )
    page.evaluate(axe_source)
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]
    assert not serious
    page.context.close()


@pytest.mark.parametrize("width", [320, 390, 1366])
@pytest.mark.parametrize("path", PATHS)
def test_no_page_scrolls_sideways(browser: Browser, address: str, path: str, width: int) -> None:
    page, _, _ = visit(browser, address + path, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".cards td[data-label]").evaluate_all(SPLIT_CELLS) == []
    page.context.close()


def test_every_kind_of_page_is_looked_at() -> None:
    kinds = [pattern for pattern, _ in MAKERS if not re.search(r"\\\.[a-z]+$", pattern)]
    assert len(kinds) > 20
    asked = [path.partition("?")[0] for path in PATHS]
    assert not [kind for kind in kinds if not any(re.fullmatch(kind, path) for path in asked)]


def test_eight_funds_stand_above_the_fold(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, address, viewport={"width": 1366, "height": 768})
    rows = page.locator(".funds tbody tr").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().bottom)")
    seen = sum(bottom <= 768 for bottom in rows)
    assert seen >= 8
    page.context.close()


def test_on_a_phone_the_table_becomes_cards_with_their_labels(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, address, viewport={"width": 390, "height": 844})
    cell = page.locator('.funds td[data-label="Coverage"]').nth(1)
    assert "Coverage" in cell.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert page.locator(".funds thead").bounding_box()["x"] < 0  # type: ignore[index]
    page.context.close()


def test_a_marker_on_the_chart_leads_to_its_row(browser: Browser, address: str) -> None:
    page, _, _ = visit(
        browser,
        f"{address}/funds/perp-v2-large-simulated",
        java_script_enabled=False,
        viewport={"width": 1366, "height": 768},
    )
    marker = page.locator(".only-wide svg.chart a").first
    target = marker.get_attribute("href") or ""
    assert re.fullmatch(r"#shortfall-[\w-]+", target)
    assert "Shortfall" in (marker.get_attribute("aria-label") or "")
    assert "Shortfall" in page.locator(f"tr{target}").inner_text()
    page.context.close()


def test_the_chart_follows_the_theme(browser: Browser, address: str) -> None:
    strokes = set()
    for scheme in ("light", "dark"):
        page, _, _ = visit(browser, f"{address}/funds/perp-v2-large-simulated", color_scheme=scheme)
        line = page.locator('.only-wide svg.chart path[stroke="var(--accent)"]').first
        strokes.add(line.evaluate("line => getComputedStyle(line).stroke"))
        page.context.close()
    assert len(strokes) == 2
    assert all(stroke.startswith("rgb(") for stroke in strokes)


def test_paper_shows_the_page_without_its_navigation(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, f"{address}/funds/perp-v2-large-simulated")
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible()
    assert page.locator(".badge").first.is_visible()
    page.context.close()
