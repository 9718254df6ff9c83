"""Seeds of tests that draw by chance: listed at the end of a run, drawn again with --seed N, more with --often N."""

import random
from collections.abc import Callable

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that repeat a run and lengthen it."""
    parser.addoption(
        "--seed", type=int, default=None, help="seed of the tests that draw by chance (default: a new one)"
    )
    parser.addoption("--often", type=int, default=1, help="how many times as often tests draw by chance (default: 1)")


@pytest.fixture
def seed(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> int:
    """The seed of this test; it stands in the list at the end of the run, whatever the outcome."""
    given: int | None = request.config.getoption("seed")
    chosen = random.SystemRandom().randrange(2**32) if given is None else given
    record_property("seed", chosen)
    return chosen


@pytest.fixture
def often(request: pytest.FixtureRequest) -> int:
    """How many times as many moments a test draws as it usually does."""
    return int(request.config.getoption("often"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists each seed with its test."""
    drawn = {
        report.nodeid: value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in getattr(report, "user_properties", [])
        if name == "seed"
    }
    if drawn:
        terminalreporter.section("seeds")
    for nodeid, value in sorted(drawn.items()):
        terminalreporter.write_line(f"--seed {value}  {nodeid}")
