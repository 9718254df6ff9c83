"""What was published of a day, and by which decoders the facts behind it were made. Reads only."""

from sqlalchemy import select
from sqlmodel import Session, col

from ledger.metrics import MetricRow
from ledger.tables import Fact, Metric


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
