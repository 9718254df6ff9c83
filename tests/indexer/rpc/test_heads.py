"""Blocks announced over a websocket wake whoever waits, and whatever else the socket does costs nothing."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from indexer.rpc.heads import LEAST_SECONDS, HeadFeed
from indexer.rpc.pool import ProviderPool
from indexer.rpc.provider import Pace
from indexer.specs import ChainSpec
from tests.rigs.anvil import AnvilNode

Handling = Callable[[ServerConnection], Awaitable[None]]
Serving = Callable[[Handling], Awaitable[str]]
LONG = 30.0
"""Seconds nobody should wait here: what takes so long was not woken."""


@pytest.fixture
async def socket_at() -> AsyncIterator[Serving]:
    """`await socket_at(handling)` is the address of a loopback websocket server that ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(handling: Handling) -> str:
            server = await stack.enter_async_context(serve(handling, "127.0.0.1", 0))
            return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret-key"

        yield start


def announcement(block_hash: str, *, subscription: str = "0x1") -> str:
    params = {"subscription": subscription, "result": {"hash": block_hash, "number": "0xffffffffffffffffffff"}}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


async def subscribed(socket: ServerConnection) -> None:
    asked = json.loads(await socket.recv())
    assert (asked["method"], asked["params"]) == ("eth_subscribe", ["newHeads"])
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"}))


async def silent(socket: ServerConnection) -> None:
    await subscribed(socket)
    await socket.wait_closed()


async def garbage(socket: ServerConnection) -> None:
    await subscribed(socket)
    await socket.send(b"\x00\xff{{{")
    await socket.wait_closed()


async def of_another_subscription(socket: ServerConnection) -> None:
    await subscribed(socket)
    await socket.send(announcement("0x01", subscription="0x2"))
    await socket.wait_closed()


async def refusing(socket: ServerConnection) -> None:
    await socket.recv()
    await socket.send('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}')
    await socket.wait_closed()


async def without_a_hash(socket: ServerConnection) -> None:
    await subscribed(socket)
    await socket.send('{"method":"eth_subscription","params":{"subscription":"0x1","result":{"number":7}}}')
    await socket.wait_closed()


async def huge(socket: ServerConnection) -> None:
    await subscribed(socket)
    await socket.send(announcement("0x" + "11" * (1 << 20)))
    await socket.wait_closed()


async def closing(socket: ServerConnection) -> None:
    await subscribed(socket)


async def nobody(feed: HeadFeed) -> bool:
    return await asyncio.wait_for(feed.wait(0.2), LONG)


@pytest.mark.scenario(28)
@pytest.mark.parametrize(
    "handling", [silent, garbage, of_another_subscription, refusing, without_a_hash, huge, closing]
)
async def test_a_socket_that_announces_nothing_proper_neither_delays_nor_wakes(
    socket_at: Serving, handling: Handling
) -> None:
    feed = HeadFeed([await socket_at(handling)], Pace())
    began = time.monotonic()
    assert [await nobody(feed) for _ in range(3)] == [False] * 3
    assert 0.5 < time.monotonic() - began < LONG / 3
    await feed.close()


async def test_an_announced_block_wakes_early_and_once_only(socket_at: Serving) -> None:
    async def handling(socket: ServerConnection) -> None:
        await subscribed(socket)
        for block_hash in ("0xaa", "0xaa", "0xaa"):
            await socket.send(announcement(block_hash))
        await socket.wait_closed()

    feed = HeadFeed([await socket_at(handling), await socket_at(handling)], Pace())
    began = time.monotonic()
    assert await feed.wait(LONG)
    assert time.monotonic() - began < LONG / 3
    assert not await nobody(feed), "the same block, announced again and by another socket, is no news"
    await feed.close()


async def test_a_socket_that_was_cut_is_opened_again(socket_at: Serving) -> None:
    opened = iter(range(10**6))

    async def handling(socket: ServerConnection) -> None:
        await subscribed(socket)
        await socket.send(announcement(f"0x{next(opened):02x}"))

    feed = HeadFeed([await socket_at(handling)], Pace())
    assert [await feed.wait(LONG) for _ in range(3)] == [True] * 3
    assert next(opened) >= 3
    await feed.close()


async def test_a_flood_of_announcements_is_no_flood_of_wakings(socket_at: Serving) -> None:
    async def handling(socket: ServerConnection) -> None:
        await subscribed(socket)
        for n in range(10**6):
            await socket.send(announcement(hex(n)))
            await asyncio.sleep(0)  # It shares our loop, and must not starve us.

    feed = HeadFeed([await socket_at(handling)], Pace())
    assert await feed.wait(LONG)
    began = time.monotonic()
    for _ in range(5):
        assert await feed.wait(LONG)
    assert time.monotonic() - began >= 4 * LEAST_SECONDS
    await feed.close()


async def test_a_socket_that_comes_and_goes_for_minutes_is_few_lines_without_its_key(
    socket_at: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """The clock is moved by the feed's own pauses: ten minutes of refusals pass in no time."""
    now, enough = [0.0], asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds == LONG:
            await enough.wait()
            return
        now[0] += seconds
        if now[0] > 600.0:
            enough.set()
            await asyncio.sleep(LONG)

    feed = HeadFeed([await socket_at(refusing)], Pace(lambda: now[0], sleep))
    with caplog.at_level(logging.INFO):
        assert not await feed.wait(LONG)
    await feed.close()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("indexer")]
    assert 2 <= len(lines) <= 3
    assert all("newHeads are refused" in line and "secret-key" not in line for line in lines)


async def test_a_silent_socket_is_opened_anew_after_a_while(socket_at: Serving) -> None:
    opened: list[ServerConnection] = []

    async def handling(socket: ServerConnection) -> None:
        opened.append(socket)
        await silent(socket)

    feed = HeadFeed([await socket_at(handling)], Pace(limit=lambda seconds: asyncio.timeout(seconds / 1000)))
    async with asyncio.timeout(LONG):
        while len(opened) < 3:
            await feed.wait(0.05)
    await feed.close()


async def test_without_a_websocket_the_feed_only_waits() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    assert not await HeadFeed([], Pace(sleep=sleep)).wait(2.5)
    assert waits == [2.5]


async def test_a_real_node_announces_its_blocks_to_the_pool(start_node: Callable[..., AnvilNode]) -> None:
    node = start_node("--block-time", "1")
    urls = [node.url, node.url.replace("http", "ws", 1)]
    async with ProviderPool(ChainSpec(id=31337, slug="local", name="Local"), urls) as pool:
        assert await pool.wait_for_head(LONG)
        latest, _ = await pool.heads()
        assert list(pool.standing()) == [httpx.URL(node.url).netloc.decode()], "a socket is not asked anything"
        assert latest.number >= 1
