"""Alembic's entry: runs migrations on the engine it is handed, or on `-x url=…`.

All of them, and the version they lead to, are one transaction on both databases: killed anywhere, nothing happened.
"""

from alembic import context
from sqlalchemy import Connection, Engine
from sqlmodel import SQLModel

from ledger.database import open_engine
from ledger.upgrades import begin_alone, require_whole


def run() -> None:
    """Migrates what is there, one process at a time; another one that waited finds nothing left to do."""
    url = context.get_x_argument(as_dictionary=True).get("url", "sqlite:///build/alembic.sqlite")
    engine: Engine = context.config.attributes.get("engine") or open_engine(url)
    with begin_alone(engine) as connection:
        migrate(connection)
        require_whole(connection)


def migrate(connection: Connection) -> None:
    """Compares and migrates with column types and server types included."""
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=False,  # Our exact types differ by dialect on purpose; test_migrations compares what matters.
    )
    with context.begin_transaction():
        context.run_migrations()


run()
