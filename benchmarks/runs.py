"""Starts what a benchmark needs (node, databases) and runs each measurement in a process of its own."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.chain import LOGS_A_BLOCK, ChainFiles
from benchmarks.least import Caps
from benchmarks.measure import held_mb
from benchmarks.truth import differences
from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.rigs.postgres import TUNING, PostgresRig, running_postgres

SQLITE, POSTGRES = "sqlite", "postgres"
LONGEST_RUN_SECONDS = 3_600
LOOK_SECONDS = 0.1
WARM_LOGS = 1_000


class WrongRunError(Exception):
    """A run failed, or its tables are not what the chain holds: its speed means nothing."""


@dataclass(frozen=True)
class Run:
    """What one measured process said, beside what the node counted."""

    logs: int
    seconds: float
    cpu: float = 0.0
    peak_rss_mb: float = 0.0
    requests: int = 0
    node_cpu: float = 0.0
    level: int | None = None

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.logs / self.seconds


@contextlib.contextmanager
def serving(files: ChainFiles) -> Iterator[str]:
    """The node in a process of its own; its address."""
    command = [sys.executable, "-m", "benchmarks.node", str(files.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise WrongRunError("the node did not start; its message is above")
            yield f"http://127.0.0.1:{int(line)}"
        finally:
            process.kill()


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresRig]:
    """A server with the settings it is installed with: the test rig's own, which spare the disk, are taken back."""
    with running_postgres() as rig:
        with psycopg.connect(rig.admin_url, autocommit=True) as connection:
            for setting in TUNING:
                connection.execute(f"ALTER SYSTEM RESET {setting.split()[0]}")
            connection.execute("SELECT pg_reload_conf()")
        yield rig


def migrate(url: str) -> None:
    """Brings an empty database to the newest tables."""
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


class Databases:
    """New databases, migrated and empty; each is gone when its run is over."""

    def __init__(self, folder: Path, postgres: PostgresRig | None) -> None:
        self.folder = folder
        self._postgres = postgres
        self.kinds = (SQLITE,) if postgres is None else (SQLITE, POSTGRES)
        folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def new(self, kind: str) -> Iterator[str]:
        """Its URL."""
        with self._postgres_url() if kind == POSTGRES else self._sqlite_url() as url:
            migrate(url)
            yield url

    @contextlib.contextmanager
    def _sqlite_url(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="run-", dir=self.folder) as folder:
            yield f"sqlite:///{folder}/ledger.sqlite"

    @contextlib.contextmanager
    def _postgres_url(self) -> Iterator[str]:
        if self._postgres is None:
            raise WrongRunError("no Postgres was started for this benchmark")
        url = self._postgres.create_database()
        try:
            yield url
        finally:
            self._postgres.drop_database(url)


def measured(module: str, *arguments: str) -> dict[str, Any]:
    """The last line that a module of ours prints when it runs as a process.

    Its `peak_rss_mb` takes in the processes that it forked: what all of them held at once, looked at from here.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    ends, held = time.monotonic() + LONGEST_RUN_SECONDS, 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                said, told = process.communicate(timeout=LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                held = max(held, held_mb(process.pid))
                if time.monotonic() > ends:
                    process.kill()
                    raise
    if process.returncode or not said.strip():
        raise WrongRunError(f"benchmarks.{module} ended with {process.returncode}: {told.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return {**found, "peak_rss_mb": max(held, found.get("peak_rss_mb", 0.0))}


class Runner:
    """Every measurement of one benchmark, by name."""

    def __init__(self, files: ChainFiles, node: str, databases: Databases, caps: Caps) -> None:
        self._files = files
        self._node = node
        self._databases = databases
        self._caps = caps

    def _stats(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self._node}/stats") as answer:
            found: dict[str, float] = json.load(answer)
            return found

    def warm(self) -> None:
        """Lets the node make what it makes once: its table of hashes, the files of all filters that are asked for."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByHash", "params": ["0x", False]}
        with urllib.request.urlopen(f"{self._node}/", json.dumps(asked).encode()) as answer:
            answer.read()
        self.parsed("parse", WARM_LOGS)
        for store in self._databases.kinds:
            with self._databases.new(store) as url:
                self.indexed(url, WARM_LOGS)

    def parsed(self, what: str, logs: int) -> Run:
        """A ceiling without a database: `parse` or `decode`; the node has no caps there."""
        blocks = logs // LOGS_A_BLOCK
        before = self._stats()
        said = measured("ceilings", what, f"{self._node}/?head={blocks - 1}", "--blocks", str(blocks))
        return self._run(said, before, said["logs"])

    def indexed(self, url: str, logs: int, *, latency: int = 0, drop: int | None = None) -> Run:
        """The indexer into a migrated, empty database; raises WrongRunError when its tables are not the truth."""
        head = logs // LOGS_A_BLOCK - 1
        lie = "" if drop is None else f"&drop={drop}"
        rpc = f"{self._node}/?head={head}&latency={latency}&{self._caps.query()}{lie}"
        before = self._stats()
        said = measured("indexing", "--rpc", rpc, "--database", url)
        if not said["ok"]:
            raise WrongRunError(f"the indexer gave up: {said['reason']}")
        wrong = [] if said["tip"] == head else [f"its tip is {said['tip']} instead of {head}"]
        wrong += differences(self._files.truth_at(head), said["sums"])
        covered = {segment: (first, last) for segment, first, last, _ in said["coverage"]}
        if any(interval != (0, head) for interval in covered.values()) or len(said["coverage"]) != len(covered):
            wrong.append(f"coverage is {said['coverage']} instead of blocks 0–{head} for each segment")
        if wrong:
            raise WrongRunError(f"{url.partition(':')[0]}: {'; '.join(wrong)}")
        return self._run(said, before, logs, level=min(level for *_, level in said["coverage"]))

    def written(self, source: str, target: str, logs: int, *, is_keyed: bool) -> Run:
        """The rows of an indexed database into a fresh one, as fast as the driver can."""
        said = measured("ceilings", "write", *(["--keyed"] if is_keyed else []), source, target)
        if said["logs"] != logs:
            raise WrongRunError(f"{said['logs']} logs were copied instead of {logs}")
        return Run(logs, said["seconds"])

    def peer(self, logs: int) -> Run:
        """The plain web3.py loop over the first blocks of the chain."""
        blocks = logs // LOGS_A_BLOCK
        before = self._stats()
        rpc = f"{self._node}/?head={blocks - 1}&{self._caps.query()}"
        with tempfile.TemporaryDirectory(prefix="peer-", dir=self._databases.folder) as folder:
            said = measured("web3_loop", rpc, f"{folder}/events.sqlite", "--blocks", str(blocks))
        if said["logs"] != logs:
            raise WrongRunError(f"the web3.py loop stored {said['logs']} logs instead of {logs}")
        return self._run(said, before, logs)

    def _run(self, said: dict[str, Any], before: dict[str, float], logs: int, level: int | None = None) -> Run:
        after = self._stats()
        return Run(
            logs,
            said["seconds"],
            said["cpu"],
            said["peak_rss_mb"],
            int(after["requests"] - before["requests"]),
            after["cpu"] - before["cpu"],
            level,
        )
