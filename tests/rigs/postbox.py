"""A sender whose channels lead into a postbox that a test reads, by a clock that a test moves."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine

from alerts.channel import Parcel, Receipt
from alerts.delivery import Patience, Sender
from ledger.database import writing
from ledger.kinds import EndpointKind, Purpose
from ledger.outbox import order
from ledger.writer import LedgerWriter
from tests.rigs.outbox_rows import NOW, add_endpoint

SITE = "https://backstop.example"
PATIENCE = Patience()
Answer = Callable[[Parcel], Receipt]


def taken(_parcel: Parcel) -> Receipt:
    return Receipt("204")


@dataclass
class Postbox:
    """A channel that keeps what it is given and answers as it is told."""

    answer: Answer = taken
    parcels: list[Parcel] = field(default_factory=list)
    has_mail: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, parcel: Parcel) -> Receipt:
        self.parcels.append(parcel)
        self.has_mail.set()
        await asyncio.sleep(0)
        return self.answer(parcel)

    async def close(self) -> None:
        self.parcels.clear()


@dataclass
class SlowPostbox(Postbox):
    """One that does not answer until it is let to."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, parcel: Parcel) -> Receipt:
        await self.gate.wait()
        return await super().send(parcel)


@dataclass
class Simulated:
    """A clock that a test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def opened_sender(
    engine: Engine,
    post: Postbox,
    clock: Simulated,
    *,
    name: str = "sender",
    patience: Patience = PATIENCE,
    phase: Callable[[str], None] = lambda _name: None,
) -> Iterator[Sender]:
    """A sender whose channels all lead into one postbox."""
    with LedgerWriter(engine) as writer:
        yield Sender(writer, dict.fromkeys(EndpointKind, post), clock, site_url=f"{SITE}/", name=name,
                     dice=random.Random(1), patience=patience, phase=phase)  # fmt: skip


def order_tests(engine: Engine, count: int, *, name: str = "e") -> None:
    """Test messages that are due, to a new webhook."""
    with writing(engine) as session:
        endpoint_id = add_endpoint(session, name)
        for _ in range(count):
            order(session, endpoint_id, Purpose.TEST, now=NOW)
