"""A fund whose contracts a factory creates: what it emits on a model chain, its adapter, and how both are indexed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from indexer.adapter import FactDraft, Known, Log, LogFilter, Read
from indexer.lanes import ChainWork, Tracked
from indexer.rpc.reader import ChainReader
from indexer.sync import ChainOutcome, sync_chains
from indexer.words import Event, address_topic
from ledger.clock import system_clock
from ledger.kinds import Role, Side
from ledger.writer import LedgerWriter
from tests.indexer.semantics.model_chain import Emission, ModelChain
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import Terms, register

FACTORY, FORGER = "0x" + "fa" * 20, "0x" + "0f" * 20
CREATED = Event("Created(address indexed child, uint256 seed)")
LOSS = Event("Loss(address indexed account, uint256 amount)")


class FactoryAdapter:
    """Losses of every contract that one factory created."""

    version = 1
    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, factory: str) -> None:
        self.factory = factory

    def filters(self) -> Sequence[LogFilter]:
        return []

    def creations(self) -> Sequence[LogFilter]:
        return [LogFilter(frozenset({self.factory}), (frozenset({CREATED.topic0}),))]

    def child_of(self, log: Log) -> str | None:
        child: str = CREATED.values(log)[0]
        return child

    def child_topics(self) -> tuple[frozenset[str] | None, ...]:
        return (frozenset({LOSS.topic0}),)

    def decode(self, log: Log) -> Sequence[FactDraft]:
        if log.topics[0] == CREATED.topic0:
            child, seed = CREATED.values(log)
            return [FactDraft(Role.MARKET_CREATED, market=child, detail={"seed": str(seed)})]
        account, amount = LOSS.values(log)
        return [FactDraft(Role.SHORTFALL, amount, account=account, market=log.address)]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        return []

    def flow_reads(self, known: Known) -> Sequence[Read]:
        return []


def child(number: int) -> str:
    """The address of a child."""
    return f"0xc{number:039x}"


def created(number: int, *, by: str = FACTORY) -> Emission:
    """The factory announces a child."""
    return Emission(by, (CREATED.topic0, address_topic(child(number))), f"0x{number:064x}")


def loss(number: int, amount: int) -> Emission:
    """A child books a loss."""
    return Emission(child(number), (LOSS.topic0, address_topic("0x" + "ac" * 20)), f"0x{amount:064x}")


def track(engine: Engine, *factories: str) -> list[Tracked]:
    """One fund for each factory, in the ledger and to be indexed from block 0 on."""
    found = register(engine, factories)
    return [replace(one, adapter=FactoryAdapter(f), start_block=0) for one, f in zip(found, factories, strict=True)]


async def index(
    engine: Engine, reader: ChainReader, tracked: Sequence[Tracked], *, every_header: bool = False
) -> ChainOutcome:
    """One sync up to the head, as a process that starts anew would do it."""
    with LedgerWriter(engine) as writer:
        work = ChainWork(Terms(), reader, tracked, every_header=every_header)
        (outcome,) = await sync_chains(writer, [work], system_clock)
    return outcome


def losses(engine: Engine) -> list[tuple[int, str, int]]:
    """(block, child, amount) of every loss in the ledger."""
    rows = sorted(dump_tables(engine)["fact"], key=lambda row: (row["block_number"], row["log_index"]))
    return [(row["block_number"], row["market"], row["amount_raw"]) for row in rows if row["role"] == Role.SHORTFALL]


def intervals(engine: Engine, segment_id: int) -> list[tuple[Any, Any]]:
    """What is covered of a segment."""
    rows = dump_tables(engine)["coverage"]
    return [(row["from_number"], row["to_number"]) for row in rows if row["segment_id"] == segment_id]


def true_losses(chain: ModelChain) -> list[tuple[int, str, int]]:
    """(block, child, amount) by the rule: a child's losses from the block of its creation log on."""
    births: dict[str, int] = {}
    for logs in chain.logs:
        for log in logs:
            if log.address == FACTORY:
                births.setdefault("0x" + log.topics[1][26:], int(log.block_number, 16))
    return [
        (number, log.address, int(log.data, 16))
        for number, logs in enumerate(chain.logs)
        for log in logs
        if log.topics[0] == LOSS.topic0 and births.get(log.address, 10**9) <= number
    ]
