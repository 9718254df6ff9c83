"""What providers give, as rows: a chain of transfers, one sync through them, the amounts that came of it."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from indexer.lanes import ChainWork
from indexer.rpc.pool import ProviderPool
from indexer.rpc.provider import Pace
from indexer.sync import ChainOutcome, SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.writer import LedgerWriter
from tests.rigs.anvil import AnvilNode
from tests.rigs.fast_time import FastTime
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain, Terms, register

EVERYTHING = [1000 + n for n in range(20)]
"""The amounts of the chain's transfers to the fund, in order."""


def open_chain(start_node: Callable[..., AnvilNode]) -> AnvilChain:
    """Twenty blocks with transfers, finalized eight below the head; to be closed."""
    opened = AnvilChain(start_node("--no-mining", "--slots-in-an-epoch", "4", "--timestamp", "1700000000").url)
    opened.deploy()
    for amount in EVERYTHING:
        opened.send((WALLET, amount), (STRANGER, 5))
    return opened


async def run(
    engine: Engine, chain: AnvilChain, urls: Sequence[str], terms: Terms | None = None, *, pace: Pace | None = None
) -> ChainOutcome:
    """One sync through these providers, every header checked."""
    tracked = register(engine, [chain.token])
    known, at = terms or Terms(), pace or FastTime().pace()
    async with ProviderPool(known, urls, pace=at) as pool:
        with LedgerWriter(engine) as writer:
            work = ChainWork(known, pool, tracked, every_header=True)
            (outcome,) = await sync_chains(writer, [work], system_clock, options=SyncOptions(pace=at))
    return outcome


def amounts(engine: Engine) -> list[int]:
    """What the fund received, in order."""
    rows = sorted(dump_tables(engine)["fact"], key=lambda row: (row["block_number"], row["log_index"]))
    return [row["amount_raw"] for row in rows]
