"""From a path to the bytes behind it: one table of pages, whether they are served or published as files."""

import gzip
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from sqlalchemy import Engine
from sqlmodel import Session

from ledger.clock import Clock
from ledger.outbox import oldest_waiting
from ledger.pages import asking, ledger_marker
from web.announced import log_feed, log_json, log_page
from web.api import Json, events_json, fund_json, funds_json, number_json, status_json, to_bytes
from web.badges import HEADERS as BADGE_HEADERS
from web.badges import badge_json, badge_svg
from web.bundle import bundle_body, bundle_path
from web.cards import card_png
from web.changes import changes_feed, changes_json, changes_page
from web.compare import compare_asked, compare_page
from web.contexts import ErrorPage, Frame
from web.crawlers import robots, sitemap
from web.csvs import funds_csv
from web.data import data_page, dictionary_page
from web.days import FundDays
from web.documents import changelog_page, document_page
from web.edition import Edition, SiteConfig
from web.eventlist import events_page
from web.fact import event_json, event_page
from web.feeds import events_feed
from web.found import published_events
from web.frames import frame, static_files, static_path
from web.fund import fund_page
from web.gaps import coverage_json, coverage_page
from web.happened import fund_events_asked, fund_events_csv, fund_events_feed, fund_events_json, fund_events_page
from web.history import history_csv, history_json, history_page
from web.home import home_asked, home_page
from web.latest import Latest
from web.nodays import no_day_json, no_day_page
from web.origins import no_number, number_page, published_numbers
from web.past import ICON, STYLE, days_of, past_json, past_page
from web.ranges import no_range_page
from web.segments import closer_json, closer_paths
from web.sources import status_page
from web.templating import render
from web.whatif import stress_asked, stress_page
from web.wishes import alerts_page

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
CSV = "text/csv; charset=utf-8; header=present"
ATOM = "application/atom+xml; charset=utf-8"
PROBLEM = "application/problem+json"
XML = "application/xml; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
SVG = "image/svg+xml"
PNG = "image/png"
GZIP_LEVEL = 6
STATIC_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Sheet:
    """One finished page."""

    body: bytes
    media_type: str
    is_static: bool = False
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """What this page says otherwise than the others do."""

    @cached_property
    def etag(self) -> str:
        """Changes with every byte; weak, since it is the same page when compressed on the way."""
        return f'W/"{sha256(self.body).hexdigest()[:32]}"'

    @cached_property
    def packed(self) -> bytes:
        """The body as gzip; made once, for it takes longer than finding the page."""
        return gzip.compress(self.body, GZIP_LEVEL, mtime=0)


def _html(template: str, page: object) -> Sheet | None:
    return None if page is None else Sheet(render(template, page=page), HTML)


def _answer(template: str, page: object, code: int) -> Sheet:
    return Sheet(render(template, page=page), HTML, code=code)


def _json(content: Json | None) -> Sheet | None:
    return None if content is None else Sheet(to_bytes(content), JSON)


def _number_at(edition: Edition, slug: str, name: str, number: str) -> Sheet | None:
    """A number as it stood at a block, or why there is none."""
    page = number_page(edition, slug, name, int(number))
    reason = "" if page else no_number(edition, slug, name, int(number))
    if not reason:
        return _html("number.html", page)
    error = ErrorPage(static_path("site.css"), static_path("icon.svg"), "No number at that block", reason)
    return _answer("error.html", error, 404)


def _fund_range(edition: Edition, slug: str, days: str) -> Sheet | None:
    """A fund whose charts show a range of their records, or why none can."""
    error = no_range_page(edition, slug, days)
    return _answer("no_range.html", error, 400) if error else _html("fund.html", fund_page(edition, slug, days))


def _file(body: bytes | None, media_type: str, headers: Mapping[str, str] | None = None) -> Sheet | None:
    return None if body is None else Sheet(body, media_type, headers=headers or {})


Maker = Callable[..., Sheet | None]
Query = tuple[tuple[str, str], ...]
SLUG, METRIC = r"([a-z0-9][a-z0-9-]*)", r"([a-z0-9_]+)"
DAY = r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
BLOCK, EVENT = r"(0|[1-9][0-9]{0,14})", r"([\w-]{3,200})"
FOREVER = "public, max-age=31536000, immutable"
PLAIN = (STYLE, ICON)
SITEMAP = r"/sitemap\.xml"


def past_sheet(days: FundDays | None, day: str) -> Sheet | None:
    """One fund on one day: for ever once that day is settled, and 404 with the nearest days where it has no numbers."""
    if days is None:
        return None
    page = past_page(days, day)
    if page is None:
        return _answer("no_day.html", no_day_page(days, day), 404)
    return Sheet(render("at.html", page=page), HTML, headers={"Cache-Control": FOREVER} if page.is_settled else {})


def past_twin(days: FundDays | None, day: str) -> Sheet | None:
    """The same as JSON."""
    if days is None:
        return None
    content = past_json(days, day)
    if content is None:
        return Sheet(to_bytes(no_day_json(days, day)), PROBLEM, code=404)
    return Sheet(to_bytes(content), JSON, headers={"Cache-Control": FOREVER} if content["is_final"] else {})


# The order matters: a twin's path would also match the page's pattern if that allowed a dot, which it does not.
MAKERS: tuple[tuple[str, Maker], ...] = (
    (r"/", lambda edition: _html("home.html", home_page(edition))),
    (r"/funds\.json", lambda edition: _json(funds_json(edition))),
    (rf"/funds/{SLUG}", lambda edition, slug: _html("fund.html", fund_page(edition, slug))),
    (rf"/funds/{SLUG}\.json", lambda edition, slug: _json(fund_json(edition, slug))),
    (rf"/funds/{SLUG}/balance/{SLUG}\.json", lambda edition, *key: _json(closer_json(edition, *key))),
    (rf"/funds/{SLUG}/facts/{METRIC}", lambda edition, *key: _html("number.html", number_page(edition, *key))),
    (rf"/funds/{SLUG}/facts/{METRIC}\.json", lambda edition, *key: _json(number_json(edition, *key))),
    (rf"/funds/{SLUG}/at/{DAY}", lambda edition, slug, day: past_sheet(days_of(edition, slug), day)),
    (rf"/funds/{SLUG}/at/{DAY}\.json", lambda edition, slug, day: past_twin(days_of(edition, slug), day)),
    (rf"/funds/{SLUG}/facts/{METRIC}/{BLOCK}", _number_at),
    (
        rf"/funds/{SLUG}/facts/{METRIC}/{BLOCK}\.json",
        lambda edition, slug, name, number: _json(number_json(edition, slug, name, int(number))),
    ),
    (r"/funds\.csv", lambda edition: _file(funds_csv(edition), CSV)),
    (rf"/funds/{SLUG}/history", lambda edition, slug: _html("history.html", history_page(edition, slug))),
    (rf"/funds/{SLUG}/history\.json", lambda edition, slug: _json(history_json(edition, slug))),
    (rf"/funds/{SLUG}/history\.csv", lambda edition, slug: _file(history_csv(edition, slug), CSV)),
    (rf"/funds/{SLUG}/events", lambda edition, slug: _html("fund_events.html", fund_events_page(edition, slug))),
    (rf"/funds/{SLUG}/events\.json", lambda edition, slug: _json(fund_events_json(edition, slug))),
    (rf"/funds/{SLUG}/events\.csv", lambda edition, slug: _file(fund_events_csv(edition, slug), CSV)),
    (rf"/funds/{SLUG}/events\.atom", lambda edition, slug: _file(fund_events_feed(edition, slug), ATOM)),
    (rf"/events/{EVENT}", lambda edition, name: _html("event.html", event_page(edition, name))),
    (rf"/events/{EVENT}\.json", lambda edition, name: _json(event_json(edition, name))),
    (r"/changes", lambda edition: _html("changes.html", changes_page(edition))),
    (r"/changes\.json", lambda edition: _json(changes_json(edition))),
    (r"/changes\.atom", lambda edition: Sheet(changes_feed(edition), ATOM)),
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
    (r"/compare", lambda edition: _html("compare.html", compare_page(edition))),
    (r"/stress", lambda edition: _html("stress.html", stress_page(edition))),
    (r"/coverage", lambda edition: _html("coverage.html", coverage_page(edition))),
    (r"/coverage\.json", lambda edition: _json(coverage_json(edition))),
    (r"/data", lambda edition: _html("data.html", data_page(edition, offered_paths(edition)))),
    (r"/data/dictionary", lambda edition: _html("document.html", dictionary_page(edition))),
    (r"/robots\.txt", lambda edition: _file(robots(edition.config), TEXT)),
    (SITEMAP, lambda edition: _file(sitemap(edition.config, list_paths(edition)), XML)),
    (rf"/badges/{SLUG}\.svg", lambda edition, slug: _file(badge_svg(edition, slug), SVG, BADGE_HEADERS)),
    (rf"/badges/{SLUG}\.json", lambda edition, slug: _json(badge_json(edition, slug))),
    (rf"/og/{SLUG}\.png", lambda edition, slug: _file(card_png(edition, slug), PNG)),
)
ASKED: Mapping[str, Callable[[Edition, Query], Sheet]] = {
    "/": lambda edition, query: _answer("home.html", *home_asked(edition, query)),
    "/compare": lambda edition, query: _answer("compare.html", *compare_asked(edition, query)),
    "/stress": lambda edition, query: _answer("stress.html", *stress_asked(edition, query)),
}
"""Pages that answer a question in their address; without one they are pages like the others."""
FUND = re.compile(rf"/funds/{SLUG}")
"""One whose answers are kept like pages: its question has a few answers only."""
FUND_EVENTS = re.compile(rf"/funds/{SLUG}/events")
"""One whose are not, at each fund."""
_COMPILED = tuple((re.compile(pattern), maker) for pattern, maker in MAKERS)


def static_sheet(path: str) -> Sheet | None:
    """A static file by the name with its digest, or by the plain name that pages kept for ever use."""
    files = static_files()
    if path == bundle_path():
        return Sheet(bundle_body(), STATIC_TYPES[".js"], is_static=True)
    if path not in files and path not in PLAIN:
        return None
    body = files[path] if path in files else files[static_path(path.removeprefix("/static/"))]
    return Sheet(body, STATIC_TYPES[path[path.rindex(".") :]], is_static=path in files)


def range_of(path: str, query: Query) -> str:
    """The range of its charts that a fund's page is asked for; empty: no range, or no such page."""
    return next((value for name, value in query if name == "days"), "") if query and FUND.fullmatch(path) else ""


def make_sheet(edition: Edition, path: str, days: str = "") -> Sheet | None:
    """The page behind a path, a fund's in a range where one is named; None where there is none."""
    fund = FUND.fullmatch(path) if days else None
    if fund is not None:
        return _fund_range(edition, fund[1], days)
    fixed = static_sheet(path)
    if fixed is not None:
        return fixed
    for pattern, maker in _COMPILED:
        found = pattern.fullmatch(path)
        if found:
            return maker(edition, *found.groups())
    return None


def ask_page(edition: Edition, path: str, query: Query) -> Sheet | None:
    """The answer to the question in an address; None where the page takes none, or is not there."""
    found = FUND_EVENTS.fullmatch(path)
    if found is None:
        return ASKED[path](edition, query) if path in ASKED else None
    page, code = fund_events_asked(edition, found[1], query)
    return None if page is None else _answer("fund_events.html", page, code)


def list_paths(edition: Edition) -> list[str]:
    """Every path that has a page, but for preview pictures, which are drawn when asked for, and pages of single days:
    those are many, and publish() looks after them."""
    numbers = {
        f"/funds/{place.fund.slug}/facts/{name}" for place in edition.places for name in edition.metrics_of(place)
    }
    facts = [path for number in sorted(numbers) for path in (number, f"{number}.json")]
    # What others link to: the newest numbers at a block, the newest facts; the server has all.
    pages = (*published_numbers(edition), *published_events(edition))
    linked = [path for page in pages for path in (page, f"{page}.json")]
    badges = [f"/badges/{slug}.{suffix}" for slug in edition.funds() for suffix in ("svg", "json")]
    own = (*static_files(), *PLAIN, bundle_path())
    return [*_first_paths(edition), *facts, *_table_paths(edition), *linked, *closer_paths(edition), *badges, *own]


def offered_paths(edition: Edition) -> list[str]:
    """Those of them that the page of data offers: of the site and of each fund, not of single numbers and facts."""
    return [*_first_paths(edition), *_table_paths(edition)]


def _first_paths(edition: Edition) -> list[str]:
    """The pages of the site, and of each fund the first."""
    is_addressed = bool(edition.config.site_url)  # A sitemap needs full addresses.
    patterns = [pattern for pattern, _ in MAKERS if "(" not in pattern and (is_addressed or pattern != SITEMAP)]
    fixed = [pattern.replace("\\", "") for pattern in patterns]
    return [*fixed, *(path for slug in edition.funds() for path in (f"/funds/{slug}", f"/funds/{slug}.json"))]


def _table_paths(edition: Edition) -> list[str]:
    """The tables of each fund."""
    parts = ("history", "history.json", "history.csv", "events", "events.json", "events.csv", "events.atom")
    return [f"/funds/{slug}/{part}" for slug in edition.funds() for part in parts]


class Turns:
    """Those who want the same wait for the one who makes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """One at a time."""
        with self._lock:
            turn = self._turns.setdefault(name, threading.Lock())
        try:
            with turn:
                yield
        finally:
            self._turns.pop(name, None)  # Whoever waits holds it already.


@dataclass
class Stock:
    """What was made of one state of the ledger."""

    state: object = None
    latest: Latest | None = None
    """Of this state or, as long as nobody has asked, of one before."""
    sheets: dict[str, Sheet] = field(default_factory=dict)
    frame: Frame | None = None
    turns: Turns = field(default_factory=Turns)


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

    def sheet(self, path: str, query: Query = ()) -> Sheet | None:
        """The page behind a path; raises LedgerUnreachableError when the ledger does not answer."""
        with_no_ledger = static_sheet(path)
        if with_no_ledger is not None:
            return with_no_ledger
        with asking(self._engine) as session:
            stock = self._kept(session)
            if query and (path in ASKED or FUND_EVENTS.fullmatch(path)):
                # Not kept: anyone can think of questions.
                return ask_page(self._edition(session, stock), path, query)
            days = range_of(path, query)
            name = f"?days={days} {path}" if days else path  # No path begins like that.
            if name in stock.sheets:
                return stock.sheets[name]
            with stock.turns.of(name):
                found = stock.sheets.get(name) or make_sheet(self._edition(session, stock), path, days)
                if found is not None and found.code == 200:  # Anyone can think of paths that do not exist.
                    stock.sheets[name] = found
                return found

    def frame(self, session: Session) -> Frame:
        """What stands around pages that are made for one reader; path and title are theirs to replace."""
        kept = self._kept(session)
        if kept.frame is None:
            kept.frame = frame(self._edition(session, kept), "", "")
        return kept.frame

    def _edition(self, session: Session, stock: Stock) -> Edition:
        with stock.turns.of("what was computed last"):
            edition = Edition(session, self._clock, self._config, stock.latest)
            stock.latest = edition.latest
        return edition

    def _kept(self, session: Session) -> Stock:
        state = ledger_marker(session), f"{self._clock():%Y-%m-%dT%H:%M}"
        with self._lock:
            if state != self._stock.state:
                self._stock = Stock(state, self._stock.latest)
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
