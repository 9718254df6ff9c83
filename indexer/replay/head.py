"""The head of a replayed chain: where it starts, how it grows, what counts as final."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence

SecondsClock = Callable[[], float]


class Head:
    """How much of a recording is visible.

    `times` are the blocks' unix times in order, the first of them belongs to block `first`. Without a pace the head
    stands at `start` (default: the end) until someone moves it. With `chain_seconds_per_second` it grows by chain
    time from `start` (default: the first block), counted from the first question on, so that an indexer that is slow
    to start misses nothing. Nothing here sleeps: the head is a function of the clock.
    """

    def __init__(
        self,
        times: Sequence[int],
        *,
        first: int = 0,
        start: int | None = None,
        chain_seconds_per_second: float | None = None,
        depth: int = 2,
        clock: SecondsClock = time.monotonic,
    ) -> None:
        if not times:
            raise ValueError("a head needs at least one block")
        if depth < 0 or (chain_seconds_per_second is not None and chain_seconds_per_second <= 0):
            raise ValueError("depth must be 0 or more and chain_seconds_per_second above 0")
        self._times = times
        self._first = first
        self._pace = chain_seconds_per_second
        self._depth = depth
        self._clock = clock
        self._began: float | None = None
        fallback = self.last if self._pace is None else first
        self._reached = self._bound(fallback if start is None else start)
        self._origin = self._times[self._reached - first]

    @property
    def first(self) -> int:
        return self._first

    @property
    def last(self) -> int:
        """The recording's last block: the head never passes it."""
        return self._first + len(self._times) - 1

    @property
    def number(self) -> int:
        """The latest visible block, now."""
        if self._pace is not None:
            self._reached = max(self._reached, self._grown(self._pace))
        return self._reached

    @property
    def time(self) -> int:
        """Chain time of the latest visible block."""
        return self._times[self.number - self._first]

    @property
    def is_at_end(self) -> bool:
        return self.number == self.last

    @property
    def finalized(self) -> int:
        """The latest final block: `depth` behind the head, the head itself once nothing more can come."""
        return self.finalized_at(self.number)

    def finalized_at(self, number: int) -> int:
        """The latest final block when `number` is the head."""
        return number if number == self.last else max(self._first, number - self._depth)

    def advance_to(self, number: int) -> None:
        """Moves the head to a block, or to the end if that comes first; a head never moves back."""
        self._reached = max(self._reached, self._bound(number))

    def advance_to_time(self, unix_seconds: int) -> None:
        """Moves the head to the last block that is not younger than a moment."""
        self.advance_to(self._at_time(unix_seconds))

    def _grown(self, pace: float) -> int:
        now = self._clock()
        if self._began is None:
            self._began = now
        # The millionth makes up for what a large clock reading loses in its last digits.
        return self._at_time(self._origin + int((now - self._began) * pace + 1e-6))

    def _at_time(self, moment: int) -> int:
        return max(self._first, self._first + bisect_right(self._times, moment) - 1)

    def _bound(self, number: int) -> int:
        return min(max(number, self._first), self.last)
