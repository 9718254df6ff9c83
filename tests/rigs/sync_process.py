"""Syncs the chain of `transfer_chain` in a process of its own, which may kill itself at a commit phase.

`python -m tests.rigs.sync_process RPC DATABASE TOKEN [PHASE COUNT]`: SIGKILL at the COUNT-th time of PHASE ("any": of
any phase). Prints each phase as it comes.
"""

import asyncio
import os
import signal
import sys
from collections import Counter

from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome, sync_chains
from indexer.writer import LedgerWriter
from ledger.clock import system_clock
from ledger.database import open_engine
from tests.rigs.transfer_chain import WALLET, Terms, TransferAdapter


class KillAt:
    """A phase hook that ends the process without any chance to clean up."""

    def __init__(self, phase: str, count: int) -> None:
        self.phase = phase
        self.count = count
        self._seen: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        self._seen[name] += 1
        self._seen["any"] += 1
        print(name, flush=True)
        if self._seen[self.phase] == self.count:
            os.kill(os.getpid(), signal.SIGKILL)


async def sync(rpc: str, database: str, token: str, kill: KillAt) -> list[ChainOutcome]:
    """One run up to the head."""
    engine = open_engine(database)
    tracked = Tracked(1, "fund-1", "address_fund", TransferAdapter(token, WALLET), (token,))
    async with ProviderPool(Terms(), [rpc]) as pool:
        with LedgerWriter(engine, phase=kill) as writer:
            return await sync_chains(writer, [ChainWork(Terms(), pool, [tracked])], system_clock)


if __name__ == "__main__":
    rpc_url, database_url, token_address, *rest = sys.argv[1:]
    kill_at = KillAt(rest[0], int(rest[1])) if rest else KillAt("never", 0)
    (outcome,) = asyncio.run(sync(rpc_url, database_url, token_address, kill_at))
    print(outcome)
    sys.exit(0 if outcome.is_ok else 1)
