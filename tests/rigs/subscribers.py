"""Somebody who subscribed, entered without any page: for tests of the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.database import reading, writing
from ledger.kinds import AlertEvent, DigestChoice, EndpointKind, Severity, TokenPurpose
from ledger.subscriptions import Wishes, add_webhook, ask_confirmation, confirm, key_of
from ledger.tables import Endpoint
from ledger.tokens import issue_token

NOW = datetime(2026, 11, 22, 17, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
READER = "reader@example.org"
SOME = Wishes(
    funds=("alpha", "beta"),
    events=(AlertEvent.COVERAGE_LOW, AlertEvent.DEPLETED),
    least=Severity.CRITICAL,
    digest=DigestChoice.WEEKLY,
)


def rows(engine: Engine, table: Any) -> list[Any]:
    with reading(engine) as session:
        return list(session.exec(select(table)).all())


def in_one(engine: Engine, work: Callable[[Session, Endpoint], Any]) -> Any:
    """Works with the one address there is, in one transaction."""
    with writing(engine) as session:
        owner = session.exec(select(Endpoint).where(Endpoint.kind == EndpointKind.EMAIL)).one()
        return work(session, owner)


def subscribe(engine: Engine, wishes: Wishes = SOME, *, at: datetime = NOW) -> str:
    """An address that confirmed these wishes; the token of its own page."""
    with writing(engine) as session:
        ask_confirmation(session, READER, wishes, now=at)
    token = tell_confirmation(engine, wishes, at=at)
    with writing(engine) as session:
        own = confirm(session, token, now=at)
    assert own is not None
    return own


def tell_confirmation(engine: Engine, wishes: Wishes, *, at: datetime = NOW) -> str:
    """What the sender does when it mails the question."""
    return str(
        in_one(
            engine,
            lambda session, owner: issue_token(
                session, key_of(owner), TokenPurpose.CONFIRM, now=at, wishes=wishes.to_json()
            ),
        )
    )


def with_webhook(engine: Engine, url: str = "https://hook.example/in") -> None:
    in_one(engine, lambda session, owner: add_webhook(session, owner, url, "whsec_first", now=NOW))
