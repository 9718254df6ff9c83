"""Puts alerts to work: channels from the settings, and the jobs that rule, send, tidy up and say that all is well."""

import logging
import random
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
from sqlalchemy import Engine

from alerts.channel import Channel, ChannelError, Chart
from alerts.channels.email import EmailChannel, SmtpTarget
from alerts.channels.operators import OperatorChannel, load_notifier
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Sender
from alerts.mails import parse_mailbox
from alerts.reach import PublicResolver, Resolver, check_url
from alerts.ruling import Ruler
from alerts.signing import new_secret
from alerts.thresholds import load_rules
from app.schedule import Job, in_thread
from app.settings import PREFIX, Settings, SettingsError
from ledger.alerts import list_cursors
from ledger.clock import Clock, chain_now, system_clock
from ledger.database import reading, writing
from ledger.deliveries import delete_old_deliveries
from ledger.kinds import EndpointKind
from ledger.operators import sync_operators
from ledger.outbox import oldest_waiting
from ledger.pages import asking, ledger_marker, list_chains
from ledger.subscriptions import purge_unconfirmed
from ledger.tokens import delete_expired_tokens
from ledger.writer import LedgerWriter
from web.edition import SubscribeConfig
from web.pictures import draw_fund

log = logging.getLogger(__name__)

RULES, DELIVER = "rules", "deliver"
TIDY_SECONDS = 900.0
HEARTBEAT_SECONDS = 60.0
SILENT_AFTER = timedelta(minutes=5)
"""Rules that did not look for so long do not work."""
LATE_AFTER = timedelta(minutes=10)
"""A delivery that has been due for so long is not being sent."""
MOST_PICTURES = 64

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Ways:
    """Where messages may go. The demo hands over its own mail catcher and a resolver that knows its own webhook."""

    smtp_url: str | None
    resolver: Resolver = field(default_factory=PublicResolver)


class Pictures:
    """Charts for mails, drawn once for each state of the ledger: many people are told of one fund at a time."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._lock = threading.Lock()
        self._state: object = None
        self._drawn: dict[str, bytes | None] = {}

    def draw(self, slug: str) -> bytes | None:
        """PNG of the fund's balance; None where there is none to draw."""
        with self._lock:
            with asking(self._engine) as session:
                state = ledger_marker(session)
            if state != self._state or len(self._drawn) >= MOST_PICTURES:
                self._state, self._drawn = state, {}
            if slug not in self._drawn:
                self._drawn[slug] = draw_fund(self._engine, self._clock, slug)
            return self._drawn[slug]


def open_channels(
    settings: Settings, ways: Ways, *, clock: Clock, chart: Chart | None = None
) -> dict[EndpointKind, Channel]:
    """A channel for each kind of endpoint that the settings allow; raises SettingsError."""
    channels: dict[EndpointKind, Channel] = {EndpointKind.WEBHOOK: WebhookChannel(ways.resolver, clock)}
    if ways.smtp_url is not None:
        check_mailboxes(settings)
        channels[EndpointKind.EMAIL] = EmailChannel(
            checked("smtp_url", SmtpTarget.parse, ways.smtp_url),
            settings.mail_from,
            chart,
            clock,
            bounces=settings.mail_bounces or "",
        )
    urls = {name: url.get_secret_value() for name, url in settings.operator_urls.items()}
    channels[EndpointKind.OPERATOR] = OperatorChannel(urls)
    return channels


def checked(name: str, parse: Callable[[Given], Made], value: Given) -> Made:
    """What a room makes of a setting; its ValueError becomes a SettingsError that names the variable."""
    try:
        return parse(value)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name.upper()}: {error}") from error


def check_settings(settings: Settings) -> None:
    """Raises SettingsError for what would only be noticed when the first message is sent."""
    check_mailboxes(settings)
    if settings.smtp_url is not None:
        checked("smtp_url", SmtpTarget.parse, settings.smtp_url)
        if settings.public_url is None:
            raise SettingsError(f"{PREFIX}PUBLIC_URL is missing: links in mails need the address of the site")
    for name, url in settings.operator_urls.items():
        try:
            load_notifier(name, url.get_secret_value())
        except ChannelError as error:
            raise SettingsError(f"{PREFIX}OPERATOR_URLS: {error}") from error


def check_mailboxes(settings: Settings) -> None:
    """Raises SettingsError for addresses of ours that no mail can be sent from."""
    checked("mail_from", parse_mailbox, settings.mail_from)
    if settings.mail_bounces is not None:
        checked("mail_bounces", parse_mailbox, settings.mail_bounces)


def subscribe_config(ways: Ways) -> SubscribeConfig:
    """What the pages of subscriptions need of us."""
    return SubscribeConfig(is_mail_on=ways.smtp_url is not None, check_url=check_url, new_secret=new_secret)


@asynccontextmanager
async def opened_alerts(
    engine: Engine,
    settings: Settings,
    ways: Ways,
    *,
    site_url: str,
    live_since: Mapping[str, datetime] | None = None,
    when_told: Callable[[], None] = lambda: None,
) -> AsyncIterator[list[Job]]:
    """The jobs of alerts, ready to run; channels are closed at the end. `when_told` hears of new announcements."""
    clock = system_clock
    with writing(engine) as session:
        sync_operators(session, settings.operator_urls, now=clock())
    channels = open_channels(settings, ways, clock=clock, chart=Pictures(engine, clock).draw)
    ruler = Ruler(engine, clock, load_rules(), live_since=live_since)
    try:
        with LedgerWriter(engine) as writer:
            # Its name only tells the senders of one ledger apart; the dice spread retries.
            name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
            sender = Sender(writer, channels, clock, site_url=site_url, name=name, dice=random.Random())
            yield list_jobs(engine, settings, Work(ruler, sender, when_told))
    finally:
        for channel in channels.values():
            await channel.close()


@dataclass(frozen=True)
class Work:
    """What the jobs do."""

    ruler: Ruler
    sender: Sender
    when_told: Callable[[], None]


def list_jobs(engine: Engine, settings: Settings, work: Work) -> list[Job]:
    """Rules, sender, upkeep and heartbeat, each as often as it needs."""

    async def rule() -> None:
        told = await in_thread(lambda _heard: work.ruler.rule())
        if told:
            log.info("announced %d: %s", len(told), ", ".join(told[:3]) + (" …" if len(told) > 3 else ""))
            work.when_told()

    async def deliver() -> None:
        if await in_thread(lambda _heard: find_overdue(engine, system_clock())) is not None:
            await work.sender.drain()

    async def tidy() -> None:
        await in_thread(lambda _heard: tidy_up(engine, system_clock()))

    jobs = [
        Job(RULES, rule, settings.alert_seconds),
        Job(DELIVER, deliver, settings.alert_seconds),
        Job("upkeep of subscriptions", tidy, TIDY_SECONDS),
    ]
    if settings.heartbeat_url is not None:
        url = str(settings.heartbeat_url)
        # Not at once: after a standstill the rules must first have looked again.
        jobs.append(Job("heartbeat", lambda: beat(engine, url, system_clock), HEARTBEAT_SECONDS, HEARTBEAT_SECONDS))
    return jobs


def find_overdue(engine: Engine, now: datetime) -> datetime | None:
    """Since when the oldest delivery has been due; None where nothing is."""
    with reading(engine) as session:
        return oldest_waiting(session, now=now)


def tidy_up(engine: Engine, now: datetime) -> None:
    """Deletes addresses that nobody confirmed, tokens that no longer work, and the log of what was sent long ago."""
    with writing(engine) as session:
        purged = purge_unconfirmed(session, now=now)
        delete_expired_tokens(session, now=now)
        delete_old_deliveries(session, now=now)
    if purged:
        log.info("deleted %d addresses that nobody confirmed within a day", purged)


def find_trouble(engine: Engine, now: datetime) -> str:
    """Why alerts cannot be relied on at this moment; empty where they can."""
    with reading(engine) as session:
        ruled = {cursor.chain_id: cursor.ruled_at for cursor in list_cursors(session)}
        # A recording of which no block was served yet has no clock, and nothing to look at.
        chains = [one.chain for one in list_chains(session) if chain_now(one.chain, lambda: now) is not None]
        waiting = oldest_waiting(session, now=now)
    silent = [chain.name for chain in chains if is_silent(ruled.get(chain.chain_id), now)]
    if silent:
        return f"the rules have not looked at {', '.join(silent)} for {SILENT_AFTER.seconds // 60} minutes"
    if waiting is not None and now - waiting > LATE_AFTER:
        return f"a message has been due since {waiting:%Y-%m-%d %H:%M} UTC"
    return ""


def is_silent(ruled_at: datetime | None, now: datetime) -> bool:
    """Whether the rules last looked too long ago, or never."""
    return ruled_at is None or now - ruled_at > SILENT_AFTER


async def beat(engine: Engine, url: str, clock: Clock) -> None:
    """Tells the watchdog that all is well, and nothing where it is not: its silence is the alarm."""
    trouble = await in_thread(lambda _heard: find_trouble(engine, clock()))
    if trouble:
        log.error("no heartbeat: %s", trouble)
        return
    try:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        log.warning("the watchdog cannot be reached: %s", str(error) or type(error).__name__)
        return
    if not answer.is_success:  # What httpx itself says of it holds the address, which is a secret.
        log.warning("the watchdog did not take the heartbeat: it answered %d", answer.status_code)
