"""The scenario with another seed, played and indexed once for all end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.played_scenario import (
    OTHER_SEED,
    PlayedScenario,
    played_scenario,
)


@pytest.fixture(scope="session")
def scenario(
    anvil: Path, node_modules: Path, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlayedScenario]:
    """A running node that holds the play, and the ledger that the indexer filled from it."""
    folder = tmp_path_factory.mktemp("played")
    ledger = folder / "ledger.sqlite"
    ledger.write_bytes(migrated_sqlite.read_bytes())
    with played_scenario(folder, f"sqlite:///{ledger}", anvil=anvil, node_modules=node_modules) as played:
        print(f"seed {OTHER_SEED}, head {played.head}, {len(played.tables['fact'])} facts")
        yield played
