"""Blocks, the cursor and reorganisations: what the two lanes of the indexer ask and write. Nothing here commits."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, delete, exists, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, col

from ledger.bulk import insert_rows
from ledger.facts import note_facts_written
from ledger.kinds import BlockStatus
from ledger.tables import Block, Chain, Cursor, Fact, OrphanedLog, Price, RawLog, Reading, Reorg, Snapshot

BLOCK_COLUMNS = ("chain_id", "hash", "number", "parent_hash", "timestamp", "status")
HANGING: tuple[type[SQLModel], ...] = (RawLog, Fact, Reading, Price, Snapshot)
"""Tables whose rows keep a final block from being pruned."""

BlockRow = tuple[int, str, int, str, datetime, str]
"""Values in the order of BLOCK_COLUMNS."""


def insert_blocks(session: Session, rows: Iterable[BlockRow]) -> None:
    """Adds blocks; those that are there stay as they are."""
    insert_rows(session, Block, BLOCK_COLUMNS, rows)


def list_blocks(session: Session, chain_id: int, first: int, last: int) -> list[tuple[int, str]]:
    """(number, hash) of the stored blocks first…last, ascending."""
    rows = session.execute(
        select(col(Block.number), col(Block.hash))
        .where(col(Block.chain_id) == chain_id, col(Block.number).between(first, last))
        .order_by(col(Block.number))
    )
    return [(number, block_hash) for number, block_hash in rows]


def find_cursor(session: Session, chain_id: int) -> Cursor | None:
    """The tip we followed, or None before the first block."""
    return session.get(Cursor, chain_id)


def start_cursor(session: Session, chain_id: int, number: int, block_hash: str) -> bool:
    """The first cursor of a chain; False when another writer has set one meanwhile (this transaction is lost then)."""
    session.add(Cursor(chain_id=chain_id, number=number, hash=block_hash, epoch=0))
    try:
        session.flush()
    except IntegrityError:
        return False
    return True


def move_cursor(session: Session, held: Cursor, *, number: int, block_hash: str, rollbacks: int = 0) -> bool:
    """Compare-and-swap: moves the cursor if it is still where `held` says; False when another writer was faster."""
    result = session.execute(
        update(Cursor)
        .where(
            col(Cursor.chain_id) == held.chain_id,
            col(Cursor.number) == held.number,
            col(Cursor.hash) == held.hash,
            col(Cursor.epoch) == held.epoch,
        )
        .values(number=number, hash=block_hash, epoch=held.epoch + rollbacks)
        .execution_options(synchronize_session=False)
    )
    return _count(result) == 1


def replace_cursor(session: Session, held: Cursor, *, number: int, block_hash: str) -> None:
    """Sets the tip back by an operator's word; a new epoch refuses every writer that did not hear of it."""
    if not move_cursor(session, held, number=number, block_hash=block_hash, rollbacks=1):
        raise RuntimeError(f"the cursor of chain {held.chain_id} moved while it was set back")
    session.expire(held)


def delete_cursor(session: Session, chain_id: int) -> None:
    """The chain is followed from its start again."""
    session.execute(delete(Cursor).where(col(Cursor.chain_id) == chain_id))


def find_block_at_or_below(session: Session, chain_id: int, number: int) -> tuple[int, str] | None:
    """(number, hash) of the highest stored block up to that height."""
    row = session.execute(
        select(col(Block.number), col(Block.hash))
        .where(col(Block.chain_id) == chain_id, col(Block.number) <= number)
        .order_by(col(Block.number).desc())
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


def lower_finalized(session: Session, chain_id: int, number: int | None) -> None:
    """Nothing above that height is final any more (None: nothing at all); a lower mark stays."""
    statement = update(Chain).where(col(Chain.chain_id) == chain_id)
    if number is not None:
        statement = statement.where(col(Chain.finalized_number) > number)
    session.execute(statement.values(finalized_number=number).execution_options(synchronize_session=False))


def set_finalized(session: Session, chain_id: int, anchor: BlockRow, *, before: int | None) -> None:
    """Blocks up to `anchor` are final; those of them that nothing refers to are pruned, the anchor itself stays.

    `before`: the number that was final until now.
    """
    number, since = anchor[2], -1 if before is None else before
    insert_blocks(session, [anchor])
    session.execute(
        update(Block)
        .where(col(Block.chain_id) == chain_id, col(Block.number).between(since, number))
        .where(col(Block.status) != str(BlockStatus.FINALIZED))
        .values(status=str(BlockStatus.FINALIZED))
        .execution_options(synchronize_session=False)
    )
    prune_blocks(session, chain_id, since, number - 1)
    session.execute(
        update(Chain)
        .where(col(Chain.chain_id) == chain_id)
        .values(finalized_number=number)
        .execution_options(synchronize_session=False)
    )


def prune_blocks(session: Session, chain_id: int, first: int, last: int) -> None:
    """Removes blocks first…last that no log, fact, reading, price or snapshot hangs on."""
    statement = delete(Block).where(col(Block.chain_id) == chain_id, col(Block.number).between(first, last))
    for table in HANGING:
        of_block: Any = table
        statement = statement.where(
            ~exists().where(
                of_block.chain_id == Block.chain_id,
                of_block.block_number == Block.number,
                of_block.block_hash == Block.hash,
            )
        )
    session.execute(statement.execution_options(synchronize_session=False))


def record_reorg(session: Session, reorg: Reorg) -> None:
    """Writes the public record of a reorganisation with the logs it takes back; call it before the blocks go."""
    # Not the database's own sequence: Postgres leaves a gap there when a transaction dies, and reruns must agree.
    reorg.id = (session.scalar(select(func.max(Reorg.id))) or 0) + 1
    session.add(reorg)
    session.flush()
    names = ["block_hash", "log_index", "block_number", "tx_hash", "address", "topics", "data"]
    taken_back = select(literal(reorg.id), *(getattr(RawLog, name) for name in names)).where(
        col(RawLog.chain_id) == reorg.chain_id, col(RawLog.block_number) > reorg.fork_number
    )
    session.execute(insert(OrphanedLog).from_select(["reorg_id", *names], taken_back))


def delete_blocks_above(session: Session, chain_id: int, number: int) -> None:
    """Removes blocks above `number` with everything that hangs on them.

    Readings, prices and snapshots go by foreign key; logs and facts, of which there are millions, have none.
    """
    for table, height in ((RawLog, RawLog.block_number), (Fact, Fact.block_number), (Block, Block.number)):
        of_chain: Any = table
        session.execute(
            delete(table)
            .where(of_chain.chain_id == chain_id, col(height) > number)
            .execution_options(synchronize_session=False)
        )
    note_facts_written(session, chain_id)


def _count(result: Any) -> int:
    """Rows that an UPDATE touched."""
    counted: CursorResult[Any] = result
    return counted.rowcount
