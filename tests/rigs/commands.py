"""`backstop` commands as real processes with a directory, a database and variables of their own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import TypeVar

import pytest

from app.settings import PREFIX
from ledger.database import open_engine
from ledger.pages import asking, list_chains

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 180.0
LOOK_SECONDS = 0.2

Seen = TypeVar("Seen")


class Running(subprocess.Popen[str]):
    """A process that a failing test ends instead of waiting for."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, trace)


@dataclass
class Place:
    """Where a test's processes run: their directory, their database, their variables."""

    directory: Path
    variables: dict[str, str]
    url: str = ""

    @property
    def database(self) -> str:
        """Its ledger: a SQLite file in the directory unless another was named."""
        return self.url or f"sqlite:///{self.directory / 'ledger.sqlite'}"

    def start(self, *words: str, log: Path | None = None, **variables: str) -> Running:
        """A `backstop` process that speaks to us by pipes, or writes its log to a file."""
        said = subprocess.PIPE if log is None else os.open(log, os.O_WRONLY)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment = clean | {"PYTHONPATH": str(ROOT), "BACKSTOP_DATABASE_URL": self.database, "BACKSTOP_PORT": "0"}
        process = Running(
            [sys.executable, "-c", "from app.cli import main; main()", *words],
            cwd=self.directory,
            env=environment | self.variables | variables,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        if log is not None:
            os.close(said)
        return process

    def finish(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The same, waited for."""
        with self.start(*words, **variables) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)

    def chain_statuses(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each chain by slug."""
        engine = open_engine(self.database)
        with asking(engine) as session:
            found = {s.chain.slug: (s.chain.status, s.chain.status_reason) for s in list_chains(session)}
        engine.dispose()
        return found


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Reads standard error up to a line with the pattern; a process that ends or stays silent fails the test."""
    assert process.stderr is not None
    said = []
    patience = Timer(PATIENCE_SECONDS, process.kill)
    patience.start()
    try:
        for line in process.stderr:
            said.append(line)
            found = re.search(pattern, line)
            if found:
                return found
    finally:
        patience.cancel()
    pytest.fail(f"backstop ended, or was ended after a while, without saying {pattern!r}:\n{''.join(said)}")


def look_until_seen(process: subprocess.Popen[str], look: Callable[[], Seen | None], what: str) -> Seen:
    """Looks again and again at what a process does; one that ends, or never does it, fails the test."""
    last = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < last:
        found = look()
        if found is not None:
            return found
        assert process.poll() is None, f"backstop ended before {what}"
        time.sleep(LOOK_SECONDS)
    pytest.fail(f"backstop runs, but there was no sign of {what}")
