"""Deliveries as whoever runs Backstop reads them: what was sent to whom, how soon; and how long that is kept."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from ledger.kinds import DeliveryState
from ledger.tables import Alert, AlertEvidence, Attempt, Delivery, Endpoint

KEPT_FOR = timedelta(days=90)
"""What was sent to whom is nobody's business for longer; what was announced stays in `alert`."""


class DeliveryRow(NamedTuple):
    """One delivery."""

    id: int
    purpose: str
    state: str
    state_reason: str
    attempts: int
    next_at: datetime
    kind: str
    address: str
    title: str | None
    """Subject line of the alert; None: it is no alert."""


def list_deliveries(session: Session, limit: int, *, state: DeliveryState | None = None) -> list[DeliveryRow]:
    """The newest deliveries to anybody, newest first; of one state if given."""
    names = ("id", "purpose", "state", "state_reason", "attempts", "next_at")
    columns = [col(getattr(Delivery, name)) for name in names]
    query = (
        select(*columns, col(Endpoint.kind), col(Endpoint.address), col(Alert.title))
        .join(Endpoint, col(Endpoint.id) == col(Delivery.endpoint_id))
        .outerjoin(Alert, col(Alert.id) == col(Delivery.alert_id))
        .order_by(col(Delivery.id).desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(col(Delivery.state) == state)
    return [DeliveryRow(*row) for row in session.execute(query)]


def list_first_attempts(session: Session) -> list[tuple[int, int, datetime]]:
    """(chain, block, first attempt) of each alert about facts of one block that somebody was sent."""
    low, high = func.min(col(AlertEvidence.block_number)), func.max(col(AlertEvidence.block_number))
    rows = session.execute(
        select(col(AlertEvidence.chain_id), high, func.min(col(Attempt.began_at)))
        .join(Delivery, col(Delivery.alert_id) == col(AlertEvidence.alert_id))
        .join(Attempt, col(Attempt.delivery_id) == col(Delivery.id))
        .join(Alert, col(Alert.id) == col(AlertEvidence.alert_id))
        .where(col(Alert.episode) == "")  # What belongs to an episode stands on readings.
        .group_by(col(AlertEvidence.alert_id), col(AlertEvidence.chain_id))
        .having(low == high)
        .order_by(col(AlertEvidence.alert_id))
    )
    return [(chain_id, number, began) for chain_id, number, began in rows]


def delete_old_deliveries(session: Session, *, now: datetime) -> None:
    """Removes deliveries that ended KEPT_FOR ago, with their attempts."""
    session.execute(
        delete(Delivery).where(col(Delivery.finished_at) < now - KEPT_FOR).execution_options(synchronize_session=False)
    )
