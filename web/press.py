"""From a path to the bytes behind it: one table of pages, whether they are served or published as files."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Engine
from sqlmodel import Session

from ledger.clock import Clock
from ledger.outbox import oldest_waiting
from ledger.pages import asking, ledger_marker
from web.announced import log_feed, log_json, log_page
from web.api import Json, events_json, fund_json, funds_json, number_json, status_json, to_bytes
from web.contexts import Frame
from web.documents import changelog_page, document_page
from web.edition import Edition, SiteConfig
from web.eventlist import events_page
from web.feeds import events_feed
from web.frames import frame, static_files
from web.fund import fund_page
from web.home import home_page
from web.origins import number_page
from web.sources import status_page
from web.templating import render
from web.wishes import alerts_page

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
ATOM = "application/atom+xml; charset=utf-8"
STATIC_TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Sheet:
    """One finished page."""

    body: bytes
    media_type: str
    is_static: bool = False

    @property
    def etag(self) -> str:
        """Changes with every byte; weak, since it is the same page when compressed on the way."""
        return f'W/"{sha256(self.body).hexdigest()[:32]}"'


def _html(template: str, page: object) -> Sheet | None:
    return None if page is None else Sheet(render(template, page=page), HTML)


def _json(content: Json | None) -> Sheet | None:
    return None if content is None else Sheet(to_bytes(content), JSON)


Maker = Callable[..., Sheet | None]
SLUG, METRIC = r"([a-z0-9][a-z0-9-]*)", r"([a-z0-9_]+)"

# The order matters: a twin's path would also match the page's pattern if that allowed a dot, which it does not.
MAKERS: tuple[tuple[str, Maker], ...] = (
    (r"/", lambda edition: _html("home.html", home_page(edition))),
    (r"/funds\.json", lambda edition: _json(funds_json(edition))),
    (rf"/funds/{SLUG}", lambda edition, slug: _html("fund.html", fund_page(edition, slug))),
    (rf"/funds/{SLUG}\.json", lambda edition, slug: _json(fund_json(edition, slug))),
    (rf"/funds/{SLUG}/facts/{METRIC}", lambda edition, *key: _html("number.html", number_page(edition, *key))),
    (rf"/funds/{SLUG}/facts/{METRIC}\.json", lambda edition, *key: _json(number_json(edition, *key))),
    (r"/events", lambda edition: _html("events.html", events_page(edition))),
    (r"/events\.json", lambda edition: _json(events_json(edition))),
    (r"/events\.atom", lambda edition: Sheet(events_feed(edition), ATOM)),
    (r"/alerts", lambda edition: _html("alerts.html", alerts_page(edition))),
    (r"/alerts/log", lambda edition: _html("alerts_log.html", log_page(edition))),
    (r"/alerts/log\.json", lambda edition: _json(log_json(edition))),
    (r"/alerts/log\.atom", lambda edition: Sheet(log_feed(edition), ATOM)),
    (r"/methodology", lambda edition: _html("document.html", document_page(edition, "methodology", "Methodology"))),
    (r"/methodology/changelog", lambda edition: _html("document.html", changelog_page(edition))),
    (r"/glossary", lambda edition: _html("document.html", document_page(edition, "glossary", "Glossary"))),
    (r"/status", lambda edition: _html("status.html", status_page(edition))),
    (r"/status\.json", lambda edition: _json(status_json(edition))),
)
_COMPILED = tuple((re.compile(pattern), maker) for pattern, maker in MAKERS)


def make_sheet(edition: Edition, path: str) -> Sheet | None:
    """The page behind a path; None where there is none."""
    if path in static_files():
        suffix = path[path.rindex(".") :]
        return Sheet(static_files()[path], STATIC_TYPES[suffix], is_static=True)
    for pattern, maker in _COMPILED:
        found = pattern.fullmatch(path)
        if found:
            return maker(edition, *found.groups())
    return None


def list_paths(edition: Edition) -> list[str]:
    """Every path that has a page."""
    fixed = [pattern.replace("\\", "") for pattern, _ in MAKERS if "(" not in pattern]
    funds = [path for slug in edition.funds() for path in (f"/funds/{slug}", f"/funds/{slug}.json")]
    numbers = {
        f"/funds/{place.fund.slug}/facts/{name}" for place in edition.places for name in edition.metrics_of(place)
    }
    facts = [path for number in sorted(numbers) for path in (number, f"{number}.json")]
    return [*fixed, *funds, *facts, *static_files()]


@dataclass
class Stock:
    """What was made of one state of the ledger."""

    state: object = None
    sheets: dict[str, Sheet] = field(default_factory=dict)
    frame: Frame | None = None


class Press:
    """Makes each page once per state of the ledger and hands out the same bytes until that changes.

    A page of a live chain also says how late we are: no page is kept longer than a minute of the clock.
    """

    def __init__(self, engine: Engine, clock: Clock, config: SiteConfig) -> None:
        self._engine = engine
        self._clock = clock
        self._config = config
        self._lock = threading.Lock()
        self._stock = Stock()

    def sheet(self, path: str) -> Sheet | None:
        """The page behind a path; raises LedgerUnreachableError when the ledger does not answer."""
        if path in static_files():
            with_no_ledger = static_files()[path]
            return Sheet(with_no_ledger, STATIC_TYPES[path[path.rindex(".") :]], is_static=True)
        with asking(self._engine) as session:
            kept = self._kept(session).sheets
            if path not in kept:
                made = make_sheet(Edition(session, self._clock, self._config), path)
                if made is None:
                    return None  # Not kept: anyone can think of paths that do not exist.
                kept[path] = made
            return kept[path]

    def frame(self, session: Session) -> Frame:
        """What stands around pages that are made for one reader; path and title are theirs to replace."""
        kept = self._kept(session)
        if kept.frame is None:
            kept.frame = frame(Edition(session, self._clock, self._config), "", "")
        return kept.frame

    def _kept(self, session: Session) -> Stock:
        state = (ledger_marker(session), f"{self._clock():%Y-%m-%dT%H:%M}")
        with self._lock:
            if state != self._stock.state:
                self._stock = Stock(state)
            return self._stock

    @property
    def now(self) -> datetime:
        """The time."""
        return self._clock()

    def waiting_since(self) -> datetime | None:
        """Since when the oldest message that is to be sent has been due; None: none is."""
        with asking(self._engine) as session:
            return oldest_waiting(session, now=self.now)

    def check(self) -> None:
        """Raises LedgerUnreachableError when the ledger does not answer."""
        with asking(self._engine) as session:
            ledger_marker(session)
