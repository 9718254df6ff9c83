"""Upgrades of the tables: killed anywhere, started twice at once, and what hangs on a table that is made anew."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Engine, delete, event, inspect
from sqlmodel import select

from app.settings import PREFIX
from ledger.blocks import insert_blocks
from ledger.database import open_engine, reading, writing
from ledger.errors import LedgerDamagedError, LedgerOutdatedError
from ledger.kinds import ReadingName
from ledger.tables import Block, Reading
from ledger.upgrades import begin_alone, migration_config, require_current, require_whole, upgrade
from tests.rigs.postgres import PostgresRig
from tests.rigs.transfer_chain import register

ROOT = Path(__file__).parents[3]
PROCESSES = get_context("fork")
KILLED = -signal.SIGKILL
KILLS = 3
HASH = "0x" + "1" * 64
TOKEN = "0x" + "5f" * 20

FreshUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgres"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> FreshUrl:
    """Empty databases of one kind, as many as are asked for."""
    if request.param == "sqlite":
        numbers = iter(range(1000))
        return lambda: f"sqlite:///{tmp_path / f'{next(numbers)}.sqlite'}"
    postgres: PostgresRig = request.getfixturevalue("postgres")
    return postgres.create_database


def upgrade_until(url: str, last: int | None, said: Connection) -> None:
    """Upgrades in this process, which ends without any chance to clean up after so many statements."""
    engine = open_engine(url)
    count = 0

    @event.listens_for(engine, "after_cursor_execute")
    def executed(*_arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    upgrade(engine)
    said.send(count)


def upgrade_forked(url: str, *, last: int | None = None) -> tuple[int | None, int]:
    """Exit code and the number of statements it told at its end (0 when killed)."""
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=upgrade_until, args=(url, last, there))
    process.start()
    there.close()
    process.join()
    with here:
        try:
            count = int(here.recv())
        except EOFError:
            count = 0
    return process.exitcode, count


def tables_of(url: str) -> set[str]:
    """Names of the tables that are there, Alembic's own aside."""
    engine = open_engine(url)
    names = set(inspect(engine).get_table_names()) - {"alembic_version"}
    engine.dispose()
    return names


def assert_upgraded(url: str) -> None:
    """The next upgrade completes and leaves exactly the tables of the models."""
    engine = open_engine(url)
    upgrade(engine)
    require_current(engine)
    command.check(migration_config(engine))
    engine.dispose()


@pytest.mark.scenario(29)
def test_a_kill_inside_a_migration_leaves_nothing_and_the_next_upgrade_completes(
    fresh_url: FreshUrl, seed: int, often: int
) -> None:
    code, statements = upgrade_forked(fresh_url())
    assert code == 0
    dice = random.Random(seed)
    moments = sorted({1, statements // 2, statements, *dice.choices(range(1, statements + 1), k=often * KILLS)})
    print(f"{statements} statements, killed after {moments}")
    for last in moments:
        url = fresh_url()
        assert upgrade_forked(url, last=last)[0] == KILLED
        assert tables_of(url) == set(), f"killed after statement {last}"
        assert_upgraded(url)


def start_upgrade(url: str, folder: Path) -> subprocess.Popen[str]:
    """`backstop db upgrade` on a ledger."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", "db", "upgrade"],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT), "BACKSTOP_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and everything it said."""
    with process:
        said, _ = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.scenario(29)
def test_a_kill_of_db_upgrade_at_any_moment_is_completed_by_the_next(
    fresh_url: FreshUrl, tmp_path: Path, seed: int, often: int
) -> None:
    began = time.monotonic()
    assert finish(start_upgrade(fresh_url(), tmp_path))[0] == 0
    duration = time.monotonic() - began
    dice = random.Random(seed)
    for _ in range(often * 2):
        url = fresh_url()
        process = start_upgrade(url, tmp_path)
        try:
            process.wait(timeout=dice.uniform(duration / 2, duration))  # Before that it only imports.
        except subprocess.TimeoutExpired:
            process.kill()
        finish(process)
        code, said = finish(start_upgrade(url, tmp_path))
        assert code == 0, said
        assert_upgraded(url)


@pytest.mark.scenario(30)
def test_two_upgrades_of_an_empty_database_at_once_both_end_well(fresh_url: FreshUrl, tmp_path: Path) -> None:
    url = fresh_url()
    for code, said in map(finish, [start_upgrade(url, tmp_path) for _ in range(2)]):
        assert code == 0, said
        assert "has the newest tables" in said
    assert_upgraded(url)


@pytest.fixture
def filled(database_url: str) -> Iterator[Engine]:
    """A block with a reading hanging on it."""
    engine = open_engine(database_url)
    noon = datetime(2021, 5, 19, 12, tzinfo=UTC)
    register(engine, [TOKEN], chain_id=1)
    with writing(engine) as session:
        insert_blocks(session, [(1, HASH, 1, HASH, noon, "finalized")])
        session.add(Reading(chain_id=1, block_hash=HASH, segment_id=1, name=ReadingName.BALANCE, block_number=1,
                            block_time=noon, value_raw=7, contract="", call=""))  # fmt: skip
    yield engine
    engine.dispose()


def readings_of(engine: Engine) -> int:
    with reading(engine) as session:
        return len(session.exec(select(Reading)).all())


def make_anew(connection: sa.Connection, *, clean: bool) -> None:
    """What a migration does that changes the table of blocks: SQLite copies it and drops the old one."""
    operations = Operations(MigrationContext.configure(connection))
    recreate = "always" if connection.dialect.name == "sqlite" else "never"
    with operations.batch_alter_table("block", recreate=recreate) as batch:
        batch.add_column(sa.Column("weight", sa.Integer()))
    if clean:
        connection.execute(sa.text("DELETE FROM block"))


@pytest.mark.scenario(29)
def test_a_table_that_a_migration_makes_anew_keeps_what_hangs_on_its_rows(filled: Engine) -> None:
    with begin_alone(filled) as connection:
        make_anew(connection, clean=False)
        require_whole(connection)
    assert readings_of(filled) == 1
    assert "weight" in {column["name"] for column in inspect(filled).get_columns("block")}
    with writing(filled) as session:
        session.exec(delete(Block))
    assert readings_of(filled) == 0  # Afterwards a block takes its readings with it again.


@pytest.mark.scenario(29)
def test_a_migration_that_would_leave_rows_of_nothing_is_undone_and_says_so(filled: Engine) -> None:
    if filled.dialect.name == "postgresql":  # Its foreign keys hold during a migration as at any other time.
        with begin_alone(filled) as connection:
            make_anew(connection, clean=True)
        assert readings_of(filled) == 0
        return

    def break_it() -> None:
        with begin_alone(filled) as connection:
            make_anew(connection, clean=True)
            require_whole(connection)

    with pytest.raises(LedgerDamagedError, match="rows of reading would refer to rows of block that are not there"):
        break_it()
    assert readings_of(filled) == 1
    require_current(filled)


@pytest.mark.scenario(29)
def test_a_killed_first_upgrade_is_told_to_be_run_again(fresh_url: FreshUrl) -> None:
    url = fresh_url()
    assert upgrade_forked(url, last=20)[0] == KILLED
    engine = open_engine(url)
    with pytest.raises(LedgerOutdatedError, match="has no tables yet: run `backstop db upgrade`"):
        require_current(engine)
    engine.dispose()
