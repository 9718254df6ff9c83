"""A live chain falls silent on the eve of its fund's end: the silence is announced and nothing is called depleted.

The chain is the shipped recording, followed as a live one by a clock that the test moves; all else is what `run` uses.
"""

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from alerts.catcher import MailCatcher
from alerts.channels.email import EmailChannel, SmtpTarget
from alerts.delivery import Sender
from alerts.ruling import Ruler
from alerts.thresholds import load_rules
from app.indexing import index_chains, register
from app.providers import Plan
from app.settings import SHIPPED_FUNDS
from indexer.registry import Registry, load_funds
from indexer.replay.node import Replay, load_replay, running_node
from indexer.sync import SyncOptions
from ledger.database import open_engine, reading, writing
from ledger.kinds import AlertEvent, ChainStatus, EndpointKind, SourceKind
from ledger.outbox import DIGESTS
from ledger.subscriptions import Wishes, enter_confirmed
from ledger.tables import Alert, Chain
from ledger.writer import LedgerWriter
from solvency.compute import compute_all
from tests.rigs.demo_ledger import RECORDING, SLUG
from tests.rigs.postbox import SITE, Simulated

SMALL = "perp-v2-small-simulated"
BEFORE_THE_END = datetime(2021, 5, 19, 22, tzinfo=UTC)
"""An hour before nothing is left in the small fund."""
STEP = timedelta(minutes=10)
NOWHERE = "http://127.0.0.1:1"


class Watch:
    """What `backstop run` does with one live chain, one step at a time, by a clock that the test moves."""

    def __init__(self, engine: Engine, registry: Registry, post: MailCatcher) -> None:
        self.engine, self.registry, self.post = engine, registry, post
        self.clock = Simulated(BEFORE_THE_END)
        self.ruler = Ruler(engine, self.clock, load_rules())

    async def step(self, url: str) -> ChainStatus:
        """Follows the chain to its head, computes, announces and sends; how the following ended."""
        plan = Plan(self.registry, {chain.id: [url] for chain in self.registry.chains})
        with LedgerWriter(self.engine) as writer:
            (outcome,) = await index_chains(writer, plan, options=SyncOptions(until_head=True))
        await self.look()
        return outcome.status

    async def look(self) -> None:
        """Computes, announces and sends."""
        compute_all(self.engine, self.clock)
        self.ruler.rule()
        channel = EmailChannel(SmtpTarget.parse(self.post.url), "alerts@backstop.example", None, self.clock)
        with LedgerWriter(self.engine) as writer:
            sender = Sender(writer, {EndpointKind.EMAIL: channel}, self.clock, site_url=SITE, name="sender",
                            dice=random.Random(1))  # fmt: skip
            await sender.drain()

    def mails(self) -> list[EmailMessage]:
        """What the reader was sent, digests aside."""
        return [caught.mail for caught in self.post.messages if "[Digest]" not in str(caught.mail["Subject"])]

    def told(self) -> list[str]:
        """What was announced, digests aside."""
        with reading(self.engine) as session:
            events = session.exec(select(Alert.event).order_by(col(Alert.id))).all()
        return [event for event in events if event not in DIGESTS]


@pytest.fixture
def replay() -> Replay:
    """The recording, an hour before the end of the small fund."""
    replay = load_replay(RECORDING, start=0)
    replay.head.advance_to_time(int(BEFORE_THE_END.timestamp()))
    return replay


@contextmanager
def opened_watch(url: str) -> Iterator[Watch]:
    """A ledger with the chain, and a reader who wants to hear everything."""
    registry = load_funds(SHIPPED_FUNDS / SLUG)
    engine = open_engine(url)
    register(engine, Plan(registry, {}))
    with writing(engine) as session:
        # The indexer knows that its node plays a recording and follows no live chain there; all others read this.
        session.get_one(Chain, registry.chains[0].id).kind = SourceKind.LIVE
        enter_confirmed(session, "reader@mail.example", Wishes(), now=BEFORE_THE_END)
    with MailCatcher() as post:
        yield Watch(engine, registry, post)
    engine.dispose()


async def live_on(watch: Watch, replay: Replay, steps: int) -> None:
    """The chain moves on with the clock and answers."""
    with running_node([replay]) as node:
        for _ in range(steps):
            replay.head.advance_to_time(int(watch.clock.now.timestamp()))
            assert await watch.step(node.url_of(SLUG)) is ChainStatus.FOLLOWING
            watch.clock.now += STEP


def caught_fund(mail: EmailMessage) -> str:
    """The fund that a mail links to."""
    part = mail.get_body(("plain",))
    assert part is not None
    found = re.search(rf"{SITE}/funds/([a-z0-9-]+)", str(part.get_content()))
    assert found
    return found[1]


def test_a_chain_that_falls_silent_is_announced_and_its_fund_is_called_depleted_only_once_that_was_read(
    sqlite_ledger_url: str, replay: Replay
) -> None:
    with opened_watch(sqlite_ledger_url) as watch:
        asyncio.run(live_on(watch, replay, 3))
        assert watch.told() == [], "what was so before is no news"

        assert asyncio.run(watch.step(NOWHERE)) is ChainStatus.UNREACHABLE
        for _ in range(12):
            watch.clock.now += 3 * STEP
            asyncio.run(watch.look())
        silent = watch.told()
        assert set(silent) == {AlertEvent.STALE}, "while nothing can be read nothing is said of any fund"
        slugs = {caught_fund(mail) for mail in watch.mails()}
        assert len(silent) == len(watch.mails()) == len(slugs) == 4

        asyncio.run(live_on(watch, replay, 6))
        later = watch.told()[len(silent) :]
        assert later.count(AlertEvent.DATA_RECOVERED) == 4
        assert later.count(AlertEvent.DEPLETED) == 1
        assert later.index(AlertEvent.DATA_RECOVERED) < later.index(AlertEvent.DEPLETED)
        depleted = next(mail for mail in watch.mails() if ": depleted, " in str(mail["Subject"]))
        assert caught_fund(depleted) == SMALL
        assert len(watch.mails()) == len(watch.told())
