"""What was announced and when, for everybody: the page, its JSON twin and an Atom feed with stable ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import NAMESPACE_URL, uuid5

from ledger.alerts import latest_announced, list_cursors
from ledger.kinds import Severity
from ledger.numbers import format_time
from ledger.tables import Alert
from ledger.words import SEVERITY_WORDS, event_words
from web.contexts import Frame
from web.edition import Edition
from web.feeds import NEVER
from web.frames import frame
from web.names import neat, neat_name
from web.templating import render

MOST_SHOWN, MOST_ENTRIES = 300, 100
LONGEST_TITLE = 200


@dataclass(frozen=True)
class AnnouncementLine:
    """One announcement."""

    anchor: Annotated[str, "its id on the page"]
    iso: Annotated[str, "chain time of what happened, ISO 8601"]
    when: Annotated[str, "the same in words"]
    event: Annotated[str, "what happened, in words"]
    severity: Annotated[str, "notice, warning, critical in words"]
    fund: Annotated[str, "whom it is about; empty: all"]
    href: Annotated[str, "page of the fund; empty: none"]
    title: Annotated[str, "subject line"]
    sentence: Annotated[str, "what happened, with numbers"]
    replay: Annotated[str, "Replay of …; empty for a live chain"]
    retracted: Annotated[bool, "true where it was taken back later"]
    updated: Annotated[str, "chain time of what was said last: of what happened, or of its being taken back"]
    key: Annotated[str, "the alert's key"]


@dataclass(frozen=True)
class LogPage:
    """The newest announcements, and since when each source is listened to."""

    frame: Annotated[Frame, "around the page"]
    lines: Annotated[tuple[AnnouncementLine, ...], "the newest first"]
    since: Annotated[tuple[tuple[str, str], ...], "source, and the time after which it is announced"]


def log_page(edition: Edition) -> LogPage:
    """The log."""
    around = frame(
        edition,
        "/alerts/log",
        "What was announced",
        description="Every alert as it was worded when it was sent, with what was taken back",
        json_path="/alerts/log.json",
        places=edition.places,
    )
    return LogPage(around, tuple(announcement_lines(edition, MOST_SHOWN)), tuple(live_since(edition)))


def live_since(edition: Edition) -> list[tuple[str, str]]:
    """Each source, and the time of its own clock after which it is announced."""
    names = {source.state.chain.chain_id: source.state.chain.name for source in edition.sources}
    cursors = list_cursors(edition.session)
    return [(names[one.chain_id], format_time(one.live_since)) for one in cursors if one.chain_id in names]


def announcement_lines(edition: Edition, limit: int) -> list[AnnouncementLine]:
    """The newest announcements, newest first."""
    found = latest_announced(edition.session, limit)
    retracted = retraction_times(found)
    return [_line(alert, retracted.get(alert.id)) for alert in found]


def retraction_times(found: Sequence[Alert]) -> dict[int | None, datetime]:
    """Announcements that one of these takes back, and the chain time of that one."""
    return {alert.retracts: alert.happened_at for alert in found if alert.retracts is not None}


def _line(alert: Alert, retracted_at: datetime | None) -> AnnouncementLine:
    said = alert.message
    iso = iso_time(alert.happened_at)
    return AnnouncementLine(
        anchor=f"a{alert.id}",
        iso=iso,
        when=format_time(alert.happened_at),
        event=event_words(alert.event),
        severity=SEVERITY_WORDS[Severity(alert.severity)],
        fund=neat_name(said["fund_name"]) if said.get("fund_name") else "",
        href=f"/funds/{alert.fund_slug}" if alert.fund_slug else "",
        title=neat(alert.title, LONGEST_TITLE),
        sentence=neat(str(said.get("sentence", ""))),
        replay=neat(str(said.get("replay", "")), LONGEST_TITLE),
        retracted=retracted_at is not None,
        updated=iso if retracted_at is None else max(iso, iso_time(retracted_at)),
        key=alert.key,
    )


def iso_time(time: datetime) -> str:
    """ISO 8601 to the second."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def log_json(edition: Edition) -> dict[str, Any]:
    """The same announcements with the whole message of each."""
    found = latest_announced(edition.session, MOST_SHOWN)
    retracted = retraction_times(found)
    rows = [
        {
            "id": alert.id,
            "title": alert.title,
            "created_at": iso_time(alert.created_at),
            "is_retracted": alert.id in retracted,
            **alert.message,
        }
        for alert in found
    ]
    return {"announcements": rows, "live_since": dict(live_since(edition))}


def log_feed(edition: Edition) -> bytes:
    """The newest announcements as Atom; an entry keeps its id when the site is rebuilt or moves."""
    lines = announcement_lines(edition, MOST_ENTRIES)
    return render(
        "alerts_log.atom",
        site_url=edition.config.site_url,
        feed_id=f"urn:uuid:{uuid5(NAMESPACE_URL, 'backstop:alerts')}",
        entries=[(line, f"urn:uuid:{uuid5(NAMESPACE_URL, 'backstop:alert:' + line.key)}") for line in lines],
        updated=max((line.updated for line in lines), default=NEVER),
    )
