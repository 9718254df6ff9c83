"""New blocks announced over a websocket (eth_subscribe newHeads): a hint to look now, and never more than that.

What is announced is not believed: waiters are woken and ask as they would have a little later. So a socket that is
silent, cut, or tells lies costs nothing but the head start.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from indexer.rpc.client import name_of
from indexer.rpc.errors import shorten
from indexer.rpc.provider import Pace

log = logging.getLogger(__name__)

LEAST_SECONDS = 0.05  # Between two early wakings: a flood of announcements must not become a flood of requests.
SILENT_SECONDS = 60.0  # A socket that announces nothing for so long is opened anew.
OPENING_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
QUIET_SECONDS = 300.0  # A socket that comes and goes is one log line in that time.
REMEMBERED = 64
MOST_BYTES = 1 << 20
SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'


def is_websocket(url: str) -> bool:
    """Whether that address is for announcements rather than for requests."""
    return url.startswith(("ws://", "wss://"))


class Announced(msgspec.Struct, frozen=True):
    """Of an announced header only what tells it from the one before."""

    hash: str


class Params(msgspec.Struct, frozen=True):
    """What a notification carries."""

    subscription: str
    result: msgspec.Raw


class Message(msgspec.Struct, frozen=True):
    """An answer to our request, or a notification."""

    id: int | None = None
    result: str | None = None
    error: msgspec.Raw = msgspec.Raw()
    params: Params | None = None


MESSAGE = msgspec.json.Decoder(Message)
ANNOUNCED = msgspec.json.Decoder(Announced)
UNHEARD = (OSError, TimeoutError, ValueError, WebSocketException, msgspec.MsgspecError)
"""How a connection ends: cut, silent, refused, broken, or with something that is no announcement."""


class HeadFeed:
    """Listens at each of these addresses from the first `wait` on; without any it only waits. Close it when done."""

    def __init__(self, urls: Sequence[str], pace: Pace) -> None:
        self._urls = urls
        self._pace = pace
        self._news = asyncio.Event()
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._woke_at = float("-inf")
        self._failures = dict.fromkeys(urls, 0)
        self._spoke_at = dict.fromkeys(urls, float("-inf"))
        self._listening: list[asyncio.Task[None]] = []

    async def wait(self, seconds: float) -> bool:
        """Waits that long, or less where a block was announced since the last waking: True."""
        if not self._urls:
            await self._pace.sleep(seconds)
            return False
        if not self._listening:
            self._listening = [asyncio.create_task(self._listen(url)) for url in self._urls]
        tasks = [asyncio.create_task(self._heard()), asyncio.ensure_future(self._pace.sleep(seconds))]
        try:
            await asyncio.wait([*tasks, *self._listening], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for listener in self._listening:
            if listener.done():
                listener.result()  # It never ends by itself: this raises what we did not foresee.
        return not tasks[0].cancelled()

    async def _heard(self) -> None:
        await self._news.wait()
        early = self._woke_at + LEAST_SECONDS - self._pace.monotonic()
        if early > 0:
            await self._pace.sleep(early)
        self._news.clear()
        self._woke_at = self._pace.monotonic()

    async def close(self) -> None:
        """Stops listening."""
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        self._listening = []

    async def _listen(self, url: str) -> None:
        """For ever: listens, and opens the socket anew when it ends, later each time that nothing was heard."""
        while True:
            try:
                await self._follow(url)
            except UNHEARD as error:
                self._complain(url, error)
            await self._pace.sleep(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** self._failures[url]))
            self._failures[url] = min(self._failures[url] + 1, 10)

    async def _follow(self, url: str) -> None:
        """One connection, until it fails in any of the ways of UNHEARD."""
        async with connect(url, open_timeout=OPENING_SECONDS, close_timeout=1.0, max_size=MOST_BYTES) as socket:
            await socket.send(SUBSCRIBE)
            subscription: str | None = None
            while True:
                async with self._pace.limit(SILENT_SECONDS):
                    subscription, block_hash = await next_announced(socket, subscription)
                self._failures[url] = 0
                if block_hash not in self._seen:  # Several sockets announce the same block.
                    self._seen.append(block_hash)
                    self._news.set()

    def _complain(self, url: str, error: Exception) -> None:
        """One line now and then; polling goes on as if there were no socket."""
        now = self._pace.monotonic()
        if now - self._spoke_at[url] < QUIET_SECONDS:
            return
        self._spoke_at[url] = now
        said = shorten(str(error).replace(url, name_of(url))) or "nothing was announced"
        log.warning("newHeads of %s: %s %s; polling goes on", name_of(url), type(error).__name__, said)


async def next_announced(socket: ClientConnection, subscription: str | None) -> tuple[str | None, str]:
    """The subscription's id and the hash of its next block; what belongs to other subscriptions is skipped."""
    while True:
        message = MESSAGE.decode(await socket.recv())
        if message.error:
            raise ValueError(f"newHeads are refused: {bytes(message.error).decode('utf-8', 'replace')}")
        if message.id == 1:
            subscription = message.result
        elif message.params is not None and message.params.subscription == subscription:
            return subscription, ANNOUNCED.decode(message.params.result).hash
