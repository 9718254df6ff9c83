"""What a mail is made of: headers that programs thread, filter and unsubscribe by; text, HTML and chart."""

from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channel import Links
from alerts.mails import parse_mailbox
from ledger.kinds import AlertEvent
from tests.rigs.mail import (
    COVERAGE_LOW,
    MESSAGE_ID,
    SITE,
    TOKEN,
    changed,
    draw_png,
    html_of,
    links,
    mail_of,
    parcel,
    received,
    text_of,
)

DOMAIN = "backstop.example"


def test_the_headers_say_who_what_when_and_that_a_machine_wrote_it() -> None:
    mail = received(mail_of(parcel()))
    assert dict(mail.items()) == {
        "Subject": "[Short] Example perpetuals fund: coverage 0.71× (was 1.12×), 14 Mar 2025, 17:00 UTC",
        "From": "Backstop <alerts@backstop.example>",
        "To": "reader@mail.example",
        "Date": "Fri, 14 Mar 2025 17:02:30 +0000",
        "Message-ID": f"<{MESSAGE_ID}@{DOMAIN}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "List-Id": f"Backstop alerts <alerts.{DOMAIN}>",
        "List-Unsubscribe": f"<{SITE}/alerts/unsubscribe?token={TOKEN}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "In-Reply-To": mail["References"],
        "References": f"<{uuid5(NAMESPACE_URL, f'backstop:{COVERAGE_LOW.episode}')}@{DOMAIN}>",
        "MIME-Version": "1.0",
        "Content-Type": mail["Content-Type"],
    }


WORDS = ("[Short]", "of", "Example-perpetuals-platform-of-a-long-name", "0.71×", "(was", "1.12×),", "8,708\u00a0USDC",
         "−33,411", "日本語", "x" * 80)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map(" ".join))
def test_a_subject_arrives_as_it_was_written(subject: str) -> None:
    mail = mail_of(parcel(changed(COVERAGE_LOW, subject=subject)))
    assert received(mail)["Subject"] == mail["Subject"]
    assert max(len(line) for line in mail.as_bytes().splitlines()) <= 998


def test_a_mail_is_text_or_html_with_its_chart() -> None:
    mail = received(mail_of(parcel(), chart=draw_png(64, 32)))
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    assert not [part.defects for part in mail.walk() if part.defects]
    picture = list(mail.walk())[-1]
    assert picture.get_content() == draw_png(64, 32)
    assert picture.get_content_disposition() == "inline"
    html = mail.get_body(("html",))
    assert html is not None
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in html.get_content()
    assert 'alt="Chart: the balance of Example perpetuals fund through time. Coverage was 1.12×, is 0.71×.' in html_of(
        mail
    )


def test_without_a_chart_there_is_no_picture() -> None:
    mail = mail_of(parcel())
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert "<img" not in html_of(mail)


def test_every_line_is_short_enough_and_ascii_for_any_server() -> None:
    long = changed(COVERAGE_LOW, sentence="Größe " * 400, episode="e" * 200)
    raw = mail_of(parcel(long), chart=draw_png()).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_a_mailbox_provider_can_unsubscribe_with_one_click_however_long_the_link_is() -> None:
    address = f"https://alerts.a-rather-long-name.{DOMAIN}/alerts/unsubscribe?token={TOKEN * 3}"
    mail = mail_of(parcel(links=links(unsubscribe=address)))
    assert f"\r\nList-Unsubscribe: <{address}>\r\n".encode() in mail.as_bytes()
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in mail.as_bytes()


def test_a_site_on_this_machine_has_its_links_too() -> None:
    site = "http://127.0.0.1:8000"
    mail = mail_of(parcel(links=Links(site=site, unsubscribe=f"{site}/alerts/unsubscribe?token=x")))
    assert mail["List-Unsubscribe"] == f"<{site}/alerts/unsubscribe?token=x>"


@pytest.mark.parametrize(
    "address", ["", "mailto:off@backstop.example", "http://elsewhere.example/u", "https://x.example/>\r\nBcc: a"]
)
def test_without_a_link_of_its_own_a_mail_offers_no_click(address: str) -> None:
    mail = mail_of(parcel(links=links(unsubscribe=address)))
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Unsubscribe-Post"] is None
    assert "Unsubscribe" not in text_of(mail)


def test_mails_of_one_episode_are_a_thread_and_others_are_not() -> None:
    worse = changed(COVERAGE_LOW, key="worse", subject="[Short] Example perpetuals fund: coverage 0.44×")
    over = changed(COVERAGE_LOW, key="over", event=AlertEvent.COVERAGE_RECOVERED)
    other = changed(COVERAGE_LOW, episode="another")
    roots = [mail_of(parcel(one, message_id=f"msg_{one.key}"))["References"] for one in (COVERAGE_LOW, worse, over)]
    assert len(set(roots)) == 1
    assert mail_of(parcel(other))["References"] not in {None, *roots}
    assert mail_of(parcel(changed(COVERAGE_LOW, episode="")))["References"] is None


def test_each_attempt_sends_the_same_mail() -> None:
    first, second = (mail_of(parcel(), delay=timedelta(minutes=minutes)) for minutes in (0, 59))
    assert dict(first.items()) | {"Content-Type": ""} == dict(second.items()) | {"Content-Type": ""}
    assert (text_of(first), html_of(first)) == (text_of(second), html_of(second))


@pytest.mark.parametrize(
    "text", ["alerts@backstop.example", "Backstop <alerts@backstop.example>", '"Back, stop" <alerts@backstop.example>']
)
def test_a_mailbox_is_read_with_or_without_a_name(text: str) -> None:
    assert parse_mailbox(text).addr_spec == "alerts@backstop.example"
