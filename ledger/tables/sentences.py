"""What every table is written with: a sentence for each column, and the tie of a row to its block."""

from typing import Any

from sqlalchemy import ForeignKeyConstraint

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
