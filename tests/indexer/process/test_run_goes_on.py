"""`backstop run` and `backstop index` when their database goes away: run goes on by itself, index ends and says why."""

import json
import re
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import Engine

from app.failures import Exit
from indexer.registry import load_funds
from indexer.replay.scenario.capture import SLUG
from ledger.database import open_engine
from ledger.pages import asking, list_chains
from tests.indexer.process.conftest import dump_of
from tests.rigs.commands import Place, wait_for
from tests.rigs.databases import migrate
from tests.rigs.killable_index import FUNDS, served_recording
from tests.rigs.postgres import PostgresRig
from tests.rigs.tables import assert_same_tables

SOME_BLOCKS = 40
STOP_SECONDS = 60.0
"""Whoever waits for a lock of SQLite hears a signal only after that: half a minute at most."""
PATIENCE_SECONDS = 180.0
BEYOND_INDEXING = {"metric", "alert_cursor", "alert_state", "alert", "alert_evidence", "delivery", "attempt"}
"""Tables that `run` writes, which computes and announces too, and `index` does not."""


@pytest.fixture(scope="module")
def recording() -> Iterator[str]:
    """The first blocks of the shipped recording, served."""
    with served_recording(SOME_BLOCKS) as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, recording: str) -> Place:
    """The recording's funds are followed with a SQLite file that is waited for half a second."""
    (chain,) = load_funds(FUNDS).chains
    variables = {
        "BACKSTOP_FUNDS_DIR": str(FUNDS),
        "BACKSTOP_RPC_URLS": json.dumps({str(chain.id): [recording]}),
        "BACKSTOP_POLL_SECONDS": "0.2",
        "BACKSTOP_COMPUTE_SECONDS": "2",
    }
    return Place(tmp_path, variables, f"sqlite:///{tmp_path / 'ledger.sqlite'}?timeout=0.5")


@pytest.fixture
def postgres_place(place: Place, own_postgres: PostgresRig) -> Iterator[Place]:
    """The same on a Postgres that may be stopped."""
    place.url = own_postgres.create_database()
    yield place
    own_postgres.drop_database(place.url)


def last_look(engine: Engine) -> datetime | None:
    """When the indexer last wrote that the chain answers."""
    with asking(engine) as session:
        (found,) = list_chains(session)
    return found.chain.checked_at


def wait_until_it_looks_again(place: Place) -> None:
    """Returns once the indexer has written anew."""
    engine = open_engine(place.database)
    before, began = last_look(engine), time.monotonic()
    while last_look(engine) == before:
        assert time.monotonic() - began < PATIENCE_SECONDS, "it never looked again"
    engine.dispose()


def stop(process: subprocess.Popen[str]) -> str:
    """Ends it by SIGTERM as an operator does; what it still had to say."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 0, err
    return err or ""


@pytest.mark.scenario(32)
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_run_goes_on_by_itself_after_its_postgres_was_away(
    mode: str, own_postgres: PostgresRig, postgres_place: Place
) -> None:
    with postgres_place.start("run") as process:
        address = wait_for(process, r"Backstop is at (http://\S+),")[1]
        wait_for(process, r"history complete")
        own_postgres.stop(mode)
        try:
            line = wait_for(process, rf"index {SLUG}: .*")[0]
            assert httpx.get(f"{address}/status", timeout=30).status_code == 503
        finally:
            own_postgres.start()
        assert re.search(r"the database at .* does not answer .*\(tried again in 1 s\)", line)
        wait_until_it_looks_again(postgres_place)
        assert httpx.get(f"{address}/status", timeout=30).status_code == 200
        assert "Traceback" not in stop(process)


@pytest.mark.scenario(32)
def test_run_goes_on_by_itself_after_another_process_held_its_sqlite_file(place: Place) -> None:
    with place.start("run") as process:
        wait_for(process, r"history complete")
        holder = sqlite3.connect(place.directory / "ledger.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        line = wait_for(process, rf"index {SLUG}: .*")[0]
        assert re.search(r"is held by another process .*one `backstop run` is enough \(tried again in 1 s\)", line)
        holder.execute("ROLLBACK")
        holder.close()
        wait_until_it_looks_again(place)
        assert "Traceback" not in stop(process)


@pytest.mark.scenario(32)
def test_run_goes_on_by_itself_after_its_disk_was_full(place: Place) -> None:
    with place.start("run") as process:
        wait_for(process, r"history complete")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        line = wait_for(process, rf"index {SLUG}: .*")[0]
        assert re.search(r"has no room left to write .*free or add disk space", line)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until_it_looks_again(place)
        assert "Traceback" not in stop(process)


@pytest.mark.scenario(32)
def test_index_ends_with_the_code_for_databases_when_its_file_is_held(place: Place) -> None:
    migrate(place.database)
    holder = sqlite3.connect(place.directory / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = place.finish("index", "--once")
    holder.close()
    assert done.returncode == Exit.DATABASE
    (line,) = [said for said in done.stderr.splitlines() if said.startswith("error: ")]
    assert "is held by another process" in line
    assert "Traceback" not in done.stderr
    assert place.finish("index", "--once").returncode == 0


@pytest.mark.scenario(32)
def test_index_ends_with_the_code_for_databases_when_its_server_goes_away(
    own_postgres: PostgresRig, postgres_place: Place
) -> None:
    migrate(postgres_place.database)
    with postgres_place.start("index") as process:
        wait_for_first_block(postgres_place)
        own_postgres.stop("immediate")
        try:
            _, err = process.communicate(timeout=60)
        finally:
            own_postgres.start()
    assert process.returncode == Exit.DATABASE
    (line,) = [said for said in err.splitlines() if said.startswith("error: ")]
    assert "does not answer" in line
    assert postgres_place.finish("index", "--once").returncode == 0


def wait_for_first_block(place: Place) -> None:
    """Returns once the indexer has committed something."""
    with psycopg.connect(place.database, autocommit=True) as connection:
        while not connection.execute("SELECT number FROM cursor").fetchone():
            pass


@pytest.mark.scenario(32)
def test_a_log_on_a_full_disk_stops_nothing(place: Place) -> None:
    migrate(place.database)
    assert place.finish("index", "--once").returncode == 0
    with place.start("run", log=Path("/dev/full"), BACKSTOP_LOG_LEVEL="debug") as process:
        wait_until_it_looks_again(place)
        stop(process)


@pytest.mark.scenario(32)
def test_a_disk_that_is_full_for_the_static_site_does_not_stop_the_indexer(
    postgres_place: Place, own_postgres: PostgresRig
) -> None:
    site = postgres_place.directory / "site"
    variables = {"BACKSTOP_PUBLISH_DIR": str(site), "BACKSTOP_PUBLISH_SECONDS": "2"}
    with postgres_place.start("run", **variables) as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        line = wait_for(process, r"publish\b.*tried again.*")[0]
        assert re.search(r"publish: cannot write .* \(File too large\): free or add disk space", line)
        assert not site.exists()
        wait_until_it_looks_again(postgres_place)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for(process, r"published to")
        assert (site / "index.html").is_file()
        stop(process)


@pytest.mark.scenario(30)
def test_two_runs_on_one_sqlite_file_leave_the_tables_of_one(place: Place, tmp_path: Path) -> None:
    place.url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with place.start("run") as one, place.start("run") as other:
        for process in (one, other):  # Whoever comes second may find nothing to complete.
            wait_for(process, r"history complete|another process moved the cursor|computed \d")
        said = [stop(process) for process in (one, other)]
    assert "Traceback" not in "".join(said)
    alone = Place(tmp_path, place.variables, f"sqlite:///{tmp_path / 'alone.sqlite'}")
    migrate(alone.database)
    for ledger in (alone, place):
        assert ledger.finish("index", "--once").returncode == 0
    truth, found = dump_of(alone.database), dump_of(place.database)
    assert_same_tables({name: rows for name, rows in truth.items() if name not in BEYOND_INDEXING}, found)
