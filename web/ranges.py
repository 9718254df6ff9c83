"""How much of a balance's record a chart shows: all of it, or so many days up to its last known reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

from ledger.pages import Point, balance_series
from web.charts import BalanceLine
from web.contexts import Choice, ErrorPage, Link
from web.edition import Edition
from web.frames import static_path
from web.picking import quoted

RANGES: Mapping[str, str] = {"30": "30 days", "90": "90 days", "365": "1 year"}
"""What can be asked for, in days, with its words; nothing asked is the whole record."""


@dataclass(frozen=True)
class NoRangePage(ErrorPage):
    """What is shown where no chart of a fund has the range that was asked for."""

    fund: Annotated[Link, "the fund with its whole record"]


def offered_ranges(points: Sequence[Point]) -> list[str]:
    """Ranges shorter than the time between the first and the last known reading."""
    known = [point.time for point in points if point.value_raw is not None]
    return [days for days in RANGES if known and timedelta(days=int(days)) < known[-1] - known[0]]


def range_choices(points: Sequence[Point], days: str) -> tuple[Choice, ...]:
    """What a reader can choose between; empty where the record is too short for a choice.

    A record that does not have the range of `days` is shown as a whole.
    """
    offered = offered_ranges(points)
    if not offered:
        return ()
    return (*(Choice(one, RANGES[one], one == days) for one in offered), Choice("", "All", days not in offered))


def cut_line(line: BalanceLine, days: str) -> BalanceLine:
    """The line from so many days before its last known reading on; as it is where it does not have that range."""
    if days not in offered_ranges(line.points):
        return line
    last = max(point.time for point in line.points if point.value_raw is not None)
    since = last - timedelta(days=int(days))
    return replace(line, since=since, markers=[marker for marker in line.markers if marker.time >= since])


def no_range_page(edition: Edition, slug: str, days: str) -> NoRangePage | None:
    """What to say where no chart of a fund has that range; None where one has it, or where there is no such fund."""
    places = edition.funds().get(slug, [])
    is_range = days in RANGES  # Else no record is read: anyone can think of numbers.
    records = (balance_series(edition.session, place) for place in places if place.asset and is_range)
    if not places or any(days in offered_ranges(points) for points in records):
        return None
    *most, last = (f"days={one}" for one in RANGES)
    return NoRangePage(
        style=static_path("site.css"),
        icon=static_path("icon.svg"),
        title="No such range",
        message=f"{quoted(days)} is no range that a chart of this fund can show. Ask for {', '.join(most)} or {last}, "
        "where the balance is known for longer than that; without a range the page shows the whole record.",
        fund=Link(places[0].fund.name, f"/funds/{slug}"),
    )
