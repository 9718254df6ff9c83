"""All rows of a ledger as text, so that two ledgers can be compared to the last value."""

from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from ledger.database import reading

OWN_TO_A_RUN = {
    ("chain", "checked_at"),
    ("coverage", "verified_at"),
    ("verification", "verified_at"),
    ("reorg", "detected_at"),
    ("metric", "computed_at"),
    ("chain", "facts_written"),
    ("segment", "numbers_written"),
}
"""The only columns that may differ between an undisturbed run and one that was killed and run again: wall-clock times,
and how often something was written."""


def dump_tables(engine: Engine, *only: str) -> dict[str, list[dict[str, Any]]]:
    """Table → its rows in the order of their keys, without what each run has of its own; of these tables, or all."""
    dump = {}
    with reading(engine) as session:
        for name, table in SQLModel.metadata.tables.items():
            if only and name not in only:
                continue
            wanted = [column for column in table.c if (name, column.name) not in OWN_TO_A_RUN]
            names = [column.name for column in wanted]
            rows = session.execute(select(*wanted).order_by(*table.primary_key.columns)).all()
            dump[name] = [dict(zip(names, row, strict=True)) for row in rows]
    return dump


def assert_same_tables(one: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]) -> None:
    """Fails with the first table and row that differ."""
    for name, rows in one.items():
        for at, (left, right) in enumerate(zip(rows, other[name], strict=False)):
            apart = {column: (left[column], right.get(column)) for column in left if left[column] != right.get(column)}
            assert left == right, f"{name}, row {at}: {apart}"
        assert len(rows) == len(other[name]), f"{name} has {len(rows)} and {len(other[name])} rows"
