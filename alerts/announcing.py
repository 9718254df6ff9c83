"""Writes an announcement with what it stands on and its deliveries, once."""

from datetime import datetime

from sqlmodel import Session

from alerts.drafts import Draft
from ledger.alerts import count_retractions, is_announced
from ledger.outbox import order_alert
from ledger.tables import Alert, AlertEvidence


def announce(session: Session, draft: Draft, *, now: datetime) -> str | None:
    """The key it was announced under; None where that was done before and stands. `now`: wall clock.

    What was taken back and happens after all is announced again, under a key that counts.
    """
    message = draft.message
    taken_back = count_retractions(session, message.key)
    key = message.key if taken_back == 0 else f"{message.key}#{taken_back + 1}"
    if is_announced(session, key):
        return None
    alert = Alert(
        key=key,
        event=message.event,
        severity=message.severity,
        subject=draft.subject,
        fund_slug=draft.fund_slug,
        chain_id=draft.chain_id,
        episode=message.episode,
        happened_at=draft.happened_at,
        number=draft.number,
        title=message.subject,
        message=message.to_json() | {"key": key},
        retracts=draft.retracts,
        created_at=now,
    )
    session.add(alert)
    session.flush()
    assert alert.id is not None  # The flush gave it one.
    for ground in draft.grounds:
        evidence = AlertEvidence(
            alert_id=alert.id, fact_key=ground.key, chain_id=ground.chain_id,
            block_number=ground.number, block_hash=ground.block_hash,
        )  # fmt: skip
        session.add(evidence)
    order_alert(session, alert, now=now)
    return key
