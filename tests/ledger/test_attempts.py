"""Attempts: what is taken is done, what is not is tried again; who fails is warned of, then switched off."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from ledger.attempts import WARNED_AFTER, Outcome, Verdict, record_attempt
from ledger.claims import Claimed, claim
from ledger.database import open_engine, reading, writing
from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose
from ledger.outbox import order, replay
from ledger.tables import Attempt, Delivery, Endpoint
from tests.rigs.outbox_rows import NOW, add_endpoint

LEASE = timedelta(seconds=60)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger that knows nobody."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


def ordered(session: Session, endpoint_id: int, purpose: Purpose = Purpose.TEST, *, at: datetime = NOW) -> Claimed:
    """A delivery that a sender has claimed."""
    delivery_id = order(session, endpoint_id, purpose, now=at)
    taken = claim(session, "sender", now=at, lease=LEASE, limit=100)
    return next(one for one in taken if one.delivery_id == delivery_id)


def outcome(verdict: Verdict, *, next_at: datetime | None = None, answer: str = "it said so") -> Outcome:
    return Outcome(verdict, answer, NOW, 0.25, next_at)


def delivery_of(session: Session, claimed: Claimed) -> Delivery:
    found = session.get(Delivery, claimed.delivery_id)
    assert found is not None
    return found


def endpoint_of(session: Session, endpoint_id: int) -> Endpoint:
    found = session.get(Endpoint, endpoint_id)
    assert found is not None
    return found


def warnings(session: Session, owner_id: int) -> list[str]:
    """Subjects of what the owner was ordered to be told."""
    query = select(Delivery).where(Delivery.endpoint_id == owner_id, Delivery.purpose == Purpose.WARNING)
    return [str((row.detail or {})["subject"]) for row in session.exec(query.order_by(col(Delivery.id)))]


def test_what_is_taken_is_sent_and_its_endpoint_works(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        endpoint_of(session, endpoint_id).failing_since = NOW - HOUR
        claimed = ordered(session, endpoint_id)
        record_attempt(session, claimed, outcome(Verdict.TAKEN, answer="204"), now=NOW + MINUTE)
    with reading(engine) as session:
        row = delivery_of(session, claimed)
        assert (row.state, row.attempts, row.finished_at, row.claimed_by) == (
            DeliveryState.SENT,
            1,
            NOW + MINUTE,
            None,
        )
        attempt = session.exec(select(Attempt)).one()
        assert (attempt.number, attempt.is_ok, attempt.answer, attempt.began_at) == (1, True, "204", NOW)
        assert attempt.seconds == 0.25
        assert endpoint_of(session, endpoint_id).failing_since is None


def test_what_is_refused_waits_for_its_next_time_and_may_be_claimed_then(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        claimed = ordered(session, endpoint_id)
        record_attempt(session, claimed, outcome(Verdict.REFUSED, next_at=NOW + HOUR), now=NOW + MINUTE)
    with writing(engine) as session:
        row = delivery_of(session, claimed)
        assert (row.state, row.attempts, row.next_at) == (DeliveryState.WAITING, 1, NOW + HOUR)
        assert endpoint_of(session, endpoint_id).failing_since == NOW + MINUTE
        assert claim(session, "s", now=NOW + HOUR - MINUTE, lease=LEASE, limit=1) == []
        (again,) = claim(session, "s", now=NOW + HOUR, lease=LEASE, limit=1)
        assert again.attempts == 1
        record_attempt(session, again, outcome(Verdict.REFUSED), now=NOW + HOUR)
        assert (row.state, row.state_reason) == (DeliveryState.FAILED, "it said so")
        assert endpoint_of(session, endpoint_id).failing_since == NOW + MINUTE  # Since the first failure.
        assert list(session.exec(select(Attempt.number).order_by(col(Attempt.number)))) == [1, 2]


def test_a_sender_that_lost_its_claim_writes_its_failure_down_and_moves_nothing(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        slow = ordered(session, endpoint_id)
        # Even of the same name: each claim is a thing of its own.
        (quick,) = claim(session, "sender", now=NOW + 2 * LEASE, lease=LEASE, limit=1)
        record_attempt(session, slow, outcome(Verdict.GONE), now=NOW + 2 * LEASE)
        row = delivery_of(session, slow)
        assert (row.state, row.claimed_until) == (DeliveryState.WAITING, quick.claimed_until)
        assert endpoint_of(session, endpoint_id).status == EndpointStatus.ACTIVE
        record_attempt(session, quick, outcome(Verdict.TAKEN), now=NOW + 2 * LEASE)
        assert row.state == DeliveryState.SENT
        assert [one.is_ok for one in session.exec(select(Attempt).order_by(col(Attempt.number)))] == [False, True]


@pytest.mark.parametrize("verdict", Verdict)
def test_what_was_taken_stays_taken_whoever_sent_it_and_whatever_comes_after(engine: Engine, verdict: Verdict) -> None:
    with writing(engine) as session:
        slow = ordered(session, add_endpoint(session, "e"))
        (quick,) = claim(session, "other", now=NOW + 2 * LEASE, lease=LEASE, limit=1)
        record_attempt(session, slow, outcome(Verdict.TAKEN), now=NOW + 2 * LEASE)
        assert delivery_of(session, slow).state == DeliveryState.SENT
        record_attempt(session, quick, outcome(verdict), now=NOW + 2 * LEASE + MINUTE)
        assert delivery_of(session, slow).state == DeliveryState.SENT


def test_a_failure_before_a_replay_does_not_move_what_was_ordered_again(engine: Engine) -> None:
    with writing(engine) as session:
        slow = ordered(session, add_endpoint(session, "e"))
        (quick,) = claim(session, "other", now=NOW + 2 * LEASE, lease=LEASE, limit=1)
        record_attempt(session, quick, outcome(Verdict.REFUSED), now=NOW + 2 * LEASE)
        assert replay(session, slow.delivery_id, now=NOW + 3 * LEASE)
        record_attempt(session, slow, outcome(Verdict.REFUSED), now=NOW + 4 * LEASE)
        assert delivery_of(session, slow).state == DeliveryState.WAITING
        (again,) = claim(session, "other", now=NOW + 4 * LEASE, lease=LEASE, limit=1)
        record_attempt(session, again, outcome(Verdict.TAKEN), now=NOW + 4 * LEASE)
        assert list(session.exec(select(Attempt.number).order_by(col(Attempt.number)))) == [1, 2, 3]


def test_nothing_is_written_for_what_its_owner_deleted_meanwhile(engine: Engine) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "e")
        claimed = ordered(session, endpoint_id)
    with writing(engine) as session:
        session.delete(endpoint_of(session, endpoint_id))
    with writing(engine) as session:
        record_attempt(session, claimed, outcome(Verdict.TAKEN), now=NOW)
        assert session.exec(select(Attempt)).all() == []


@pytest.mark.parametrize("status", EndpointStatus)
def test_a_ping_that_was_answered_makes_its_webhook_active(engine: Engine, status: EndpointStatus) -> None:
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, "hook", status=status)
        endpoint_of(session, endpoint_id).status_reason = "it was gone"
        claimed = ordered(session, endpoint_id, Purpose.PING)
        record_attempt(session, claimed, outcome(Verdict.TAKEN), now=NOW + MINUTE)
        row = endpoint_of(session, endpoint_id)
        assert (row.status, row.status_reason, row.confirmed_at) == (EndpointStatus.ACTIVE, "", NOW + MINUTE)


def test_a_mail_that_was_taken_confirms_nobody(engine: Engine) -> None:
    with writing(engine) as session:
        new = add_endpoint(session, "new", kind=EndpointKind.EMAIL, status=EndpointStatus.UNCONFIRMED)
        record_attempt(session, ordered(session, new, Purpose.CONFIRM), outcome(Verdict.TAKEN), now=NOW)
        assert endpoint_of(session, new).status == EndpointStatus.UNCONFIRMED


def test_a_webhook_that_is_gone_is_switched_off_at_once_and_its_owner_hears_of_it(engine: Engine) -> None:
    with writing(engine) as session:
        owner = add_endpoint(session, "owner", kind=EndpointKind.EMAIL)
        hook = add_endpoint(session, "hook", owner_id=owner)
        claimed, other = ordered(session, hook), ordered(session, hook)
        record_attempt(session, claimed, outcome(Verdict.GONE, answer="410: gone"), now=NOW)
    with reading(engine) as session:
        row = endpoint_of(session, hook)
        assert (row.status, row.status_reason) == (EndpointStatus.DISABLED, "410: gone")
        assert delivery_of(session, claimed).state == DeliveryState.FAILED
        dropped = delivery_of(session, other)
        assert (dropped.state, dropped.state_reason, dropped.claimed_by) == (
            DeliveryState.DROPPED,
            "switched off: 410: gone",
            None,
        )
        assert warnings(session, owner) == ["Your webhook was switched off"]
        warned = session.exec(select(Delivery).where(Delivery.endpoint_id == owner)).one()
        assert "https://hook.example/hook was switched off at 2026-01-05 12:00 UTC: 410: gone" in str(warned.detail)


def test_an_address_that_refuses_for_good_is_switched_off_and_nobody_is_told(engine: Engine) -> None:
    with writing(engine) as session:
        mail = add_endpoint(session, "gone", kind=EndpointKind.EMAIL)
        record_attempt(session, ordered(session, mail), outcome(Verdict.GONE, answer="550 no such user"), now=NOW)
        row = endpoint_of(session, mail)
        assert (row.status, row.status_reason) == (EndpointStatus.DISABLED, "550 no such user")
        assert len(session.exec(select(Delivery)).all()) == 1


def test_an_address_that_is_only_late_is_never_switched_off(engine: Engine) -> None:
    with writing(engine) as session:
        mail = add_endpoint(session, "full", kind=EndpointKind.EMAIL)
        endpoint_of(session, mail).failing_since = NOW - 4 * WARNED_AFTER
        claimed = ordered(session, mail)
        record_attempt(session, claimed, outcome(Verdict.REFUSED), now=NOW)
        assert delivery_of(session, claimed).state == DeliveryState.FAILED
        assert endpoint_of(session, mail).status == EndpointStatus.ACTIVE


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.GONE])
def test_a_channel_of_the_operators_is_never_switched_off(engine: Engine, verdict: Verdict) -> None:
    with writing(engine) as session:
        slack = add_endpoint(session, "slack", kind=EndpointKind.OPERATOR)
        endpoint_of(session, slack).failing_since = NOW - 4 * WARNED_AFTER
        claimed = ordered(session, slack)
        record_attempt(session, claimed, outcome(verdict), now=NOW)
        assert delivery_of(session, claimed).state == DeliveryState.FAILED
        assert endpoint_of(session, slack).status == EndpointStatus.ACTIVE


def test_a_webhook_that_was_never_active_is_not_switched_off(engine: Engine) -> None:
    with writing(engine) as session:
        owner = add_endpoint(session, "owner", kind=EndpointKind.EMAIL)
        hook = add_endpoint(session, "new", owner_id=owner, status=EndpointStatus.UNCONFIRMED)
        record_attempt(session, ordered(session, hook, Purpose.PING), outcome(Verdict.GONE), now=NOW)
        assert endpoint_of(session, hook).status == EndpointStatus.UNCONFIRMED
        assert warnings(session, owner) == []


def test_the_owner_is_warned_once_a_day_after_a_webhook_stopped_and_again_only_after_it_worked(
    engine: Engine,
) -> None:
    def fail(session: Session, *, at: datetime) -> None:
        claimed = ordered(session, hook, at=at)
        record_attempt(session, claimed, outcome(Verdict.REFUSED, next_at=at + 10 * WARNED_AFTER), now=at)

    with writing(engine) as session:
        owner = add_endpoint(session, "owner", kind=EndpointKind.EMAIL)
        hook = add_endpoint(session, "hook", owner_id=owner)
        fail(session, at=NOW)
        fail(session, at=NOW + WARNED_AFTER - MINUTE)
        assert warnings(session, owner) == []
        fail(session, at=NOW + WARNED_AFTER)
    with writing(engine) as session:
        assert warnings(session, owner) == ["Your webhook takes no messages"]
        fail(session, at=NOW + 2 * WARNED_AFTER)
        assert len(warnings(session, owner)) == 1
        worked = NOW + 3 * WARNED_AFTER
        record_attempt(session, ordered(session, hook, at=worked), outcome(Verdict.TAKEN), now=worked)
        fail(session, at=worked + HOUR)
        assert len(warnings(session, owner)) == 1
        fail(session, at=worked + HOUR + WARNED_AFTER)
        assert len(warnings(session, owner)) == 2
        assert endpoint_of(session, hook).status == EndpointStatus.ACTIVE


def test_a_webhook_is_switched_off_at_the_end_of_a_schedule_but_never_before_its_owner_was_warned(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        owner = add_endpoint(session, "owner", kind=EndpointKind.EMAIL)
        hook = add_endpoint(session, "hook", owner_id=owner)
        # It took others yesterday: this one's schedule ends, and the endpoint stays.
        endpoint_of(session, hook).failing_since = NOW - WARNED_AFTER + MINUTE
        record_attempt(session, ordered(session, hook), outcome(Verdict.REFUSED), now=NOW)
        assert endpoint_of(session, hook).status == EndpointStatus.ACTIVE
        record_attempt(session, ordered(session, hook), outcome(Verdict.REFUSED), now=NOW + HOUR)
        assert endpoint_of(session, hook).status == EndpointStatus.ACTIVE
        assert warnings(session, owner) == ["Your webhook takes no messages"]
        record_attempt(session, ordered(session, hook), outcome(Verdict.REFUSED), now=NOW + 2 * HOUR)
        row = endpoint_of(session, hook)
        assert row.status == EndpointStatus.DISABLED
        assert row.status_reason == (
            "it took no message since 2026-01-04 12:01 UTC, and the retries of one are over; it said: it said so"
        )
        assert warnings(session, owner) == ["Your webhook takes no messages", "Your webhook was switched off"]


def test_a_webhook_without_an_owner_is_switched_off_without_a_warning(engine: Engine) -> None:
    with writing(engine) as session:
        hook = add_endpoint(session, "hook")
        endpoint_of(session, hook).failing_since = NOW - WARNED_AFTER
        record_attempt(session, ordered(session, hook), outcome(Verdict.REFUSED), now=NOW)
        assert endpoint_of(session, hook).status == EndpointStatus.DISABLED
        assert len(session.exec(select(Delivery)).all()) == 1


def test_a_fault_of_ours_is_not_held_against_the_endpoint(engine: Engine) -> None:
    with writing(engine) as session:
        hook = add_endpoint(session, "hook")
        claimed = ordered(session, hook)
        record_attempt(session, claimed, outcome(Verdict.BROKEN), now=NOW)
        assert delivery_of(session, claimed).state == DeliveryState.FAILED
        row = endpoint_of(session, hook)
        assert (row.status, row.failing_since) == (EndpointStatus.ACTIVE, None)


def test_an_answer_is_kept_without_what_databases_cannot_hold_and_cut(engine: Engine) -> None:
    with writing(engine) as session:
        claimed = ordered(session, add_endpoint(session, "e"))
        hostile = "\0\x1b[31m\ud800 500\r\n" + "x" * 1000
        record_attempt(session, claimed, outcome(Verdict.REFUSED, answer=hostile), now=NOW)
    with reading(engine) as session:
        kept = session.exec(select(Attempt.answer)).one()
        assert kept.startswith("  [31m  500  xxx")
        assert len(kept) == 300
        assert delivery_of(session, claimed).state_reason == kept
