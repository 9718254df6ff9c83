"""What every table is written with: a sentence for each column, and the tie of a row to its block."""

from typing import Any

from sqlalchemy import ForeignKeyConstraint, PrimaryKeyConstraint, text

Json = dict[str, Any]


def said(sentence: str) -> dict[str, str]:
    """The column comment an analyst reads."""
    return {"comment": sentence}


def of_block(*others: Any) -> tuple[Any, ...]:
    """Table arguments of what hangs on a block and goes with it in a reorg."""
    return (
        ForeignKeyConstraint(["chain_id", "block_hash"], ["block.chain_id", "block.hash"], ondelete="CASCADE"),
        *others,
    )


def in_order(*key: str) -> tuple[Any, ...]:
    """Table arguments of what arrives by the million: a key in the order of arrival, and no foreign key to ask per row.

    Such rows are written together with their blocks and deleted together with them, see `delete_blocks_above`.
    """
    return (PrimaryKeyConstraint(*key),)


def only_where(condition: str) -> dict[str, Any]:
    """Arguments of an index over the rows for which an SQL condition holds."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
