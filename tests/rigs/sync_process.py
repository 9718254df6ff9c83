"""Syncs the chain of `transfer_chain` in a process of its own, which can be killed at a commit phase or a moment."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome, sync_chains
from indexer.writer import LedgerWriter
from ledger.clock import system_clock
from ledger.database import open_engine
from tests.rigs.transfer_chain import WALLET, Terms, TransferAdapter

KILLED = -signal.SIGKILL
PROCESSES = get_context("fork")  # Hundreds of kills: a fresh interpreter for each would import for minutes.


@dataclass(frozen=True)
class SyncRun:
    """What to sync: the node, the ledger, the token whose transfers are watched."""

    rpc: str
    database: str
    token: str


async def sync_once(run: SyncRun, phase: Callable[[str], None]) -> ChainOutcome:
    """One run up to the head."""
    tracked = Tracked(1, "fund-1", "address_fund", TransferAdapter(run.token, WALLET), (run.token,))
    engine = open_engine(run.database)
    async with ProviderPool(Terms(), [run.rpc]) as pool:
        with LedgerWriter(engine, phase=phase) as writer:
            (outcome,) = await sync_chains(writer, [ChainWork(Terms(), pool, [tracked])], system_clock)
    engine.dispose()  # SQLite folds its write-ahead log into the file, so that the file alone can be copied.
    return outcome


def child(run: SyncRun, kill: tuple[str, int] | None, said: Connection) -> None:
    """The process: tells each phase, and at the wanted one ends without any chance to clean up."""
    seen: Counter[str] = Counter()

    def phase(name: str) -> None:
        seen[name] += 1
        said.send(name)
        if (name, seen[name]) == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    outcome = asyncio.run(sync_once(run, phase))
    if not outcome.is_ok:
        raise SystemExit(f"the sync failed: {outcome}")


def sync(
    run: SyncRun, *, kill: tuple[str, int] | None = None, after_seconds: float | None = None
) -> tuple[int | None, list[str]]:
    """Runs it to its end, or kills it: at the n-th time of a phase, or after so many seconds. Exit code and phases."""
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=child, args=(run, kill, there))
    process.start()
    there.close()
    process.join(timeout=60 if after_seconds is None else after_seconds)
    if process.is_alive():
        process.kill()
        process.join()
    phases = []
    with here:
        try:
            while here.poll():
                phases.append(here.recv())
        except EOFError:
            pass
    code = process.exitcode
    process.close()
    return code, phases
