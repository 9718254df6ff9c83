"""What a rule has to announce, before it is written: the message, and the blocks and facts it stands on."""

from dataclasses import dataclass
from datetime import datetime

from alerts.message import Message


@dataclass(frozen=True)
class Ground:
    """A block that an announcement stands on; `key` names the fact in it, the same after a reorganisation."""

    key: str
    chain_id: int
    number: int
    block_hash: str


@dataclass(frozen=True)
class Draft:
    """One announcement: `key`, `event`, `severity` and text are those of the message."""

    message: Message
    subject: str
    fund_slug: str | None
    chain_id: int | None
    happened_at: datetime
    number: int | None
    grounds: tuple[Ground, ...] = ()
    retracts: int | None = None
