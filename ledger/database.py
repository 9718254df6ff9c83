"""Engine and session from a URL, and transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlmodel import Session

from ledger import tables  # noqa: F401  Tables must be known to the metadata before anything asks for it.
from ledger.columns import json_text
from ledger.errors import LOCK_SECONDS, LedgerUnreachableError, driver_of, ledger_error, translate_errors

PAGE_BYTES = 16_384  # Of a new SQLite file: a row of ours is half a kilobyte, and each page is a call to the system.
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
        # Errors quote the statement: what it was given may be somebody's address, and errors are logged.
        engine = create_engine(
            parsed,
            pool_pre_ping=True,
            json_serializer=json_text,
            json_deserializer=msgspec.json.decode,  # Reads what that wrote, five times as fast as the library's own.
            connect_args=terms,
            hide_parameters=True,
        )
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
    except driver_of(engine).Error as error:  # Bulk writes speak to the driver itself, past what translates its errors.
        told = ledger_error(engine, error)
        if told is None:
            raise
        raise told from error
