"""A chain followed for ever by a task of its own, while another mines, reorganises, fails and comes back."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.rpc.provider import Pace
from indexer.sync import SyncOptions, sync_chains
from ledger.clock import Clock, system_clock
from ledger.database import open_engine
from ledger.upgrades import upgrade
from ledger.writer import LedgerWriter
from tests.rigs.anvil import AnvilNode
from tests.rigs.live_sync import FINALITY, LIVE_NODE, assert_is_the_chain, fill, following
from tests.rigs.rpc_faults import FaultyNode, Raw, honest
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain, Terms, register

Faulty = Callable[..., FaultyNode]


@asynccontextmanager
async def followed_for_ever(
    engine: Engine, urls: list[str], tracked: list[Tracked], *, clock: Clock = system_clock
) -> AsyncIterator["Waits"]:
    """A task that follows the chain until the end of the block; its waiting ends at once and is counted."""
    waits = Waits()
    async with ProviderPool(Terms(), urls, pace=waits.pace()) as pool:
        with LedgerWriter(engine) as writer:
            work = ChainWork(Terms(), pool, tracked, every_header=True)
            options = SyncOptions(until_head=False, poll_seconds=0.25, pace=waits.pace())
            task = asyncio.create_task(sync_chains(writer, [work], clock, options=options))
            waits.task = task
            try:
                yield waits
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class Waits:
    """The follower's waits: each takes no time, and tells who waits for polls to pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[float] = []
        self.task: asyncio.Task[Any] | None = None
        self._passed = asyncio.Event()

    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.asked.append(seconds)
        self._passed.set()
        await asyncio.sleep(0)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Returns once it is so, looked at after each wait of the follower; a follower that ended fails the test."""
        assert self.task is not None
        async with asyncio.timeout(60):
            while not is_so():
                self._passed.clear()
                passing = asyncio.create_task(self._passed.wait())
                await asyncio.wait([passing, self.task], return_when=asyncio.FIRST_COMPLETED)
                passing.cancel()
                assert not self.task.done(), self.task.result()


def is_at_head(engine: Engine, chain: AnvilChain) -> Callable[[], bool]:
    """Whether the cursor stands on the node's head."""

    def look() -> bool:
        cursors = dump_tables(engine)["cursor"]
        head = chain.head()
        return bool(cursors) and (cursors[0]["number"], cursors[0]["hash"]) == (head, chain.hash_of(head))

    return look


def is_final(engine: Engine, chain: AnvilChain) -> Callable[[], bool]:
    """Whether all that the node calls final is so in the ledger; a later poll than the one at the head may say it."""
    return lambda: dump_tables(engine)["chain"][0]["finalized_number"] == chain.head() - FINALITY


@pytest.mark.scenario(1)
@pytest.mark.scenario(5)
async def test_many_reorgs_by_the_node_while_a_task_follows_it(engine: Engine, chain: AnvilChain, seed: int) -> None:
    draws, peak = random.Random(seed), 0

    def act() -> None:
        nonlocal peak
        peak = max(peak, chain.head())
        free = chain.head() - peak + FINALITY - 2  # Blocks that were never final, also when rollbacks came before.
        match draws.randrange(4):
            case 0 if free > 0:
                chain.reorganise(draws.randint(1, free), (WALLET, draws.randrange(10**6)), (STRANGER, 1))
            case 1 if free > 3:
                chain.ask("anvil_rollback", draws.randint(1, 3))
                chain.send((WALLET, draws.randrange(10**6)))
            case _:
                chain.send(*((WALLET, draws.randrange(10**6)) for _ in range(draws.randint(0, 3))))

    fill(chain, 14)
    async with followed_for_ever(engine, [chain.url], register(engine, [chain.token])) as waits:
        await waits.until(is_at_head(engine, chain))
        for _ in range(60):
            await asyncio.to_thread(act)  # The follower goes on meanwhile.
        chain.send((WALLET, 1))
        await waits.until(is_at_head(engine, chain))
    assert_is_the_chain(engine, chain)
    dump = dump_tables(engine)
    assert dump["reorg"], "reorganisations were met while following"
    assert dump["chain"][0]["status"] == "following"


async def test_a_chain_that_was_unreachable_comes_back_by_itself_and_the_log_says_it_once(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    fill(chain, 12)
    node = faulty_node(chain.url)

    def status() -> str:
        return str(dump_tables(engine)["chain"][0]["status"])

    with caplog.at_level(logging.INFO):
        async with followed_for_ever(engine, [node.url], register(engine, [chain.token])) as waits:
            await waits.until(is_at_head(engine, chain))
            node.twist = lambda _requests, _answers: Raw(503, b"down")
            began = waits.now
            await waits.until(lambda: waits.now - began > 600)
            assert status() == "unreachable"
            assert max(waits.asked) == 60.0
            chain.send((WALLET, 33))
            node.twist = honest
            await waits.until(is_at_head(engine, chain))
            assert status() == "following"
    assert_is_the_chain(engine, chain)
    lines = [record.message for record in caplog.records if record.name == "indexer.sync"]
    assert [line.split(":")[0] for line in lines] == ["anvil is unreachable", "anvil answers again"]


@pytest.mark.scenario(33)
@pytest.mark.parametrize("leaps", [(0, 5, 0, 9), (0, -5, 3, -48)], ids=["forward", "back"])
async def test_a_wall_clock_that_jumps_by_hours_neither_stalls_polling_nor_changes_a_row(
    engine: Engine, chain: AnvilChain, tmp_path: Path, leaps: tuple[int, ...]
) -> None:
    hours = cycle(leaps)

    def jumping() -> datetime:
        return datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=next(hours))

    steady = open_engine(f"sqlite:///{tmp_path / 'steady.sqlite'}")
    upgrade(steady)
    fill(chain, 12)
    tracked = register(engine, [chain.token])
    async with (
        followed_for_ever(engine, [chain.url], tracked, clock=jumping) as waits,
        followed_for_ever(steady, [chain.url], register(steady, [chain.token])) as even,
    ):
        for depth in (0, 2, 4):
            if depth:
                chain.reorganise(depth, (WALLET, depth))
            fill(chain, 3)
            await waits.until(is_at_head(engine, chain))
            await even.until(is_at_head(steady, chain))
        await waits.until(is_final(engine, chain))
        await even.until(is_final(steady, chain))
        assert {wait for wait in waits.asked if wait > 0.01} == {0.25}, "each poll is followed by the same pause"
    assert_is_the_chain(engine, chain)
    jumped, kept = dump_tables(engine), dump_tables(steady)
    for dump in (jumped, kept):
        for row in dump["chain"]:
            del row["head_number"], row["head_time"]  # Who looked last saw the newest head.
    steady.dispose()
    assert_same_tables(jumped, kept)


@pytest.mark.scenario(34)
async def test_at_the_border_of_history_and_head_no_block_is_missing_or_doubled(
    engine: Engine, chain: AnvilChain
) -> None:
    """The border moves with each block, and the run is stopped and started at every one of them."""
    tracked = register(engine, [chain.token])
    fill(chain, 9)
    for _ in range(10):
        chain.send((WALLET, 1), (WALLET, 2))
        async with following(engine, [chain.url], tracked) as followed:
            await followed.settle()
        assert_is_the_chain(engine, chain)


@pytest.mark.scenario(35)
async def test_a_chain_followed_block_by_block_has_the_rows_of_its_history_read_at_once(
    engine: Engine, chain: AnvilChain, tmp_path: Path
) -> None:
    fill(chain, 3)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        for _ in range(30):
            chain.send((WALLET, 1), (STRANGER, 2), (WALLET, 3))
            await followed.settle()
    once = open_engine(f"sqlite:///{tmp_path / 'once.sqlite'}")
    upgrade(once)
    async with following(once, [chain.url], register(once, [chain.token])) as history:
        await history.settle()
    live, read = dump_tables(engine), dump_tables(once)
    once.dispose()
    for table in ("fact", "raw_log", "block", "coverage", "cursor", "segment"):
        assert live[table] == read[table], table


async def test_a_head_that_stands_still_costs_one_request_and_no_write(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 12)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        requests, phases = followed.pool.requests, len(followed.phases)
        for _ in range(5):
            assert await followed.follower.poll()
        assert followed.pool.requests - requests == 5
        assert len(followed.phases) == phases


async def test_a_new_block_costs_two_requests_besides_those_its_bloom_demands(
    engine: Engine, chain: AnvilChain
) -> None:
    fill(chain, 12)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        for _ in range(5):
            chain.mine()  # Without logs no bloom can raise a false alarm.
            requests = followed.pool.requests
            await followed.settle()
            assert followed.pool.requests - requests == 2
    assert_is_the_chain(engine, chain)


@pytest.fixture
def untagged(start_node: Callable[..., AnvilNode], faulty_node: Faulty) -> Iterator[tuple[AnvilChain, FaultyNode]]:
    """A chain whose provider knows no finalized block; a block a second, so that age decides."""
    chain = AnvilChain(start_node(*LIVE_NODE).url)
    chain.deploy()

    def no_tag(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        refusal = {"code": -32602, "message": "invalid argument 0: unknown tag"}
        return [
            {"jsonrpc": "2.0", "id": asked["id"], "error": refusal} if "finalized" in asked["params"] else answer
            for asked, answer in zip(requests, answers, strict=True)
        ]

    yield chain, faulty_node(chain.url, no_tag)
    chain.close()


@pytest.mark.scenario(13)
async def test_a_chain_without_the_tag_is_followed_by_age(
    engine: Engine, untagged: tuple[AnvilChain, FaultyNode]
) -> None:
    chain, node = untagged
    chain.ask("anvil_setBlockTimestampInterval", 100)
    fill(chain, 20)
    async with following(engine, [node.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        chain.reorganise(3, (WALLET, 13))
        fill(chain, 2)
        await followed.settle()
    dump = dump_tables(engine)
    assert dump["chain"][0]["finalized_number"] == chain.head() - 9
    assert_is_the_chain(engine, chain)
