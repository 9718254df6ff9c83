"""A day of a fund without numbers: there is no page, but there are words for it and the nearest days that have some."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from ledger.numbers import format_day
from web.contexts import Link
from web.days import FundDays
from web.past import ICON, STYLE, day_link


@dataclass(frozen=True)
class NoDayPage:
    """What is shown where a fund has no numbers of a day."""

    style: Annotated[str, "path of the style sheet"]
    icon: Annotated[str, "path of the icon"]
    title: Annotated[str, "what is not there"]
    message: Annotated[str, "why, and what there is"]
    fund: Annotated[Link, "the fund as it stands now"]
    nearest: Annotated[tuple[Link, ...], "the nearest days with numbers"]


def is_date(text: str) -> bool:
    """True for a day of the calendar."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def no_day_page(days: FundDays, day: str) -> NoDayPage:
    """What to say of a day without numbers: that there are none, and the nearest days that have some."""
    fund = days.places[0].fund
    links = [day_link(fund.slug, one) for one in days.nearest(day)]
    return NoDayPage(
        style=STYLE,
        icon=ICON,
        title=f"No numbers of {format_day(day)}" if is_date(day) else f"{day} is no day of the calendar",
        message=no_day_words(days, day),
        fund=Link(fund.name, f"/funds/{fund.slug}"),
        nearest=tuple(link for link in links if link is not None),
    )


def no_day_words(days: FundDays, day: str) -> str:
    """Why there is no page, in words."""
    name = days.places[0].fund.name
    if not days.names:
        return f"No number of {name} was computed yet."
    span = f"Its numbers go from {format_day(days.names[0])} to {format_day(days.names[-1])}."
    if not is_date(day):
        return f"A day is written as YYYY-MM-DD, in UTC. {span}"
    return f"Nothing was published of {name} for {format_day(day)}. {span}"


def no_day_json(days: FundDays, day: str) -> dict[str, Any]:
    """The same for the twin, as a problem document (RFC 9457)."""
    return {
        "type": "about:blank",
        "title": "No numbers of that day",
        "status": 404,
        "detail": no_day_words(days, day),
        "nearest": days.nearest(day),
    }
