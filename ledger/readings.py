"""Questions about snapshots, readings and prices, and how they are written."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, update
from sqlmodel import Session, col

from ledger.bulk import insert_rows
from ledger.facts import BlockPlace
from ledger.kinds import ReadingName, SnapshotKind
from ledger.tables import Block, Chain, Price, Reading, Segment, Snapshot

READING_COLUMNS = (
    "chain_id", "block_hash", "segment_id", "name", "subject", "block_number", "block_time", "value_raw", "decimals",
    "asset_id", "contract", "call", "error",
)  # fmt: skip
PRICE_COLUMNS = (
    "chain_id", "block_hash", "asset_id", "block_number", "block_time", "answer_raw", "decimals", "updated_at", "feed",
    "error",
)  # fmt: skip
SNAPSHOT_COLUMNS = ("chain_id", "block_hash", "segment_id", "block_number", "block_time", "kind")


class Value(NamedTuple):
    """One reading of a name that a reconciliation looks at."""

    number: int
    subject: str
    value_raw: int | None
    asset_id: int | None
    error: str | None


class Point(NamedTuple):
    """A snapshot."""

    number: int
    hash: str
    kind: SnapshotKind


def insert_readings(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Writes readings, values in the order of READING_COLUMNS."""
    insert_rows(session, Reading, READING_COLUMNS, rows)


def insert_prices(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Writes prices, values in the order of PRICE_COLUMNS; one that another segment's snapshot wrote stays."""
    insert_rows(session, Price, PRICE_COLUMNS, rows)


def insert_snapshots(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Writes snapshot rows, values in the order of SNAPSHOT_COLUMNS."""
    insert_rows(session, Snapshot, SNAPSHOT_COLUMNS, rows)


def find_hashes(session: Session, chain_id: int, hashes: Sequence[str]) -> set[str]:
    """Those of the hashes that the ledger holds as blocks."""
    query = select(col(Block.hash)).where(col(Block.chain_id) == chain_id, col(Block.hash).in_(hashes))
    return set(session.execute(query).scalars())


def find_last_scheduled(session: Session, segment_id: int) -> BlockPlace | None:
    """The highest block read on schedule; every one due below it has been read too."""
    query = (
        select(col(Snapshot.block_number), col(Snapshot.block_hash), col(Snapshot.block_time))
        .where(col(Snapshot.segment_id) == segment_id, col(Snapshot.kind) == SnapshotKind.SCHEDULED)
        .order_by(col(Snapshot.block_number).desc())
    )
    row = session.execute(query.limit(1)).first()
    return BlockPlace(*row) if row else None


def find_finalized(session: Session, chain_id: int) -> int | None:
    """The chain's latest finalized height, None until a provider named one."""
    return session.execute(
        select(col(Chain.finalized_number)).where(col(Chain.chain_id) == chain_id)
    ).scalar_one_or_none()


def list_places(session: Session, chain_id: int, *, first: int, last: int) -> list[BlockPlace]:
    """Stored blocks of these heights, by height."""
    query = select(col(Block.number), col(Block.hash), col(Block.timestamp)).where(
        col(Block.chain_id) == chain_id, col(Block.number) >= first, col(Block.number) <= last
    )
    return sorted(BlockPlace(*row) for row in session.execute(query))


def list_snapshots(session: Session, segment_id: int, *, first: int) -> list[Point]:
    """Snapshots at or above a height, by height."""
    query = select(col(Snapshot.block_number), col(Snapshot.block_hash), col(Snapshot.kind)).where(
        col(Snapshot.segment_id) == segment_id, col(Snapshot.block_number) >= first
    )
    return sorted(Point(number, digest, SnapshotKind(kind)) for number, digest, kind in session.execute(query))


def list_values(session: Session, segment_id: int, name: ReadingName, *, first: int) -> list[Value]:
    """Readings of a name at or above a height, by height and subject."""
    query = select(
        col(Reading.block_number),
        col(Reading.subject),
        col(Reading.value_raw),
        col(Reading.asset_id),
        col(Reading.error),
    ).where(col(Reading.segment_id) == segment_id, col(Reading.name) == name, col(Reading.block_number) >= first)
    return sorted((Value(*row) for row in session.execute(query)), key=lambda value: value[:2])


def find_balance_height_before(session: Session, segment_id: int, number: int) -> int | None:
    """The highest block below `number` with a known balance."""
    query = select(func.max(col(Reading.block_number))).where(
        col(Reading.segment_id) == segment_id,
        col(Reading.name) == ReadingName.BALANCE,
        col(Reading.value_raw).is_not(None),
        col(Reading.block_number) < number,
    )
    found: int | None = session.execute(query).scalar_one()
    return found


def count_unreconciled(session: Session, segment_id: int) -> tuple[int, int]:
    """(snapshots whose balance the flows do not explain, snapshots decided)."""
    query = select(col(Snapshot.is_reconciled), func.count()).where(
        col(Snapshot.segment_id) == segment_id, col(Snapshot.is_reconciled).is_not(None)
    )
    counts = {bool(decided): count for decided, count in session.execute(query.group_by(col(Snapshot.is_reconciled)))}
    return counts.get(False, 0), sum(counts.values())


def find_first_unreconciled(session: Session, segment_id: int) -> tuple[int, int | None] | None:
    """(height, residual) of the lowest snapshot whose balance the flows do not explain; None where all is well."""
    row = session.execute(
        select(col(Snapshot.block_number), col(Snapshot.residual_raw))
        .where(col(Snapshot.segment_id) == segment_id, col(Snapshot.is_reconciled).is_(False))
        .order_by(col(Snapshot.block_number))
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


def save_residuals(session: Session, segment_id: int, rows: Iterable[tuple[str, int | None, bool | None]]) -> None:
    """(block hash, residual, whether it is within tolerance) into the snapshots."""
    values = [{"digest": digest, "residual": residual, "verdict": verdict} for digest, residual, verdict in rows]
    if not values:
        return
    table: Any = Snapshot.__table__  # type: ignore[attr-defined]
    # The key begins with the chain: without it each update would read all snapshots.
    chain_id = session.execute(select(col(Segment.chain_id)).where(col(Segment.id) == segment_id)).scalar_one()
    statement = (
        update(table)
        .where(
            table.c.chain_id == chain_id,
            table.c.segment_id == segment_id,
            table.c.block_hash == bindparam("digest"),
        )
        .values(residual_raw=bindparam("residual"), is_reconciled=bindparam("verdict"))
    )
    session.connection().execute(statement, values)


def find_status(session: Session, segment_id: int) -> tuple[str, str]:
    """The segment's status and its reason."""
    query = select(col(Segment.status), col(Segment.status_reason)).where(col(Segment.id) == segment_id)
    status, reason = session.execute(query).one()
    return status, reason
