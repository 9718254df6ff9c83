"""Bulk writes: COPY into Postgres, long statements into SQLite. A row whose key is there already is left as it is.

Rows come as columns and are made ready for the driver before anybody takes the database's time: that may be done on
another thread than the writer's, while the rows before are written.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Dialect, Table
from sqlmodel import Session, SQLModel

from ledger.columns import column_converter

Columns = Sequence[Sequence[Any]]
"""Values of many rows, column by column, all of one length."""

COPY_FROM_ROWS = 200  # Below this a savepoint and COPY cost more than executemany.
ROWS_A_STATEMENT = (500, 50, 5, 1)
"""SQLite takes 32,766 values in one statement; few lengths, so that each is prepared once."""
TEXTS = ("VARCHAR", "CHAR", "JSON")
"""How SQLite's columns of text are declared."""
NULL = "\\N"
SIGNS = "\\\t\n\r"
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Same(NamedTuple):
    """A column that holds one value in all rows: it is given to the driver once."""

    value: Any


@dataclass(frozen=True)
class Bulk:
    """Rows of one table, ready for one kind of database: statements with their values, or COPY's text."""

    table: str
    names: str
    statements: Sequence[tuple[str, Any]] = ()
    texts: Sequence[bytes] = ()


def prepared(
    dialect: Dialect, model: type[SQLModel], names: Sequence[str], columns: Sequence[Same | Sequence[Any]]
) -> Bulk:
    """Rows as `insert_bulk` takes them.

    `columns`: len(names) × n, or Same, but not all of them; values as the column types take them (int, aware datetime,
    0x text). What does not fit raises ColumnError; ValueError where lengths differ. They are converted portion by
    portion, so that each stays in the processor's cache.
    """
    table: Table = model.__table__  # type: ignore[attr-defined]
    if not columns:
        return Bulk(table.name, "")
    converters = {name: column_converter(table.c[name].type, dialect) or as_it_is for name in names}
    same = {name: converters[name]([c.value])[0] for name, c in zip(names, columns, strict=True) if isinstance(c, Same)}
    each = {name: c for name, c in zip(names, columns, strict=True) if not isinstance(c, Same)}
    lengths = set(map(len, each.values()))
    if len(lengths) != 1:
        raise ValueError(f"{table.name}: columns of {sorted(lengths)} rows; all must be of one length, not all Same")
    (rows,) = lengths
    quoted = ", ".join(f'"{name}"' for name in (*same, *each))

    def values(first: int, size: int) -> list[Sequence[Any]]:
        return [converters[name](column[first : first + size]) for name, column in each.items()]

    if dialect.name == "sqlite":
        statements = []
        wanted = [table.c[name] for name in each]
        is_nullable_text = [bool(c.nullable) and c.type.compile(dialect).startswith(TEXTS) for c in wanted]
        for first, size in portions(rows):
            marks, flat = bound(values(first, size), is_nullable_text)
            once = [f"?{n}" for n in range(1, len(same) + 1)]
            statements.append((insertion(table.name, quoted, (*once, *marks), size), (*same.values(), *flat)))
        return Bulk(table.name, quoted, statements)
    if rows >= COPY_FROM_ROWS:
        size = ROWS_A_STATEMENT[0]
        begin = [_text(value) for value in same.values()]
        texts = [copy_text(values(first, size), begin).encode() for first in range(0, rows, size)]
        return Bulk(table.name, quoted, texts=texts)
    places = ", ".join(["%s"] * len(names))
    statement = f'INSERT INTO "{table.name}" ({quoted}) VALUES ({places}) ON CONFLICT DO NOTHING'
    given = [(*same.values(), *row) for row in zip(*values(0, rows), strict=True)]
    return Bulk(table.name, quoted, [(statement, given)] if rows else [])


def as_it_is(values: Sequence[Any]) -> Sequence[Any]:
    """What becomes of a column that the driver takes unchanged."""
    return values


def insert_bulk(session: Session, bulk: Bulk) -> None:
    """Writes the rows. Nothing is committed."""
    connection = session.connection()
    if bulk.texts:
        _copy(connection, bulk)
    elif bulk.statements:
        # Straight to the driver: nothing that SQLAlchemy does around a statement is needed here.
        cursor = connection.connection.cursor()
        for statement, given in bulk.statements:
            (cursor.executemany if isinstance(given, list) else cursor.execute)(statement, given)
        cursor.close()


def insert_columns(
    session: Session, model: type[SQLModel], names: Sequence[str], columns: Sequence[Same | Sequence[Any]]
) -> None:
    """Makes rows ready and writes them. Nothing is committed."""
    insert_bulk(session, prepared(session.connection().dialect, model, names, columns))


def insert_rows(session: Session, model: type[SQLModel], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The same of rows, n × len(names)."""
    insert_columns(session, model, names, list(zip(*rows, strict=True)))


def portions(rows: int) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each statement."""
    first = 0
    for size in ROWS_A_STATEMENT:
        while first + size <= rows:
            yield first, size
            first += size


def bound(columns: Columns, is_nullable_text: Sequence[bool]) -> tuple[list[str], list[Any]]:
    """What stands for each column in a row of VALUES, and all values, row by row.

    The driver looks for an adapter at each None, so the empty text stands for NULL where no value is empty. What else
    might be spared depends on the rows, and each combination would be another statement to prepare.
    """
    marks = ["?"] * len(columns)
    flat: list[Any] = [None] * (len(columns) * len(columns[0]))
    for place, column in enumerate(columns):
        if is_nullable_text[place] and "" not in column:
            marks[place] = "NULLIF(?, '')"
            flat[place :: len(columns)] = ["" if value is None else value for value in column]
        else:
            flat[place :: len(columns)] = column
    return marks, flat


@lru_cache(maxsize=64)
def insertion(table: str, names: str, marks: tuple[str, ...], size: int) -> str:
    """The statement for so many rows. A long one: SQLite works through it without the interpreter's lock."""
    rows = ", ".join([f"({', '.join(marks)})"] * size)
    return f'INSERT INTO "{table}" ({names}) VALUES {rows} ON CONFLICT DO NOTHING'


def _copy(connection: Connection, bulk: Bulk) -> None:
    """COPY into the table itself; only where a row is there already does it go by way of a temporary table."""
    try:
        with connection.begin_nested():
            _copy_into(connection, bulk.table, bulk)
    except UniqueViolation:
        stage = f"stage_{bulk.table}"
        connection.exec_driver_sql(
            f'CREATE TEMP TABLE "{stage}" ON COMMIT DROP AS SELECT {bulk.names} FROM "{bulk.table}" WITH NO DATA'
        )
        _copy_into(connection, stage, bulk)
        connection.exec_driver_sql(
            f'INSERT INTO "{bulk.table}" ({bulk.names}) SELECT {bulk.names} FROM "{stage}" ON CONFLICT DO NOTHING'
        )
        connection.exec_driver_sql(f'DROP TABLE "{stage}"')


def _copy_into(connection: Connection, table: str, bulk: Bulk) -> None:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f'COPY "{table}" ({bulk.names}) FROM STDIN') as copy:
        for text in bulk.texts:
            copy.write(text)


def copy_text(columns: Columns, begin: Sequence[str] = ()) -> str:
    """Columns in COPY's text format: tabs, a line a row, NULL as \\N, escapes where a value needs them.

    `begin`: texts that each line begins with.
    """
    texts = list(map(_texts, columns))
    if begin:
        texts.insert(0, ["\t".join(begin)] * len(columns[0]))
    return "\n".join([*map("\t".join, zip(*texts, strict=True)), ""])


def _texts(column: Sequence[Any]) -> Sequence[str]:
    """A column as COPY wants it. Most are text without a sign to escape; of what repeats each value is written once."""
    kinds = set(map(type, column))
    if kinds <= {str, NoneType}:
        joined = "".join(filter(None, column))
        if any(sign in joined for sign in SIGNS):
            return list(map(_text, column))
        return column if NoneType not in kinds else [NULL if value is None else value for value in column]
    if not kinds <= {int, NoneType}:
        return list(map(_text, column))
    distinct = set(column)
    if 2 * len(distinct) > len(column):
        return [NULL if value is None else str(value) for value in column]
    texts = {value: NULL if value is None else str(value) for value in distinct}
    return [texts[value] for value in column]


def _text(value: Any) -> str:
    """One value."""
    return NULL if value is None else str(value).translate(ESCAPES)
