"""The one thread through which async code reaches the ledger: bounded transactions, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import reading, writing

T = TypeVar("T")
PhaseHook = Callable[[str], None]

BEFORE_INSERT = "before insert"
BEFORE_COMMIT = "between insert and commit"
AFTER_COMMIT = "after commit"
DURING_ROLLBACK = "during rollback"
PHASES = (BEFORE_INSERT, BEFORE_COMMIT, AFTER_COMMIT, DURING_ROLLBACK)


def no_phase(_name: str) -> None:
    """The default hook: nobody wants to know the phase."""


class LedgerWriter:
    """Runs ledger work on a thread of its own. `phase` hears each commit phase: tests of crash safety stop there."""

    def __init__(self, engine: Engine, *, phase: PhaseHook = no_phase) -> None:
        self.engine = engine
        self.phase = phase
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def write(self, work: Callable[[Session], T]) -> T:
        """Runs `work` in one transaction: committed when it returns, rolled back when it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, work)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` in a session that only reads."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    def _write(self, work: Callable[[Session], T]) -> T:
        self.phase(BEFORE_INSERT)
        with writing(self.engine) as session:
            result = work(session)
            self.phase(BEFORE_COMMIT)
        self.phase(AFTER_COMMIT)
        return result

    def _read(self, work: Callable[[Session], T]) -> T:
        with reading(self.engine) as session:
            return work(session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
