"""What the demo sent, to look at: there only where an inbox is; a mail's HTML stands alone and can do nothing."""

import html
import json
import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from alerts.catcher import MailCatcher
from app.demo_post import DemoPost
from tests.rigs.mail import COVERAGE_LOW, changed, draw_png, mail_of, parcel
from tests.web.inventor import HOSTILE
from tests.web.visitors import Visitor, text_of
from web.edition import SiteConfig
from web.inbox import HOOK, MAIL
from web.site import create_site

ALERT = {"type": "fund.coverage.low", "timestamp": "2026-11-22T16:30:00Z", "data": {"subject": "[Short] Alpha fund"}}


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    """The demo's mail server."""
    with MailCatcher() as opened:
        yield opened


@pytest.fixture
def guest(one_visitor: Visitor, catcher: MailCatcher) -> Visitor:
    """Somebody at a demo's site."""
    post = DemoPost(catcher, ("127.0.0.1", 1))
    site = create_site(one_visitor.engine, one_visitor.hand, SiteConfig(inbox=post, subscribe=post.subscribe))
    return Visitor(site, one_visitor.engine, one_visitor.hand)


def send(catcher: MailCatcher, mail: EmailMessage) -> None:
    """A mail arrives."""
    port = int(catcher.url.rpartition(":")[2])
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(mail, "alerts@backstop.example", ["reader@mail.example"])


@pytest.mark.parametrize("path", [MAIL, f"{MAIL}/1", f"{MAIL}/1/body", HOOK])
def test_without_an_inbox_these_pages_do_not_exist(one_visitor: Visitor, path: str) -> None:
    assert one_visitor.get(path).status_code == 404
    assert one_visitor.ask("POST", path, content=b"{}").status_code in (404, 405)


def test_no_page_of_the_site_is_a_page_of_the_inbox(guest: Visitor) -> None:
    assert MAIL not in guest.get("/openapi.json").text
    for path in ("/", "/status", "/alerts/log"):
        assert MAIL not in guest.get(path).text


def test_an_empty_inbox_says_when_something_will_come(guest: Visitor) -> None:
    page = guest.get(MAIL)
    assert page.status_code == 200
    assert text_of(page).count("None yet.") == 2
    assert page.headers["cache-control"] == "no-store"


def test_mails_are_listed_the_newest_first_with_whom_they_went_to(guest: Visitor, catcher: MailCatcher) -> None:
    for word in ("First", "Second"):
        send(catcher, mail_of(parcel(changed(COVERAGE_LOW, subject=word))))
    page = guest.get(MAIL).text
    assert re.findall(rf'<a href="({MAIL}/\d+)">(\w+)</a>', page) == [(f"{MAIL}/2", "Second"), (f"{MAIL}/1", "First")]
    assert page.count("reader@mail.example") == 2
    assert page.count("14 Mar 2025, 17:02 UTC") == 2


def test_a_mail_is_shown_with_its_headers_its_text_and_its_html_in_a_frame_that_can_do_nothing(
    guest: Visitor, catcher: MailCatcher
) -> None:
    send(catcher, mail_of(parcel()))
    page = guest.get(f"{MAIL}/1")
    assert page.status_code == 200
    frame = re.search(r"<iframe [^>]+>", page.text)
    assert frame
    assert f'src="{MAIL}/1/body"' in frame[0]
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame[0]
    said = text_of(page)
    assert "List-Unsubscribe-Post List-Unsubscribe=One-Click" in said
    assert COVERAGE_LOW.sentence[:60] in said
    # What the page may load is what the site may load everywhere: its own, and nothing else.
    assert page.headers["content-security-policy"].startswith("default-src 'self';")


def test_the_html_of_a_mail_stands_alone_under_a_policy_of_its_own(guest: Visitor, catcher: MailCatcher) -> None:
    send(catcher, mail_of(parcel()))
    body = guest.get(f"{MAIL}/1/body")
    policy = dict(part.strip().partition(" ")[::2] for part in body.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
    }
    assert body.headers["content-type"] == "text/html; charset=utf-8"
    assert '<base target="_blank">' in body.text
    assert "<script" not in body.text


def test_the_picture_of_a_mail_is_inside_its_html(guest: Visitor, catcher: MailCatcher) -> None:
    picture = draw_png(64, 32)
    send(catcher, mail_of(parcel(), chart=picture))
    body = guest.get(f"{MAIL}/1/body").text
    (source,) = re.findall(r'<img[^>]+src="([^"]+)"', body)
    assert source.startswith("data:image/png;base64,iVBOR")
    assert "cid:" not in body


def test_hostile_mail_stays_text_around_its_frame(guest: Visitor, catcher: MailCatcher) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["To"], mail["From"] = HOSTILE, "reader@mail.example", "a@b.example"
    mail.set_content(HOSTILE)
    send(catcher, mail)  # Somebody else's: it has no HTML and no date.
    for path in (MAIL, f"{MAIL}/1"):
        page = guest.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert HOSTILE in html.unescape(page.text)
        assert "None" not in re.sub(r"None (yet|recognised)", "", text_of(page))
    assert guest.get(f"{MAIL}/1/body").text == ""


@pytest.mark.parametrize("path", ["2", "2/body", "0", "-1", "x", "99999999999999999999"])
def test_a_mail_that_never_came_is_not_there(guest: Visitor, catcher: MailCatcher, path: str) -> None:
    send(catcher, mail_of(parcel()))
    assert guest.get(f"{MAIL}/{path}").status_code == 404


def test_the_hook_answers_a_ping_with_its_challenge_and_keeps_what_it_takes(guest: Visitor) -> None:
    ping = {"type": "ping", "timestamp": "2026-11-22T16:00:00Z", "data": {"challenge": "c-42"}}
    for message, number in ((ping, 1), (ALERT, 2)):
        answer = guest.ask("POST", HOOK, content=json.dumps(message), headers={"webhook-id": f"msg_{number}"})
        assert (answer.status_code, answer.text) == (200, "c-42" if message is ping else "ok")
    page = text_of(guest.get(MAIL))
    assert "[Short] Alpha fund msg_2" in page
    assert page.index("msg_2") < page.index("ping msg_1")


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b'"text"', b'{"type": "ping"}', b'{"data": []}', b"[" * 9000]
)
def test_the_hook_takes_anything_and_the_list_shows_it(guest: Visitor, body: bytes) -> None:
    assert guest.ask("POST", HOOK, content=body).status_code == 200
    page = guest.get(MAIL)
    assert page.status_code == 200
    assert "Calls of the demo" in page.text


def test_a_call_larger_than_any_of_ours_is_refused(guest: Visitor) -> None:
    assert guest.ask("POST", HOOK, content=b"x" * 20_001).status_code == 413
    assert "None yet." in text_of(guest.get(MAIL)).partition("Webhook calls")[2]
