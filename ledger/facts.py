"""Questions about facts: where money moved, what positions sum to, which markets exist; and how facts are written."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import exists, select, update
from sqlmodel import Session, col

from ledger.bulk import insert_rows
from ledger.kinds import FLOW_SIGN, Role, Side
from ledger.tables import Chain, Fact, Snapshot

POLLED_FACT_COLUMNS = (
    "chain_id", "block_hash", "log_index", "fact_no", "segment_id", "block_number", "block_time", "tx_hash", "role",
    "source", "side", "amount_raw", "asset_id", "account", "market", "since_number", "detail", "decoder",
)  # fmt: skip
FLOW_ROLES = sorted(FLOW_SIGN)


class BlockPlace(NamedTuple):
    """Which block: enough to name it to a provider and to write rows that hang on it."""

    number: int
    hash: str
    time: datetime


class Flow(NamedTuple):
    """Effect of one fact on the fund's balance: positive comes in."""

    number: int
    asset_id: int | None
    amount_raw: int


class Exposure(NamedTuple):
    """One exposure change."""

    number: int
    account: str
    market: str
    side: Side
    amount_raw: int


class MarketMove(NamedTuple):
    """A change of a market's totals: role and side say of which."""

    number: int
    market: str
    role: Role
    side: Side | None
    amount_raw: int


def insert_polled_facts(session: Session, chain_id: int, rows: Sequence[Sequence[Any]]) -> None:
    """Writes facts of a chain's polls, values in the order of POLLED_FACT_COLUMNS; those already there stay."""
    insert_rows(session, Fact, POLLED_FACT_COLUMNS, rows)
    if rows:
        note_facts_written(session, chain_id)


def note_facts_written(session: Session, chain_id: int) -> None:
    """What was made of the chain's facts holds no more; in each transaction that writes some or takes some back."""
    more = update(Chain).where(col(Chain.chain_id) == chain_id).values(facts_written=col(Chain.facts_written) + 1)
    session.execute(more.execution_options(synchronize_session=False))


def find_unread_flow_blocks(session: Session, segment_id: int, *, up_to: int) -> list[BlockPlace]:
    """Blocks in which the segment's balance moved and that have no snapshot yet, by height."""
    has_snapshot = exists().where(
        col(Snapshot.chain_id) == col(Fact.chain_id),
        col(Snapshot.block_hash) == col(Fact.block_hash),
        col(Snapshot.segment_id) == segment_id,
    )
    query = (
        select(col(Fact.block_number), col(Fact.block_hash), col(Fact.block_time))
        .where(
            col(Fact.segment_id) == segment_id,
            col(Fact.role).in_(FLOW_ROLES),
            col(Fact.block_number) <= up_to,
            ~has_snapshot,
        )
        .distinct()
    )
    return sorted(BlockPlace(*row) for row in session.execute(query))


def list_flows(session: Session, segment_id: int, *, above: int) -> list[Flow]:
    """Signed effects on the balance in blocks higher than `above`, by height."""
    query = select(col(Fact.block_number), col(Fact.asset_id), col(Fact.role), col(Fact.amount_raw)).where(
        col(Fact.segment_id) == segment_id, col(Fact.role).in_(FLOW_ROLES), col(Fact.block_number) > above
    )
    rows = [
        Flow(number, asset, FLOW_SIGN[Role(role)] * amount)
        for number, asset, role, amount in session.execute(query)
        if amount is not None
    ]
    return sorted(rows, key=lambda row: row.number)


def walk_exposures(
    session: Session, segment_id: int, sides: Collection[Side], *, above: int, up_to: int
) -> Iterator[Exposure]:
    """Exposure changes of these sides in blocks above < number ≤ up_to, by height, a few rows in memory at a time."""
    query = (
        select(col(Fact.block_number), col(Fact.account), col(Fact.market), col(Fact.side), col(Fact.amount_raw))
        .where(
            col(Fact.segment_id) == segment_id,
            col(Fact.role) == Role.EXPOSURE_CHANGE,
            col(Fact.side).in_(sorted(sides)),
            col(Fact.block_number) > above,
            col(Fact.block_number) <= up_to,
        )
        .order_by(col(Fact.block_number))
    )
    for number, account, market, side, amount in session.execute(query.execution_options(yield_per=5000)):
        yield Exposure(number, account or "", market or "", Side(side), amount)


def list_markets(session: Session, segment_id: int, *, above: int, up_to: int) -> list[tuple[int, str, dict[str, Any]]]:
    """(height, market, detail) of market_created facts in blocks above < number ≤ up_to, by height."""
    query = select(col(Fact.block_number), col(Fact.market), col(Fact.detail)).where(
        col(Fact.segment_id) == segment_id,
        col(Fact.role) == Role.MARKET_CREATED,
        col(Fact.block_number) > above,
        col(Fact.block_number) <= up_to,
    )
    rows = [(number, market, detail or {}) for number, market, detail in session.execute(query) if market]
    return sorted(rows, key=lambda row: row[:2])


def walk_market_moves(session: Session, segment_id: int, *, up_to: int) -> Iterator[MarketMove]:
    """What changes the totals of lending markets, by height: exposure changes, interest, socialised losses."""
    roles = (Role.EXPOSURE_CHANGE, Role.INTEREST_ACCRUED, Role.SOCIALISED_LOSS)
    query = (
        select(col(Fact.block_number), col(Fact.market), col(Fact.role), col(Fact.side), col(Fact.amount_raw))
        .where(col(Fact.segment_id) == segment_id, col(Fact.role).in_(roles), col(Fact.block_number) <= up_to)
        .order_by(col(Fact.block_number))
    )
    for number, market, role, side, amount in session.execute(query.execution_options(yield_per=5000)):
        yield MarketMove(number, market or "", Role(role), Side(side) if side else None, amount)
