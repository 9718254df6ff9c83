"""SIGKILL of `backstop index` while it reads the shipped recording: a rerun leaves the tables of an undisturbed run.

The same to the last value but for the columns that `tests.rigs.tables.OWN_TO_A_RUN` names.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.database import open_engine
from ledger.writer import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_INSERT
from tests.rigs.databases import KINDS
from tests.rigs.killable_index import KILLED, IndexCommand, Moment, index_forked, served_recording
from tests.rigs.postgres import PostgresRig
from tests.rigs.tables import assert_same_tables, dump_tables

Dump = dict[str, list[dict[str, Any]]]
FreshLedger = Callable[[], str]

PHASES_OF_A_COMMIT = (BEFORE_INSERT, BEFORE_COMMIT, AFTER_COMMIT)
KILLS = 10  # Of each database: 20 in all.
MOST_STARTS = 80
SOME_BLOCKS = 300
"""Enough of the recording for deployments, deposits and first flows; few enough to be indexed in a moment."""


@pytest.fixture(scope="module", params=KINDS)
def fresh_ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshLedger]:
    """Ledgers with tables and no rows, as many as are asked for."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated_sqlite")
        folder = tmp_path_factory.mktemp("ledgers")
        numbers = iter(range(1000))

        def copy() -> str:
            return f"sqlite:///{shutil.copyfile(template, folder / f'{next(numbers)}.sqlite')}"

        yield copy
        return
    postgres: PostgresRig = request.getfixturevalue("postgres")
    name = request.getfixturevalue("migrated_postgres")
    made: list[str] = []

    def create() -> str:
        made.append(postgres.create_database(template=name))
        return made[-1]

    yield create
    for url in made:
        postgres.drop_database(url)


@pytest.fixture(scope="module")
def whole() -> Iterator[str]:
    """The whole recording, served."""
    with served_recording() as url:
        yield url


@pytest.fixture(scope="module")
def beginning() -> Iterator[str]:
    """Its first blocks, served."""
    with served_recording(SOME_BLOCKS) as url:
        yield url


def dump_of(url: str, *only: str) -> Dump:
    engine = open_engine(url)
    try:
        return dump_tables(engine, *only)
    finally:
        engine.dispose()


def test_kills_at_random_moments_leave_no_trace_after_a_rerun(
    fresh_ledger: FreshLedger, whole: str, tmp_path: Path, seed: int
) -> None:
    command, undisturbed = IndexCommand(whole, tmp_path), fresh_ledger()
    began = time.monotonic()
    assert command.run(undisturbed) == 0
    duration = time.monotonic() - began
    truth = dump_of(undisturbed)
    assert len(truth["snapshot"]) > 1_000
    print(f"seed {seed}, an undisturbed run takes {duration:.1f} s")
    dice, kills, halfway, finished = random.Random(seed), 0, 0, 0
    ledger, is_whole, is_empty = fresh_ledger(), False, True
    # A ledger is killed again and again until a run gets through; then the next one begins empty.
    for _ in range(MOST_STARTS):
        moment = dice.uniform(0.0, duration) if kills < KILLS else None
        began = time.monotonic()
        code = command.run(ledger, kill_after=moment)
        is_whole = code == 0
        if is_whole:
            if is_empty:
                # A run that was slow for its own reasons says nothing of the next: most kills would come too late.
                duration = min(duration, time.monotonic() - began)
            assert_same_tables(truth, dump_of(ledger))
            finished += 1
            if kills == KILLS:
                break
            ledger, is_empty = fresh_ledger(), True
            continue
        assert code == KILLED
        is_empty = False
        left = dump_of(ledger, "fact", "snapshot")
        kills += 1
        halfway += 0 < len(left["snapshot"]) < len(truth["snapshot"])
        print(f"killed after {moment:.2f} s with {len(left['fact'])} facts and {len(left['snapshot'])} snapshots")
    print(f"{kills} kills, {halfway} of them amid snapshots, {finished} ledgers compared")
    assert (kills, is_whole) == (KILLS, True)
    assert halfway >= 1


def test_a_kill_in_each_phase_of_each_kind_of_commit_leaves_no_trace_after_a_rerun(
    fresh_ledger: FreshLedger, beginning: str
) -> None:
    undisturbed = fresh_ledger()
    code, seen = index_forked(beginning, undisturbed)
    assert code == 0
    truth = dump_of(undisturbed)
    # Each run dies at the first moment that none has died at yet, so that in the end none is left out.
    assert set(seen) == {Moment(moment.work, phase) for moment in seen for phase in PHASES_OF_A_COMMIT}
    works = {moment.work for moment in seen}
    print(f"{len(seen) // 3} commits of {len(works)} kinds: {', '.join(sorted(works))}")
    assert any(work.startswith("Snapshots.") for work in works)
    assert any(work.startswith("ChainLedger.") for work in works)
    ledger, killed = fresh_ledger(), set[Moment]()
    while (run := index_forked(beginning, ledger, spare=killed))[0] == KILLED:
        killed.add(run[1][-1])
    assert run[0] == 0
    assert killed == set(seen)
    assert_same_tables(truth, dump_of(ledger))
