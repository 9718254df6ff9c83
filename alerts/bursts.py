"""Groups what comes in bursts: the first at once, what follows once a window; by chain time alone. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from ledger.alerts import HappeningRow


@dataclass(frozen=True)
class Burst:
    """A burst under way: when its current window began, and how many windows ended before."""

    began: datetime
    windows: int = 0

    def end(self, minutes: Sequence[int]) -> datetime:
        """End of the current window; the last of `minutes` counts for all later ones."""
        return self.began + timedelta(minutes=minutes[min(self.windows, len(minutes) - 1)])

    def next(self, minutes: Sequence[int]) -> "Burst":
        """The same burst in its next window."""
        return Burst(self.end(minutes), self.windows + 1)


def split_bursts(
    rows: Sequence[HappeningRow], burst: Burst | None, *, until: datetime, minutes: Sequence[int]
) -> tuple[list[list[HappeningRow]], Burst | None]:
    """Rows that nobody was told of (in order of blocks), as groups to tell now; the rest waits for its window's end.

    Rows of one block belong together. `until`: chain time before which all rows are there.
    """
    groups: list[list[HappeningRow]] = []
    held: list[HappeningRow] = []

    def close_windows(time: datetime) -> None:
        nonlocal burst, held
        while burst is not None and burst.end(minutes) < time:
            if held:
                groups.append(held)
                burst, held = burst.next(minutes), []
            else:
                burst = None

    for _, block in groupby(rows, key=lambda row: row.block_number):
        together = list(block)
        close_windows(together[0].block_time)
        if burst is None:
            groups.append(together)
            burst = Burst(together[0].block_time)
        else:
            held += together
    close_windows(until)
    return groups, burst
