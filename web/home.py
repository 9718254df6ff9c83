"""The home page: one row a fund, its worst segment first in the eye, and the last events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from markupsafe import Markup

from ledger.kinds import Status
from ledger.latest import Number
from ledger.layers import has_fund
from ledger.moments import is_made_up
from ledger.numbers import format_block, format_count, format_date
from ledger.pages import Place, daily_balances
from ledger.words import chain_title, kind_words
from web.bands import status_why
from web.changes import last_changes
from web.contexts import Count, EventLine, Frame, HomeRow, Link, Spark, Table
from web.edition import Edition
from web.eventlist import newest_events
from web.figures import Figures, figures_of
from web.filters import (
    Asked,
    Entry,
    FilterForm,
    Head,
    Mistakes,
    choices_of,
    filter_form,
    read_asked,
    select_entries,
    table_heads,
)
from web.frames import frame
from web.severity import worst_days, worst_first
from web.sparks import spark
from web.templating import macro
from web.words import PURPOSE

LAST_EVENTS, LAST_CHANGES = 12, 5
SPARK_DAYS, SPARK_TITLE = 90, "Gross balance a day"
MOST_NOTICES, MOST_NAMES = 3, 3
OPEN = {"unresolved_deficit": "that nobody has paid yet", "unbooked_loss": "that no event has booked yet"}
"""What makes a shortfall an open one."""


EXPLAINED = (Status.DEPLETED, Status.SHORT, Status.THIN, Status.NOT_COMPUTABLE)
"""What made them so stands below the table."""


@dataclass(frozen=True)
class Notice:
    """One line of the banner: an open shortfall, or our own incident."""

    text: Annotated[str, "what is open, with its number and time"]
    links: Annotated[tuple[Link, ...], "where it comes from"]


@dataclass(frozen=True)
class HomePage:
    """The table of funds as it was asked for, and what happened last."""

    frame: Annotated[Frame, "around the page"]
    counts: Annotated[tuple[Count, ...], "funds, segments, Short or Depleted, Not computable"]
    rows: Annotated[tuple[HomeRow, ...], "funds, the most severe first, then the larger reference loss, or as asked"]
    lines: Annotated[tuple[Markup, ...], "the same rows as HTML"]
    events: Annotated[tuple[EventLine, ...], "the last events"]
    notices: Annotated[tuple[Notice, ...], "open shortfalls and sources that are not current; mostly none"]
    form: Annotated[FilterForm, "search and filters"]
    heads: Annotated[tuple[Head, ...], "heads of the columns"]
    changes: Annotated[Table | None, "the last changes of who controls what; None before any"]


def home_page(edition: Edition) -> HomePage:
    """The table of all funds, ordered by severity, then by reference loss."""
    return _page(edition, Asked(), [])


def home_asked(edition: Edition, query: Sequence[tuple[str, str]]) -> tuple[HomePage, int]:
    """The table that an address asks for, and its status code: 400 where a part of the question cannot be read."""
    asked, mistakes = read_asked(query, choices_of(_entries(edition)))
    return _page(edition, asked, mistakes), 400 if mistakes else 200


def _page(edition: Edition, asked: Asked, mistakes: Mistakes) -> HomePage:
    entries = _entries(edition)
    rows = _rows(edition, select_entries(entries, asked))
    return HomePage(
        frame=frame(edition, "/", "Backstop", description=PURPOSE, json_path="/funds.json", places=edition.places),
        counts=_counts(edition),
        rows=tuple(row for row, _ in rows),
        lines=tuple(line for _, line in rows),
        events=tuple(newest_events(edition, LAST_EVENTS)),
        notices=tuple(notices(edition)),
        form=filter_form(asked, choices_of(entries), mistakes, count=len(rows), total=len(entries)),
        heads=table_heads(asked),
        changes=last_changes(edition, LAST_CHANGES),
    )


def _entries(edition: Edition) -> list[Entry]:
    """Each fund's worst segment, in the page's own order."""
    worst: dict[str, Place] = {}
    for place in _worst_first(edition):
        worst.setdefault(place.fund.slug, place)
    return [Entry(place, figures_of(edition, place)) for place in worst.values()]


def _worst_first(edition: Edition) -> list[Place]:
    return edition.once(("worst first",), lambda: worst_first(edition, edition.places))


def notices(edition: Edition) -> list[Notice]:
    """Our own sources that are not current, and losses that nobody has paid or booked yet."""
    told = [_open_shortfall(figures_of(edition, place)) for place in _worst_first(edition)]
    shortfalls = [notice for notice in told if notice is not None]
    late = [chain_title(source.state.chain) for source in edition.sources if not source.is_current]
    found = [_late_sources(late), *shortfalls] if late else shortfalls
    if len(found) > MOST_NOTICES:
        rest = format_count(len(found) - MOST_NOTICES + 1, "more open shortfall")
        found[MOST_NOTICES - 1 :] = [Notice(f"{rest}.", (Link("All events", "/events"),))]
    return found


def _late_sources(names: Sequence[str]) -> Notice:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    text = f"Our reading of {', '.join(names[:MOST_NAMES])}{more} is behind: what it feeds is dated, not current."
    return Notice(text, (Link("Status of our sources", "/status"),))


def _open_shortfall(figures: Figures) -> Notice | None:
    open_now = [figures(name) for name in OPEN if (Entry(figures.place, figures).value(name) or 0) > 0]
    if not open_now:
        return None
    amounts = " and ".join(f"{figure.text} {OPEN[figure.name]}" for figure in open_now)
    text = f"Open shortfall at {figures.place.fund.name}: {amounts}, at {figures.as_of()}."
    return Notice(text, tuple(Link(figure.title, figure.href) for figure in open_now))


def _counts(edition: Edition) -> tuple[Count, ...]:
    keys = [figures_of(edition, place).badge().key for place in edition.places]
    short = sum(key in (Status.SHORT, Status.DEPLETED) for key in keys)
    return (
        Count(len(edition.funds()), "fund" if len(edition.funds()) == 1 else "funds"),
        Count(len(keys), "segment" if len(keys) == 1 else "segments"),
        Count(short, "Short or Depleted"),
        Count(keys.count(Status.NOT_COMPUTABLE), "Not computable"),
    )


def _rows(edition: Edition, entries: Sequence[Entry]) -> list[tuple[HomeRow, Markup]]:
    """The rows, each with its HTML: kept while neither its numbers nor its words change."""
    draw, funds = macro("home_row.html", "fund_row"), edition.funds()
    made_of = {entry.place.segment_id: (entry.figures, len(funds[entry.place.fund.slug]) > 1) for entry in entries}
    kept = {key: edition.latest.segments[key].find("row", what) for key, what in made_of.items()}
    sparks = _sparks(edition, [entry for entry in entries if kept[entry.place.segment_id] is None])

    def made(entry: Entry) -> tuple[HomeRow, Markup]:
        key = entry.place.segment_id
        row = _row(entry, sparks.get(key), is_one_of_many=made_of[key][1])
        return edition.latest.segments[key].keep("row", made_of[key], (row, draw(row)))

    return [kept[entry.place.segment_id] or made(entry) for entry in entries]


def _row(entry: Entry, line: Spark | None, *, is_one_of_many: bool) -> HomeRow:
    place, figures = entry.place, entry.figures
    metric = next(iter(figures.metrics.values()), None)
    worst = figures("worst_1d")
    badge = figures.badge()
    return HomeRow(
        name=f"{place.fund.name}: {place.segment.name}" if is_one_of_many else place.fund.name,
        href=f"/funds/{place.fund.slug}",
        platform=place.platform.name,
        chain=chain_title(place.chain),
        kind=kind_words(place.chain.kind),
        badge=badge,
        data=figures.data()[0],
        why=status_why(figures) if badge.key in EXPLAINED else "",
        usable=figures("usable_value"),
        coverage=figures("coverage"),
        reference_loss=figures("reference_loss"),
        exposure=figures("exposure"),
        worst=worst,
        worst_days=worst_days(figures, worst),
        spark=line,
        spark_reason=_no_spark(place),
        as_of_day=format_date(metric.as_of_time) if metric else "never",
        as_of_time=_moment(metric, place) if metric else "",
    )


def _no_spark(place: Place) -> str:
    if not has_fund(place):
        return "no fund"
    return "too few days" if place.asset else "not read"


def _moment(metric: Number, place: Place) -> str:
    """00:00 UTC, block 12,345; a poll's number is its time, and made-up numbers say nothing."""
    has_block = not (place.chain.is_venue or is_made_up(place.chain))
    return f"{metric.as_of_time:%H:%M} UTC" + (f", {format_block(metric.as_of_number)}" if has_block else "")


def _sparks(edition: Edition, entries: Sequence[Entry]) -> Mapping[int, Spark | None]:
    """Lines of 90 days up to each fund's own last numbers, by segment: one question for all funds of a day."""
    drawn: dict[int, Spark | None] = {}
    starts: dict[str, list[int]] = {}
    for entry in entries:
        metric = next(iter(entry.figures.metrics.values()), None)
        if metric is not None and has_fund(entry.place):
            start = f"{metric.as_of_time - timedelta(days=SPARK_DAYS):%Y-%m-%d}"
            starts.setdefault(start, []).append(entry.place.segment_id)
    for start, segment_ids in starts.items():
        values = daily_balances(edition.session, segment_ids, start)
        drawn.update((one, spark(values.get(one, {}), SPARK_TITLE)) for one in segment_ids)
    return drawn
