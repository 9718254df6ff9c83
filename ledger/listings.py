"""Long lists a page at a time, by the key of the last row seen and never by counting from the start. Reads only."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from ledger.kinds import ReadingName, Role
from ledger.pages import EventRow
from ledger.tables import Alert, Block, Fact, Metric, Reading, Reorg


class FactKey(NamedTuple):
    """A fact's place in a list."""

    time: datetime
    number: int
    log_index: int
    fact_no: int
    segment_id: int


class DayKey(NamedTuple):
    """A metric's place in its history."""

    day: str
    segment_id: int


class ReadingKey(NamedTuple):
    """A reading's place among those of its name."""

    segment_id: int
    subject: str
    number: int


class AlertKey(NamedTuple):
    """An announcement's place."""

    time: datetime
    id: int


class ReorgKey(NamedTuple):
    """A reorganisation's place."""

    id: int


class ReadingRow(NamedTuple):
    """One answer of a contract or venue: `value_raw` None is unknown, with its error."""

    segment_id: int
    name: str
    subject: str
    contract: str
    call: str
    block_number: int
    block_hash: str
    block_time: datetime
    value_raw: int | None
    decimals: int
    asset_id: int | None
    error: str | None


class Span(NamedTuple):
    """A stretch of chain time, both ends included; None: open at that end."""

    since: datetime | None = None
    until: datetime | None = None


ALWAYS = Span()
_EVENT_COLUMNS = [getattr(Fact, name) for name in EventRow.__annotations__]
_BY_TIME = [getattr(Fact, name) for name in ("block_time", "block_number", "log_index", "fact_no", "segment_id")]


def list_facts(
    session: Session,
    segment_ids: Collection[int],
    roles: Sequence[Role],
    *,
    limit: int,
    after: FactKey | None = None,
    span: Span = ALWAYS,
) -> list[EventRow]:
    """Facts of several chains, newest first by time; for roles that are few, since all of them are sorted."""
    query = select(*_EVENT_COLUMNS).where(_is_of(segment_ids, roles), *_within(span))
    return [EventRow(*row) for row in session.execute(_next(query, _BY_TIME, after, limit))]


def list_chain_facts(
    session: Session,
    chain_id: int,
    segment_ids: Collection[int],
    roles: Sequence[Role],
    *,
    limit: int,
    after: FactKey | None = None,
    span: Span = ALWAYS,
) -> list[EventRow]:
    """Facts of segments of one chain, newest first by height; of one segment and role an index holds that order.

    The chain is no condition: SQLite would walk the chain's facts in order of its key instead of using that index.
    """
    query = select(*_EVENT_COLUMNS).where(_is_of(segment_ids, roles), *_within(span), *_between(chain_id, span))
    return [EventRow(*row) for row in session.execute(_next(query, _BY_TIME[1:], after and after[1:], limit))]


def _is_of(segment_ids: Collection[int], roles: Sequence[Role]) -> ColumnElement[bool]:
    return _is_one(col(Fact.segment_id), segment_ids) & _is_one(col(Fact.role), [str(role) for role in roles])


def _is_one(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """The column is one of the values; equal to the only one, for then an index also gives what follows in order."""
    found: ColumnElement[bool] = column.in_(values) if len(values) != 1 else column == next(iter(values))
    return found


def _within(span: Span) -> list[ColumnElement[bool]]:
    found = []
    if span.since is not None:
        found.append(col(Fact.block_time) >= span.since)
    if span.until is not None:
        found.append(col(Fact.block_time) <= span.until)
    return found


def _between(chain_id: int, span: Span) -> list[ColumnElement[bool]]:
    """The same span in heights, which the index knows. Every fact has its block; a height of NULL lets nothing pass."""
    heights = select(col(Block.number)).where(col(Block.chain_id) == chain_id).limit(1)
    found = []
    if span.since is not None:
        first = heights.where(col(Block.timestamp) >= span.since).order_by(col(Block.timestamp), col(Block.number))
        found.append(col(Fact.block_number) >= first.scalar_subquery())
    if span.until is not None:
        last = heights.where(col(Block.timestamp) <= span.until)
        last = last.order_by(col(Block.timestamp).desc(), col(Block.number).desc())
        found.append(col(Fact.block_number) <= last.scalar_subquery())
    return found


def _next(query: Select[Any], columns: Sequence[Any], after: tuple[Any, ...] | None, limit: int) -> Select[Any]:
    """The first rows of a query in falling order of columns, or those that follow a key."""
    if after is not None:
        query = query.where(tuple_(*columns) < tuple_(*after))
    return query.order_by(*(column.desc() for column in columns)).limit(limit)


STANDING = ("status", "data_status", "gross_balance")
"""What says how a segment stands, and why where it is depleted."""


def latest_standing(session: Session, segment_ids: Collection[int]) -> dict[int, dict[str, Metric]]:
    """STANDING of each segment at its greatest (day, as-of block), by name; segments never computed are absent."""
    of_status = (col(Metric.segment_id).in_(segment_ids), col(Metric.name) == "status")
    key = (col(Metric.segment_id), col(Metric.day))
    days = select(key[0], func.max(key[1])).where(*of_status).group_by(key[0])
    latest = select(*key, func.max(col(Metric.as_of_number))).where(*of_status, tuple_(*key).in_(days)).group_by(*key)
    query = (
        select(Metric)
        .where(tuple_(*key, col(Metric.as_of_number)).in_(latest), col(Metric.name).in_(STANDING))
        .order_by(col(Metric.method_version), col(Metric.name).desc())
    )
    found: dict[int, dict[str, Metric]] = {}
    for metric in session.scalars(query):
        found.setdefault(metric.segment_id, {})[metric.name] = metric
    return found


def list_days(
    session: Session, segment_ids: Collection[int], name: str, *, limit: int, after: DayKey | None = None
) -> list[Metric]:
    """One metric by day, newest first: each day's row at its greatest as-of block and then method version."""
    later = aliased(Metric)
    is_replaced = exists().where(
        col(later.segment_id) == col(Metric.segment_id),
        col(later.name) == col(Metric.name),
        col(later.day) == col(Metric.day),
        tuple_(col(later.as_of_number), col(later.method_version))
        > tuple_(col(Metric.as_of_number), col(Metric.method_version)),
    )
    query = select(Metric).where(_is_one(col(Metric.segment_id), segment_ids), col(Metric.name) == name, ~is_replaced)
    return list(session.scalars(_next(query, [col(Metric.day), col(Metric.segment_id)], after, limit)))


def has_metric(session: Session, segment_ids: Collection[int], name: str) -> bool:
    """Whether that metric was ever computed for one of these segments."""
    is_there = exists().where(col(Metric.segment_id).in_(segment_ids), col(Metric.name) == name)
    return session.execute(select(is_there)).scalar() is True


def list_readings(
    session: Session, segment_ids: Collection[int], name: ReadingName, *, limit: int, after: ReadingKey | None = None
) -> list[ReadingRow]:
    """Readings of one name by segment and subject, both falling, and of each the newest block first, as indexed."""
    columns = [getattr(Reading, field) for field in ReadingRow._fields]
    query = select(*columns).where(_is_one(col(Reading.segment_id), segment_ids), col(Reading.name) == name)
    order = [col(Reading.segment_id), col(Reading.subject), col(Reading.block_number)]
    return [ReadingRow(*row) for row in session.execute(_next(query, order, after, limit))]


def list_alerts(session: Session, *, limit: int, after: AlertKey | None = None) -> list[Alert]:
    """What was announced, by chain time of what happened, newest first."""
    return list(session.scalars(_next(select(Alert), [col(Alert.happened_at), col(Alert.id)], after, limit)))


def find_retracted(session: Session, alert_ids: Collection[int]) -> set[int]:
    """Which of these announcements a later one takes back."""
    query = select(col(Alert.retracts)).where(col(Alert.retracts).in_(alert_ids))
    return {found for found in session.scalars(query) if found is not None}


def page_reorgs(session: Session, *, limit: int, after: ReorgKey | None = None) -> list[Reorg]:
    """Reorganisations that replaced stored blocks, newest first."""
    return list(session.scalars(_next(select(Reorg), [col(Reorg.id)], after, limit)))
