"""A database that is restarted, cut off or full in the middle of a commit: one line, nothing lost or doubled."""

import asyncio
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.database import open_engine
from ledger.errors import LedgerError, LedgerFullError, LedgerUnreachableError
from ledger.upgrades import upgrade
from ledger.writer import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_INSERT
from tests.indexer.process.conftest import dump_of, run_of
from tests.rigs.postgres import PostgresRig, name_of
from tests.rigs.sync_process import SyncRun, sync, sync_once
from tests.rigs.tables import assert_same_tables
from tests.rigs.transfer_chain import AnvilChain, register

WAL_SEGMENT = 16 * 2**20
UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def own_ledger(own_postgres: PostgresRig, chain: AnvilChain) -> Iterator[str]:
    """A ledger that knows the fund, on a server that may be stopped."""
    url = own_postgres.create_database()
    engine = open_engine(url)
    upgrade(engine)
    register(engine, [chain.token])
    engine.dispose()
    yield url
    own_postgres.drop_database(url)


def sync_with_trouble(run: SyncRun, at: tuple[str, int], trouble: Callable[[], None]) -> LedgerError | None:
    """A sync in this process that meets trouble at the n-th time of a phase; the error it ends with."""
    seen = 0

    def phase(name: str) -> None:
        nonlocal seen
        seen += name == at[0]
        if (name, seen) == at:
            trouble()

    try:
        assert asyncio.run(sync_once(run, phase)).is_ok
    except LedgerError as error:
        return error
    return None


def assert_whole(chain: AnvilChain, database: str, undisturbed: str) -> None:
    """A run after the trouble leaves the tables of one that met none."""
    assert sync(run_of(chain, database))[0] == 0
    assert sync(run_of(chain, undisturbed))[0] == 0
    truth = dump_of(undisturbed)
    assert len(truth["fact"]) == 59
    assert_same_tables(truth, dump_of(database))


@pytest.mark.scenario(32)
@pytest.mark.parametrize(("mode", "count"), [("fast", 2), ("immediate", 1), ("immediate", 4), ("immediate", 6)])
def test_a_server_restarted_in_the_middle_of_a_commit_loses_and_doubles_nothing(
    mode: str, count: int, *, own_postgres: PostgresRig, own_ledger: str, chain: AnvilChain
) -> None:
    undisturbed = own_postgres.create_database(template=name_of(own_ledger))

    def restart() -> None:
        own_postgres.stop(mode)
        own_postgres.start()

    error = sync_with_trouble(run_of(chain, own_ledger), (BEFORE_COMMIT, count), restart)
    assert isinstance(error, LedgerUnreachableError)
    assert "does not answer" in str(error)
    assert "check BACKSTOP_DATABASE_URL" in str(error)
    assert "\n" not in str(error)
    assert_whole(chain, own_ledger, undisturbed)


@pytest.mark.scenario(32)
@pytest.mark.parametrize("phase", [BEFORE_INSERT, BEFORE_COMMIT, AFTER_COMMIT])
def test_a_connection_cut_inside_a_commit_is_an_error_and_between_two_is_replaced_in_silence(
    phase: str, own_postgres: PostgresRig, own_ledger: str, chain: AnvilChain
) -> None:
    undisturbed = own_postgres.create_database(template=name_of(own_ledger))

    def cut() -> None:
        with psycopg.connect(own_postgres.admin_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name_of(own_ledger)]
            )

    error = sync_with_trouble(run_of(chain, own_ledger), (phase, 4), cut)
    assert (error is not None) == (phase == BEFORE_COMMIT)
    assert error is None or isinstance(error, LedgerUnreachableError)
    assert_whole(chain, own_ledger, undisturbed)


@pytest.mark.scenario(32)
def test_a_postgres_whose_file_cannot_grow_is_one_line_and_goes_on_once_it_can(
    own_postgres: PostgresRig, own_ledger: str, chain: AnvilChain
) -> None:
    undisturbed = own_postgres.create_database(template=name_of(own_ledger))
    size = swell_raw_logs(own_ledger)

    def fill() -> None:
        own_postgres.limit_files(size + 4096)  # Half a page: the next one does not fit.

    try:
        error = sync_with_trouble(run_of(chain, own_ledger), (BEFORE_INSERT, 4), fill)
    finally:
        own_postgres.limit_files(UNLIMITED)
    assert isinstance(error, LedgerFullError), error
    assert "has no room left to write" in str(error)
    assert "free or add disk space" in str(error)
    assert_whole(chain, own_ledger, undisturbed)


def swell_raw_logs(url: str) -> int:
    """Makes the file of the raw logs larger than all others, without a row in it; its size in bytes.

    A limit on file sizes above it meets the raw logs alone: the server's own log is in files of 16 MB.
    """
    block = f"(31337, '0x{'e' * 64}', 0)"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ALTER TABLE raw_log SET (autovacuum_enabled = false)")  # It would give the space back.
        connection.execute(
            f"INSERT INTO block (chain_id, hash, number, parent_hash, timestamp, status)"
            f" SELECT c, h, n, h, now(), 'finalized' FROM (VALUES {block}) AS b (c, h, n)"
        )
        connection.execute(
            f"INSERT INTO raw_log (chain_id, block_hash, log_index, block_number, tx_hash, address, topics, data)"
            f" SELECT c, h, i, n, h, '0x{'e' * 40}', h, (SELECT string_agg(md5(i || '-' || j), '')"
            f" FROM generate_series(1, 50) AS j) FROM (VALUES {block}) AS b (c, h, n), generate_series(1, 12000) AS i"
        )
        connection.execute("VACUUM FULL raw_log")  # Leaves no page free.
        connection.execute("DELETE FROM raw_log")
        connection.execute("DELETE FROM block")
        (found,) = connection.execute("SELECT pg_relation_size('raw_log')").fetchone() or (0,)
    assert found > WAL_SEGMENT
    return int(found)


@pytest.mark.scenario(32)
def test_a_full_disk_under_sqlite_is_one_line_and_what_was_committed_stays(
    sqlite_ledger_url: str, chain: AnvilChain, tmp_path: Path
) -> None:
    engine = open_engine(sqlite_ledger_url)
    register(engine, [chain.token])
    engine.dispose()
    undisturbed = tmp_path / "undisturbed.sqlite"
    undisturbed.write_bytes(Path(sqlite_ledger_url.removeprefix("sqlite:///")).read_bytes())

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, UNLIMITED))

    try:
        error = sync_with_trouble(run_of(chain, sqlite_ledger_url), (BEFORE_INSERT, 4), fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))
    assert isinstance(error, LedgerFullError)
    assert "has no room left to write" in str(error)
    assert "free or add disk space" in str(error)
    assert_whole(chain, sqlite_ledger_url, f"sqlite:///{undisturbed}")
