"""Engine and session from a URL, migrations, and bulk writes (COPY on Postgres, executemany on SQLite)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from types import NoneType
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlmodel import Session, SQLModel

from ledger import tables  # noqa: F401  Tables must be known to the metadata before anything asks for it.
from ledger.columns import column_converter, json_text
from ledger.errors import LOCK_SECONDS, LedgerOutdatedError, LedgerUnreachableError, ledger_error, translate_errors

MIGRATIONS = Path(__file__).parent / "migrations"
COPY_FROM_ROWS = 200  # Below this a savepoint and COPY cost more than executemany.
ROWS_A_STATEMENT = (500, 50, 5, 1)
"""SQLite takes 32,766 values in one statement; few lengths, so that each is prepared once."""
PAGE_BYTES = 16_384  # Of a new SQLite file: a row of ours is half a kilobyte, and each page is a call to the system.
PLACES = {"n": "NULLIF(?{}, '')", "p": "?{}"}
NULL = "\\N"
Columns = Sequence[Sequence[Any]]
"""Values of many rows, column by column, all of one length."""
SIGNS = "\\\t\n\r"
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
IDLE_SECONDS = 300
"""A transaction of ours may be silent this long; rendering all pages from one look takes the longest."""
TERMS = {
    "sqlite": {"timeout": LOCK_SECONDS},
    "postgresql": {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3},
}
"""Of each connection. A network that vanished without a word is noticed within a minute instead of two hours."""


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://…`; raises LedgerUnreachableError with the fix.

    Postgres is reached through psycopg 3. SQLite runs in WAL with foreign keys on. On both, writers wait LOCK_SECONDS
    for each other, and what the driver raises comes out as a LedgerError where it is the database's own trouble.
    What the URL itself asks of a Postgres connection wins over ours.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in TERMS:
            raise LedgerUnreachableError(
                f"{parsed.get_backend_name()} is no database Backstop knows: use sqlite:///FILE or postgresql://…"
            )
        terms = TERMS[parsed.get_backend_name()]
        terms = {name: value for name, value in terms.items() if name not in parsed.query}
        engine = create_engine(parsed, pool_pre_ping=True, json_serializer=json_text, connect_args=terms)
    except (ArgumentError, NoSuchModuleError) as error:
        raise LedgerUnreachableError(
            f"BACKSTOP_DATABASE_URL is not a database URL ({error}): use sqlite:///FILE or postgresql://…"
        ) from error
    translate_errors(engine)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    elif "options" not in engine.url.query:
        _prepare_postgres(engine)
    return engine


def _prepare_postgres(engine: Engine) -> None:
    """A process that stands still inside a transaction must not hold its locks for ever: the server ends it."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.autocommit = True  # A SET inside a transaction would be undone with it.
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        connection.autocommit = False


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # We emit BEGIN ourselves: the driver's own is deferred.
        cursor = connection.cursor()
        for pragma in (f"page_size={PAGE_BYTES}", "journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A reader that later writes would fail with "database is locked" at once; writers say so at the start.
        wants_write = connection.get_execution_options().get("read_only") is not True
        connection.exec_driver_sql("BEGIN IMMEDIATE" if wants_write else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads: on SQLite it never waits for a writer."""
    with Session(engine.execution_options(read_only=True)) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """One transaction: commits at the end, rolls back on any error."""
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except psycopg.Error as error:  # COPY speaks to the driver itself, past what translates its errors.
        told = ledger_error(engine.url, error)
        if told is None:
            raise
        raise told from error


def migration_config(engine: Engine) -> Config:
    """Alembic's configuration for this engine."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine) -> None:
    """Brings the tables to the newest version; safe to run twice."""
    try:
        command.upgrade(migration_config(engine), "head")
    except DBAPIError as error:
        raise LedgerUnreachableError(f"the database at {engine.url!r} refused the migration: {error.orig}") from error


def require_current(engine: Engine) -> None:
    """Raises LedgerOutdatedError unless the tables are of the newest version, LedgerUnreachableError on no answer."""
    wanted = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    try:
        with engine.execution_options(read_only=True).connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise LedgerUnreachableError(
            f"the database at {engine.url!r} does not answer ({error.orig}): check BACKSTOP_DATABASE_URL"
        ) from error
    if found != wanted:
        state = "has no tables yet" if found is None else f"is at version {found}, this program needs {wanted}"
        raise LedgerOutdatedError(f"the database at {engine.url!r} {state}: run `backstop db upgrade`")


def insert_rows(session: Session, model: type[SQLModel], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes many rows of one table; a row whose key is there already is left as it is.

    `rows`: n × len(columns), values as the column types take them (int, aware datetime, 0x text). Nothing is committed.
    """
    insert_columns(session, model, columns, list(zip(*rows, strict=True)))


def insert_columns(session: Session, model: type[SQLModel], names: Sequence[str], columns: Columns) -> None:
    """The same, given as columns: len(names) × n. What comes by the million is never made into rows in Python."""
    if not columns or not columns[0]:
        return
    table: Table = model.__table__  # type: ignore[attr-defined]
    connection = session.connection()
    batch = _Batch(table, names, columns, connection.dialect)
    if connection.dialect.name == "sqlite":
        _insert_many(connection, batch)
    elif batch.count >= COPY_FROM_ROWS:
        _copy(connection, batch)
    else:
        marks = ", ".join(["%s"] * len(names))
        statement = f'INSERT INTO "{table.name}" ({batch.names}) VALUES ({marks}) ON CONFLICT DO NOTHING'
        connection.exec_driver_sql(statement, list(zip(*batch.values(0, batch.count), strict=True)))


class _Batch:
    """Rows for one table, as columns; they are converted portion by portion, so that each stays in the cache."""

    def __init__(self, table: Table, names: Sequence[str], columns: Columns, dialect: Dialect) -> None:
        self.table = table.name
        self.names = ", ".join(f'"{name}"' for name in names)
        self.nullable = [bool(table.c[name].nullable) for name in names]
        self.count = len(columns[0])
        self._columns = columns
        self._converters = [column_converter(table.c[name].type, dialect) for name in names]

    def values(self, first: int, size: int) -> list[Sequence[Any]]:
        """These rows, still as columns, as the driver takes them: most need a look but no change."""
        parts = [column[first : first + size] for column in self._columns]
        return [part if to is None else to(part) for part, to in zip(parts, self._converters, strict=True)]


def _insert_many(connection: Connection, batch: _Batch) -> None:
    """Long statements: SQLite works through one without the interpreter's lock, so the chain is read meanwhile."""
    at = 0
    for size in ROWS_A_STATEMENT:
        while at + size <= batch.count:
            marks, values = _bound(batch.values(at, size), batch.nullable)
            connection.exec_driver_sql(_insertion(batch.table, batch.names, marks, size), values)
            at += size


def _bound(columns: Sequence[Sequence[Any]], nullable: Sequence[bool]) -> tuple[str, tuple[Any, ...]]:
    """How each column is bound (a letter each: once, NULL as the empty text, plain), and all values in order.

    Binding is what costs: a value that is the same in all rows is bound once, and the empty text stands for NULL,
    over which the driver takes several times as long, where no value is empty.
    """
    marks = ""
    once: list[Any] = []
    each: list[Sequence[Any]] = []
    for column, may_be_null in zip(columns, nullable, strict=True):
        if is_constant(column):
            marks += "o"
            once.append(column[0])
        elif may_be_null and "" not in column and set(map(type, column)) <= {str, NoneType}:
            marks += "n"
            each.append([value or "" for value in column])
        else:
            marks += "p"
            each.append(column)
    flat: list[Any] = [None] * (len(each) * len(columns[0]))
    for place, column in enumerate(each):
        flat[place :: len(each)] = column
    return marks, (*once, *flat)


def is_constant(column: Sequence[Any]) -> bool:
    """Whether it is one object in all rows; seldom is more looked at than the ends."""
    return column[0] is column[-1] and column.count(column[0]) == len(column)


@lru_cache(maxsize=32)
def _insertion(table: str, names: str, marks: str, size: int) -> str:
    """The statement for so many rows whose columns are bound as the marks say."""
    first = marks.count("o") + 1
    once, each = count(1), count(first)
    fixed = [f"?{next(once)}" if mark == "o" else "" for mark in marks]
    rows = ", ".join(
        f"({', '.join(place or PLACES[mark].format(next(each)) for place, mark in zip(fixed, marks, strict=True))})"
        for _ in range(size)
    )
    return f'INSERT INTO "{table}" ({names}) VALUES {rows} ON CONFLICT DO NOTHING'


def _copy(connection: Connection, batch: _Batch) -> None:
    """COPY into the table itself; only where a row is there already does it go by way of a temporary table."""
    try:
        with connection.begin_nested():
            _copy_into(connection, batch.table, batch)
    except UniqueViolation:
        stage = f"stage_{batch.table}"
        connection.exec_driver_sql(
            f'CREATE TEMP TABLE "{stage}" ON COMMIT DROP AS SELECT {batch.names} FROM "{batch.table}" WITH NO DATA'
        )
        _copy_into(connection, stage, batch)
        connection.exec_driver_sql(
            f'INSERT INTO "{batch.table}" ({batch.names}) SELECT {batch.names} FROM "{stage}" ON CONFLICT DO NOTHING'
        )
        connection.exec_driver_sql(f'DROP TABLE "{stage}"')


def _copy_into(connection: Connection, table: str, batch: _Batch) -> None:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f'COPY "{table}" ({batch.names}) FROM STDIN') as copy:
        for at in range(0, batch.count, ROWS_A_STATEMENT[0]):
            copy.write(copy_text(batch.values(at, ROWS_A_STATEMENT[0])))


def copy_text(columns: Columns) -> str:
    """Columns in COPY's text format: tabs, a line a row, NULL as \\N, escapes where a value needs them."""
    texts = list(map(_texts, columns))
    return "\n".join([*map("\t".join, zip(*texts, strict=True)), ""])


def _texts(column: Sequence[Any]) -> Sequence[str]:
    """A column as COPY wants it. Most are text without a sign to escape; of what repeats each value is written once."""
    if is_constant(column):
        return [_text(column[0])] * len(column)
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
