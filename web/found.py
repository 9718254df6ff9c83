"""Which fact, or which facts of a day, an address means; and which of those addresses published pages lead to."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ledger.evidence import CHANGE_ROLES, list_events_between
from ledger.kinds import Role
from ledger.pages import EventRow, Place, list_events
from web.edition import Edition
from web.evidence import FAMILIES, GROUP_FROM, paged_facts
from web.happened import EVENT_ROLES
from web.permalinks import Key, event_anchor, event_path, key_of, name_facts, stem
from web.segments import market_names

NAMED_ROLES = tuple(dict.fromkeys((*EVENT_ROLES, *(role for family in FAMILIES for role in family))))
DAY = timedelta(days=1)
FIRST_YEAR, LAST_YEAR = 1970, 9998
TAIL = re.compile(r"(\d{4}-\d{2}-\d{2})(?:-(.+))?", re.ASCII)
OF_TRANSACTION = re.compile(r"[0-9a-f]{12}-\d+", re.ASCII)


@dataclass(frozen=True)
class Found:
    """What a name stands for: one fact, or all of a day; `names` are those of the facts around it."""

    place: Place
    rows: Sequence[EventRow]
    names: Mapping[Key, str]
    name: str
    """The name it has today: another one than was asked for where a reorganisation moved it over midnight."""
    is_day: bool
    markets: Mapping[str, str]
    """Readable names of the segment's markets."""


def find_event(edition: Edition, name: str) -> Found | None:
    """The fact or day of that name; None where there is none. Page and twin look once."""
    return edition.once(("event", name), lambda: _find(edition, name))


def _find(edition: Edition, name: str) -> Found | None:
    for place in edition.places:
        for role in NAMED_ROLES:
            start = f"{stem(role, place)}-"
            tail = TAIL.fullmatch(name.removeprefix(start)) if name.startswith(start) else None
            found = _find_of(edition, place, role, name=name, day=tail[1], own=tail[2] or "") if tail else None
            if found:
                return found
    return None


def _find_of(edition: Edition, place: Place, role: Role, *, name: str, day: str, own: str) -> Found | None:
    """A name of one role and segment; a reorganisation may have moved the fact over midnight since it was given."""
    try:
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    except ValueError:
        return None
    if not FIRST_YEAR <= start.year <= LAST_YEAR:
        return None
    near = list_events_between(edition.session, place, role, since=start - DAY, until=start + 2 * DAY)
    names = name_facts(near, {place.segment_id: place})
    inside = [row for row in near if start <= row.block_time < start + DAY]
    one = next((row for row in inside if name in (names[key_of(row)], event_anchor(row, place, is_group=False))), None)
    if one is None and OF_TRANSACTION.fullmatch(own):
        one = next((row for row in near if names[key_of(row)].endswith(f"-{own}")), None)
    if one is not None:
        return Found(place, [one], names, names[key_of(one)], is_day=False, markets=market_names(edition, place))
    group = [row for row in inside if event_anchor(row, place, is_group=True) == name]
    if not group:
        return None
    return Found(place, group, names, name, is_day=True, markets=market_names(edition, place))


def published_events(edition: Edition) -> list[str]:
    """Paths of the pages that published pages lead to: the newest facts of each family, and their days."""
    places = {place.segment_id: place for place in edition.places}
    found: set[str] = set()
    for family in FAMILIES:
        rows = list_events(edition.session, list(places), family)
        names, paged = name_facts(rows, places), paged_facts(rows)
        days = [event_anchor(row, places[row.segment_id], is_group=True) for row in rows]
        # Changes are never told by day.
        counts = Counter(days) if family is not CHANGE_ROLES else Counter()
        for row, day in zip(rows, days, strict=True):
            if key_of(row) in paged:
                found |= {names[key_of(row)], *([day] if counts[day] >= GROUP_FROM else [])}
    return sorted(map(event_path, found))
