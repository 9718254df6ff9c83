"""A migrated ledger for the calculator."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine


@pytest.fixture
def engine(sqlite_ledger_url: str) -> Iterator[Engine]:
    """An engine on a fresh SQLite ledger."""
    opened = open_engine(sqlite_ledger_url)
    yield opened
    opened.dispose()
