"""What tests of the rules ask for."""

from collections.abc import Iterator

import pytest

from ledger.database import open_engine
from tests.rigs.alert_ledger import AlertLedger


@pytest.fixture
def ledger(database_url: str) -> Iterator[AlertLedger]:
    """An empty ledger with a clock, on both databases."""
    engine = open_engine(database_url)
    yield AlertLedger(engine)
    engine.dispose()


@pytest.fixture
def lite(sqlite_ledger_url: str) -> Iterator[AlertLedger]:
    """The same on SQLite alone, for what is the same everywhere."""
    engine = open_engine(sqlite_ledger_url)
    yield AlertLedger(engine)
    engine.dispose()
