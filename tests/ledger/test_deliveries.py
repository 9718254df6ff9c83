"""Deliveries as whoever runs Backstop reads them, and how long they are kept."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.database import open_engine, reading, writing
from ledger.deliveries import KEPT_FOR, delete_old_deliveries, list_deliveries, list_first_attempts
from ledger.kinds import DeliveryState, EndpointKind, Purpose
from ledger.outbox import end_delivery, order, order_alert
from ledger.tables import Alert, AlertEvidence, Attempt, Delivery
from tests.rigs.outbox_rows import ETHEREUM, NOW, OPTIMISM, add_endpoint, add_funds, make_alert

SECOND = timedelta(seconds=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with funds, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


def end(session: Session, delivery_id: int, state: DeliveryState, reason: str = "", *, at: datetime = NOW) -> None:
    """A delivery ended."""
    delivery = session.get(Delivery, delivery_id)
    assert delivery is not None
    end_delivery(delivery, state, reason, now=at)


def attempt(session: Session, delivery_id: int, number: int, began: datetime) -> None:
    """One attempt, taken or not."""
    session.add(Attempt(delivery_id=delivery_id, number=number, began_at=began, seconds=0.1, is_ok=False, answer="500"))


def ordered(session: Session, alert: Alert, *blocks: int, chain_id: int = ETHEREUM) -> list[int]:
    """Deliveries of an alert that stands on facts in these blocks."""
    order_alert(session, alert, now=NOW)
    assert alert.id is not None
    for place, block in enumerate(blocks):
        session.add(AlertEvidence(alert_id=alert.id, fact_key=f"{alert.key}/{place}", chain_id=chain_id,
                                  block_number=block, block_hash=f"0x{block:064x}"))  # fmt: skip
    session.flush()
    found = session.exec(select(Delivery.id).where(Delivery.alert_id == alert.id).order_by(Delivery.id))  # type: ignore[arg-type]
    return [one for one in found if one is not None]


def test_deliveries_are_listed_the_newest_first_with_whom_they_go_to_and_what_they_carry(engine: Engine) -> None:
    with writing(engine) as session:
        mail = add_endpoint(session, "reader", kind=EndpointKind.EMAIL)
        question = order(session, mail, Purpose.CONFIRM, now=NOW)
        (told,) = ordered(session, make_alert())
        end(session, told, DeliveryState.FAILED, "550 no such mailbox")
    with reading(engine) as session:
        newest, oldest = list_deliveries(session, 10)
    assert (newest.id, newest.purpose, newest.state, newest.state_reason) == (
        told, Purpose.ALERT, DeliveryState.FAILED, "550 no such mailbox",
    )  # fmt: skip
    assert (newest.kind, newest.address) == (EndpointKind.EMAIL, "reader@example.org")
    assert newest.title == "[Short] Alpha: coverage 0.71× (was 1.12×), 17:00 UTC"
    assert (oldest.id, oldest.purpose, oldest.title, oldest.next_at) == (question, Purpose.CONFIRM, None, NOW)


def test_a_list_of_one_state_is_cut_after_that_state_was_chosen(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint = add_endpoint(session, "e")
        ids = [order(session, endpoint, Purpose.TEST, now=NOW) for _ in range(5)]
        for one in ids[:2]:
            end(session, one, DeliveryState.FAILED, "gone")
    with reading(engine) as session:
        assert [row.id for row in list_deliveries(session, 2)] == [ids[4], ids[3]]
        assert [row.id for row in list_deliveries(session, 1, state=DeliveryState.FAILED)] == [ids[1]]
        assert list_deliveries(session, 9, state=DeliveryState.DROPPED) == []


def test_the_first_attempt_of_an_alert_counts_whoever_it_went_to_and_only_where_it_is_about_facts_of_one_block(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        for name in ("slow", "quick"):
            add_endpoint(session, name)
        slow, quick = ordered(session, make_alert("one block"), 70, 70)
        attempt(session, slow, 1, NOW + 9 * SECOND)
        attempt(session, quick, 2, NOW + 5 * SECOND)
        attempt(session, quick, 1, NOW + 2 * SECOND)
        (burst, _) = ordered(session, make_alert("a burst"), 71, 72)
        attempt(session, burst, 1, NOW)
        (other, _) = ordered(
            session, make_alert("elsewhere", fund_slug="beta", chain_id=OPTIMISM), 5, chain_id=OPTIMISM
        )
        attempt(session, other, 1, NOW + SECOND)
        ordered(session, make_alert("not tried yet"), 73)
        of_readings = make_alert("of readings")
        of_readings.episode = "coverage_low:alpha"
        for one in ordered(session, of_readings, 74):
            attempt(session, one, 1, NOW)
    with reading(engine) as session:
        found = list_first_attempts(session)
    assert found == [(ETHEREUM, 70, NOW + 2 * SECOND), (OPTIMISM, 5, NOW + SECOND)]


def test_what_ended_long_ago_is_forgotten_with_its_attempts_and_what_was_announced_stays(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint = add_endpoint(session, "e")
        (old,) = ordered(session, make_alert())
        young, waiting = (order(session, endpoint, Purpose.TEST, now=NOW - 2 * KEPT_FOR) for _ in range(2))
        for one in (old, young, waiting):
            attempt(session, one, 1, NOW)
        end(session, old, DeliveryState.SENT, at=NOW - KEPT_FOR - SECOND)
        end(session, young, DeliveryState.DROPPED, "muted", at=NOW - KEPT_FOR)
    with writing(engine) as session:
        delete_old_deliveries(session, now=NOW)
    with reading(engine) as session:
        assert {row.id for row in list_deliveries(session, 10)} == {young, waiting}
        assert set(session.exec(select(Attempt.delivery_id))) == {young, waiting}
        assert [alert.key for alert in session.exec(select(Alert))] == ["coverage:alpha:1"]
