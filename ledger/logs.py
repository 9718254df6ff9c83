"""Raw logs and the facts decoded from them, in bulk. Nothing here commits."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from ledger.bulk import Bulk, BulkMaker, Same, insert_bulk, insert_columns
from ledger.facts import note_facts_written
from ledger.tables import Asset, Fact, RawLog

LOG_COLUMNS = ("chain_id", "block_hash", "log_index", "block_number", "tx_hash", "address", "topics", "data")
FACT_COLUMNS = (
    "chain_id",
    "block_hash",
    "log_index",
    "fact_no",
    "segment_id",
    "block_number",
    "block_time",
    "tx_hash",
    "role",
    "source",
    "side",
    "amount_raw",
    "asset_id",
    "account",
    "market",
    "detail",
    "decoder",
)


Given = Sequence[Same | Sequence[Any]]
"""Values of many rows, column by column."""


def insert_logs(session: Session, columns: Given) -> None:
    """Adds raw logs, column by column in the order of LOG_COLUMNS; a log that is there stays."""
    insert_columns(session, RawLog, LOG_COLUMNS, columns)


def insert_facts(session: Session, chain_id: int, columns: Given) -> None:
    """Adds facts of a chain, column by column in the order of FACT_COLUMNS; a fact that is there stays."""
    insert_columns(session, Fact, FACT_COLUMNS, columns)
    note_facts_written(session, chain_id)


def insert_made_facts(session: Session, chain_id: int, made: Iterable[Bulk]) -> None:
    """The same of facts that a fact_maker() took; nothing is noted where it took none."""
    there = [facts for facts in made if not facts.is_empty]
    for facts in there:
        insert_bulk(session, facts)
    if there:
        note_facts_written(session, chain_id)


def log_maker(engine: Engine, *, are_many: bool) -> BulkMaker:
    """Takes raw logs, columns in the order of LOG_COLUMNS, so that the writer only has to hand them over."""
    return BulkMaker(engine.dialect, RawLog, LOG_COLUMNS, are_many=are_many)


def fact_maker(engine: Engine, *, are_many: bool) -> BulkMaker:
    """The same of facts, in the order of FACT_COLUMNS."""
    return BulkMaker(engine.dialect, Fact, FACT_COLUMNS, are_many=are_many)


def walk_logs_by(session: Session, chain_id: int, addresses: Collection[str], *, above: int) -> Iterator[RawLog]:
    """Raw logs of these contracts in blocks higher than `above`, by place, a few in memory at a time."""
    query = (
        select(RawLog)
        .where(
            col(RawLog.chain_id) == chain_id,
            col(RawLog.block_number) > above,
            col(RawLog.address).in_(sorted(addresses)),
        )
        .order_by(col(RawLog.block_number), col(RawLog.log_index))
    )
    return iter(session.scalars(query.execution_options(yield_per=5000)))


def list_asset_ids(session: Session, chain_id: int) -> dict[str, int]:
    """Address (lower case) → asset id of a chain."""
    rows = session.execute(select(col(Asset.address), col(Asset.id)).where(col(Asset.chain_id) == chain_id))
    return {address: asset_id for address, asset_id in rows if asset_id is not None}
