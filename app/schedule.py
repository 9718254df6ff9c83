"""Jobs that run again and again in one event loop (APScheduler), one instance each, until somebody says stop."""

import asyncio
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.failures import exit_of, line_of

log = logging.getLogger(__name__)

T = TypeVar("T")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FIRST_RETRY_SECONDS = 1.0
"""After a failure; doubled with each that follows, up to the job's own interval. A database restarts in seconds."""


@dataclass(frozen=True)
class Job:
    """Work to do every so many seconds, the first time at once or later; a run that takes longer delays the next."""

    name: str
    run: Callable[[], Awaitable[None]]
    every_seconds: float
    first_after_seconds: float = 0.0


class JobRunner:
    """Runs jobs side by side: one that fails is logged and tried again, and hurts no other."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._failures: Counter[str] = Counter()
        self._is_stopping = False
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # Runs that were missed, because the one before took long, count as one; a late one is still wanted.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def add(self, job: Job) -> None:
        """Takes a job; its time counts from now, and before the runner starts nothing runs."""
        self._scheduler.add_job(
            self._run_guarded,
            "interval",
            args=[job],
            seconds=job.every_seconds,
            id=job.name,
            name=job.name,
            next_run_time=datetime.now(UTC) + timedelta(seconds=job.first_after_seconds),
        )

    async def run_until(self, stop: asyncio.Event, *, grace_seconds: float) -> None:
        """Runs all jobs until `stop` is set; what is under way is then cancelled and given some seconds to end."""
        self._scheduler.start()
        await stop.wait()
        self._is_stopping = True
        self._scheduler.pause()
        await asyncio.sleep(0)  # What was about to begin sees that it need not.
        for task in self._running:
            task.cancel()
        if self._running:
            _, unfinished = await asyncio.wait(self._running, timeout=grace_seconds)
            for task in unfinished:
                log.warning("%s did not stop within %g seconds", task.get_name(), grace_seconds)
        self._scheduler.shutdown(wait=False)  # Not before: it would cancel again, and log what never began as failed.

    def hurry(self, name: str) -> None:
        """Starts a job as soon as it is idle instead of waiting for its turn."""
        self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    async def _run_guarded(self, job: Job) -> None:
        if self._is_stopping:
            return
        task = asyncio.current_task()
        assert task is not None  # We are a coroutine: there is always one.
        task.set_name(job.name)
        self._running.add(task)
        began = time.monotonic()
        try:
            await job.run()
            del self._failures[job.name]
        except asyncio.CancelledError:
            # Passed on it would be logged as a failure by the scheduler, and stopping is none.
            if not self._is_stopping:
                raise
        except Exception as error:  # The job runner: one broken job must not stop the others.
            if time.monotonic() - began > job.every_seconds:
                del self._failures[job.name]  # It went well for a while: this is a new trouble.
            pause = self._retry(job)
            # The name belongs to the wording: the log counts repetitions by it, and one job must not use up another's.
            name = job.name.replace("%", "%%")
            if exit_of(error) is None:
                log.exception(f"{name} failed and is tried again in %g s", pause)
            else:
                log.error(f"{name}: %s (tried again in %g s)", line_of(error), pause)
        finally:
            self._running.discard(task)

    def _retry(self, job: Job) -> float:
        """Brings the job's next run forward; the seconds until then."""
        pause = min(job.every_seconds, FIRST_RETRY_SECONDS * 2.0 ** min(self._failures[job.name], 16))
        self._failures[job.name] += 1
        if not self._is_stopping:
            self._scheduler.modify_job(job.name, next_run_time=datetime.now(UTC) + timedelta(seconds=pause))
        return pause


class StoppedError(Exception):
    """Ends work in a thread whose task was cancelled."""


async def in_thread(work: Callable[[Callable[..., None]], T]) -> T:
    """Runs blocking work beside the loop. It is handed a callback to report progress to; once the task is cancelled
    the next report raises StoppedError, which rolls back what is not committed and lets the thread end.
    """
    is_cancelled = threading.Event()

    def heard(*_progress: object) -> None:
        if is_cancelled.is_set():
            raise StoppedError

    try:
        return await asyncio.to_thread(work, heard)
    except asyncio.CancelledError:
        is_cancelled.set()
        raise


@contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Calls `stop` at the first SIGTERM or Ctrl-C; a second one kills at once. Needs a running event loop."""
    loop = asyncio.get_running_loop()

    def hear() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        stop()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, hear)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def wait_until_stopped() -> None:
    """Blocks until SIGTERM or Ctrl-C."""

    async def wait() -> None:
        stop = asyncio.Event()
        with stopped_by_signals(stop.set):
            await stop.wait()

    asyncio.run(wait())
