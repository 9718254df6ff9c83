"""Each guard of the indexer is needed: without it the simulator finds a ledger that differs from the chain."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.guards import GUARDS, Guard

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_it_a_ledger_goes_wrong(guard: Guard) -> None:
    command = [sys.executable, "-m", "tests.simulation.guards", guard.name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(f'without "{guard.name}": {done.stdout.strip()}')
    assert done.returncode == 0, done.stdout + done.stderr
