"""`backstop alert …` and `backstop worker`: channels tried by hand, deliveries listed and repeated, bounces read."""

import asyncio
import secrets
import sys
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from alerts.bounces import read_bounce
from alerts.channel import ChannelError, Links, Parcel
from app.alerting import DELIVER, Ways, check_settings, open_channels, opened_alerts
from app.databases import opened_ledger
from app.failures import CommandError, Exit
from app.schedule import JobRunner, stopped_by_signals
from app.screens import Column, say, show_table
from app.settings import Settings
from ledger.clock import system_clock
from ledger.database import writing
from ledger.deliveries import list_deliveries
from ledger.kinds import DeliveryState, EndpointKind, Purpose
from ledger.outbox import disable_by_bounce, replay
from ledger.pages import asking
from ledger.subscriptions import find_webhook_by_address


def test_command(settings: Settings, channel: str) -> None:
    """One test message, and what was answered."""
    check_settings(settings)
    kind, parcel = test_parcel(settings, channel)
    try:
        answer = asyncio.run(send_once(settings, kind, parcel))
    except ChannelError as error:
        raise CommandError(f"{channel} did not take the test: {error}", Exit.INCOMPLETE) from error
    say(f"{channel} took the test: {answer}")


def test_parcel(settings: Settings, channel: str) -> tuple[EndpointKind, Parcel]:
    """The test message for what the argument names; raises CommandError where it names nothing."""
    site = str(settings.public_url or "").rstrip("/")
    now = system_clock()
    secret: tuple[str, ...] = ()
    if channel in settings.operator_urls:
        kind = EndpointKind.OPERATOR
    elif "://" in channel:
        kind, secret = EndpointKind.WEBHOOK, secrets_of(settings, channel)
    elif "@" in channel:
        kind = EndpointKind.EMAIL
        if settings.smtp_url is None:
            raise CommandError("BACKSTOP_SMTP_URL is missing: name the server that sends mail", Exit.WRONG_USE)
    else:
        known = ", ".join(sorted(settings.operator_urls)) or "none"
        raise CommandError(
            f"{channel} is no e-mail address, no webhook and no name in BACKSTOP_OPERATOR_URLS (known: {known})",
            Exit.WRONG_USE,
        )
    return kind, Parcel(f"msg_{secrets.token_hex(16)}", Purpose.TEST, channel, now, Links(site), secrets=secret)


def secrets_of(settings: Settings, url: str) -> tuple[str, ...]:
    """What a known webhook's messages are signed with; raises CommandError for one that nobody entered."""
    with opened_ledger(settings) as engine, asking(engine) as session:
        found = find_webhook_by_address(session, url)
    if found is None:
        raise CommandError(f"nobody has entered {url} as a webhook: it has no secret to sign with", Exit.WRONG_USE)
    return tuple(found.secrets[:1])


async def send_once(settings: Settings, kind: EndpointKind, parcel: Parcel) -> str:
    """What the other side said; raises ChannelError."""
    channels = open_channels(settings, Ways(settings.smtp_url), clock=system_clock)
    try:
        return (await channels[kind].send(parcel)).answer
    finally:
        for channel in channels.values():
            await channel.close()


def list_command(settings: Settings, limit: int, *, is_failed: bool) -> None:
    """A table of deliveries."""
    with opened_ledger(settings) as engine, asking(engine) as session:
        rows = list_deliveries(session, limit, state=DeliveryState.FAILED if is_failed else None)
    columns = (
        Column("Id", is_number=True),
        Column("To"),
        Column("What"),
        Column("State"),
        Column("Attempts", is_number=True),
    )
    cells = [
        [
            str(row.id),
            f"{row.kind} {row.address}",
            row.title or row.purpose,
            state_words(row.state, row.state_reason, row.next_at),
            str(row.attempts),
        ]
        for row in rows
    ]
    show_table("Deliveries, newest first", columns, cells)
    if not rows:
        say("There are none.")


def state_words(state: str, reason: str, next_at: datetime) -> str:
    """How a delivery stands."""
    if state == DeliveryState.WAITING:
        return f"waiting, due {next_at:%Y-%m-%d %H:%M} UTC"
    return f"{state}: {reason}" if reason else state


def replay_command(settings: Settings, delivery_id: int) -> None:
    """Back into the outbox."""
    with opened_ledger(settings) as engine, writing(engine) as session:
        is_done = replay(session, delivery_id, now=system_clock())
    if not is_done:
        raise CommandError(
            f"there is no delivery {delivery_id} that has ended: backstop alert list shows them", Exit.WRONG_USE
        )
    say(f"Delivery {delivery_id} is in the outbox again; backstop run or backstop worker sends it.")


def bounce_command(settings: Settings) -> None:
    """A report from standard input."""
    try:
        bounce = read_bounce(sys.stdin.buffer.read())
    except ValueError as error:
        say(f"left alone: {error}")
        return
    if bounce is None or not bounce.is_permanent:
        say("left alone: it is no final report about a mail of ours")
        return
    with opened_ledger(settings) as engine, writing(engine) as session:
        is_known = disable_by_bounce(session, bounce.message_id, bounce.reason, now=system_clock())
    say("the address is switched off" if is_known else "left alone: no mail of ours has that id")


def worker_command(settings: Settings) -> None:
    """Rules and messages until SIGTERM or Ctrl-C."""
    check_settings(settings)
    if settings.public_url is None:
        raise CommandError("BACKSTOP_PUBLIC_URL is missing: links in messages need the site's address", Exit.WRONG_USE)
    with opened_ledger(settings) as engine:
        asyncio.run(work(engine, settings, site_url=str(settings.public_url).rstrip("/")))
    say("stopped")


async def work(engine: Engine, settings: Settings, *, site_url: str) -> None:
    """The jobs of alerts and nothing else; several workers may share one Postgres."""
    stop, runner = asyncio.Event(), JobRunner()
    told = partial(runner.hurry, DELIVER)
    alerts = opened_alerts(engine, settings, Ways(settings.smtp_url), site_url=site_url, when_told=told)
    with stopped_by_signals(stop.set):
        say("Announcing and sending until Ctrl-C")
        async with alerts as jobs:
            for job in jobs:
                runner.add(job)
            await runner.run_until(stop, grace_seconds=settings.stop_seconds)
