"""What a mail says: for each purpose the subject, the template, and the words that go into it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alerts.channel import Links, Parcel
from alerts.message import Change, FundLine, Message
from alerts.rendering import Href, find_href, neutralise
from ledger.kinds import DigestChoice, Purpose, Severity, TokenPurpose
from ledger.numbers import format_duration, format_time
from ledger.subscriptions import Wishes
from ledger.tokens import LIFETIMES
from ledger.words import SEVERITY_WORDS, event_words

LONGEST_SUBJECT = 200
REPLAY_MARK = "[Replay] "
LATE = timedelta(hours=1)
LEAST_WORDS: dict[str, str] = {
    Severity.NOTICE: "everything",
    Severity.WARNING: "warnings and critical messages",
    Severity.CRITICAL: "critical messages only",
}


@dataclass(frozen=True)
class Letter:
    """A mail before it is one."""

    subject: str
    template: str
    context: dict[str, Any]


@dataclass(frozen=True)
class Proof:
    """Something a reader can check, with where to check it."""

    text: str
    href: Href | None


@dataclass(frozen=True)
class Group:
    """Lines of a digest about one fund, or about what concerns everybody."""

    title: str
    href: Href | None
    lines: tuple[str, ...]


def write_letter(parcel: Parcel, *, attempt_time: datetime, picture: str = "") -> Letter:
    """The letter of a parcel; `picture`: content id of the chart, empty where there is none. ValueError: no mail."""
    match parcel.purpose:
        case Purpose.ALERT:
            return _write_alert(parcel, attempt_time, picture)
        case Purpose.CONFIRM:
            return _write_question(parcel)
        case Purpose.LINK:
            return _write_note(parcel, "Your link to your alerts", _link_words(), "Open your page")
        case Purpose.WARNING:
            detail = parcel.detail or {}
            return _write_note(parcel, detail["subject"], (detail["text"],), "Manage your alerts")
        case Purpose.TEST:
            return _write_note(parcel, "A test message", _test_words(parcel), "Manage your alerts")
    raise ValueError(f"a {parcel.purpose} is never sent by e-mail")


def _write_alert(parcel: Parcel, attempt_time: datetime, picture: str) -> Letter:
    message = parcel.message
    if message is None:
        raise ValueError(f"the alert of delivery {parcel.message_id} has no message")
    subject = message.subject
    if message.replay and not subject.startswith(REPLAY_MARK.strip()):
        subject = REPLAY_MARK + subject
    site = parcel.links.site
    context = {
        **_links(parcel.links),
        "message": message,
        "event": event_words(message.event),
        "severity": SEVERITY_WORDS[Severity(message.severity)],
        "when": format_time(datetime.fromisoformat(message.happened_at)),
        "late": _late_words(parcel.created_at, attempt_time),
        "standing": _named(
            ("Status now", message.status), ("Data", message.data_status), ("Finality", message.finality)
        ),
        "evidence": [Proof(proof.text, find_href(proof.href, site)) for proof in message.evidence],
        "ids": _ids(message, parcel.message_id),
        "picture": picture,
        "picture_words": _picture_words(message),
        "happened": _group((line for line in message.lines if not line.is_calm), site),
        "calm": _group((line for line in message.lines if line.is_calm), site),
    }
    is_digest = message.event.startswith("digest.")
    return Letter(neutralise(subject, LONGEST_SUBJECT), "digest" if is_digest else "alert", context)


def _write_question(parcel: Parcel) -> Letter:
    wishes = Wishes.of_json(json.loads((parcel.detail or {})["wishes"]))
    context = {
        **_links(parcel.links),
        "confirm": find_href(parcel.links.confirm, parcel.links.site),
        "hours": f"{LIFETIMES[TokenPurpose.CONFIRM] // timedelta(hours=1)} hours",
        "wishes": (
            ("Funds", ", ".join(wishes.funds) or "all"),
            ("Events", "; ".join(event_words(event) for event in wishes.events) or "all"),
            ("How urgent", LEAST_WORDS.get(wishes.least, wishes.least)),
            ("Digest", "none" if wishes.digest == DigestChoice.NONE else wishes.digest),
        ),
    }
    return Letter("Confirm that you want these alerts", "confirm", context)


def _write_note(parcel: Parcel, subject: str, paragraphs: tuple[str, ...], action: str) -> Letter:
    context = {**_links(parcel.links), "heading": subject, "paragraphs": paragraphs, "action": action}
    return Letter(neutralise(subject, LONGEST_SUBJECT), "note", context)


def _link_words() -> tuple[str, ...]:
    return (
        "You, or somebody who typed this address, asked for the link to the page of these alerts. There you see and "
        "change what you hear of, mute a fund, take a copy of everything kept about you, or delete it.",
        f"The link works for {LIFETIMES[TokenPurpose.MANAGE].days} days, for whoever has it: keep it to yourself.",
    )


def _test_words(parcel: Parcel) -> tuple[str, ...]:
    return (
        f"Ordered on {format_time(parcel.created_at)} from the page of your alerts. Nothing has happened: it only "
        "shows that messages reach this address.",
    )


def _links(links: Links) -> dict[str, Href | None]:
    """Of every mail; None where a link does not apply."""
    names = ("page", "mute", "manage", "unsubscribe")
    found = {name: find_href(getattr(links, name), links.site) for name in names}
    return {**found, "site": find_href("/", links.site)}


def _late_words(written: datetime, attempt_time: datetime) -> str:
    """Says that the mail comes late, since what stands in it is no longer news; empty when it does not."""
    delay = attempt_time - written
    if delay < LATE:
        return ""
    return f"Sent {format_duration(delay.total_seconds())} late: it says what was so on {format_time(written)}."


def _picture_words(message: Message) -> str:
    """What the chart shows, for those who do not see it."""
    changes = ". ".join(_change_words(change) for change in message.changes)
    return f"Chart: the balance of {message.fund_name or 'the fund'} through time. {changes}".strip()


def _change_words(change: Change) -> str:
    before = f"was {change.before}, " if change.before else ""
    return f"{change.name} {before}is {change.after}"


def _ids(message: Message, message_id: str) -> tuple[tuple[str, str], ...]:
    number = f"{message.block_number:,}" if message.block_number is not None else ""
    return _named(
        ("Event", message.event),
        ("Key", message.key),
        ("Takes back", message.retracts),
        ("Segment", message.segment),
        ("Block", f"{number} {message.block_hash}".strip()),
        ("Transaction", message.tx_hash),
        ("Message", message_id),
    )


def _named(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Without those that say nothing."""
    return tuple(pair for pair in pairs if pair[1])


def _group(lines: Iterable[FundLine], site: str) -> list[Group]:
    """Lines by fund, in the order in which funds come up."""
    by_fund: dict[str, list[FundLine]] = {}
    for line in lines:
        by_fund.setdefault(line.fund_slug, []).append(line)
    return [
        Group(
            (found[0].fund_name or slug) if slug else "for all funds",
            find_href(f"/funds/{slug}", site) if slug else None,
            tuple(line.text for line in found),
        )
        for slug, found in by_fund.items()
    ]
