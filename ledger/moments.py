"""How a block, poll or log is named by its chain's kind: what a reconstruction made up is never printed as evidence."""

from datetime import UTC, datetime
from typing import Protocol

from ledger.kinds import SourceKind
from ledger.numbers import format_block, format_date, format_time
from ledger.tables import Chain

MADE_UP_FACT = ("block_hash", "block_number", "log_index", "tx_hash")
"""Fields of a fact that a reconstruction had to make up."""
MADE_UP_BLOCK = ("block_hash", "block_number")
MADE_UP_WORDS = "transaction hash, log index and block number are made up"


class FactPlace(Protocol):
    """Where a fact stands: rows of several queries have these columns."""

    @property
    def account(self) -> str | None: ...
    @property
    def block_number(self) -> int: ...
    @property
    def block_time(self) -> datetime: ...
    @property
    def log_index(self) -> int: ...
    @property
    def since_number(self) -> int | None: ...
    @property
    def tx_hash(self) -> str | None: ...


def is_made_up(chain: Chain) -> bool:
    """True where amounts, times and accounts are genuine but blocks, hashes and log indexes are not."""
    return chain.kind == SourceKind.RECONSTRUCTED


def moment(number: int, time: datetime, chain: Chain) -> str:
    """Where a number holds: block and time, the poll's time, or the time alone where blocks are made up."""
    if chain.is_venue:
        return f"the poll of {format_time(time)}"
    if is_made_up(chain):
        return format_time(time)
    return f"{format_block(number)} ({format_time(time)})"


def block_words(number: int, chain: Chain) -> str:
    """A block's number; of a poll its time in unix seconds; of a reconstruction its place in the recording."""
    if chain.is_venue:
        return f"poll {number}"
    return f"{format_block(number)} of the recording" if is_made_up(chain) else format_block(number)


def evidence_text(row: FactPlace, chain: Chain) -> str:
    """Where a fact can be checked: transaction, block and log; the two polls it lies between; else what is genuine."""
    if chain.is_venue:
        return _between_polls(row)
    if is_made_up(chain):
        return f"{genuine_text(row)}; {MADE_UP_WORDS}"
    transaction = f"tx {shorten(row.tx_hash)}, " if row.tx_hash else ""
    return f"{transaction}{format_block(row.block_number)}, log {row.log_index}"


def genuine_text(row: FactPlace) -> str:
    """What of a reconstructed fact is genuine and names it: the account, or its exact second."""
    if row.account:
        return f"account {shorten(row.account)}"
    return f"time and amount only, at {row.block_time:%H:%M:%S} UTC"


def evidence_href(row: FactPlace, chain: Chain) -> str:
    """The transaction on the chain's explorer; empty where there is none or the chain is a recording's own."""
    explorer = chain.explorer.rstrip("/")
    is_there = chain.kind in (SourceKind.LIVE, SourceKind.RECORDED) and explorer.startswith("https://")
    return f"{explorer}/tx/{row.tx_hash}" if is_there and row.tx_hash else ""


def _between_polls(row: FactPlace) -> str:
    if row.since_number is None:
        return f"the poll of {format_time(row.block_time)}"
    since = datetime.fromtimestamp(row.since_number, UTC)
    if since.date() == row.block_time.date():
        return f"between the polls of {format_date(since)}, {since:%H:%M} and {row.block_time:%H:%M} UTC"
    return f"between the polls of {format_time(since)} and {format_time(row.block_time)}"


def shorten(text: str) -> str:
    """0x1234…abcd for a hash or address; other text as it is, cut at 300 characters."""
    if text.startswith("0x") and len(text) >= 42:
        return f"{text[:8]}…{text[-4:]}"
    return text if len(text) <= 300 else text[:299] + "…"
