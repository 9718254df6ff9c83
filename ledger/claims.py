"""Claims: a sender takes deliveries that are due, for itself alone and for a while. Nothing here commits."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, or_, select
from sqlmodel import Session, col

from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose
from ledger.outbox import end_delivery, find_mutes, muted_until
from ledger.tables import Alert, Delivery, Endpoint, Subscription
from ledger.tables.sentences import Json

WELCOME: dict[Purpose, Collection[EndpointStatus]] = {
    Purpose.ALERT: {EndpointStatus.ACTIVE},
    Purpose.TEST: {EndpointStatus.ACTIVE},
    Purpose.WARNING: {EndpointStatus.ACTIVE},
    # Whoever unsubscribed may ask for the own page, to come back or to have everything deleted.
    Purpose.LINK: {EndpointStatus.ACTIVE, EndpointStatus.DISABLED},
    # Both make an endpoint active, whether it is new or was switched off, and ask an active one whether it still is.
    Purpose.CONFIRM: set(EndpointStatus),
    Purpose.PING: set(EndpointStatus),
}
"""To endpoints of which status a message is sent."""


@dataclass(frozen=True)
class Claimed:
    """A delivery that one sender works on: all that is needed to send it, and to say afterwards whose claim it was."""

    delivery_id: int
    endpoint_id: int
    sender: str
    claimed_until: datetime
    message_id: str
    purpose: Purpose
    kind: EndpointKind
    address: str
    created_at: datetime
    attempts: int
    """How many attempts the schedule has seen before this one."""
    detail: Json | None
    secrets: tuple[str, ...]
    """Webhook: those that sign now, the newest first."""
    funds: frozenset[str]
    """The funds its endpoint follows; empty: all."""
    alert_id: int | None
    fund_slug: str | None
    message: Json | None
    """The alert's message as it is stored; None: it is no alert."""


def claim(session: Session, sender: str, *, now: datetime, lease: timedelta, limit: int) -> list[Claimed]:
    """Takes what is due and not another's, up to a limit: the oldest first, behind them what goes to failing endpoints.

    What is not wanted any more is dropped instead, with the reason.
    """
    taken: list[Claimed] = []
    while len(taken) < limit:
        rows = session.execute(_due(now).limit(limit - len(taken))).all()
        if not rows:
            break
        followed = _list_followed(session, [endpoint.id for _, endpoint, _ in rows])
        for delivery, endpoint, alert in rows:
            reason = _find_objection(session, delivery, endpoint, alert, now=now)
            if reason is not None:
                end_delivery(delivery, DeliveryState.DROPPED, reason, now=now)
                continue
            delivery.claimed_by, delivery.claimed_until = sender, now + lease
            taken.append(_claimed(delivery, endpoint, alert, funds=followed.get(endpoint.id, frozenset()), now=now))
        session.flush()
    return taken


def _due(now: datetime) -> Select[Delivery, Endpoint, Alert]:
    """Deliveries to send now with their endpoints and alerts; on Postgres they are locked, locked ones are left out."""
    return (
        select(Delivery, Endpoint, Alert)
        .join(Endpoint, col(Endpoint.id) == col(Delivery.endpoint_id))
        .outerjoin(Alert, col(Alert.id) == col(Delivery.alert_id))
        .where(
            col(Delivery.state) == DeliveryState.WAITING,
            col(Delivery.next_at) <= now,
            or_(col(Delivery.claimed_until).is_(None), col(Delivery.claimed_until) < now),
        )
        # A dead receiver with many messages must not hold up those of all others.
        .order_by(col(Endpoint.failing_since).is_not(None), col(Delivery.next_at), col(Delivery.id))
        .with_for_update(of=Delivery, skip_locked=True)
    )


def _list_followed(session: Session, endpoint_ids: Collection[int]) -> dict[int, frozenset[str]]:
    """Endpoint → the funds it follows, of those that follow certain funds only."""
    query = select(col(Subscription.endpoint_id), col(Subscription.fund_slug)).distinct()
    funds: dict[int, set[str]] = {}
    for endpoint_id, slug in session.execute(query.where(col(Subscription.endpoint_id).in_(endpoint_ids))):
        funds.setdefault(endpoint_id, set()).add(slug)
    return {endpoint_id: frozenset(slugs) for endpoint_id, slugs in funds.items() if "" not in slugs}


def _find_objection(
    session: Session, delivery: Delivery, endpoint: Endpoint, alert: Alert | None, *, now: datetime
) -> str | None:
    """Why the delivery is not wanted any more; None: it is."""
    if endpoint.status not in WELCOME[Purpose(delivery.purpose)]:
        return f"the endpoint is {endpoint.status}" + (f": {endpoint.status_reason}" if endpoint.status_reason else "")
    if alert is None or alert.retracts is not None:
        return None
    until = find_mutes(session, alert.fund_slug, now=now).get(endpoint.id or 0)
    return None if until is None else muted_until(until)


def _claimed(
    delivery: Delivery, endpoint: Endpoint, alert: Alert | None, *, funds: frozenset[str], now: datetime
) -> Claimed:
    assert delivery.id is not None  # All three were read from the database.
    assert delivery.claimed_by is not None
    assert delivery.claimed_until is not None
    is_old_one_valid = endpoint.old_secret_until is not None and endpoint.old_secret_until > now
    return Claimed(
        delivery_id=delivery.id,
        endpoint_id=delivery.endpoint_id,
        sender=delivery.claimed_by,
        claimed_until=delivery.claimed_until,
        message_id=delivery.message_id,
        purpose=Purpose(delivery.purpose),
        kind=EndpointKind(endpoint.kind),
        address=endpoint.address,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        detail=delivery.detail,
        secrets=tuple(endpoint.secrets if is_old_one_valid else endpoint.secrets[:1]),
        funds=funds,
        alert_id=delivery.alert_id,
        fund_slug=alert.fund_slug if alert else None,
        message=alert.message if alert else None,
    )
