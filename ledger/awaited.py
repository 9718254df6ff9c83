"""A database that may come, go and come back: each connection is looked at before anything is read through it."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from ledger.errors import LedgerUnreachableError
from ledger.upgrades import newest_version, require_version

SEEN = "backstop_version"
"""What a connection is marked with once it was looked at; the mark goes with the connection."""


def look_at_connections(engine: Engine) -> None:
    """From here on a connection of the engine gives LedgerOutdatedError unless the newest tables are behind it.

    A database that comes back may be another one, so a look at the start is not enough. A SQLite file that is not
    there gives LedgerUnreachableError.
    """
    wanted = newest_version()

    @event.listens_for(engine, "do_connect")
    def find(_dialect: Any, _record: Any, _words: Any, _options: Any) -> None:
        require_file(engine)

    @event.listens_for(engine, "engine_connect")
    def look(connection: Connection) -> None:
        if connection.info.get(SEEN) == wanted:
            return
        try:
            require_version(connection, wanted)
            connection.rollback()  # What follows begins its own transaction.
        except BaseException:
            connection.invalidate()  # Nobody gets it, the next one neither: what comes back may be another file.
            connection.close()
            raise
        connection.info[SEEN] = wanted


def require_file(engine: Engine) -> None:
    """Refuses a SQLite file that is not there: opening it would leave an empty one behind."""
    name = engine.url.database
    if engine.dialect.name == "sqlite" and name and not Path(name).is_file():
        raise LedgerUnreachableError(f"there is no database at {name}: run `backstop db upgrade`, or `backstop run`")
