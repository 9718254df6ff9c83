"""Real chain data that has no licence and is therefore not part of the project."""

import os
from pathlib import Path

import pytest

VARIABLE = "BACKSTOP_REAL_DATA"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that BACKSTOP_REAL_DATA names."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        pytest.skip(f"{VARIABLE} is not set: it names the folder with the real data files")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"{VARIABLE}={name} is no folder: unset it or point it at the real data files")
    return folder


def pytest_report_header() -> str:
    return f"{VARIABLE}: {'set' if os.environ.get(VARIABLE) else 'not set (its tests are skipped)'}"
