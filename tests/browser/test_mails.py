"""Mails in a real browser, as a program that shows HTML would: alone, narrow, light and dark, and for everybody."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from alerts.message import Change
from ledger.kinds import Purpose
from tests.rigs.mail import COVERAGE_LOW, DIGEST, changed, draw_png, html_of, mail_of, parcel, question

OWNER = Change("Owner", "0x" + "a1" * 20, "0x" + "b2" * 20)
ENDLESS = changed(
    COVERAGE_LOW,
    replay="Replay of Crash of May 2021: simulated",
    fund_name="W" * 400,
    sentence="A withdrawal of 1 " + "W" * 400 + " at Example perpetuals fund.",
    changes=(OWNER, Change("W" * 90, "W" * 90, "W" * 90, "W" * 90)),
)
MAILS = {
    "alert": parcel(),
    "endless names": parcel(ENDLESS),
    "digest": parcel(DIGEST),
    "confirmation": question(),
    "link": parcel(None, Purpose.LINK),
}


def show(browser: Browser, name: str, **options: Any) -> tuple[Page, list[str]]:
    """A mail in a context of its own, and what it asked for outside itself."""
    page = browser.new_context(**options).new_page()
    asked: list[str] = []
    page.on("request", lambda request: None if request.url.startswith("data:") else asked.append(request.url))
    page.set_content(html_of(mail_of(MAILS[name], chart=draw_png() if name == "alert" else None)), wait_until="load")
    return page, asked


@pytest.mark.parametrize("name", MAILS)
def test_a_mail_asks_nobody_for_anything(browser: Browser, name: str) -> None:
    page, asked = show(browser, name)
    assert page.locator("h1").count() == 1
    assert asked == []
    widths = page.locator("img").evaluate_all("pictures => pictures.map(picture => picture.naturalWidth)")
    assert widths == ([1152] if name == "alert" else [])
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", MAILS)
def test_axe_finds_nothing_serious_in_a_mail(browser: Browser, name: str, scheme: Any, axe_source: str) -> None:
    page, _ = show(browser, name, color_scheme=scheme)
    page.evaluate(axe_source)
    found = page.evaluate("axe.run()")
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious
    page.context.close()


@pytest.mark.parametrize("width", [320, 390, 720])
@pytest.mark.parametrize("name", MAILS)
def test_a_mail_fits_any_screen(browser: Browser, name: str, width: int) -> None:
    page, _ = show(browser, name, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("main").evaluate("main => main.getBoundingClientRect().width") <= 576
    page.context.close()


@pytest.mark.parametrize("name", MAILS)
def test_a_mail_takes_the_colours_of_the_program_that_shows_it(browser: Browser, name: str) -> None:
    inks = []
    for scheme in ("light", "dark"):
        page, _ = show(browser, name, color_scheme=scheme)
        inks.append(page.locator("h1").evaluate("title => getComputedStyle(title).color"))
        page.context.close()
    assert inks == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
