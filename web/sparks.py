"""Small lines: one point a day, a break where a day is missing or unknown, nothing interpolated."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

from ledger.numbers import format_day
from web.contexts import Spark

WIDTH, HEIGHT, EDGE = 96, 24, 2


def spark(values: Mapping[str, Decimal | None], title: str) -> Spark | None:
    """A line of daily values; `values` by day (YYYY-MM-DD). None where no two days are known.

    The foot of the box is 0 or the lowest value, whichever is lower, so that a fall looks as large as it is.
    """
    known = {date.fromisoformat(day): float(value) for day, value in values.items() if value is not None}
    if len(known) < 2:
        return None
    first, last = min(known), max(known)
    low, high = min(0.0, *known.values()), max(0.0, *known.values())
    span, height = max((last - first).days, 1), (high - low) or 1.0

    def place(day: date) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * (day - first).days / span
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (known[day] - low) / height
        return f"{x:.1f},{y:.1f}"

    runs: list[list[str]] = []
    for day in sorted(known):
        if day - timedelta(days=1) in known:
            runs[-1].append(place(day))
        else:
            runs.append([place(day)])
    # A single known day between two unknown ones is drawn as a dot: a line of no length with round ends.
    lines = tuple(" ".join(run if len(run) > 1 else run * 2) for run in runs)
    return Spark(lines, f"{title}, {format_day(first.isoformat())} to {format_day(last.isoformat())}")
