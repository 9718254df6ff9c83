"""The page of events: losses and payouts of all funds, newest first, and liquidations by fund and month."""

from collections.abc import Sequence

from ledger.kinds import Role
from ledger.namings import list_tokens
from ledger.numbers import format_month
from ledger.pages import EventRow, Place, list_events, newest_facts
from web.contexts import Cell, EventLine, EventsPage, Table
from web.edition import Edition
from web.evidence import LOSS_ROLES, event_lines
from web.frames import frame
from web.losses import count_liquidations

MOST_LINES = 200
FACTS_OF_A_LINE, GROWTH = 4, 4
"""So many are asked for at first for each line that is wanted, and so many times more where that was not enough."""


def events_page(edition: Edition) -> EventsPage:
    """The newest events and all liquidations, counted."""
    lines = last_events(edition)
    return EventsPage(
        frame=frame(
            edition,
            "/events",
            "Events",
            description="Shortfalls, payouts, auto-deleveraging and socialised losses, each with its evidence",
            json_path="/events.json",
            places=edition.places,
        ),
        events=tuple(lines[:MOST_LINES]),
        total=len(lines),
        liquidations=_liquidations(edition),
    )


def last_events(edition: Edition) -> list[EventLine]:
    """Shortfalls, payouts, ADL and socialised losses of all funds, newest first."""
    rows = list_events(edition.session, [place.segment_id for place in edition.places], LOSS_ROLES)
    return event_lines(rows, {place.segment_id: place for place in edition.places}, edition.assets)


def newest_events(edition: Edition, count: int) -> list[EventLine]:
    """The first so many of them, made of the newest days only: there may be years before those."""
    ids = [place.segment_id for place in edition.places]
    limit = count * FACTS_OF_A_LINE
    while True:
        rows = newest_facts(edition.session, ids, LOSS_ROLES, limit)
        is_all = len(rows) < limit
        if not is_all:  # A line may sum up a day, so days are taken whole: the oldest one may have been cut.
            rows = [row for row in rows if row.block_time.date() > rows[0].block_time.date()]
        lines = _kept_lines(edition, rows)
        if is_all or len(lines) >= count:
            return lines[:count]
        limit *= GROWTH


def _kept_lines(edition: Edition, rows: Sequence[EventRow]) -> list[EventLine]:
    """The lines of these facts, kept while neither they nor the words around them change."""
    concerned = {row.segment_id for row in rows}
    places = {place.segment_id: place for place in edition.places if place.segment_id in concerned}
    words = [edition.namings[segment_id].told for segment_id in places]
    what = rows, words, list_tokens(edition.session)
    return edition.latest.others.made_of(what, "newest events", lambda: event_lines(rows, places, edition.assets))


def _liquidations(edition: Edition) -> Table | None:
    rows = list_events(edition.session, [place.segment_id for place in edition.places], [Role.LIQUIDATION])
    if not rows:
        return None
    places = {place.segment_id: place for place in edition.places}
    found: dict[tuple[str, int], list[EventRow]] = {}
    for row in rows:
        found.setdefault((f"{row.block_time:%Y-%m}", row.segment_id), []).append(row)
    keys = sorted(found, key=lambda key: (key[0], places[key[1]].segment.slug), reverse=True)
    body = tuple(_line(places[segment_id], month, found[month, segment_id]) for month, segment_id in keys)
    heads = (Cell("Month"), Cell("Fund"), Cell("Liquidations", is_number=True), Cell("Accounts", is_number=True))
    return Table("Liquidations by month", heads, body)


def _line(place: Place, month: str, rows: Sequence[EventRow]) -> tuple[Cell, ...]:
    return (
        Cell(format_month(month)),
        Cell(place.fund.name, href=f"/funds/{place.fund.slug}#liquidations"),
        Cell(f"{count_liquidations(rows):,}", is_number=True),
        Cell(f"{len({row.account for row in rows if row.account}):,}", is_number=True),
    )
