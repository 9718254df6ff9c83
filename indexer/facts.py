"""Logs of a range into the ledger's rows: which segment a log concerns, what it says, and the ids it gets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.adapter import AdapterError, Discovering, FactDraft, Log, LogFilter
from indexer.decode import decode_logs
from indexer.lanes import Tracked
from indexer.rpc.reader import Header
from indexer.scan.children import Family
from indexer.scan.fetch import Fetched
from indexer.scan.filters import digest_of, matching
from ledger.blocks import BlockRow
from ledger.columns import INT256_MIN, UINT256_MAX
from ledger.kinds import BlockStatus
from ledger.tables import RawLog


@dataclass(frozen=True)
class Prepared:
    """A segment ready to scan: its filters, their digest, its first block, and who its factories' children are."""

    tracked: Tracked
    filters: tuple[LogFilter, ...]
    digest: str
    start: int
    family: Family | None = None

    @property
    def id(self) -> int:
        """The segment's ledger id."""
        return self.tracked.segment_id

    def wanted(self, logs: Sequence[Log]) -> Sequence[Log]:
        """Exactly the segment's logs, in the order given; raises AdapterError."""
        return self.family.wanted(self.filters, logs) if self.family else matching(self.filters, logs)


def prepare(tracked: Tracked, start: int) -> Prepared:
    """Asks the adapter once what it wants; raises AdapterError."""
    filters = tuple(tracked.adapter.filters())
    if not isinstance(tracked.adapter, Discovering):
        return Prepared(tracked, filters, digest_of(filters), start)
    family = Family(tracked.adapter)
    filters = (*filters, *family.creations)
    return Prepared(tracked, filters, digest_of([*filters, family.rule()]), start, family)


@dataclass
class Rows:
    """What one commit writes, in the order of the ledger's column tuples, and which segments could not be decoded."""

    blocks: list[BlockRow] = field(default_factory=list)
    logs: list[tuple[Any, ...]] = field(default_factory=list)
    facts: list[tuple[Any, ...]] = field(default_factory=list)
    broken: dict[int, AdapterError] = field(default_factory=dict)


def block_row(chain_id: int, header: Header, status: BlockStatus) -> BlockRow:
    """One row of `block`."""
    return (chain_id, header.hash, header.number, header.parent_hash, header.time, str(status))


def log_of(row: RawLog) -> Log:
    """A stored log as the chain gave it."""
    return Log(
        address=row.address,
        topics=tuple(row.topics.split(",")) if row.topics else (),
        data=row.data,
        block_number=hex(row.block_number),
        block_hash=row.block_hash,
        transaction_hash=row.tx_hash,
        log_index=hex(row.log_index),
    )


class RowMaker:
    """Makes rows for one chain. `asset_ids`: address → id."""

    def __init__(self, chain_id: int, asset_ids: Mapping[str, int]) -> None:
        self._chain_id = chain_id
        self._asset_ids = asset_ids

    def rows_of(self, fetched: Fetched, segments: Iterable[Prepared], status: BlockStatus) -> Rows:
        """All rows of a range. Final blocks without logs get none; those above finality are all kept."""
        rows = Rows()
        kept: dict[tuple[str, str], Log] = {}
        for segment in segments:
            try:
                logs = segment.wanted(fetched.logs)
                facts = [
                    row
                    for log, drafts in zip(logs, decode_logs(segment.tracked.adapter, logs), strict=True)
                    for row in self._fact_rows(segment.tracked, log, drafts, fetched.headers)
                ]
            except AdapterError as error:
                rows.broken[segment.id] = error
                continue
            rows.facts += facts
            kept.update(((log.block_hash, log.log_index), log) for log in logs)
        rows.logs = [self._log_row(log) for log in kept.values()]
        numbers = {int(log.block_number, 16) for log in kept.values()}
        headers = [h for h in fetched.headers.values() if status is BlockStatus.UNFINALIZED or h.number in numbers]
        rows.blocks = [block_row(self._chain_id, header, status) for header in headers]
        return rows

    def _log_row(self, log: Log) -> tuple[Any, ...]:
        return (
            self._chain_id,
            log.block_hash,
            int(log.log_index, 16),
            int(log.block_number, 16),
            log.transaction_hash,
            log.address,
            ",".join(log.topics),
            log.data,
        )

    def _fact_rows(
        self, tracked: Tracked, log: Log, drafts: Sequence[FactDraft], headers: Mapping[int, Header]
    ) -> Iterable[tuple[Any, ...]]:
        number = int(log.block_number, 16)
        decoder = f"{tracked.shape}@{tracked.adapter.version}"
        for fact_no, draft in enumerate(drafts):
            amount = draft.amount_raw
            if amount is not None and not INT256_MIN <= amount <= UINT256_MAX:
                raise AdapterError(
                    f"{draft.role} of log {int(log.log_index, 16)} in block {number}: {amount} is no word"
                )
            asset_id = None if draft.asset is None else self._asset_ids.get(draft.asset)
            yield (
                self._chain_id,
                log.block_hash,
                int(log.log_index, 16),
                fact_no,
                tracked.segment_id,
                number,
                headers[number].time,
                log.transaction_hash,
                str(draft.role),
                None if draft.source is None else str(draft.source),
                None if draft.side is None else str(draft.side),
                amount,
                asset_id,
                draft.account,
                draft.market,
                detail_of(draft, is_listed=asset_id is not None),
                decoder,
            )


def detail_of(draft: FactDraft, *, is_listed: bool) -> dict[str, Any] | None:
    """The draft's further words; an asset that no fund file lists is kept by address, so that nothing is lost."""
    if draft.asset is None or is_listed:
        return None if draft.detail is None else dict(draft.detail)
    return {**(draft.detail or {}), "asset": draft.asset}
