"""What a database can refuse, in our words: each error names the ledger, says what happened and how to mend it.

LedgerError
├── LedgerUnreachableError   the URL is wrong, nothing answers, or the connection was lost
├── LedgerOutdatedError      tables are missing or of another version: run `backstop db upgrade`
├── LedgerBusyError          another process holds what we wait for
├── LedgerFullError          no room is left to write
├── LedgerReadOnlyError      the database may be read but not written
└── LedgerDamagedError       the file is no database, or a broken one

After any of them the transaction is undone as a whole; all but the second and the last may pass by themselves.
"""

import sqlite3
from typing import Any, NamedTuple

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

LOCK_SECONDS = 30
"""Writers wait this long for each other before they say so."""


class LedgerError(Exception):
    """Something is wrong with the database itself."""


class LedgerUnreachableError(LedgerError):
    """Nothing usable answers at the URL."""


class LedgerOutdatedError(LedgerError):
    """The tables are missing or of another version."""


class LedgerBusyError(LedgerError):
    """Another process holds what we wait for."""


class LedgerFullError(LedgerError):
    """No room is left to write."""


class LedgerReadOnlyError(LedgerError):
    """The database may be read but not written."""


class LedgerDamagedError(LedgerError):
    """The database's own bytes are wrong."""


class Trouble(NamedTuple):
    """One kind of trouble: its class and the words around the driver's own."""

    kind: type[LedgerError]
    what: str
    fix: str


LOST = Trouble(LedgerUnreachableError, "does not answer", "start it, or check BACKSTOP_DATABASE_URL")
BUSY = Trouble(
    LedgerBusyError,
    "is held by another process",
    "end that process, or wait; one `backstop run` is enough",
)
FULL = Trouble(LedgerFullError, "has no room left to write", "free or add disk space, or lift the quota")
READ_ONLY = Trouble(
    LedgerReadOnlyError, "may not be written", "give Backstop's user write access, or name the primary server"
)
DAMAGED = Trouble(
    LedgerDamagedError, "is damaged or no database of Backstop", "restore a copy of it, or name another database"
)

OF_SQLITE = (
    # The beginnings of SQLite's names, the longer one first where one contains another.
    ("SQLITE_BUSY", BUSY),
    ("SQLITE_LOCKED", BUSY),
    ("SQLITE_FULL", FULL),
    ("SQLITE_IOERR_WRITE", FULL),  # What a quota or a limit on file sizes gives; only ENOSPC is SQLITE_FULL.
    ("SQLITE_IOERR_SHMSIZE", FULL),
    ("SQLITE_READONLY", READ_ONLY),
    ("SQLITE_CORRUPT", DAMAGED),
    ("SQLITE_NOTADB", DAMAGED),
    ("SQLITE_IOERR", LOST),
    ("SQLITE_CANTOPEN", LOST),
)
OF_POSTGRES = (
    # The beginnings of SQLSTATEs (PostgreSQL, appendix A), the longer one first where one contains another.
    ("08", LOST),
    ("57P", LOST),  # Shut down, crashed, starting up, idle for too long.
    ("25P03", LOST),  # Ended by the server because we were silent inside a transaction.
    ("53100", FULL),
    ("53", LOST),  # Out of memory, too many connections.
    ("55P03", BUSY),
    ("40001", BUSY),
    ("40P01", BUSY),
    ("25006", READ_ONLY),
    ("42501", READ_ONLY),
    ("XX001", DAMAGED),
    ("XX002", DAMAGED),
)
NO_ROOM_HINT = "Check free disk space."
"""Postgres adds it where a file cannot grow for other reasons than a full disk (a quota has no SQLSTATE of its own)."""


def trouble_of(error: BaseException, driver: Any) -> Trouble | None:
    """Which trouble an error of a driver (sqlite3, or psycopg's module) means.

    None for a mistake of ours, such as a broken constraint.
    """
    if isinstance(error, sqlite3.Error):
        return _starting_with(getattr(error, "sqlite_errorname", ""), OF_SQLITE)
    if not isinstance(error, driver.Error):
        return None
    if error.diag.message_hint == NO_ROOM_HINT:
        return FULL
    if error.sqlstate is None:  # The server could not say anything: nobody was there, or the connection was cut.
        return LOST if isinstance(error, driver.OperationalError) else None
    return _starting_with(error.sqlstate, OF_POSTGRES)


def _starting_with(name: str, table: tuple[tuple[str, Trouble], ...]) -> Trouble | None:
    return next((trouble for beginning, trouble in table if name.startswith(beginning)), None)


def driver_of(engine: Engine) -> Any:
    """The module of the driver behind an engine: only one is loaded, for each takes memory and time to start."""
    return engine.dialect.loaded_dbapi


def ledger_error(engine: Engine, error: BaseException) -> LedgerError | None:
    """A driver's error in our words; None where trouble_of knows none."""
    trouble = trouble_of(error, driver_of(engine))
    if trouble is None:
        return None
    said = " ".join(str(error).split())
    return trouble.kind(f"the database at {engine.url!r} {trouble.what} ({said}): {trouble.fix}")


def translate_errors(engine: Engine) -> None:
    """From here on what this engine's driver raises comes out as a LedgerError where trouble_of knows it."""

    @event.listens_for(engine, "handle_error")
    def translate(context: ExceptionContext) -> BaseException | None:
        if context.is_pre_ping:  # The pool asks whether a connection still lives; a dead one is replaced in silence.
            return None
        return ledger_error(engine, context.original_exception)
