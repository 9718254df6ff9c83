"""What was published of which day, and by which decoders the facts behind it were made. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from ledger.metrics import MetricRow
from ledger.tables import Fact, Metric

EVERY_DAY = "status"
"""The metric that each computed day of each segment has: it stands for its day in lists."""


@dataclass(frozen=True)
class PublishedDay:
    """One segment's day as it counts: its last as-of block under the newest method version."""

    segment_id: int
    day: str
    number: int
    hash: str
    time: datetime
    method_version: str
    is_final: bool
    """The chain's clock and the scanned blocks had passed its end: its rows are never touched again."""
    inputs_digest: str


def list_days(session: Session, segment_ids: Sequence[int]) -> dict[int, dict[str, PublishedDay]]:
    """Every published day of these segments by its name (YYYY-MM-DD), the oldest first."""
    query = (
        select(
            col(Metric.segment_id),
            col(Metric.day),
            col(Metric.as_of_number),
            col(Metric.as_of_hash),
            col(Metric.as_of_time),
            col(Metric.method_version),
            col(Metric.is_day_final),
            col(Metric.inputs_digest),
        )
        .where(col(Metric.segment_id).in_(segment_ids), col(Metric.name) == EVERY_DAY)
        .order_by(col(Metric.segment_id), col(Metric.day), col(Metric.as_of_number), col(Metric.method_version))
    )
    found: dict[int, dict[str, PublishedDay]] = {}
    for row in session.execute(query):
        one = PublishedDay(*row)
        found.setdefault(one.segment_id, {})[one.day] = one
    return found


def day_metrics(session: Session, day: PublishedDay) -> dict[str, Metric]:
    """The rows of that day, as-of block and method version, by name."""
    rows = session.scalars(
        select(Metric)
        .where(
            col(Metric.segment_id) == day.segment_id,
            col(Metric.day) == day.day,
            col(Metric.as_of_number) == day.number,
            col(Metric.method_version) == day.method_version,
        )
        .order_by(col(Metric.name))
    )
    return {metric.name: metric for metric in rows}


def list_published(session: Session, segment_id: int, day: str) -> list[MetricRow]:
    """Every metric row of a segment's day (YYYY-MM-DD), by as-of block, method version and name."""
    columns = [col(getattr(Metric, name)) for name in MetricRow.__dataclass_fields__]
    found = session.execute(select(*columns).where(col(Metric.segment_id) == segment_id, col(Metric.day) == day))
    rows = (MetricRow(*row) for row in found)
    return sorted(rows, key=lambda row: (row.as_of_number, row.method_version, row.name))


def list_decoders(session: Session, segment_id: int, number: int) -> list[str]:
    """shape@version of each decoder that made a fact of the segment at or below a block, in order."""
    query = select(col(Fact.decoder)).where(col(Fact.segment_id) == segment_id, col(Fact.block_number) <= number)
    return sorted(session.execute(query.distinct()).scalars())
