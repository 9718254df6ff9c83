"""The backfill lane: final blocks by number, fetched ahead of the commits, committed in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from indexer.adapter import AdapterError, LogFilter
from indexer.commit import ChainLedger, ReadyRows
from indexer.facts import Prepared
from indexer.rpc.reader import ChainReader
from indexer.scan.blooms import ChainBlooms
from indexer.scan.children import FamilyFetcher, Sighting
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.opinion import SecondOpinion
from indexer.scan.planner import Stretch, holes, plan
from indexer.scan.ranges import RangeSizer
from ledger.kinds import BlockStatus

AHEAD = 3
"""Ranges in flight while one is written: hides 50 ms of latency without filling the memory."""
MOST_BLOCKS_WITH_HEADERS = 10_000

Done = Callable[[Fetched, Mapping[int, AdapterError]], Awaitable[None]]
"""Hears of each commit: what was fetched, and which segments could not be decoded."""


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

        While one range is written the rows of the next are made: the database needs no interpreter meanwhile.
        """
        wanted = [segments[segment] for segment in sorted(stretch.segments)]
        fetcher = FamilyFetcher(wanted, self._fetcher_of, late_fetcher_of=self._late_fetcher_of)
        ranges = self._ranges(stretch)
        flying: deque[asyncio.Task[Sighting]] = deque()
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                while len(flying) < AHEAD and (part := next(ranges, None)):
                    flying.append(asyncio.create_task(fetcher.fetch_final(*part)))
                if not flying:
                    break
                fetched = await fetcher.complete(await flying.popleft())
                rows = self._ledger.ready_rows(fetched, wanted, BlockStatus.FINALIZED)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(fetched, rows, wanted, done))
                await asyncio.sleep(
                    0
                )  # It begins now: the next range may be at hand, and its rows take the loop's time.
                wanted = [segment for segment in wanted if segment.id not in rows.broken]
        except asyncio.CancelledError:
            if writing is not None:
                writing.cancel()
            raise
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
            if writing is not None:
                await writing  # Whatever failed meanwhile: what is under way is known to be written, or not.

    async def _write(self, fetched: Fetched, rows: ReadyRows, segments: Sequence[Prepared], done: Done) -> None:
        await self._ledger.commit(fetched, rows, segments)
        await done(fetched, rows.broken)

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
