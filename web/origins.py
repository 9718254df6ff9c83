"""Where one number comes from: formula, block, inputs, intermediate values, the calls behind it, and its history."""

from collections.abc import Sequence

from ledger.moments import block_words, is_made_up, shorten
from ledger.numbers import finite, format_exact, format_exact_value, format_time, scale
from ledger.pages import Place
from ledger.tables import Metric, Reading
from web.catalogue import describe, readings_of
from web.contexts import Cell, Link, NumberPage, NumberPart, Spark, Table
from web.details import detail_of, split_detail
from web.documents import find_section, find_term
from web.edition import Edition
from web.figures import Figures, figure
from web.frames import frame
from web.home import worst_first
from web.sparks import spark

MOST_READINGS = 120
MOST_DAYS = 60


def number_page(edition: Edition, slug: str, name: str) -> NumberPage | None:
    """The fact page of one metric of one fund; None where that fund has no such metric."""
    places = [place for place in edition.funds().get(slug, []) if name in edition.metrics_of(place)]
    if not places:
        return None
    entry = describe(name)
    term = find_term(edition.config.docs, name)
    fields = term.fields if term else {}
    path = f"/funds/{slug}/facts/{name}"
    fund = places[0].fund
    title = f"{entry.title}: {fund.name}"
    return NumberPage(
        frame=frame(edition, path, title, description=entry.sentence, json_path=f"{path}.json", places=places),
        fund=Link(fund.name, f"/funds/{slug}"),
        title=entry.title,
        sentence=entry.sentence,
        formula=fields.get("Formula", ""),
        limits=fields.get("Limits", ""),
        term_href=f"/glossary#{term.anchor}" if term else "/glossary",
        method_href=find_section(name),
        parts=tuple(_part(edition, place, name, len(places)) for place in worst_first(edition, places)),
    )


def _part(edition: Edition, place: Place, name: str, count: int) -> NumberPart:
    metric = edition.metrics_of(place)[name]
    pairs, tables = split_detail(detail_of(metric))
    history = edition.history(place.segment_id, name)
    return NumberPart(
        segment=place.segment.name if count > 1 else "",
        figure=Figures(edition, place)(name),
        facts=(*_facts(metric, place), *pairs),
        tables=tuple(tables),
        readings=_readings(edition, place, metric),
        prices=_prices(edition, place, metric),
        history=_history(history, place),
        spark=_line(history, name),
    )


def _facts(metric: Metric, place: Place) -> list[tuple[str, str]]:
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
        ("Window", f"{metric.window_days:g} days" if metric.window_days is not None else ""),
        ("Observations", f"{metric.n_obs:,}" if metric.n_obs is not None else ""),
        ("Events", f"{metric.n_events:,}" if metric.n_events is not None else ""),
        ("Quality", metric.quality + (f": {metric.reason}" if metric.reason else "")),
        ("Method version", metric.method_version),
        ("Digest of the inputs", metric.inputs_digest),
    ]
    return [(word, text) for word, text in found if text]


def _readings(edition: Edition, place: Place, metric: Metric) -> Table | None:
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
    raw = Cell(f"unknown: {row.error or 'no answer'}")
    value = Cell("unknown")
    if row.value_raw is not None:
        raw = Cell(str(row.value_raw), is_number=True)
        symbol = f"\N{NO-BREAK SPACE}{asset.symbol}" if asset else ""
        value = Cell(format_exact(scale(row.value_raw, row.decimals)) + symbol, is_number=True)
    subject = f" {shorten(row.subject)}" if row.subject else ""
    return (
        Cell(row.name.replace("_", " ") + subject, title=row.subject),
        Cell(_call(row.call), title=row.call),
        Cell(shorten(row.contract), title=row.contract),
        Cell(f"{row.block_number}", is_number=True),
        raw,
        Cell(str(row.decimals), is_number=True),
        value,
    )


def _call(call: str) -> str:
    """A call with its long arguments shortened."""
    return call if len(call) <= 60 else call[:59] + "…"


def _prices(edition: Edition, place: Place, metric: Metric) -> Table | None:
    rows = edition.prices(place.chain.chain_id, metric.as_of_number)
    if not rows or metric.unit not in ("usd", "ratio", "fraction"):
        return None
    heads = (
        Cell("Asset"),
        Cell("USD", is_number=True),
        Cell("Feed"),
        Cell("Block", is_number=True),
        Cell("Feed's own time"),
    )
    body = tuple(
        (
            Cell(asset.symbol),
            Cell(_price_text(price.answer_raw, price.decimals, price.error), is_number=True),
            Cell(shorten(price.feed), title=price.feed),
            Cell(str(price.block_number), is_number=True),
            Cell(format_time(price.updated_at) if price.updated_at else "the feed does not say; dated by our read"),
        )
        for price, asset in rows
    )
    return Table("Prices at or before that block", heads, body)


def _price_text(raw: int | None, decimals: int, error: str | None) -> str:
    return f"unknown: {error or 'no answer'}" if raw is None else format_exact(scale(raw, decimals))


def _history(history: Sequence[Metric], place: Place) -> Table | None:
    if len(history) < 2:
        return None
    shown = list(reversed(history))[:MOST_DAYS]
    heads = (Cell("Day"), Cell("Value", is_number=True), Cell("As of"), Cell("Quality"))
    body = []
    for row in shown:
        printed = figure(row, place)
        exact = (
            format_exact_value(row.value, row.unit) if finite(row.value) is not None and row.value is not None else ""
        )
        body.append(
            (
                Cell(row.day),
                Cell(printed.text, is_number=True, title=exact),
                Cell(block_words(row.as_of_number, place.chain)),
                Cell(printed.quality + (f": {printed.reason}" if printed.reason else "")),
            )
        )
    note = f"The newest {len(shown)} of {len(history):,} days." if len(history) > len(shown) else ""
    return Table("Day by day", heads, tuple(body), note)


def _line(history: Sequence[Metric], name: str) -> Spark | None:
    return spark({row.day: row.value for row in history}, f"{describe(name).title}, day by day")
