"""Jobs side by side: what one of them has to say does not depend on how loud another is."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from app.logs import SAME_PER_WINDOW, Repetitions
from app.schedule import Job, JobRunner
from ledger.errors import LedgerUnreachableError


@pytest.fixture
def bounded(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Log lines with the bound they have in service; pytest keeps one handler for all tests, so it is taken off."""
    repetitions = Repetitions()
    caplog.handler.addFilter(repetitions)
    yield caplog
    caplog.handler.removeFilter(repetitions)


async def test_a_job_that_fails_again_and_again_leaves_room_for_the_line_of_another(
    bounded: pytest.LogCaptureFixture,
) -> None:
    failures, loud_enough, stop = 0, asyncio.Event(), asyncio.Event()

    async def loud() -> None:
        nonlocal failures
        failures += 1
        if failures > 2 * SAME_PER_WINDOW:
            loud_enough.set()
        raise LedgerUnreachableError("away")

    async def rare() -> None:
        await loud_enough.wait()
        stop.set()
        raise LedgerUnreachableError("away too")

    runner = JobRunner()
    runner.add(Job("loud", loud, 0.01))
    runner.add(Job("rare", rare, 60.0))
    with bounded.at_level(logging.ERROR, "app.schedule"):
        await runner.run_until(stop, grace_seconds=5)
    lines = [each.getMessage() for each in bounded.records]
    assert sum(line.startswith("loud: ") for line in lines) == SAME_PER_WINDOW
    assert any(line.startswith("rare: away too (tried again in ") for line in lines), lines
