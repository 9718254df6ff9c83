"""One seed's story: a chain that lives, providers that fail and lie, a process that crashes and starts again."""

import asyncio
import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Engine

from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.rpc.provider import Pace
from indexer.sync import ChainOutcome, SyncOptions, sync_chains
from ledger.database import open_engine
from ledger.writer import PHASES, LedgerWriter
from tests.rigs.transfer_chain import Terms, TransferAdapter, add_fund, register
from tests.simulation import clockwork
from tests.simulation.lies import Liar
from tests.simulation.providers import CHAIN_ID, Carrier, Crash, ModelProvider
from tests.simulation.truth import Fund, errors_of, read_tables
from tests.simulation.weather import Season, Weather
from tests.simulation.world import BLOCK_SECONDS, FINALITY_BLOCKS, TOKENS, WALLET, World

NAMES = ("alpha", "beta", "gamma")
POLL_SECONDS = 1.0
SETTLING_RUNS = 12
LONGEST_LIFE = 16.0
Say = Callable[[str], None]


@dataclass
class Result:
    """How a seed ended: what is wrong (nothing, one hopes), and what was done to the indexer."""

    seed: int
    errors: list[str]
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Doom:
    """Where a process ends: at the nth time something is heard. None: nowhere."""

    moment: str | None
    countdown: int
    counts: Counter[str]

    def hear(self, moment: str) -> None:
        """Counts, and ends the process when its moment has come."""
        if moment == self.moment:
            self.countdown -= 1
            if self.countdown == 0:
                self.counts[f"crash: {moment}"] += 1
                raise Crash(moment)


class Story:
    """All that happens in one seed, on an empty ledger."""

    def __init__(self, seed: int, engine: Engine, say: Say, season: Season | None) -> None:
        self.result = Result(seed, [])
        self._say = say
        self._dice = random.Random(seed)
        self._weather = Weather.drawn(self._dice, season)
        self._counts = self.result.counts = self._weather.counts
        self._world = World(random.Random(f"{seed} world"))
        self._providers = [
            ModelProvider(name, self._world, self._weather, random.Random(f"{seed} {name}")) for name in NAMES
        ]
        self._engine = engine
        self._funds: list[Fund] = []
        self._tracked: list[Tracked] = []

    async def play(self) -> Result:
        """The whole story, to its settled end."""
        self._world.grow(self._dice.randint(FINALITY_BLOCKS + 4, 45))
        self._count(f"season: {self._weather.season.value}")
        self._add_first_funds()
        for number in range(self._dice.randint(2, 4)):
            await self._life(number)
        await self._settle()
        return self.result

    def _add_first_funds(self) -> None:
        self._tracked = register(self._engine, [], chain_id=CHAIN_ID)
        for _ in range(self._dice.randint(1, 2)):
            self._add_fund()

    def _add_fund(self) -> None:
        """A fund with a token of its own; its first block is in its file, or must be found."""
        number = len(self._funds)
        start = 1 if self._dice.random() < 0.5 else self._dice.randint(1, self._world.view.finalized)
        tracked = add_fund(self._engine, number + 1, TOKENS[number], chain_id=CHAIN_ID)
        adapter = TransferAdapter(TOKENS[number], WALLET)
        file_start = None if start == 1 else start
        self._tracked.append(
            Tracked(tracked.segment_id, tracked.slug, tracked.shape, adapter, tracked.contracts, file_start)
        )
        self._funds.append(Fund(number + 1, TOKENS[number], start))
        self._say(f"fund {number + 1} watches {TOKENS[number]} from block {start}")

    async def _life(self, number: int) -> None:
        """One process, or two at once, from its start to its end, while the chain goes on."""
        self._count("life")
        if number and len(self._funds) < len(TOKENS) and self._dice.random() < 0.4:
            self._count("fund added later")
            self._add_fund()
        self._choose_liar()
        n_processes = 2 if self._dice.random() < 0.2 else 1
        self._count("two processes", n_processes - 1)
        processes = [asyncio.ensure_future(self._process(self._doom())) for _ in range(n_processes)]
        chain = asyncio.ensure_future(self._live_on())
        await asyncio.wait(processes, timeout=self._dice.uniform(3.0, LONGEST_LIFE))
        for task in (*processes, chain):
            task.cancel()
        await asyncio.gather(*processes, chain, return_exceptions=True)
        for task in processes:
            self._hear_end(task)
        self._engine.dispose()  # The next process opens connections of its own.

    def _choose_liar(self) -> None:
        for provider in self._providers:
            provider.liar = None
        if self._weather.lie and self._dice.random() < 0.8:
            liar = self._dice.choice(self._providers)
            dice = random.Random(self._dice.random())
            liar.liar = Liar(self._world, dice, self._weather)
            self._say(f"{liar.name} lies")

    def _doom(self) -> Doom:
        moment = self._dice.choice((None, "request", "request", *PHASES))
        return Doom(moment, self._dice.choice((1, 2, 5, 11, 30)), self._counts)

    def _hear_end(self, task: "asyncio.Future[ChainOutcome]") -> None:
        if task.cancelled():
            self._say("the process is stopped")
            return
        error = task.exception()
        if isinstance(error, Crash):
            self._say(f"the process crashes at: {error}")
        elif error is not None:
            self._count("unexpected error")
            self.result.errors.append(f"the process died: {type(error).__name__}: {error}")
        else:
            self._hear_outcome(task.result())

    def _hear_outcome(self, outcome: ChainOutcome) -> None:
        self._say(f"the process ends: {outcome.status}, {outcome.reason}")
        if outcome.status == "halted":
            self.result.errors.append(f"halted without a reorg below finality: {outcome.reason}")

    async def _process(self, doom: Doom, *, until_head: bool = False) -> ChainOutcome:
        """The indexer, all of it, in front of the model providers."""
        loop = asyncio.get_running_loop()
        pace = Pace(loop.time, asyncio.sleep)
        carrier = Carrier(self._providers, random.Random(self._dice.random()), doom.hear)
        urls = [f"http://{name}/" for name in NAMES]
        terms = Terms(id=CHAIN_ID, finality_seconds=BLOCK_SECONDS * FINALITY_BLOCKS)
        options = SyncOptions(until_head=until_head, poll_seconds=POLL_SECONDS, pace=pace)
        async with ProviderPool(terms, urls, pace=pace, transport=carrier) as pool:
            with LedgerWriter(self._engine, phase=doom.hear) as writer:
                work = ChainWork(terms, pool, list(self._tracked), every_header=self._weather.season is not Season.THIN)
                (outcome,) = await sync_chains(writer, [work], self._clock, options=options)
        return outcome

    def _clock(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())

    async def _live_on(self) -> None:
        """Blocks and reorgs, for ever."""
        while True:
            await asyncio.sleep(self._dice.uniform(0.3, 1.7) * BLOCK_SECONDS)
            self._happen()

    def _happen(self) -> None:
        roll = self._dice.random()
        if roll < 0.25:
            depth = self._world.reorganise()
            self._tell_reorg("reorg", depth)
        elif roll < 0.31:
            self._tell_reorg("return to the old branch", self._world.return_to_old_branch())
        else:
            self._world.grow(self._dice.choice((1, 1, 1, 2, 3)))
            self._say(f"the chain grows to {self._world.view.head.number}")

    def _change_last(self) -> None:
        """After this the head stands still: most dangerous where it is another block at the same height, or lower."""
        if self._dice.random() < 0.7:
            self._tell_reorg("reorg", self._world.reorganise())
        else:
            self._happen()

    def _tell_reorg(self, kind: str, depth: int) -> None:
        if depth:
            self._count(f"{kind} of depth {depth}")
            head = self._world.view.head
            self._say(f"{kind} of depth {depth}: the head is {head.number} {head.hash[:10]}")

    async def _settle(self) -> None:
        """The last thing that happens to the chain is one change more; then all is calm and the ledger true."""
        for provider in self._providers:
            provider.calm()
        if self._dice.random() < 0.5:
            await self._settle_running()
        else:
            self._change_last()
        for _ in range(SETTLING_RUNS):
            outcome = await self._process(Doom(None, 0, self._counts), until_head=True)
            self._hear_outcome(outcome)
            if outcome.is_ok:
                break
        self._judge()

    async def _settle_running(self) -> None:
        """The same process sees the last change and the calm after it; it must find the truth without a restart."""
        process = asyncio.ensure_future(self._process(Doom(None, 0, self._counts)))
        await asyncio.wait([process], timeout=5.0)
        self._change_last()
        await asyncio.wait([process], timeout=5.0)
        process.cancel()
        await asyncio.gather(process, return_exceptions=True)
        self._hear_end(process)
        self._judge()

    def _judge(self) -> None:
        dump = read_tables(self._engine)
        self._count("reorg on record", len(dump["reorg"]))
        self._count("rows compared", len(dump["fact"]))
        for error in errors_of(dump, self._world, self._funds, is_tagged=self._weather.is_tagged):
            self._say(f"WRONG {error}")
            self.result.errors.append(error)

    def _count(self, kind: str, times: int = 1) -> None:
        self._counts[kind] += times


@contextmanager
def told(say: Say) -> Iterator[Say]:
    """Says things with the story's time, the indexer's own log lines among them."""
    loop = asyncio.get_running_loop()

    def say_with_time(line: str) -> None:
        say(f"{loop.time():8.2f}  {line}")

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say_with_time(f"    {record.levelname.lower()}: {record.getMessage()}")

    log, handler = logging.getLogger("indexer"), Lines()
    log.addHandler(handler)
    try:
        yield say_with_time
    finally:
        log.removeHandler(handler)


def be_silent(_line: str) -> None:
    """Nobody listens."""


async def _told_story(seed: int, engine: Engine, say: Say, season: Season | None) -> Result:
    if say is be_silent:
        return await Story(seed, engine, say, season).play()
    with told(say) as say_with_time:
        return await Story(seed, engine, say_with_time, season).play()


def play(seed: int, template: Path, say: Say = be_silent, season: Season | None = None) -> Result:
    """Runs one seed to its end. `template`: a migrated SQLite file with no rows."""
    engine = empty_ledger(template)
    result: Result = clockwork.run(_told_story(seed, engine, say, season))
    engine.dispose()
    return result


def empty_ledger(template: Path) -> Engine:
    """A ledger of this process with no rows: the same engine each time, for compiling its statements anew is dear."""
    engine = ledger_of_process(template, os.getpid())
    path = Path(str(engine.url.database))
    for rest in path.parent.glob(f"{path.name}*"):
        rest.unlink()
    shutil.copyfile(template, path)
    return engine


@lru_cache(maxsize=1)
def ledger_of_process(template: Path, process: int) -> Engine:
    """An engine for one file beside the template."""
    return open_engine(f"sqlite:///{template.with_name(f'{process}.sqlite')}")
