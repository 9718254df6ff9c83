"""A webhook that every test of the channel may send to, and what it sends."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from alerts.channel import ChannelError, Links, Parcel
from alerts.channels.webhook import WebhookChannel
from alerts.message import Change, Evidence, Message
from alerts.signing import new_secret
from ledger.clock import system_clock
from ledger.kinds import Purpose
from tests.rigs.catcher import Catcher, LoopbackResolver, trusting

NAME = "hooks.example"
URL = f"https://{NAME}/in?key=1"
AT = datetime(2021, 5, 19, 17, 0, 5, tzinfo=UTC)
ORDERED = datetime(2021, 5, 19, 17, 0, tzinfo=UTC)
MESSAGE = Message(
    key="coverage:example:12",
    event="fund.coverage.low",
    severity="critical",
    subject="[Short] Example fund: coverage 0.71× (was 1.12×), 17:00 UTC",
    sentence="Coverage of the Example fund fell to 0.71× at 17:00 UTC.",
    happened_at="2021-05-19T17:00:00Z",
    fund_slug="example",
    block_number=12_465_000,
    changes=(Change("coverage", "1.12×", "0.71×", "below 1.00×"),),
    evidence=(
        Evidence("block 12465000", "/funds/example?block=12465000"),
        Evidence("the transaction", "https://explorer.example/tx/0xab"),
        Evidence("a reading"),
    ),
)
PARCEL = Parcel(
    message_id="msg_0a1b",
    purpose=Purpose.ALERT,
    address=URL,
    created_at=ORDERED,
    links=Links(
        site="https://backstop.example",
        page="https://backstop.example/funds/example",
        manage="https://backstop.example/alerts/manage?token=t0ken",
        unsubscribe="https://backstop.example/alerts/unsubscribe?token=t0ken",
    ),
    message=MESSAGE,
    secrets=(new_secret(),),
)
PING = replace(PARCEL, purpose=Purpose.PING, message=None)


def reaching(catcher: Catcher, *names: str, limit_seconds: float = 15.0) -> WebhookChannel:
    """A channel for which all these names lead to the endpoint."""
    resolver = LoopbackResolver(dict.fromkeys((NAME, *names), ("127.0.0.1", catcher.port)))
    return WebhookChannel(resolver, system_clock, verify=trusting(catcher.ca), limit_seconds=limit_seconds)


async def failure(channel: WebhookChannel, parcel: Parcel = PARCEL) -> ChannelError:
    """The error that sending ends with."""
    with pytest.raises(ChannelError) as caught:
        await channel.send(parcel)
    return caught.value
