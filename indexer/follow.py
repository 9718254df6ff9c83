"""One chain followed: its segments prepared, its holes filled, its head appended block by block, its reorgs undone."""

import logging
import time
from collections.abc import Mapping

from indexer.adapter import AdapterError
from indexer.backfill import Backfill
from indexer.chain.finality import Heads, read_heads
from indexer.chain.reconcile import Append, BlockRef, Gap, Halt, Rollback, Same, Step, Tail, reconcile
from indexer.commit import ChainLedger, HaltError
from indexer.facts import Prepared, prepare
from indexer.lanes import ChainWork, Progress, Tracked
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.filters import merge_filters
from indexer.scan.planner import Stretch, holes
from indexer.scan.ranges import RangeSizer
from indexer.starts import NotDeployedError, find_start
from ledger.kinds import BlockStatus, SegmentStatus, SourceKind

log = logging.getLogger(__name__)

LIVE_BLOCKS_AT_ONCE = 50
MOST_STEPS = 10_000
"""Steps of one poll: providers that contradict each other for ever must not hold the loop."""


class ChainFollower:
    """Brings one chain's part of the ledger up to its head, each time `poll` is called."""

    def __init__(self, work: ChainWork, ledger: ChainLedger, progress: Progress | None = None) -> None:
        self._work = work
        self._reader = work.reader
        self._ledger = ledger
        self._progress = progress
        self._waiting = {tracked.segment_id: tracked for tracked in work.tracked}
        self._segments: dict[int, Prepared] = {}
        self._refused: dict[int, type[AdapterError]] = {}
        self._is_open = False
        every_header = work.terms.kind != SourceKind.LIVE if work.every_header is None else work.every_header
        self._backfill = Backfill(work.reader, ledger, every_header=every_header)
        self._done_blocks = 0
        self._total_blocks = 0
        self._began = 0.0

    async def poll(self) -> bool:
        """One round up to the head as it is now; True when the tip reached it. Raises ChainError or SyncError."""
        if not self._is_open:
            await self._open()
        heads = await read_heads(self._reader, self._work.terms, not_below=self._ledger.finalized or 0)
        await self._ledger.note_head(heads.latest)
        await self._settle(heads)
        await self._ledger.finalize(heads.finalized)
        await self._prepare(heads.finalized.number)
        await self._refetch_late_segments(heads.finalized)
        await self._fill(heads.finalized)
        is_there = await self._walk(heads.latest, may_append=True)
        await self._snapshots(heads.latest if is_there else heads.finalized)
        return is_there

    async def _open(self) -> None:
        await self._ledger.open()
        segments = sorted(self._waiting)
        await self._ledger.renew_segments(segments, old=SegmentStatus.UNKNOWN, new=SegmentStatus.NEW)
        self._is_open = True

    async def _settle(self, heads: Heads) -> None:
        """Blocks held from before must still be the chain's: what was replaced meanwhile is rolled back first."""
        tip = self._ledger.tip
        if tip is None:
            return
        number = min(tip.number, heads.latest.number)
        (header,) = await self._reader.headers([number])
        await self._walk(header, may_append=False)

    async def _walk(self, header: Header, *, may_append: bool) -> bool:
        """Steps until the header is our tip (True), or until nothing more can be said now (False)."""
        goal = header
        for _ in range(MOST_STEPS):
            tail = await self._ledger.tail()
            if tail is None:
                return False
            step = reconcile(tail, header)
            if isinstance(step, Same):
                return header.hash == goal.hash
            if isinstance(step, Append) and not may_append:
                return True
            following = await self._take(step, tail, header, goal)
            if following is None:
                return False
            header = following
        raise UntruthError(f"{self._work.terms.slug}: its providers contradict each other above {goal.number}")

    async def _take(self, step: Step, tail: Tail, header: Header, goal: Header) -> Header | None:
        """Does what the step says; the header to look at next, or None when the providers must be asked again later."""
        match step:
            case Append():
                await self._append(header, goal)
                return goal
            case Gap(need=number):
                return await self._reader.header(number)
            case Rollback(to=to):
                if not await self._reader.confirms(header):
                    log.warning("%s: block %d has two versions; waiting", self._work.terms.slug, header.number)
                    return None
                depth = tail.tip.number - to.number
                log.warning("%s: reorganised above block %d (depth %d)", self._work.terms.slug, to.number, depth)
                await self._ledger.roll_back(to, header)
                return header
            case Halt(reason=reason):
                if not await self._reader.confirms(header):
                    return None
                raise HaltError(reason)
            case Same():
                return None

    async def _append(self, header: Header, goal: Header) -> None:
        """The next block and those that hang on it, up to the goal: logs by hash, one commit."""
        last = min(goal.number, header.number + LIVE_BLOCKS_AT_ONCE - 1)
        run = [header]
        for following in await self._reader.headers(range(header.number + 1, last + 1)):
            if following.parent_hash != run[-1].hash:
                break
            run.append(following)
        segments = list(self._segments.values())
        fetched = await self._logs_of(run, segments)
        broken = await self._ledger.save(fetched, segments, BlockStatus.UNFINALIZED)
        self._drop(broken)
        await self._snapshots(run[-1])

    async def _logs_of(self, run: list[Header], segments: list[Prepared]) -> Fetched:
        filters = merge_filters(part for segment in segments for part in segment.filters)
        if not filters:
            return Fetched(run[0].number, run[-1].number, [], {header.number: header for header in run}, 2)
        return await LogFetcher(self._reader, filters, RangeSizer(), every_header=True).fetch_live(run)

    async def _prepare(self, finalized: int) -> None:
        """Segments that were not ready: their filters and their first blocks. Those that fail become unknown.

        Only a contract without code is looked for again: it may be newer than the last final block.
        """
        if not self._waiting:
            return
        starts = await self._ledger.starts(list(self._waiting))
        for segment_id, tracked in sorted(self._waiting.items()):
            try:
                start = await self._start_of(tracked, starts.get(segment_id), finalized)
                self._segments[segment_id] = prepare(tracked, start)
            except AdapterError as error:
                await self._refuse(tracked, error)
                if isinstance(error, NotDeployedError):
                    continue
            else:
                if self._refused.pop(segment_id, None) is not None:
                    await self._ledger.renew_segments([segment_id], old=SegmentStatus.UNKNOWN, new=SegmentStatus.NEW)
            del self._waiting[segment_id]

    async def _refuse(self, tracked: Tracked, error: AdapterError) -> None:
        """One warning, and the reason in the ledger."""
        if self._refused.get(tracked.segment_id) is not type(error):
            log.warning("%s: %s", tracked.slug, error)
        self._refused[tracked.segment_id] = type(error)
        await self._ledger.fail_segment(tracked.segment_id, str(error))

    async def _start_of(self, tracked: Tracked, known: int | None, finalized: int) -> int:
        """The file's own word first; what bisection finds is remembered."""
        start = tracked.start_block if tracked.start_block is not None else known
        if start is None:
            start = await find_start(self._reader, tracked.contracts, finalized)
        if start != known:
            await self._ledger.remember_start(tracked.segment_id, start)
        return start

    async def _refetch_late_segments(self, finalized: Header) -> None:
        """A segment added while blocks above finality were held already: those blocks are fetched again for all."""
        tip = self._ledger.tip
        if tip is None or tip.number <= finalized.number:
            return
        segments = list(self._segments.values())
        covered = await self._ledger.covered(segments)
        wanted = {s.id: (max(s.start, finalized.number + 1), tip.number) for s in segments}
        if any(first <= last and holes((first, last), covered[s]) for s, (first, last) in wanted.items()):
            await self._ledger.rewind(BlockRef(finalized.number, finalized.hash))

    async def _fill(self, finalized: Header) -> None:
        """Every hole up to the finalized block, then the cursor stands at least there."""
        stretches = await self._backfill.missing(list(self._segments.values()), finalized.number)
        self._begin_progress(stretches)
        for stretch in stretches:
            await self._backfill.fill(stretch, self._segments, self._committed)
        await self._ledger.reach(finalized)
        await self._ledger.renew_segments(sorted(self._segments), old=SegmentStatus.NEW, new=SegmentStatus.OK)

    async def _committed(self, fetched: Fetched, broken: Mapping[int, AdapterError]) -> None:
        self._drop(broken)
        self._done_blocks += fetched.last - fetched.first + 1
        await self._snapshots(fetched.end)
        self._show_progress()

    def _drop(self, broken: Mapping[int, AdapterError]) -> None:
        """A segment that cannot be decoded is out until the next start; the others go on."""
        for segment_id, error in broken.items():
            log.warning("%s: %s", self._segments[segment_id].tracked.slug, error)
            del self._segments[segment_id]

    async def _snapshots(self, up_to: Header) -> None:
        if self._work.snapshots is not None:
            await self._work.snapshots.run(up_to)

    def _begin_progress(self, stretches: list[Stretch]) -> None:
        self._began = time.monotonic()
        self._done_blocks = 0
        self._total_blocks = sum(stretch.last - stretch.first + 1 for stretch in stretches)

    def _show_progress(self) -> None:
        if self._progress is not None:
            elapsed = time.monotonic() - self._began
            rate = self._done_blocks / elapsed if elapsed > 0 else 0.0
            self._progress(self._work.terms.slug, self._done_blocks, self._total_blocks, rate)
