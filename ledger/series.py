"""Numbers through time, read as columns: a thousand days of one number, or of several the last days. Reads only."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlmodel import Session, SQLModel

from ledger.latest import NUMBER_COLUMNS, LatestNumber

_TABLE = SQLModel.metadata.tables["metric"]
_OF_SEGMENT = select(*NUMBER_COLUMNS).where(_TABLE.c.segment_id == bindparam("segment_id"))
_HISTORY = _OF_SEGMENT.where(_TABLE.c.name == bindparam("name")).order_by(
    _TABLE.c.day, _TABLE.c.as_of_number, _TABLE.c.method_version
)
_LAST_DAYS = _OF_SEGMENT.where(
    _TABLE.c.name.in_(bindparam("names", expanding=True)), _TABLE.c.day >= bindparam("since")
).order_by(_TABLE.c.day, _TABLE.c.name, _TABLE.c.as_of_number, _TABLE.c.method_version)


def list_numbers(session: Session, segment_id: int, name: str) -> list[LatestNumber]:
    """The rows that metric_history() finds: each day's at its greatest as-of block, oldest first."""
    rows = session.connection().execute(_HISTORY, {"segment_id": segment_id, "name": name})
    return list({number.day: number for number in map(LatestNumber._make, rows)}.values())


def list_last_days(session: Session, segment_id: int, names: Sequence[str], *, since: str) -> list[LatestNumber]:
    """The same of several numbers of a segment, from a day (YYYY-MM-DD) on, by day and name."""
    rows = session.connection().execute(_LAST_DAYS, {"segment_id": segment_id, "names": names, "since": since})
    return list({(number.day, number.name): number for number in map(LatestNumber._make, rows)}.values())
