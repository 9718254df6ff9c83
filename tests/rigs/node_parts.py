"""Where the parts from npm are: anvil, contract code, Chromium, axe-core. `make test` puts them there."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / ".cache" / "node" / "node_modules"


def find_part(*parts: str) -> Path:
    """A file or folder of an npm package; skips the test, saying how to get it, where it is missing."""
    path = NODE_MODULES.joinpath(*parts)
    if not path.exists():
        pytest.skip(
            f"npm part {'/'.join(parts)} is not installed: `make test` installs it where node and npm are there"
        )
    return path


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the npm packages of package.json."""
    return find_part()


def pytest_report_header() -> str:
    state = "installed" if NODE_MODULES.exists() else "missing (their tests are skipped)"
    return f"npm parts: {state}"
