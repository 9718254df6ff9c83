"""Channels of whoever runs Backstop: real ones of apprise that post to an endpoint on this machine."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alerts.channel import ChannelError, Links, Parcel
from alerts.channels.operators import OperatorChannel, render_text
from alerts.message import Change, Evidence, FundLine, Message
from ledger.kinds import Purpose
from tests.rigs.catcher import Catcher, Reply

# Apprise imports a module of the standard library that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "s3cret-of-the-channel"
MESSAGE = Message(
    key="coverage:example:12",
    event="fund.coverage.low",
    severity="critical",
    subject="[Short] Example fund: coverage 0.71× (was 1.12×), 17:00 UTC",
    sentence="Coverage of the Example fund fell to 0.71× at 17:00 UTC <check & see>.",
    happened_at="2021-05-19T17:00:00Z",
    changes=(Change("coverage", "1.12×", "0.71×", "below 1.00×"), Change("owner", "", "0xab…cd")),
    status="Short",
    data_status="verified on chain",
    finality="final",
    next_steps="The insurance fund pays until it is empty.",
    limits="Says nothing of losses off chain.",
    evidence=(Evidence("block 12465000", "/funds/example?block=12465000"), Evidence("a reading")),
    replay="Replay of May 2021: simulated.",
)
PARCEL = Parcel(
    message_id="msg_0a1b",
    purpose=Purpose.ALERT,
    address="team",
    created_at=datetime(2021, 5, 19, 17, tzinfo=UTC),
    links=Links(site="https://backstop.example", page="https://backstop.example/funds/example"),
    message=MESSAGE,
)
TEXT = """\
Replay of May 2021: simulated.

Coverage of the Example fund fell to 0.71× at 17:00 UTC <check & see>.

coverage: 1.12× → 0.71× (threshold: below 1.00×)
owner: – → 0xab…cd

Status: Short
Data: verified on chain
Finality: final
Next: The insurance fund pays until it is empty.

Says nothing of losses off chain.

block 12465000 https://backstop.example/funds/example?block=12465000
a reading

https://backstop.example/funds/example"""


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """An endpoint that takes everything."""
    with Catcher() as opened:
        opened.replies(Reply(200))
        yield opened


def channel_to(catcher: Catcher, *, limit_seconds: float = 30.0) -> OperatorChannel:
    """The channel `team`, whose address holds a secret."""
    return OperatorChannel({"team": f"json://127.0.0.1:{catcher.port}/{SECRET}"}, limit_seconds=limit_seconds)


async def failure(channel: OperatorChannel, parcel: Parcel = PARCEL) -> ChannelError:
    """The error that sending ends with."""
    with pytest.raises(ChannelError) as caught:
        await channel.send(parcel)
    return caught.value


async def sent(catcher: Catcher, parcel: Parcel) -> dict[str, Any]:
    """What the endpoint got."""
    assert (await channel_to(catcher).send(parcel)).answer == "taken"
    (caught,) = catcher.caught
    assert caught.path == f"/{SECRET}"
    payload: dict[str, Any] = json.loads(caught.body)
    return payload


async def test_a_message_arrives_as_a_title_and_plain_text_that_begins_with_the_replay(catcher: Catcher) -> None:
    payload = await sent(catcher, PARCEL)
    assert (payload["title"], payload["message"]) == (MESSAGE.subject, TEXT)


@pytest.mark.parametrize(("severity", "kind"), [("notice", "info"), ("warning", "warning"), ("critical", "failure")])
async def test_the_severity_becomes_the_kind_of_notification(catcher: Catcher, severity: str, kind: str) -> None:
    message = msgspec.structs.replace(MESSAGE, severity=severity)
    assert (await sent(catcher, replace(PARCEL, message=message)))["type"] == kind


def test_a_digest_lists_its_lines_and_what_is_empty_leaves_no_gap() -> None:
    lines = (FundLine("example", "Example fund: Short"), FundLine("", "One source is down"))
    message = Message(
        "digest:1", "digest.daily", "notice", "Daily digest", "Two lines.", "2021-05-19T17:00:00Z", lines=lines
    )
    _title, text = render_text(replace(PARCEL, message=message))
    assert text == ("Two lines.\n\nExample fund: Short\nOne source is down\n\nhttps://backstop.example/funds/example")


async def test_what_carries_no_message_shows_its_subject_and_text(catcher: Catcher) -> None:
    detail = {"subject": "A test", "text": "It works."}
    payload = await sent(catcher, replace(PARCEL, purpose=Purpose.TEST, message=None, detail=detail))
    assert (payload["title"], payload["message"], payload["type"]) == ("A test", "It works.", "info")


async def test_a_channel_that_refuses_is_tried_again_and_its_address_never_shown(
    catcher: Catcher, caplog: pytest.LogCaptureFixture
) -> None:
    catcher.replies(Reply(500))
    with caplog.at_level(logging.WARNING):
        error = await failure(channel_to(catcher))
    assert (str(error), error.permanent) == (
        "the channel team did not take the message; the log line of apprise says why", False
    )  # fmt: skip
    assert "error=500" in caplog.text
    assert SECRET not in caplog.text


async def test_a_channel_that_says_nothing_is_left_alone_after_a_while(catcher: Catcher) -> None:
    catcher.replies(Reply(is_silent=True))
    error = await failure(channel_to(catcher, limit_seconds=0.2))
    assert (str(error), error.permanent) == ("the channel team did not answer in 0.2 seconds", False)


async def test_an_address_that_apprise_does_not_know_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        error = await failure(OperatorChannel({"team": f"slak://{SECRET}/{SECRET}"}))
    assert (str(error), error.permanent) == ("apprise does not know the address of the channel team: correct it", True)
    assert SECRET not in caplog.text


async def test_a_channel_that_the_settings_do_not_name_is_said_to_be_missing(catcher: Catcher) -> None:
    error = await failure(channel_to(catcher), replace(PARCEL, address="other"))
    assert str(error) == "the settings name no channel other: add it, or remove its endpoint"
    assert (error.permanent, catcher.caught) == (True, [])


async def test_without_apprise_the_error_says_how_to_install_it(
    catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # How Python itself marks what cannot be imported.
    error = await failure(channel_to(catcher))
    assert str(error) == "operator channels need apprise: run `pip install backstop[operators]`"
    assert (error.permanent, catcher.caught) == (True, [])
