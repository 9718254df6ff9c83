"""When to try again: the pauses between attempts that Standard Webhooks names, kept for every channel."""

import random
from datetime import timedelta

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Each after the end of the attempt before; after the last one a delivery is given up."""
JITTER = 0.1
"""Share by which a pause is longer or shorter by chance: what failed together need not come back together."""
LONGEST_WISH = timedelta(hours=24)
"""A receiver may ask for more patience than the schedule has, but not for more than this."""


def pause_after(attempts: int, *, retry_after: float | None = None, dice: random.Random) -> timedelta | None:
    """The pause after so many attempts, 1 or more, that failed; None: that was the last.

    `retry_after`: seconds the receiver asked for; what is longer counts.
    """
    if attempts > len(PAUSES):
        return None
    pause = PAUSES[attempts - 1] * dice.uniform(1 - JITTER, 1 + JITTER)
    wished = min(retry_after or 0.0, LONGEST_WISH.total_seconds())
    # In this order what is no number loses: it compares as false.
    return timedelta(seconds=max(pause.total_seconds(), wished))
