"""Metric rows: which days are settled, and writing a day's numbers once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, delete, select, update
from sqlmodel import Session, col

from ledger.bulk import insert_rows
from ledger.tables import Metric, Segment
from ledger.tables.sentences import Json

# Wall-clock time of the computation: the one column that may differ between two runs.
BAND = "status_raw"
_KEY = ("segment_id", "name", "day", "as_of_number", "method_version")


@dataclass(frozen=True)
class MetricRow:
    """One row of `metric` before it is written; the fields are the columns."""

    segment_id: int
    name: str
    day: str
    as_of_number: int
    method_version: str
    as_of_hash: str
    as_of_time: datetime
    is_day_final: bool
    value: Decimal | None
    unit: str
    text: str | None
    quality: str
    reason: str
    window_days: float | None
    n_obs: int | None
    n_events: int | None
    ci_low: float | None
    ci_high: float | None
    inputs_digest: str
    detail: Json | None


@dataclass(frozen=True)
class SettledDay:
    """What later days need of a day that is final: its raw band (None: unknown) and what it forecast, by metric."""

    band: int | None
    forecasts: Mapping[str, float | None]


_COLUMNS = (*MetricRow.__dataclass_fields__, "computed_at")


def list_settled(
    session: Session, segment_id: int, method_version: str, forecasts: Collection[str] = ()
) -> dict[str, SettledDay]:
    """The days that are final already, by day: they are never computed again. `forecasts`: metrics to hand down."""
    found = session.execute(
        select(col(Metric.day), col(Metric.as_of_number), col(Metric.name), col(Metric.value)).where(
            col(Metric.segment_id) == segment_id,
            col(Metric.method_version) == method_version,
            col(Metric.name).in_((BAND, *forecasts)),
            col(Metric.is_day_final).is_(True),
        )
    )
    days: dict[str, dict[str, Decimal | None]] = {}
    # Later as-of blocks of one day come last and win.
    for day, _, name, value in sorted(found, key=lambda row: row[:3]):
        days.setdefault(day, {})[name] = value
    return {day: _settle(values) for day, values in days.items() if BAND in values}


def _settle(values: Mapping[str, Decimal | None]) -> SettledDay:
    band = values[BAND]
    forecasts = {name: None if value is None else float(value) for name, value in values.items() if name != BAND}
    return SettledDay(None if band is None else int(band), forecasts)


def write_metrics(session: Session, rows: Iterable[MetricRow], *, computed_at: datetime) -> int:
    """Write rows that are not there yet and return how many; nothing is committed.

    A row of a final day is never touched. A row of the running day that now reads otherwise (a balance that grew
    stale, the day's end) is replaced; one that reads the same is left.
    """
    wanted = {tuple(getattr(row, name) for name in _KEY): row for row in rows}
    if not wanted:
        return 0
    stored = _list_stored(session, list(wanted.values()))
    changed = [key for key, old in stored.items() if not old.is_day_final and key in wanted and wanted[key] != old]
    for key in changed:
        match = [col(getattr(Metric, name)) == part for name, part in zip(_KEY, key, strict=True)]
        session.execute(delete(Metric).where(*match))
    fresh = [row for key, row in wanted.items() if key not in stored or key in set(changed)]
    values = [(*(getattr(row, name) for name in MetricRow.__dataclass_fields__), computed_at) for row in fresh]
    insert_rows(session, Metric, _COLUMNS, values)
    if fresh:
        _count(session, col(Segment.id).in_({row.segment_id for row in fresh}))
    return len(fresh)


def delete_metrics_above(session: Session, chain_id: int, number: int) -> None:
    """Removes what stands on blocks of the chain above that height, final days too: it is computed again."""
    of_chain = select(col(Segment.id)).where(col(Segment.chain_id) == chain_id)
    session.execute(
        delete(Metric)
        .where(col(Metric.segment_id).in_(of_chain), col(Metric.as_of_number) > number)
        .execution_options(synchronize_session=False)
    )
    _count(session, col(Segment.chain_id) == chain_id)


def _count(session: Session, of_these: ColumnElement[bool]) -> None:
    """What was made of these segments' numbers holds no more.

    In the transaction that writes them, and last in it: others wait for the row until it ends.
    """
    more = update(Segment).where(of_these).values(numbers_written=col(Segment.numbers_written) + 1)
    session.execute(more.execution_options(synchronize_session=False))


def _list_stored(session: Session, rows: Sequence[MetricRow]) -> dict[tuple[object, ...], MetricRow]:
    """The stored rows of the same segments and days, by key."""
    columns = [col(getattr(Metric, name)) for name in MetricRow.__dataclass_fields__]
    days = [row.day for row in rows]
    found = session.execute(
        select(*columns).where(
            col(Metric.segment_id).in_(sorted({row.segment_id for row in rows})),
            col(Metric.day) >= min(days),
            col(Metric.day) <= max(days),
        )
    )
    stored = (MetricRow(*row) for row in found)
    return {tuple(getattr(row, name) for name in _KEY): row for row in stored}
