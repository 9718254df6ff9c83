"""What came of an attempt: it is written down, moves its delivery, and counts for or against its endpoint.

Nothing here commits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlmodel import Session, col

from ledger.claims import Claimed
from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose
from ledger.outbox import end_delivery, hold_endpoint, message_id_of, order, printable, switch_off
from ledger.tables import Attempt, Delivery, Endpoint

WARNED_AFTER = timedelta(hours=24)
"""A webhook fails for so long before its owner is told; only one that was told of is switched off."""


class Verdict(StrEnum):
    """How an attempt ended."""

    TAKEN = "taken"
    REFUSED = "refused"  # not taken; it may be at another time
    GONE = "gone"  # not taken, and never will be
    BROKEN = "broken"  # not even sent, by a fault of ours: the endpoint is not to blame


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt."""

    verdict: Verdict
    answer: str
    """What the other side said, or the error."""
    began_at: datetime
    seconds: float
    next_at: datetime | None = None
    """Of one that failed: when to try again; None: never, it is given up."""


def record_attempt(session: Session, claimed: Claimed, outcome: Outcome, *, now: datetime) -> None:
    """Writes the attempt down and moves its delivery.

    A sender that lost its claim moves nothing, for another is at work; but what was taken was taken, whoever sent it.
    """
    endpoint = hold_endpoint(session, claimed.endpoint_id)
    delivery = session.get(Delivery, claimed.delivery_id, with_for_update=True)
    if endpoint is None or delivery is None:  # Its owner deleted everything meanwhile.
        return
    answer = printable(outcome.answer)
    _add(session, claimed.delivery_id, outcome, answer)
    delivery.attempts += 1
    if outcome.verdict is Verdict.TAKEN:
        end_delivery(delivery, DeliveryState.SENT, "", now=now)
        _praise(endpoint, claimed.purpose, now=now)
    elif (delivery.claimed_by, delivery.claimed_until) == (claimed.sender, claimed.claimed_until):
        if outcome.next_at is None:
            end_delivery(delivery, DeliveryState.FAILED, answer, now=now)
        else:
            delivery.next_at, delivery.claimed_by, delivery.claimed_until = outcome.next_at, None, None
        if outcome.verdict is not Verdict.BROKEN:
            _blame(session, endpoint, outcome, answer, now=now)


def _add(session: Session, delivery_id: int, outcome: Outcome, answer: str) -> None:
    # Numbers go on after a replay, which starts the count of the schedule anew.
    last = select(func.max(col(Attempt.number))).where(col(Attempt.delivery_id) == delivery_id)
    number = (session.execute(last).scalar_one() or 0) + 1
    is_ok = outcome.verdict is Verdict.TAKEN
    session.add(Attempt(delivery_id=delivery_id, number=number, began_at=outcome.began_at, seconds=outcome.seconds,
                        is_ok=is_ok, answer=answer))  # fmt: skip


def _praise(endpoint: Endpoint, purpose: Purpose, *, now: datetime) -> None:
    """It took a message; a ping that was answered makes it active."""
    endpoint.failing_since = None
    if purpose is Purpose.PING:
        endpoint.status, endpoint.status_reason, endpoint.confirmed_at = EndpointStatus.ACTIVE, "", now


def _blame(session: Session, endpoint: Endpoint, outcome: Outcome, answer: str, *, now: datetime) -> None:
    """It did not take a message: it may be switched off, after its owner was warned.

    Operators' channels never are, for somebody must hear; nor what is not active, which nobody relies on yet.
    """
    endpoint.failing_since = endpoint.failing_since or now
    if endpoint.kind == EndpointKind.OPERATOR or endpoint.status != EndpointStatus.ACTIVE:
        return
    if outcome.verdict is Verdict.GONE:
        _switch_off(session, endpoint, answer, now=now)
        return
    since = endpoint.failing_since
    is_lasting = endpoint.kind == EndpointKind.WEBHOOK and now - since >= WARNED_AFTER
    if is_lasting and not _warn_once(session, endpoint, since, answer, now=now) and outcome.next_at is None:
        reason = f"it took no message since {_said(since)}, and the retries of one are over; it said: {answer}"
        _switch_off(session, endpoint, reason, now=now)


def _switch_off(session: Session, endpoint: Endpoint, reason: str, *, now: datetime) -> None:
    """Switches it off and tells the owner, where it has one."""
    switch_off(session, endpoint, reason, now=now)
    if endpoint.owner_id is not None:
        text = (
            f"{endpoint.address} was switched off at {_said(now)}: {reason}. What waited for it was dropped. "
            "It stays off until you have it pinged again on your page, where each attempt is listed."
        )
        detail = {"subject": "Your webhook was switched off", "text": text}
        order(session, endpoint.owner_id, Purpose.WARNING, now=now, detail=detail)


def _warn_once(session: Session, endpoint: Endpoint, since: datetime, answer: str, *, now: datetime) -> bool:
    """Tells the owner that it fails, once for all of the time since its last success; False where that was done."""
    # The id is made of that time, so that the warning finds itself.
    message_id = message_id_of(f"failing since {since.isoformat()}", endpoint.public_id)
    found = session.execute(select(col(Delivery.id)).where(col(Delivery.message_id) == message_id))
    if endpoint.owner_id is None or found.first() is not None:
        return False
    text = (
        f"{endpoint.address} has taken no message since {_said(since)}. The last attempt ended with: {answer}. "
        "We go on trying. Once a message has been tried ten times, about three days after it was ordered, "
        "the webhook is switched off."
    )
    detail = {"subject": "Your webhook takes no messages", "text": text}
    order(session, endpoint.owner_id, Purpose.WARNING, now=now, detail=detail, message_id=message_id)
    return True


def _said(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
