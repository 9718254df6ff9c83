"""Names and symbols that mean harm stay words, and a mail leads only where it should."""

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channel import Links
from alerts.message import Change, Evidence, FundLine, Message
from alerts.rendering import LONGEST_TEXT, find_href, neutralise
from ledger.kinds import Purpose
from tests.rigs.mail import (
    COVERAGE_LOW,
    DIGEST,
    SITE,
    TX,
    Outline,
    changed,
    draw_png,
    html_of,
    mail_of,
    parcel,
    question,
    received,
    text_of,
)

DOMAIN = "backstop.example"
RIGHT_TO_LEFT = "\u202e"
HOSTILE = (
    f"<script>alert('x')</script>{RIGHT_TO_LEFT}CDSU\u200b\x00\r\nBcc: everybody@mail.example\r\n\r\n{{{{ 7 * 7 }}}}"
)


def everywhere(message: Message, words: str) -> Message:
    """The message with these words beside every text that an outsider may have a hand in."""
    texts = ("subject", "sentence", "fund_name", "status", "data_status", "finality", "next_steps", "limits", "replay")
    fields: dict[str, Any] = {name: f"{words} {getattr(message, name)}" for name in texts}
    fields["changes"] = tuple(
        Change(*(f"{words} {text}" for text in msgspec.structs.astuple(one))) for one in message.changes
    )
    fields["evidence"] = tuple(Evidence(f"{words} {one.text}", one.href) for one in message.evidence)
    fields["lines"] = tuple(FundLine(one.fund_slug, f"{words} {one.text}", one.is_calm) for one in message.lines)
    return changed(message, **fields)


def test_evidence_is_linked_where_it_is_our_page_or_a_safe_address() -> None:
    hrefs = (
        "/funds/a/facts/coverage/7",
        "https://explorer.example/tx/0x1",
        "javascript:alert(1)",
        "//evil.example/x",
        "http://evil.example",
        "data:text/html,x",
        'https://evil.example/"onmouseover="x',
        "https://evil.example/ x",
        "ftp://evil.example",
    )
    message = changed(
        COVERAGE_LOW, evidence=tuple(Evidence(f"proof {place}", href) for place, href in enumerate(hrefs))
    )
    linked = {address for _, address in Outline(html_of(mail_of(parcel(message)))).addresses}
    assert {f"{SITE}{hrefs[0]}", hrefs[1]} <= linked
    assert {urlsplit(address)[:2] for address in linked} == {("https", DOMAIN), ("https", "explorer.example")}
    assert "proof 8" in text_of(mail_of(parcel(message)))


def test_without_a_site_paths_stay_words() -> None:
    mail = mail_of(parcel(links=Links(site="")))
    assert [address for _, address in Outline(html_of(mail)).addresses] == [f"https://explorer.example/tx/{TX}"]
    assert "Coverage at block 221,483,907" in text_of(mail)


@pytest.mark.parametrize("message", [COVERAGE_LOW, DIGEST])
def test_hostile_words_stay_words(message: Message) -> None:
    harmless, hostile = (
        mail_of(parcel(everywhere(message, words)), chart=draw_png(8, 8)) for words in ("USDC", HOSTILE)
    )
    assert Outline(html_of(hostile)).tags == Outline(html_of(harmless)).tags
    assert received(hostile).keys() == received(harmless).keys()
    assert re.match(r"\[Replay\] .*<script>alert\('x'\)</script>CDSU Bcc: everybody", received(hostile)["Subject"])
    for shown in (text_of(hostile), Outline(html_of(hostile)).text):
        assert "<script>alert('x')</script>CDSU Bcc: everybody@mail.example {{ 7 * 7 }}" in shown
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u200b\u202a-\u202e]", shown)


def test_an_endless_symbol_is_cut_and_the_numbers_after_it_remain() -> None:
    for symbol in ("A" * 10_000, "spam spam " * 1_000, "a\u0338" * 5_000):
        mail = mail_of(parcel(everywhere(COVERAGE_LOW, symbol)))
        assert len(text_of(mail)) < 30_000
        assert "it could pay less than its reference loss." in text_of(mail)
        assert "0.71×" in text_of(mail)
        assert len(received(mail)["Subject"]) <= 200


@given(st.text(max_size=40))
def test_no_name_at_all_changes_more_than_words(words: str) -> None:
    replay = changed(COVERAGE_LOW, replay="Replay of Crash of May 2021: simulated")
    mail, plain = (mail_of(parcel(everywhere(replay, name))) for name in (words, "USDC"))
    assert Outline(html_of(mail)).tags == Outline(html_of(plain)).tags
    assert text_of(mail).count("\n") == text_of(plain).count("\n")
    assert received(mail).keys() == received(plain).keys()
    assert "Example perpetuals fund" in received(mail)["Subject"]


def test_the_html_asks_nobody_for_anything() -> None:
    for sent in (parcel(), parcel(DIGEST), question(), parcel(None, Purpose.LINK), parcel(None, Purpose.TEST)):
        html = html_of(mail_of(sent))
        outline = Outline(html)
        assert not {tag for tag, _ in outline.tags} & {
            "script",
            "style",
            "link",
            "iframe",
            "object",
            "form",
            "img",
            "base",
        }
        assert not [name for _, names in outline.tags for name in names if name.startswith("on")]
        assert "url(" not in html
        assert "@import" not in html
        assert ("html", ("lang", "style")) in outline.tags


@pytest.mark.parametrize(
    ("text", "neutral"),
    [
        ("1.12×\u00a0 USDC", "1.12×\u00a0 USDC"),
        ("  two\tlines\r\nand\u2028three ", "two lines and three"),
        (f"{RIGHT_TO_LEFT}CDSU\u2066\u200d", "CDSU"),
        ("a\ud800b\ue000c", "a\ufffdb\ufffdc"),
        ("e\u0301" + "\u0301" * 50 + "!", "e" + "\u0301" * 3 + "!"),
        ("0x" + "ab" * 32, "0x" + "ab" * 32),
        ("x" * 101, "x" * 66 + "…" + "x" * 32),
        ("שקל", "שקל"),
        ("", ""),
    ],
)
def test_words_are_made_harmless(text: str, neutral: str) -> None:
    assert neutralise(text) == neutral


def test_a_long_text_loses_its_middle() -> None:
    cut = neutralise("begin " + "middle " * 1000 + "end")
    assert len(cut) <= LONGEST_TEXT
    assert cut.startswith("begin middle")
    assert cut.endswith("middle end")


@pytest.mark.parametrize("href", ["/funds/a#b", f"{SITE}/x?y=1&z=%20", "https://explorer.example/tx/0x1"])
def test_an_address_that_is_fine_is_kept_whole(href: str) -> None:
    assert find_href(href, SITE) == (SITE + href if href.startswith("/") else href)
