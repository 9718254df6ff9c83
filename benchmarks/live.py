"""The live lane behind anvil with a block a second: from a block's announcement to its facts committed, and the cost.

    python -m benchmarks.live              sixty blocks; SQLite and Postgres, by polling and by newHeads, side by side
    python -m benchmarks.live --blocks 20  a quick look

The clock starts when the node announces the block to a listener of its own (eth_subscribe newHeads in a thread), not
when the indexer first looks, and stops when the commit that holds the block's facts has returned. Both ways into one
database run in one process, so each one's figure holds what the other costs it. Afterwards every ledger is held
against the node: a run that is fast and wrong fails.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from rich.console import Console
from sqlalchemy import Engine
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.measure import report
from benchmarks.results import RESULTS, TARGETS, record
from benchmarks.runs import POSTGRES, SQLITE, Databases, WrongRunError, postgres_server
from indexer.lanes import ChainWork, Tracked
from indexer.rpc.heads import SUBSCRIBE
from indexer.rpc.pool import ProviderPool
from indexer.rpc.reader import Header
from indexer.sync import SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.database import open_engine
from ledger.writer import LedgerWriter
from tests.rigs.anvil import find_anvil, start_anvil
from tests.rigs.live_sync import facts_in, logs_on_chain
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import WALLET, AnvilChain, Terms, register

LIVE = "indexer.live_p95_ms"
POLL_SECONDS = 0.25
SENDING_SECONDS = 0.4
"""Between two transfers: two or three in each block."""
POLLING, NEW_HEADS = "polling every 250 ms", "newHeads"
FIRST_BLOCKS = 30
WIDTH = 160
WATCH_SECONDS = 0.02
LATE_SECONDS = 60.0
"""Beyond the blocks' own time, after which a follower that is not there counts as wrong."""


class Announcements:
    """When the node announced each block, heard in a thread of its own that the followers cannot hold up."""

    def __init__(self, url: str) -> None:
        self.at: dict[int, float] = {}
        self.begun = threading.Event()
        self._socket = connect(url.replace("http://", "ws://"))
        self._socket.send(SUBSCRIBE)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                said = self._socket.recv()
            except ConnectionClosed:
                return
            now, message = perf_counter(), json.loads(said)
            if "params" in message:
                self.at[int(message["params"]["result"]["number"], 16)] = now
                self.begun.set()

    def close(self) -> None:
        """Stops listening."""
        self._socket.close()
        self._thread.join()


@dataclass
class Committed:
    """A snapshot lane that reads nothing: it is called after each commit, and notes when for each block."""

    at: dict[int, float] = field(default_factory=dict)

    async def run(self, up_to: Header) -> None:
        """Blocks up to this one are committed."""
        now = perf_counter()
        for number in range(max(self.at, default=up_to.number - 1) + 1, up_to.number + 1):
            self.at[number] = now


@dataclass(frozen=True)
class Measured:
    """One follower: its delays in seconds, and what it asked, per block."""

    name: str
    delays: Sequence[float]
    http_requests: float
    calls: float

    @property
    def p50_ms(self) -> float:
        """The median delay."""
        return statistics.median(self.delays) * 1000

    @property
    def p95_ms(self) -> float:
        """The delay that nineteen of twenty blocks do not exceed."""
        return statistics.quantiles(self.delays, n=20, method="inclusive")[-1] * 1000

    def line(self) -> str:
        """All of it for people."""
        return (
            f"{self.name:<32} p50 {self.p50_ms:6.1f} ms   p95 {self.p95_ms:6.1f} ms   "
            f"{self.http_requests:4.1f} HTTP requests, {self.calls:4.1f} JSON-RPC calls a block"
        )


@contextmanager
def sending(chain: AnvilChain) -> Iterator[None]:
    """Transfers all the time, from a thread of its own."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(SENDING_SECONDS):
            chain.submit((WALLET, 7))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def follow(
    engine: Engine, urls: list[str], tracked: list[Tracked], heard: Announcements, *, blocks: int
) -> Measured:
    """Follows until `blocks` blocks were announced and committed after the first one that was committed live."""
    committed = Committed()
    async with ProviderPool(Terms(), urls) as pool:
        with LedgerWriter(engine) as writer:
            work = ChainWork(Terms(), pool, tracked, committed)
            options = SyncOptions(until_head=False, poll_seconds=POLL_SECONDS)
            task = asyncio.create_task(sync_chains(writer, [work], system_clock, options=options))
            try:
                await reached(committed, 1, task)
                await asyncio.to_thread(heard.begun.wait)
                first = await reached(committed, max(heard.at) + 2, task)
                before = counted(pool)
                await reached(committed, first + blocks, task)
                after = counted(pool)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    numbers = range(first + 1, first + blocks + 1)
    delays = [committed.at[number] - heard.at[number] for number in numbers]
    return Measured("", delays, (after[0] - before[0]) / blocks, (after[1] - before[1]) / blocks)


async def reached(committed: Committed, number: int, task: "asyncio.Task[object]") -> int:
    """Waits until that block is committed."""
    async with asyncio.timeout(number - max(committed.at, default=number) + LATE_SECONDS):
        while max(committed.at, default=0) < number:
            if task.done():
                raise WrongRunError(f"the follower ended: {task.result()}")
            await asyncio.sleep(WATCH_SECONDS)
    return number


def counted(pool: ProviderPool) -> tuple[int, int]:
    """(HTTP requests, JSON-RPC calls) so far."""
    calls = sum(method.requests for provider in pool.metrics() for method in provider.methods.values())
    return pool.requests, calls


def require_true(engine: Engine, chain: AnvilChain, name: str) -> None:
    """Raises WrongRunError unless the ledger's facts are the node's, up to the ledger's tip."""
    dump = dump_tables(engine)
    tip = dump["cursor"][0]["number"]
    if facts_in(dump) != [row for row in logs_on_chain(chain) if row[0] <= tip]:
        raise WrongRunError(f"{name}: the facts up to block {tip} are not the node's")


async def follow_both(
    kind: str, chain: AnvilChain, databases: Databases, heard: Announcements, *, blocks: int
) -> list[Measured]:
    """Both ways into one kind of database, side by side behind one node."""
    socket = chain.url.replace("http://", "ws://")
    with ExitStack() as stack:
        runs, engines = [], {}
        for way, urls in ((POLLING, [chain.url]), (NEW_HEADS, [chain.url, socket])):
            name = f"{kind}, {way}"
            engines[name] = open_engine(stack.enter_context(databases.new(kind)))
            stack.callback(engines[name].dispose)
            runs.append(follow(engines[name], urls, register(engines[name], [chain.token]), heard, blocks=blocks))
        with sending(chain):
            found = await asyncio.gather(*runs)
        for name, engine in engines.items():
            require_true(engine, chain, name)
    return [replace(one, name=name) for name, one in zip(engines, found, strict=True)]


def measure(blocks: int = 60, *, kinds: Sequence[str] = (SQLITE, POSTGRES)) -> list[Measured]:
    """One node, one block a second; raises WrongRunError."""
    binary = find_anvil()
    if binary is None:
        raise WrongRunError("anvil is not installed: `make test` installs it from npm where node and npm are there")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backstop-live-")))
        rig = stack.enter_context(postgres_server()) if POSTGRES in kinds else None
        node = start_anvil(binary, "--block-time", "1", "--slots-in-an-epoch", "4")
        stack.callback(node.stop)
        chain = AnvilChain(node.url)
        stack.callback(chain.close)
        chain.deploy()
        chain.mine(FIRST_BLOCKS)
        heard = Announcements(chain.url)
        stack.callback(heard.close)
        databases = Databases(folder, rig)
        runs = (follow_both(kind, chain, databases, heard, blocks=blocks) for kind in databases.kinds)
        return [one for run in runs for one in asyncio.run(run)]


def main() -> int:
    """Measures, prints a line for each, records the worst p95, and ends with all of it as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--blocks", type=int, default=60, help="blocks to measure (default 60)")
    said = parser.parse_args()
    try:
        found = measure(said.blocks)
    except WrongRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    console = Console(width=WIDTH, highlight=False)
    for one in found:
        console.print(one.line())
    worst = max(one.p95_ms for one in found)
    console.print(f"{LIVE}: {worst:.1f} ms, target {TARGETS[LIVE].said()} ms")
    record(RESULTS, {LIVE: worst})
    report(**{LIVE: worst})
    return 0


if __name__ == "__main__":
    sys.exit(main())
