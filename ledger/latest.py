"""What was computed last, read as columns: thousands of numbers at once, of which a page prints a few."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import msgspec
from sqlalchemy import Select, String, Text, and_, bindparam, cast, select, type_coerce
from sqlmodel import Session, SQLModel, col

from ledger.tables import Segment
from ledger.tables.sentences import Json


class Number(Protocol):
    """One published number: a mapped row of `metric`, or the same read as columns."""

    @property
    def segment_id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def day(self) -> str: ...
    @property
    def as_of_number(self) -> int: ...
    @property
    def method_version(self) -> str: ...
    @property
    def as_of_hash(self) -> str: ...
    @property
    def as_of_time(self) -> datetime: ...
    @property
    def is_day_final(self) -> bool: ...
    @property
    def value(self) -> Decimal | None: ...
    @property
    def unit(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def quality(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def window_days(self) -> float | None: ...
    @property
    def n_obs(self) -> int | None: ...
    @property
    def n_events(self) -> int | None: ...
    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...
    @property
    def inputs_digest(self) -> str: ...
    @property
    def detail(self) -> Json | None: ...


class _Columns(NamedTuple):
    segment_id: int
    name: str
    day: str
    as_of_number: int
    method_version: str
    as_of_hash: str
    at: str | datetime
    """`as_of_time` as the driver hands it over."""
    is_day_final: bool
    digits: str | None
    """`value` as text: it has every digit."""
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
    told: str | None
    """`detail` as text."""


class LatestNumber(_Columns):
    """One row of `metric` as its columns; what takes time to read out of them is read when it is asked for."""

    @cached_property
    def as_of_time(self) -> datetime:
        """Time of the block, UTC."""
        # SQLite keeps it as text and without its zone.
        time = datetime.fromisoformat(self.at) if isinstance(self.at, str) else self.at
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)

    @cached_property
    def value(self) -> Decimal | None:
        """Value in unit; None is unknown."""
        return None if self.digits is None else Decimal(self.digits)

    @cached_property
    def detail(self) -> Json | None:
        """Intermediate values that a page shows as evidence."""
        found: Json | None = None if self.told is None else _from_json(self.told)
        return found


_from_json = msgspec.json.Decoder().decode  # As ledger.columns.json_text() wrote it.
# Plain columns of the table: mapped ones are turned into what Python knows one by one.
_TABLE = SQLModel.metadata.tables["metric"]
_READ_AS = {
    "at": type_coerce(_TABLE.c.as_of_time, String),
    "digits": cast(_TABLE.c.value, String),
    "told": cast(_TABLE.c.detail, Text),
}
NUMBER_COLUMNS = [_READ_AS[name] if name in _READ_AS else _TABLE.c[name] for name in _Columns._fields]
"""What a LatestNumber is made of, in its order."""


def at_latest(query: Select[Any]) -> Select[Any]:
    """The query of metrics at the greatest (day, as-of block) of each of the segments `ids`."""
    last = _TABLE.alias()
    # For each segment one step into an index, and not its history.
    day, number = (
        select(part)
        .where(last.c.segment_id == col(Segment.id))
        .order_by(last.c.day.desc(), last.c.as_of_number.desc())
        .limit(1)
        .scalar_subquery()
        for part in (last.c.day, last.c.as_of_number)
    )
    of_these = col(Segment.id).in_(bindparam("ids", expanding=True))
    latest = select(col(Segment.id), day.label("day"), number.label("number")).where(of_these).cte("latest")
    is_latest = and_(
        _TABLE.c.segment_id == latest.c.id, _TABLE.c.day == latest.c.day, _TABLE.c.as_of_number == latest.c.number
    )
    return query.join(latest, is_latest)


_LATEST = at_latest(select(*NUMBER_COLUMNS))


def latest_numbers(session: Session, segment_ids: Sequence[int]) -> dict[int, dict[str, LatestNumber]]:
    """The same rows as latest_metrics() finds, in order of method version and name."""
    rows = session.connection().execute(_LATEST, {"ids": segment_ids}).all()
    # Sorted here: the database would carry whole rows through a tree of its own, and may order letters otherwise.
    numbers = sorted(map(LatestNumber._make, rows), key=attrgetter("method_version", "name"))
    found: dict[int, dict[str, LatestNumber]] = {}
    for number in numbers:
        found.setdefault(number.segment_id, {})[number.name] = number
    return found
