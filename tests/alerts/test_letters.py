"""What a mail says, in which order: alerts, digests, questions and notes."""

import re
from datetime import timedelta
from typing import Any

import pytest

from alerts.channel import Parcel
from ledger.kinds import Purpose, Severity
from ledger.words import DISCLAIMER, event_words
from tests.rigs.mail import (
    BLOCK,
    COVERAGE_LOW,
    DIGEST,
    MESSAGE_ID,
    SITE,
    TOKEN,
    TX,
    Outline,
    changed,
    draw_png,
    html_of,
    links,
    mail_of,
    parcel,
    question,
    text_of,
)

DOMAIN = "backstop.example"


def test_a_mail_that_comes_late_says_so() -> None:
    late = "Sent 5 h late: it says what was so on 14 Mar 2025, 17:02 UTC."
    mail = mail_of(parcel(), delay=timedelta(hours=5, minutes=3))
    assert late in text_of(mail)
    assert late in Outline(html_of(mail)).text
    assert "late:" not in text_of(mail_of(parcel()))


@pytest.mark.parametrize("render", [text_of, lambda mail: Outline(html_of(mail)).text])
def test_a_message_says_everything_in_its_order(render: Any) -> None:
    replay = "Replay of Crash of May 2021: simulated"
    message = changed(COVERAGE_LOW, replay=replay, retracts="an/earlier/key")
    shown = re.sub(r"\s+", " ", render(mail_of(parcel(message), chart=draw_png(8, 8))).replace("[Replay] ", ""))
    shown = shown.removeprefix(f"{message.subject} ").replace("\u00a0", " ")
    facts = [
        replay,
        "Warning",
        event_words(message.event),
        message.sentence,
        "14 Mar 2025, 17:00 UTC",
        *("Coverage", "1.12× → 0.71×", "below 1.00×", "Balance", "6,720,114.20 USDC → 4,260,871.55 USDC"),
        *("Short", message.data_status, message.finality),
        *(proof.text for proof in message.evidence),
        message.next_steps,
        message.limits,
        DISCLAIMER,
        *("See it on the site", "Mute this fund for 24 hours"),
        *(message.event, message.key, "an/earlier/key", message.segment, "221,483,907", BLOCK, TX, MESSAGE_ID),
    ]
    place = -1
    for fact in facts:
        found = shown.find(re.sub(r"\s+", " ", fact), place + 1)
        assert found > place, f"{fact!r} is missing, or not where it belongs"
        place = found


def test_links_lead_to_pages_to_muting_to_managing_and_to_the_end() -> None:
    made = links()
    wanted = {made.page, made.mute, made.manage, made.unsubscribe, f"{SITE}/"}
    mail = mail_of(parcel())
    assert wanted <= {address for _, address in Outline(html_of(mail)).addresses}
    assert all(address in text_of(mail) for address in wanted)


def test_a_digest_tells_what_happened_fund_by_fund_and_then_how_the_others_stand() -> None:
    text = text_of(mail_of(parcel(DIGEST)))
    told, standing = text.split("How the funds stand")
    assert told.split("What happened\n")[1].strip().splitlines() == [
        "* 09:14 UTC: A change of the owner at Lending backstop: it is now 0x91bc…4a20.",
        f"  {SITE}/funds/lending-backstop",
        "* 16:40 UTC: 3 shortfalls at Example perpetuals fund, 1.90 M USDC in all.",
        "* 17:00 UTC: Coverage of Example perpetuals fund fell to 0.71×.",
        f"  {SITE}/funds/example-perpetuals",
        "* 16:52 UTC: Sources of Example chain disagree.",
        "  for all funds",
    ]
    assert "Covered, coverage 1.84×" in standing
    assert "Nothing happened" not in text


def test_a_digest_of_a_day_without_events_says_that_nothing_happened() -> None:
    calm = tuple(line for line in DIGEST.lines if line.is_calm)
    for lines in (calm, ()):
        mail = mail_of(parcel(changed(DIGEST, lines=lines)))
        assert "What happened\nNothing happened.\n" in text_of(mail)
        assert "What happened Nothing happened." in Outline(html_of(mail)).text
        assert ("How the funds stand" in text_of(mail)) is bool(lines)


def test_a_replay_is_marked_first_and_once() -> None:
    replay = changed(COVERAGE_LOW, replay="Replay of Crash of May 2021: simulated")
    for message in (replay, changed(replay, subject=f"[Replay] {replay.subject}")):
        mail = mail_of(parcel(message))
        assert mail["Subject"] == f"[Replay] {COVERAGE_LOW.subject}"
        assert text_of(mail).startswith("Replay of Crash of May 2021: simulated\n")
        assert Outline(html_of(mail).split("<body")[1]).text.split("> ", 1)[1].strip().startswith("Replay of Crash")


def test_a_new_address_is_asked_in_words() -> None:
    mail = mail_of(
        question(funds=["example-perpetuals", "lending-backstop"], events=["fund.coverage.low", "fund.depleted"])
    )
    assert mail["Subject"] == "Confirm that you want these alerts"
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Id"] is None
    for shown in (text_of(mail), Outline(html_of(mail)).text):
        for words in (
            "example-perpetuals, lending-backstop",
            "Coverage fell below the threshold; Nothing is left to pay with",
            "warnings and critical messages",
            "daily",
            "Unless you confirm, nothing is sent and nothing changes",
            "an address that nobody confirms is deleted after 24 hours.",
        ):
            assert words in shown
    assert f"{SITE}/alerts/confirm?token={TOKEN}" in text_of(mail)
    assert ("href", f"{SITE}/alerts/confirm?token={TOKEN}") in Outline(html_of(mail)).addresses


def test_who_asked_for_everything_reads_all() -> None:
    text = text_of(mail_of(question(funds=[], events=[], least=Severity.NOTICE, digest="none")))
    assert "* Funds: all\n* Events: all\n* How urgent: everything\n* Digest: none\n" in text


def test_a_link_a_warning_and_a_test_have_their_own_words() -> None:
    link = mail_of(parcel(None, Purpose.LINK))
    assert link["Subject"] == "Your link to your alerts"
    assert "The link works for 90 days" in text_of(link)
    assert f"Open your page: {SITE}/alerts/manage?token={TOKEN}" in text_of(link)
    detail = {
        "subject": "Your webhook does not answer",
        "text": "It answered 500 for 24 hours.\nIt is switched off soon.",
    }
    warning = mail_of(parcel(None, Purpose.WARNING, detail=detail))
    assert warning["Subject"] == "Your webhook does not answer"
    assert "It answered 500 for 24 hours. It is switched off soon." in text_of(warning)
    test = mail_of(parcel(None, Purpose.TEST))
    assert (test["Subject"], test["List-Id"]) == ("A test message", f"Backstop alerts <alerts.{DOMAIN}>")
    assert "Ordered on 14 Mar 2025, 17:02 UTC" in text_of(test)


@pytest.mark.parametrize("sent", [parcel(None), parcel(None, Purpose.PING)])
def test_what_no_mail_can_be_made_of_is_refused(sent: Parcel) -> None:
    with pytest.raises(ValueError, match=r"has no message|never sent by e-mail"):
        mail_of(sent)
