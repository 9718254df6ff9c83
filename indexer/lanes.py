"""The border between sync.py and what it drives: what to index on a chain, who reads snapshots, who shows progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from indexer.adapter import Adapter
from indexer.rpc.reader import ChainReader, ChainTerms, Header


@dataclass(frozen=True)
class Tracked:
    """One segment to index: ledger id, its adapter, and where its contracts begin (None: find it by bisection)."""

    segment_id: int
    slug: str
    shape: str
    adapter: Adapter
    contracts: tuple[str, ...]
    start_block: int | None = None


class SnapshotLane(Protocol):
    """Reads and stores what is due at or below a block and not there yet; called after each commit of the other lanes.

    It writes through the LedgerWriter it was made with, handles AdapterErrors itself (that segment becomes unknown)
    and lets ChainErrors through (the chain is unreachable).
    """

    async def run(self, up_to: Header) -> None:
        """Everything due at blocks ≤ up_to.number; logs and facts up to there are committed."""
        ...


class Progress(Protocol):
    """Hears how far a chain is: blocks done of total, blocks per second (0 until known)."""

    def __call__(self, chain: str, done: int, total: int, rate: float) -> None: ...


@dataclass(frozen=True)
class ChainWork:
    """One chain to sync: its terms, its providers, its segments, its snapshot lane (None: no snapshots wanted).

    `every_header`: whether final blocks without logs are checked by bloom too, which costs a header a block.
    None: for recordings yes, for live chains no.
    """

    terms: ChainTerms
    reader: ChainReader
    tracked: Sequence[Tracked]
    snapshots: SnapshotLane | None = None
    every_header: bool | None = None
