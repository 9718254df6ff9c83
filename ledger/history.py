"""Everything the calculator needs of one segment, loaded once, as plain rows in an order no database decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlmodel import Session, col

from ledger.kinds import ReadingName, Role
from ledger.tables import (
    Asset,
    Block,
    Chain,
    Coverage,
    Cursor,
    Fact,
    Fund,
    Price,
    Reading,
    Segment,
    Snapshot,
)

# Read for the record and for reconciliation; no metric stands on them.
UNUSED_READINGS = sorted(
    {
        ReadingName.TAKER_SIZE,
        ReadingName.MARK_PRICE,
        ReadingName.OWNER,
        ReadingName.DISTRIBUTION_THRESHOLD,
        ReadingName.WALLET_BALANCE,
        ReadingName.VAULT_BALANCE,
        ReadingName.TOTAL_SUPPLY,
        ReadingName.TOTAL_SUPPLY_SHARES,
    }
)


class FactRow(NamedTuple):
    """One fact; `seconds` is the block's unix time."""

    number: int
    log_index: int
    fact_no: int
    seconds: int
    block_hash: str
    role: str
    source: str | None
    side: str | None
    amount_raw: int | None
    asset_id: int | None
    account: str | None
    market: str | None
    since_number: int | None


class ReadingRow(NamedTuple):
    """One contract read or polled value; `value_raw` None is unknown, with the error."""

    number: int
    name: str
    subject: str
    seconds: int
    value_raw: int | None
    decimals: int
    asset_id: int | None
    error: str | None


class PriceRow(NamedTuple):
    """One price read; `updated_seconds` is the feed's own time, None where it does not say."""

    number: int
    asset_id: int
    seconds: int
    answer_raw: int | None
    decimals: int
    updated_seconds: int | None
    error: str | None


class PointRow(NamedTuple):
    """A block read completely (or, of kind flow, for its balance only)."""

    number: int
    block_hash: str
    time: datetime
    kind: str
    residual_raw: int | None
    is_reconciled: bool | None


class BlockRow(NamedTuple):
    """A block that the ledger refers to."""

    number: int
    block_hash: str
    time: datetime


class CoverageRow(NamedTuple):
    """An interval of blocks completely scanned for one set of filters."""

    filter_digest: str
    from_number: int
    to_number: int


class AssetRow(NamedTuple):
    """An asset with what M1 needs to value it."""

    asset_id: int
    address: str
    symbol: str
    decimals: int
    beta: float
    depth_haircut: float
    floor_haircut: float
    access: float
    access_reason: str


class LoanTerms(NamedTuple):
    """What a lending market was created with: its tokens, and the loan-to-value from which a loan is liquidatable.

    `threshold` in 18 decimals.
    """

    loan: str
    collateral: str
    threshold: int


@dataclass(frozen=True)
class SegmentHistory:
    """One segment's rows, each list sorted by block and then by its key."""

    segment: Segment
    fund: Fund
    chain: Chain
    assets: Mapping[int, AssetRow]
    facts: Sequence[FactRow]
    readings: Sequence[ReadingRow]
    prices: Sequence[PriceRow]
    points: Sequence[PointRow]
    coverage: Sequence[CoverageRow]
    blocks: Sequence[BlockRow]
    tip_number: int | None
    loan_terms: Mapping[str, LoanTerms] = field(default_factory=dict)


def list_segments(session: Session) -> list[Segment]:
    """Every segment, by slug."""
    found = session.execute(select(Segment)).scalars().all()
    return sorted(found, key=lambda segment: segment.slug)


def load_history(session: Session, segment: Segment) -> SegmentHistory:
    """Load one segment with everything that hangs on it, and the blocks and prices of its chain."""
    chain_id = segment.chain_id
    fund, chain = session.get_one(Fund, segment.fund_slug), session.get_one(Chain, chain_id)
    blocks = _load_blocks(session, chain_id)
    # Rows carry their block's time as well; taken from the blocks it is converted once a block, not once a row.
    seconds = {block.number: _seconds(block.time) for block in blocks}
    cursor = session.get(Cursor, chain_id)
    return SegmentHistory(
        segment=segment,
        fund=fund,
        chain=chain,
        assets=_load_assets(session, chain_id),
        facts=_load_facts(session, segment, seconds),
        readings=_load_readings(session, segment, seconds),
        prices=_load_prices(session, chain_id, seconds),
        points=_load_points(session, segment),
        coverage=_load_coverage(session, segment),
        blocks=blocks,
        tip_number=cursor.number if cursor else None,
        loan_terms=_load_loan_terms(session, segment),
    )


def _load_assets(session: Session, chain_id: int) -> dict[int, AssetRow]:
    found = session.execute(select(Asset).where(col(Asset.chain_id) == chain_id)).scalars()
    rows = [
        AssetRow(
            a.id, a.address, a.symbol, a.decimals, a.beta, a.depth_haircut, a.floor_haircut, a.access, a.access_reason
        )
        for a in found
        if a.id is not None
    ]
    return {row.asset_id: row for row in sorted(rows)}


def _load_blocks(session: Session, chain_id: int) -> list[BlockRow]:
    columns = (Block.number, Block.hash, Block.timestamp)
    found = session.execute(select(*map(col, columns)).where(col(Block.chain_id) == chain_id))
    return sorted(BlockRow(*row) for row in found)


def _load_facts(session: Session, segment: Segment, seconds: Mapping[int, int]) -> list[FactRow]:
    columns = (
        Fact.block_number, Fact.log_index, Fact.fact_no, Fact.block_hash, Fact.role, Fact.source, Fact.side,
        Fact.amount_raw, Fact.asset_id, Fact.account, Fact.market, Fact.since_number,
    )  # fmt: skip
    found = session.execute(select(*map(col, columns)).where(col(Fact.segment_id) == segment.id))
    rows = [FactRow._make((*row[:3], seconds[row[0]], *row[3:])) for row in found]
    return sorted(rows, key=lambda row: row[:3])


def _load_loan_terms(session: Session, segment: Segment) -> dict[str, LoanTerms]:
    """By market; an id is the hash of its terms, so none is ever another's."""
    found = session.execute(
        select(col(Fact.market), col(Fact.detail)).where(
            col(Fact.segment_id) == segment.id, col(Fact.role) == str(Role.MARKET_CREATED)
        )
    )
    terms = {}
    for market, detail in found:
        if market and detail and {"loan", "collateral", "lltv"} <= set(detail):
            terms[market] = LoanTerms(detail["loan"], detail["collateral"], int(detail["lltv"]))
    return terms


def _load_readings(session: Session, segment: Segment, seconds: Mapping[int, int]) -> list[ReadingRow]:
    columns = (
        Reading.block_number, Reading.name, Reading.subject, Reading.value_raw, Reading.decimals, Reading.asset_id,
        Reading.error,
    )  # fmt: skip
    wanted = (col(Reading.segment_id) == segment.id, col(Reading.name).not_in(UNUSED_READINGS))
    found = session.execute(select(*map(col, columns)).where(*wanted))
    rows = [ReadingRow._make((*row[:3], seconds[row[0]], *row[3:])) for row in found]
    return sorted(rows, key=lambda row: row[:3])


def _load_prices(session: Session, chain_id: int, seconds: Mapping[int, int]) -> list[PriceRow]:
    columns = (
        Price.block_number, Price.asset_id, Price.answer_raw, Price.decimals, Price.updated_at, Price.error,
    )  # fmt: skip
    found = session.execute(select(*map(col, columns)).where(col(Price.chain_id) == chain_id))
    rows = [PriceRow._make((*row[:2], seconds[row[0]], *row[2:4], _own_seconds(row[4]), row[5])) for row in found]
    return sorted(rows, key=lambda row: row[:2])


def _load_points(session: Session, segment: Segment) -> list[PointRow]:
    columns = (
        Snapshot.block_number, Snapshot.block_hash, Snapshot.block_time, Snapshot.kind, Snapshot.residual_raw,
        Snapshot.is_reconciled,
    )  # fmt: skip
    found = session.execute(select(*map(col, columns)).where(col(Snapshot.segment_id) == segment.id))
    return sorted((PointRow(*row) for row in found), key=lambda row: row[:2])


def _load_coverage(session: Session, segment: Segment) -> list[CoverageRow]:
    columns = (Coverage.filter_digest, Coverage.from_number, Coverage.to_number)
    found = session.execute(select(*map(col, columns)).where(col(Coverage.segment_id) == segment.id))
    return sorted(CoverageRow(*row) for row in found)


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _own_seconds(time: datetime | None) -> int | None:
    return None if time is None else _seconds(time)
