"""Channels of whoever runs Backstop: the ledger's endpoints are those that the settings name."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.database import open_engine, reading, writing
from ledger.kinds import AlertEvent, DeliveryState, DigestChoice, EndpointKind, EndpointStatus, Purpose, Severity
from ledger.operators import REMOVED, sync_operators
from ledger.outbox import order, order_alert
from ledger.tables import Delivery, Endpoint, Subscription
from tests.rigs.outbox_rows import NOW, add_endpoint, add_funds, make_alert


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with funds, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


def sync(engine: Engine, *names: str) -> dict[str, Endpoint]:
    """The operators' endpoints by name, once the settings name these."""
    with writing(engine) as session:
        sync_operators(session, names, now=NOW)
    with reading(engine) as session:
        rows = session.exec(select(Endpoint).where(Endpoint.kind == EndpointKind.OPERATOR)).all()
    assert len({row.public_id for row in rows}) == len(rows)
    return {row.address: row for row in rows}


def is_told(session: Session, name: str, severity: Severity, event: AlertEvent = AlertEvent.COVERAGE_LOW) -> bool:
    """Whether an alert is ordered for the channel."""
    alert = make_alert(f"{name}:{severity}:{event}", severity=severity, event=event)
    order_alert(session, alert, now=NOW)
    found = session.exec(
        select(Endpoint.address).join(Delivery).where(Delivery.alert_id == alert.id, Endpoint.address == name)
    )
    return found.one_or_none() is not None


def test_a_new_channel_hears_warnings_worse_and_the_daily_digest(engine: Engine) -> None:
    made = sync(engine, "on-call", "chat")
    assert made.keys() == {"on-call", "chat"}
    assert {row.status for row in made.values()} == {EndpointStatus.ACTIVE}
    assert {row.digest for row in made.values()} == {DigestChoice.DAILY}
    with writing(engine) as session:
        assert not is_told(session, "chat", Severity.NOTICE)
        assert is_told(session, "chat", Severity.WARNING)
        assert is_told(session, "chat", Severity.CRITICAL)
        assert is_told(session, "chat", Severity.NOTICE, AlertEvent.DIGEST_DAILY)
        assert not is_told(session, "chat", Severity.NOTICE, AlertEvent.DIGEST_WEEKLY)


def test_a_second_start_with_the_same_settings_changes_nothing(engine: Engine) -> None:
    first = sync(engine, "chat")["chat"]
    again = sync(engine, "chat")["chat"]
    assert again.model_dump() == first.model_dump()
    with reading(engine) as session:
        assert len(session.exec(select(Subscription)).all()) == 1


def test_a_channel_that_is_named_no_more_is_switched_off_and_what_waits_for_it_dropped(engine: Engine) -> None:
    kept = sync(engine, "chat", "on-call")["on-call"]
    with writing(engine) as session:
        order(session, kept.id or 0, Purpose.TEST, now=NOW)
    gone = sync(engine, "chat")["on-call"]
    assert (gone.status, gone.status_reason) == (EndpointStatus.DISABLED, REMOVED)
    with reading(engine) as session:
        (dropped,) = session.exec(select(Delivery)).all()
        assert (dropped.state, dropped.state_reason) == (DeliveryState.DROPPED, f"switched off: {REMOVED}")


def test_one_that_comes_back_is_the_same_as_before(engine: Engine) -> None:
    first = sync(engine, "chat")["chat"]
    sync(engine)
    back = sync(engine, "chat")["chat"]
    assert (back.id, back.public_id) == (first.id, first.public_id)
    assert (back.status, back.status_reason) == (EndpointStatus.ACTIVE, "")
    with writing(engine) as session:
        assert is_told(session, "chat", Severity.WARNING)


def test_addresses_of_others_are_left_alone(engine: Engine) -> None:
    with writing(engine) as session:
        mail = add_endpoint(session, "chat", kind=EndpointKind.EMAIL)
        hook = add_endpoint(session, "off", status=EndpointStatus.DISABLED)
    sync(engine, "chat", "off")
    sync(engine)
    with reading(engine) as session:
        statuses = {row.id: row.status for row in session.exec(select(Endpoint))}
    assert (statuses[mail], statuses[hook]) == (EndpointStatus.ACTIVE, EndpointStatus.DISABLED)


def test_workers_that_start_at_the_same_moment_enter_each_channel_once(engine: Engine) -> None:
    names = [f"channel-{number}" for number in range(20)]
    start = Barrier(4)

    def work(_number: int) -> None:
        start.wait()
        with writing(engine) as session:
            sync_operators(session, names, now=NOW)

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(work, range(4))) == [None] * 4
    assert sync(engine, *names).keys() == set(names)
    with reading(engine) as session:
        assert len(session.exec(select(Subscription)).all()) == len(names)
