"""Where one number comes from: formula, block, inputs, intermediate values, the calls behind it, and its history."""

import re
from collections.abc import Collection, Sequence
from functools import partial

from ledger.evidence import last_final_numbers, metrics_at, nearest_numbers
from ledger.latest import LatestNumber, Number
from ledger.moments import block_words, is_made_up, shorten
from ledger.numbers import finite, format_exact, format_time, scale
from ledger.pages import Place
from ledger.series import list_numbers
from ledger.tables import Reading
from web.catalogue import describe, readings_of
from web.contexts import Cell, Link, NumberPage, NumberPart, Spark, Table
from web.details import detail_of, split_detail
from web.documents import find_section, find_term
from web.edition import Edition
from web.figures import figure
from web.frames import frame
from web.names import neat
from web.severity import worst_first
from web.sparks import spark

MOST_READINGS, MOST_OF_CALL = 120, 60
LONG_ARGUMENT = re.compile("0x[0-9a-fA-F]{40,}")
MOST_DAYS = 60
KEY_METRICS = (
    "status",
    "gross_balance",
    "usable_value",
    "coverage",
    "reference_loss",
    "exposure",
    "worst_1d",
    "socialised_total",
)
"""What a reader asks of a day first: columns of the history, and numbers whose past has linked pages."""
PUBLISHED_DAYS = 7
"""Pages of numbers at a block are linked and published for the key metrics of so many newest final days: a final day
never changes, and all days of all metrics would be a hundred times as many files as the rest of the site. The server
has a page for each of the others too."""


def number_path(slug: str, name: str, number: int | None = None) -> str:
    """Address of a number: the latest, or the one at a block."""
    return f"/funds/{slug}/facts/{name}" + ("" if number is None else f"/{number}")


def shown_metrics(edition: Edition, slug: str, name: str, number: int | None) -> list[tuple[Place, Number]]:
    """One number of each segment, the latest or that of a block, the worst segment first; empty where there is none."""
    places = worst_first(edition, edition.funds().get(slug, []))
    if number is None:
        latest = {place.segment_id: edition.metrics_of(place) for place in places}
        return [(place, latest[place.segment_id][name]) for place in places if name in latest[place.segment_id]]
    found = metrics_at(edition.session, [place.segment_id for place in places], name, number)
    return [(place, found[place.segment_id]) for place in places if place.segment_id in found]


def history_up_to(edition: Edition, metric: Number) -> list[LatestNumber]:
    """The days of a number until then; page and twin ask once."""
    key = metric.segment_id, metric.name
    rows = edition.once(("days of a number", *key), lambda: list_numbers(edition.session, *key))
    return [row for row in rows if row.day <= metric.day and row.as_of_number <= metric.as_of_number]


def published_blocks(edition: Edition, place: Place) -> dict[str, set[int]]:
    """As-of blocks at which a number has a page that others link to, by metric."""
    found = edition.once(
        ("published blocks", place.segment_id),
        lambda: last_final_numbers(edition.session, place.segment_id, KEY_METRICS, days=PUBLISHED_DAYS),
    )
    return {name: set(days.values()) for name, days in found.items()}


def published_numbers(edition: Edition) -> list[str]:
    """Paths of all those pages."""
    return sorted(
        {
            number_path(place.fund.slug, name, number)
            for place in edition.places
            for name, numbers in published_blocks(edition, place).items()
            for number in numbers
        }
    )


def number_page(edition: Edition, slug: str, name: str, number: int | None = None) -> NumberPage | None:
    """The fact page of one metric of one fund, the latest or that of a block; None where there is no such number."""
    found = shown_metrics(edition, slug, name, number)
    if not found:
        return None
    entry = describe(name)
    term = find_term(edition.config.docs, name)
    fields = term.fields if term else {}
    places = [place for place, _ in found]
    path, fund = number_path(slug, name, number), places[0].fund
    at = "" if number is None else f" at {block_words(number, places[0].chain)}"
    return NumberPage(
        frame=frame(
            edition,
            path,
            f"{entry.title}{at}: {fund.name}",
            description=entry.sentence,
            json_path=f"{path}.json",
            places=places,
        ),
        fund=Link(fund.name, f"/funds/{slug}"),
        title=entry.title + at,
        sentence=entry.sentence,
        formula=fields.get("Formula", ""),
        limits=fields.get("Limits", ""),
        term_href=f"/glossary#{term.anchor}" if term else "/glossary",
        method_href=find_section(name),
        parts=tuple(_part(edition, place, metric, is_alone=len(found) == 1) for place, metric in found),
        latest="" if number is None else number_path(slug, name),
        own=number_path(slug, name),
    )


def no_number(edition: Edition, slug: str, name: str, number: int) -> str:
    """Why there is no page of a number at a block, and at which it has one; empty where there is no such number."""
    places = [place for place in edition.funds().get(slug, []) if name in edition.metrics_of(place)]
    if not places:
        return ""
    ids = [place.segment_id for place in places]
    near = [block_words(one, places[0].chain) for one in nearest_numbers(edition.session, ids, name, number)]
    where = f"The nearest with one: {' and '.join(near)}." if near else "It has none at any block."
    return (
        f"{describe(name).title} of {places[0].fund.name} was not computed at "
        f"{block_words(number, places[0].chain)}: a day's number holds at the day's last complete snapshot. {where}"
    )


def _part(edition: Edition, place: Place, metric: Number, *, is_alone: bool) -> NumberPart:
    pairs, tables = split_detail(detail_of(metric))
    history = history_up_to(edition, metric)
    return NumberPart(
        segment="" if is_alone else place.segment.name,
        figure=figure(metric, place),
        facts=(*_facts(metric, place), *pairs),
        tables=tuple(tables),
        readings=_readings(edition, place, metric),
        prices=_prices(edition, place, metric),
        history=_history(edition, history, place),
        spark=_line(history, metric.name),
    )


def _facts(metric: Number, place: Place) -> list[tuple[str, str]]:
    """What the row says beside its value; lines without an answer are left out."""
    day = "the whole day" if metric.is_day_final else "the day so far"
    found = [
        ("As of", block_words(metric.as_of_number, place.chain)),
        ("Time", format_time(metric.as_of_time)),
        (
            "Hash of that poll" if place.chain.is_venue else "Hash of that block",
            "made up, like the block's number" if is_made_up(place.chain) else metric.as_of_hash,
        ),
        ("Day", f"{metric.day}, {day}"),
        ("Window", _days(metric.window_days) if metric.window_days is not None else ""),
        ("Observations", f"{metric.n_obs:,}" if metric.n_obs is not None else ""),
        ("Events", f"{metric.n_events:,}" if metric.n_events is not None else ""),
        ("Quality", metric.quality + (f": {neat(metric.reason)}" if metric.reason else "")),
        ("Method version", metric.method_version),
        ("Digest of the inputs", metric.inputs_digest),
    ]
    return [(word, text) for word, text in found if text]


def _days(days: float) -> str:
    return f"{days:g} {'day' if days == 1 else 'days'}"


def _readings(edition: Edition, place: Place, metric: Number) -> Table | None:
    names = readings_of(metric.name)
    found = edition.readings(place.segment_id, names, metric.as_of_number)
    rows, count = found[:MOST_READINGS], len(found)
    if not rows:
        return None
    heads = (
        Cell("Reading"),
        Cell("Call"),
        Cell("Contract"),
        Cell("Block", is_number=True),
        Cell("Raw answer", is_number=True),
        Cell("Decimals", is_number=True),
        Cell("Value", is_number=True),
    )
    note = f"The first {len(rows)} of {count:,} readings." if count > len(rows) else ""
    body = tuple(_reading(row, edition) for row in rows)
    return Table("Readings at or before that block", heads, body, note)


def _reading(row: Reading, edition: Edition) -> tuple[Cell, ...]:
    asset = edition.assets.get(row.asset_id or 0)
    raw = Cell(f"unknown: {neat(row.error or 'no answer')}")
    value = Cell("unknown")
    if row.value_raw is not None:
        raw = Cell(str(row.value_raw), is_number=True)
        symbol = f"\N{NO-BREAK SPACE}{asset.symbol}" if asset else ""
        value = Cell(format_exact(scale(row.value_raw, row.decimals)) + symbol, is_number=True)
    subject = f" {shorten(row.subject)}" if row.subject else ""
    return (
        Cell(row.name.replace("_", " ") + subject, title=row.subject),
        Cell(_call(row.call), title=neat(row.call)),
        Cell(shorten(row.contract), title=row.contract),
        Cell(f"{row.block_number}", is_number=True),
        raw,
        Cell(str(row.decimals), is_number=True),
        value,
    )


def _call(call: str) -> str:
    """A call with its long arguments shortened."""
    told = LONG_ARGUMENT.sub(lambda found: shorten(found[0]), call)
    return told if len(told) <= MOST_OF_CALL else told[: MOST_OF_CALL - 1] + "…"


def _prices(edition: Edition, place: Place, metric: Number) -> Table | None:
    rows = edition.prices(place.chain.chain_id, metric.as_of_number)
    if not rows or metric.unit not in ("usd", "ratio", "fraction"):
        return None
    heads = (
        Cell("Asset"),
        Cell("Token"),
        Cell("USD", is_number=True),
        Cell("Feed"),
        Cell("Block", is_number=True),
        Cell("Feed's own time"),
    )
    body = tuple(
        (
            Cell(asset.symbol),
            Cell(neat(shorten(asset.address)), title=neat(asset.address)),  # Two may have one symbol.
            Cell(_price_text(price.answer_raw, price.decimals, price.error), is_number=True),
            Cell(shorten(price.feed), title=price.feed),
            Cell(str(price.block_number), is_number=True),
            Cell(format_time(price.updated_at) if price.updated_at else "the feed does not say; dated by our read"),
        )
        for price, asset in rows
    )
    return Table("Prices at or before that block", heads, body)


def _price_text(raw: int | None, decimals: int, error: str | None) -> str:
    return f"unknown: {neat(error or 'no answer')}" if raw is None else format_exact(scale(raw, decimals))


def _history(edition: Edition, history: Sequence[Number], place: Place) -> Table | None:
    if len(history) < 2:
        return None
    shown = list(reversed(history))[:MOST_DAYS]
    linked = _linked(edition, place, shown[0].name)
    heads = (Cell("Day"), Cell("Value", is_number=True), Cell("As of"), Cell("Quality"))
    # The page of each block has the same days again.
    body = tuple(
        edition.once(
            ("day of a number", row.segment_id, row.name, row.day, row.as_of_number, row.method_version),
            partial(_day, row, place, linked),
        )
        for row in shown
    )
    note = f"The newest {len(shown)} of {len(history):,} days." if len(history) > len(shown) else ""
    return Table("Day by day", heads, body, note)


def _day(row: Number, place: Place, linked: Collection[int]) -> tuple[Cell, ...]:
    printed = figure(row, place)
    return (
        Cell(row.day),
        Cell(printed.text, is_number=True, title=printed.exact if finite(row.value) is not None else ""),
        _as_of(row, place, linked),
        Cell(printed.quality + (f": {printed.reason}" if printed.reason else "")),
    )


def _linked(edition: Edition, place: Place, name: str) -> set[int]:
    return published_blocks(edition, place).get(name, set()) if name in KEY_METRICS else set()


def _as_of(row: Number, place: Place, published: Collection[int]) -> Cell:
    """The block, which leads to the number as it stood at it."""
    number = row.as_of_number
    is_linked = number in published
    path = number_path(place.fund.slug, row.name, number) if is_linked else ""
    return Cell(block_words(number, place.chain), href=path)


def _line(history: Sequence[Number], name: str) -> Spark | None:
    return spark({row.day: row.value for row in history}, f"{describe(name).title}, day by day")
