"""The questions pages ask: funds, latest metrics, series, events, readings, and how the sources stand. Reads only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Engine,
    String,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from ledger.database import reading
from ledger.errors import LedgerUnreachableError
from ledger.kinds import ReadingName, Role, SnapshotKind
from ledger.latest import at_latest
from ledger.tables import (
    Alert,
    Asset,
    Block,
    Chain,
    Coverage,
    Cursor,
    Fact,
    Fund,
    Metric,
    Platform,
    Price,
    Reading,
    Reorg,
    Segment,
    Snapshot,
)


@dataclass(frozen=True)
class Place:
    """A segment with everything that names it."""

    segment: Segment
    fund: Fund
    platform: Platform
    chain: Chain
    asset: Asset | None

    @cached_property
    def segment_id(self) -> int:
        """The segment's key; a stored row always has one."""
        if self.segment.id is None:
            raise ValueError(f"segment {self.segment.slug} was never stored")
        return self.segment.id


@dataclass(frozen=True)
class Point:
    """One value of a series: `value_raw` None is unknown, with its error."""

    number: int
    time: datetime
    value_raw: int | None
    decimals: int
    error: str | None = None
    is_scheduled: bool = True
    """False for reads at a flow of the fund: they come in bursts and say nothing about the period of reading."""


@dataclass(frozen=True)
class EventRow:
    """One fact as event tables need it: the columns of `fact` without its decoder."""

    segment_id: int
    role: str
    source: str | None
    side: str | None
    amount_raw: int | None
    asset_id: int | None
    account: str | None
    market: str | None
    block_number: int
    block_time: datetime
    block_hash: str
    log_index: int
    fact_no: int
    tx_hash: str | None
    since_number: int | None


@contextmanager
def asking(engine: Engine) -> Iterator[Session]:
    """One consistent look at the ledger; raises LedgerUnreachableError when the database does not answer."""
    try:
        with reading(engine) as session:
            yield session
    except DBAPIError as error:
        raise LedgerUnreachableError(f"the ledger does not answer: {error.orig}") from error


# Statements of the home page are made once: to write one and look up its translation takes longer than to run it.
_PLACES = (
    select(Segment, Fund, Platform, Chain, Asset)
    .join(Fund, col(Fund.slug) == col(Segment.fund_slug))
    .join(Platform, col(Platform.slug) == col(Fund.platform_slug))
    .join(Chain, col(Chain.chain_id) == col(Segment.chain_id))
    .outerjoin(Asset, col(Asset.id) == col(Segment.asset_id))
    .order_by(col(Fund.slug), col(Segment.slug))
)


def list_places(session: Session, fund_slug: str | None = None) -> list[Place]:
    """All segments with their fund, platform, chain and asset, by slug; of one fund if named."""
    query = _PLACES if fund_slug is None else _PLACES.where(col(Fund.slug) == fund_slug)
    return [Place(*row) for row in session.execute(query)]


def latest_metrics(session: Session, segment_ids: Sequence[int]) -> dict[int, dict[str, Metric]]:
    """Metrics of each segment at its greatest (day, as-of block), by name; segments never computed are absent."""
    query = at_latest(select(Metric)).order_by(col(Metric.method_version), col(Metric.name))
    found: dict[int, dict[str, Metric]] = {}
    for metric in session.scalars(query, {"ids": segment_ids}):
        found.setdefault(metric.segment_id, {})[metric.name] = metric
    return found


def metric_history(session: Session, segment_id: int, name: str) -> list[Metric]:
    """One metric of a segment through time: each day's row at its greatest as-of block, oldest first."""
    rows = session.scalars(
        select(Metric)
        .where(col(Metric.segment_id) == segment_id, col(Metric.name) == name)
        .order_by(col(Metric.day), col(Metric.as_of_number), col(Metric.method_version))
    )
    return list({metric.day: metric for metric in rows}.values())


_DAILY = (
    # Thousands of rows: no decimals are made of what is drawn with three digits.
    select(col(Metric.segment_id), col(Metric.day), type_coerce(col(Metric.value), String))
    .where(
        col(Metric.name) == literal_column("'gross_balance'"),  # In the statement: so the index metric_balance fits it.
        col(Metric.segment_id).in_(bindparam("ids", expanding=True)),
        col(Metric.day) >= bindparam("since"),
    )
    .order_by(col(Metric.segment_id), col(Metric.day), col(Metric.as_of_number), col(Metric.method_version))
)


def daily_balances(session: Session, segment_ids: Sequence[int], since: str) -> dict[int, dict[str, float | None]]:
    """Gross balances, to be drawn, by segment and day from `since` (YYYY-MM-DD) on.

    The last as-of block of a day counts.
    """
    rows = session.connection().execute(_DAILY, {"ids": segment_ids, "since": since}).all()
    found: dict[int, dict[str, float | None]] = {}
    for segment_id, day, value in rows:
        found.setdefault(segment_id, {})[day] = None if value is None else float(value)
    return found


def balance_series(session: Session, place: Place) -> list[Point]:
    """Every balance read of the fund in its own asset, in order of blocks, unknown ones included."""
    own = ["", place.asset.address] if place.asset else [""]
    rows = session.execute(
        select(
            col(Reading.block_number),
            col(Reading.block_time),
            col(Reading.value_raw),
            col(Reading.decimals),
            col(Reading.error),
            func.coalesce(col(Snapshot.kind) == SnapshotKind.SCHEDULED, true()),
        )
        .outerjoin(
            Snapshot,
            and_(
                col(Snapshot.chain_id) == col(Reading.chain_id),
                col(Snapshot.block_hash) == col(Reading.block_hash),
                col(Snapshot.segment_id) == col(Reading.segment_id),
            ),
        )
        .where(
            col(Reading.segment_id) == place.segment_id,
            col(Reading.name) == ReadingName.BALANCE,
            col(Reading.subject).in_(own),
        )
        .order_by(col(Reading.block_number), col(Reading.subject))
    )
    return [Point(*row) for row in rows]


_EVENT_COLUMNS = [getattr(Fact, name) for name in EventRow.__annotations__]
_IN_ORDER = [getattr(Fact, name) for name in ("block_time", "block_number", "log_index", "fact_no", "segment_id")]
_NEWEST_FACTS = (
    select(*_EVENT_COLUMNS)
    .where(
        col(Fact.segment_id).in_(bindparam("ids", expanding=True)),
        col(Fact.role).in_(bindparam("roles", expanding=True)),
    )
    .order_by(*(one.desc() for one in _IN_ORDER))
    .limit(bindparam("limit"))
)


def list_events(session: Session, segment_ids: Sequence[int], roles: Sequence[Role]) -> list[EventRow]:
    """Facts of these roles in order of time, block and log."""
    query = select(*_EVENT_COLUMNS).where(*facts_of(segment_ids, roles)).order_by(*_IN_ORDER)
    return [EventRow(*row) for row in session.execute(query)]


def facts_of(segment_ids: Sequence[int], roles: Sequence[Role]) -> tuple[ColumnElement[bool], ...]:
    """The condition on facts of these segments and roles."""
    return col(Fact.segment_id).in_(segment_ids), col(Fact.role).in_([str(role) for role in roles])


def newest_facts(session: Session, segment_ids: Sequence[int], roles: Sequence[Role], limit: int) -> list[EventRow]:
    """So many of the newest facts of these roles, or all where there are fewer, in the order of list_events()."""
    asked = {"ids": segment_ids, "roles": [str(role) for role in roles], "limit": limit}
    rows = session.connection().execute(_NEWEST_FACTS, asked).all()
    return [EventRow(*row) for row in rows][::-1]


def readings_behind(session: Session, segment_id: int, number: int) -> list[Reading]:
    """For each name the readings at its last block not above `number`, by name and subject."""
    last = (
        select(col(Reading.name).label("name"), func.max(col(Reading.block_number)).label("number"))
        .where(col(Reading.segment_id) == segment_id, col(Reading.block_number) <= number)
        .group_by(col(Reading.name))
        .subquery()
    )
    query = select(Reading).join(
        last, and_(col(Reading.name) == last.c.name, col(Reading.block_number) == last.c.number)
    )
    query = query.where(col(Reading.segment_id) == segment_id).order_by(col(Reading.name), col(Reading.subject))
    return list(session.scalars(query))


def prices_behind(session: Session, chain_id: int, number: int) -> list[tuple[Price, Asset]]:
    """The last price of each asset of a chain read not above a block."""
    earlier = aliased(Price)
    # For each asset one step into an index, and not its history.
    last = (
        select(col(earlier.block_number))
        .where(col(earlier.asset_id) == col(Asset.id), col(earlier.block_number) <= number)
        .order_by(col(earlier.block_number).desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Price, Asset)
        .join(Asset, col(Asset.id) == col(Price.asset_id))
        .where(col(Asset.chain_id) == chain_id, col(Price.block_number) == last)
        .order_by(col(Asset.symbol), col(Asset.address))
    )
    return [(price, asset) for price, asset in rows]


def assets_by_id(session: Session) -> dict[int, Asset]:
    """Every asset by its key."""
    return {asset.id: asset for asset in session.scalars(select(Asset)) if asset.id is not None}


def last_snapshots(session: Session) -> dict[int, Snapshot]:
    """The last block read of each segment."""
    earlier = aliased(Snapshot)
    number = (
        select(col(earlier.block_number))
        .where(col(earlier.segment_id) == col(Segment.id))
        .order_by(col(earlier.block_number).desc())
        .limit(1)
        .scalar_subquery()
    )
    last = select(col(Segment.id), number)
    query = select(Snapshot).where(tuple_(col(Snapshot.segment_id), col(Snapshot.block_number)).in_(last))
    return {row.segment_id: row for row in session.scalars(query)}


@dataclass(frozen=True)
class ChainState:
    """A chain with the tip we followed it to; `tip_time` None: nothing stored yet."""

    chain: Chain
    tip: Cursor | None
    tip_time: datetime | None


_CHAINS = (
    select(Chain, Cursor, col(Block.timestamp))
    .outerjoin(Cursor, col(Cursor.chain_id) == col(Chain.chain_id))
    .outerjoin(Block, and_(col(Block.chain_id) == col(Cursor.chain_id), col(Block.hash) == col(Cursor.hash)))
    .where(col(Chain.chain_id).in_(select(col(Fund.chain_id))))
    .order_by(col(Chain.slug))
)


def list_chains(session: Session) -> list[ChainState]:
    """Chains that a fund lives on, by slug, with the tip of what we followed."""
    return [ChainState(*row) for row in session.execute(_CHAINS)]


def list_coverage(session: Session) -> list[Coverage]:
    """Scanned intervals by segment, filter and first block."""
    query = select(Coverage).order_by(col(Coverage.segment_id), col(Coverage.filter_digest), col(Coverage.from_number))
    return list(session.scalars(query))


def list_reorgs(session: Session, limit: int) -> list[Reorg]:
    """The last reorganisations, newest first."""
    return list(session.scalars(select(Reorg).order_by(col(Reorg.id).desc()).limit(limit)))


class Marker(NamedTuple):
    """Changes when chains, funds, facts, metrics or alerts do: what a cache of pages may be keyed by."""

    chains: tuple[tuple[object, ...], ...]
    funds: tuple[tuple[object, ...], ...]
    computed: int
    """How often numbers were written or taken back."""
    announced: int | None


# Asked at each request: made once, and by the connection, since no objects are wanted.
_CHAIN_MARKS = (
    select(
        col(Chain.chain_id),
        col(Chain.head_number),
        col(Chain.finalized_number),
        col(Chain.status),
        col(Chain.status_reason),
        col(Chain.facts_written),
        col(Cursor.hash),
        col(Cursor.epoch),
    )
    .outerjoin(Cursor, col(Cursor.chain_id) == col(Chain.chain_id))
    .order_by(col(Chain.chain_id))
)
_FUND_MARKS = select(col(Fund.slug), col(Fund.file_digest)).order_by(col(Fund.slug))
_COUNTS = select(
    *(select(count).scalar_subquery() for count in (func.sum(col(Segment.numbers_written)), func.max(col(Alert.id))))
)


def ledger_marker(session: Session) -> Marker:
    """Where the ledger stands."""
    connection = session.connection()
    chains, funds = (tuple(tuple(row) for row in connection.execute(query)) for query in (_CHAIN_MARKS, _FUND_MARKS))
    computed, announced = connection.execute(_COUNTS).one()
    return Marker(chains, funds, int(computed or 0), announced)


def market_details(session: Session, segment_id: int) -> dict[str, dict[str, object]]:
    """What the creation of each market said, by market."""
    rows = session.execute(
        select(col(Fact.market), col(Fact.detail))
        .where(col(Fact.segment_id) == segment_id, col(Fact.role) == Role.MARKET_CREATED, col(Fact.market).is_not(None))
        .order_by(col(Fact.block_number), col(Fact.log_index))
    )
    return {market: dict(detail or {}) for market, detail in rows}
