"""Alembic's entry: runs migrations on the engine it is handed, or on `-x url=…`."""

from alembic import context
from sqlalchemy import Engine
from sqlmodel import SQLModel

from ledger.database import open_engine


def run() -> None:
    """Compares and migrates with column types and server types included."""
    url = context.get_x_argument(as_dictionary=True).get("url", "sqlite:///build/alembic.sqlite")
    engine: Engine = context.config.attributes.get("engine") or open_engine(url)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=SQLModel.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=False,  # Our exact types differ by dialect on purpose; test_migrations compares what matters.
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
