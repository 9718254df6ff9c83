"""Syncs the chain of `transfer_chain` in a process of its own, which a signal meets at a commit phase or a moment."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

from indexer import beside
from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome, SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.database import open_engine
from ledger.errors import LedgerError
from ledger.writer import LedgerWriter
from tests.rigs.transfer_chain import WALLET, Terms, TransferAdapter

KILLED = -signal.SIGKILL
PROCESSES = get_context("fork")  # Hundreds of kills: a fresh interpreter for each would import for minutes.


@dataclass(frozen=True)
class SyncRun:
    """What to sync: the node, the ledger, the token whose transfers are watched; to the head, or for ever."""

    rpc: str
    database: str
    token: str
    until_head: bool = True


class Moment(NamedTuple):
    """The n-th time of a commit phase, and what the process does to itself then."""

    phase: str
    count: int
    number: signal.Signals = signal.SIGKILL


async def sync_once(run: SyncRun, phase: Callable[[str], None]) -> ChainOutcome:
    """One run up to the head, or one without end."""
    tracked = Tracked(1, "fund-1", "address_fund", TransferAdapter(run.token, WALLET), (run.token,))
    options = SyncOptions(until_head=run.until_head, poll_seconds=0.05)
    engine = open_engine(run.database)
    try:
        async with ProviderPool(Terms(), [run.rpc]) as pool:
            with LedgerWriter(engine, phase=phase) as writer:
                work = ChainWork(Terms(), pool, [tracked])
                (outcome,) = await sync_chains(writer, [work], system_clock, options=options)
    finally:
        engine.dispose()  # SQLite folds its write-ahead log into the file, so that the file alone can be copied.
    return outcome


def child(run: SyncRun, moment: Moment | None, said: Connection) -> None:
    """The process: tells each phase and, last, how it ended; at the wanted phase it sends itself the signal."""
    beside.MANY_BLOCKS = beside.MANY_LOGS = 1  # Where a process is killed, the one that makes its rows has to go too.
    seen: Counter[str] = Counter()

    def phase(name: str) -> None:
        seen[name] += 1
        if run.until_head:  # A run without end would fill the pipe.
            said.send(name)
        if moment is not None and (name, seen[name]) == moment[:2]:
            signal.raise_signal(moment.number)  # To this very thread: it must not take another step.

    try:
        outcome = asyncio.run(sync_once(run, phase))
    except LedgerError as error:
        said.send(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None
    if not outcome.is_ok:
        said.send(outcome.reason)
        raise SystemExit(1)


class SyncProcess:
    """One such process, started at once; it does not outlive the `with` block."""

    def __init__(self, run: SyncRun, moment: Moment | None = None) -> None:
        self._here, there = PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(target=child, args=(run, moment, there))
        self._process.start()
        there.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(ValueError):  # Closed: it has ended and was waited for.
            self._process.kill()
            self._process.join()
            self._process.close()

    def wait_stopped(self) -> bool:
        """Waits until SIGSTOP has stopped it (True), or until it has ended by itself (False)."""
        assert self._process.pid is not None
        found = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return found is not None and found.si_code == os.CLD_STOPPED

    def is_alive(self) -> bool:
        """Whether it still runs, or stands still."""
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def finish(self, *, after_seconds: float | None = None) -> tuple[int | None, list[str]]:
        """Waits for its end, or kills it after so many seconds; its exit code and what it told."""
        self._process.join(timeout=60 if after_seconds is None else after_seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        told = []
        with self._here:
            try:
                while self._here.poll():
                    told.append(self._here.recv())
            except EOFError:
                pass
        code = self._process.exitcode
        self._process.close()
        return code, told


def sync(
    run: SyncRun, *, kill: tuple[str, int] | None = None, after_seconds: float | None = None
) -> tuple[int | None, list[str]]:
    """Runs it to its end, or kills it: at the n-th time of a phase, or after so many seconds. Exit code and phases."""
    with SyncProcess(run, Moment(*kill) if kill else None) as process:
        return process.finish(after_seconds=after_seconds)
