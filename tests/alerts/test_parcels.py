"""Parcels: what a sender hands to a channel, and by which links their reader may act."""

import json
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine

from alerts.channel import ChannelError, Parcel, Receipt
from alerts.delivery import LEASE, Sender
from alerts.message import FundLine
from ledger.database import open_engine, reading, writing
from ledger.kinds import AlertEvent, DigestChoice, EndpointKind, EndpointStatus, Purpose, Severity, TokenPurpose
from ledger.outbox import order, order_alert
from ledger.tables import Endpoint
from ledger.tokens import find_token
from tests.rigs.outbox_rows import NOW, add_endpoint, add_funds, make_alert
from tests.rigs.postbox import SITE, Postbox, Simulated, opened_sender, taken


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


def token_in(link: str) -> str:
    (token,) = parse_qs(urlsplit(link).query)["token"]
    return token


async def test_a_webhook_is_handed_the_message_its_secrets_and_no_token(
    engine: Engine, post: Postbox, sender: Sender
) -> None:
    with writing(engine) as session:
        hook = session.get(Endpoint, add_endpoint(session, "hook"))
        assert hook is not None
        hook.secrets, hook.old_secret_until = ["new", "old"], NOW + LEASE
        order_alert(session, make_alert(), now=NOW)
        order_alert(session, alert := make_alert("chain", event=AlertEvent.LAGGING, fund_slug=None), now=NOW)
    await sender.drain()
    about_fund, about_chain = post.parcels
    assert (about_fund.purpose, about_fund.address) == (Purpose.ALERT, "https://hook.example/hook")
    assert about_fund.message is not None
    assert about_fund.message.sentence == "Coverage of Alpha fell to 0.71× at 17:00 UTC."
    assert (about_fund.secrets, about_fund.created_at) == (("new", "old"), NOW)
    assert (about_fund.links.site, about_fund.links.page) == (SITE, f"{SITE}/funds/alpha")
    assert about_chain.links.page == f"{SITE}/alerts/log#a{alert.id}"
    for links in (about_fund.links, about_chain.links):
        assert (links.confirm, links.manage, links.mute, links.unsubscribe) == ("", "", "", "")


async def test_a_mail_carries_links_by_which_its_reader_may_manage_mute_and_unsubscribe(
    engine: Engine, post: Postbox, sender: Sender
) -> None:
    with writing(engine) as session:
        mail = add_endpoint(session, "reader", kind=EndpointKind.EMAIL)
        order_alert(session, make_alert(), now=NOW)
        order(session, mail, Purpose.WARNING, now=NOW, detail={"subject": "s", "text": "t"})
    await sender.drain()
    alert, warning = post.parcels
    token = token_in(alert.links.manage)
    assert alert.links.manage == f"{SITE}/alerts/manage?token={token}"
    assert alert.links.mute == f"{SITE}/alerts/mute?token={token}&fund=alpha"
    assert alert.links.unsubscribe == f"{SITE}/alerts/unsubscribe?token={token}"
    assert alert.links.confirm == ""
    assert warning.links.mute == ""
    assert warning.detail == {"subject": "s", "text": "t"}
    with reading(engine) as session:
        for link in (token, token_in(warning.links.unsubscribe)):
            row = find_token(session, link, TokenPurpose.MANAGE, now=NOW)
            assert row is not None
            assert row.endpoint_id == mail


async def test_a_confirmation_carries_the_wishes_and_a_token_that_would_set_them(
    engine: Engine, post: Postbox, sender: Sender
) -> None:
    wishes = {"funds": ["alpha"], "events": [], "least": "warning", "digest": "daily"}
    with writing(engine) as session:
        new = add_endpoint(session, "new", kind=EndpointKind.EMAIL, status=EndpointStatus.UNCONFIRMED)
        order(session, new, Purpose.CONFIRM, now=NOW, detail={"wishes": wishes})
    await sender.drain()
    (parcel,) = post.parcels
    assert parcel.detail is not None
    assert json.loads(parcel.detail["wishes"]) == wishes
    assert (parcel.links.manage, parcel.links.unsubscribe) == ("", "")
    with reading(engine) as session:
        row = find_token(session, token_in(parcel.links.confirm), TokenPurpose.CONFIRM, now=NOW)
        assert row is not None
        assert row.wishes == wishes


async def test_every_attempt_carries_the_same_message_id_and_a_token_that_works(
    engine: Engine, post: Postbox, sender: Sender, clock: Simulated
) -> None:
    with writing(engine) as session:
        add_endpoint(session, "reader", kind=EndpointKind.EMAIL)
        order_alert(session, make_alert(), now=NOW)

    def busy(_parcel: Parcel) -> Receipt:
        raise ChannelError("451 try again later")

    post.answer = busy
    await sender.drain()
    post.answer, clock.now = taken, NOW + LEASE
    await sender.drain()
    first, second = post.parcels
    assert first.message_id == second.message_id
    with reading(engine) as session:
        for parcel in (first, second):
            assert find_token(session, token_in(parcel.links.manage), TokenPurpose.MANAGE, now=clock.now) is not None


async def test_a_digest_holds_only_the_funds_its_reader_follows(engine: Engine, post: Postbox, sender: Sender) -> None:
    lines = tuple(FundLine(slug, f"about {slug or 'all'}") for slug in ("alpha", "beta", ""))
    with writing(engine) as session:
        add_endpoint(session, "all", digest=DigestChoice.DAILY)
        add_endpoint(session, "alpha", digest=DigestChoice.DAILY, wishes=[("alpha", "", Severity.WARNING)])
        digest = make_alert("d", event=AlertEvent.DIGEST_DAILY, fund_slug=None, chain_id=None, lines=lines)
        assert order_alert(session, digest, now=NOW) == 2
    await sender.drain()
    texts = {parcel.address: [line.text for line in (parcel.message and parcel.message.lines) or ()]
             for parcel in post.parcels}  # fmt: skip
    assert texts == {
        "https://all.example/hook": ["about alpha", "about beta", "about all"],
        "https://alpha.example/hook": ["about alpha", "about all"],
    }
