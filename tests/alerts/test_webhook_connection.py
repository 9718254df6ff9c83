"""How the connection to a webhook is made: to which address, with whose certificate, for how long."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from alerts.channels.webhook import WebhookChannel
from alerts.reach import PublicResolver
from ledger.clock import system_clock
from tests.alerts.webhook_rows import NAME, PARCEL, URL, failure, reaching
from tests.rigs.catcher import Catcher, Caught, LoopbackResolver, Reply, trusting


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """An endpoint that answers as one in order does."""
    with Catcher(NAME) as opened:
        yield opened


@pytest.fixture
def channel(catcher: Catcher) -> WebhookChannel:
    """A channel that reaches the endpoint and nothing else."""
    return reaching(catcher)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(catcher: Catcher, channel: WebhookChannel, status: int) -> None:
    catcher.replies(Reply(status, headers={"location": f"https://{NAME}/elsewhere"}))
    error = await failure(channel)
    assert f"{status}, a redirect: none is followed" in str(error)
    assert not error.permanent
    assert [caught.path for caught in catcher.caught] == ["/in?key=1"]


@pytest.mark.parametrize("reply", [Reply(is_silent=True), Reply(200, b"slowly" * 1_000, drip_seconds=0.02)])
async def test_an_answer_that_does_not_end_in_time_is_cut_off(catcher: Catcher, reply: Reply) -> None:
    catcher.replies(reply)
    error = await failure(reaching(catcher, limit_seconds=0.3))
    assert (str(error), error.permanent) == ("the endpoint gave no complete answer in 0.3 seconds", False)


async def test_looking_up_counts_towards_the_limit(catcher: Catcher) -> None:
    async def look_up(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    channel = WebhookChannel(PublicResolver(look_up), system_clock, limit_seconds=0.05)
    assert "no complete answer in 0.05 seconds" in str(await failure(channel))


async def test_an_endpoint_that_says_nothing_delays_no_other(catcher: Catcher, channel: WebhookChannel) -> None:
    def answer(caught: Caught) -> Reply:
        return Reply(is_silent=caught.path == "/silent")

    catcher.answer = answer
    waiting = asyncio.create_task(channel.send(replace(PARCEL, address=f"https://{NAME}/silent")))
    answers = await asyncio.gather(*(channel.send(PARCEL) for _ in range(20)))
    assert [receipt.answer for receipt in answers] == ["204"] * 20
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_connection_that_ends_without_a_word_may_work_later(catcher: Catcher, channel: WebhookChannel) -> None:
    catcher.replies(Reply(is_cut=True))
    error = await failure(channel)
    assert (str(error), error.permanent) == ("the endpoint broke the connection, or its answer was no HTTP", False)


async def test_a_port_where_nobody_listens_may_work_later(catcher: Catcher, channel: WebhookChannel) -> None:
    catcher.close()
    error = await failure(channel)
    assert (str(error), error.permanent) == ("no connection to the endpoint could be made", False)


async def test_an_endpoint_that_does_not_speak_tls_gets_nothing() -> None:
    with Catcher() as plain:
        channel = WebhookChannel(LoopbackResolver({NAME: ("127.0.0.1", plain.port)}), system_clock)
        error = await failure(channel)
    assert str(error) == "the encrypted connection to the endpoint failed"
    assert plain.caught == []


async def test_a_certificate_of_an_unknown_issuer_is_not_accepted(catcher: Catcher) -> None:
    channel = WebhookChannel(LoopbackResolver({NAME: ("127.0.0.1", catcher.port)}), system_clock)
    error = await failure(channel)
    assert str(error).startswith("the endpoint's certificate was not accepted: unable to get local issuer certificate")
    assert catcher.caught == []


async def test_a_certificate_is_checked_for_each_name_even_where_two_share_an_address(catcher: Catcher) -> None:
    channel = reaching(catcher, "other.example")
    assert (await channel.send(PARCEL)).answer == "204"
    error = await failure(channel, replace(PARCEL, address="https://other.example/"))
    assert "certificate is not valid for 'other.example'" in str(error)
    assert len(catcher.caught) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_host_may_be_an_address_that_its_certificate_bears(host: str) -> None:
    with Catcher(host.strip("[]")) as catcher:
        assert (
            await reaching(catcher, host.strip("[]")).send(replace(PARCEL, address=f"https://{host}/"))
        ).answer == "204"
    assert catcher.caught[0].headers["host"] == host


async def test_no_cookie_of_one_endpoint_reaches_another_or_itself() -> None:
    with Catcher(NAME, "other.example") as catcher:
        catcher.replies(Reply(200, headers={"set-cookie": "who=owner-of-hooks; Path=/"}))
        channel = reaching(catcher, "other.example")
        for address in (URL, URL, "https://other.example/"):
            await channel.send(replace(PARCEL, address=address))
    assert [caught.headers.get("cookie") for caught in catcher.caught] == [None] * 3
    assert [caught.headers["host"] for caught in catcher.caught] == [NAME, NAME, "other.example"]


async def test_a_proxy_of_the_environment_is_not_used(
    catcher: Catcher, channel: WebhookChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert (await channel.send(PARCEL)).answer == "204"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "user:pass@127.0.0.1"])
async def test_by_default_nothing_on_this_machine_is_reached(catcher: Catcher, host: str) -> None:
    channel = WebhookChannel(PublicResolver(), system_clock, verify=trusting(catcher.ca))
    error = await failure(channel, replace(PARCEL, address=f"https://{host}:{catcher.port}/"))
    assert not error.permanent
    assert catcher.caught == []


async def test_the_connection_goes_to_the_address_that_was_checked_and_a_later_one_is_checked_again() -> None:
    answers, asked = [["93.184.215.14"], ["127.0.0.1"]], []

    async def look_up(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return answers.pop(0)

    channel = WebhookChannel(PublicResolver(look_up), system_clock)
    with pytest.raises(BaseExceptionGroup) as refused:  # By the rule that tests stay on this machine.
        await channel.send(PARCEL)
    assert "socket.connect to '93.184.215.14'" in str(refused.value.exceptions[0])
    assert asked == [(NAME, 443)]
    error = await failure(channel)
    assert str(error).startswith(f"{NAME} resolves to an address that is not public")
    assert asked == [(NAME, 443)] * 2
