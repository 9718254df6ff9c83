"""What rung 5 leads to: blocks in which indexed logs and the chain part ways are found, fetched again, and put right.

A balance is bisected by reading it at blocks between; then the blocks left are asked for again, by hash: from receipts
that hash to receiptsRoot, else from one provider and then from another. What comes and is not stored is put back with
all its facts in one transaction. Each suspicion is looked into once in a run of the program, a few at a time.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial

from sqlmodel import Session

from indexer.adapter import Known, Log, LogFilter, Remembering
from indexer.facts import Prepared, RowMaker, block_row
from indexer.rebuild import Rebuild
from indexer.reconcile import Suspect
from indexer.rpc.errors import ChainError, UntruthError
from indexer.rpc.reader import ChainReader, Header
from indexer.scan.blooms import BloomCheck
from indexer.scan.fetch import Fetched
from indexer.scan.filters import matching, merge_filters
from indexer.scan.opinion import find_proof
from indexer.scan.verify import by_block, check_headers
from indexer.suspects import ExpectedBalance
from ledger.blocks import insert_blocks
from ledger.coverage import cut_coverage, list_covered
from ledger.kinds import BlockStatus, ReadingName
from ledger.logs import insert_logs, list_asset_ids
from ledger.readings import find_finalized, find_hashes, list_places
from ledger.stored import walk_stored_logs
from ledger.writer import LedgerWriter

log = logging.getLogger(__name__)

MOST_HEALS = 3
"""Suspicions of one segment looked into at a time."""
MOST_BLOCKS = 2000
"""Blocks asked for again at most: a wider place is only named."""
MOST_PROVED = 20
"""Where no more blocks are left, all their receipts are asked for; above it only logs."""
HASHES_AT_ONCE = 50
MOST_FRUITLESS = 3
"""Residuals within tolerance that were looked into in vain: after so many the balance is one that grows by itself."""


class Healer:
    """Looks for what is missing of one chain's segments, and puts it back."""

    def __init__(self, chain_id: int, reader: ChainReader, writer: LedgerWriter) -> None:
        self._chain_id = chain_id
        self._reader = reader
        self._writer = writer
        self._looked_at: set[tuple[int, Suspect]] = set()
        self._fruitless: Counter[int] = Counter()

    async def heal(self, segment: Prepared, suspects: Sequence[Suspect], segments: Sequence[Prepared]) -> int | None:
        """Looks into the first suspicions of a segment that are new; the lowest block put right, None for none.

        `segments`: all of the chain, for a block is put right for every one of them. Raises ChainError.
        """
        fresh = [suspect for suspect in suspects if (segment.id, suspect) not in self._looked_at]
        for suspect in sorted(fresh, key=lambda one: one.is_tolerated)[:MOST_HEALS]:
            if suspect.is_tolerated and self._fruitless[segment.id] >= MOST_FRUITLESS:
                continue
            low, high = await self._narrow(segment, suspect)
            low = max(low, segment.start - 1)
            mended = await self._rescan(low, high, segments) if high - low <= MOST_BLOCKS else []
            self._looked_at.add((segment.id, suspect))
            if mended:
                slug, blocks = segment.tracked.slug, ", ".join(map(str, mended))
                log.warning("%s: logs of block %s were missing and are back", slug, blocks)
                return mended[0]
            where = f"block {high}" if high == low + 1 else f"blocks {low + 1}–{high}"
            self._fruitless[segment.id] += suspect.is_tolerated
            log.log(
                logging.INFO if suspect.is_tolerated else logging.ERROR,
                "%s: indexed logs and the chain part ways in %s (%d smallest units), and nobody gives a missing log",
                segment.tracked.slug, where, suspect.residual_raw,
            )  # fmt: skip
        return None

    async def _narrow(self, segment: Prepared, suspect: Suspect) -> tuple[int, int]:
        """The blocks (low, high] by bisection of the balance, as far as anyone keeps the state of those between."""
        low, high = suspect.after, suspect.until
        if suspect.subject is None:
            return low, high
        expected = await self._writer.read(lambda session: ExpectedBalance(session, segment.id, suspect))
        while high - low > 1:
            middle = (low + high) // 2
            balance = await self._balance(segment, suspect.subject, middle)
            if balance is None:
                break
            rounding = segment.tracked.adapter.rounding_per_flow_raw
            is_fine = expected.explains(middle, balance, rounding=rounding)
            low, high = (middle, high) if is_fine else (low, middle)
        return low, high

    async def _balance(self, segment: Prepared, subject: str, number: int) -> int | None:
        """The balance at that height, None where nobody knows it."""
        (header,) = await self._headers(number, number) or (None,)
        wanted = [
            (read.call, value.index)
            for read in segment.tracked.adapter.flow_reads(Known())
            for value in read.values
            if value.name == ReadingName.BALANCE and value.subject == subject
        ]
        if header is None or not wanted:
            return None
        (answer,) = await self._reader.calls([wanted[0][0]], header)
        return None if answer.values is None else int(answer.values[wanted[0][1]])

    async def _headers(self, first: int, last: int) -> list[Header]:
        """Headers of these heights: final ones from the chain, those above from what is held."""

        def work(session: Session) -> list[Header]:
            places = list_places(session, self._chain_id, first=max(first, final + 1), last=last)
            return [Header(place.number, place.hash, "", int(place.time.timestamp())) for place in places]

        final = await self._writer.read(lambda session: find_finalized(session, self._chain_id)) or 0
        of_chain = await self._reader.headers(range(first, min(last, final) + 1)) if first <= final else []
        return [*of_chain, *(await self._writer.read(work) if last > final else [])]

    async def _rescan(self, low: int, high: int, segments: Sequence[Prepared]) -> list[int]:
        """Fetches blocks (low, high] again and puts back what is not stored; the heights that were put right."""
        headers = await self._headers(max(low + 1, 0), high)
        filters = await self._writer.read(partial(self._filters, segments=segments))
        found: dict[tuple[str, int], Log] = {}
        for first in range(0, len(headers), HASHES_AT_ONCE):
            for each in await self._logs_of(filters, headers[first : first + HASHES_AT_ONCE]):
                found.setdefault((each.block_hash, int(each.log_index, 16)), each)
        if not found:
            return []
        known = {header.number: header for header in headers}
        return await self._writer.write(lambda session: self._put_back(session, list(found.values()), known, segments))

    def _filters(self, session: Session, segments: Sequence[Prepared]) -> list[LogFilter]:
        """What all segments ask for, their children included."""
        rebuild = Rebuild(session, self._chain_id)
        for segment in segments:
            rebuild.recall(segment)
        families = [segment.family for segment in segments if segment.family is not None]
        own = [part for segment in segments for part in segment.filters]
        return merge_filters([*own, *(part for family in families for part in family.filters(family.known()))])

    async def _logs_of(self, filters: Sequence[LogFilter], headers: Sequence[Header]) -> list[Log]:
        """Their logs from receipts where these prove them, else whatever one provider or another has."""
        if len(headers) <= MOST_PROVED:
            proofs = [await find_proof(self._reader, header) for header in headers]
            if all(proof is not None for proof in proofs):
                return matching(filters, [each for proof in proofs for each in proof or ()])
        found: list[Log] = []
        asked: frozenset[str] = frozenset()
        for _ in range(max(self._reader.voices(), 1)):
            try:
                parts = await self._reader.logs_of(filters, [header.hash for header in headers], without=asked)
                logs = [each for part in parts for each in part.logs]
                blocks, provider = by_block(logs), parts[0].provider
                known = {header.number: header for header in headers}
                check_headers(blocks, known, provider)
                BloomCheck(filters).answered(blocks, known, provider)
            except UntruthError as error:
                log.warning("%s", error)
                continue
            except ChainError:
                break
            found += logs
            asked |= {part.provider for part in parts}
        return found

    def _put_back(
        self, session: Session, logs: Sequence[Log], headers: dict[int, Header], segments: Sequence[Prepared]
    ) -> list[int]:
        """Stores those of the logs that are not there, block by block. Returns the heights of these blocks."""
        first, last = min(headers), max(headers)
        stored = {
            (row.block_hash, row.log_index)
            for window in walk_stored_logs(session, self._chain_id, first, last)
            for row in window
        }
        missing = [each for each in logs if (each.block_hash, int(each.log_index, 16)) not in stored]
        mender = Mender(session, self._chain_id, segments)
        return [
            number for number, members in sorted(by_block(missing).items()) if mender.mend(headers[number], members)
        ]


class Mender:
    """Puts logs back into blocks, within the session it is given; nothing is committed here."""

    def __init__(self, session: Session, chain_id: int, segments: Sequence[Prepared]) -> None:
        self._session = session
        self._chain_id = chain_id
        self._segments = segments
        self._rows = RowMaker(chain_id, list_asset_ids(session, chain_id))
        self._rebuild = Rebuild(session, chain_id)
        self._covered = {segment.id: list_covered(session, segment.id) for segment in segments}

    def mend(self, header: Header, logs: Sequence[Log]) -> int:
        """Stores the logs of one block that a segment wants, and decodes the block anew. How many were stored."""
        concerned = [segment for segment in self._segments if self._covers(segment, header.number)]
        rows = self._rows.rows_of(Fetched(header.number, header.number, logs, {header.number: header}, 0), concerned)
        if not rows.logs or not self._has_block(header):
            return 0
        insert_logs(self._session, rows.logs)
        for segment in concerned:
            self._decode(segment, header.number)
            if segment.family is not None and matching(segment.family.creations, logs):
                # What a child emitted since was never asked for: those blocks are a hole from here on.
                above, now = header.number - 1, header.time
                cut_coverage(self._session, self._chain_id, above, segment_id=segment.id, now=now)
        return len(rows.numbers)

    def _covers(self, segment: Prepared, number: int) -> bool:
        return any(first <= number <= last for first, last in self._covered[segment.id])

    def _has_block(self, header: Header) -> bool:
        """Final blocks are stored when something hangs on them; one above finality that is gone was replaced."""
        if header.parent_hash:
            insert_blocks(self._session, [block_row(self._chain_id, header, BlockStatus.FINALIZED)])
        return bool(find_hashes(self._session, self._chain_id, [header.hash]))

    def _decode(self, segment: Prepared, number: int) -> None:
        """The block's facts anew; where later logs are understood by earlier ones, those of all later blocks too."""
        is_remembering = isinstance(segment.tracked.adapter, Remembering)
        last = self._covered[segment.id][-1][1] if is_remembering else number
        self._rebuild.recall(segment)
        self._rebuild.redecode(segment, number, last)
