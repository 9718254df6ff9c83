"""Rung 3: a second provider is asked for the same logs. Where the two differ, receiptsRoot or a third one decides.

Rungs 0 to 2 find what contradicts itself or its header; a log left out beside others of its kind they cannot find.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from indexer.adapter import Log, LogFilter
from indexer.receipts import proved_logs
from indexer.rpc.errors import ChainError, UntruthError
from indexer.rpc.reader import ChainReader, Header, LogBatch
from indexer.scan.filters import matching
from indexer.scan.verify import by_block, ordered_logs
from ledger.coverage import AUDITED, COMPARED, Verified

log = logging.getLogger(__name__)

SHARE = 0.05
"""Of final ranges with many logs: how many are compared."""
FEW_LOGS = 50
"""Ranges with no more than these are always compared: rare events are the dear ones, and asking again is cheap."""
PATIENCE_SECONDS = 1.0
"""How long a new block waits for its second opinion: a provider that lags must not hold up the live lane."""
MOST_PROOFS = 3
"""Providers asked for the receipts of one block."""


@dataclass(frozen=True)
class Opinion:
    """The logs as they are after all were heard, headers that came along, and the rungs that were passed."""

    logs: Sequence[Log]
    headers: Mapping[int, Header] = field(default_factory=dict)
    passed: tuple[Verified, ...] = ()


class SecondOpinion:
    """Compares what one provider said with what another says. `loud`: first topics of events always compared."""

    def __init__(
        self, reader: ChainReader, chain_id: int, *, share: float = SHARE, loud: frozenset[str] = frozenset()
    ) -> None:
        self._reader = reader
        self._chain_id = chain_id
        self._share = share
        self._loud = loud

    async def of_final(
        self, filters: Sequence[LogFilter], batch: LogBatch, span: tuple[int, int], headers: Mapping[int, Header]
    ) -> Opinion:
        """Final blocks of the span: a sample of the ranges, and all that hold few logs or a loud one."""
        if self._reader.voices() < 2 or not self.is_wanted(batch.logs, span[0]):
            return Opinion(batch.logs)
        try:
            other = await self._reader.logs(filters, *span, without=frozenset({batch.provider}))
        except ChainError as error:
            log.debug("no second opinion on blocks %d–%d: %s", *span, error)
            return Opinion(batch.logs)
        return await self._settle(filters, (batch, other), span, headers)

    async def of_live(self, filters: Sequence[LogFilter], batch: LogBatch, headers: Sequence[Header]) -> Opinion:
        """New blocks by hash: always, where somebody else has them already."""
        if self._reader.voices() < 2:
            return Opinion(batch.logs)
        hashes, span = [header.hash for header in headers], (headers[0].number, headers[-1].number)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                parts = await self._reader.logs_of(filters, hashes, without=frozenset({batch.provider}))
        except (ChainError, TimeoutError) as error:
            log.debug("no second opinion on blocks %d–%d: %s", *span, error)
            return Opinion(batch.logs)
        other = LogBatch([each for part in parts for each in part.logs], parts[0].provider, batch.level)
        return await self._settle(filters, (batch, other), span, {header.number: header for header in headers})

    def is_wanted(self, logs: Sequence[Log], first: int) -> bool:
        """Whether a final range is compared: the same answer whenever the same range is fetched."""
        if len(logs) <= FEW_LOGS or any(each.topics and each.topics[0] in self._loud for each in logs):
            return True
        drawn = int.from_bytes(sha256(f"{self._chain_id} {first}".encode()).digest()[:8], "big")
        return drawn < self._share * 2**64

    async def _settle(
        self,
        filters: Sequence[LogFilter],
        said: tuple[LogBatch, LogBatch],
        span: tuple[int, int],
        headers: Mapping[int, Header],
    ) -> Opinion:
        """Both answers as one: where they differ, what is proved; raises UntruthError where nothing can be."""
        compared = Verified(COMPARED, *span)
        one, other = (by_block(batch.logs) for batch in said)
        disputed = sorted(number for number in one.keys() | other.keys() if one.get(number) != other.get(number))
        if not disputed:
            return Opinion(said[0].logs, passed=(compared,))
        known = dict(headers)
        known.update((h.number, h) for h in await self._reader.headers([n for n in disputed if n not in known]))
        truth, passed = dict(one), [compared]
        for number in disputed:
            truth[number], is_proved = await self._truth(filters, known[number], said)
            passed += [Verified(AUDITED, number, number)] if is_proved else []
            for batch, told in zip(said, (one, other), strict=True):
                if told.get(number, []) != truth[number]:
                    self._reader.distrust(
                        batch.provider, f"{batch.provider}: logs of block {number} are not those of its receipts"
                        if is_proved else f"{batch.provider}: logs of block {number} are not what others say",
                    )  # fmt: skip
        logs = [each for number in sorted(truth) for each in truth[number]]
        return Opinion(logs, {number: known[number] for number in disputed}, tuple(passed))

    async def _truth(
        self, filters: Sequence[LogFilter], header: Header, said: tuple[LogBatch, LogBatch]
    ) -> tuple[list[Log], bool]:
        """The logs of one disputed block, and whether its receiptsRoot proves them."""
        proved = await find_proof(self._reader, header)
        if proved is not None:
            return matching(filters, proved), True
        names = frozenset(batch.provider for batch in said)
        try:
            (third,) = await self._reader.logs_of(filters, [header.hash], without=names)
        except ChainError as error:
            raise UntruthError(
                f"block {header.number}: {' and '.join(sorted(names))} give different logs, and neither its receipts "
                f"nor a third provider decides ({error}); name another provider in BACKSTOP_RPC_URLS"
            ) from error
        for batch in said:
            if by_block(batch.logs).get(header.number, []) == third.logs:
                return list(third.logs), False
        raise UntruthError(f"block {header.number}: three providers give three different answers")


async def find_proof(reader: ChainReader, header: Header) -> list[Log] | None:
    """All logs of a block as its receiptsRoot proves them, from the first provider whose receipts hash to it.

    None where the header has no such root, or nobody has such receipts.
    """
    without: frozenset[str] = frozenset()
    for _ in range(MOST_PROOFS if header.receipts_root else 0):
        try:
            given = await reader.receipts(header.hash, without=without)
        except ChainError:
            return None
        try:
            logs = proved_logs(given.receipts, header, given.provider)
            return ordered_logs([logs], header.number, header.number, given.provider)
        except UntruthError as error:
            # No reason to accuse: some chains' receipts hold more than their root does (Polygon's state syncs).
            log.debug("%s", error)
            without |= {given.provider}
    return None
