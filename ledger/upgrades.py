"""Brings tables to the newest version, and tells whether they are.

What a migration has around it: nobody beside it, one transaction, and a look at the result before it counts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.errors import LedgerDamagedError, LedgerOutdatedError, LedgerUnreachableError

MIGRATIONS = Path(__file__).parent / "migrations"
UPGRADE_LOCK = 5_107_070_771
"""Any number; all processes that upgrade must use the same."""


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
    try:
        with engine.execution_options(read_only=True).connect() as connection:
            require_version(connection, newest_version())
    except DBAPIError as error:
        raise LedgerUnreachableError(
            f"the database at {engine.url!r} does not answer ({error.orig}): check BACKSTOP_DATABASE_URL"
        ) from error


def newest_version() -> str | None:
    """The version that this program's tables have."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def require_version(connection: Connection, wanted: str | None) -> None:
    """Raises LedgerOutdatedError unless the tables behind a connection are of this version."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found != wanted:
        state = "has no tables yet" if found is None else f"is at version {found}, this program needs {wanted}"
        raise LedgerOutdatedError(f"the database at {connection.engine.url!r} {state}: run `backstop db upgrade`")


@contextmanager
def begin_alone(engine: Engine) -> Iterator[Connection]:
    """One transaction that no other upgrade runs beside: SQLite has one writer anyway, Postgres takes a lock."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                yield connection
            return
        # SQLite changes a table by copying it and dropping the old one, and dropping it would cascade to all that
        # hangs on its rows. Inside a transaction the pragma does nothing, so it comes first.
        _enforce(connection, "OFF")
        try:
            with connection.begin():
                yield connection
        finally:
            _enforce(connection, "ON")


def _enforce(connection: Connection, word: str) -> None:
    """Switches foreign keys of a SQLite connection without beginning a transaction."""
    driver = connection.connection.driver_connection
    assert driver is not None  # The connection is open.
    driver.execute(f"PRAGMA foreign_keys={word}")


def require_whole(connection: Connection) -> None:
    """Raises LedgerDamagedError when rows refer to nothing; Postgres never lets that happen."""
    if connection.dialect.name == "sqlite" and (broken := connection.execute(text("PRAGMA foreign_key_check")).first()):
        raise LedgerDamagedError(
            f"the database at {connection.engine.url!r} was not upgraded: rows of {broken[0]} would refer to rows of "
            f"{broken[2]} that are not there; nothing was changed: report this as a bug of backstop"
        )
