"""The sender: everything that is due is sent once, by whichever sender, and one that fails hurts no other."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from alerts.channel import ChannelError, Parcel, Receipt
from alerts.delivery import AT_ONCE, BEFORE_SEND, LEASE, PHASES, Patience, Sender
from ledger.database import open_engine, reading, writing
from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose
from ledger.outbox import order, order_alert
from ledger.tables import Attempt, Delivery, Endpoint
from ledger.writer import LedgerWriter
from tests.rigs.outbox_rows import NOW, add_endpoint, add_funds, make_alert
from tests.rigs.postbox import PATIENCE, SITE, Postbox, Simulated, SlowPostbox, opened_sender, order_tests


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with funds, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


@pytest.fixture
def post() -> Postbox:
    return Postbox()


@pytest.fixture
def clock() -> Simulated:
    return Simulated()


@pytest.fixture
async def sender(engine: Engine, post: Postbox, clock: Simulated) -> AsyncIterator[Sender]:
    with opened_sender(engine, post, clock) as opened:
        yield opened


def deliveries(engine: Engine) -> list[Delivery]:
    with reading(engine) as session:
        return list(session.exec(select(Delivery).order_by(col(Delivery.id))))


def answers(engine: Engine) -> list[tuple[bool, str]]:
    with reading(engine) as session:
        rows = session.exec(select(Attempt).order_by(col(Attempt.delivery_id), col(Attempt.number)))
        return [(row.is_ok, row.answer) for row in rows]


def states(engine: Engine) -> set[str]:
    return {row.state for row in deliveries(engine)}


async def test_one_run_sends_a_bounded_number_and_draining_sends_all(
    engine: Engine, post: Postbox, sender: Sender
) -> None:
    order_tests(engine, 3 * AT_ONCE)
    assert await sender.run_once() == AT_ONCE
    assert len(post.parcels) == AT_ONCE
    await sender.drain()
    assert sorted(parcel.message_id for parcel in post.parcels) == sorted(row.message_id for row in deliveries(engine))
    assert states(engine) == {DeliveryState.SENT}
    assert await sender.run_once() == 0


async def test_two_senders_send_hundreds_once_each(engine: Engine, clock: Simulated) -> None:
    posts, at_work = {name: SlowPostbox() for name in ("one", "two")}, set[str]()
    for n in range(5):
        order_tests(engine, 60, name=f"e{n}")

    def phase_of(name: str) -> Callable[[str], None]:
        def phase(reached: str) -> None:
            if reached == BEFORE_SEND:  # Neither goes on before the other has begun: both have a share.
                at_work.add(name)
            if at_work == posts.keys():
                for post in posts.values():
                    post.gate.set()

        return phase

    other = open_engine(engine.url.render_as_string(hide_password=False))
    with (
        opened_sender(engine, posts["one"], clock, name="one", phase=phase_of("one")) as one,
        opened_sender(other, posts["two"], clock, name="two", phase=phase_of("two")) as two,
    ):
        await asyncio.gather(one.drain(), two.drain())
    other.dispose()
    sent = [parcel.message_id for post in posts.values() for parcel in post.parcels]
    assert len(sent) == len(set(sent)) == 300
    assert states(engine) == {DeliveryState.SENT}
    assert answers(engine) == [(True, "204")] * 300


async def test_two_senders_that_find_a_webhook_gone_switch_it_off_once_and_do_not_block_each_other(
    engine: Engine, clock: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(parcel: Parcel) -> Receipt:
        if parcel.purpose is Purpose.WARNING:
            return Receipt("250 OK")
        raise ChannelError("410: gone", permanent=True)

    with writing(engine) as session:
        owner = add_endpoint(session, "owner", kind=EndpointKind.EMAIL)
        hook = add_endpoint(session, "hook", owner_id=owner)
        for _ in range(5 * AT_ONCE):
            order(session, hook, Purpose.TEST, now=NOW)
    other, post = open_engine(engine.url.render_as_string(hide_password=False)), Postbox(gone)
    with (
        opened_sender(engine, post, clock, name="one") as one,
        opened_sender(other, post, clock, name="two") as two,
    ):
        await asyncio.gather(one.drain(), two.drain())
    other.dispose()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert [parcel.purpose for parcel in post.parcels].count(Purpose.WARNING) == 1
    assert states(engine) == {DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.DROPPED}
    assert len(post.parcels) <= 2 * AT_ONCE + 1  # What was on its way; nothing that was claimed afterwards.


async def test_a_delivery_is_tried_at_the_times_of_the_schedule_and_then_given_up(
    engine: Engine, post: Postbox, sender: Sender, clock: Simulated
) -> None:
    def down(_parcel: Parcel) -> Receipt:
        raise ChannelError("500: sorry")

    post.answer = down
    order_tests(engine, 1)
    times = []
    while (row := deliveries(engine)[0]).state == DeliveryState.WAITING:
        clock.now = row.next_at - timedelta(milliseconds=1)
        await sender.drain()
        assert len(post.parcels) == len(times), "tried before its time"
        clock.now = row.next_at
        times.append(clock.now)
        await sender.drain()
    assert (row.state, row.state_reason, row.attempts) == (DeliveryState.FAILED, "500: sorry", 10)
    pauses = [(later - sooner).total_seconds() for sooner, later in pairwise(times)]
    for pause, planned in zip(pauses, [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400], strict=True):
        assert 0.9 * planned - 1e-3 <= pause <= 1.1 * planned + 1e-3
    assert answers(engine) == [(False, "500: sorry")] * 10


async def test_a_receiver_that_asks_for_an_hour_gets_it(engine: Engine, post: Postbox, sender: Sender) -> None:
    def busy(_parcel: Parcel) -> Receipt:
        raise ChannelError("429: slow down", retry_after=3600.0)

    post.answer = busy
    order_tests(engine, 1)
    await sender.drain()
    assert deliveries(engine)[0].next_at == NOW + timedelta(hours=1)


async def test_whoever_is_gone_is_not_tried_again(engine: Engine, post: Postbox, sender: Sender) -> None:
    def gone(_parcel: Parcel) -> Receipt:
        raise ChannelError("410: gone", permanent=True)

    post.answer = gone
    order_tests(engine, 1)
    await sender.drain()
    assert [(row.state, row.state_reason) for row in deliveries(engine)] == [(DeliveryState.FAILED, "410: gone")]
    with reading(engine) as session:
        assert session.exec(select(Endpoint.status)).one() == EndpointStatus.DISABLED


async def test_one_that_cannot_be_sent_hurts_no_other_and_is_not_the_receivers_fault(
    engine: Engine, post: Postbox, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    def moody(parcel: Parcel) -> Receipt:
        if "bad" in parcel.address:
            raise RuntimeError("the channel is broken")
        return Receipt("204")

    post.answer = moody
    order_tests(engine, 2, name="bad")
    order_tests(engine, 2, name="good")
    with writing(engine) as session:
        odd = make_alert("odd")
        odd.message = {"nothing": "that we ever wrote"}
        session.add(odd)
        order_alert(session, odd, now=NOW)
    await sender.drain()
    ends = [(row.state, row.attempts) for row in deliveries(engine)]
    assert ends == [(DeliveryState.WAITING, 1)] * 2 + [(DeliveryState.SENT, 1)] * 2 + [(DeliveryState.WAITING, 1)] * 2
    assert set(answers(engine)) == {
        (False, "a fault of ours (RuntimeError)"),
        (True, "204"),
        (False, "a fault of ours (ValidationError)"),
    }
    assert "the channel is broken" in caplog.text
    with reading(engine) as session:
        assert set(session.exec(select(Endpoint.failing_since))) == {None}


async def test_a_channel_that_is_not_set_up_is_no_fault_of_the_address(engine: Engine, clock: Simulated) -> None:
    with writing(engine) as session:
        mail = add_endpoint(session, "reader", kind=EndpointKind.EMAIL)
        order(session, mail, Purpose.TEST, now=NOW)
    with LedgerWriter(engine) as writer:
        await Sender(writer, {}, clock, site_url=SITE, name="s", dice=random.Random(1)).drain()
    assert answers(engine) == [(False, "no channel for email is set up here")]
    assert states(engine) == {DeliveryState.WAITING}


async def test_a_channel_that_never_answers_is_given_up_before_its_claim_runs_out(
    engine: Engine, clock: Simulated
) -> None:
    assert PATIENCE.attempt < LEASE.total_seconds()
    order_tests(engine, 1)
    with opened_sender(engine, SlowPostbox(), clock, patience=Patience(attempt=0.01)) as sender:
        await sender.drain()
    assert answers(engine) == [(False, "no answer within 0.01 seconds")]


async def test_a_slow_receiver_holds_up_nobody_even_what_becomes_due_meanwhile(
    engine: Engine, clock: Simulated
) -> None:
    slow, quick = SlowPostbox(), Postbox()
    order_tests(engine, 1, name="slow")
    with writing(engine) as session:
        mail = add_endpoint(session, "reader", kind=EndpointKind.EMAIL)
    with LedgerWriter(engine) as writer:
        channels = {EndpointKind.WEBHOOK: slow, EndpointKind.EMAIL: quick}
        sender = Sender(writer, channels, clock, site_url=SITE, name="s", dice=random.Random(1),
                        patience=Patience(look=0.005))  # fmt: skip
        draining = asyncio.create_task(sender.drain())
        await writer.write(lambda session: order(session, mail, Purpose.TEST, now=NOW))
        async with asyncio.timeout(20):
            await quick.has_mail.wait()
        assert not slow.parcels
        slow.gate.set()
        await draining
    assert states(engine) == {DeliveryState.SENT}


async def test_a_sender_that_is_stopped_ends_what_it_began_and_leaves_the_rest(
    engine: Engine, clock: Simulated
) -> None:
    slow, reached = SlowPostbox(), asyncio.Event()
    order_tests(engine, AT_ONCE + 5)

    def phase(name: str) -> None:
        if name == BEFORE_SEND:
            reached.set()

    with opened_sender(engine, slow, clock, phase=phase) as sender:
        draining = asyncio.create_task(sender.drain())
        await reached.wait()
        draining.cancel()
        await asyncio.sleep(0)
        slow.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await draining
    ends = [row.state for row in deliveries(engine)]
    assert ends == [DeliveryState.SENT] * AT_ONCE + [DeliveryState.WAITING] * 5
    assert {row.claimed_by for row in deliveries(engine)} == {None}


async def test_the_phases_of_one_delivery_come_in_order(engine: Engine, post: Postbox, clock: Simulated) -> None:
    heard: list[str] = []
    order_tests(engine, 1)
    with opened_sender(engine, post, clock, phase=heard.append) as sender:
        await sender.run_once()
    assert tuple(heard) == PHASES


async def test_the_log_names_no_mail_address_and_is_loud_only_about_what_the_operator_must_mend(
    engine: Engine, post: Postbox, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(parcel: Parcel) -> Receipt:
        raise ChannelError(f"refused: {parcel.address}")

    post.answer = refused
    with writing(engine) as session:
        for kind in EndpointKind:
            order(session, add_endpoint(session, kind, kind=kind), Purpose.TEST, now=NOW)
    with caplog.at_level(logging.INFO, logger="alerts"):
        await sender.drain()
    assert "@example.org" not in caplog.text
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(loud) == 1
    assert loud[0].endswith("was not taken by its operator: refused: operator")
    assert len(caplog.records) == len(EndpointKind)
