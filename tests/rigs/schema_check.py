"""`alembic check` on a fresh SQLite and a fresh Postgres: the tables in code are the tables the migrations make."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.util.exc import CommandError

from ledger.database import open_engine
from ledger.upgrades import migration_config, upgrade
from tests.rigs.postgres import running_postgres


def check_schema(url: str) -> None:
    """Migrates an empty database and compares it with the tables; raises CommandError on a difference."""
    engine = open_engine(url)
    try:
        upgrade(engine)
        command.check(migration_config(engine))
    finally:
        engine.dispose()


def main() -> int:
    """Exit code 1 when a migration is missing."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            check_schema(f"sqlite:///{Path(folder) / 'check.sqlite'}")
            print("alembic check: SQLite agrees with the tables")
        with running_postgres() as postgres:
            check_schema(postgres.create_database())
            print("alembic check: Postgres agrees with the tables")
    except CommandError as error:
        print(f"alembic check: {error}\nWrite the missing migration under ledger/migrations/versions.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
