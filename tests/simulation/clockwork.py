"""An event loop without wall-clock time or threads: sleeping costs nothing, and one seed always runs the same way."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Where the loop would wait for the next timer, its clock is moved on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Never waits: nothing outside this process is listened to."""
        if timeout is None:
            raise RuntimeError("everything waits, and no timer will wake it")
        self.now += max(timeout, 0.0)
        return super().select(0)


class Clockwork(asyncio.SelectorEventLoop):
    """Time is a number, and what would run on a thread runs at once: commits happen between two steps of the loop."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        # Timers count as due within this: adding tiny steps to the clock must not spin.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Seconds since this loop was made."""
        return self._jump.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Runs it now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001  It belongs to whoever awaits it.
            future.set_exception(error)
        return future


def run(main: Any) -> Any:
    """Like asyncio.run."""
    with asyncio.Runner(loop_factory=Clockwork) as runner:
        return runner.run(main)
