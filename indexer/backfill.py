"""The backfill lane: final blocks by number, fetched ahead of the commits, committed in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from indexer.adapter import AdapterError, LogFilter
from indexer.beside import RowMaking
from indexer.commit import ChainLedger
from indexer.facts import Prepared
from indexer.ready import ReadyRows
from indexer.rpc.reader import ChainReader
from indexer.scan.blooms import ChainBlooms
from indexer.scan.children import FamilyFetcher, Sighting
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.opinion import SecondOpinion
from indexer.scan.planner import Stretch, holes, plan
from indexer.scan.ranges import RangeSizer
from ledger.kinds import BlockStatus

AHEAD = 2
"""Ranges in flight while rows of others are made: hides 50 ms of latency without filling the memory."""
WAITING = 1
"""Ranges whose rows are ready while one is written: some commits take twice as long as others."""
MOST_BLOCKS_WITH_HEADERS = 10_000

Done = Callable[[Fetched, Mapping[int, AdapterError]], Awaitable[None]]
"""Hears of each commit: what was fetched, without its logs, and which segments could not be decoded."""


@dataclass(frozen=True)
class Made:
    """A range without its logs, and its rows for these segments."""

    fetched: Fetched
    segments: Sequence[Prepared]
    rows: ReadyRows

    def only(self, segments: Sequence[Prepared]) -> Self:
        """The same for some of the segments."""
        ids = {segment.id for segment in segments}
        facts = {segment_id: bulk for segment_id, bulk in self.rows.facts.items() if segment_id in ids}
        broken = {segment_id: error for segment_id, error in self.rows.broken.items() if segment_id in ids}
        return replace(self, segments=segments, rows=replace(self.rows, facts=facts, broken=broken))


class Backfill:
    """Fills the holes of one chain's segments up to a final block."""

    def __init__(self, reader: ChainReader, ledger: ChainLedger, *, every_header: bool) -> None:
        self._reader = reader
        self._ledger = ledger
        self._every_header = every_header
        self.blooms = ChainBlooms()
        self._opinion = SecondOpinion(reader, ledger.terms.id)
        self._sizer = RangeSizer(most_blocks=MOST_BLOCKS_WITH_HEADERS) if every_header else RangeSizer()

    async def missing(self, segments: Sequence[Prepared], last: int) -> list[Stretch]:
        """What is still to scan up to block `last`."""
        covered = await self._ledger.covered(segments)
        wanted = {s.id: (s.start, last) for s in segments if s.start <= last}
        return plan({segment: holes(interval, covered[segment]) for segment, interval in wanted.items()})

    async def fill(self, stretch: Stretch, segments: Mapping[int, Prepared], done: Done) -> None:
        """Fetches and commits one stretch; `done` hears of each commit and of segments that failed.

        While one range is written the rows of the next are made: the database needs no interpreter meanwhile. What is
        committed is committed in order, and nothing after a commit that failed.
        """
        wanted = [segments[segment] for segment in sorted(stretch.segments)]
        fetcher = FamilyFetcher(wanted, self._fetcher_of, late_fetcher_of=self._late_fetcher_of)
        ranges = self._ranges(stretch)
        flying: deque[asyncio.Task[Sighting]] = deque()
        making: deque[asyncio.Task[Made]] = deque()
        writing: deque[asyncio.Task[None]] = deque()
        workshop = RowMaking(self._ledger.readying, wanted)
        workshop.start(stretch.last - stretch.first + 1)
        try:
            while True:
                while len(flying) < AHEAD and (part := next(ranges, None)):
                    flying.append(asyncio.create_task(fetcher.fetch_final(*part)))
                if flying and len(making) < workshop.at_once:
                    landed = await flying.popleft()
                    making.append(asyncio.create_task(make(workshop, await fetcher.complete(landed), wanted)))
                    del landed  # Its logs become rows; kept here they would fill the memory.
                elif making:
                    made = (await making.popleft()).only(wanted)
                    wanted = [segment for segment in wanted if segment.id not in made.rows.broken]
                    while len(writing) > WAITING:
                        await writing.popleft()
                    before = writing[-1] if writing else None
                    writing.append(asyncio.create_task(self._write(made, done, after=before)))
                    del made
                else:
                    break
                await asyncio.sleep(0)  # What was just begun begins, before rows made here take the loop's time.
        except asyncio.CancelledError:
            for write in writing:
                write.cancel()
            raise
        finally:
            workshop.close()
            await called_off([*flying, *making])
            # Whatever failed meanwhile: what is under way is known to be written, or not.
            for error in await asyncio.gather(*writing, return_exceptions=True):
                if error is not None:
                    raise error

    async def _write(self, made: Made, done: Done, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await after  # Raises what it failed with.
        await self._ledger.commit(made.fetched, made.rows, made.segments)
        await done(made.fetched, made.rows.broken)

    def _fetcher_of(self, filters: Sequence[LogFilter]) -> LogFetcher:
        return self._sized_fetcher(filters, self._sizer)

    def _late_fetcher_of(self, filters: Sequence[LogFilter]) -> LogFetcher:
        return self._sized_fetcher(filters, RangeSizer())

    def _sized_fetcher(self, filters: Sequence[LogFilter], sizer: RangeSizer) -> LogFetcher:
        return LogFetcher(
            self._reader,
            filters,
            sizer,
            every_header=self._every_header,
            opinion=self._opinion,
            blooms=self.blooms,
        )

    def _ranges(self, stretch: Stretch) -> Iterator[tuple[int, int]]:
        """Ranges of the stretch, each sized by what is known when it is asked for."""
        first = stretch.first
        while first <= stretch.last:
            part = self._sizer.next_range(first, stretch.last)
            yield part
            first = part[1] + 1


async def make(workshop: RowMaking, fetched: Fetched, segments: Sequence[Prepared]) -> Made:
    """Makes the rows of final blocks."""
    order = workshop.order_of(fetched, segments, BlockStatus.FINALIZED)
    fetched = replace(fetched, logs=())
    return Made(fetched, segments, await workshop.ready_rows(order))


async def called_off(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels tasks and waits for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
