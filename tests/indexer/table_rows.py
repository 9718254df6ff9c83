"""Every row of a ledger but for what each run has of its own, to compare one run with another."""

from typing import Any

from sqlalchemy import Engine
from sqlmodel import SQLModel

from ledger.database import reading

OWN_TO_A_RUN = {
    "chain": {"checked_at", "facts_written"}, "coverage": {"verified_at"}, "reorg": {"detected_at"},
    "metric": {"computed_at"}, "verification": {"verified_at"}, "segment": {"numbers_written"},
}  # fmt: skip


def all_rows(engine: Engine) -> dict[str, list[str]]:
    """Table → its rows as sorted text."""
    found: dict[str, list[str]] = {}
    with reading(engine) as session:
        for table in SQLModel.metadata.sorted_tables:
            columns: list[Any] = [c for c in table.columns if c.name not in OWN_TO_A_RUN.get(table.name, set())]
            found[table.name] = sorted(
                repr(tuple(row)) for row in session.execute(table.select().with_only_columns(*columns))
            )
    return found
