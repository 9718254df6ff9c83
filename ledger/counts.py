"""How much there is, for pages that print only how much: days of segments, facts by their marks. Reads only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import String, bindparam, func, select, type_coerce
from sqlmodel import Session, SQLModel, col

from ledger.kinds import Role
from ledger.published import EVERY_DAY
from ledger.tables import Metric


class _Columns(NamedTuple):
    segment_id: int
    role: str
    market: str | None
    account: str | None
    block_number: int
    log_index: int
    at: str | datetime
    """`block_time` as the driver hands it over."""


class Mark(_Columns):
    """What facts are counted by: the columns of `fact` without amounts, evidence and words."""

    @property
    def day(self) -> str:
        """YYYY-MM-DD, UTC."""
        # SQLite keeps a time as text, in UTC; Postgres tells it in the zone of the connection.
        return self.at[:10] if isinstance(self.at, str) else f"{self.at.astimezone(UTC):%Y-%m-%d}"


_FACTS = SQLModel.metadata.tables["fact"]  # Plain rows: there are thousands, and nothing of them is printed.
_MARKS = select(
    *(_FACTS.c[name] for name in Mark._fields[:-1]), type_coerce(_FACTS.c.block_time, String).label("at")
).where(
    _FACTS.c.segment_id.in_(bindparam("ids", expanding=True)), _FACTS.c.role.in_(bindparam("roles", expanding=True))
)


def list_marks(session: Session, segment_ids: Sequence[int], roles: Sequence[Role]) -> list[Mark]:
    """The marks of all facts of these roles, in no order."""
    rows = session.connection().execute(_MARKS, {"ids": segment_ids, "roles": [str(role) for role in roles]})
    return list(map(Mark._make, rows.all()))


def count_days(session: Session, segment_ids: Sequence[int]) -> dict[int, int]:
    """How many published days each of these segments has; segments never computed are absent."""
    query = (
        select(col(Metric.segment_id), func.count(col(Metric.day).distinct()))
        .where(col(Metric.segment_id).in_(segment_ids), col(Metric.name) == EVERY_DAY)
        .group_by(col(Metric.segment_id))
    )
    return {row[0]: row[1] for row in session.execute(query)}
