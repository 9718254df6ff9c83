"""Logs of a range into the ledger's rows: which segment a log concerns, what it says, and the ids it gets."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Self, TypeVar

from indexer.adapter import AdapterError, Discovering, FactDraft, Log, LogFilter
from indexer.decode import decode_logs
from indexer.lanes import Tracked
from indexer.rpc.reader import Header
from indexer.scan.children import Family
from indexer.scan.fetch import Fetched
from indexer.scan.filters import Sharing, digest_of, matching
from indexer.scan.verify import portions, quantity
from ledger.blocks import BlockRow
from ledger.bulk import Same
from ledger.columns import INT256_MIN, UINT256_MAX
from ledger.kinds import BlockStatus
from ledger.logs import LOG_COLUMNS
from ledger.tables import RawLog

T = TypeVar("T")
Columns = list[Same | list[Any]]
"""Values of many rows, column by column; none for no rows."""

NUMBER_AT = LOG_COLUMNS.index("block_number")


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
    """What blocks' logs become, and which segments could not be decoded.

    Logs and facts are columns, in the order of LOG_COLUMNS and FACT_COLUMNS; facts by segment. None for no rows.
    """

    logs: Columns = field(default_factory=list)
    facts: dict[int, Columns] = field(default_factory=dict)
    broken: dict[int, AdapterError] = field(default_factory=dict)

    @property
    def numbers(self) -> Sequence[int]:
        """The block of each log."""
        column = self.logs[NUMBER_AT] if self.logs else []
        return column if isinstance(column, list) else []


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


@dataclass(frozen=True)
class Portion:
    """Some logs of a range, whole blocks, with what their rows need of their places, column by column."""

    logs: Sequence[Log]
    numbers: list[int]
    hashes: list[str]
    times: list[datetime]
    indexes: list[int]
    transactions: list[str]

    @classmethod
    def of(cls, logs: Sequence[Log], headers: Mapping[int, Header]) -> Self:
        """What a block's header says is looked up once for all its logs."""
        texts = [log.block_number for log in logs]
        blocks = {text: headers[quantity(text)] for text in set(texts)}
        times = {text: header.time for text, header in blocks.items()}
        found = [blocks[text] for text in texts]
        indexes = [log.log_index for log in logs]
        numbers = {text: quantity(text) for text in set(indexes)}
        return cls(
            logs,
            numbers=[header.number for header in found],
            hashes=[header.hash for header in found],
            times=[times[text] for text in texts],
            indexes=[numbers[text] for text in indexes],
            transactions=[log.transaction_hash for log in logs],
        )


class RowMaker:
    """Makes rows for one chain. `asset_ids`: address → id."""

    def __init__(self, chain_id: int, asset_ids: Mapping[str, int]) -> None:
        self._chain_id = chain_id
        self._asset_ids = asset_ids

    def rows_of(self, fetched: Fetched, segments: Iterable[Prepared]) -> Rows:
        """All rows of a range; no facts of a segment that could not be decoded."""
        rows = Rows()
        for part in self.parts(portions(fetched.logs), fetched.headers, segments):
            add_rows(rows.logs, part.logs)
            for segment_id, columns in part.facts.items():
                add_rows(rows.facts.setdefault(segment_id, []), columns)
            rows.broken.update(part.broken)
        rows.facts = {
            segment_id: columns for segment_id, columns in rows.facts.items() if segment_id not in rows.broken
        }
        return rows

    def parts(
        self, portions: Iterable[Sequence[Log]], headers: Mapping[int, Header], segments: Iterable[Prepared]
    ) -> Iterator[Rows]:
        """The rows of each portion of a range's logs; whole blocks each, and small enough for the processor's cache.

        A segment that could not be decoded has no facts from there on; its logs are there all the same: a better
        decoder finds them in the ledger.
        """
        wanted = list(segments)
        sharing = Sharing([segment.filters for segment in wanted])
        broken = set[int]()
        for logs in portions:
            portion, rows, kept = Portion.of(logs, headers), Rows(), set[int]()
            for segment, matched in zip(wanted, sharing.places(logs), strict=True):
                kept.update(since(segment.start, matched, portion.numbers))
                if segment.id in broken:
                    continue
                try:
                    places, columns = self._decode(portion, segment, matched)
                except AdapterError as error:
                    rows.broken[segment.id] = error
                    broken.add(segment.id)
                    continue
                kept.update(places)
                if columns:
                    rows.facts[segment.id] = columns
            rows.logs = self._log_columns(portion, sorted(kept)) if kept else []
            yield rows

    def blocks(self, headers: Iterable[Header], numbers: Collection[int], status: BlockStatus) -> list[BlockRow]:
        """Rows of blocks, of which those of `numbers` have logs. Final ones without get none."""
        wanted = [h for h in headers if status is BlockStatus.UNFINALIZED or h.number in numbers]
        return [block_row(self._chain_id, header, status) for header in wanted]

    def _decode(self, portion: Portion, segment: Prepared, matched: Sequence[int]) -> tuple[Sequence[int], Columns]:
        """The places of the logs that one segment takes, and its facts. Raises AdapterError."""
        if segment.family is not None:
            matched = places_of(segment.wanted(portion.logs), portion.logs)
        places = since(segment.start, matched, portion.numbers)
        drafts = decode_logs(segment.tracked.adapter, picked(portion.logs, places))
        return places, self._fact_columns(portion, segment.tracked, places, drafts) if any(drafts) else []

    def _log_columns(self, portion: Portion, places: Sequence[int]) -> Columns:
        """These logs in the order of LOG_COLUMNS."""
        logs = picked(portion.logs, places)
        return [
            Same(self._chain_id),
            picked(portion.hashes, places),
            picked(portion.indexes, places),
            picked(portion.numbers, places),
            picked(portion.transactions, places),
            [log.address for log in logs],
            [",".join(log.topics) for log in logs],
            [log.data for log in logs],
        ]

    def _fact_columns(
        self, portion: Portion, tracked: Tracked, places: Sequence[int], decoded: Sequence[Sequence[FactDraft]]
    ) -> Columns:
        """One segment's facts in the order of FACT_COLUMNS. `decoded`: the drafts of the log at each place."""
        drafts = list(chain.from_iterable(decoded))
        counts = list(map(len, decoded))
        of_facts = [place for place, count in zip(places, counts, strict=True) for _ in range(count)]
        numbers, indexes = picked(portion.numbers, of_facts), picked(portion.indexes, of_facts)
        amounts, assets = [draft.amount_raw for draft in drafts], [draft.asset for draft in drafts]
        check_words(amounts, drafts, numbers, indexes)
        asset_ids, details = (
            [None if asset is None else self._asset_ids.get(asset) for asset in assets],
            [draft.detail for draft in drafts],
        )
        if asset_ids.count(None) > assets.count(None):
            # An asset that no fund file lists is kept by address, so that nothing is lost.
            details = [
                detail if asset is None or asset_id is not None else {**(detail or {}), "asset": asset}
                for detail, asset, asset_id in zip(details, assets, asset_ids, strict=True)
            ]
        return [
            Same(self._chain_id),
            picked(portion.hashes, of_facts),
            indexes,
            [fact_no for count in counts for fact_no in range(count)],
            Same(tracked.segment_id),
            numbers,
            picked(portion.times, of_facts),
            picked(portion.transactions, of_facts),
            [draft.role._value_ for draft in drafts],
            [draft.source and draft.source._value_ for draft in drafts],
            [draft.side and draft.side._value_ for draft in drafts],
            amounts,
            asset_ids,
            [draft.account for draft in drafts],
            [draft.market for draft in drafts],
            details,
            Same(f"{tracked.shape}@{tracked.adapter.version}"),
        ]


def add_rows(columns: Columns, more: Columns) -> None:
    """Adds rows to columns, whose values that are the same in all rows stay so. The first rows make the columns."""
    if not columns or not more:
        columns.extend(more)
        return
    for column, others in zip(columns, more, strict=True):
        if isinstance(column, list) and isinstance(others, list):
            column.extend(others)


def check_words(
    amounts: Sequence[int | None], drafts: Sequence[FactDraft], numbers: Sequence[int], indexes: Sequence[int]
) -> None:
    """Raises AdapterError, with the log's place, for an amount that no word of the chain can hold."""
    given = [amount for amount in amounts if amount is not None]
    if not given or (min(given) >= INT256_MIN and max(given) <= UINT256_MAX):
        return
    for amount, draft, number, index in zip(amounts, drafts, numbers, indexes, strict=True):
        if amount is not None and not INT256_MIN <= amount <= UINT256_MAX:
            raise AdapterError(f"{draft.role} of log {index} in block {number}: {amount} is no word")


def picked(column: Sequence[T], places: Iterable[int]) -> list[T]:
    """The values at these places."""
    return [column[place] for place in places]


def since(start: int, places: Sequence[int], numbers: Sequence[int]) -> Sequence[int]:
    """Those of the places, ascending, that a segment wants: a live block may lie before its first one."""
    if not places or numbers[places[0]] >= start:
        return places
    return [place for place in places if numbers[place] >= start]


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
