"""A fund's numbers day by day: the last days as a table, all of them as JSON and CSV."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from ledger.evidence import DayRow, walk_days
from ledger.latest import Number
from ledger.moments import MADE_UP_BLOCK, block_words, is_made_up
from ledger.numbers import format_count
from ledger.pages import Place
from ledger.series import list_last_days
from web.api import Json, envelope, fund_row
from web.catalogue import describe
from web.contexts import Cell, Frame, Link, Table
from web.csvs import Value, disarm, plain_number, plain_time, write_cells
from web.edition import Edition
from web.figures import figure
from web.frames import frame
from web.origins import KEY_METRICS, number_path, published_blocks
from web.past import day_path
from web.severity import worst_first

SHOWN_DAYS = 90
MOST_REASONS = 8
COLUMNS = (
    "segment",
    "name",
    "day",
    "is_day_final",
    "value",
    "unit",
    "text",
    "quality",
    "reason",
    "interval_low",
    "interval_high",
    "window_days",
    "observations",
    "events",
    "block_number",
    "block_time",
    "block_hash",
    "method_version",
    "inputs_digest",
    "synthetic",
)
"""One row of JSON and CSV. With every digit and digest a row takes about 300 bytes: three years of sixty numbers are
65,000 rows and 20 MB, and much less on the way, since most of it repeats."""


@dataclass(frozen=True)
class HistoryPage:
    """The key numbers of a fund, day by day."""

    frame: Annotated[Frame, "around the page"]
    fund: Annotated[Link, "fund it belongs to"]
    tables: Annotated[tuple[Table, ...], "one a segment, the newest day first"]
    files: Annotated[tuple[Link, ...], "all days of all numbers"]


def history_page(edition: Edition, slug: str) -> HistoryPage | None:
    """The page; None where there is no such fund."""
    places = worst_first(edition, edition.funds().get(slug, []))
    if not places:
        return None
    path, fund = f"/funds/{slug}/history", places[0].fund
    tables = (_table(edition, place, is_alone=len(places) == 1) for place in places)
    return HistoryPage(
        frame=frame(
            edition,
            path,
            f"Day by day: {fund.name}",
            description=f"The key numbers of {fund.name}, one row a day, each with the block it holds at",
            json_path=f"{path}.json",
            places=places,
        ),
        fund=Link(fund.name, f"/funds/{slug}"),
        tables=tuple(table for table in tables if table is not None),
        files=(Link("CSV", f"{path}.csv"), Link("JSON", f"{path}.json")),
    )


def _table(edition: Edition, place: Place, *, is_alone: bool) -> Table | None:
    """The last days of one segment; None before any was computed."""
    latest = edition.metrics_of(place)
    if not latest:
        return None
    last = date.fromisoformat(next(iter(latest.values())).day)
    since = last - timedelta(days=SHOWN_DAYS - 1)
    names = [name for name in KEY_METRICS if name in latest]
    days: dict[str, dict[str, Number]] = {}
    for metric in list_last_days(edition.session, place.segment_id, names, since=since.isoformat()):
        days.setdefault(metric.day, {})[metric.name] = metric
    linked = published_blocks(edition, place)
    body = tuple(
        (
            Cell(day, href=day_path(place.fund.slug, day)),
            _block(days[day], place),
            *(_cell(days[day].get(name), place, linked.get(name, set())) for name in names),
        )
        for day in sorted(days, reverse=True)
    )
    heads = (Cell("Day"), Cell("As of"), *(Cell(describe(name).title, is_number=name != "status") for name in names))
    caption = f"The last {SHOWN_DAYS} days up to {last.isoformat()}, UTC" + (
        "" if is_alone else f": {place.segment.name}"
    )
    return Table(caption, heads, body, _note(days, place))


def _note(days: Mapping[str, Mapping[str, Number]], place: Place) -> str:
    """How many days have no number, and why numbers are not known or not good, each reason once."""
    missing = SHOWN_DAYS - len(days)
    gaps = f"{format_count(missing, 'day')} of these {SHOWN_DAYS} without any number. " if missing else ""
    shown = (figure(metric, place) for day in sorted(days, reverse=True) for metric in days[day].values())
    reasons = list(dict.fromkeys(f"{one.title}: {one.reason}." for one in shown if one.reason))
    more = f" And {len(reasons) - MOST_REASONS} further reasons in the files." if len(reasons) > MOST_REASONS else ""
    return (gaps + " ".join(reasons[:MOST_REASONS]) + more).strip()


def _block(numbers: Mapping[str, Number], place: Place) -> Cell:
    """The last block of the day's numbers."""
    newest = max(numbers.values(), key=lambda metric: metric.as_of_number)
    return Cell(f"{block_words(newest.as_of_number, place.chain)}, {newest.as_of_time:%H:%M} UTC")


def _cell(metric: Number | None, place: Place, linked: Collection[int]) -> Cell:
    if metric is None:
        return Cell("not computed")
    shown = figure(metric, place)
    note = f" ({shown.quality})" if shown.quality in ("partial", "stale") else ""
    number = metric.as_of_number
    path = number_path(place.fund.slug, metric.name, number) if number in linked else ""
    return Cell(shown.text + note, href=path, is_number=metric.name != "status", title=shown.reason or shown.exact)


def history_json(edition: Edition, slug: str) -> Json | None:
    """Every number of every day: the columns once, then the rows; None where there is no such fund."""
    places = edition.funds().get(slug)
    if not places:
        return None
    rows = list(_rows(edition, places))
    told = {"columns": COLUMNS, "count": len(rows), "rows": rows}
    return envelope(edition, f"/funds/{slug}/history.json") | fund_row(places[0]) | told


def history_csv(edition: Edition, slug: str) -> bytes | None:
    """The same as CSV."""
    places = edition.funds().get(slug)
    return write_cells(COLUMNS, map(_cells, _rows(edition, places))) if places else None


def _rows(edition: Edition, places: Iterable[Place]) -> Iterator[tuple[Value, ...]]:
    """Rows of COLUMNS. As in the other twins decimals are text, every digit, and times are ISO 8601."""
    words = {place.segment_id: (place.segment.slug, _synthetic(place)) for place in places}
    for row in walk_days(edition.session, list(words)):
        slug, synthetic = words[row.segment_id]
        yield _row(row, slug, synthetic)


def _synthetic(place: Place) -> str:
    return " ".join(MADE_UP_BLOCK) if is_made_up(place.chain) else ""


# The next two run 65,000 times a file, hence by position.
def _row(row: DayRow, slug: str, synthetic: str) -> tuple[Value, ...]:
    decimals = (None if value is None else plain_number(value) for value in row[9:12])
    return slug, *row[1:9], *decimals, *row[12:15], plain_time(row.as_of_time), *row[16:], synthetic


def _cells(row: tuple[Value, ...]) -> tuple[Value, ...]:
    """A row as CSV; symbols of tokens and words of contracts stand in unit, text and reason."""
    slug, name, day, is_final, value, unit, text, quality, reason, *others = row
    told = (disarm(unit), disarm(text), quality, disarm(reason))
    return slug, name, day, "true" if is_final else "false", value, *told, *others
