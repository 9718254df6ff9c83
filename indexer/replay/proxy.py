"""A JSON-RPC proxy that passes everything through and notes the answers by the block hash they belong to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from indexer.replay.faults import RpcError
from indexer.replay.notes import Notes, read_answer
from indexer.replay.questions import parse_address, parse_call, parse_filter, parse_slot

_JSON = {"content-type": "application/json"}
_STATE_METHODS = {"eth_call": 1, "eth_getCode": 1, "eth_getStorageAt": 2}
"""Methods about the state at a block, with the place of the block among their parameters."""

Json = dict[str, Any]  # Any: JSON.


@dataclass(frozen=True)
class _Pinned:
    """A request as it was asked, as it is sent on, and the blocks it turned out to be about."""

    asked: Json
    request: Json
    block_hash: str | None = None
    blocks: tuple[int, ...] = ()


class Proxy:
    """The application (`app`) between a client and a node, and the notes it takes."""

    def __init__(self, upstream_url: str, notes: Notes, *, timeout_seconds: float = 60.0) -> None:
        self._url = upstream_url
        self._notes = notes
        self._timeout_seconds = timeout_seconds
        self._numbers: dict[str, int] = {}
        self._client: httpx.AsyncClient | None = None
        self.app = Starlette(routes=[Route("/", self._post, methods=["POST"])], lifespan=self._live)

    @asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=self._timeout_seconds) as client:
            self._client = client
            yield
            self._client = None

    async def _post(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return await self._send(raw)
        requests = body if isinstance(body, list) else [body]
        if not requests or not all(isinstance(each, dict) for each in requests):
            return await self._send(raw)
        pinned = await self._pin(requests)
        # Our own ids: a batch's answers come in any order, and nothing forbids a client to repeat an id.
        numbered = [{**each.request, "id": place} for place, each in enumerate(pinned)]
        response = await self._send(msgspec.json.encode(numbered if isinstance(body, list) else numbered[0]))
        return self._note(response, pinned, is_batch=isinstance(body, list))

    def _note(self, response: Response, pinned: list[_Pinned], *, is_batch: bool) -> Response:
        try:
            sent = msgspec.json.decode(response.body)
        except msgspec.DecodeError:
            return response
        answers = sent if isinstance(sent, list) else [sent]
        for answer in answers:
            place = answer.get("id") if isinstance(answer, dict) else None
            if isinstance(place, int) and 0 <= place < len(pinned):
                answer["id"] = pinned[place].asked.get("id")
                if response.status_code == 200:
                    self._note_one(pinned[place], answer)
        content = msgspec.json.encode(answers if is_batch and isinstance(sent, list) else sent)
        return Response(content, response.status_code, _kept_headers(response.headers))

    def _note_one(self, pinned: _Pinned, answer: Json) -> None:
        method, params = pinned.asked.get("method"), pinned.asked.get("params") or []
        self._notes.blocks.update(pinned.blocks)
        try:
            if method in ("eth_getBlockByNumber", "eth_getBlockByHash") and isinstance(answer.get("result"), dict):
                self._notes.blocks.add(int(answer["result"]["number"], 16))
            elif method == "eth_getLogs" and "error" not in answer:
                self._notes.filters.add(parse_filter(params[0]).canonical())
            elif pinned.block_hash is not None:
                self._note_state(str(method), params, pinned.block_hash, answer)
        except (RpcError, KeyError, TypeError, ValueError):
            # A question that a replay could not be asked either; it has passed, and isn't recorded.
            return

    def _note_state(self, method: str, params: list[Any], block_hash: str, answer: Json) -> None:
        if method == "eth_call" and len(params) <= 2:
            read = read_answer(answer)
            if read is not None:
                self._notes.note_call(*parse_call(params[0]), block_hash, read)
        elif method == "eth_getCode" and isinstance(answer.get("result"), str):
            self._notes.code.add(parse_address(params[0], "address"))
        elif method == "eth_getStorageAt" and isinstance(answer.get("result"), str):
            self._notes.note_storage(
                parse_address(params[0], "address"), parse_slot(params[1]), block_hash, answer["result"]
            )

    async def _pin(self, requests: list[Json]) -> list[_Pinned]:
        """Ties each state question to a block hash: tags and numbers are looked up and replaced by the hash."""
        known: dict[str, tuple[int, str] | None] = {}
        return [await self._pin_one(each, known) for each in requests]

    async def _pin_one(self, asked: Json, known: dict[str, tuple[int, str] | None]) -> _Pinned:
        method, params = str(asked.get("method")), asked.get("params") or []
        if method == "eth_getLogs" and isinstance(params, list) and params and isinstance(params[0], dict):
            found = [await self._find_block(each, known) for each in _log_references(params[0])]
            return _Pinned(asked, asked, None, tuple(block[0] for block in found if block is not None))
        place = _STATE_METHODS.get(method)
        if place is None or not isinstance(params, list) or len(params) < place:
            return _Pinned(asked, asked)
        block = await self._find_block(params[place] if len(params) > place else "latest", known)
        if block is None:
            return _Pinned(asked, asked)
        number, block_hash = block
        named = {"blockHash": block_hash, "requireCanonical": True}
        request = {**asked, "params": [*params[:place], named, *params[place + 1 :]]}
        return _Pinned(asked, request, block_hash, (number,))

    async def _find_block(self, reference: Any, known: dict[str, tuple[int, str] | None]) -> tuple[int, str] | None:
        """Number and hash of the block a reference means right now, None when the node has no such block."""
        label = str(reference)
        if label not in known:
            known[label] = await self._look_up(reference)
        return known[label]

    async def _look_up(self, reference: Any) -> tuple[int, str] | None:
        if isinstance(reference, dict) and "blockHash" in reference:
            block_hash = str(reference["blockHash"]).lower()
            if block_hash in self._numbers:
                return self._numbers[block_hash], block_hash
            header = await self._ask("eth_getBlockByHash", [block_hash, False])
        else:
            block = reference.get("blockNumber") if isinstance(reference, dict) else reference
            header = await self._ask("eth_getBlockByNumber", [block, False])
        if not isinstance(header, dict) or not isinstance(header.get("hash"), str):
            return None
        number, found = int(header["number"], 16), header["hash"].lower()
        self._numbers[found] = number
        return number, found

    async def _ask(self, method: str, params: list[Any]) -> Any:
        response = await self._send(
            msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        )
        try:
            answer = msgspec.json.decode(response.body)
        except msgspec.DecodeError:
            return None
        return answer.get("result") if isinstance(answer, dict) else None

    async def _send(self, content: bytes) -> Response:
        if self._client is None:
            raise RuntimeError("the recorder's app is not running: it needs its lifespan")
        try:
            response = await self._client.post(self._url, content=content, headers=_JSON)
        except httpx.HTTPError as error:
            fault = RpcError(-32603, f"{self._url} cannot be reached by the recorder: {error}")
            return Response(msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": fault.as_json()}), 502, _JSON)
        return Response(response.content, response.status_code, _kept_headers(response.headers))


def _log_references(query: Json) -> list[Any]:
    if query.get("blockHash") is not None:
        return [{"blockHash": query["blockHash"]}]
    return [query.get("fromBlock") or "latest", query.get("toBlock") or "latest"]


def _kept_headers(headers: Headers | httpx.Headers) -> dict[str, str]:
    """What a client needs of the node's own headers: the type of the body, and when to come back."""
    return {name: headers[name] for name in ("content-type", "retry-after") if name in headers}
