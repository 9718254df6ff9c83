"""What a channel is handed, what it must offer, and the one error it raises.

ChannelError
├── permanent=False   it may work later: the delivery backs off and is tried again
└── permanent=True    it never will: the endpoint is switched off, with the reason
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from alerts.message import Message
from ledger.kinds import Purpose

Chart = Callable[[str], bytes | None]
"""From a fund's slug to the PNG of its chart as it stands; None where it has none. The front door supplies it."""


class ChannelError(Exception):
    """A message was not taken. `permanent`: trying again is useless; `retry_after`: seconds it asked for."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True)
class Links:
    """Absolute addresses for one recipient; empty where they do not apply (operators manage nothing by link)."""

    site: str
    """Where the site is, without a slash at the end."""
    page: str = ""
    """The fund's page, or the page of the event."""
    confirm: str = ""
    manage: str = ""
    mute: str = ""
    unsubscribe: str = ""
    """Answers GET with a button and POST (RFC 8058's One-Click too) by doing it."""


@dataclass(frozen=True)
class Parcel:
    """One message on its way to one endpoint."""

    message_id: str
    """The same in every attempt, so that a receiver can drop what it has."""
    purpose: Purpose
    address: str
    created_at: datetime
    """When it was ordered, aware UTC."""
    links: Links
    message: Message | None = None
    """The alert or digest; None for confirmations, pings and warnings, whose words are in `detail`."""
    detail: dict[str, str] | None = None
    secrets: tuple[str, ...] = ()
    """Webhook: secrets to sign with, the newest first."""


@dataclass(frozen=True)
class Receipt:
    """The other side took it."""

    answer: str
    """What it said, for the delivery log: 204, or 250 2.0.0 Ok: queued as …."""


class Channel(Protocol):
    """One way of sending; opened once and used by many deliveries at a time."""

    async def send(self, parcel: Parcel) -> Receipt:
        """Sends once; raises ChannelError where the other side did not take it."""
        ...

    async def close(self) -> None:
        """Gives connections back; nothing is sent afterwards."""
        ...
