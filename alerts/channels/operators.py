"""Channels of whoever runs Backstop (Slack, Discord, Telegram, PagerDuty, …), reached through apprise."""

import asyncio
import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from alerts.channel import ChannelError, Parcel, Receipt
from alerts.message import Change, Message
from ledger.kinds import Severity

LIMIT_SECONDS = 30.0
KINDS = {Severity.NOTICE: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}
"""What apprise calls the severities: colours in a chat, urgency of a page."""


class OperatorChannel:
    """Sends to the channels of the settings: name → apprise's address, which holds secrets and is never shown."""

    def __init__(self, urls: Mapping[str, str], *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._urls = dict(urls)
        self._limit_seconds = limit_seconds

    async def send(self, parcel: Parcel) -> Receipt:
        """Sends a parcel to the channel that its address names; raises ChannelError."""
        name = parcel.address
        if name not in self._urls:
            raise ChannelError(f"the settings name no channel {name}: add it, or remove its endpoint", permanent=True)
        # Apprise reads a hundred modules when it is first asked.
        notifier = await asyncio.to_thread(load_notifier, name, self._urls[name])
        title, text = render_text(parcel)
        try:
            async with asyncio.timeout(self._limit_seconds):
                is_taken = await notifier.async_notify(
                    title=title, body=text, body_format="text", notify_type=kind_of(parcel.message)
                )
        except TimeoutError as error:
            raise ChannelError(f"the channel {name} did not answer in {self._limit_seconds:g} seconds") from error
        if not is_taken:
            raise ChannelError(f"the channel {name} did not take the message; the log line of apprise says why")
        return Receipt("taken")

    async def close(self) -> None:
        """Nothing is left open between two messages."""


def load_notifier(name: str, url: str) -> Any:  # Any: apprise is an optional extra.
    """Apprise, ready to send to this address; raises ChannelError where it is missing or does not know the address."""
    try:
        apprise = importlib.import_module("apprise")
    except ImportError as error:
        raise ChannelError(
            "operator channels need apprise: run `pip install backstop[operators]`", permanent=True
        ) from error
    notifier = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Backstop", app_desc="Backstop"))
    with _silent():
        is_known = notifier.add(url)
    if not is_known:
        raise ChannelError(f"apprise does not know the address of the channel {name}: correct it", permanent=True)
    return notifier


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps apprise from logging an address that it does not understand, secrets and all."""
    log = logging.getLogger("apprise")
    log.addFilter(_refuse)
    try:
        yield
    finally:
        log.removeFilter(_refuse)


def _refuse(_record: logging.LogRecord) -> bool:
    return False


def kind_of(message: Message | None) -> str:
    """Apprise's word for how urgent a message is."""
    return KINDS[Severity(message.severity)] if message is not None else "info"


def render_text(parcel: Parcel) -> tuple[str, str]:
    """Title and plain text: that it is a replay comes first, the page last."""
    message = parcel.message
    if message is None:
        detail = parcel.detail or {}
        return detail.get("subject", "Backstop"), detail.get("text") or f"A {parcel.purpose} message of Backstop."
    paragraphs = [
        message.replay,
        message.sentence,
        "\n".join(describe_change(change) for change in message.changes),
        "\n".join(line.text for line in message.lines),
        "\n".join(_labelled(message)),
        message.limits,
        "\n".join(" ".join((each.text, _whole(each.href, parcel.links.site))).strip() for each in message.evidence),
        parcel.links.page,
    ]
    return message.subject, "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def describe_change(change: Change) -> str:
    """One number of a message on one line."""
    threshold = f" (threshold: {change.threshold})" if change.threshold else ""
    return f"{change.name}: {change.before or '–'} → {change.after}{threshold}"


def _labelled(message: Message) -> list[str]:
    said = (
        ("Status", message.status),
        ("Data", message.data_status),
        ("Finality", message.finality),
        ("Next", message.next_steps),
    )
    return [f"{label}: {text}" for label, text in said if text]


def _whole(href: str, site: str) -> str:
    return site + href if href.startswith("/") else href
