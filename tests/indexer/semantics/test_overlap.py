"""While one range is written the rows of the next are made: nothing is lost, doubled or taken for written by that."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import Engine

from indexer.adapter import AdapterError, FactDraft, Log, LogFilter
from indexer.backfill import Backfill
from indexer.commit import ChainLedger
from indexer.facts import Prepared, prepare
from indexer.ready import ReadyRows
from indexer.rpc.errors import UnavailableError
from indexer.rpc.reader import LogBatch
from indexer.scan.fetch import Fetched
from indexer.scan.ranges import FIRST_BLOCKS
from ledger.clock import system_clock
from ledger.writer import LedgerWriter
from tests.indexer.semantics.conftest import FreshLedger
from tests.indexer.semantics.factory_fund import FACTORY, FactoryAdapter, created, intervals, loss, track
from tests.indexer.semantics.model_chain import ModelChain, ModelReader
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import Terms

PATIENCE_SECONDS = 30.0
A_RANGE, BLOCKS = FIRST_BLOCKS, 3 * FIRST_BLOCKS + 100


@dataclass
class Happenings:
    """What the parties of a test hear of each other; nobody waits longer than PATIENCE_SECONDS."""

    later_logs_are_decoded: asyncio.Event = field(default_factory=asyncio.Event)
    provider_failed: asyncio.Event = field(default_factory=asyncio.Event)
    is_writing: asyncio.Event = field(default_factory=asyncio.Event)


class WatchedAdapter(FactoryAdapter):
    """Says when logs beyond the first range are decoded."""

    def __init__(self, happenings: Happenings) -> None:
        super().__init__(FACTORY)
        self.happenings = happenings

    def decode(self, log: Log) -> Sequence[FactDraft]:
        if int(log.block_number, 16) >= A_RANGE:
            self.happenings.later_logs_are_decoded.set()
        return super().decode(log)


class FailingReader(ModelReader):
    """Once it does not answer, for the range that begins at `fails_at`."""

    def __init__(self, chain: ModelChain, happenings: Happenings, fails_at: int | None) -> None:
        super().__init__(chain)
        self.happenings = happenings
        self.fails_at = fails_at

    async def logs(self, filters: Sequence[LogFilter], first: int, last: int, **whom: frozenset[str]) -> LogBatch:
        if first == self.fails_at:
            self.fails_at = None
            self.happenings.provider_failed.set()
            raise UnavailableError("model: gone for a moment")
        return await super().logs(filters, first, last, **whom)


class HeldLedger(ChainLedger):
    """Before it writes the range that begins at a block, it does what `before` says."""

    before: Mapping[int, Callable[[], Awaitable[object]]] = {}

    async def commit(self, fetched: Fetched, rows: ReadyRows, segments: Sequence[Prepared]) -> None:
        if fetched.first in self.before:
            await asyncio.wait_for(self.before[fetched.first](), PATIENCE_SECONDS)
        await super().commit(fetched, rows, segments)


@dataclass
class Scan:
    """A backfill of one fund, its parties at hand."""

    happenings: Happenings
    ledger: HeldLedger
    backfill: Backfill
    segment: Prepared

    async def run(self) -> list[tuple[int, int]]:
        """Fills what is missing; the ranges that were said to be done."""
        done: list[tuple[int, int]] = []

        async def hear(fetched: Fetched, _broken: Mapping[int, AdapterError]) -> None:
            done.append((fetched.first, fetched.last))

        for stretch in await self.backfill.missing([self.segment], BLOCKS - 1):
            await self.backfill.fill(stretch, {self.segment.id: self.segment}, hear)
        return done


@asynccontextmanager
async def scan_of(engine: Engine, chain: ModelChain, *, fails_at: int | None = None) -> AsyncIterator[Scan]:
    """A backfill into an empty ledger."""
    (one,) = track(engine, FACTORY)
    with LedgerWriter(engine) as writer:
        happenings = Happenings()
        ledger = HeldLedger(Terms(), writer, system_clock)
        await ledger.open()
        reader = FailingReader(chain, happenings, fails_at)
        segment = prepare(replace(one, adapter=WatchedAdapter(happenings)), 0)
        yield Scan(happenings, ledger, Backfill(reader, ledger, every_header=True), segment)


@pytest.fixture
def chain() -> ModelChain:
    """Three ranges and a bit; a loss every ten blocks."""
    made = ModelChain()
    made.mine(created(1))
    for number in range(1, BLOCKS):
        made.mine(*([] if number % 10 else [loss(1, number)]))
    return made


async def undisturbed(fresh_ledger: FreshLedger, chain: ModelChain) -> dict[str, list[dict[str, object]]]:
    """All tables after a scan that nothing happened to."""
    with fresh_ledger() as engine:
        async with scan_of(engine, chain) as scan:
            await scan.run()
        return dump_tables(engine)


async def test_rows_of_the_next_range_are_made_before_the_one_before_is_written(
    engine: Engine, chain: ModelChain, fresh_ledger: FreshLedger
) -> None:
    async with scan_of(engine, chain) as scan:
        scan.ledger.before = {0: scan.happenings.later_logs_are_decoded.wait}
        done = await scan.run()
    assert [first for first, _ in done] == sorted(first for first, _ in done)
    assert_same_tables(dump_tables(engine), await undisturbed(fresh_ledger, chain))


async def test_a_provider_that_fails_meanwhile_leaves_what_is_being_written_whole_and_known(
    engine: Engine, chain: ModelChain, fresh_ledger: FreshLedger
) -> None:
    async with scan_of(engine, chain, fails_at=2 * A_RANGE) as scan:
        scan.ledger.before = {0: scan.happenings.provider_failed.wait}
        with pytest.raises(UnavailableError):
            await scan.run()
        tip = scan.ledger.tip
        assert tip is not None
        assert intervals(engine, scan.segment.id) == [(0, tip.number)]
        assert tip.number < 2 * A_RANGE
        await scan.run()  # The same ledger goes on: it knows what it wrote.
    assert_same_tables(dump_tables(engine), await undisturbed(fresh_ledger, chain))


async def test_a_range_that_cannot_be_written_is_the_last_that_was_tried(
    engine: Engine, chain: ModelChain, fresh_ledger: FreshLedger
) -> None:
    async def fail() -> None:
        raise OSError("the disk is full")

    async with scan_of(engine, chain) as scan:
        scan.ledger.before = {2 * A_RANGE: fail}
        with pytest.raises(OSError, match="disk is full"):
            await scan.run()
        assert intervals(engine, scan.segment.id) == [(0, 2 * A_RANGE - 1)]
        scan.ledger.before = {}
        assert (await scan.run())[0][0] == 2 * A_RANGE
    assert_same_tables(dump_tables(engine), await undisturbed(fresh_ledger, chain))


async def test_a_stop_while_a_range_is_written_ends_at_once(engine: Engine, chain: ModelChain) -> None:
    async with scan_of(engine, chain) as scan:

        async def hang() -> None:
            scan.happenings.is_writing.set()
            await asyncio.Event().wait()

        scan.ledger.before = {A_RANGE: hang}
        running = asyncio.create_task(scan.run())
        await asyncio.wait_for(scan.happenings.is_writing.wait(), PATIENCE_SECONDS)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert intervals(engine, scan.segment.id) == [(0, A_RANGE - 1)]
