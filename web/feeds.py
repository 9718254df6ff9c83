"""The Atom feed of events; an entry keeps its id when the site is rebuilt or moves."""

from uuid import NAMESPACE_URL, uuid5

from web.contexts import EventLine
from web.edition import Edition
from web.eventlist import DESCRIPTION, last_events
from web.templating import render

MOST_ENTRIES = 100
NEVER = "1970-01-01T00:00:00Z"


def entry_id(event: EventLine) -> str:
    """A stable identifier made of the event's anchor, which names segment, role, day and log."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, 'backstop:event:' + event.anchor)}"


def events_feed(edition: Edition) -> bytes:
    """The newest events."""
    events = last_events(edition, MOST_ENTRIES)
    return render(
        "events.atom",
        description=DESCRIPTION,
        site_url=edition.config.site_url,
        feed_id=f"urn:uuid:{uuid5(NAMESPACE_URL, 'backstop:events')}",
        entries=[(event, entry_id(event)) for event in events],
        updated=max((event.iso for event in events), default=NEVER),
    )
