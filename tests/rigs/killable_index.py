"""Indexing the shipped recording in processes of their own: the real command, and one that is killed in a commit phase.

The replay node is a process too, so that the processes that index share nothing with the tests but the ledger.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from app.indexing import index_chains, register
from app.providers import Plan
from app.settings import PREFIX, SHIPPED_FUNDS
from indexer.registry import load_funds
from indexer.replay.node import load_replay, running_node
from indexer.replay.scenario.capture import SHIPPED, SLUG
from indexer.sync import SyncOptions
from ledger.database import open_engine
from ledger.writer import LedgerWriter

ROOT = Path(__file__).parents[2]
FUNDS = SHIPPED_FUNDS / SLUG
KILLED = -signal.SIGKILL
PROCESSES = get_context("fork")  # Dozens of kills: a fresh interpreter for each would import for minutes.


class Moment(NamedTuple):
    """A moment of a commit: what is written (the function's name) and the phase."""

    work: str
    phase: str


@contextmanager
def served_recording(start: int | None = None) -> Iterator[str]:
    """The shipped recording behind a URL, whole or up to a block, served by a process of its own."""
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=serve, args=(start, there))
    process.start()
    there.close()
    with here:
        url = str(here.recv())
    try:
        yield url
    finally:
        process.kill()
        process.join()
        process.close()


def serve(start: int | None, said: Connection) -> None:
    """The serving process: says its URL and answers until it is killed."""
    with running_node([load_replay(SHIPPED, start=start)]) as node:
        said.send(node.url_of(SLUG))
        signal.pause()


@dataclass(frozen=True)
class IndexCommand:
    """`backstop index --once` on the recording at `url`, in a directory of its own."""

    url: str
    directory: Path

    def start(self, database: str) -> subprocess.Popen[bytes]:
        """Starts the command on a ledger."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        (chain,) = load_funds(FUNDS).chains
        variables = {
            "PYTHONPATH": str(ROOT),
            "BACKSTOP_DATABASE_URL": database,
            "BACKSTOP_FUNDS_DIR": str(FUNDS),
            "BACKSTOP_RPC_URLS": json.dumps({str(chain.id): [self.url]}),
        }
        return subprocess.Popen(
            [sys.executable, "-c", "from app.cli import main; main()", "index", "--once"],
            cwd=self.directory,
            env=clean | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, database: str, *, kill_after: float | None = None) -> int:
        """Its exit code: of its own end, or of SIGKILL after so many seconds."""
        with self.start(database) as process:
            try:
                return process.wait(timeout=kill_after or 300)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


def index_forked(url: str, database: str, *, spare: Set[Moment] | None = None) -> tuple[int | None, list[Moment]]:
    """Indexes in a forked process, which kills itself at the first moment that is not spared (None: spares all).

    Gives its exit code and every moment it came to, the last one included.
    """
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=index_until_killed, args=(url, database, spare, there))
    process.start()
    there.close()
    seen = []
    with here:
        try:
            while True:
                seen.append(here.recv())
        except EOFError:
            pass
    process.join()
    code = process.exitcode
    process.close()
    return code, seen


def index_until_killed(url: str, database: str, spare: Set[Moment] | None, said: Connection) -> None:
    """The process: tells each moment, and at its last one ends without any chance to clean up."""

    def phase(name: str) -> None:
        moment = Moment(name_of_work(), name)
        said.send(moment)
        if spare is not None and moment not in spare:
            os.kill(os.getpid(), signal.SIGKILL)

    registry = load_funds(FUNDS)
    plan = Plan(registry, {chain.id: [url] for chain in registry.chains})
    engine = open_engine(database)
    register(engine, plan)
    with LedgerWriter(engine, phase=phase) as writer:
        (outcome,) = asyncio.run(index_chains(writer, plan, options=SyncOptions(until_head=True)))
    engine.dispose()
    if not outcome.is_ok:
        raise SystemExit(f"indexing failed: {outcome}")


def name_of_work() -> str:
    """What the transaction around the present phase writes: the name of the function the writer was given."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "_write":
            return str(frame.f_locals["work"].__qualname__)
    raise RuntimeError("a commit phase outside of LedgerWriter._write")
