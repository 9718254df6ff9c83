"""What the rules ask and write: their cursor and states, facts and numbers to judge, and what was announced.

Nothing here commits: alerts, deliveries, states and the cursor that covers them are one transaction.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_, update
from sqlmodel import Session, col

from ledger.bulk import insert_rows
from ledger.kinds import AlertEvent, ReadingName, Role
from ledger.pages import Place
from ledger.tables import (
    Alert,
    AlertCursor,
    AlertEvidence,
    AlertState,
    Block,
    Cursor,
    Fact,
    Metric,
    Reading,
    Reorg,
    Segment,
)


class HappeningRow(NamedTuple):
    """One fact that an event rule looks at."""

    segment_id: int
    role: str
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
    detail: dict[str, Any] | None


class NumberRow(NamedTuple):
    """One published number of a segment, as a rule reads it."""

    name: str
    number: int
    time: datetime
    block_hash: str
    value: Decimal | None
    text: str | None
    quality: str
    detail: dict[str, Any] | None


class BalanceRow(NamedTuple):
    """A balance read at a block in its own asset; `value_raw` None is unknown."""

    number: int
    time: datetime
    block_hash: str
    value_raw: int | None
    decimals: int


class EvidenceRow(NamedTuple):
    """A block that an alert stands on, and the height of the chain's tip."""

    alert_id: int
    fact_key: str
    block_number: int
    block_hash: str
    tip_number: int | None


def start_cursor(session: Session, chain_id: int, *, live_since: datetime, epoch: int, now: datetime) -> None:
    """Enters the rules' cursor of a chain; if somebody has just done so, theirs stays."""
    names = ("chain_id", "live_since", "epoch", "moved_at", "ruled_at")
    insert_rows(session, AlertCursor, names, [(chain_id, live_since, epoch, now, now)])


def hold_cursor(session: Session, chain_id: int) -> AlertCursor | None:
    """The rules' cursor of a chain, which nobody else moves until this transaction ends."""
    return session.get(AlertCursor, chain_id, with_for_update=True)


def list_cursors(session: Session) -> list[AlertCursor]:
    """How far the rules have read each chain."""
    return list(session.scalars(select(AlertCursor).order_by(col(AlertCursor.chain_id))))


def list_states(session: Session, chain_id: int) -> dict[tuple[str, str], AlertState]:
    """Where each rule stands with each subject of a chain, by (rule, subject)."""
    rows = session.scalars(select(AlertState).where(col(AlertState.chain_id) == chain_id))
    return {(state.rule, state.subject): state for state in rows}


def find_fork(session: Session, chain_id: int, rollbacks: int) -> int | None:
    """The lowest last common block of the chain's newest so many reorganisations."""
    newest = (
        select(col(Reorg.fork_number)).where(col(Reorg.chain_id) == chain_id).order_by(col(Reorg.id).desc())
    ).limit(rollbacks)
    return session.execute(select(func.min(newest.subquery().c.fork_number))).scalar()


def list_happenings(
    session: Session, segment_ids: Collection[int], roles: Sequence[Role], *, after: datetime
) -> list[HappeningRow]:
    """Facts of these roles in blocks later than a time, in order of blocks and logs."""
    query = (
        select(*(getattr(Fact, name) for name in HappeningRow._fields))
        .where(
            col(Fact.segment_id).in_(segment_ids),
            col(Fact.role).in_([str(role) for role in roles]),
            col(Fact.block_time) > after,
        )
        .order_by(col(Fact.block_number), col(Fact.log_index), col(Fact.fact_no), col(Fact.segment_id))
    )
    return [HappeningRow(*row) for row in session.execute(query)]


def list_numbers(session: Session, segment_id: int, names: Sequence[str], *, above: int) -> list[NumberRow]:
    """Published numbers at as-of blocks higher than `above`, by block; of several days or method versions the newest.

    Those of blocks that a reorganisation replaced are left out: they stay until their day is computed again.
    """
    query = (
        select(
            col(Metric.name),
            col(Metric.as_of_number),
            col(Metric.as_of_time),
            col(Metric.as_of_hash),
            col(Metric.value),
            col(Metric.text),
            col(Metric.quality),
            col(Metric.detail),
        )
        .where(col(Metric.segment_id) == segment_id, col(Metric.name).in_(names), col(Metric.as_of_number) > above)
        .where(_is_on_chain())
        .order_by(col(Metric.as_of_number), col(Metric.day), col(Metric.method_version))
    )
    found = (NumberRow(*row) for row in session.execute(query))
    return list({(row.name, row.number): row for row in found}.values())


def find_last_number(session: Session, segment_id: int, *, until: datetime) -> int | None:
    """The last block at or before a time that numbers of the segment stand on."""
    query = select(func.max(col(Metric.as_of_number))).where(
        col(Metric.segment_id) == segment_id, col(Metric.as_of_time) <= until, _is_on_chain()
    )
    return session.execute(query).scalar()


class NewestNumber(NamedTuple):
    """What the newest row of a metric says of itself."""

    text: str | None
    quality: str
    reason: str


def find_newest(session: Session, segment_id: int, name: str) -> NewestNumber | None:
    """That of a segment's metric; None before any."""
    query = (
        select(col(Metric.text), col(Metric.quality), col(Metric.reason))
        .where(col(Metric.segment_id) == segment_id, col(Metric.name) == name)
        .order_by(col(Metric.day).desc(), col(Metric.as_of_number).desc(), col(Metric.method_version).desc())
        .limit(1)
    )
    row = session.execute(query).first()
    return None if row is None else NewestNumber(*row)


def _is_on_chain() -> ColumnElement[bool]:
    """Whether the block that a metric stands on is still part of its chain."""
    return exists().where(
        col(Segment.id) == col(Metric.segment_id),
        col(Block.chain_id) == col(Segment.chain_id),
        col(Block.hash) == col(Metric.as_of_hash),
    )


def list_balances(session: Session, place: Place, *, since: datetime) -> list[BalanceRow]:
    """Balances of a segment in its own asset read at or after a time, by block."""
    query = (
        _balances(place)
        .where(col(Reading.block_time) >= since)
        .order_by(col(Reading.block_number), col(Reading.subject))
    )
    return [BalanceRow(*row) for row in session.execute(query)]


def find_balance_before(session: Session, place: Place, number: int) -> BalanceRow | None:
    """The last balance known below a block; None until the balance at that block is read, and with it all before."""
    if session.execute(_balances(place).where(col(Reading.block_number) == number).limit(1)).first() is None:
        return None
    query = _balances(place).where(col(Reading.block_number) < number, col(Reading.value_raw).is_not(None))
    found = session.execute(query.order_by(col(Reading.block_number).desc()).limit(1)).first()
    return BalanceRow(*found) if found else None


def _balances(place: Place) -> Select[Any]:
    """The balance of a segment in its own asset."""
    columns = ("block_number", "block_time", "block_hash", "value_raw", "decimals")
    return select(*(getattr(Reading, name) for name in columns)).where(
        col(Reading.segment_id) == place.segment_id,
        col(Reading.name) == ReadingName.BALANCE,
        col(Reading.subject).in_(["", place.asset.address] if place.asset else [""]),
    )


def find_parameter_before(session: Session, row: HappeningRow) -> str:
    """What a parameter was set to before this fact set it; empty where no fact says so."""
    query = (
        select(col(Fact.detail))
        .where(
            col(Fact.segment_id) == row.segment_id,
            col(Fact.role) == row.role,
            col(Fact.market) == row.market if row.market else col(Fact.market).is_(None),
            tuple_(col(Fact.block_number), col(Fact.log_index)) < (row.block_number, row.log_index),
        )
        .order_by(col(Fact.block_number).desc(), col(Fact.log_index).desc())
    )
    name = (row.detail or {}).get("name")
    earlier = (detail for detail in session.scalars(query) if detail and detail.get("name") == name)
    return str(next(earlier, {}).get("value", ""))


def is_announced(session: Session, key: str) -> bool:
    """Whether an alert of that key is there."""
    return session.execute(select(exists().where(col(Alert.key) == key))).scalar() is True


def find_alert(session: Session, alert_id: int) -> Alert | None:
    """One announcement."""
    return session.get(Alert, alert_id)


def list_told(session: Session, chain_id: int) -> set[str]:
    """Keys of the facts of a chain that were announced and not taken back."""
    query = _standing(select(col(AlertEvidence.fact_key))).where(col(AlertEvidence.chain_id) == chain_id)
    return set(session.scalars(query))


def list_vanished(session: Session, chain_id: int) -> list[EvidenceRow]:
    """Evidence of standing alerts whose block a reorganisation took, by alert."""
    columns = (getattr(AlertEvidence, name) for name in EvidenceRow._fields[:-1])
    # In one statement with the blocks: a moment later the tip may be that of another branch.
    tip = select(col(Cursor.number)).where(col(Cursor.chain_id) == chain_id).scalar_subquery()
    is_there = exists().where(
        col(Block.chain_id) == col(AlertEvidence.chain_id), col(Block.hash) == col(AlertEvidence.block_hash)
    )
    query = (
        _standing(select(*columns, tip))
        .where(col(AlertEvidence.chain_id) == chain_id, ~is_there)
        .order_by(col(AlertEvidence.alert_id), col(AlertEvidence.fact_key))
    )
    return [EvidenceRow(*row) for row in session.execute(query)]


def _standing(query: Select[Any]) -> Select[Any]:
    """Only evidence of alerts that no later one takes back."""
    taken_back = select(col(Alert.retracts)).where(col(Alert.retracts).is_not(None))
    return query.where(col(AlertEvidence.alert_id).not_in(taken_back))


def move_evidence(session: Session, row: EvidenceRow, *, number: int, block_hash: str) -> None:
    """The same fact is in another block now."""
    session.execute(
        update(AlertEvidence)
        .where(col(AlertEvidence.alert_id) == row.alert_id, col(AlertEvidence.fact_key) == row.fact_key)
        .values(block_number=number, block_hash=block_hash)
        .execution_options(synchronize_session=False)
    )


def count_retractions(session: Session, alert_key: str) -> int:
    """How often an announcement of this key, or of the same again, was taken back."""
    mine = (col(Alert.key) == alert_key) | col(Alert.key).startswith(f"{alert_key}#", autoescape=True)
    of_this = select(col(Alert.id)).where(mine)
    query = select(func.count()).select_from(Alert).where(col(Alert.retracts).in_(of_this))
    return session.execute(query).scalar() or 0


def list_announced(session: Session, *, after: datetime, until: datetime, chain_ids: Collection[int]) -> list[Alert]:
    """What was announced of these chains and happened in after < time ≤ until, oldest first; digests left out."""
    query = (
        select(Alert)
        .where(
            col(Alert.happened_at) > after,
            col(Alert.happened_at) <= until,
            col(Alert.chain_id).in_(chain_ids),
            col(Alert.event).not_in([AlertEvent.DIGEST_DAILY, AlertEvent.DIGEST_WEEKLY]),
        )
        .order_by(col(Alert.happened_at), col(Alert.id))
    )
    return list(session.scalars(query))


def latest_announced(session: Session, limit: int) -> list[Alert]:
    """The newest announcements, newest first."""
    query = select(Alert).order_by(col(Alert.happened_at).desc(), col(Alert.id).desc()).limit(limit)
    return list(session.scalars(query))
