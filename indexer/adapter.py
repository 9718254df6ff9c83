"""What an adapter must answer: which logs to fetch, what they mean, and what to read at a block. Pure: no I/O.

AdapterError   this fund is broken: its file or its contracts are not what the shape expects. The others go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec

from ledger.kinds import Contribution, ReadingName, Role, Side


class AdapterError(Exception):
    """One fund's file or contracts are not what its shape expects; says which, where, and what to do."""


class Log(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A log as JSON-RPC gives it; hex text in lower case, quantities still hex."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False


@dataclass(frozen=True)
class LogFilter:
    """Logs of these contracts whose topics match by position: None is any, a set is one of. Addresses in lower case."""

    addresses: frozenset[str]
    topics: tuple[frozenset[str] | None, ...]


class FactDraft(msgspec.Struct, frozen=True, gc=False):
    """A fact before the ledger's ids: `asset` is an address in lower case, the block and log are the caller's.

    An asset that the fund's file does not list has no row: its amount is kept, its asset_id is NULL.
    """

    role: Role
    amount_raw: int | None = None
    asset: str | None = None
    source: Contribution | None = None
    side: Side | None = None
    account: str | None = None
    market: str | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ContractCall:
    """A view call: `signature` like `balanceOf(address)`, its arguments, the ABI types it returns."""

    to: str
    signature: str
    args: tuple[Any, ...] = ()
    returns: tuple[str, ...] = ("uint256",)


@dataclass(frozen=True)
class ReadValue:
    """One value out of a call's answer and the name it gets in the ledger."""

    name: ReadingName
    subject: str = ""
    index: int = 0
    decimals: int = 0
    asset: str | None = None


@dataclass(frozen=True)
class Read:
    """A call and what its answer means; an answer may carry several readings."""

    call: ContractCall
    values: tuple[ReadValue, ...]


@dataclass(frozen=True)
class Known:
    """What the ledger's facts say up to the block of a snapshot.

    `markets`: market → detail of its market_created fact. `sums`: (account, market, side) → Σ amount_raw of exposure
    changes of the adapter's `tracked_sides`, zeros left out.
    """

    markets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sums: Mapping[tuple[str, str, Side], int] = field(default_factory=dict)


class Adapter(Protocol):
    """One contract shape, made for one fund file. Raises AdapterError when the fund's contracts are not as expected."""

    version: int
    rounding_per_flow_raw: int
    """How many smallest units one flow may differ from the balance on chain by rounding (M13)."""
    tracked_sides: frozenset[Side]
    """Whose exposure changes the reads need summed by account and market; empty: Known.sums stays empty."""

    def filters(self) -> Sequence[LogFilter]:
        """The logs this fund needs."""
        ...

    def decode(self, log: Log) -> Sequence[FactDraft]:
        """The facts of one matching log, in order; empty for a log that concerns the fund in no way."""
        ...

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        """Everything to read at the first block of an hour."""
        ...

    def flow_reads(self, known: Known) -> Sequence[Read]:
        """What to read at a block in which the fund's balance moved: the balance and its parts."""
        ...


@runtime_checkable
class Attributing(Protocol):
    """An adapter that must see a whole transaction to say where money came from."""

    def attribute(self, logs: Sequence[Log], facts: Sequence[Sequence[FactDraft]]) -> Sequence[Sequence[FactDraft]]:
        """The facts of one transaction's logs, one list per log as given, with sources and roles settled."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """An adapter whose logs name a market that only an earlier log explains."""

    def remember(self, markets: Mapping[str, Mapping[str, Any]]) -> None:
        """Markets (id → detail of market_created) that the ledger holds when a run starts."""
        ...


@runtime_checkable
class Discovering(Protocol):
    """An adapter whose fund has contracts that factories create as time goes on.

    `decode` hears the creation logs and the children's logs too: a child's from the block of its creation log on.
    """

    def creations(self) -> Sequence[LogFilter]:
        """The factories' creation logs; each filter names the factories, for anyone can emit the same event."""
        ...

    def child_of(self, log: Log) -> str | None:
        """The contract that a creation log announces, in lower case; None where it announces none."""
        ...

    def child_topics(self) -> tuple[frozenset[str] | None, ...]:
        """What is wanted of each child, by position as in LogFilter; the first position names the events."""
        ...
