"""Channels of whoever runs Backstop: settings name them, the ledger keeps them as endpoints. Nothing here commits."""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from ledger.bulk import insert_rows
from ledger.kinds import DigestChoice, EndpointKind, EndpointStatus, Severity
from ledger.outbox import switch_off
from ledger.tables import Endpoint, Subscription

LEAST = Severity.WARNING
"""What whoever runs Backstop hears of: everything but what is only for the record, and the daily digest."""
REMOVED = "no longer in the settings"


def sync_operators(session: Session, names: Collection[str], *, now: datetime) -> None:
    """Makes the endpoints those that the settings name; one that is named no more is switched off."""
    found = _find_operators(session)
    _add(session, sorted(set(names) - found.keys()), now=now)
    for name, endpoint in found.items():
        if name in names:
            endpoint.status, endpoint.status_reason = EndpointStatus.ACTIVE, ""
        elif endpoint.status == EndpointStatus.ACTIVE:
            switch_off(session, endpoint, REMOVED, now=now)


def _find_operators(session: Session) -> dict[str, Endpoint]:
    rows = session.scalars(select(Endpoint).where(col(Endpoint.kind) == EndpointKind.OPERATOR))
    return {endpoint.address: endpoint for endpoint in rows}


def _add(session: Session, names: Sequence[str], *, now: datetime) -> None:
    """Enters channels; where another process that has just started did so, its endpoint stays."""
    kind, status, digest = EndpointKind.OPERATOR, EndpointStatus.ACTIVE, DigestChoice.DAILY
    columns = ("public_id", "kind", "address", "status", "status_reason", "digest", "secrets", "created_at",
               "confirmed_at")  # fmt: skip
    rows: list[tuple[object, ...]] = [
        (secrets.token_hex(16), kind, name, status, "", digest, [], now, now) for name in names
    ]
    insert_rows(session, Endpoint, columns, rows)
    entered = _find_operators(session)
    wishes = [(entered[name].id, "", "", LEAST) for name in names]
    insert_rows(session, Subscription, ("endpoint_id", "fund_slug", "event", "least"), wishes)
