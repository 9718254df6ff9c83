"""Rows as the image of a small SQLite database: the writer copies them into the ledger without the interpreter's lock.

Binding values takes the interpreter nearly as long as SQLite takes to write them. An image is bound before anybody
takes the database's time, perhaps by another process; what is left is one statement that SQLite runs alone.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

ARE_THERE = hasattr(sqlite3.Connection, "serialize")
"""Some builds of SQLite leave them out."""

SCHEMA, TABLE = "image", "rows"
"""What an image is attached as, and its only table. It is always the first one made, so its place in the file is the
same in every image: a statement that SQLite keeps from one to the next means the same in both."""

PAGE_BYTES = 16_384
ROWS_A_STATEMENT = 100
"""With more, their values outgrow the processor's cache."""


def names_of(width: int) -> list[str]:
    """The columns of the table: c0, c1, …"""
    return [f"c{at}" for at in range(width)]


class Image:
    """Takes rows of so many columns, values as the driver takes them, and becomes the image of them all."""

    def __init__(self, width: int) -> None:
        self._one = f"({', '.join('?' * width)})"
        self._waiting: list[list[Any]] = [[] for _ in range(width)]
        self._database = sqlite3.connect(":memory:", isolation_level=None)
        for statement in (
            f"PRAGMA page_size={PAGE_BYTES}",
            "PRAGMA journal_mode=OFF",
            f"CREATE TABLE {TABLE} ({', '.join(names_of(width))})",
            "BEGIN",
        ):
            self._database.execute(statement)

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Adds rows, column by column."""
        for waiting, column in zip(self._waiting, columns, strict=True):
            waiting.extend(column)
        while len(self._waiting[0]) >= ROWS_A_STATEMENT:
            self._write(ROWS_A_STATEMENT)

    def made(self) -> bytes:
        """The image; nothing can be added any more."""
        with closing(self._database):
            if rows := len(self._waiting[0]):
                self._write(rows)
            self._database.execute("COMMIT")
            return self._database.serialize()

    def _write(self, rows: int) -> None:
        first = [column[:rows] for column in self._waiting]
        for column in self._waiting:
            del column[:rows]
        self._database.execute(f"INSERT INTO {TABLE} VALUES {', '.join([self._one] * rows)}", row_by_row(first))


def row_by_row(columns: Sequence[Sequence[Any]]) -> list[Any]:
    """All values of columns in the order of rows."""
    flat: list[Any] = [None] * (len(columns) * len(columns[0]))
    for place, column in enumerate(columns):
        flat[place :: len(columns)] = column
    return flat


def show_image(connection: sqlite3.Connection, image: bytes | memoryview) -> None:
    """Lets this connection see the image's rows, also inside a transaction; those of the one before are gone."""
    if SCHEMA not in [name for _, name, _ in connection.execute("PRAGMA database_list")]:
        connection.execute(f"ATTACH ':memory:' AS {SCHEMA}")
    connection.deserialize(image, name=SCHEMA)
