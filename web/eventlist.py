"""The page of events: losses and payouts of all funds, newest first, and liquidations by fund and month."""

from collections.abc import Sequence
from functools import partial

from ledger.counts import Mark, list_marks
from ledger.kinds import Role
from ledger.numbers import format_month
from ledger.pages import Place, newest_facts
from web.contexts import Cell, EventLine, EventsPage, Table
from web.edition import Edition
from web.evidence import LOSS_ROLES, count_lines, event_lines
from web.frames import frame

MOST_LINES = 200
DESCRIPTION = "Shortfalls, payouts, auto-deleveraging and socialised losses, each with its evidence"
FACTS_OF_A_LINE, GROWTH = 16, 4
"""So many are asked for at first for each line that is wanted, and so many times more where that was not enough."""


def events_page(edition: Edition) -> EventsPage:
    """The newest events and all liquidations, counted."""
    ids = [place.segment_id for place in edition.places]
    return EventsPage(
        frame=frame(
            edition,
            "/events",
            "Events",
            description=DESCRIPTION,
            json_path="/events.json",
            places=edition.places,
        ),
        events=tuple(last_events(edition, MOST_LINES)),
        total=count_lines(list_marks(edition.session, ids, LOSS_ROLES)),
        liquidations=_liquidations(edition),
    )


def last_events(edition: Edition, count: int) -> list[EventLine]:
    """The newest so many shortfalls, payouts, ADL and socialised losses of all funds, newest first.

    Made of the newest days only: there may be years before those.
    """
    places = {place.segment_id: place for place in edition.places}
    limit = count * FACTS_OF_A_LINE
    while True:
        rows = newest_facts(edition.session, list(places), LOSS_ROLES, limit)
        is_all = len(rows) < limit
        if not is_all:  # A line may sum up a day, so days are taken whole: the oldest one may have been cut.
            rows = [row for row in rows if row.block_time.date() > rows[0].block_time.date()]
        lines = event_lines(rows, places, edition.assets, limit=count)
        if is_all or len(lines) >= count:
            return lines
        limit *= GROWTH


def newest_events(edition: Edition, count: int) -> list[EventLine]:
    """The same, kept for the home page while nothing in them changes."""
    make = partial(last_events, edition, count)
    return edition.latest.others.made_of("newest events", (count, edition.told_of_facts), make)


def _liquidations(edition: Edition) -> Table | None:
    places = {place.segment_id: place for place in edition.places}
    found: dict[tuple[str, int], list[Mark]] = {}
    for mark in list_marks(edition.session, list(places), [Role.LIQUIDATION]):
        found.setdefault((mark.day[:7], mark.segment_id), []).append(mark)
    if not found:
        return None
    keys = sorted(found, key=lambda key: (key[0], places[key[1]].segment.slug), reverse=True)
    body = tuple(_line(places[segment_id], month, found[month, segment_id]) for month, segment_id in keys)
    heads = (Cell("Month"), Cell("Fund"), Cell("Liquidations", is_number=True), Cell("Accounts", is_number=True))
    return Table("Liquidations by month", heads, body)


def _line(place: Place, month: str, marks: Sequence[Mark]) -> tuple[Cell, ...]:
    count = len({(mark.block_number, mark.log_index) for mark in marks})  # One log may carry several facts.
    return (
        Cell(format_month(month)),
        Cell(place.fund.name, href=f"/funds/{place.fund.slug}#liquidations"),
        Cell(f"{count:,}", is_number=True),
        Cell(f"{len({mark.account for mark in marks if mark.account}):,}", is_number=True),
    )
