"""Raw logs and the facts decoded from them, in bulk. Nothing here commits."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from ledger.database import insert_rows
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


def insert_logs(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Adds raw logs, values in the order of LOG_COLUMNS; a log that is there stays."""
    insert_rows(session, RawLog, LOG_COLUMNS, rows)


def insert_facts(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Adds facts, values in the order of FACT_COLUMNS; a fact that is there stays."""
    insert_rows(session, Fact, FACT_COLUMNS, rows)


def list_asset_ids(session: Session, chain_id: int) -> dict[str, int]:
    """Address (lower case) → asset id of a chain."""
    rows = session.execute(select(col(Asset.address), col(Asset.id)).where(col(Asset.chain_id) == chain_id))
    return {address: asset_id for address, asset_id in rows if asset_id is not None}
