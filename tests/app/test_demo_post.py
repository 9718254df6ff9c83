"""The demo's own post office: one reader however often the demo is played, and no way to anybody else."""

from datetime import datetime
from ipaddress import ip_address

import pytest
from sqlmodel import select

from alerts.catcher import MailCatcher
from alerts.reach import UnreachableAddressError
from app.demo_post import READER, WEBHOOK, DemoPost, enter_reader
from app.failures import CommandError
from ledger.database import open_engine, reading, writing
from ledger.kinds import EndpointStatus, Purpose
from ledger.subscriptions import Wishes, enter_confirmed
from ledger.tables import Delivery, Endpoint
from tests.rigs.outbox_rows import NOW


@pytest.mark.parametrize("times", [[NOW], [NOW, NOW]])
def test_the_reader_is_entered_once_confirmed_and_its_webhook_is_pinged(
    database_url: str, times: list[datetime]
) -> None:
    engine = open_engine(database_url)
    for now in times:  # A demo on the same database as one before.
        enter_reader(engine, now)
    with reading(engine) as session:
        statuses = {row.address: row.status for row in session.exec(select(Endpoint))}
        orders = session.exec(select(Delivery.purpose)).all()
    engine.dispose()
    assert statuses == {READER: EndpointStatus.ACTIVE, WEBHOOK: EndpointStatus.UNCONFIRMED}
    assert orders == [Purpose.PING]


def test_a_database_with_other_readers_is_refused_and_left_as_it_is(database_url: str) -> None:
    engine = open_engine(database_url)
    with writing(engine) as session:
        enter_confirmed(session, "somebody@example.org", Wishes(), now=NOW)
    with pytest.raises(CommandError, match="people subscribe in this database"):
        enter_reader(engine, NOW)
    with reading(engine) as session:
        addresses = session.exec(select(Endpoint.address)).all()
    engine.dispose()
    assert addresses == ["somebody@example.org"]


async def test_the_demos_webhook_is_its_own_site_whatever_the_name() -> None:
    post = DemoPost(MailCatcher(), ("127.0.0.1", 4711))
    found = await post.resolve(WEBHOOK)
    assert (found.ip, found.port) == (ip_address("127.0.0.1"), 4711)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.org/", "http://127.0.0.1:4711/dev/hook", f"{WEBHOOK}?a=b", "http://webhook.demo/"]
)
async def test_any_other_webhook_is_refused_with_the_one_that_is_possible(url: str) -> None:
    post = DemoPost(MailCatcher(), ("127.0.0.1", 4711))
    assert post.subscribe.check_url(url) == f"the demo sends to its own webhook only: write {WEBHOOK}"
    with pytest.raises(UnreachableAddressError, match="its own webhook only"):
        await post.resolve(url)
