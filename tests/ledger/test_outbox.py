"""The outbox: an alert reaches exactly who wants it, once; deliveries are repeated, dropped, counted and listed."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.database import open_engine, reading, writing
from ledger.kinds import (
    AlertEvent,
    DeliveryState,
    DigestChoice,
    EndpointKind,
    EndpointStatus,
    Purpose,
    Severity,
)
from ledger.outbox import (
    count_deliveries,
    disable_by_bounce,
    list_attempts,
    message_id_of,
    oldest_waiting,
    order,
    order_alert,
    replay,
)
from ledger.tables import Alert, Attempt, Delivery, Endpoint, Mute
from tests.rigs.outbox_rows import EVERYTHING, NOW, OPTIMISM, Wish, add_endpoint, add_funds, make_alert

HOUR = timedelta(hours=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with funds, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


def told(session: Session, alert: Alert) -> set[str]:
    """Names of the endpoints that an alert was ordered for."""
    rows = session.exec(
        select(Endpoint.public_id)
        .join(Delivery)
        .where(Delivery.alert_id == alert.id, Delivery.state == DeliveryState.WAITING)
    )
    return {name.removeprefix("public-") for name in rows}


def delivery_of(session: Session, delivery_id: int) -> Delivery:
    found = session.get(Delivery, delivery_id)
    assert found is not None
    return found


WISHES: dict[str, Iterable[Wish]] = {
    "all": [EVERYTHING],
    "alpha": [("alpha", "", Severity.NOTICE)],
    "beta": [("beta", "", Severity.NOTICE)],
    "gamma": [("gamma", "", Severity.NOTICE)],
    "alpha and all": [("alpha", "", Severity.NOTICE), EVERYTHING],
    "critical": [("", "", Severity.CRITICAL)],
    "coverage": [("", AlertEvent.COVERAGE_LOW, Severity.WARNING)],
    "stale": [("alpha", AlertEvent.STALE, Severity.NOTICE)],
    "nothing": [],
}
EVERY_FUND = {"all", "alpha and all"}


def cases() -> list[tuple[Alert, set[str]]]:
    """Alerts, and who wants them."""
    return [
        (make_alert("a"), EVERY_FUND | {"alpha", "coverage"}),
        (make_alert("b", fund_slug="beta", chain_id=OPTIMISM), EVERY_FUND | {"beta", "coverage"}),
        (make_alert("c", severity=Severity.NOTICE), EVERY_FUND | {"alpha"}),
        (make_alert("d", severity=Severity.CRITICAL), EVERY_FUND | {"alpha", "critical", "coverage"}),
        (make_alert("e", event=AlertEvent.PAUSED), EVERY_FUND | {"alpha"}),
        (make_alert("f", event=AlertEvent.STALE), EVERY_FUND | {"alpha", "stale"}),
        (make_alert("g", event=AlertEvent.STALE, fund_slug=None), EVERY_FUND | {"alpha", "gamma", "stale"}),
        (make_alert("h", event=AlertEvent.DATA_RECOVERED, fund_slug=None), EVERY_FUND | {"alpha", "gamma"}),
        (make_alert("i", event=AlertEvent.DISAGREEMENT, fund_slug=None), EVERY_FUND | {"alpha", "gamma"}),
        (make_alert("j", event=AlertEvent.LAGGING, fund_slug=None, chain_id=OPTIMISM), EVERY_FUND | {"beta", "gamma"}),
        (make_alert("k", event=AlertEvent.LAGGING, fund_slug=None, chain_id=None), EVERY_FUND),
        (make_alert("l", event=AlertEvent.PARAMETER_CHANGED, fund_slug=None), EVERY_FUND),
        (make_alert("m", event=AlertEvent.DIGEST_DAILY, fund_slug=None, chain_id=None), set[str]()),
    ]


def test_an_alert_goes_to_exactly_those_who_want_it(engine: Engine) -> None:
    with writing(engine) as session:
        for name, wishes in WISHES.items():
            add_endpoint(session, name, wishes=wishes)
        for alert, who in cases():
            assert order_alert(session, alert, now=NOW) == len(who), alert.key
            assert told(session, alert) == who, alert.key


def test_only_active_endpoints_hear_of_it_and_operators_are_endpoints_like_others(engine: Engine) -> None:
    with writing(engine) as session:
        for status in EndpointStatus:
            add_endpoint(session, status, status=status)
        add_endpoint(session, "slack", kind=EndpointKind.OPERATOR, wishes=[("", "", Severity.WARNING)])
        alert = make_alert()
        assert order_alert(session, alert, now=NOW) == 2
        assert told(session, alert) == {"active", "slack"}


def test_a_digest_goes_to_those_who_chose_it_whatever_else_they_want(engine: Engine) -> None:
    with writing(engine) as session:
        for choice in DigestChoice:
            add_endpoint(session, choice, digest=choice, wishes=[("beta", AlertEvent.PAUSED, Severity.CRITICAL)])
        daily = make_alert("d", event=AlertEvent.DIGEST_DAILY, severity=Severity.NOTICE, fund_slug=None, chain_id=None)
        weekly = make_alert("w", event=AlertEvent.DIGEST_WEEKLY, severity=Severity.NOTICE, fund_slug=None)
        order_alert(session, daily, now=NOW)
        order_alert(session, weekly, now=NOW)
        assert (told(session, daily), told(session, weekly)) == ({"daily"}, {"weekly"})


def test_whoever_heard_that_something_began_hears_that_it_is_over(engine: Engine) -> None:
    with writing(engine) as session:
        add_endpoint(session, "everything")
        add_endpoint(session, "urgent", wishes=[("", "", Severity.CRITICAL)])
        add_endpoint(session, "beta", wishes=[("beta", "", Severity.NOTICE)])
        low = make_alert("low", severity=Severity.CRITICAL, episode="one")
        order_alert(session, low, now=NOW)
        add_endpoint(session, "late", wishes=[("", "", Severity.CRITICAL)])
        over = make_alert("over", event=AlertEvent.COVERAGE_RECOVERED, severity=Severity.NOTICE, episode="one")
        other = make_alert("other", event=AlertEvent.COVERAGE_RECOVERED, severity=Severity.NOTICE, episode="two")
        assert order_alert(session, over, now=NOW) == 2
        order_alert(session, other, now=NOW)
        assert (told(session, over), told(session, other)) == ({"everything", "urgent"}, {"everything"})


def test_a_retraction_goes_to_exactly_those_who_were_told(engine: Engine) -> None:
    with writing(engine) as session:
        ids = {name: add_endpoint(session, name) for name in ("sent", "failed", "waiting", "dropped", "changed", "off")}
        add_endpoint(session, "other", wishes=[("beta", "", Severity.NOTICE)])
        wrong = make_alert("wrong")
        assert order_alert(session, wrong, now=NOW) == len(ids)
        states = {"sent": DeliveryState.SENT, "failed": DeliveryState.FAILED, "dropped": DeliveryState.DROPPED}
        for delivery in session.exec(select(Delivery)):
            name = next(name for name, endpoint_id in ids.items() if endpoint_id == delivery.endpoint_id)
            delivery.state = states.get(name, DeliveryState.WAITING)
        late = add_endpoint(session, "late")
        changed = session.get(Endpoint, ids["changed"])
        off = session.get(Endpoint, ids["off"])
        assert changed is not None and off is not None  # noqa: PT018  Only for the types.
        off.status = EndpointStatus.DISABLED
        # Muted or not: who was told something hears that it was wrong.
        session.add(Mute(endpoint_id=ids["sent"], fund_slug="", until=NOW + HOUR))
        back = make_alert("back", event=AlertEvent.RETRACTED, severity=Severity.NOTICE, retracts=wrong.id)
        assert order_alert(session, back, now=NOW) == 4
        assert told(session, back) == {"sent", "failed", "waiting", "changed"}
        assert late not in session.exec(select(Delivery.endpoint_id).where(Delivery.alert_id == back.id)).all()


def test_a_muted_alert_leaves_a_dropped_delivery_that_says_so(engine: Engine) -> None:
    with writing(engine) as session:
        mutes = {
            "this fund": ("alpha", NOW + HOUR),
            "all": ("", NOW + 2 * HOUR),
            "another fund": ("beta", NOW + HOUR),
            "over": ("alpha", NOW),
        }
        for name, (fund, until) in mutes.items():
            session.add(Mute(endpoint_id=add_endpoint(session, name), fund_slug=fund, until=until))
        alert = make_alert()
        assert order_alert(session, alert, now=NOW) == 2
        assert told(session, alert) == {"another fund", "over"}
        dropped = session.exec(select(Delivery).where(Delivery.state == DeliveryState.DROPPED)).all()
        reasons = {"muted until 2026-01-05 13:00 UTC", "muted until 2026-01-05 14:00 UTC"}
        assert {(row.state_reason, row.finished_at) for row in dropped} == {(reason, NOW) for reason in reasons}


def test_ordering_twice_adds_nothing_but_whom_it_left_out(engine: Engine) -> None:
    with writing(engine) as session:
        add_endpoint(session, "one")
        alert = make_alert()
        assert order_alert(session, alert, now=NOW) == 1
        assert order_alert(session, alert, now=NOW) == 0
        add_endpoint(session, "two")
        assert order_alert(session, alert, now=NOW) == 1
        assert told(session, alert) == {"one", "two"}


def test_hundreds_of_endpoints_are_ordered_for_at_once(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(300):
            add_endpoint(session, f"e{number}")
        alert = make_alert()
        assert order_alert(session, alert, now=NOW) == 300
    with reading(engine) as session:
        rows = session.exec(select(Delivery)).all()
        assert len({row.message_id for row in rows}) == 300
        assert {(row.purpose, row.state, row.next_at, row.attempts, row.detail) for row in rows} == {
            (Purpose.ALERT, DeliveryState.WAITING, NOW, 0, None)
        }


def test_a_message_id_is_the_same_for_the_same_alert_and_endpoint_only() -> None:
    ids = [message_id_of(key, name) for key in ("a", "b") for name in ("x", "y")]
    assert ids == [message_id_of(key, name) for key in ("a", "b") for name in ("x", "y")]
    assert len(set(ids)) == 4
    assert all(len(one) == 36 and one.startswith("msg_") for one in ids)


def test_ids_of_other_messages_cannot_be_guessed(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e", status=EndpointStatus.UNCONFIRMED)
        two = [order(session, endpoint_id, Purpose.PING, now=NOW, detail={"n": 1}) for _ in range(2)]
        first, second = (delivery_of(session, one) for one in two)
        assert first.message_id != second.message_id
        assert (first.purpose, first.detail, first.state) == (Purpose.PING, {"n": 1}, DeliveryState.WAITING)


def test_what_has_ended_is_ordered_again_under_its_id_and_with_a_new_schedule(engine: Engine) -> None:
    with writing(engine) as session:
        delivery_id = order(session, add_endpoint(session, "e"), Purpose.TEST, now=NOW)
        message_id = delivery_of(session, delivery_id).message_id
        assert not replay(session, delivery_id, now=NOW)
        assert not replay(session, delivery_id + 1, now=NOW)
        for state in (DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.DROPPED):
            ended = delivery_of(session, delivery_id)
            ended.state, ended.state_reason, ended.attempts, ended.finished_at = state, "why", 10, NOW
            ended.claimed_by, ended.claimed_until = "dead", NOW + HOUR
            assert replay(session, delivery_id, now=NOW + HOUR)
            again = delivery_of(session, delivery_id)
            assert (again.state, again.state_reason, again.attempts) == (DeliveryState.WAITING, "", 0)
            assert (again.next_at, again.message_id) == (NOW + HOUR, message_id)
            assert (again.finished_at, again.claimed_by, again.claimed_until) == (None, None, None)


def test_a_mail_that_came_back_switches_its_address_off_and_drops_what_waits_for_it(engine: Engine) -> None:
    with writing(engine) as session:
        gone, other = (add_endpoint(session, name, kind=EndpointKind.EMAIL) for name in ("gone", "other"))
        sent, waiting = (order(session, gone, Purpose.TEST, now=NOW) for _ in range(2))
        elsewhere = order(session, other, Purpose.TEST, now=NOW)
        delivery_of(session, sent).state = DeliveryState.SENT
        message_id = delivery_of(session, sent).message_id
        for _ in range(2):  # The same report may come twice.
            assert disable_by_bounce(session, message_id, "5.1.1 no such\0user", now=NOW)
    with reading(engine) as session:
        endpoint = session.get(Endpoint, gone)
        assert endpoint is not None
        assert (endpoint.status, endpoint.status_reason) == (
            EndpointStatus.DISABLED,
            "a mail came back: 5.1.1 no such user",
        )
        assert delivery_of(session, sent).state == DeliveryState.FAILED
        assert delivery_of(session, waiting).state == DeliveryState.DROPPED
        assert delivery_of(session, waiting).state_reason == "switched off: a mail came back: 5.1.1 no such user"
        assert delivery_of(session, elsewhere).state == DeliveryState.WAITING


def test_what_is_no_mail_of_ours_switches_nothing_off(engine: Engine) -> None:
    with writing(engine) as session:
        hook = add_endpoint(session, "hook")
        message_id = delivery_of(session, order(session, hook, Purpose.TEST, now=NOW)).message_id
        assert not disable_by_bounce(session, message_id, "5.1.1", now=NOW)
        assert not disable_by_bounce(session, "msg_unknown", "5.1.1", now=NOW)
        endpoint = session.get(Endpoint, hook)
        assert endpoint is not None
        assert endpoint.status == EndpointStatus.ACTIVE


def test_an_address_that_nobody_confirmed_stays_unconfirmed_when_its_mail_comes_back(engine: Engine) -> None:
    with writing(engine) as session:
        new = add_endpoint(session, "new", kind=EndpointKind.EMAIL, status=EndpointStatus.UNCONFIRMED)
        message_id = delivery_of(session, order(session, new, Purpose.CONFIRM, now=NOW)).message_id
        assert disable_by_bounce(session, message_id, "5.1.1", now=NOW)
        endpoint = session.get(Endpoint, new)
        assert endpoint is not None
        assert endpoint.status == EndpointStatus.UNCONFIRMED


def test_the_oldest_that_is_due_is_known_and_deliveries_are_counted(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        assert oldest_waiting(session, now=NOW) is None
        ids = [order(session, endpoint_id, Purpose.TEST, now=NOW + n * HOUR) for n in range(-2, 3)]
        assert oldest_waiting(session, now=NOW - 3 * HOUR) is None
        assert oldest_waiting(session, now=NOW) == NOW - 2 * HOUR
        for delivery_id, state, age in ((ids[0], DeliveryState.SENT, 1), (ids[1], DeliveryState.FAILED, 3)):
            ended = delivery_of(session, delivery_id)
            ended.state, ended.finished_at = state, NOW - age * HOUR
        assert oldest_waiting(session, now=NOW) == NOW
        assert count_deliveries(session, since=NOW - HOUR) == {
            DeliveryState.WAITING: 3,
            DeliveryState.SENT: 1,
            DeliveryState.FAILED: 0,
            DeliveryState.DROPPED: 0,
        }


def test_the_log_lists_attempts_and_what_was_never_tried_the_newest_first(engine: Engine) -> None:
    with writing(engine) as session:
        mine, other = add_endpoint(session, "mine"), add_endpoint(session, "other")
        session.add(Mute(endpoint_id=mine, fund_slug="beta", until=NOW + HOUR))
        order_alert(session, make_alert(), now=NOW)
        order_alert(session, make_alert("b", fund_slug="beta"), now=NOW + HOUR / 2)
        tried = session.exec(select(Delivery.id).where(Delivery.endpoint_id == mine)).first()
        for number in (1, 2):
            session.add(Attempt(delivery_id=tried, number=number, began_at=NOW + number * HOUR, seconds=0.5,
                                is_ok=number == 2, answer=f"answer {number}"))  # fmt: skip
        session.flush()
        log = list_attempts(session, mine, 10)
        assert [(row.number, row.is_ok, row.answer, row.state) for row in log] == [
            (2, True, "answer 2", DeliveryState.WAITING),
            (1, False, "answer 1", DeliveryState.WAITING),
            (None, None, None, DeliveryState.DROPPED),
        ]
        assert log[0].event == AlertEvent.COVERAGE_LOW
        assert log[2].state_reason == "muted until 2026-01-05 13:00 UTC"
        assert log[:1] == list_attempts(session, mine, 1)
        assert [row.number for row in list_attempts(session, other, 10)] == [None, None]
