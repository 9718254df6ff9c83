"""What a migration needs around it: nobody beside it, one transaction, and a look at the result before it counts."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from ledger.errors import LedgerDamagedError

UPGRADE_LOCK = 5_107_070_771
"""Any number; all processes that upgrade must use the same."""


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
