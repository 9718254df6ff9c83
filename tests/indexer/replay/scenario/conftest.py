"""What the scenario's tests share: the contract code, compiled once."""

from pathlib import Path

import pytest

from indexer.replay.scenario.artifacts import load_creation_code


@pytest.fixture(scope="session")
def creation_code(node_modules: Path) -> dict[str, str]:
    return load_creation_code(node_modules)
