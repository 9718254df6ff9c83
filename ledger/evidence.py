"""What pages of evidence ask: numbers by day and at a block, events newest first, one fact with its log. Reads only."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import String, bindparam, cast, exists, func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, SQLModel, col

from ledger.kinds import Role
from ledger.pages import EventRow, Place, facts_of, newest_facts
from ledger.tables import Alert, AlertEvidence, Block, Fact, Metric, RawLog


class DayRow(NamedTuple):
    """One number of a segment's day: the columns of `metric` without its detail."""

    segment_id: int
    name: str
    day: str
    is_day_final: bool
    value: str | None
    """Every digit; None is unknown."""
    unit: str
    text: str | None
    quality: str
    reason: str
    ci_low: float | None
    ci_high: float | None
    window_days: float | None
    n_obs: int | None
    n_events: int | None
    as_of_number: int
    as_of_time: datetime
    as_of_hash: str
    method_version: str
    inputs_digest: str


class ChangeRow(NamedTuple):
    """One fact that says who may decide, by which rule, or whether a market is open."""

    segment_id: int
    role: str
    account: str | None
    market: str | None
    detail: dict[str, Any] | None
    block_number: int
    block_time: datetime
    block_hash: str
    log_index: int
    fact_no: int
    tx_hash: str | None
    since_number: int | None


class Telling(NamedTuple):
    """An announcement that stands on a fact, and whether it was taken back."""

    alert: Alert
    is_retracted: bool


CHANGE_ROLES = (Role.CONTROL, Role.PARAM, Role.MARKET_SHUTDOWN)
_EVENT_COLUMNS = [getattr(Fact, name) for name in EventRow.__annotations__]
_IN_ORDER = ("block_time", "block_number", "log_index", "fact_no", "segment_id")


def walk_days(session: Session, segment_ids: Sequence[int]) -> Iterator[DayRow]:
    """Every number of these segments, each day's at its greatest as-of block, by segment, name and day."""
    table = SQLModel.metadata.tables["metric"]  # Plain rows: mapped ones take twice as long, and these are many.
    # A decimal as text has every digit as well, and nobody calculates with it.
    columns = [cast(table.c[name], String) if name == "value" else table.c[name] for name in DayRow._fields]
    order = ("segment_id", "name", "day", "as_of_number", "method_version")
    query = select(*columns).where(table.c.segment_id.in_(segment_ids)).order_by(*(table.c[name] for name in order))
    last: DayRow | None = None
    for row in session.execute(query, execution_options={"yield_per": 5000}):
        if last is not None and last[:3] != row[:3]:
            yield last
        last = DayRow._make(row)
    if last is not None:
        yield last


def metrics_at(session: Session, segment_ids: Sequence[int], name: str, number: int) -> dict[int, Metric]:
    """One metric at an as-of block by segment; of several days or method versions the newest."""
    rows = session.scalars(
        select(Metric)
        .where(col(Metric.segment_id).in_(segment_ids), col(Metric.name) == name, col(Metric.as_of_number) == number)
        .order_by(col(Metric.day), col(Metric.method_version))
    )
    return {metric.segment_id: metric for metric in rows}


def nearest_numbers(session: Session, segment_ids: Sequence[int], name: str, number: int) -> list[int]:
    """The last as-of block of a metric below a block and the first above it, those that there are."""
    own = (col(Metric.segment_id).in_(segment_ids), col(Metric.name) == name)
    below = select(func.max(col(Metric.as_of_number))).where(*own, col(Metric.as_of_number) < number)
    above = select(func.min(col(Metric.as_of_number))).where(*own, col(Metric.as_of_number) > number)
    found = (session.execute(query).scalar() for query in (below, above))
    return [one for one in found if one is not None]


_FINAL = (
    col(Metric.segment_id) == bindparam("segment_id"),
    col(Metric.name).in_(bindparam("names", expanding=True)),
    col(Metric.is_day_final).is_(True),
)
_FINAL_DAYS = select(col(Metric.day)).where(*_FINAL).distinct().order_by(col(Metric.day).desc())
_FINAL_NUMBERS = (  # Asked for each segment: made once.
    select(col(Metric.name), col(Metric.day), col(Metric.as_of_number))
    .where(*_FINAL, col(Metric.day).in_(_FINAL_DAYS.limit(bindparam("days"))))
    .order_by(col(Metric.name), col(Metric.day), col(Metric.as_of_number))
)


def last_final_numbers(
    session: Session, segment_id: int, names: Sequence[str], *, days: int
) -> dict[str, dict[str, int]]:
    """As-of blocks of these metrics on the newest so many final days of a segment, by name and day."""
    asked = {"segment_id": segment_id, "names": names, "days": days}
    found: dict[str, dict[str, int]] = {}
    for name, day, number in session.connection().execute(_FINAL_NUMBERS, asked):
        found.setdefault(name, {})[day] = number
    return found


def count_events(session: Session, segment_ids: Sequence[int], roles: Sequence[Role]) -> int:
    """How many facts of these roles there are."""
    query = select(func.count()).select_from(Fact).where(*facts_of(segment_ids, roles))
    return session.execute(query).scalar() or 0


def latest_events(session: Session, segment_ids: Sequence[int], roles: Sequence[Role], limit: int) -> list[EventRow]:
    """The newest facts of these roles, at most so many, in order of time, block and log.

    Where more are stored, those of the oldest block are left out: it may have been cut, and a fact is named by its
    place among the others of its transaction.
    """
    rows = newest_facts(session, segment_ids, roles, limit + 1)
    if len(rows) > limit:
        cut = (rows[0].block_time, rows[0].block_number)
        rows = [row for row in rows if (row.block_time, row.block_number) > cut]
    return rows


def list_events_between(
    session: Session, place: Place, role: Role, *, since: datetime, until: datetime
) -> list[EventRow]:
    """Facts of one role of a segment with since ≤ block time < until, in order of block and log."""
    rows = session.execute(
        select(*_EVENT_COLUMNS)
        .where(*facts_of([place.segment_id], [role]), col(Fact.block_time) >= since, col(Fact.block_time) < until)
        .order_by(*(col(getattr(Fact, name)) for name in _IN_ORDER))
    )
    return [EventRow(*row) for row in rows]


def find_fact(session: Session, place: Place, row: EventRow) -> Fact | None:
    """The whole row of a fact."""
    key = (place.segment.chain_id, row.block_number, row.log_index, row.fact_no, place.segment_id)
    names = ("chain_id", "block_number", "log_index", "fact_no", "segment_id")
    return session.get(Fact, dict(zip(names, key, strict=True)))


def find_log(session: Session, fact: Fact) -> RawLog | None:
    """The raw log that a fact was decoded from; None where none is stored, as of a poll."""
    key = {"chain_id": fact.chain_id, "block_number": fact.block_number, "log_index": fact.log_index}
    return session.get(RawLog, key)


def find_block(session: Session, fact: Fact) -> Block | None:
    """The block that a fact is in."""
    return session.get(Block, {"chain_id": fact.chain_id, "hash": fact.block_hash})


def list_tellings(session: Session, fact: Fact, *, named: str) -> list[Telling]:
    """What was announced of a fact, oldest first; `named` is how the keys of its evidence end."""
    later = aliased(Alert)
    retraction = exists().where(col(later.retracts) == col(Alert.id))
    rows = session.execute(
        select(Alert, retraction)
        .join(AlertEvidence, col(AlertEvidence.alert_id) == col(Alert.id))
        .where(
            col(AlertEvidence.chain_id) == fact.chain_id,
            col(AlertEvidence.block_number) == fact.block_number,
            col(AlertEvidence.block_hash) == fact.block_hash,
            col(AlertEvidence.fact_key).endswith(named, autoescape=True),
        )
        .order_by(col(Alert.happened_at), col(Alert.id))
    )
    return [Telling(alert, is_retracted) for alert, is_retracted in rows]


_CHANGES = (  # For the home page, made once as those in ledger.pages.
    select(*(getattr(Fact, name) for name in ChangeRow._fields))
    .where(col(Fact.segment_id).in_(bindparam("ids", expanding=True)), col(Fact.role).in_(list(map(str, CHANGE_ROLES))))
    .order_by(*(col(getattr(Fact, name)) for name in _IN_ORDER))
)


def list_changes(session: Session, segment_ids: Sequence[int]) -> list[ChangeRow]:
    """Every fact about control, parameters and shutdowns, in order of time, block and log."""
    rows = session.connection().execute(_CHANGES, {"ids": segment_ids})
    return [ChangeRow(*row) for row in rows]
