"""Opens the ledger for a command; makes, upgrades and checks its tables."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.screens import say
from app.settings import Settings
from app.summary import show_chains
from ledger.awaited import look_at_connections, require_file
from ledger.database import open_engine
from ledger.errors import LedgerOutdatedError, LedgerUnreachableError
from ledger.upgrades import require_current, upgrade

log = logging.getLogger(__name__)


@contextmanager
def opened_ledger(settings: Settings, *, may_upgrade: bool = False) -> Iterator[Engine]:
    """The ledger with the newest tables; raises LedgerError with the fix where it has not and may not get them."""
    if may_upgrade:
        make_room(settings.ledger_url)
    engine = open_engine(settings.ledger_url)
    try:
        if not may_upgrade:
            require_file(engine)
        bring_up_to_date(engine, may_upgrade=may_upgrade)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def shown_ledger(settings: Settings, published: Path | None) -> Iterator[Engine]:
    """The ledger as a site reads it: where it is away, `published` pages stand in and it is waited for.

    Without them, and where the tables are of another version, raises LedgerError with the fix.
    """
    engine = open_engine(settings.ledger_url)
    look_at_connections(engine)
    try:
        try:
            require_current(engine)
        except LedgerUnreachableError as error:
            if published is None:
                raise
            log.warning("%s; until it is there, the pages published to %s are served", error, published)
        yield engine
    finally:
        engine.dispose()


def bring_up_to_date(engine: Engine, *, may_upgrade: bool) -> None:
    """Makes or upgrades the tables where that is allowed; raises LedgerOutdatedError otherwise."""
    try:
        require_current(engine)
    except LedgerOutdatedError:
        if not may_upgrade:
            raise
        say("making the tables of the database")
        upgrade(engine)
        require_current(engine)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for another database and for one in memory."""
    with suppress(ArgumentError):
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return Path(parsed.database)
    return None


def make_room(url: str) -> None:
    """Makes the directory of a SQLite file; raises LedgerUnreachableError where that is not possible."""
    file = sqlite_file(url)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnreachableError(
            f"cannot make the directory of {file} ({error.strerror}): change BACKSTOP_DATA_DIR or BACKSTOP_DATABASE_URL"
        ) from error


def upgrade_command(settings: Settings) -> None:
    """Makes or upgrades the tables."""
    with opened_ledger(settings, may_upgrade=True) as engine:
        say(f"the database at {engine.url!r} has the newest tables")


def check_command(settings: Settings) -> None:
    """Says that the database is well and how far each chain is in it."""
    with opened_ledger(settings) as engine:
        say(f"the database at {engine.url!r} answers and has the newest tables")
        show_chains(engine, "Chains")
