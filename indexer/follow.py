"""One chain followed: its segments prepared, its holes filled, its head appended block by block, its reorgs undone."""

import logging
from collections.abc import Mapping, Sequence

from indexer.adapter import AdapterError, LogFilter
from indexer.backfill import Backfill
from indexer.certainty import Certainty
from indexer.chain.finality import Finality, Heads
from indexer.chain.reconcile import BlockRef, Same, reconcile
from indexer.commit import ChainLedger, HaltError
from indexer.facts import Prepared, prepare
from indexer.lanes import ChainWork, Progress, Tracked
from indexer.live import LiveLane
from indexer.rpc.errors import StateMissingError, UntruthError
from indexer.rpc.provider import Pace
from indexer.rpc.reader import Header
from indexer.scan.children import FamilyFetcher
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.opinion import SecondOpinion
from indexer.scan.planner import Stretch, holes
from indexer.scan.ranges import RangeSizer
from indexer.starts import NotDeployedError, find_start
from ledger.kinds import BlockStatus, SegmentStatus, SourceKind

log = logging.getLogger(__name__)

HOLES_SECONDS = 60.0
"""How often holes are looked for in what counts as complete: an audit may have found that it is not."""
NOTE_SECONDS = 30.0
"""How often the ledger hears that a chain answers while its head stands still."""


class ChainFollower:
    """Brings one chain's part of the ledger up to its head, each time `poll` is called."""

    def __init__(
        self, work: ChainWork, ledger: ChainLedger, progress: Progress | None = None, *, pace: Pace | None = None
    ) -> None:
        self._work = work
        self._reader = work.reader
        self._ledger = ledger
        self._progress = progress
        self._pace = pace or Pace()
        self._waiting = {tracked.segment_id: tracked for tracked in work.tracked}
        self._segments: dict[int, Prepared] = {}
        self._refused: dict[int, type[AdapterError]] = {}
        self._is_open = False
        every_header = work.terms.kind != SourceKind.LIVE if work.every_header is None else work.every_header
        self._backfill = Backfill(work.reader, ledger, every_header=every_header)
        slug = work.terms.slug
        # While others are silent history still goes on; what we hold is not given up so lightly.
        self._certainty_of_final = Certainty(work.reader, slug, self._pace, lonely_seconds=0.0)
        self._certainty_of_stored = Certainty(work.reader, slug, self._pace)
        self._live = LiveLane(work.reader, ledger, Certainty(work.reader, slug, self._pace), self._append)
        self._finality = Finality(work.reader, work.terms)
        self._final: Header | None = None
        self._candidate: Header | None = None
        self._settled: tuple[str, str] | None = None
        self._noted = 0.0
        self._complete_at = float("-inf")
        self._snapped = ""
        self._done_blocks = 0
        self._total_blocks = 0
        self._began = 0.0

    async def poll(self) -> bool:
        """One round up to the head as it is now; True when the tip reached it. Raises ChainError or SyncError."""
        if not self._is_open:
            await self._open()
        settled, self._settled = self._settled, None
        heads = await self._finality.read(self._final, not_below=self._ledger.finalized or 0)
        if heads.hashes != settled:
            is_there = await self._follow(Heads(heads.latest, self._candidate or heads.finalized))
        else:
            is_there = True  # The head stands still, and its hash is the one we hold.
            await self._note(heads, at_most_every=NOTE_SECONDS)
        self._settled = heads.hashes if is_there and self._candidate is None else None
        return is_there

    async def _follow(self, heads: Heads) -> bool:
        """All that new heads ask for: history where some is missing; else a block at the head waits for nothing."""
        try:
            if self._has_history(heads):
                await self._note(heads)
                if not await self._catch_up(heads):
                    return False
            is_there = await self._live.walk(heads.latest)
            await self._note(heads)
            if is_there:
                await self._finalize(heads.finalized)
            await self._snapshots(heads.latest if is_there else heads.finalized)
        except HaltError as error:
            # One provider's word never stops a chain; what the ledger itself contradicts does.
            if error.seen is not None and not await self._certainty_of_stored.of(error.seen):
                raise UntruthError(f"{self._work.terms.slug}: {error}; it is looked at again") from error
            raise
        return is_there

    async def _open(self) -> None:
        await self._ledger.open()
        segments = sorted(self._waiting)
        await self._ledger.renew_segments(segments, old=SegmentStatus.UNKNOWN, new=SegmentStatus.NEW)
        self._is_open = True

    async def _note(self, heads: Heads, *, at_most_every: float = 0.0) -> None:
        """The ledger hears of the head: after its block, which is what somebody waits for."""
        now = self._pace.monotonic()
        if now - self._noted >= at_most_every:
            await self._ledger.note_head(heads.latest)
            self._noted = now

    def _has_history(self, heads: Heads) -> bool:
        """Whether final blocks are missing, or may be, for all segments or for some; at the head nothing is."""
        tip, finalized = self._ledger.tip, heads.finalized
        is_final_new = self._final is None or self._final.number < finalized.number
        has_waiting = bool(self._waiting) and is_final_new  # They are looked for in final blocks.
        is_old_news = self._pace.monotonic() - self._complete_at > HOLES_SECONDS
        return is_old_news or has_waiting or tip is None or tip.number < finalized.number

    async def _catch_up(self, heads: Heads) -> bool:
        """Final blocks by number. Blocks held from before must still be the chain's: False while that is in doubt."""
        tip, finalized = self._ledger.tip, heads.finalized
        if tip is not None:
            number = min(tip.number, heads.latest.number)
            (header,) = [heads.latest] if number == heads.latest.number else await self._reader.headers([number])
            if not await self._live.walk(header, may_append=False):
                return False
        if not await self._finalize(finalized):
            return False
        await self._prepare(finalized.number)
        await self._ledger.forget_above_holes(self._segments.values())
        await self._refetch_late_segments(finalized)
        await self._fill(finalized)
        self._complete_at = self._pace.monotonic()
        return True

    async def _finalize(self, finalized: Header) -> bool:
        """The block is final from now on; not before it is certain, for there is no way back.

        Never while the blocks we hold are of another branch than it is.
        """
        tail = await self._ledger.tail()
        if tail and finalized.number <= tail.tip.number and not isinstance(reconcile(tail, finalized), Same):
            raise UntruthError(f"{self._work.terms.slug}: a provider's final block is not below its own head")
        is_news = finalized.number != self._ledger.finalized
        has_others = len(self._reader.standing()) > 1
        if is_news and has_others and not await self._certainty_of_final.of(finalized):
            # The second look is at the same block, however far the chain is by then.
            self._candidate = finalized if self._certainty_of_final.is_half_said else None
            return False
        await self._ledger.finalize(finalized)
        self._final, self._candidate = finalized, None
        return True

    async def _append(self, run: Sequence[Header]) -> bool:
        """Consecutive blocks above our tip: logs by hash, one commit. False when they can no longer be read."""
        segments = list(self._segments.values())
        try:
            fetched = await self._logs_of(run, segments)
        except StateMissingError as error:
            log.info("%s: block %d was replaced before it was read (%s)", self._work.terms.slug, run[0].number, error)
            return False
        self._drop(await self._ledger.save(fetched, segments, BlockStatus.UNFINALIZED))
        await self._snapshots(run[-1])
        return True

    async def _logs_of(self, run: Sequence[Header], segments: Sequence[Prepared]) -> Fetched:
        if not any(segment.filters for segment in segments):
            return Fetched(run[0].number, run[-1].number, [], {header.number: header for header in run}, 2)
        await self._ledger.recall(segments)
        return await FamilyFetcher(segments, self._fetcher_of).fetch_live(run)

    def _fetcher_of(self, filters: Sequence[LogFilter]) -> LogFetcher:
        opinion = SecondOpinion(self._reader, self._work.terms.id)
        return LogFetcher(
            self._reader, filters, RangeSizer(), every_header=True, opinion=opinion, blooms=self._backfill.blooms
        )

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
        await self._ledger.recall(self._segments.values())
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
        """What is due by then; once for each block, however many polls see it."""
        if self._work.snapshots is not None and self._snapped != up_to.hash:
            await self._work.snapshots.run(up_to)
            self._snapped = up_to.hash

    def _begin_progress(self, stretches: list[Stretch]) -> None:
        self._began = self._pace.monotonic()
        self._done_blocks = 0
        self._total_blocks = sum(stretch.last - stretch.first + 1 for stretch in stretches)

    def _show_progress(self) -> None:
        if self._progress is not None:
            elapsed = self._pace.monotonic() - self._began
            rate = self._done_blocks / elapsed if elapsed > 0 else 0.0
            self._progress(self._work.terms.slug, self._done_blocks, self._total_blocks, rate)
