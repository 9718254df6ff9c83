"""The outbox: what is to be sent to whom, and how that went. Nothing here commits.

An alert and its deliveries are one transaction, so that neither is there without the other. A sender takes deliveries
by `ledger.claims` and says by `ledger.attempts` what came of them.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlmodel import Session, col

from ledger.bulk import insert_rows
from ledger.kinds import AlertEvent, DeliveryState, DigestChoice, EndpointKind, EndpointStatus, Purpose, Severity
from ledger.tables import Alert, Attempt, Delivery, Endpoint, Mute, Segment, Subscription
from ledger.tables.sentences import Json
from ledger.words import SEVERITY_ORDER

LONGEST_ANSWER = 300
DIGESTS = {AlertEvent.DIGEST_DAILY: DigestChoice.DAILY, AlertEvent.DIGEST_WEEKLY: DigestChoice.WEEKLY}
OF_CHAINS = frozenset({AlertEvent.STALE, AlertEvent.DATA_RECOVERED, AlertEvent.LAGGING, AlertEvent.DISAGREEMENT})
"""What is said of a chain concerns everybody who follows a fund on it."""
ENDS = frozenset({AlertEvent.COVERAGE_RECOVERED, AlertEvent.DATA_RECOVERED})


class LogRow(NamedTuple):
    """One attempt of a delivery as its owner reads it; without an attempt the fields of one are None."""

    delivery_id: int
    message_id: str
    purpose: str
    title: str | None
    """Subject line of the alert; None: it is no alert."""
    event: str | None
    state: str
    state_reason: str
    next_at: datetime
    created_at: datetime
    number: int | None
    began_at: datetime | None
    seconds: float | None
    is_ok: bool | None
    answer: str | None


def message_id_of(alert_key: str, endpoint_public_id: str) -> str:
    """What one alert is called at one endpoint: the same whenever it is asked for, by whomever."""
    return f"msg_{uuid5(NAMESPACE_URL, f'backstop:{endpoint_public_id}:{alert_key}').hex}"


def order(
    session: Session,
    endpoint_id: int,
    purpose: Purpose,
    *,
    now: datetime,
    detail: Json | None = None,
    message_id: str | None = None,
) -> int:
    """Orders a message that is no alert; its delivery's id. Without a message id it gets one nobody can guess."""
    delivery = Delivery(
        message_id=message_id or f"msg_{secrets.token_hex(16)}",
        endpoint_id=endpoint_id,
        purpose=purpose,
        detail=detail,
        state=DeliveryState.WAITING,
        next_at=now,
        created_at=now,
    )
    session.add(delivery)
    session.flush()
    assert delivery.id is not None  # The flush gave it one.
    return delivery.id


def order_alert(session: Session, alert: Alert, *, now: datetime) -> int:
    """Orders the alert for every active endpoint that wants it and has it not yet; how many are to be sent.

    Where it is muted a dropped delivery says so.
    """
    session.add(alert)
    session.flush()
    assert alert.id is not None  # The flush gave it one.
    had = set(session.scalars(select(col(Delivery.endpoint_id)).where(col(Delivery.alert_id) == alert.id)))
    found = session.execute(_recipients(alert).order_by(col(Endpoint.id)))
    wanting = {endpoint_id: public_id for endpoint_id, public_id in found if endpoint_id not in had}
    muted = {} if alert.retracts else find_mutes(session, alert.fund_slug, now=now)
    rows = []
    for endpoint_id, public_id in wanting.items():
        until = muted.get(endpoint_id)
        end = (DeliveryState.WAITING, "", None) if until is None else (DeliveryState.DROPPED, muted_until(until), now)
        rows.append((message_id_of(alert.key, public_id), endpoint_id, Purpose.ALERT, alert.id, now, now, 0, *end))
    names = ("message_id", "endpoint_id", "purpose", "alert_id", "next_at", "created_at", "attempts",
             "state", "state_reason", "finished_at")  # fmt: skip
    insert_rows(session, Delivery, names, rows)
    return len(wanting.keys() - muted.keys())


def _recipients(alert: Alert) -> Select[int | None, str]:
    """Id and public id of the active endpoints that want the alert."""
    active = select(col(Endpoint.id), col(Endpoint.public_id)).where(col(Endpoint.status) == EndpointStatus.ACTIVE)
    if alert.retracts is not None:  # Whoever was told something is told that it was wrong, and nobody else.
        told = select(col(Delivery.endpoint_id)).where(
            col(Delivery.alert_id) == alert.retracts, col(Delivery.state) != DeliveryState.DROPPED
        )
        return active.where(col(Endpoint.id).in_(told))
    if alert.event in DIGESTS:
        return active.where(col(Endpoint.digest) == DIGESTS[AlertEvent(alert.event)])
    mild_enough = SEVERITY_ORDER[: SEVERITY_ORDER.index(Severity(alert.severity)) + 1]
    wishing = select(col(Subscription.endpoint_id)).where(
        col(Subscription.event).in_(("", alert.event)), col(Subscription.least).in_(mild_enough), _follows(alert)
    )
    hearing: ColumnElement[bool] = col(Endpoint.id).in_(wishing)
    if (
        alert.event in ENDS and alert.episode
    ):  # An end is only for the record, but whoever heard of the beginning waits for it.
        hearing = or_(hearing, col(Endpoint.id).in_(_told_of_episode(alert.episode)))
    return active.where(hearing)


def _told_of_episode(episode: str) -> Select[int]:
    """Endpoints that an alert of the episode was meant for."""
    return (
        select(col(Delivery.endpoint_id))
        .join(Alert, col(Alert.id) == col(Delivery.alert_id))
        .where(col(Alert.episode) == episode, col(Delivery.state) != DeliveryState.DROPPED)
    )


def _follows(alert: Alert) -> ColumnElement[bool]:
    """Whether a subscription is to a fund that the alert is about."""
    fund = col(Subscription.fund_slug)
    if alert.fund_slug is not None:
        return fund.in_(("", alert.fund_slug))
    if alert.event in OF_CHAINS and alert.chain_id is not None:
        return or_(fund == "", fund.in_(select(col(Segment.fund_slug)).where(col(Segment.chain_id) == alert.chain_id)))
    return fund == ""


def find_mutes(session: Session, fund_slug: str | None, *, now: datetime) -> dict[int, datetime]:
    """Endpoint → until when it wants to hear nothing of that fund (None: of what is about no fund)."""
    mutes = select(col(Mute.endpoint_id), func.max(col(Mute.until)).label("until")).where(
        col(Mute.fund_slug).in_(("", fund_slug or "")), col(Mute.until) > now
    )
    return {row.endpoint_id: row.until for row in session.execute(mutes.group_by(col(Mute.endpoint_id)))}


def muted_until(until: datetime) -> str:
    """Why a muted delivery is dropped, in words."""
    return f"muted until {until:%Y-%m-%d %H:%M} UTC"


def replay(session: Session, delivery_id: int, *, now: datetime) -> bool:
    """Orders a delivery that has ended once more, under its message id; False where there is nothing to repeat.

    Its attempts stay in the log; the schedule starts anew.
    """
    delivery = session.get(Delivery, delivery_id, with_for_update=True)
    if delivery is None or delivery.state == DeliveryState.WAITING:
        return False
    delivery.state, delivery.state_reason, delivery.finished_at = DeliveryState.WAITING, "", None
    delivery.attempts, delivery.next_at = 0, now
    delivery.claimed_by = delivery.claimed_until = None
    return True


def printable(answer: str) -> str:
    """What another machine said, without what a database or a page could trip over, cut."""
    return "".join(sign if sign.isprintable() else " " for sign in answer)[:LONGEST_ANSWER]


def hold_endpoint(session: Session, endpoint_id: int) -> Endpoint | None:
    """The endpoint's row, which nobody else changes until this transaction ends; always held before its deliveries.

    Two transactions that each held what the other wants next would wait for each other.
    """
    return session.get(Endpoint, endpoint_id, with_for_update={"key_share": True})


def end_delivery(delivery: Delivery, state: DeliveryState, reason: str, *, now: datetime) -> None:
    """Nothing is left to do for it, and nobody works on it."""
    delivery.state, delivery.state_reason, delivery.finished_at = state, reason, now
    delivery.claimed_by = delivery.claimed_until = None


def switch_off(session: Session, endpoint: Endpoint, reason: str, *, now: datetime) -> None:
    """Nothing more is sent to the endpoint, and what waits for it is dropped; its wishes are kept."""
    endpoint.status, endpoint.status_reason = EndpointStatus.DISABLED, reason
    session.flush()
    dropped = {"state": DeliveryState.DROPPED, "state_reason": f"switched off: {reason}", "finished_at": now}
    session.execute(
        update(Delivery)
        .where(col(Delivery.endpoint_id) == endpoint.id, col(Delivery.state) == DeliveryState.WAITING)
        .values(**dropped, claimed_by=None, claimed_until=None)
        .execution_options(synchronize_session=False)
    )


def disable_by_bounce(session: Session, message_id: str, reason: str, *, now: datetime) -> bool:
    """A mail of ours came back for good: its address is switched off. False where no mail of ours has that id.

    An address that nobody confirmed yet stays as it is: it is deleted soon.
    """
    found = session.execute(select(Delivery).where(col(Delivery.message_id) == message_id)).scalar_one_or_none()
    endpoint = None if found is None else hold_endpoint(session, found.endpoint_id)
    if found is None or endpoint is None or endpoint.kind != EndpointKind.EMAIL:
        return False
    said = printable(f"a mail came back: {reason}")
    if endpoint.status == EndpointStatus.ACTIVE:
        switch_off(session, endpoint, said, now=now)
    end_delivery(found, DeliveryState.FAILED, said, now=now)
    return True


def oldest_waiting(session: Session, *, now: datetime) -> datetime | None:
    """Since when the delivery that waits longest has been due; None: nothing is due."""
    waiting = select(func.min(col(Delivery.next_at))).where(
        col(Delivery.state) == DeliveryState.WAITING, col(Delivery.next_at) <= now
    )
    since: datetime | None = session.execute(waiting).scalar_one()
    return since


def count_deliveries(session: Session, *, since: datetime) -> Mapping[DeliveryState, int]:
    """Deliveries that wait, and those that ended at or after `since`, by state."""
    counted = session.execute(
        select(col(Delivery.state), func.count())
        .where(or_(col(Delivery.state) == DeliveryState.WAITING, col(Delivery.finished_at) >= since))
        .group_by(col(Delivery.state))
    )
    return dict.fromkeys(DeliveryState, 0) | {DeliveryState(state): count for state, count in counted}


def list_attempts(session: Session, endpoint_id: int, limit: int) -> list[LogRow]:
    """The delivery log of an endpoint, the newest first: each attempt, and each delivery that had none."""
    columns = [
        *(col(getattr(Delivery, name)) for name in ("id", "message_id", "purpose")),
        *(col(getattr(Alert, name)) for name in ("title", "event")),
        *(col(getattr(Delivery, name)) for name in ("state", "state_reason", "next_at", "created_at")),
        *(col(getattr(Attempt, name)) for name in ("number", "began_at", "seconds", "is_ok", "answer")),
    ]
    happened = func.coalesce(col(Attempt.began_at), col(Delivery.created_at))
    rows = session.execute(
        select(*columns)
        .select_from(Delivery)
        .outerjoin(Alert, col(Alert.id) == col(Delivery.alert_id))
        .outerjoin(Attempt, col(Attempt.delivery_id) == col(Delivery.id))
        .where(col(Delivery.endpoint_id) == endpoint_id)
        .order_by(happened.desc(), col(Delivery.id).desc(), col(Attempt.number).desc())
        .limit(limit)
    )
    return [LogRow(*row) for row in rows]
