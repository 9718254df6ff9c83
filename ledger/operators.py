"""Channels of whoever runs Backstop: settings name them, the ledger keeps them as endpoints. Nothing here commits."""

import secrets
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from ledger.kinds import DigestChoice, EndpointKind, EndpointStatus, Severity
from ledger.outbox import switch_off
from ledger.tables import Endpoint, Subscription

LEAST = Severity.WARNING
"""What whoever runs Backstop hears of: everything but what is only for the record, and the daily digest."""
REMOVED = "no longer in the settings"


def sync_operators(session: Session, names: Collection[str], *, now: datetime) -> None:
    """Makes the endpoints those that the settings name; one that is named no more is switched off."""
    found = {
        endpoint.address: endpoint
        for endpoint in session.scalars(select(Endpoint).where(col(Endpoint.kind) == EndpointKind.OPERATOR))
    }
    for name in sorted(set(names) - found.keys()):
        _add(session, name, now)
    for name, endpoint in found.items():
        if name in names:
            endpoint.status, endpoint.status_reason = EndpointStatus.ACTIVE, ""
        elif endpoint.status == EndpointStatus.ACTIVE:
            switch_off(session, endpoint, REMOVED, now=now)


def _add(session: Session, name: str, now: datetime) -> None:
    endpoint = Endpoint(
        public_id=secrets.token_hex(16),
        kind=EndpointKind.OPERATOR,
        address=name,
        status=EndpointStatus.ACTIVE,
        digest=DigestChoice.DAILY,
        created_at=now,
        confirmed_at=now,
    )
    session.add(endpoint)
    session.flush()
    assert endpoint.id is not None  # The flush gave it one.
    session.add(Subscription(endpoint_id=endpoint.id, fund_slug="", event="", least=LEAST))
