"""Subscriptions in the ledger: asked for, confirmed, changed, exported and forgotten, whoever else writes meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier

import msgspec
import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.database import open_engine, reading, writing
from ledger.kinds import (
    DeliveryState,
    DigestChoice,
    EndpointStatus,
    Purpose,
    TokenPurpose,
)
from ledger.subscriptions import (
    MOST_WEBHOOKS,
    WebhookRefusedError,
    Wishes,
    ask_confirmation,
    ask_link,
    confirm,
    disable,
    end_mute,
    find_bearer,
    find_failed,
    find_webhook,
    key_of,
    list_mutes,
    list_webhooks,
    mute,
    rotate_secret,
    set_wishes,
    wishes_of,
)
from ledger.tables import Delivery, Endpoint, Mute, Subscription
from ledger.tokens import issue_token
from tests.rigs.subscribers import HOUR, NOW, READER, SOME, in_one, rows, subscribe, tell_confirmation, with_webhook


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger that nobody has subscribed to."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.mark.parametrize("wishes", [Wishes(), SOME])
def test_wishes_come_back_from_json_and_from_their_rows_as_they_went(engine: Engine, wishes: Wishes) -> None:
    assert Wishes.of_json(msgspec.json.decode(msgspec.json.encode(wishes.to_json()))) == wishes
    subscribe(engine, wishes)
    assert in_one(engine, wishes_of) == wishes


@pytest.mark.parametrize("stored", [{"least": "loud"}, {"funds": "alpha"}, {"events": ["fund.unheard"]}, []])
def test_what_no_form_of_ours_wrote_is_refused(stored: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        Wishes.of_json(stored)


def test_asking_enters_an_address_and_orders_one_mail_with_the_wishes(engine: Engine) -> None:
    with writing(engine) as session:
        ask_confirmation(session, READER, SOME, now=NOW)
    (endpoint,), (delivery,) = rows(engine, Endpoint), rows(engine, Delivery)
    assert (endpoint.status, endpoint.confirmed_at) == (EndpointStatus.UNCONFIRMED, None)
    assert (delivery.purpose, delivery.state) == (Purpose.CONFIRM, DeliveryState.WAITING)
    assert Wishes.of_json(delivery.detail["wishes"]) == SOME
    assert not rows(engine, Subscription)


def test_what_an_active_address_wants_changes_only_when_it_confirms(engine: Engine) -> None:
    subscribe(engine, SOME)
    later = Wishes(funds=("gamma",))
    with writing(engine) as session:
        ask_confirmation(session, READER, later, now=NOW + HOUR)
    assert in_one(engine, wishes_of) == SOME
    token = tell_confirmation(engine, later, at=NOW + HOUR)
    with writing(engine) as session:
        assert confirm(session, token, now=NOW + HOUR)
    assert in_one(engine, wishes_of) == later


def test_a_confirmation_works_once_and_takes_the_other_ones_with_it(engine: Engine) -> None:
    with writing(engine) as session:
        ask_confirmation(session, READER, SOME, now=NOW)
    first, second = (tell_confirmation(engine, wishes) for wishes in (SOME, Wishes()))
    with writing(engine) as session:
        assert confirm(session, second, now=NOW) is not None
    with writing(engine) as session:
        assert confirm(session, second, now=NOW) is None
        assert confirm(session, first, now=NOW) is None
    assert in_one(engine, wishes_of) == Wishes()


@pytest.mark.parametrize(
    ("purpose", "asked", "lifetime"),
    [
        (TokenPurpose.CONFIRM, TokenPurpose.CONFIRM, timedelta(hours=24)),
        (TokenPurpose.MANAGE, TokenPurpose.MANAGE, timedelta(days=90)),
        (TokenPurpose.CONFIRM, TokenPurpose.MANAGE, timedelta()),
        (TokenPurpose.MANAGE, TokenPurpose.CONFIRM, timedelta()),
    ],
)
def test_a_token_works_for_its_purpose_and_its_time(
    engine: Engine, purpose: TokenPurpose, asked: TokenPurpose, lifetime: timedelta
) -> None:
    with writing(engine) as session:
        ask_confirmation(session, READER, SOME, now=NOW)
    token = str(in_one(engine, lambda session, owner: issue_token(session, key_of(owner), purpose, now=NOW)))
    second = timedelta(seconds=1)
    with reading(engine) as session:
        lived = find_bearer(session, token, now=NOW + lifetime - second, purpose=asked)
        over = find_bearer(session, token, now=NOW + lifetime, purpose=asked)
    assert (lived is not None, over) == (bool(lifetime), None)


def test_an_address_that_was_switched_off_and_confirms_is_written_to_again(engine: Engine) -> None:
    subscribe(engine)
    in_one(engine, lambda session, owner: disable(session, owner, now=NOW))
    assert rows(engine, Endpoint)[0].status_reason == "unsubscribed"
    subscribe(engine, at=NOW + HOUR)
    (endpoint,) = rows(engine, Endpoint)
    assert (endpoint.status, endpoint.status_reason, endpoint.confirmed_at) == (
        EndpointStatus.ACTIVE,
        "",
        NOW + HOUR,
    )


def test_an_address_gets_three_mails_a_day_by_forms_whoever_asks(engine: Engine) -> None:
    subscribe(engine)
    with writing(engine) as session:
        ask_link(session, READER, now=NOW + HOUR)
        for minute in range(5):
            ask_confirmation(session, READER, SOME, now=NOW + HOUR + timedelta(minutes=minute))
            ask_link(session, READER, now=NOW + HOUR + timedelta(minutes=minute))
    assert len(rows(engine, Delivery)) == 3
    with writing(engine) as session:  # The first one is a day old.
        ask_link(session, READER, now=NOW + 24 * HOUR)
        ask_link(session, READER, now=NOW + 24 * HOUR)
    assert len(rows(engine, Delivery)) == 4


def test_only_an_address_that_was_confirmed_once_gets_a_link(engine: Engine) -> None:
    with writing(engine) as session:
        ask_link(session, READER, now=NOW)
        ask_confirmation(session, READER, SOME, now=NOW)
        ask_link(session, READER, now=NOW)
    assert [row.purpose for row in rows(engine, Delivery)] == [Purpose.CONFIRM]
    subscribe(engine)
    in_one(engine, lambda session, owner: disable(session, owner, now=NOW))
    with writing(engine) as session:
        ask_link(session, READER, now=NOW + HOUR)
    assert [row.purpose for row in rows(engine, Delivery)][-1] == Purpose.LINK


def together(engine: Engine, works: list[Callable[[Session], object]]) -> None:
    """Runs each in a transaction of its own, all at once."""
    start = Barrier(len(works))

    def run(work: Callable[[Session], object]) -> None:
        start.wait()
        with writing(engine) as session:
            work(session)

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(run, works))


def test_many_who_ask_for_one_new_address_at_once_make_one_endpoint_and_three_mails(engine: Engine) -> None:
    together(engine, [lambda session: ask_confirmation(session, READER, SOME, now=NOW)] * 6)
    assert len(rows(engine, Endpoint)) == 1
    assert len(rows(engine, Delivery)) == 3


def test_a_form_that_is_sent_twice_at_once_sets_the_wishes_once(engine: Engine) -> None:
    own = subscribe(engine)

    def save(session: Session) -> None:
        owner = find_bearer(session, own, now=NOW, is_held=True)
        assert owner is not None
        set_wishes(session, owner, Wishes(funds=("gamma",)))
        mute(session, owner, "gamma", until=NOW + HOUR)

    together(engine, [save] * 4)
    assert in_one(engine, wishes_of) == Wishes(funds=("gamma",))
    assert len(rows(engine, Mute)) == 1


def test_a_mute_ends_by_time_or_by_hand_and_a_new_one_replaces_the_old(engine: Engine) -> None:
    subscribe(engine)

    def until(session: Session, owner: Endpoint) -> list[tuple[str, datetime]]:
        return [(row.fund_slug, row.until) for row in list_mutes(session, owner, now=NOW + HOUR)]

    in_one(engine, lambda session, owner: mute(session, owner, "alpha", until=NOW + HOUR))
    assert in_one(engine, until) == []
    in_one(engine, lambda session, owner: mute(session, owner, "alpha", until=NOW + 3 * HOUR))
    in_one(engine, lambda session, owner: mute(session, owner, "", until=NOW + 2 * HOUR))
    assert in_one(engine, until) == [("", NOW + 2 * HOUR), ("alpha", NOW + 3 * HOUR)]
    in_one(engine, lambda session, owner: end_mute(session, owner, "alpha"))
    assert in_one(engine, until) == [("", NOW + 2 * HOUR)]


def test_a_webhook_hears_what_its_owner_hears_once_it_answered(engine: Engine) -> None:
    subscribe(engine)
    with_webhook(engine)
    webhook = in_one(engine, list_webhooks)[0]
    assert (webhook.status, webhook.secrets) == (EndpointStatus.UNCONFIRMED, ["whsec_first"])
    assert [row.purpose for row in rows(engine, Delivery) if row.endpoint_id == webhook.id] == [Purpose.PING]

    def wanted(session: Session, owner: Endpoint) -> list[Wishes]:
        return [wishes_of(session, one) for one in (owner, *list_webhooks(session, owner))]

    assert in_one(engine, wanted) == [SOME, replace(SOME, digest=DigestChoice.NONE)]
    in_one(engine, lambda session, owner: set_wishes(session, owner, Wishes(digest=DigestChoice.DAILY)))
    assert in_one(engine, wanted) == [Wishes(digest=DigestChoice.DAILY), Wishes()]


def test_a_webhook_is_added_once_and_there_are_not_too_many(engine: Engine) -> None:
    subscribe(engine)
    with_webhook(engine)
    with pytest.raises(WebhookRefusedError, match="already"):
        with_webhook(engine)
    for number in range(1, MOST_WEBHOOKS):
        with_webhook(engine, f"https://hook.example/{number}")
    with pytest.raises(WebhookRefusedError, match="remove one"):
        with_webhook(engine, "https://hook.example/more")
    assert len(in_one(engine, list_webhooks)) == MOST_WEBHOOKS


def test_a_new_secret_stands_first_and_the_one_before_lasts_a_day(engine: Engine) -> None:
    subscribe(engine)
    with_webhook(engine)

    def rotate(session: Session, owner: Endpoint, secret: str) -> tuple[list[str], datetime | None]:
        (webhook,) = list_webhooks(session, owner)
        rotate_secret(webhook, secret, now=NOW)
        return webhook.secrets, webhook.old_secret_until

    until = NOW + timedelta(hours=24)
    assert in_one(engine, lambda *who: rotate(*who, "second")) == (["second", "whsec_first"], until)
    assert in_one(engine, lambda *who: rotate(*who, "third")) == (["third", "second"], until)
    assert in_one(engine, list_webhooks)[0].secrets == ["third", "second"]


def test_nobody_reaches_what_belongs_to_another(engine: Engine) -> None:
    subscribe(engine)
    with_webhook(engine)
    webhook = in_one(engine, list_webhooks)[0]
    with writing(engine) as session:
        ask_confirmation(session, "other@example.org", SOME, now=NOW)
        other = session.exec(select(Endpoint).where(Endpoint.address == "other@example.org")).one()
        ping = session.exec(select(Delivery).where(Delivery.endpoint_id == webhook.id)).one()
        ping.state = DeliveryState.FAILED
    with writing(engine) as session:
        assert find_webhook(session, other, webhook.public_id) is None
        assert find_failed(session, other, ping.message_id) is None
        owner = session.get(Endpoint, webhook.owner_id)
        assert owner is not None
        assert find_webhook(session, owner, webhook.public_id) is not None
        assert find_failed(session, owner, ping.message_id) is not None
        assert find_webhook(session, owner, owner.public_id) is None


def test_only_what_was_given_up_can_be_sent_again(engine: Engine) -> None:
    subscribe(engine)
    (delivery,) = rows(engine, Delivery)
    for state in set(DeliveryState) - {DeliveryState.FAILED}:
        with writing(engine) as session:
            session.get_one(Delivery, delivery.id).state = state
        assert in_one(engine, lambda *who: find_failed(*who, delivery.message_id)) is None
