"""What the rest of the indexer asks of a chain; `pool.ProviderPool` answers it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from indexer.adapter import ContractCall, Log, LogFilter
from ledger.kinds import SourceKind


class Header(msgspec.Struct, frozen=True):
    """A block header; hashes in lower case, `timestamp` in unix seconds, bloom and root 0x text, "" if not given."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: str = ""
    receipts_root: str = ""

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


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """What of a receipt its block's receiptsRoot is made from, and its logs; quantities are hex text.

    `root` stands where `status` is in blocks before Byzantium; the deposit fields are those of the OP stack.
    """

    logs: list[Log]
    transaction_index: str
    cumulative_gas_used: str
    logs_bloom: str
    type: str = "0x0"
    status: str | None = None
    root: str | None = None
    deposit_nonce: str | None = None
    deposit_receipt_version: str | None = None


class Receipts(msgspec.Struct, frozen=True):
    """All receipts of one block as one provider gave them, by transaction index; nothing about them is checked."""

    receipts: list[Receipt]
    provider: str


class Word(StrEnum):
    """What the providers say together about a header."""

    CONFIRMED = "confirmed"
    """At least two have that hash at that height, and more than have another."""
    CONTRADICTED = "contradicted"
    """Others have another hash there, and they are not outvoted."""
    ALONE = "alone"
    """Nobody else knows that height, or nobody else answers: look twice before you believe it."""


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

    async def heads(self, *, expected: int = 0) -> tuple[Header, Header | None]:
        """The newest block, and the final one by the chain's tag (None: it has none): one request to one provider.

        A head below `expected` (our tip) makes the others asked: the lowest that reaches it counts, else the highest.
        """
        ...

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Headers of these heights, in the order asked, in few requests; raises when one is missing."""
        ...

    async def logs(
        self,
        filters: Sequence[LogFilter],
        first: int,
        last: int,
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> LogBatch:
        """Logs of final blocks first…last that match any filter.

        Providers named in `avoid` are asked last; those in `without` never: NobodyElseError where there is no other.
        """
        ...

    async def logs_of(
        self,
        filters: Sequence[LogFilter],
        block_hashes: Sequence[str],
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> list[LogBatch]:
        """Logs of these blocks, named by hash, one batch a block, all from one provider; the rest as for `logs`."""
        ...

    async def logs_from_receipts(self, number: int) -> LogBatch:
        """Every log of one final block, from its receipts: for blocks too large for eth_getLogs."""
        ...

    async def receipts(self, block: int | str, *, without: frozenset[str] = frozenset()) -> Receipts:
        """All receipts of a block by number or hash, as `receiptsRoot` is made from them; `without` as for `logs`."""
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

    async def confirms(self, header: Header) -> Word:
        """What all providers together say of that hash at that height."""
        ...

    def voices(self) -> int:
        """How many independent providers answer now: those of one host are one voice."""
        ...

    def distrust(self, provider: str, reason: str) -> None:
        """Sets aside a provider that others contradict; logged once."""
        ...

    async def wait_for_head(self, seconds: float) -> bool:
        """Waits that long, or less where a websocket announces a block: True. Only ever a hint to look now."""
        ...

    def standing(self) -> Mapping[str, str]:
        """Provider → "ok" or why it is not asked, for the status page and log lines."""
        ...
