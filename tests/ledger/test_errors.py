"""What the drivers really raise, and the words it comes out in."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError

from ledger.database import open_engine, reading, writing
from ledger.errors import (
    LedgerBusyError,
    LedgerDamagedError,
    LedgerError,
    LedgerFullError,
    LedgerReadOnlyError,
    LedgerUnreachableError,
)
from ledger.tables import Platform


@pytest.fixture
def opened() -> Iterator[Callable[[str], Engine]]:
    """Engines that are closed with the test."""
    engines: list[Engine] = []

    def open_one(url: str) -> Engine:
        engines.append(open_engine(url))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.dispose()


def write(engine: Engine, *statements: str) -> None:
    with writing(engine) as session:
        session.add(Platform(slug="p", name="P"))
        session.flush()
        for statement in statements:
            session.execute(text(statement))


def told(kind: type[LedgerError], work: Callable[[], None]) -> str:
    """The message of the error that the work ends in: one line that names the database."""
    with pytest.raises(LedgerError) as caught:
        work()
    assert type(caught.value) is kind
    assert caught.value.__cause__ is not None
    message = str(caught.value)
    assert message.startswith("the database at ")
    assert "\n" not in message
    return message


@pytest.mark.scenario(32)
def test_a_sqlite_file_without_a_free_page_is_full(opened: Callable[[str], Engine], sqlite_ledger_url: str) -> None:
    engine = opened(sqlite_ledger_url)

    @event.listens_for(engine, "connect")
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    long = "x" * 100_000
    message = told(LedgerFullError, lambda: write(engine, f"INSERT INTO platform VALUES ('q', '{long}', '')"))
    assert "has no room left to write (database or disk is full): free or add disk space" in message
    with reading(engine) as session:
        assert session.get(Platform, "p") is None


@pytest.mark.scenario(32)
def test_a_sqlite_file_that_another_process_holds_is_busy(
    opened: Callable[[str], Engine], sqlite_ledger_url: str
) -> None:
    holder = sqlite3.connect(sqlite_ledger_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    message = told(LedgerBusyError, lambda: write(opened(f"{sqlite_ledger_url}?timeout=0.1")))
    assert "end that process, or wait" in message
    holder.close()
    write(opened(sqlite_ledger_url))


@pytest.mark.scenario(32)
def test_a_lock_of_another_connection_is_busy(opened: Callable[[str], Engine], postgres_ledger_url: str) -> None:
    with writing(opened(postgres_ledger_url)) as session:
        session.execute(text("LOCK TABLE platform"))
        told(LedgerBusyError, lambda: write(opened(f"{postgres_ledger_url}&options=-c%20lock_timeout%3D100ms")))


def test_a_database_that_may_not_be_written_says_so(
    opened: Callable[[str], Engine], sqlite_ledger_url: str, postgres_ledger_url: str
) -> None:
    file = sqlite_ledger_url.removeprefix("sqlite:///")
    told(LedgerReadOnlyError, lambda: write(opened(f"sqlite:///file:{file}?mode=ro&uri=true")))
    standby = f"{postgres_ledger_url}&options=-c%20default_transaction_read_only%3Don"
    assert "name the primary server" in told(LedgerReadOnlyError, lambda: write(opened(standby)))


def test_a_file_that_is_no_database_says_so(opened: Callable[[str], Engine], tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"minutes of the last meeting\n" * 500)
    message = told(LedgerDamagedError, lambda: write(opened(f"sqlite:///{tmp_path / 'x.sqlite'}")))
    assert "restore a copy of it" in message


def test_where_nobody_listens_nothing_answers_and_no_password_is_told(opened: Callable[[str], Engine]) -> None:
    engine = opened("postgresql://me:secret@127.0.0.1:1/x")
    message = told(LedgerUnreachableError, lambda: write(engine))
    assert "does not answer" in message
    assert "secret" not in message


def test_a_mistake_of_ours_stays_what_it_is(opened: Callable[[str], Engine], database_url: str) -> None:
    engine = opened(database_url)
    write(engine)
    with pytest.raises(IntegrityError):
        write(engine)


@pytest.mark.scenario(31)
def test_a_transaction_that_stands_still_does_not_hold_its_locks_for_ever(
    opened: Callable[[str], Engine], postgres_ledger_url: str
) -> None:
    with reading(opened(postgres_ledger_url)) as session:
        shown = [session.execute(text(f"SHOW {name}")).scalar_one() for name in SETTINGS]
    assert shown == ["30s", "5min"]


SETTINGS = ("lock_timeout", "idle_in_transaction_session_timeout")
