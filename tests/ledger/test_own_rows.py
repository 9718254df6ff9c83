"""What is kept of somebody: exported as a whole, deleted as a whole, and forgotten where nobody confirmed it."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel, select

from ledger.database import open_engine, reading, writing
from ledger.kinds import EndpointKind
from ledger.subscriptions import (
    ask_confirmation,
    delete_endpoint,
    disable,
    export_endpoint,
    find_bearer,
    list_webhooks,
    mute,
    ping_again,
    purge_unconfirmed,
)
from ledger.tables import Attempt, Delivery, Endpoint, Mute, Subscription, Token
from tests.rigs.subscribers import HOUR, NOW, READER, SOME, in_one, rows, subscribe, tell_confirmation, with_webhook

TABLES: tuple[type[SQLModel], ...] = (Endpoint, Subscription, Mute, Token, Delivery, Attempt)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger that nobody has subscribed to."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


def fill_everything(engine: Engine) -> str:
    """An address with a row in every table, and another one that has nothing to do with it."""
    own = subscribe(engine)
    with_webhook(engine)
    in_one(engine, lambda session, owner: mute(session, owner, "alpha", until=NOW + HOUR))
    with writing(engine) as session:
        for delivery in session.exec(select(Delivery)).all():
            assert delivery.id is not None
            session.add(
                Attempt(delivery_id=delivery.id, number=1, began_at=NOW, seconds=0.1, is_ok=True, answer="250 Ok")
            )
    return own


def test_the_export_has_every_row_and_no_secret(engine: Engine) -> None:
    own = fill_everything(engine)
    with reading(engine) as session:
        owner = find_bearer(session, own, now=NOW)
        assert owner is not None
        told = export_endpoint(session, owner)
    counted = {name: len(listed) for name, listed in told.items()}
    assert counted == {
        "endpoints": len(rows(engine, Endpoint)),
        "subscriptions": len(rows(engine, Subscription)),
        "mutes": len(rows(engine, Mute)),
        "tokens": len(rows(engine, Token)),
        "deliveries": len(rows(engine, Delivery)),
        "attempts": len(rows(engine, Attempt)),
    }
    assert all(counted.values())
    kept = msgspec.json.encode(told).decode()
    assert "whsec_first" not in kept
    assert rows(engine, Token)[0].digest not in kept
    for table, name in ((Endpoint, "endpoints"), (Delivery, "deliveries"), (Attempt, "attempts")):
        assert set(told[name][0]) == set(table.model_fields)


def test_the_export_is_of_one_address_alone(engine: Engine) -> None:
    own = fill_everything(engine)
    with writing(engine) as session:
        ask_confirmation(session, "other@example.org", SOME, now=NOW)
    with reading(engine) as session:
        owner = find_bearer(session, own, now=NOW)
        assert owner is not None
        assert "other@example.org" not in msgspec.json.encode(export_endpoint(session, owner)).decode()


def test_deleting_leaves_no_row(engine: Engine) -> None:
    fill_everything(engine)
    assert all(rows(engine, table) for table in TABLES)
    in_one(engine, delete_endpoint)
    assert not any(rows(engine, table) for table in TABLES)


def test_what_nobody_confirms_is_gone_after_a_day(engine: Engine) -> None:
    with writing(engine) as session:
        ask_confirmation(session, READER, SOME, now=NOW)
    tell_confirmation(engine, SOME)
    with writing(engine) as session:
        assert purge_unconfirmed(session, now=NOW + 24 * HOUR - timedelta(seconds=1)) == 0
    with writing(engine) as session:
        assert purge_unconfirmed(session, now=NOW + 24 * HOUR) == 1
    assert not any(rows(engine, table) for table in TABLES)


def test_an_address_that_was_asked_again_has_its_whole_day(engine: Engine) -> None:
    for asked in (NOW, NOW + 20 * HOUR):
        with writing(engine) as session:
            ask_confirmation(session, READER, SOME, now=asked)
    with writing(engine) as session:
        assert purge_unconfirmed(session, now=NOW + 30 * HOUR) == 0
    with writing(engine) as session:
        assert purge_unconfirmed(session, now=NOW + 44 * HOUR) == 1


def test_what_was_confirmed_once_is_never_forgotten_by_itself(engine: Engine) -> None:
    subscribe(engine)
    with_webhook(engine)
    with writing(engine) as session:
        for row in session.exec(select(Endpoint)).all():
            row.confirmed_at = NOW
    in_one(engine, lambda session, owner: ping_again(session, list_webhooks(session, owner)[0], now=NOW))
    in_one(engine, lambda session, owner: disable(session, owner, now=NOW))
    with writing(engine) as session:
        assert purge_unconfirmed(session, now=NOW + 1000 * HOUR) == 0


def test_a_webhook_that_never_answers_is_gone_after_a_day(engine: Engine) -> None:
    subscribe(engine)
    with_webhook(engine)
    with writing(engine) as session:
        assert purge_unconfirmed(session, now=NOW + 24 * HOUR) == 1
    assert [row.kind for row in rows(engine, Endpoint)] == [EndpointKind.EMAIL]
