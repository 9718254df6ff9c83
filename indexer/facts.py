"""Logs of a range into the ledger's rows: which segment a log concerns, what it says, and the ids it gets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from indexer.adapter import AdapterError, Discovering, FactDraft, Log, LogFilter
from indexer.decode import decode_logs
from indexer.lanes import Tracked
from indexer.rpc.reader import Header
from indexer.scan.children import Family
from indexer.scan.fetch import Fetched
from indexer.scan.filters import digest_of, matching, shared_out
from indexer.scan.verify import by_block, quantity
from ledger.blocks import BlockRow
from ledger.columns import INT256_MIN, UINT256_MAX
from ledger.kinds import BlockStatus
from ledger.tables import RawLog

Placed = tuple[tuple[Any, ...], datetime]
"""A row of `raw_log` and the time of its block."""


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
        placed = self._placed(fetched)
        kept: set[int] = set()
        wanted = list(segments)
        own = shared_out([segment.filters for segment in wanted], fetched.logs)
        for segment, all_matched in zip(wanted, own, strict=True):
            matched = since(segment.start, all_matched, placed)
            kept.update(matched)  # Also what cannot be decoded: a better decoder finds it in the ledger.
            try:
                places = matched
                if segment.family is not None:
                    places = since(segment.start, places_of(segment.wanted(fetched.logs), fetched.logs), placed)
                drafts = decode_logs(segment.tracked.adapter, [fetched.logs[place] for place in places])
                facts = self._fact_rows(segment.tracked, [placed[place] for place in places], drafts)
            except AdapterError as error:
                rows.broken[segment.id] = error
                continue
            rows.facts += facts
            kept.update(places)
        rows.logs = [placed[place][0] for place in sorted(kept)]
        numbers = {row[3] for row in rows.logs}
        headers = [h for h in fetched.headers.values() if status is BlockStatus.UNFINALIZED or h.number in numbers]
        rows.blocks = [block_row(self._chain_id, header, status) for header in headers]
        return rows

    def _placed(self, fetched: Fetched) -> list[Placed]:
        """Each log as a row of `raw_log`, and the time of its block; one text and one time for all rows of a block."""
        placed: list[Placed] = []
        for number, logs in by_block(fetched.logs).items():
            header = fetched.headers[number]
            chain_id, block_hash, time = self._chain_id, header.hash, header.time
            for log in logs:
                index, topics = quantity(log.log_index), ",".join(log.topics)
                row = (chain_id, block_hash, index, number, log.transaction_hash, log.address, topics, log.data)
                placed.append((row, time))
        return placed

    def _fact_rows(
        self, tracked: Tracked, placed: Sequence[Placed], decoded: Sequence[Sequence[FactDraft]]
    ) -> list[tuple[Any, ...]]:
        segment_id, decoder = tracked.segment_id, f"{tracked.shape}@{tracked.adapter.version}"
        find_asset_id = self._asset_ids.get
        rows = []
        for (log, time), drafts in zip(placed, decoded, strict=True):
            chain_id, block_hash, log_index, number, tx_hash = log[:5]
            for fact_no, draft in enumerate(drafts):
                amount, asset, source, side = draft.amount_raw, draft.asset, draft.source, draft.side
                if amount is not None and not INT256_MIN <= amount <= UINT256_MAX:
                    raise AdapterError(f"{draft.role} of log {log_index} in block {number}: {amount} is no word")
                asset_id = None if asset is None else find_asset_id(asset)
                # An asset that no fund file lists is kept by address, so that nothing is lost.
                is_named = asset is None or asset_id is not None
                rows.append((
                    chain_id, block_hash, log_index, fact_no, segment_id, number, time, tx_hash,
                    draft.role._value_, source and source._value_, side and side._value_,
                    amount, asset_id, draft.account, draft.market,
                    draft.detail if is_named else {**(draft.detail or {}), "asset": asset}, decoder,
                ))  # fmt: skip
        return rows


def since(start: int, places: Sequence[int], placed: Sequence[Placed]) -> Sequence[int]:
    """Those of the places, ascending, that a segment wants: a live block may lie before its first one."""
    if not places or placed[places[0]][0][3] >= start:
        return places
    return [place for place in places if placed[place][0][3] >= start]


def places_of(chosen: Sequence[Log], logs: Sequence[Log]) -> list[int]:
    """Where these logs, in the same order, stand among all."""
    wanted = iter(chosen)
    following = next(wanted, None)
    places = []
    for place, log in enumerate(logs):
        if log is following:
            places.append(place)
            following = next(wanted, None)
    return places
