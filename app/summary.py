"""The tables at the end of a command: what the ledger says about each segment and each chain."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from rich.text import Text
from sqlalchemy import Engine

from app.screens import STATUS_STYLES, UNKNOWN, Column, show_table
from ledger.kinds import ChainStatus, DataStatus, Quality, Status
from ledger.numbers import format_value
from ledger.pages import ChainState, Place, asking, latest_metrics, list_chains, list_places
from ledger.tables import Metric
from ledger.words import DATA_WORDS, STATUSES
from web.catalogue import describe

SEGMENT_COLUMNS = (
    Column("Segment", is_whole=True),
    Column("Status"),
    Column("Usable", is_number=True),
    Column("Coverage", is_number=True),
    Column("Reference loss", is_number=True),
    Column("Data"),
)
CHAIN_COLUMNS = (
    Column("Chain"),
    Column("State"),
    Column("Followed to", is_number=True),
    Column("Head", is_number=True),
    Column("Time of that block (UTC)"),
)


def show_segments(engine: Engine, title: str) -> None:
    """One row a segment: status, usable value, coverage, reference loss, data status."""
    with asking(engine) as session:
        places = list_places(session)
        metrics = latest_metrics(session, [place.segment_id for place in places])
    rows = [segment_row(place, metrics.get(place.segment_id, {})) for place in places]
    show_table(title, SEGMENT_COLUMNS, rows)


def segment_row(place: Place, metrics: Mapping[str, Metric]) -> list[str | Text]:
    """A segment's numbers as words; what is not known says so and is no number."""
    return [
        place.segment.slug,
        status_text(metrics.get("status")),
        number_text(metrics.get("usable_value")),
        number_text(metrics.get("coverage")),
        number_text(metrics.get("reference_loss")),
        data_text(metrics.get("data_status")),
    ]


def status_text(metric: Metric | None) -> Text:
    """The status word with its glyph; its colour only repeats the word."""
    if metric is None or metric.text not in set(Status):
        return Text("not computed yet", style="dim")
    status = Status(metric.text)
    word, glyph = STATUSES[status]
    return Text(f"{glyph} {word}", style=STATUS_STYLES[status])


def data_text(metric: Metric | None) -> str:
    """Where the data come from and how good they are."""
    if metric is None or metric.text not in set(DataStatus):
        return UNKNOWN
    return DATA_WORDS[DataStatus(metric.text)]


def number_text(metric: Metric | None) -> str | Text:
    """A number with the same digits, rounded the same way, as on the pages; an approximate one is marked."""
    value = known(metric)
    if value is None or metric is None:
        return unknown_text(metric)
    return mark(metric) + format_value(value, metric.unit, describe(metric.name).rounding)


def known(metric: Metric | None) -> Decimal | None:
    """The value unless it is unknown."""
    return None if metric is None or metric.quality == Quality.UNKNOWN else metric.value


def mark(metric: Metric | None) -> str:
    """`≈` before a number that is partial or stale."""
    return "" if metric is None or metric.quality == Quality.OK else "≈"


def unknown_text(metric: Metric | None) -> str | Text:
    """What stands where there is no number: the metric's own words, else that it is unknown."""
    if metric is not None and metric.quality != Quality.UNKNOWN and metric.text:
        return metric.text
    return Text(UNKNOWN, style="dim")


def show_chains(engine: Engine, title: str) -> None:
    """One row a chain: how it stands and how far it was followed; the reason stands below where it is not well."""
    with asking(engine) as session:
        chains = list_chains(session)
    show_table(title, CHAIN_COLUMNS, list(chain_rows(chains)))


def chain_rows(chains: list[ChainState]) -> Iterator[list[str | Text]]:
    """The rows of that table."""
    for state in chains:
        chain = state.chain
        is_well = chain.status == ChainStatus.FOLLOWING
        reason = "" if is_well or not chain.status_reason else f": {chain.status_reason}"
        yield [
            chain.slug,
            Text(f"{chain.status}{reason}", style="" if is_well else "yellow"),
            f"{state.tip.number:,}" if state.tip else "nothing yet",
            f"{chain.head_number:,}" if chain.head_number is not None else UNKNOWN,
            state.tip_time.strftime("%Y-%m-%d %H:%M") if state.tip_time else "",
        ]
