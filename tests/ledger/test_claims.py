"""Claims: what is due is one sender's, for a while; what nobody wants any more is dropped with its reason."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.claims import WELCOME, Claimed, claim
from ledger.database import open_engine, reading, writing
from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose, Severity
from ledger.outbox import order, order_alert
from ledger.tables import Delivery, Endpoint, Mute
from tests.rigs.outbox_rows import EVERYTHING, NOW, add_endpoint, add_funds, make_alert

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with funds, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


def take(session: Session, sender: str = "one", *, later: timedelta = timedelta(0), limit: int = 100) -> list[Claimed]:
    return claim(session, sender, now=NOW + later, lease=LEASE, limit=limit)


def states(session: Session) -> list[tuple[str, str]]:
    rows = session.exec(select(Delivery).order_by(Delivery.id))  # type: ignore[arg-type]
    return [(row.state, row.state_reason) for row in rows]


def endpoint_of(session: Session, endpoint_id: int) -> Endpoint:
    found = session.get(Endpoint, endpoint_id)
    assert found is not None
    return found


def test_what_is_due_is_taken_once_the_oldest_first_and_no_more_than_asked_for(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        young, old, oldest = (order(session, endpoint_id, Purpose.TEST, now=NOW - n * SECOND) for n in (1, 2, 3))
        order(session, endpoint_id, Purpose.TEST, now=NOW + SECOND)
    with writing(engine) as session:
        assert [one.delivery_id for one in take(session, limit=2)] == [oldest, old]
    with writing(engine) as session:
        assert [one.delivery_id for one in take(session, "two")] == [young]
        assert take(session, "three") == []


def test_what_goes_to_failing_endpoints_waits_behind_the_others(engine: Engine) -> None:
    with writing(engine) as session:
        dead, well = add_endpoint(session, "dead"), add_endpoint(session, "well")
        endpoint_of(session, dead).failing_since = NOW
        for n in range(3):
            order(session, dead, Purpose.TEST, now=NOW - n * SECOND)
        order(session, well, Purpose.TEST, now=NOW)
        assert [one.endpoint_id for one in take(session)] == [well, dead, dead, dead]


def test_a_claim_that_ran_out_is_taken_over_and_one_that_did_not_is_left(engine: Engine) -> None:
    with writing(engine) as session:
        delivery_id = order(session, add_endpoint(session, "e"), Purpose.TEST, now=NOW)
        (first,) = take(session, "dead")
        assert (first.sender, first.claimed_until) == ("dead", NOW + LEASE)
    with writing(engine) as session:
        assert take(session, "two", later=LEASE) == []
        (second,) = take(session, "two", later=LEASE + SECOND)
        assert (second.delivery_id, second.sender, second.message_id) == (delivery_id, "two", first.message_id)
    with reading(engine) as session:
        assert session.exec(select(Delivery.claimed_by)).one() == "two"


def test_messages_go_to_endpoints_that_may_have_them_and_are_dropped_for_others(engine: Engine) -> None:
    cases = [(purpose, status) for purpose in Purpose if purpose is not Purpose.ALERT for status in EndpointStatus]
    with writing(engine) as session:
        for purpose, status in cases:
            endpoint_id = add_endpoint(session, f"{purpose}-{status}", kind=EndpointKind.EMAIL, status=status)
            endpoint_of(session, endpoint_id).status_reason = "by its owner"
            order(session, endpoint_id, purpose, now=NOW)
        welcome = [status in WELCOME[purpose] for purpose, status in cases]
        assert len(take(session)) == sum(welcome)
        assert states(session) == [
            (DeliveryState.WAITING, "")
            if is_welcome
            else (DeliveryState.DROPPED, f"the endpoint is {status}: by its owner")
            for is_welcome, (_, status) in zip(welcome, cases, strict=True)
        ]


def test_only_what_makes_active_or_shows_the_own_page_goes_to_who_is_not_active() -> None:
    assert {purpose for purpose in Purpose if EndpointStatus.ACTIVE not in WELCOME[purpose]} == set()
    assert {purpose for purpose in Purpose if EndpointStatus.UNCONFIRMED in WELCOME[purpose]} == {
        Purpose.CONFIRM,
        Purpose.PING,
    }
    assert {purpose for purpose in Purpose if EndpointStatus.DISABLED in WELCOME[purpose]} == {
        Purpose.CONFIRM,
        Purpose.PING,
        Purpose.LINK,
    }


def test_what_was_muted_after_it_was_ordered_is_dropped_and_its_neighbour_is_not(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        order_alert(session, make_alert(), now=NOW)
        order_alert(session, make_alert("b", fund_slug="beta"), now=NOW)
        wrong = make_alert("wrong", fund_slug="gamma")
        order_alert(session, wrong, now=NOW)
        order_alert(session, make_alert("back", retracts=wrong.id), now=NOW)
        order(session, endpoint_id, Purpose.TEST, now=NOW)
        session.add(Mute(endpoint_id=endpoint_id, fund_slug="alpha", until=NOW + 2 * SECOND))
    with writing(engine) as session:
        # The retraction is about the muted fund and goes out all the same.
        assert [one.fund_slug for one in take(session, limit=4)] == ["beta", "gamma", "alpha", None]
        assert states(session)[0] == (DeliveryState.DROPPED, "muted until 2026-01-05 12:00 UTC")


def test_what_nobody_wants_does_not_take_the_place_of_what_is_wanted(engine: Engine) -> None:
    with writing(engine) as session:
        off, well = add_endpoint(session, "off", status=EndpointStatus.DISABLED), add_endpoint(session, "well")
        for n in range(10):
            order(session, off, Purpose.TEST, now=NOW - n * SECOND)
        order(session, well, Purpose.TEST, now=NOW)
        assert [one.endpoint_id for one in take(session, limit=1)] == [well]


def test_a_claim_holds_all_that_a_sender_needs(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(
            session,
            "hook",
            wishes=[("alpha", "", Severity.NOTICE), ("gamma", "", Severity.NOTICE)],
        )
        endpoint_of(session, endpoint_id).secrets = ["new", "old"]
        alert = make_alert()
        order_alert(session, alert, now=NOW - SECOND)
        order(session, endpoint_id, Purpose.WARNING, now=NOW, detail={"subject": "s", "text": "t"})
    with writing(engine) as session:
        first, second = take(session)
    assert (first.purpose, first.kind, first.address) == (
        Purpose.ALERT,
        EndpointKind.WEBHOOK,
        "https://hook.example/hook",
    )
    assert (first.alert_id, first.fund_slug, first.message, first.detail) == (alert.id, "alpha", alert.message, None)
    assert (first.created_at, first.attempts, first.funds) == (NOW - SECOND, 0, {"alpha", "gamma"})
    assert (second.alert_id, second.fund_slug, second.message) == (None, None, None)
    assert second.detail == {"subject": "s", "text": "t"}


@pytest.mark.parametrize(
    ("until", "secrets"), [(None, ("new",)), (NOW, ("new",)), (NOW + SECOND, ("new", "old"))], ids=str
)
def test_an_old_secret_signs_until_its_time_is_over(engine: Engine, until: object, secrets: tuple[str, ...]) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "hook", wishes=[("alpha", "", Severity.NOTICE), EVERYTHING])
        endpoint = endpoint_of(session, endpoint_id)
        endpoint.secrets, endpoint.old_secret_until = ["new", "old"], until  # type: ignore[assignment]
        order(session, endpoint_id, Purpose.TEST, now=NOW)
        (one,) = take(session)
        assert one.secrets == secrets
        assert one.funds == frozenset()  # A wish for every fund is one for all.


def test_two_senders_at_the_same_time_take_different_deliveries(postgres_ledger_url: str) -> None:
    opened = open_engine(postgres_ledger_url)
    with writing(opened) as session:
        endpoint_id = add_endpoint(session, "e")
        ids = [order(session, endpoint_id, Purpose.TEST, now=NOW) for _ in range(4)]
    # Neither waits for the other: both transactions are open.
    with writing(opened) as one, writing(opened) as two:
        first = [claimed.delivery_id for claimed in take(one, "one", limit=2)]
        second = [claimed.delivery_id for claimed in take(two, "two", limit=100)]
    assert (first, second) == (ids[:2], ids[2:])
    opened.dispose()
