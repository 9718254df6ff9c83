"""Tables as CSV by RFC 4180: a header row, UTF-8, CRLF; what is unknown is empty, and no text is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from ledger.latest import Number
from ledger.moments import MADE_UP_BLOCK, is_made_up
from ledger.numbers import finite
from ledger.pages import Place
from ledger.words import chain_title
from web.bands import status_why
from web.edition import Edition
from web.figures import Figures
from web.names import tame
from web.severity import worst_first
from web.templating import NO_XML

Value = str | int | None
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A table program takes a cell that begins with one of these for a formula; contracts choose their own names."""
HOME_METRICS = ("usable_value", "coverage", "reference_loss", "exposure", "worst_1d")
HOME_COLUMNS = (
    "fund",
    "segment",
    "name",
    "platform",
    "chain",
    "source_kind",
    "status",
    "status_reason",
    "data_status",
    *(f"{name}{part}" for name in HOME_METRICS for part in ("", "_unit", "_text", "_quality", "_reason")),
    "day",
    "block_number",
    "block_time",
    "method_version",
    "synthetic",
    "page",
)


class Plain(str):
    """A number or a time, written out: no text of somebody else's, so a minus sign in front means minus."""

    __slots__ = ()


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """A whole file; texts are disarmed."""
    return write_cells(columns, ([_cell(value) for value in row] for row in rows))


def write_cells(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """A whole file of cells as they are; None is nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()


def _cell(value: Value) -> Value:
    if type(value) is str:
        return disarm(value)
    return str(value).lower() if isinstance(value, bool) else value


@lru_cache(maxsize=50_000)  # Most texts of a long table repeat.
def disarm(text: str | None) -> str | None:
    """The text so that no table program takes it for a formula."""
    if text is None:
        return None
    text = NO_XML.sub("\ufffd", tame(text))
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


@lru_cache(maxsize=5000)
def plain_number(value: Decimal | float | str | None) -> Plain | None:
    """Every digit, without separators and exponents; None for what is no finite number."""
    number = finite(value)
    return None if number is None else Plain(format(number, "f"))


@lru_cache(maxsize=5000)
def plain_time(time: datetime) -> Plain:
    """ISO 8601 to the second."""
    return Plain(f"{time:%Y-%m-%dT%H:%M:%SZ}")


def funds_csv(edition: Edition) -> bytes:
    """The table of the home page, one row a segment in its order, each number with unit, quality and reason."""
    return write_csv(HOME_COLUMNS, (_home_row(edition, place) for place in worst_first(edition, edition.places)))


def _home_row(edition: Edition, place: Place) -> tuple[Value, ...]:
    figures = Figures(edition, place)
    newest = next(iter(figures.metrics.values()), None)
    return (
        place.fund.slug,
        place.segment.slug,
        place.fund.name,
        place.platform.name,
        chain_title(place.chain),
        place.chain.kind,
        figures.badge().key,
        status_why(figures),
        figures.data()[0],
        *(value for name in HOME_METRICS for value in _number(figures, name)),
        *_moment(newest),
        " ".join(MADE_UP_BLOCK) if newest and is_made_up(place.chain) else "",
        f"{edition.config.site_url}/funds/{place.fund.slug}",
    )


def _number(figures: Figures, name: str) -> tuple[Value, ...]:
    """Value, unit, words, quality and reason; a metric that is not there is unknown and says why."""
    metric, shown = figures.metric(name), figures(name)
    value = plain_number(metric.value) if metric else None
    words = metric.text if metric else None
    return value, shown.unit, words, shown.quality, shown.reason


def _moment(metric: Number | None) -> tuple[Value, ...]:
    if metric is None:
        return None, None, None, None
    return metric.day, metric.as_of_number, plain_time(metric.as_of_time), metric.method_version
