"""Logs of a range with the headers that prove them: splits what is too large, asks others where in doubt."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from indexer.adapter import Log, LogFilter
from indexer.rpc.errors import AnswerTooLargeError, ChainError, NobodyElseError, RangeTooWideError, UntruthError
from indexer.rpc.reader import ChainReader, Header, LogBatch
from indexer.scan.blooms import Answers, BloomCheck, ChainBlooms, bloom_of
from indexer.scan.filters import matching
from indexer.scan.opinion import Opinion, SecondOpinion, find_proof
from indexer.scan.ranges import RangeSizer
from indexer.scan.verify import BLOOM, HEAD, by_block, check_headers, portions, quantity
from ledger.coverage import Verified

ATTEMPTS = 4
SUSPECTS_AT_ONCE = 50

Early = asyncio.Task[list[Header]] | None
"""Headers of a whole range, asked for while its logs are."""


@dataclass(frozen=True)
class Fetched:
    """Verified logs of blocks first…last; headers of the blocks that have logs, and of the last one."""

    first: int
    last: int
    logs: Sequence[Log]
    headers: Mapping[int, Header]
    level: int
    passed: tuple[Verified, ...] = ()
    """Higher rungs, and which of these blocks passed them."""

    @property
    def end(self) -> Header:
        """The header of the last block."""
        return self.headers[self.last]


class LogFetcher:
    """Fetches for one set of merged filters. `every_header`: whether final blocks without logs are bloom-checked too.

    That takes a header for each block: right for recordings and short chains, too dear for millions of blocks.
    `opinion`: who is asked besides, or None. `blooms`: what is known of the chain's, for all who fetch from it.
    """

    def __init__(
        self,
        reader: ChainReader,
        filters: Sequence[LogFilter],
        sizer: RangeSizer,
        *,
        every_header: bool,
        opinion: SecondOpinion | None = None,
        blooms: ChainBlooms | None = None,
    ) -> None:
        self._reader = reader
        self._filters = filters
        self._bloom_check = BloomCheck(filters)
        self._sizer = sizer
        self._every_header = every_header
        self._opinion = opinion
        self._blooms = blooms or ChainBlooms()

    async def fetch_final(self, first: int, last: int) -> Fetched:
        """Final blocks first…last, in as many requests as their providers want; no header is asked for twice."""
        early = None
        if self._every_header:
            early = asyncio.create_task(self._reader.headers(range(first, last + 1)))
        try:
            return joined([part async for part in self._parts(first, last, early)])
        finally:
            if early is not None:
                early.cancel()
                await asyncio.gather(early, return_exceptions=True)

    async def _parts(self, first: int, last: int, early: Early) -> AsyncIterator[Fetched]:
        """The range whole or, where that is refused, in smaller and smaller parts."""
        start, end = first, last
        while start <= last:
            try:
                part = await self._trusted(start, end, early)
            except (RangeTooWideError, AnswerTooLargeError) as error:
                self._sizer.refused(end - start + 1, error)
                if start == end:
                    raise
                end = min(end - 1, start + self._sizer.blocks - 1)
                continue
            yield part
            start, end = end + 1, self._sizer.next_range(end + 1, last)[1]

    async def _trusted(self, first: int, last: int, early: Early) -> Fetched:
        """The range from the first provider whose answer stands the checks; raises UntruthError when none does."""
        liars: frozenset[str] = frozenset()
        for attempt in range(ATTEMPTS):
            batch = await self._logs(first, last, liars)
            headers = await self._headers(batch, (first, last), None if attempt else early)
            try:
                level = await self._verify(batch, headers, is_dense=self._every_header)
                heard = await self._hear(batch, (first, last), headers)
            except UntruthError:
                liars |= {batch.provider}
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            self._sizer.answered(last - first + 1, len(batch.logs))
            needed = needed_headers(heard.logs, {**headers, **heard.headers}, last)
            return Fetched(first, last, heard.logs, needed, level, heard.passed)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _hear(self, batch: LogBatch, span: tuple[int, int], headers: Mapping[int, Header]) -> Opinion:
        """Rung 3 for final blocks."""
        return (
            await self._opinion.of_final(self._filters, batch, span, headers) if self._opinion else Opinion(batch.logs)
        )

    async def _headers(self, batch: LogBatch, span: tuple[int, int], early: Early) -> Mapping[int, Header]:
        """Of all blocks, or of those with logs and the last; what was asked for ahead serves the first attempt."""
        first, last = span
        if early is not None:
            headers = [header for header in await early if first <= header.number <= last]
        elif self._every_header:
            headers = await self._reader.headers(range(first, last + 1))
        else:
            headers = await self._reader.headers(sorted({*numbers_of(batch.logs), last}))
        return {header.number: header for header in headers}

    async def _logs(self, first: int, last: int, liars: frozenset[str]) -> LogBatch:
        try:
            return await self._reader.logs(self._filters, first, last, avoid=liars)
        except (RangeTooWideError, AnswerTooLargeError):
            if first < last:
                raise
        whole = await self._reader.logs_from_receipts(first)
        return LogBatch(matching(self._filters, whole.logs), whole.provider, HEAD)

    async def fetch_live(self, headers: Sequence[Header]) -> Fetched:
        """Consecutive blocks by hash; all their headers are at hand, so all their blooms are checked."""
        known = {header.number: header for header in headers}
        liars: frozenset[str] = frozenset()
        for attempt in range(ATTEMPTS):
            parts = await self._reader.logs_of(self._filters, [header.hash for header in headers], avoid=liars)
            batch = LogBatch([log for part in parts for log in part.logs], parts[0].provider, HEAD)
            try:
                level = await self._verify(batch, known, is_dense=True)
                heard = Opinion(batch.logs)
                if self._opinion is not None:
                    heard = await self._opinion.of_live(self._filters, batch, headers)
            except UntruthError:
                liars |= {batch.provider}
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            return Fetched(headers[0].number, headers[-1].number, heard.logs, known, level, heard.passed)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _verify(self, batch: LogBatch, headers: Mapping[int, Header], *, is_dense: bool) -> int:
        """The level reached; raises UntruthError when the answer contradicts headers, blooms or another provider."""
        where = f"{batch.provider}: eth_getLogs"
        answers: Answers = {}
        has_blooms = await self._has_blooms(batch, headers)
        for portion in portions(batch.logs):
            blocks = by_block(portion)
            check_headers(blocks, headers, where)
            if has_blooms:
                answers.update(self._bloom_check.answered(blocks, headers, where))
        if not has_blooms:
            return batch.level
        suspects, has_blooms = self._bloom_check.unanswered(answers, headers.values())
        for at in range(0, len(suspects), SUSPECTS_AT_ONCE):
            await self._ask_elsewhere(batch, suspects[at : at + SUSPECTS_AT_ONCE])
        return BLOOM if has_blooms and is_dense else batch.level

    async def _has_blooms(self, batch: LogBatch, headers: Mapping[int, Header]) -> bool:
        """False for a chain that fills its blooms with zeros: learned once, when others have the same log there."""
        self._blooms.see(headers.values())
        if self._blooms.are_there is None and batch.logs:
            witness = batch.logs[0]
            header = headers.get(quantity(witness.block_number))
            if header is not None and bloom_of(header) == 0:
                avoid = frozenset({batch.provider})
                (other,) = await self._reader.logs_of(self._filters, [header.hash], avoid=avoid)
                self._blooms.are_there = False if witness in other.logs else None
        return self._blooms.are_there is not False

    async def _ask_elsewhere(self, batch: LogBatch, suspects: Sequence[Header]) -> None:
        """Another view of blocks where a log may be missing; a bloom alone is no proof, a log is."""
        others = await self._seen_elsewhere(suspects, frozenset({batch.provider}))
        known = {(log.block_hash, log.log_index) for log in batch.logs}
        for header, other in zip(suspects, others, strict=True):
            if any((log.block_hash, log.log_index) not in known for log in other):
                raise UntruthError(f"{batch.provider}: left out logs of block {header.number} that others have")

    async def _seen_elsewhere(self, headers: Sequence[Header], doubted: frozenset[str]) -> list[Sequence[Log]]:
        """Logs of these blocks from another provider; while none answers, from receipts that their headers prove."""
        if self._reader.voices() < 2 <= len(self._reader.standing()):
            proved = await self._proved(headers)
            if proved is not None:
                return proved
        hashes = [header.hash for header in headers]
        try:
            batches = await self._reader.logs_of(self._filters, hashes, without=doubted)
        except NobodyElseError:  # Then the same one says it twice.
            batches = await self._reader.logs_of(self._filters, hashes, avoid=doubted)
        except ChainError:  # They are there and cannot say: throttled, pruned, or this is too large for them.
            proved = await self._proved(headers)
            if proved is None:
                raise
            return proved
        return [batch.logs for batch in batches]

    async def _proved(self, headers: Sequence[Header]) -> list[Sequence[Log]] | None:
        """Logs of these blocks from receipts that hash to their receiptsRoot; None where one block has none such."""
        proofs = [await find_proof(self._reader, header) for header in headers]
        return None if None in proofs else [matching(self._filters, proof or ()) for proof in proofs]


def needed_headers(logs: Sequence[Log], headers: Mapping[int, Header], last: int) -> Mapping[int, Header]:
    """Only the headers that rows need: those of a whole range would fill the memory."""
    return {number: headers[number] for number in sorted({*numbers_of(logs), last})}


def numbers_of(logs: Sequence[Log]) -> set[int]:
    """The blocks that have logs."""
    return set(map(quantity, {log.block_number for log in logs}))


def joined(parts: Sequence[Fetched]) -> Fetched:
    """Neighbouring ranges as one, as far verified as the least verified of them."""
    if len(parts) == 1:
        return parts[0]
    return Fetched(
        parts[0].first,
        parts[-1].last,
        [log for part in parts for log in part.logs],
        {number: header for part in parts for number, header in part.headers.items()},
        min(part.level for part in parts),
        tuple(rung for part in parts for rung in part.passed),
    )
