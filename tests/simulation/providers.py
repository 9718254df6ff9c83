"""Providers of the model chain: each answers JSON-RPC as a node would, from the view it has, with the faults it has.

Honest faults (lag, stale branch, outage, throttling, caps) may befall all at once. Lies are told by one of them at a
time, and the same one while a process runs: against two that agree on a lie nobody can do anything.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import msgspec

from tests.simulation.lies import Liar
from tests.simulation.weather import Weather
from tests.simulation.world import Block, View, World

CHAIN_ID = 31337
Hearing = Callable[[str], None]


class Crash(BaseException):
    """The process ends here."""


class RefusalError(Exception):
    """An error object instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


OUTAGES: tuple[Callable[[], httpx.Response], ...] = (
    lambda: httpx.Response(503, content=b"no backend"),
    lambda: httpx.Response(200, content=b"<html><body>Just a moment</body></html>"),
    lambda: httpx.Response(200, content=b'{"jsonrpc":"2.0","id":0,"res'),
    lambda: httpx.Response(502, content=b'{"error":{"code":-32603,"message":"bad gateway"}}'),
)
THROTTLINGS: tuple[Callable[[], httpx.Response], ...] = (
    lambda: httpx.Response(429, headers={"Retry-After": "2"}, content=b"slow down"),
    lambda: httpx.Response(429, content=b"too many requests"),
    lambda: httpx.Response(200, content=b'{"id":0,"error":{"code":-32005,"message":"daily request limit exceeded"}}'),
)


class ModelProvider:
    """One node of the model chain. `liar` is set while it is the one that may lie."""

    def __init__(self, name: str, world: World, weather: Weather, dice: random.Random) -> None:
        self.name = name
        self.liar: Liar | None = None
        self._world = world
        self._weather = weather
        self._dice = dice
        self._keeps_orphans = dice.random() < 0.5
        self._view = world.view
        self._stuck_calls = 0
        self._down_calls = 0
        self._is_calm = False
        self._methods: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(CHAIN_ID),
            "web3_clientVersion": lambda: "model/1.0",
            "eth_blockNumber": lambda: hex(self._view.head.number),
            "eth_getBlockByNumber": lambda block, _full: self._header(block),
            "eth_getBlockByHash": lambda block, _full: self._header_of(self._known(block)),
            "eth_getLogs": self._logs,
            "eth_getBlockReceipts": self._receipts,
            "eth_getCode": self._code,
        }

    def calm(self) -> None:
        """From now on it is a faultless node."""
        self._is_calm = True
        self.liar = None

    def answer(self, body: bytes) -> httpx.Response:
        """What comes back for a request."""
        failure = None if self._is_calm else self._failure()
        if failure is not None:
            return failure
        self._look()
        asked = msgspec.json.decode(body)
        if isinstance(asked, dict):
            return httpx.Response(200, content=msgspec.json.encode(self._one(asked)))
        answers = [self._one(ask) for ask in asked]
        if self._happens(self._weather.broken_batch) and len(answers) > 1:
            self._count("answer missing in a batch")
            del answers[self._dice.randrange(len(answers))]
        self._dice.shuffle(answers)
        return httpx.Response(200, content=msgspec.json.encode(answers))

    def _happens(self, rate: float) -> bool:
        return not self._is_calm and self._dice.random() < rate

    def _count(self, kind: str) -> None:
        self._weather.counts[kind] += 1

    def _failure(self) -> httpx.Response | None:
        if self._down_calls:
            self._down_calls -= 1
        elif self._happens(self._weather.outage):
            self._down_calls = self._dice.choice((0, 1, 4, 12))
        elif self._happens(self._weather.throttle):
            self._count("throttled")
            return self._dice.choice(THROTTLINGS)()
        else:
            return None
        self._count("outage")
        if self._dice.random() < 0.3:
            raise httpx.ConnectError("connection refused")
        return self._dice.choice(OUTAGES)()

    def _look(self) -> None:
        """The view of this answer: the newest, or for some calls an older one, or one of the liar's own making."""
        newest = self._world.view
        if self._is_calm:
            self._view = newest
            return
        if self._stuck_calls and self._view.agrees_on_final(newest):
            self._stuck_calls -= 1
        elif self._happens(self._weather.lag):
            self._stuck_calls = self._dice.choice((1, 2, 4, 9, 20))
            self._view = self._world.views[-min(len(self._world.views), self._dice.randint(2, 6))]
        else:
            self._stuck_calls = 0
            self._view = newest if self.liar is None else self.liar.view_of(newest)
        self._count_view(newest)

    def _count_view(self, newest: View) -> None:
        mine, true = self._view, newest.at(self._view.head.number)
        if true is not mine.head:
            is_known = self._world.find(mine.head.hash) is not None
            self._count("stale branch" if is_known else "invented branch")
        elif mine.head is not newest.head:
            self._count("lag")

    def _one(self, ask: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"jsonrpc": "2.0", "id": ask["id"], "result": self._methods[ask["method"]](*ask["params"])}
        except KeyError:
            said = {"code": -32601, "message": f"the method {ask['method']} does not exist"}
        except RefusalError as fault:
            said = {"code": fault.code, "message": str(fault)}
        return {"jsonrpc": "2.0", "id": ask["id"], "error": said}

    def _header(self, block: str) -> msgspec.Raw | None:
        if block == "latest" and self._happens(self._weather.null_head):
            self._count("null head")
            return None
        if block == "finalized" and not self._weather.is_tagged:
            return None
        height = {"latest": self._view.head.number, "finalized": self._view.finalized}.get(block)
        return self._header_of(self._view.at(int(block, 16) if height is None else height))

    def _header_of(self, block: Block | None) -> msgspec.Raw | None:
        if block is None:
            return None
        return block.header_with_root if self._weather.has_roots else block.header

    def _known(self, block_hash: str) -> Block | None:
        """A block by its hash, if this node has it by now (some forget what is no longer canonical)."""
        block = self._world.find(block_hash)
        if block is None:
            return next((mine for mine in reversed(self._view.blocks) if mine.hash == block_hash), None)
        if self._view.at(block.number) is block:
            return block
        is_seen = self._world.known_since[block_hash] <= len(self._world.views) - 1 - bool(self._stuck_calls)
        return block if self._keeps_orphans and is_seen else None

    def _logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        if "blockHash" in wanted:
            block = self._known(wanted["blockHash"])
            if block is None:
                raise RefusalError(-32000, "unknown block")
            return self._told([block], wanted, by_hash=True)
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        cap = self._weather.cap
        if cap is not None and last - first + 1 > cap:
            self._count("range too wide")
            raise RefusalError(-32602, f"eth_getLogs is limited to a {cap} block range")
        return self._told(self._view.blocks[first : last + 1], wanted, by_hash=False)

    def _told(self, blocks: Sequence[Block], wanted: dict[str, Any], *, by_hash: bool) -> list[dict[str, Any]]:
        """The matching logs of these blocks, as this provider tells them."""
        told: list[dict[str, Any]] = []
        for block in blocks:
            honest = [log for log in block.logs if is_wanted(log, wanted)]
            told += honest if self.liar is None else self.liar.tell(block, honest, wanted, by_hash=by_hash)
        return told

    def _receipts(self, block: str) -> list[dict[str, Any]] | None:
        found = self._known(block) if len(block) == 66 else self._view.at(int(block, 16))
        if found is None:
            return None
        self._count("receipts asked for")
        return [*found.receipts]

    def _code(self, _address: str, block: str) -> str:
        if self._view.at(int(block, 16)) is None:
            raise RefusalError(-32000, "header not found")
        return "0x60" if int(block, 16) >= 1 else "0x"


def is_wanted(log: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a log is one the filter asks for."""
    if "address" in wanted and log["address"] not in wanted["address"]:
        return False
    return all(allowed is None or log["topics"][at] in allowed for at, allowed in enumerate(wanted.get("topics", ())))


class Carrier(httpx.AsyncBaseTransport):
    """Carries requests to the model providers by host name; takes time, and may be where the process ends."""

    def __init__(self, providers: Sequence[ModelProvider], dice: random.Random, hear: Hearing) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._dice = dice
        self._hear = hear

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request there and back."""
        self._hear("request")
        await asyncio.sleep(self._dice.uniform(0.01, 0.15))
        response = self._providers[request.url.host].answer(await request.aread())
        await asyncio.sleep(self._dice.uniform(0.01, 0.15))
        return response
