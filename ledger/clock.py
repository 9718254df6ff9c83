"""Time as an argument: nobody calls now() inside a room, and a recorded chain has a clock of its own."""

from collections.abc import Callable
from datetime import UTC, datetime

from ledger.kinds import SourceKind
from ledger.tables import Chain

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Aware UTC wall-clock time; the front door hands it to the rooms."""
    return datetime.now(UTC)


def chain_now(chain: Chain, clock: Clock) -> datetime | None:
    """Now, as a chain sees it: the wall clock, or for a recording the last block served (None before any)."""
    return clock() if chain.kind == SourceKind.LIVE else chain.head_time
