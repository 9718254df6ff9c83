"""Workers side by side (`-n`): which files they take first."""

import pytest

LONGEST_FIRST = (
    "tests/end_to_end/test_kill.py",
    "tests/simulation/test_simulation.py",
    "tests/end_to_end/test_demo.py",
    "tests/end_to_end/test_alerts_live.py",
    "tests/app/test_run.py",
    "tests/simulation/test_guards.py",
    "tests/indexer/process/test_run_goes_on.py",
    "tests/indexer/process/test_crashes.py",
    "tests/end_to_end/test_scenario.py",
    "tests/indexer/replay/scenario/test_play.py",
    "tests/benchmarks/test_bench.py",
    "tests/alerts/test_sender_kills.py",
    "tests/indexer/process/test_upgrades.py",
    "tests/app/test_explain.py",
    "tests/indexer/test_rebuild.py",
    "tests/end_to_end/test_silence.py",
    "tests/indexer/process/test_signals.py",
    "tests/indexer/process/test_two_at_once.py",
)
"""Files that take half a minute or more, by how long they took; all others follow in the order they were found."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts whole files in order, so that no long one is left for the end, when the other workers have nothing to do.

    A single process has no such end and keeps the order in which it found them.
    """
    if not hasattr(config, "workerinput"):
        return
    places = {file: place for place, file in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))
