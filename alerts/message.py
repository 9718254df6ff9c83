"""What is said about one happening: built once, kept with the alert as it was worded, and rendered by each channel."""

from typing import Self

import msgspec


class Change(msgspec.Struct, frozen=True):
    """One number of a message: what it was, what it is, and the threshold that made it worth a message."""

    name: str
    """What changed, in words: coverage, balance in USDC, owner."""
    before: str
    """As a page prints it; empty where there was nothing before."""
    after: str
    threshold: str = ""
    """In words: below 1.00×; empty where any change counts."""


class Evidence(msgspec.Struct, frozen=True):
    """Something a reader can check."""

    text: str
    """Transaction, block and log; or block and time of a reading."""
    href: str = ""
    """An address: a path of our own site from the root, or a block explorer's https address; empty: none."""


class FundLine(msgspec.Struct, frozen=True):
    """One line of a digest."""

    fund_slug: str
    """Empty: it concerns everybody, such as a source."""
    text: str
    fund_name: str = ""
    is_calm: bool = False
    """True where it only says how the fund stands and nothing happened."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One announcement. Every text is plain, never HTML; times are UTC; an unknown is said in words."""

    key: str
    """The alert's key: what happened, named so that it can be announced once only."""
    event: str
    """AlertEvent."""
    severity: str
    """Severity."""
    subject: str
    """Subject line: [Short] Example fund: coverage 0.71× (was 1.12×), 17:00 UTC."""
    sentence: str
    """What happened, in one sentence with numbers and time."""
    happened_at: str
    """Chain time, ISO 8601 with Z."""
    fund_name: str = ""
    fund_slug: str = ""
    """Empty: the message is about a source or about all funds."""
    segment: str = ""
    """Slug of the segment."""
    block_number: int | None = None
    block_hash: str = ""
    tx_hash: str = ""
    changes: tuple[Change, ...] = ()
    status: str = ""
    """Status of the fund now, in words."""
    data_status: str = ""
    """Data status now, in words, with its reason."""
    finality: str = ""
    """Whether the block can still be replaced, in words."""
    evidence: tuple[Evidence, ...] = ()
    next_steps: str = ""
    """What comes next by the platform's own rules."""
    limits: str = ""
    """What this message does not say."""
    replay: str = ""
    """Replay of …: simulated; empty for a live chain. Every channel shows it first."""
    episode: str = ""
    """Messages of one episode are one thread; empty: it stands alone."""
    retracts: str = ""
    """Key of the alert that this one takes back."""
    lines: tuple[FundLine, ...] = ()
    """Of a digest: what happened, then how each fund stands."""

    @classmethod
    def of_json(cls, stored: object) -> Self:
        """The message of an `alert` row; raises msgspec.ValidationError for what none of ours ever wrote."""
        return msgspec.convert(stored, cls)

    def to_json(self) -> dict[str, object]:
        """As it is stored."""
        made: dict[str, object] = msgspec.to_builtins(self)
        return made


def only_funds(message: Message, funds: frozenset[str]) -> Message:
    """A digest with the lines of these funds, and those that concern everybody."""
    kept = tuple(line for line in message.lines if not line.fund_slug or line.fund_slug in funds)
    return msgspec.structs.replace(message, lines=kept)
