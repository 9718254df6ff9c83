"""What the demo sent, as whoever catches it hands it over."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol


@dataclass(frozen=True)
class CaughtMail:
    """A mail as it came in; `number` counts from 1."""

    number: int
    mail: EmailMessage


@dataclass(frozen=True)
class CaughtCall:
    """A webhook call as it came in."""

    message_id: str
    body: bytes


class Inbox(Protocol):
    """Where the demo keeps what it sent, the newest first."""

    def mails(self) -> Sequence[CaughtMail]: ...
    def calls(self) -> Sequence[CaughtCall]: ...
    def take_call(self, message_id: str, body: bytes) -> bytes:
        """Keeps a call and says what to answer: a ping wants its challenge back."""
        ...
