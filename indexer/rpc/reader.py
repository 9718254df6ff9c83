"""What the rest of the indexer asks of a chain; `pool.ProviderPool` answers it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from indexer.adapter import ContractCall, Log, LogFilter
from ledger.kinds import SourceKind


class Header(msgspec.Struct, frozen=True):
    """A block header; hashes in lower case, `timestamp` in unix seconds, `logs_bloom` 0x text, "" if not given."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: str = ""

    @property
    def time(self) -> datetime:
        """The block's time, aware UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)


class LogBatch(msgspec.Struct, frozen=True):
    """All logs of a range as one provider gave them, ordered by (block, log index), each once.

    `level` is the rung of the verification ladder passed so far: 1 says that the same provider's head reached the
    range's end in the same batch of requests.
    """

    logs: list[Log]
    provider: str
    level: int


class CallAnswer(msgspec.Struct, frozen=True):
    """What a view call answered: `values` as its ABI types say, or `error` when there is no value.

    `error` starts with "reverted", "garbage" (bytes that are not of the promised types) or "missing" (no provider
    keeps, or the recording does not hold, that state). Only the last may turn into a value later: `is_missing`.
    """

    values: tuple[Any, ...] | None = None
    error: str | None = None
    is_missing: bool = False


class ChainTerms(Protocol):
    """What the pool and the lanes must know of a chain; `registry.ChainSpec` has these fields."""

    @property
    def id(self) -> int: ...
    @property
    def slug(self) -> str: ...
    @property
    def kind(self) -> SourceKind: ...
    @property
    def multicall3(self) -> str | None: ...
    @property
    def multicall3_block(self) -> int | None: ...
    @property
    def finality_seconds(self) -> int: ...


class ChainReader(Protocol):
    """One chain behind one or more providers. Every method raises ChainError when nobody can answer."""

    async def header(self, block: int | str) -> Header | None:
        """The header by number, by hash (66 characters) or by tag; None where the chain has no such block (yet)."""
        ...

    async def heads(self) -> tuple[Header, Header | None]:
        """The newest block, and the final one by the chain's tag (None: it has none): one request to one provider."""
        ...

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Headers of these heights, in the order asked, in few requests; raises when one is missing."""
        ...

    async def logs(
        self, filters: Sequence[LogFilter], first: int, last: int, *, avoid: frozenset[str] = frozenset()
    ) -> LogBatch:
        """Logs of final blocks first…last that match any filter; providers named in `avoid` are asked last."""
        ...

    async def logs_of(
        self, filters: Sequence[LogFilter], block_hashes: Sequence[str], *, avoid: frozenset[str] = frozenset()
    ) -> list[LogBatch]:
        """Logs of these blocks, named by hash, one batch a block, all from one provider."""
        ...

    async def logs_from_receipts(self, number: int) -> LogBatch:
        """Every log of one final block, from its receipts: for blocks too large for eth_getLogs."""
        ...

    async def calls(self, calls: Sequence[ContractCall], at: Header) -> list[CallAnswer]:
        """All calls at exactly this block (by hash, canonical), through Multicall3 where it is deployed by then."""
        ...

    async def calls_at(self, wanted: Sequence[tuple[Sequence[ContractCall], Header]]) -> list[list[CallAnswer]]:
        """The same for several blocks, each with calls of its own, in as few requests as providers take."""
        ...

    async def code(self, address: str, number: int) -> bytes:
        """Contract code at a final block; empty where there is none."""
        ...

    async def confirms(self, header: Header) -> bool:
        """Whether a second provider has the same hash at that height; True where no second one answers."""
        ...

    def standing(self) -> Mapping[str, str]:
        """Provider → "ok" or why it is not asked, for the status page and log lines."""
        ...
