"""Raw logs read back, block by whole block, and facts taken away to be decoded anew. Nothing here commits."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import delete, exists, func, select
from sqlmodel import Session, col

from ledger.facts import note_facts_written
from ledger.tables import Fact, RawLog

WINDOW = 5000
"""Logs read at once."""


def walk_stored_logs(
    session: Session, chain_id: int, first: int, last: int, *, window: int = WINDOW
) -> Iterator[list[RawLog]]:
    """Raw logs of blocks first…last by place, some whole blocks at a time; the rows are not followed by the session."""
    above = first - 1
    while above < last:
        query = (
            select(RawLog)
            .where(col(RawLog.chain_id) == chain_id, col(RawLog.block_number) > above, col(RawLog.block_number) <= last)
            .order_by(col(RawLog.block_number), col(RawLog.log_index))
        )
        rows = list(session.scalars(query.limit(window)))
        if not rows:
            return
        end = rows[-1].block_number
        whole = rows
        if len(rows) == window:
            # The last block may go on beyond the window; one that fills it alone is read by itself.
            whole = [row for row in rows if row.block_number < end]
            if not whole:
                whole = list(session.scalars(query.where(col(RawLog.block_number) == end)))
        above = whole[-1].block_number
        for row in {id(row): row for row in [*rows, *whole]}.values():
            session.expunge(row)
        yield whole


def delete_decoded(session: Session, segment_id: int, first: int, last: int, *, chain_id: int) -> int:
    """Takes away a segment's facts that a raw log of these blocks stands behind; those of polls stay. How many."""
    has_log = exists().where(
        col(RawLog.chain_id) == col(Fact.chain_id),
        col(RawLog.block_number) == col(Fact.block_number),
        col(RawLog.block_hash) == col(Fact.block_hash),
        col(RawLog.log_index) == col(Fact.log_index),
    )
    statement = delete(Fact).where(
        col(Fact.segment_id) == segment_id,
        col(Fact.block_number) >= first,
        col(Fact.block_number) <= last,
        has_log,
    )
    counted: Any = session.execute(statement.execution_options(synchronize_session=False))
    note_facts_written(session, chain_id)
    return int(counted.rowcount)


def count_facts(session: Session, segment_id: int) -> int:
    """How many facts a segment has."""
    return int(session.execute(select(func.count()).where(col(Fact.segment_id) == segment_id)).scalar_one())
