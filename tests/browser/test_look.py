"""How pages look in a real browser: the table of many funds, charts, looking closer, paper, forced colours."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine
from sqlmodel import Session

from app.server import open_socket, serving
from ledger.database import open_engine
from ledger.kinds import Role
from ledger.tables import Platform
from ledger.upgrades import upgrade
from tests.web.inventor import CRASH_END, NOW, SIMULATED, Inventor, hours, perp_metrics
from web.edition import SiteConfig
from web.site import create_site

STATUSES = ("depleted", "short", "thin", "covered", "ample")
FUND = "/funds/fund-0"
DRY = {
    "depletion_30d": (None, "fraction", "< 0.015 %", "partial", "no tail is fitted"),
    "depletion_90d": ("0.0105", "fraction"),
    "depletion_365d": ("0.61835", "fraction"),
    "size_band": ("63264.14", "usd"),
}


def invent_many(engine: Engine) -> None:
    """Twelve funds with names of usual length; the first with flows in two months and all of its drawings."""
    upgrade(engine)
    with Session(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp", name="Perpetual Protocol v2"))
        inventor.chain(SIMULATED, "crash", "Crash of May 2021 (simulated)", "simulated", CRASH_END)
        usdc = inventor.asset(SIMULATED, "USDC", 6, 1.0, CRASH_END)
        for number in range(12):
            name = f"Insurance fund {number} (simulated, May 2021)"
            segment = inventor.fund(f"fund-{number}", name, SIMULATED, "perp", asset=usdc)
            values = [(time, 500_000_000_000 - place * 10**8) for place, time in enumerate(hours(CRASH_END, 48))]
            inventor.balances(segment, usdc, values)
            told = perp_metrics(STATUSES[number % 5], 1, f"{512_300 * (number + 1)}", f"{512_300 * (number + 1)}")
            inventor.metrics(segment, CRASH_END, told | (DRY if number == 0 else {}))
            if number == 0:
                for days, raw in ((40, 600_000_000_000), (3, 20_000_000_000)):
                    time = CRASH_END - timedelta(days=days)
                    inventor.fact(segment, time, Role.CONTRIBUTION, raw, source="top_up", asset_id=usdc.id)
                when = CRASH_END - timedelta(days=4)
                inventor.fact(segment, when, Role.PAYOUT, 80_000_000_000, log=3, asset_id=usdc.id)
        session.commit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a site over twelve funds is served."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('look') / 'ledger.sqlite'}")
    invent_many(engine)
    site = create_site(engine, lambda: NOW, SiteConfig(docs=Path("docs").resolve()))
    with serving(site, open_socket("127.0.0.1", 0)) as served:
        yield served.url
    engine.dispose()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Any]:
    """Opens pages; what they complain of fails the test."""
    opened: list[Page] = []
    complaints: list[str] = []

    def go(path: str, **options: Any) -> Page:
        page = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **options}).new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address + path, wait_until="load")
        opened.append(page)
        return page

    yield go
    for page in opened:
        page.context.close()
    assert not complaints


def test_eight_of_many_funds_stand_above_the_fold_below_their_filters(visit: Any) -> None:
    page = visit("/", java_script_enabled=False)
    bottoms = page.locator(".funds tbody tr").evaluate_all(
        "rows => rows.map(row => row.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 12
    assert sum(bottom <= 768 for bottom in bottoms) >= 8
    assert page.locator("form.filters").is_visible()


def test_filters_and_orders_work_without_scripts_by_keyboard(visit: Any) -> None:
    page = visit("/", java_script_enabled=False)
    page.get_by_label("Status").select_option("thin")
    page.get_by_label("Search").fill("fund")
    page.get_by_label("Search").press("Enter")
    assert "status=thin" in page.url
    assert page.locator(".funds tbody tr").count() == 2
    page.get_by_role("link", name="Usable").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Usable")
    assert page.get_by_label("Status").input_value() == "thin"
    page.get_by_role("link", name="show all").click()
    assert page.locator(".funds tbody tr").count() == 12


def test_on_a_phone_the_order_is_chosen_in_the_form_and_hidden_heads_take_no_focus(visit: Any) -> None:
    page = visit("/", viewport={"width": 390, "height": 844}, java_script_enabled=False)
    heads = page.locator(".funds thead a")
    assert heads.evaluate_all("all => all.every(one => getComputedStyle(one).visibility === 'hidden')")
    page.get_by_label("Order").select_option("usable")
    page.get_by_role("button", name="Show").click()
    assert "fund-11" in (page.locator(".funds tbody th a").first.get_attribute("href") or "")


@pytest.mark.parametrize("width", [320, 390, 1366])
@pytest.mark.parametrize("path", ["/?q=zzzz", "/?sort=nope", FUND])
def test_nothing_scrolls_sideways(browser: Browser, address: str, path: str, width: int) -> None:
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.goto(address + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.mark.parametrize("look", [(path, scheme) for path in ("/?q=zzzz", FUND) for scheme in ("light", "dark")])
def test_axe_finds_nothing_serious(browser: Browser, address: str, axe_source: str, look: tuple[str, Any]) -> None:
    path, scheme = look
    page = browser.new_context(color_scheme=scheme, bypass_csp=True).new_page()
    page.goto(address + path)
    page.evaluate(axe_source)
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    serious = [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert not serious
    page.context.close()


def test_a_fund_has_its_drawings_and_each_says_in_words_what_it_shows(visit: Any) -> None:
    page = visit(FUND, java_script_enabled=False)
    for part in ("#chart", "#flows", "#stress"):
        figure = page.locator(f"{part} figure").first
        assert figure.locator(".only-wide svg").is_visible()
        assert not figure.locator(".only-narrow svg").is_visible()
        assert len(figure.locator("figcaption").inner_text()) > 60
        assert figure.locator("figcaption a").first.get_attribute("href")
    assert page.locator("svg.steps rect").count() == 3
    assert page.locator("svg.chance").count() == 3


def test_the_sections_of_a_fund_stand_in_their_order(visit: Any) -> None:
    page = visit(FUND, java_script_enabled=False)
    names = ("chart", "waterfall", "composition", "flows", "losses", "stress", "control", "provenance")
    tops = [page.locator(f"#{name}").bounding_box()["y"] for name in names]
    assert tops == sorted(tops)


def test_looking_closer_keeps_the_strict_policy_and_reads_times_in_utc(visit: Any) -> None:
    page = visit(FUND, timezone_id="America/New_York", color_scheme="dark")
    violations = page.evaluate(
        "() => { window.refused = 0; addEventListener('securitypolicyviolation', () => window.refused++); }"
    )
    assert violations is None
    page.get_by_role("link", name="Look closer").click()
    drawing = page.locator(".closer svg")
    drawing.wait_for(timeout=60_000)
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 60)
    page.mouse.move(box["x"] + box["width"] - 16, box["y"] + 60)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "24 May 2021, 00:00 UTC" in tip.inner_text() or "23 May 2021, 23:00 UTC" in tip.inner_text()
    assert page.evaluate("window.refused") == 0
    assert page.url.endswith(FUND)
    assert page.locator("#chart .only-wide").count() == 0


def test_without_scripts_the_same_link_leads_to_the_data(visit: Any) -> None:
    page = visit(FUND, java_script_enabled=False)
    page.get_by_role("link", name="Look closer").click()
    assert page.url.endswith("/funds/fund-0/balance/fund-0.json")
    assert '"readings"' in page.content()


def test_where_the_library_does_not_come_the_link_leads_to_the_data_too(browser: Browser, address: str) -> None:
    page = browser.new_context().new_page()
    page.route(re.compile(r"/static/vega\."), lambda route: route.abort())
    page.goto(address + FUND)
    page.get_by_role("link", name="Look closer").click()
    page.wait_for_url("**/balance/fund-0.json")
    page.context.close()


def test_forced_colours_keep_every_glyph_and_step_visible(visit: Any) -> None:
    page = visit(FUND, forced_colors="active")
    for shape in (".badge .glyph", "svg.steps rect"):
        stroke = page.locator(shape).first.evaluate("one => getComputedStyle(one).stroke")
        assert stroke.startswith("rgb(")
        assert stroke != page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_paper_has_charts_and_leaves_out_what_only_screens_can_do(visit: Any) -> None:
    for path, hidden in (("/", "form.filters"), (FUND, "a[data-bundle]")):
        page = visit(path)
        page.emulate_media(media="print")
        assert not page.locator(hidden).is_visible()
    assert page.locator("#stress .only-wide svg").is_visible()
