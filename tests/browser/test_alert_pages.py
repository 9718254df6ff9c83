"""The log of alerts and the demo's inbox in a real browser: narrow and wide, light and dark, and for everybody."""

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine
from sqlmodel import Session

from alerts.catcher import MailCatcher
from alerts.message import Message
from app.demo_post import DemoPost
from app.server import open_socket, serving
from ledger.database import open_engine, writing
from ledger.kinds import AlertEvent, Severity
from ledger.tables import Alert, AlertCursor
from ledger.upgrades import upgrade
from tests.rigs.mail import COVERAGE_LOW, DIGEST, changed, draw_png, mail_of, parcel
from tests.web.invented import invent_ledger
from tests.web.inventor import CRASH_END, NOW, SIMULATED
from web.edition import SiteConfig
from web.site import create_site

PATHS = ("/alerts/log", "/dev/mail", "/dev/mail/1", "/dev/mail/2", "/dev/mail/1/body")
REPLAY = "Replay of Crash of May 2021: simulated"
SMALL = "perp-v2-small-simulated"
SERIOUS = {"serious", "critical"}
AXE = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"


@dataclass(frozen=True)
class Served:
    """Where the site is."""

    url: str


def announce(session: Session, sentence: str, *, retracts: int | None = None, minutes: int = 0, **said: str) -> int:
    """Something was announced of the small fund."""
    at = CRASH_END - timedelta(minutes=600 - minutes)
    fields = {"event": AlertEvent.SHORTFALL_RECORDED, "severity": Severity.CRITICAL, "fund_slug": SMALL} | said
    message = Message(key=sentence, subject=f"[Depleted] {sentence}", sentence=sentence, happened_at=f"{at:%FT%TZ}",
                      fund_name="Perp v2, small fund (simulated, May 2021)", replay=REPLAY, **fields)  # fmt: skip
    alert = Alert(key=sentence, event=message.event, severity=message.severity, subject=SMALL, happened_at=at,
                  fund_slug=message.fund_slug or None, chain_id=SIMULATED, title=message.subject, created_at=NOW,
                  message=message.to_json(), retracts=retracts)  # fmt: skip
    session.add(alert)
    session.flush()
    assert alert.id is not None
    return alert.id


def fill_log(engine: Engine) -> None:
    """An event, one that was taken back, a digest about no fund, and one whose words never end."""
    with writing(engine) as session:
        session.add(AlertCursor(chain_id=SIMULATED, live_since=CRASH_END - timedelta(7), moved_at=NOW, ruled_at=NOW))
        announce(session, "A shortfall of 38,268 USDC at Perp v2, small fund, at block 1,451 (23 May 2021, 14:25 UTC).")
        wrong = announce(session, "A shortfall of 5 USDC, at block 1,452 (23 May 2021, 14:26 UTC).", minutes=1)
        announce(session, "Taken back: a shortfall of 5 USDC.", retracts=wrong, minutes=4, event=AlertEvent.RETRACTED)
        announce(session, "23 May 2021: 3 announcements at 1 fund.", minutes=600, fund_slug="",
                 event=AlertEvent.DIGEST_DAILY, severity=Severity.NOTICE)  # fmt: skip
        announce(session, f"Owner is now 0x{'ab' * 32} {'W' * 300}.", minutes=9, event=AlertEvent.OWNER_CHANGED)


def fill_inbox(post: DemoPost, catcher: MailCatcher) -> None:
    """An alert with its chart, a digest, and calls of the webhook."""
    endless = changed(COVERAGE_LOW, replay=REPLAY, subject=f"[Short] Example fund: {'W' * 200}")
    with smtplib.SMTP("127.0.0.1", int(catcher.url.rpartition(":")[2])) as client:
        for mail in (mail_of(parcel(endless), chart=draw_png()), mail_of(parcel(changed(DIGEST, replay=REPLAY)))):
            client.send_message(mail, "alerts@backstop.example", ["reader@mail.example"])
    post.take_call(
        "msg_" + "0" * 32, b'{"type": "ping", "timestamp": "2026-11-22T16:00:00Z", "data": {"challenge": "c"}}'
    )
    post.take_call("msg_" + "1" * 32, b'{"type": "fund.depleted", "data": {"subject": "[Depleted] Small fund"}}')


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a demo's site over the invented ledger is served."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('alert-pages') / 'ledger.sqlite'}")
    upgrade(engine)
    invent_ledger(engine)
    fill_log(engine)
    with MailCatcher() as catcher:
        post = DemoPost(catcher, ("127.0.0.1", 1))
        fill_inbox(post, catcher)
        site = create_site(engine, lambda: NOW, SiteConfig(inbox=post, subscribe=post.subscribe))
        with serving(site, open_socket("127.0.0.1", 0)) as served:
            yield served.url
    engine.dispose()


def visit(browser: Browser, url: str, **options: Any) -> tuple[Page, list[str], list[str]]:
    """A page in a context of its own, what it complained of, and what it asked for beside itself."""
    page = browser.new_context(**options).new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url, wait_until="load")
    return page, complaints, asked


@pytest.mark.parametrize("path", PATHS)
def test_a_page_complains_of_nothing_and_asks_nobody_else(browser: Browser, address: str, path: str) -> None:
    page, complaints, asked = visit(browser, address + path)
    assert page.locator("h1").count() == 1
    assert complaints == []
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {urlsplit(address).netloc}
    page.context.close()


def test_a_mail_is_shown_in_its_frame_with_its_picture(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, f"{address}/dev/mail/1")
    shown = page.frame_locator("iframe")
    assert "Coverage of Example perpetuals fund fell" in shown.locator("body").inner_text()
    assert shown.locator("img").evaluate("picture => picture.naturalWidth") == 1152
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mail_can_be_read_in_its_frame_by_day_and_night(browser: Browser, address: str, scheme: Any) -> None:
    page, _, _ = visit(browser, f"{address}/dev/mail/1", color_scheme=scheme)
    frame = page.locator("iframe")
    ink = page.frame_locator("iframe").locator("h1").evaluate("title => getComputedStyle(title).color")
    # A mail takes the colours of the reader's theme and lets the page shine through: the page must be of that theme.
    assert ink == {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]
    assert frame.evaluate("frame => getComputedStyle(frame).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert scheme in page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    page.context.close()


def test_a_link_in_a_mail_opens_beside_it_and_not_within(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, f"{address}/dev/mail/1")
    with page.context.expect_page() as opened:
        page.frame_locator("iframe").locator("a[href*='/funds/']").first.click()
    assert opened.value is not page
    assert page.url == f"{address}/dev/mail/1"
    page.context.close()


# A mail alone is looked at in test_mails.py, as other programs show it.
@pytest.mark.parametrize("look", [(path, scheme) for path in PATHS[:-1] for scheme in ("light", "dark")])
def test_axe_finds_nothing(browser: Browser, address: str, axe_source: str, look: tuple[str, Any]) -> None:
    for width in (390, 1366):
        page, _, _ = visit(
            browser, address + look[0], color_scheme=look[1], viewport={"width": width, "height": 768}, bypass_csp=True
        )
        page.evaluate(axe_source)
        found = page.evaluate(AXE)
        assert not [
            (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found["violations"]
        ]
        page.context.close()


@pytest.mark.parametrize("width", [320, 390, 1366])
@pytest.mark.parametrize("path", PATHS)
def test_no_page_scrolls_sideways(browser: Browser, address: str, path: str, width: int) -> None:
    page, _, _ = visit(browser, address + path, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.mark.parametrize("path", ["/alerts/log", "/dev/mail"])
def test_on_a_phone_each_row_is_a_card_that_names_its_cells(browser: Browser, address: str, path: str) -> None:
    page, _, _ = visit(browser, address + path, viewport={"width": 320, "height": 800})
    cell = page.locator('td[data-label="What"]').first
    assert "What" in cell.evaluate("cell => getComputedStyle(cell, '::before').content")
    box = cell.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= 320
    page.context.close()


def focused(page: Page) -> str:
    """What has the focus: its link, or its tag."""
    return str(page.evaluate("document.activeElement.getAttribute('href') || document.activeElement.tagName"))


def test_the_log_and_the_inbox_can_be_read_by_keyboard_alone(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, f"{address}/dev/mail")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(focused(page))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached[-1]
        if reached[-1] == "/dev/mail/1":
            break
    assert reached[0] == "#content", "the first stop leads past the navigation"
    assert {"/alerts", "/alerts/log", "/dev/mail/2", "/dev/mail/1"} <= {*reached}
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/dev/mail/1")
    while focused(page) != "SUMMARY":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("pre").is_visible()
    page.context.close()


def test_the_row_that_a_message_links_to_is_found(browser: Browser, address: str) -> None:
    page, _, _ = visit(browser, f"{address}/alerts/log#a2", viewport={"width": 390, "height": 500})
    row = page.locator("#a2")
    assert "Taken back since." in row.inner_text()
    box = row.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 500
    page.context.close()
