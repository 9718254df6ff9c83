"""Small lines: one point a day, a break where a day is missing or unknown, nothing interpolated."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from ledger.numbers import format_day
from web.contexts import Spark

WIDTH, HEIGHT, EDGE = 96, 24, 2


def spark(values: Mapping[str, Decimal | float | None], title: str) -> Spark | None:
    """A line of daily values; `values` by day (YYYY-MM-DD). None where no two days are known.

    The foot of the box is 0 or the lowest value, whichever is lower, so that a fall looks as large as it is.
    """
    known = {date.fromisoformat(day).toordinal(): float(value) for day, value in values.items() if value is not None}
    if len(known) < 2:
        return None
    first, last = min(known), max(known)
    low, high = min(0.0, *known.values()), max(0.0, *known.values())
    span, height = max(last - first, 1), (high - low) or 1.0
    wide, tall, foot = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE, HEIGHT - EDGE
    runs: list[list[str]] = []
    before = 0
    for day, value in sorted(known.items()):
        point = f"{EDGE + wide * (day - first) / span:.1f},{foot - tall * (value - low) / height:.1f}"
        if day - before == 1:
            runs[-1].append(point)
        else:
            runs.append([point])
        before = day
    # A single known day between two unknown ones is drawn as a dot: a line of no length with round ends.
    lines = tuple(" ".join(run if len(run) > 1 else run * 2) for run in runs)
    days = (format_day(date.fromordinal(day).isoformat()) for day in (first, last))
    return Spark(lines, f"{title}, {' to '.join(days)}")
