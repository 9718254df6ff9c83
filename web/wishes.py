"""The form of wishes: what can be chosen, what was chosen, and what is wrong with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from email_validator import EmailNotValidError, validate_email

from ledger.kinds import AlertEvent, DigestChoice, Severity
from ledger.pages import Place
from ledger.subscriptions import Wishes
from ledger.words import EVENT_WORDS, kind_words
from web.contexts import AlertsPage, Choice, Frame, WishForm
from web.edition import Edition, SiteConfig
from web.frames import frame
from web.posting import Filled

MOST_CHARACTERS = 254
"""Of an e-mail address (RFC 5321)."""
MOST_SHOWN = 2_000
"""Characters of what was typed that come back in a form."""
TRAP = "website"
"""A field that no reader sees; what fills it in is no reader."""

Mistakes = tuple[tuple[str, str], ...]

EVENTS: Mapping[str, tuple[AlertEvent, ...]] = {
    "Solvency": (
        AlertEvent.COVERAGE_LOW,
        AlertEvent.COVERAGE_RECOVERED,
        AlertEvent.BALANCE_DROPPED,
        AlertEvent.SHORTFALL_RECORDED,
        AlertEvent.DEPLETED,
        AlertEvent.WITHDRAWAL_LARGE,
        AlertEvent.OWN_TOKEN_HIGH,
    ),
    "Events of the platform": (AlertEvent.ADL_EXECUTED, AlertEvent.LOSS_SOCIALIZED, AlertEvent.SLASHED),
    "Control": (
        AlertEvent.OWNER_CHANGED,
        AlertEvent.IMPLEMENTATION_CHANGED,
        AlertEvent.PAUSED,
        AlertEvent.PARAMETER_CHANGED,
    ),
    "Our own data": (
        AlertEvent.STALE,
        AlertEvent.DATA_RECOVERED,
        AlertEvent.LAGGING,
        AlertEvent.UNRECONCILED,
        AlertEvent.DISAGREEMENT,
    ),
}
"""What can be wished for. Digests are chosen by themselves, and what is taken back goes to whoever was told."""
LEAST: Mapping[Severity, tuple[str, str]] = {
    Severity.NOTICE: ("Everything", "notices too: for the record, nothing needs to be done"),
    Severity.WARNING: (
        "Warnings and critical",
        "what a careful person acts on today: a threshold, an owner, our own data",
    ),
    Severity.CRITICAL: (
        "Critical only",
        "money is missing now, users were made to carry a loss, or what we say cannot be trusted",
    ),
}
DIGESTS: Mapping[DigestChoice, tuple[str, str]] = {
    DigestChoice.NONE: ("None", ""),
    DigestChoice.DAILY: ("Daily", "what happened and how each fund stands, also when nothing happened"),
    DigestChoice.WEEKLY: ("Weekly", "the same of seven days"),
}


@dataclass(frozen=True)
class Chosen:
    """What a form says, as it was typed and ticked."""

    address: str = ""
    funds: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    least: str = Severity.WARNING
    digest: str = DigestChoice.NONE

    @classmethod
    def of_form(cls, filled: Filled) -> Self:
        """What was handed in."""
        return cls(
            address=filled.one("address"),
            funds=filled.all("funds"),
            events=filled.all("events"),
            least=filled.one("least"),
            digest=filled.one("digest"),
        )

    @classmethod
    def of_wishes(cls, wishes: Wishes) -> Self:
        """What somebody wants already."""
        return cls(funds=wishes.funds, events=wishes.events, least=wishes.least, digest=wishes.digest)


def read_address(typed: str) -> tuple[str, Mistakes]:
    """The address as it is kept, in small letters, so that one mailbox is not written to under many names."""
    if len(typed) > MOST_CHARACTERS:
        return "", (("address", f"An e-mail address has at most {MOST_CHARACTERS} characters."),)
    try:
        found = validate_email(typed.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        return "", (("address", str(error)),)
    return (found.ascii_email or found.normalized).lower(), ()


def read_wishes(chosen: Chosen, funds: Collection[str]) -> tuple[Wishes, Mistakes]:
    """The wishes in a form about these funds; where there are mistakes the wishes mean nothing."""
    offered = {event for group in EVENTS.values() for event in group}
    mistakes = [
        (field, f"{_quoted(value)} is not among them: choose from the list.")
        for field, values, known in (("funds", chosen.funds, funds), ("events", chosen.events, offered))
        for value in values
        if value not in known
    ][:5]
    if chosen.least not in LEAST:
        mistakes.append(("least", "Choose how urgent a message must be."))
    if chosen.digest not in DIGESTS:
        mistakes.append(("digest", "Choose how often you want a digest."))
    if mistakes:
        return Wishes(), tuple(mistakes)
    events = tuple(event for event in AlertEvent if event in chosen.events)
    funds_in_order = tuple(sorted(set(chosen.funds)))
    return Wishes(funds_in_order, events, Severity(chosen.least), DigestChoice(chosen.digest)), ()


def _quoted(value: str) -> str:
    return f"“{printable(value)[:60]}”"


def printable(typed: str) -> str:
    """What was typed, without what cannot be shown."""
    return "".join(sign for sign in typed[:MOST_SHOWN] if sign.isprintable())


def wish_form(places: Sequence[Place], chosen: Chosen) -> WishForm:
    """The form with what was chosen in it."""
    return WishForm(
        address=printable(chosen.address),
        funds=_funds(places, chosen.funds),
        events=tuple(
            (title, tuple(Choice(event, EVENT_WORDS[event], event in chosen.events) for event in group))
            for title, group in EVENTS.items()
        ),
        least=tuple(Choice(key, text, key == chosen.least, note) for key, (text, note) in LEAST.items()),
        digest=tuple(Choice(key, text, key == chosen.digest, note) for key, (text, note) in DIGESTS.items()),
    )


def _funds(places: Sequence[Place], chosen: Collection[str]) -> tuple[tuple[str, tuple[Choice, ...]], ...]:
    """Funds on live chains before those of recordings."""
    kinds = {place.fund.slug: (place.fund.name, bool(kind_words(place.chain.kind))) for place in places}
    ordered = sorted(kinds.items(), key=lambda item: (item[1][1], item[1][0].lower()))
    return tuple(
        (
            "Replays of recordings" if is_replay else "Live",
            tuple(Choice(slug, name, slug in chosen) for slug, (name, _) in group),
        )
        for is_replay, group in groupby(ordered, key=lambda item: item[1][1])
    )


def fund_names(places: Sequence[Place]) -> dict[str, str]:
    """Funds by slug."""
    return {place.fund.slug: place.fund.name for place in places}


def wish_facts(wishes: Wishes, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Wishes in words; `names`: funds by slug."""
    return (
        ("Funds", "; ".join(names.get(slug, slug) for slug in wishes.funds) or "all, also those added later"),
        ("Events", "; ".join(EVENT_WORDS[event] for event in wishes.events) or "all"),
        ("How urgent", LEAST[wishes.least][0]),
        ("Digest", DIGESTS[wishes.digest][0]),
    )


def alerts_page(edition: Edition) -> AlertsPage:
    """What can be had, with a form where somebody sends messages."""
    around = frame(
        edition, "/alerts", "Alerts", description="Hear of it when a fund runs short: feeds, mails, webhooks"
    )
    return fill_page(around, edition.places, edition.config, Chosen())


def fill_page(
    around: Frame, places: Sequence[Place], config: SiteConfig, chosen: Chosen, *, mistakes: Mistakes = ()
) -> AlertsPage:
    """The same with what was chosen and what is wrong with it."""
    is_on = config.subscribe is not None and config.subscribe.is_mail_on
    return AlertsPage(around, wish_form(places, chosen) if is_on else None, mistakes)
