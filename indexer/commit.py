"""One chain's place in the ledger: every commit moves rows, coverage and cursor together, or nothing at all.

SyncError
├── HaltError         a final block changed, or the ledger holds another block: nothing is deleted, the chain stops
├── HaltedError       the chain was stopped so before: it waits for `backstop resume`
└── LostCursorError   another process moved the cursor: this one stops
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlmodel import Session

from indexer.adapter import AdapterError
from indexer.chain.reconcile import BlockRef, Tail
from indexer.facts import Prepared, RowMaker, block_row, log_of
from indexer.ready import Readying, ReadyRows
from indexer.rpc.reader import ChainTerms, Header
from indexer.scan.fetch import Fetched
from indexer.scan.planner import inner_hole
from ledger.blocks import (
    delete_blocks_above,
    find_cursor,
    insert_blocks,
    list_blocks,
    move_cursor,
    record_reorg,
    set_finalized,
    start_cursor,
)
from ledger.bulk import insert_bulk
from ledger.clock import Clock
from ledger.coverage import cut_coverage, extend_coverages, list_coverage
from ledger.kinds import BlockStatus, ChainStatus, SegmentStatus
from ledger.logs import insert_made_facts, list_asset_ids, walk_logs_by
from ledger.standing import (
    find_chain,
    find_starts,
    hold_chain,
    mark_unverified,
    replace_segment_status,
    set_chain_head,
    set_chain_status,
    set_segment_status,
    set_start,
)
from ledger.tables import Chain, Coverage, Cursor, Reorg
from ledger.writer import DURING_ROLLBACK, LedgerWriter

T = TypeVar("T")


class SyncError(Exception):
    """This chain cannot go on here."""


class HaltError(SyncError):
    """What was final changed at that height. `seen`: the header that says so, where nobody confirmed it yet."""

    def __init__(self, message: str, *, number: int = 0, seen: Header | None = None) -> None:
        super().__init__(message)
        self.number = number
        self.seen = seen


class HaltedError(SyncError):
    """It was stopped before, by this process or another."""


class LostCursorError(SyncError):
    """Somebody else indexes this chain."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"{slug}: another process moved the cursor; one indexer a chain is enough, this stops")


class ChainLedger:
    """Reads and moves one chain's cursor. `open` first; not for two tasks at once."""

    def __init__(self, terms: ChainTerms, writer: LedgerWriter, clock: Clock) -> None:
        self.terms = terms
        self._writer = writer
        self._clock = clock
        self._cursor: Cursor | None = None
        self._tail: Tail | None = None
        self.finalized: int | None = None
        self._readying: Readying | None = None

    @property
    def tip(self) -> BlockRef | None:
        """The highest block followed, or None before the first."""
        return None if self._cursor is None else BlockRef(self._cursor.number, self._cursor.hash)

    async def open(self) -> None:
        """Reads where this chain stands; raises SyncError when the ledger does not know the chain."""

        def work(session: Session) -> None:
            self.finalized = self._require_unhalted(find_chain(session, self.terms.id)).finalized_number
            self._cursor = find_cursor(session, self.terms.id)
            if self._cursor is not None:
                session.expunge(self._cursor)
            rows = RowMaker(self.terms.id, list_asset_ids(session, self.terms.id))
            self._readying = Readying(rows, self._writer.engine)

        await self._writer.read(work)

    def _require_unhalted(self, chain: Chain | None) -> Chain:
        """The chain's row; whoever halted it, it stays halted until an operator resumes it."""
        if chain is None:
            raise SyncError(f"{self.terms.slug} is not in the ledger: write the registry first")
        if chain.status == ChainStatus.HALTED:
            raise HaltedError(chain.status_reason)
        return chain

    def _require_ours(self, session: Session, chain: Chain | None) -> None:
        """Cursor and finality are where this process left them; raises LostCursorError when another one moved them."""
        finalized = self._require_unhalted(chain).finalized_number
        if finalized != self.finalized or place_of(find_cursor(session, self.terms.id)) != place_of(self._cursor):
            raise LostCursorError(self.terms.slug)

    async def tail(self) -> Tail | None:
        """The blocks held from the last final one to the tip; None before the first block.

        Raises HaltError when they are not one dense chain. They are read once: whoever else moves the cursor makes our
        next commit fail.
        """
        if self._tail is None and self.tip is not None:
            self._tail = await self._load_tail(self.tip)
        return self._tail

    async def _load_tail(self, tip: BlockRef) -> Tail:
        if self.finalized is None or tip.number <= self.finalized:
            return Tail([tip])
        first = self.finalized

        def work(session: Session) -> list[tuple[int, str]]:
            self._require_ours(session, find_chain(session, self.terms.id))
            return list_blocks(session, self.terms.id, first, tip.number)

        held = await self._writer.read(work)
        blocks = [BlockRef(number, block_hash) for number, block_hash in held]
        if len(blocks) != tip.number - first + 1 or blocks[-1] != tip:
            reason = f"the ledger holds {len(blocks)} of the blocks {first}–{tip.number} it says it followed"
            raise HaltError(reason, number=first)
        return Tail(blocks)

    async def starts(self, segment_ids: Sequence[int]) -> dict[int, int]:
        """Segment → first block, where it is known."""
        return await self._writer.read(lambda session: find_starts(session, segment_ids))

    async def remember_start(self, segment_id: int, number: int) -> None:
        """Caches what bisection found."""
        await self._write(lambda session: set_start(session, segment_id, number))

    async def covered(self, segments: Sequence[Prepared]) -> dict[int, list[tuple[int, int]]]:
        """Segment → covered intervals under its present filters."""

        def work(session: Session) -> dict[int, list[tuple[int, int]]]:
            return {segment.id: list_coverage(session, segment.id, segment.digest) for segment in segments}

        return await self._writer.read(work)

    async def recall(self, segments: Iterable[Prepared]) -> None:
        """Each family learns the children that stored creation logs announce; what was rolled back is forgotten."""
        finalized = -1 if self.finalized is None else self.finalized
        families = [segment.family for segment in segments if segment.family is not None]

        def work(session: Session) -> None:
            for family in families:
                rows = walk_logs_by(session, self.terms.id, family.factories, above=family.recalled_to)
                family.recall(map(log_of, rows), finalized)

        if families:
            await self._writer.read(work)

    async def forget_above_holes(self, segments: Iterable[Prepared]) -> None:
        """A hole may hide the creation of a child: what a family has above one does not count as covered."""
        families = [segment for segment in segments if segment.family is not None]
        covered = await self.covered(families) if families else {}
        for segment in families:
            hole = inner_hole(segment.start, covered[segment.id])
            if hole is not None:
                cut = partial(cut_coverage, chain_id=self.terms.id, above=hole - 1, segment_id=segment.id)
                await self._write(partial(cut, now=self._clock()))

    async def note_head(self, latest: Header) -> None:
        """The chain answers; this is its newest block."""

        def work(session: Session) -> None:
            set_chain_status(session, self.terms.id, ChainStatus.FOLLOWING)
            set_chain_head(session, self.terms.id, latest.number, latest.time, checked_at=self._clock())

        await self._write(work)

    async def note_unreachable(self, reason: str) -> None:
        """The chain does not answer."""
        unreachable = ChainStatus.UNREACHABLE
        await self._write(lambda session: set_chain_status(session, self.terms.id, unreachable, reason))

    async def halt(self, error: HaltError) -> None:
        """The chain stops, and none of its segments counts as verified from that block on; nothing is deleted."""

        def work(session: Session) -> None:
            set_chain_status(session, self.terms.id, ChainStatus.HALTED, str(error))
            reason = f"unverified since block {error.number:,}: {error}"
            mark_unverified(session, self.terms.id, number=error.number, reason=reason)

        await self._write(work)

    async def finalize(self, anchor: Header) -> None:
        """Blocks up to this one are final from now on."""
        before = self.finalized
        if before == anchor.number:
            return
        row = block_row(self.terms.id, anchor, BlockStatus.FINALIZED)

        def work(session: Session) -> None:
            self._require_same(session, [anchor])
            set_finalized(session, self.terms.id, row, before=before)

        await self._write(work)
        self.finalized = anchor.number
        self._tail = self._tail and self._tail.anchored(BlockRef(anchor.number, anchor.hash))

    @property
    def readying(self) -> Readying:
        """Makes what `commit` is to write."""
        if self._readying is None:
            raise RuntimeError("ChainLedger.open comes before rows are made")
        return self._readying

    async def commit(self, fetched: Fetched, rows: ReadyRows, segments: Sequence[Prepared]) -> None:
        """Rows, coverage and cursor of a range in one transaction.

        The cursor moves when the range ends above it; a hole filled behind it leaves it where it is.
        """
        sound = [segment for segment in segments if segment.id not in rows.broken]
        await self._move(self._ahead(fetched.end), lambda session: self._insert(session, fetched, rows, sound))

    async def save(
        self, fetched: Fetched, segments: Sequence[Prepared], status: BlockStatus
    ) -> Mapping[int, AdapterError]:
        """Both at once. Returns the segments that could not be decoded."""
        rows = self.readying.of_range(fetched, segments, status)
        await self.commit(fetched, rows, segments)
        return rows.broken

    def _insert(self, session: Session, fetched: Fetched, rows: ReadyRows, sound: Sequence[Prepared]) -> None:
        now = self._clock()
        self._require_same(session, list(fetched.headers.values()))
        insert_blocks(session, rows.blocks)
        insert_bulk(session, rows.logs)
        insert_made_facts(session, self.terms.id, rows.facts.values())
        reached = [segment for segment in sound if max(fetched.first, segment.start) <= fetched.last]
        extend_coverages(session, [coverage_of(segment, fetched, now) for segment in reached], fetched.passed)
        for segment_id, error in rows.broken.items():
            set_segment_status(session, segment_id, SegmentStatus.UNKNOWN, str(error), number=fetched.first)

    def _require_same(self, session: Session, headers: Sequence[Header]) -> None:
        """No other block may be stored at these heights: below finality that is a changed history."""
        if not headers:
            return
        known = {header.number: header for header in headers}
        for number, block_hash in list_blocks(session, self.terms.id, min(known), max(known)):
            if number in known and known[number].hash != block_hash:
                reason = f"block {number} is stored with hash {block_hash} and now has {known[number].hash}"
                raise HaltError(reason, number=number, seen=known[number])

    async def reach(self, end: Header) -> None:
        """Moves the cursor up to a final block that nothing had to be fetched for."""
        if self._cursor is None or self._cursor.number < end.number:
            await self._move(BlockRef(end.number, end.hash), lambda _session: None)

    async def roll_back(self, to: BlockRef, branch: Header) -> None:
        """Removes what hangs on replaced blocks and writes the public record; `branch` is the first new block."""
        tip = self.tip
        if tip is None:
            raise RuntimeError("nothing is held, so nothing can be rolled back")
        record = Reorg(
            chain_id=self.terms.id,
            fork_number=to.number,
            depth=tip.number - to.number,
            old_hash=tip.hash,
            new_hash=branch.hash,
            detected_at=self._clock(),
        )

        def work(session: Session) -> None:
            record_reorg(session, record)
            self._cut(session, to.number)

        await self._move(to, work, rollbacks=1)

    async def rewind(self, to: BlockRef) -> None:
        """Forgets blocks above a final one, without a record: they are fetched again, for more filters than before."""
        await self._move(to, lambda session: self._cut(session, to.number))

    def _cut(self, session: Session, above: int) -> None:
        delete_blocks_above(session, self.terms.id, above)
        self._writer.phase(DURING_ROLLBACK)
        cut_coverage(session, self.terms.id, above, now=self._clock())

    async def renew_segments(self, segments: Sequence[int], *, old: SegmentStatus, new: SegmentStatus) -> None:
        """A fresh start gives unknown segments another chance; the end of a scan makes new ones ok."""
        await self._write(lambda session: replace_segment_status(session, segments, old=old, new=new))

    async def fail_segment(self, segment_id: int, reason: str) -> None:
        """This segment cannot be indexed; the others go on."""
        await self._write(lambda session: set_segment_status(session, segment_id, SegmentStatus.UNKNOWN, reason))

    def _ahead(self, end: Header) -> BlockRef:
        tip = self.tip
        return tip if tip is not None and tip.number >= end.number else BlockRef(end.number, end.hash)

    async def _write(self, work: Callable[[Session], T]) -> T:
        """Runs `work`, which leaves the cursor where it is, in one transaction; raises LostCursorError as `_move` does.

        Without this a process that stood still while another took over would still say how the chain stands.
        """

        def fenced(session: Session) -> T:
            self._require_ours(session, hold_chain(session, self.terms.id))
            return work(session)

        return await self._writer.write(fenced)

    async def _move(self, to: BlockRef, work: Callable[[Session], None], *, rollbacks: int = 0) -> None:
        """Runs `work` and moves the cursor by compare-and-swap in one transaction; raises LostCursorError."""
        held = self._cursor

        def both(session: Session) -> Cursor:
            self._require_unhalted(hold_chain(session, self.terms.id))
            is_ours = (
                start_cursor(session, self.terms.id, to.number, to.hash)
                if held is None
                else move_cursor(session, held, number=to.number, block_hash=to.hash, rollbacks=rollbacks)
            )
            if not is_ours:
                raise LostCursorError(self.terms.slug)
            work(session)
            return Cursor(
                chain_id=self.terms.id,
                number=to.number,
                hash=to.hash,
                epoch=0 if held is None else held.epoch + rollbacks,
            )

        self._cursor = await self._writer.write(both)
        self._tail = self._tail and self._tail.moved(to)


def place_of(cursor: Cursor | None) -> tuple[int, str, int] | None:
    """What a writer must know of a cursor to move it."""
    return None if cursor is None else (cursor.number, cursor.hash, cursor.epoch)


def coverage_of(segment: Prepared, fetched: Fetched, now: datetime) -> Coverage:
    """The interval that a fetched range adds for a segment."""
    return Coverage(
        segment_id=segment.id,
        filter_digest=segment.digest,
        from_number=max(fetched.first, segment.start),
        to_number=fetched.last,
        level=fetched.level,
        verified_at=now,
    )
