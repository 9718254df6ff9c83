"""Bulk writes: COPY into Postgres, images into SQLite. A row whose key is there already is left as it is.

Rows come as columns and are made ready for the driver before anybody takes the database's time: that may be done in
another process, while the rows before are written.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Dialect, Table
from sqlmodel import Session, SQLModel

from ledger import image
from ledger.columns import column_converter
from ledger.errors import driver_of

Columns = Sequence[Sequence[Any]]
"""Values of many rows, column by column, all of one length."""

MANY_ROWS = 200
"""From here on COPY and images are quicker than statements that carry values."""
ROWS_AT_ONCE = 500
"""Converted together."""
ROWS_A_STATEMENT = (50, 5, 1)
"""Few lengths, so that each is prepared once."""
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
    """Rows of one table, ready for one kind of database: statements with values, an image and its one statement, or
    COPY's text."""

    table: str
    names: str
    statements: Sequence[tuple[str, Sequence[Any]]] = ()
    image: memoryview | None = None
    texts: Sequence[memoryview] = ()

    @property
    def is_empty(self) -> bool:
        """There is no row."""
        return not (self.statements or self.texts)


class BulkMaker:
    """Makes rows of one table ready for `insert_bulk`, portion by portion, so that each stays in the processor's cache.

    `are_many`: whether there will be MANY_ROWS or more.
    """

    def __init__(self, dialect: Dialect, model: type[SQLModel], names: Sequence[str], *, are_many: bool) -> None:
        table: Table = model.__table__  # type: ignore[attr-defined]
        self._columns = {name: table.c[name] for name in names}
        self._converters = {name: column_converter(table.c[name].type, dialect) or as_it_is for name in names}
        self._dialect = dialect
        self._is_sqlite = dialect.name == "sqlite"
        self._are_many = are_many and (image.ARE_THERE or not self._is_sqlite)
        self._table = str(table.name)
        self._same: dict[str, Any] | None = None
        self._names = ""
        self._statements: list[tuple[str, Sequence[Any]]] = []
        self._texts: list[memoryview] = []
        self._nulls: list[Any] = []
        self._image: image.Image | None = None

    def add(self, columns: Sequence[Same | Sequence[Any]]) -> None:
        """Takes rows: len(names) × n, or Same in all portions, but not all of them; values as the column types take
        them (int, aware datetime, 0x text). What does not fit raises ColumnError; ValueError where lengths differ.
        """
        if not columns:
            return
        named = dict(zip(self._columns, columns, strict=True))
        same = {name: self._converters[name]([c.value])[0] for name, c in named.items() if isinstance(c, Same)}
        each = {name: c for name, c in named.items() if not isinstance(c, Same)}
        lengths = set(map(len, each.values()))
        if len(lengths) != 1:
            raise ValueError(
                f"{self._table}: columns of {sorted(lengths)} rows; all must be of one length, not all Same"
            )
        if self._same is None:
            self._begin(same, list(each))
        if same != self._same:
            raise ValueError(f"{self._table}: {same} is to be the same in all rows, and was {self._same}")
        (rows,) = lengths
        for first in range(0, rows, ROWS_AT_ONCE):
            self._take([self._converters[name](column[first : first + ROWS_AT_ONCE]) for name, column in each.items()])

    def made(self) -> Bulk:
        """All rows; nothing can be added any more."""
        bulk = Bulk(self._table, self._names, self._statements, texts=self._texts)
        return bulk if self._image is None else replace(bulk, image=memoryview(self._image.made()))

    def _begin(self, same: dict[str, Any], each: Sequence[str]) -> None:
        self._same = same
        self._names = ", ".join(f'"{name}"' for name in (*same, *each))
        if self._are_many and self._is_sqlite:
            self._nulls = [null_of(self._columns[name], self._dialect) for name in each]
            self._image = image.Image(len(each))
            statement = image_insertion(self._table, self._names, len(same), tuple(self._nulls))
            self._statements = [(statement, list(same.values()))]

    def _take(self, columns: Columns) -> None:
        same = list((self._same or {}).values())
        if self._image is not None:
            self._image.add([with_null(column, null) for column, null in zip(columns, self._nulls, strict=True)])
        elif self._are_many:
            self._texts.append(memoryview(copy_text(columns, [_text(value) for value in same]).encode()))
        else:
            whole = [*([value] * len(columns[0]) for value in same), *columns]
            self._statements += statements_of(self._table, self._names, whole, is_sqlite=self._is_sqlite)


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
        raw: Any = connection.connection.driver_connection
        if bulk.image is not None:
            image.show_image(raw, bulk.image)
        cursor = raw.cursor()
        for statement, given in bulk.statements:
            cursor.execute(statement, given)
        cursor.close()


def insert_columns(
    session: Session, model: type[SQLModel], names: Sequence[str], columns: Sequence[Same | Sequence[Any]]
) -> None:
    """Makes rows ready, columns as BulkMaker takes them, and writes them. Nothing is committed."""
    rows = max((len(column) for column in columns if not isinstance(column, Same)), default=0)
    maker = BulkMaker(session.connection().dialect, model, names, are_many=rows >= MANY_ROWS)
    maker.add(columns)
    insert_bulk(session, maker.made())


def insert_rows(session: Session, model: type[SQLModel], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The same of rows, n × len(names)."""
    insert_columns(session, model, names, list(zip(*rows, strict=True)))


def statements_of(table: str, names: str, columns: Columns, *, is_sqlite: bool) -> Iterator[tuple[str, Sequence[Any]]]:
    """Statements of few lengths, with their values. Postgres gets them as text, as COPY gives it: the server makes of a
    text what the column is, and no number is too large for it."""
    row, first = f"({', '.join(['?' if is_sqlite else '%s'] * len(columns))})", 0
    if not is_sqlite:
        columns = [[None if value is None else str(value) for value in column] for column in columns]
    for size in ROWS_A_STATEMENT:
        while first + size <= len(columns[0]):
            part = [column[first : first + size] for column in columns]
            yield insertion(table, names, row, size), image.row_by_row(part)
            first += size


@lru_cache(maxsize=64)
def insertion(table: str, names: str, row: str, size: int) -> str:
    """The statement for so many rows that come with it; `row`: what stands for the values of one."""
    rows = ", ".join([row] * size)
    return f'INSERT INTO "{table}" ({names}) VALUES {rows} ON CONFLICT DO NOTHING'


def null_of(column: Column[Any], dialect: Dialect) -> Any:
    """What stands for NULL in an image: something that the column never holds. None for columns without NULL.

    The driver looks for an adapter at each None, and takes long over it.
    """
    if not column.nullable:
        return None
    return 0 if column.type.compile(dialect).startswith(TEXTS) else ""


def with_null(column: Sequence[Any], null: Any) -> Sequence[Any]:
    """The column with what stands for NULL in its image."""
    return column if null is None or None not in column else [null if value is None else value for value in column]


@lru_cache(maxsize=64)
def image_insertion(table: str, names: str, once: int, nulls: tuple[Any, ...]) -> str:
    """The statement that takes rows from an image. `once`: values that come with it and are the same in all rows.

    `nulls`: what stands for NULL, by column. Image columns have no type, so a text never equals a number there.
    """
    given = [f"?{at}" for at in range(1, once + 1)]
    taken = [
        name if null is None else f"NULLIF({name}, {null!r})"
        for name, null in zip(image.names_of(len(nulls)), nulls, strict=True)
    ]
    return (
        f'INSERT INTO main."{table}" ({names}) SELECT {", ".join((*given, *taken))} FROM {image.SCHEMA}.{image.TABLE} '
        "WHERE true ON CONFLICT DO NOTHING"  # Without WHERE, SQLite takes ON for that of a join.
    )


def _copy(connection: Connection, bulk: Bulk) -> None:
    """COPY into the table itself; only where a row is there already does it go by way of a temporary table."""
    driver = driver_of(connection.engine)
    try:
        with connection.begin_nested():
            _copy_into(connection, bulk.table, bulk)
    except driver.errors.UniqueViolation:
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
