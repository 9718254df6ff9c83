"""The snapshot lane: contract reads at blocks that chain time and flows decide, all of one block at one hash.

Scheduled: the first block of each UTC hour (or day) that has blocks. Flow: each block in which a fund's balance moved.
What is due and has no snapshot row is to do; rows and their snapshot row commit together, scheduled ones in order, so
everything below the last one stored is complete. A revert is an answer (unknown); no answer leaves it to do.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from indexer.adapter import AdapterError, ContractCall, Known, Read
from indexer.dues import Answered, Due, Question, Watched
from indexer.facts import Prepared, prepare
from indexer.heal import Healer
from indexer.known import Knowledge
from indexer.lanes import Tracked
from indexer.prices import Priced, price_row, quotes_of, round_calls
from indexer.reconcile import UNREADABLE, Suspect, Tolerance, judge, reconcile_balances
from indexer.registry import Registry
from indexer.rpc.errors import ChainError
from indexer.rpc.reader import CallAnswer, ChainReader, Header
from indexer.slots import SECONDS, find_starts, slot_of, starts_among
from indexer.suspects import find_first_suspects
from ledger.blocks import insert_blocks
from ledger.facts import BlockPlace, find_unread_flow_blocks
from ledger.kinds import BlockStatus, SegmentStatus, SnapshotKind
from ledger.logs import list_asset_ids
from ledger.readings import (
    find_finalized,
    find_hashes,
    find_last_scheduled,
    find_status,
    insert_prices,
    insert_readings,
    insert_snapshots,
    list_places,
)
from ledger.standing import find_starts as find_segment_starts
from ledger.standing import set_segment_status
from ledger.writer import LedgerWriter

CHUNK = 16
"""Blocks asked for in one go and committed together."""
LOTS_AT_ONCE = 4
"""Such lots under way at the same time."""
WINDOW = 1000
"""Slots looked for at once."""
LONGEST_ERROR = 200
MOST_ROUNDS = 3
"""How often a run looks again after it has put something right: the next one goes on."""


class Snapshots:
    """The snapshot lane of one chain (lanes.SnapshotLane)."""

    def __init__(self, chain_id: int, reader: ChainReader, writer: LedgerWriter, *, watched: Sequence[Watched]) -> None:
        self._chain_id = chain_id
        self._reader = reader
        self._writer = writer
        self._watched = tuple(sorted(watched, key=lambda item: item.tracked.slug))
        self._asset_ids: dict[str, int] = {}
        self._knowledge = {
            item.tracked.segment_id: Knowledge(item.tracked.segment_id, item.tracked.adapter.tracked_sides)
            for item in self._watched
        }
        self._unsettled = {item.tracked.segment_id: 0 for item in self._watched}
        """Segment → height from which balances must be reconciled; at the start everything."""
        self._suspects: dict[int, list[Suspect]] = {}
        self._contradicted = set(self._unsettled)
        """Segments whose positions must be looked through from the first snapshot on: at the start all of them."""
        self._healer = Healer(chain_id, reader, writer)

    async def run(self, up_to: Header) -> None:
        """Everything due at blocks ≤ up_to.number; raises ChainError when nobody answers, after storing what came."""
        self._asset_ids = await self._writer.read(lambda session: list_asset_ids(session, self._chain_id))
        try:
            for step in sorted({item.step for item in self._watched}):
                await self._run_schedule([item for item in self._watched if item.step == step], up_to)
            await self._run_flows(up_to)
        finally:
            await self._settle()
        await self._heal(up_to)

    async def _run_schedule(self, watched: Sequence[Watched], up_to: Header) -> None:
        lows = {item.tracked.segment_id: await self._low_of(item) for item in watched}
        started = [low for low in lows.values() if low is not None]
        if not started:
            return
        low = min(started, key=lambda header: header.number)
        # Inside one hour nothing can be due: no provider is asked.
        while low.number < up_to.number and slot_of(low, watched[0].step) < slot_of(up_to, watched[0].step):
            high = await self._window(low, up_to, watched[0].step)
            starts = await self._starts(low, high, watched[0].step)
            await self._read_scheduled(watched, lows, starts)
            low = high

    async def _low_of(self, item: Watched) -> Header | None:
        """The block after which this segment's next scheduled one is looked for; None before its start is known."""
        segment_id = item.tracked.segment_id
        last = await self._writer.read(lambda session: find_last_scheduled(session, segment_id))
        if last is not None:
            return header_at(last)
        starts = await self._writer.read(lambda session: find_segment_starts(session, [segment_id]))
        start = starts.get(segment_id, item.tracked.start_block)
        # The block before the start only tells whether the start opens its hour.
        return None if start is None else await self._reader.header(max(start - 1, 0))

    async def _window(self, low: Header, up_to: Header, step: int) -> Header:
        """`up_to`, or a final block about WINDOW slots above `low` where that is nearer."""
        slots = slot_of(up_to, step) - slot_of(low, step)
        if slots <= WINDOW:
            return up_to
        middle = low.number + max((up_to.number - low.number) * WINDOW // slots, 1)
        finalized = await self._finalized()
        found = await self._reader.header(middle) if finalized is not None and middle <= finalized else None
        return found or up_to

    async def _finalized(self) -> int | None:
        return await self._writer.read(lambda session: find_finalized(session, self._chain_id))

    async def _starts(self, low: Header, high: Header, step: int) -> list[Header]:
        """First blocks of slots in (low, high]: final ones from the chain by number, others from our dense tail."""
        finalized = await self._finalized()
        starts: list[Header] = []
        if finalized is not None and low.number < finalized:
            border = high if high.number <= finalized else await self._reader.header(finalized)
            if border is None:
                return []
            starts, low = await find_starts(self._reader, low, border, step), border
        if high.number > low.number:
            first, last = low.number + 1, high.number
            places = await self._writer.read(
                lambda session: list_places(session, self._chain_id, first=first, last=last)
            )
            starts += starts_among(dense_run(low, places), step)
        return starts

    async def _read_scheduled(
        self, watched: Sequence[Watched], lows: dict[int, Header | None], starts: Sequence[Header]
    ) -> None:
        if not starts:
            return
        dues = {header.number: Due(header) for header in starts}
        for item in watched:
            low = lows[item.tracked.segment_id]
            mine = [header for header in starts if low is not None and header.number > low.number]
            for header, question in await self._scheduled_questions(item, mine):
                dues[header.number].questions.append(question)
        await self._read([due for due in dues.values() if due.questions])

    async def _scheduled_questions(self, item: Watched, at: Sequence[Header]) -> list[tuple[Header, Question]]:
        """What to ask of one segment at these blocks; an adapter that fails makes its segment unknown."""
        if not at:
            return []
        knowledge, last = self._knowledge[item.tracked.segment_id], at[-1].number
        ahead = await self._writer.read(lambda session: knowledge.load(session, self._chain_id, last))
        try:
            return [(header, self._question_at(item, knowledge.advance(ahead, header))) for header in at]
        except (AdapterError, KeyError) as error:
            reason = f"its contracts {UNREADABLE}: {error}"
            await self._writer.write(
                lambda session: set_segment_status(
                    session, item.tracked.segment_id, SegmentStatus.UNKNOWN, reason, number=at[0].number
                )
            )
            return []

    @staticmethod
    def _question_at(item: Watched, known: Known) -> Question:
        reads = tuple(item.tracked.adapter.scheduled_reads(known))
        return Question(item.tracked.segment_id, SnapshotKind.SCHEDULED, reads, item.priced, known.sums)

    async def _run_flows(self, up_to: Header) -> None:
        dues: dict[int, Due] = {}
        for item in self._watched:
            segment_id, reads = item.tracked.segment_id, tuple(item.tracked.adapter.flow_reads(Known()))
            if not reads:
                continue
            places = await self._writer.read(
                lambda session, own=segment_id: find_unread_flow_blocks(session, own, up_to=up_to.number)  # type: ignore[misc]
            )
            for place in places:
                due = dues.setdefault(place.number, Due(header_at(place)))
                due.questions.append(Question(segment_id, SnapshotKind.FLOW, reads))
        await self._read([dues[number] for number in sorted(dues)])

    async def _read(self, dues: Sequence[Due]) -> None:
        """Asks for and stores these blocks, in order; stops at the first that nobody answers."""
        lots = [dues[first : first + CHUNK] for first in range(0, len(dues), CHUNK)]
        for first in range(0, len(lots), LOTS_AT_ONCE):
            turn = lots[first : first + LOTS_AT_ONCE]
            asked = [asyncio.ensure_future(self._ask(lot)) for lot in turn]
            try:
                for lot, answer in zip(turn, asked, strict=True):
                    await self._keep(lot, answer)
            finally:
                for answer in asked:
                    answer.cancel()
                await asyncio.gather(*asked, return_exceptions=True)

    async def _keep(self, lot: Sequence[Due], answer: asyncio.Future[list[Answered]]) -> None:
        """Stores a lot; where it failed, block by block, so that a bad one does not hold back those before it."""
        try:
            answered = await answer
        except ChainError:
            for due in lot:
                found = await self._ask([due])
                await self._writer.write(lambda session, rows=found: self._store(session, rows))  # type: ignore[misc]
            return
        await self._writer.write(lambda session: self._store(session, answered))

    async def _ask(self, dues: Sequence[Due]) -> list[Answered]:
        feeds = [sorted({p.feed for question in due.questions for p in question.priced}) for due in dues]
        reads = [[read.call for question in due.questions for read in question.reads] for due in dues]
        wanted = [([*mine, *round_calls(asked)], due.at) for due, mine, asked in zip(dues, reads, feeds, strict=True)]
        answers = await self._reader.calls_at(wanted)
        return [
            Answered(due, tuple(found[: len(mine)]), await quotes_of(self._reader, asked, found[len(mine) :], due.at))
            for due, mine, asked, found in zip(dues, reads, feeds, answers, strict=True)
        ]

    def _store(self, session: Session, answered: Sequence[Answered]) -> None:
        """Rows of these blocks; those of a block that was replaced meanwhile are dropped."""
        fresh = [item.due.at for item in answered if item.due.at.parent_hash]
        final = find_finalized(session, self._chain_id) or -1
        insert_blocks(session, [self._block_row(at) for at in fresh if at.number <= final])
        there = find_hashes(session, self._chain_id, [item.due.at.hash for item in answered])
        kept = [item for item in answered if item.due.at.hash in there]
        insert_readings(session, (row for item in kept for row in self._reading_rows(item)))
        insert_prices(session, (row for item in kept for row in self._price_rows(item)))
        insert_snapshots(session, (row for item in kept for row in self._snapshot_rows(item)))
        for item in kept:
            self._contradicted |= item.contradicted()
            for question in item.due.questions:
                lowest = self._unsettled.get(question.segment_id, item.due.at.number)
                self._unsettled[question.segment_id] = min(lowest, item.due.at.number)

    def _block_row(self, at: Header) -> tuple[int, str, int, str, datetime, str]:
        return (self._chain_id, at.hash, at.number, at.parent_hash, at.time, str(BlockStatus.FINALIZED))

    def _reading_rows(self, item: Answered) -> Iterable[tuple[Any, ...]]:
        position = 0
        for question in item.due.questions:
            for read in question.reads:
                yield from self._rows_of(question.segment_id, item.due.at, read, item.answers[position])
                position += 1

    def _rows_of(self, segment_id: int, at: Header, read: Read, answer: CallAnswer) -> Iterable[tuple[Any, ...]]:
        for value in read.values:
            number, error = number_of(answer, value.index)
            yield (
                self._chain_id, at.hash, segment_id, str(value.name), value.subject, at.number, at.time, number,
                value.decimals, self._asset_ids.get(value.asset or ""), read.call.to, call_text(read.call), error,
            )  # fmt: skip

    def _price_rows(self, item: Answered) -> Iterable[tuple[Any, ...]]:
        priced = sorted({priced for question in item.due.questions for priced in question.priced})
        return (price_row(self._chain_id, item.due.at, one, item.quotes[one.feed]) for one in priced)

    def _snapshot_rows(self, item: Answered) -> Iterable[tuple[Any, ...]]:
        at = item.due.at
        return (
            (self._chain_id, at.hash, question.segment_id, at.number, at.time, str(question.kind))
            for question in item.due.questions
        )

    async def _settle(self) -> None:
        """Reconciles what was read since the last time and says how each segment stands."""
        for item in self._watched:
            segment_id = item.tracked.segment_id
            if segment_id in self._unsettled:
                self._suspects[segment_id] = await self._writer.write(
                    lambda session, own=item: self._settle_segment(session, own)  # type: ignore[misc]
                )
                del self._unsettled[segment_id]

    def _settle_segment(self, session: Session, item: Watched) -> list[Suspect]:
        segment_id = item.tracked.segment_id
        first, tolerance = self._unsettled[segment_id], Tolerance.of(item.tracked.adapter)
        suspects = reconcile_balances(session, segment_id, first=first, tolerance=tolerance, digest=item.digest)
        last = find_last_scheduled(session, segment_id)
        if last is None:
            return suspects
        knowledge = self._knowledge[segment_id]
        if knowledge.at is None or knowledge.at.number != last.number:
            # A run that began or failed between: what the facts say is read again up to the last snapshot.
            knowledge.forget()
            knowledge.advance(knowledge.load(session, self._chain_id, last.number), header_at(last))
        judge(session, segment_id, knowledge.known())
        return [*suspects, *self._look_through(session, segment_id)]

    def _look_through(self, session: Session, segment_id: int) -> list[Suspect]:
        """Where positions or totals part ways first; one that no later snapshot shows still makes it unreconciled."""
        is_bad = find_status(session, segment_id)[0] == SegmentStatus.UNRECONCILED
        found = find_first_suspects(session, segment_id) if is_bad or segment_id in self._contradicted else []
        if not found:
            self._contradicted.discard(segment_id)
        elif not is_bad:
            number = found[0].until
            reason = f"positions or totals differ from the contract's at block {number}"
            set_segment_status(session, segment_id, SegmentStatus.UNRECONCILED, reason, number=number)
        return found

    async def _heal(self, up_to: Header) -> None:
        """Looks into what does not add up; what was put right is read and reconciled again."""
        for _ in range(MOST_ROUNDS):
            if not any(self._suspects.values()):
                return
            segments = await self._prepared()
            found = [await self._healer.heal(each, self._suspects.pop(each.id, ()), segments) for each in segments]
            mended = [number for number in found if number is not None]
            if not mended:
                return
            for segment_id, knowledge in self._knowledge.items():
                knowledge.forget()
                self._unsettled[segment_id] = min(mended)
            await self._run_flows(up_to)
            await self._settle()

    async def _prepared(self) -> list[Prepared]:
        """The segments with their filters and first blocks, as the other lanes know them."""
        own = [item.tracked for item in self._watched if item.digest is not None]
        starts = await self._writer.read(lambda session: find_segment_starts(session, [t.segment_id for t in own]))
        return [prepare(tracked, starts[tracked.segment_id]) for tracked in own if tracked.segment_id in starts]


def create_snapshots(
    session: Session, registry: Registry, chain_id: int, *, tracked: Sequence[Tracked], reader: ChainReader,
    writer: LedgerWriter,
) -> Snapshots:  # fmt: skip
    """The lane for these segments of a chain; schedules and feeds come from their fund files."""
    funds = {fund.slug: fund for fund in registry.funds_of(chain_id)}
    ids = list_asset_ids(session, chain_id)
    watched = [
        Watched(
            segment,
            SECONDS[funds[segment.slug].snapshot_every],
            tuple(Priced(ids[asset.address], asset.feed) for asset in funds[segment.slug].assets if asset.feed),
        )
        for segment in tracked
    ]
    return Snapshots(chain_id, reader, writer, watched=watched)


def header_at(place: BlockPlace) -> Header:
    """A stored block as a header; its parent is not needed, since its row is there."""
    return Header(number=place.number, hash=place.hash, parent_hash="", timestamp=int(place.time.timestamp()))


def dense_run(low: Header, places: Sequence[BlockPlace]) -> list[Header]:
    """`low` and the stored blocks above it as far as no height is missing."""
    run = [low]
    for place in places:
        if place.number != run[-1].number + 1:
            break
        run.append(header_at(place))
    return run


def number_of(answer: CallAnswer, index: int) -> tuple[int | None, str | None]:
    """The integer at `index` of an answer, or None and the reason."""
    if answer.values is None:
        return None, (answer.error or "no answer")[:LONGEST_ERROR]
    if index >= len(answer.values) or not isinstance(answer.values[index], int):
        return None, f"garbage: value {index} of {answer.values!r} is no integer"[:LONGEST_ERROR]
    return int(answer.values[index]), None


def call_text(call: ContractCall) -> str:
    """The call as people write it: `balanceOf(0x…)`."""
    name = call.signature.split("(", 1)[0]
    texts = ("0x" + arg.hex() if isinstance(arg, bytes) else str(arg) for arg in call.args)
    return f"{name}({', '.join(texts)})"
