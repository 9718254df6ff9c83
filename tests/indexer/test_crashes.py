"""SIGKILL at any moment and in each commit phase, then a rerun: the tables are those of an undisturbed run."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from indexer.writer import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_INSERT, DURING_ROLLBACK, PHASES
from ledger.database import open_engine
from tests.rigs.anvil import AnvilNode
from tests.rigs.postgres import PostgresRig, name_of
from tests.rigs.sync_process import KILLED, SyncRun, sync
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain, register

Dump = dict[str, list[dict[str, Any]]]
RANDOM_MOMENTS = 10  # Of each database: 20 in all.


@dataclass
class Ledgers:
    """Copies of one ledger, so that each kill starts from the same state."""

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


def run_of(chain: AnvilChain, database: str) -> SyncRun:
    return SyncRun(chain.url, database, chain.token)


def dump_of(url: str) -> Dump:
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


def test_a_kill_in_any_commit_phase_leaves_no_trace_after_a_rerun(
    ledgers: Ledgers, registered: str, chain: AnvilChain
) -> None:
    undisturbed = ledgers.fresh(registered)
    _, said = sync(run_of(chain, undisturbed))
    truth = dump_of(undisturbed)
    assert len(truth["fact"]) == 59
    for phase in (BEFORE_INSERT, BEFORE_COMMIT, AFTER_COMMIT):
        times = said.count(phase)
        assert times >= 5, f"{phase} came {times} times"
        for count in range(1, times + 1):
            database = ledgers.fresh(registered)
            assert sync(run_of(chain, database), kill=(phase, count))[0] == KILLED, f"{phase} {count} was never reached"
            assert sync(run_of(chain, database))[0] == 0
            assert_same_tables(truth, dump_of(database))


def test_a_kill_during_a_rollback_leaves_no_trace_after_a_rerun(
    ledgers: Ledgers, registered: str, chain: AnvilChain
) -> None:
    assert sync(run_of(chain, registered))[0] == 0
    chain.reorganise(5, (WALLET, 424_242))
    chain.send((WALLET, 1))
    undisturbed = ledgers.fresh(registered)
    _, said = sync(run_of(chain, undisturbed))
    assert said.count(DURING_ROLLBACK) == 1
    truth = dump_of(undisturbed)
    assert len(truth["reorg"]) == 1
    assert len(truth["orphaned_log"]) == 5
    for phase in PHASES:
        for count in range(1, said.count(phase) + 1):
            database = ledgers.fresh(registered)
            assert sync(run_of(chain, database), kill=(phase, count))[0] == KILLED
            assert sync(run_of(chain, database))[0] == 0
            assert_same_tables(truth, dump_of(database))


def test_kills_at_random_moments_leave_no_trace_after_a_rerun(
    ledgers: Ledgers, registered: str, chain: AnvilChain, seed: int
) -> None:
    undisturbed = ledgers.fresh(registered)
    sync(run_of(chain, ledgers.fresh(registered)))  # The first run is slower: it opens what later ones find.
    began = time.monotonic()
    assert sync(run_of(chain, undisturbed))[0] == 0
    duration = time.monotonic() - began
    truth = dump_of(undisturbed)
    print(f"seed {seed}, an undisturbed run takes {duration:.2f} s")
    dice = random.Random(seed)
    kills = 0
    for _ in range(20 * RANDOM_MOMENTS):
        database = ledgers.fresh(registered)
        moment = dice.uniform(0.0, duration)
        if sync(run_of(chain, database), after_seconds=moment)[0] == KILLED:
            kills += 1
            print(f"killed after {moment:.3f} s")
            assert sync(run_of(chain, database))[0] == 0
            assert_same_tables(truth, dump_of(database))
        if kills == RANDOM_MOMENTS:
            break
    assert kills == RANDOM_MOMENTS
