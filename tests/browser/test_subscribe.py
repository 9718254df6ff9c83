"""Subscribing in a real browser: by keyboard alone, without scripts, narrow and wide, and for those who cannot see."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from sqlmodel import select

from app.server import open_socket, serving
from ledger.database import open_engine, writing
from ledger.kinds import AlertEvent, DeliveryState, DigestChoice, EndpointKind, Purpose, Severity, TokenPurpose
from ledger.subscriptions import Wishes, add_webhook, ask_confirmation, confirm, key_of, mute
from ledger.tables import Attempt, Delivery, Endpoint
from ledger.tokens import issue_token
from ledger.upgrades import upgrade
from tests.web.inventor import NOW
from tests.web.visitors import Visitor, invent_two_funds, visitor_of

WISHES = Wishes(("alpha",), (AlertEvent.DEPLETED,), Severity.WARNING, DigestChoice.WEEKLY)
LONG_URL = "https://hooks.example.org/" + "/".join(["a-part-of-a-long-path"] * 12)
PAGES = ("offer", "offer of a fund", "question", "mute", "end", "own", "gone")
SERIOUS = {"serious", "critical"}


@dataclass(frozen=True)
class Served:
    """A site that somebody has subscribed at."""

    url: str
    visitor: Visitor
    paths: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The site with one reader, whose own page has something in every part."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('subscribing') / 'ledger.sqlite'}")
    upgrade(engine)
    invent_two_funds(engine)
    visitor = visitor_of(engine)
    question, own = enter_reader(visitor)
    paths = {
        "offer": "/alerts",
        "offer of a fund": "/alerts?fund=alpha",
        "question": f"/alerts/confirm?token={question}",
        "mute": f"/alerts/mute?token={own}&fund=alpha",
        "end": f"/alerts/unsubscribe?token={own}",
        "own": f"/alerts/manage?token={own}",
        "gone": "/alerts/manage?token=nonsense",
    }
    with serving(visitor.site, open_socket("127.0.0.1", 0)) as address:
        yield Served(address.url, visitor, paths)
    engine.dispose()


def enter_reader(visitor: Visitor) -> tuple[str, str]:
    """A reader with webhooks, a mute and messages; a token that asks and one for the own page."""
    with writing(visitor.engine) as session:
        ask_confirmation(session, "somebody@example.org", WISHES, now=NOW)
        owner = session.exec(select(Endpoint).where(Endpoint.kind == EndpointKind.EMAIL)).one()
        first = issue_token(session, key_of(owner), TokenPurpose.CONFIRM, now=NOW, wishes=WISHES.to_json())
        session.flush()
        own = confirm(session, first, now=NOW)
        assert own is not None
        question = issue_token(session, key_of(owner), TokenPurpose.CONFIRM, now=NOW, wishes=WISHES.to_json())
        mute(session, owner, "alpha", until=NOW + timedelta(hours=3))
        for url in ("https://hook.example/", LONG_URL):
            add_webhook(session, owner, url, "whsec_x", now=NOW)
        failed = session.exec(select(Delivery).where(Delivery.purpose == Purpose.PING)).all()[-1]
        failed.state, failed.state_reason = DeliveryState.FAILED, "404"
        assert failed.id is not None
        session.add(Attempt(delivery_id=failed.id, number=1, began_at=NOW, seconds=0.1, is_ok=False, answer="4" * 300))
    return question, own


def visit(browser: Browser, url: str, **options: Any) -> tuple[Page, list[str]]:
    """A page in a context of its own, and what it complained of or asked of others."""
    page = browser.new_context(**options).new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    host = urlsplit(url).netloc
    page.on("request", lambda asked: None if urlsplit(asked.url).netloc == host else complaints.append(asked.url))
    page.goto(url, wait_until="load")
    return page, complaints


def tab_to(page: Page, selector: str) -> None:
    """Presses the tabulator until the keyboard is there."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"the keyboard never reaches {selector}")


@pytest.mark.parametrize("with_scripts", [False, True])
def test_the_keyboard_alone_subscribes_and_confirms(served: Served, browser: Browser, with_scripts: bool) -> None:
    address = f"keyboard-{with_scripts}@example.org".lower()
    page, complaints = visit(browser, f"{served.url}/alerts", java_script_enabled=with_scripts)
    tab_to(page, "#address")
    page.keyboard.type(address)
    tab_to(page, "#funds summary")
    page.keyboard.press("Enter")
    tab_to(page, 'input[value="beta-simulated"]')
    page.keyboard.press("Space")
    tab_to(page, "#events summary")
    page.keyboard.press("Space")
    tab_to(page, 'input[value="fund.depleted"]')
    page.keyboard.press("Space")
    tab_to(page, 'input[name="least"]')
    page.keyboard.press("ArrowDown")
    tab_to(page, 'input[name="digest"]')
    tab_to(page, "button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/subscribe")
    assert page.locator("h1").inner_text() == "Look into your mail"

    page.goto(f"{served.url}/alerts/confirm?token={served.visitor.mailed_token(Purpose.CONFIRM, address)}")
    facts = page.locator(".pairs").inner_text()
    assert all(words in facts for words in ("Beta fund (simulated)", "Nothing is left to pay with", "Critical only"))
    tab_to(page, "main button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/confirm")
    assert page.locator("h1").inner_text() == "Confirmed"
    tab_to(page, "main a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/manage?token=*")
    assert address in page.locator("main").inner_text()
    assert page.locator('input[value="beta-simulated"]').is_checked()
    assert not complaints
    page.context.close()


def test_a_mistake_is_where_the_keyboard_is_and_leads_to_its_field(served: Served, browser: Browser) -> None:
    page, _ = visit(browser, f"{served.url}/alerts", java_script_enabled=False)
    page.get_by_label("E-mail address").fill("somebody@example")
    page.get_by_text("Choose funds").click()
    page.get_by_label("Alpha fund").check()
    page.get_by_label("Critical only").check()
    page.get_by_role("button", name="Send me the link").click()
    wrong = page.locator(".wrong:focus")
    assert wrong.get_attribute("role") == "alert"
    assert "should have a period" in wrong.inner_text()
    field = page.get_by_label("E-mail address")
    assert (field.input_value(), field.get_attribute("aria-invalid")) == ("somebody@example", "true")
    assert page.get_by_label("Alpha fund").is_visible()
    assert page.get_by_label("Alpha fund").is_checked()
    assert page.get_by_label("Critical only").is_checked()
    tab_to(page, ".wrong a")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator("#funds summary:focus").count() == 1
    page.context.close()


def test_the_browser_asks_for_an_address_before_anything_is_sent(served: Served, browser: Browser) -> None:
    page, _ = visit(browser, f"{served.url}/alerts", java_script_enabled=False)
    page.get_by_role("button", name="Send me the link").click()
    assert page.locator("#address:focus:invalid").count() == 1
    assert page.url.endswith("/alerts")
    page.context.close()


def test_the_own_page_answers_forms_without_scripts(served: Served, browser: Browser) -> None:
    page, complaints = visit(browser, served.url + served.paths["own"], java_script_enabled=False)
    page.get_by_role("button", name="New secret").first.click()
    said = page.locator("[role=status]:focus")
    assert said.inner_text() == "The new secret signs from now on, the old one as well for 24 hours."
    assert page.locator("code").inner_text().startswith("whsec_")
    assert page.title().startswith("The new secret signs")
    assert not complaints
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(served: Served, browser: Browser, axe_source: str, name: str) -> None:
    page, _ = visit(browser, served.url + served.paths[name], bypass_csp=True)
    open_all(page)
    page.evaluate(axe_source)
    schemes: tuple[Any, ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
        serious = [
            (scheme, one["id"], [node["html"][:120] for node in one["nodes"][:3]])
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]
        assert not serious
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(served: Served, browser: Browser, name: str) -> None:
    page, complaints = visit(browser, served.url + served.paths[name])
    open_all(page)
    for width in (320, 390, 1366):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(complaints) == (name == "gone"), complaints  # The browser notes every 404.
    page.context.close()


def open_all(page: Page) -> None:
    """Opens whatever is folded."""
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")


def test_nobody_sees_the_field_for_machines(served: Served, browser: Browser) -> None:
    page, _ = visit(browser, f"{served.url}/alerts")
    box = page.locator("#website").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < 0
    assert page.get_by_label("Leave this empty").get_attribute("tabindex") == "-1"
    page.context.close()
