"""A small web application that serves recordings: chains as JSON-RPC nodes, venues as polls over plain HTTP."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from indexer.replay.answers import Answers
from indexer.replay.caps import Caps
from indexer.replay.faults import RpcError
from indexer.replay.head import Head, SecondsClock
from indexer.replay.questions import Moment
from indexer.replay.serving import serve_in_thread
from indexer.replay.tape import LoadProgress, Tape, load_tape

_MOST_POLLS = 1000


@dataclass(frozen=True)
class Replay:
    """One recording being served: what it can answer, how far it has got, its limits."""

    tape: Tape
    head: Head
    caps: Caps = field(default_factory=Caps)

    @property
    def slug(self) -> str:
        return self.tape.metadata.slug


def load_replay(
    path: Path,
    *,
    start: int | None = None,
    chain_seconds_per_second: float | None = None,
    depth: int = 2,
    caps: Caps | None = None,
    clock: SecondsClock = time.monotonic,
    progress: LoadProgress | None = None,
) -> Replay:
    """Loads a recording to be served; see Head for start, pace and depth (of a venue, `start` counts polls)."""
    tape = load_tape(path, progress=progress)
    head = Head(
        tape.times,
        first=tape.first,
        start=start,
        chain_seconds_per_second=chain_seconds_per_second,
        depth=depth,
        clock=clock,
    )
    return Replay(tape, head, caps or Caps())


def create_node(replays: Sequence[Replay]) -> Starlette:
    """The application: `GET /` lists what is served, each recording lives at its slug."""
    slugs = [replay.slug for replay in replays]
    twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    if twice:
        raise ValueError(f"two recordings have the slug {', '.join(twice)}: serve one of them elsewhere")
    routes = [Route("/", _Listing(replays).get, methods=["GET"])]
    for replay in replays:
        shelf = _Venue(replay) if replay.tape.metadata.is_venue else _Node(replay)
        routes += shelf.routes()
    return Starlette(routes=routes)


@dataclass(frozen=True)
class RunningNode:
    """A node serving in a thread of this process."""

    url: str
    heads: dict[str, Head]

    def url_of(self, slug: str) -> str:
        return f"{self.url}/{slug}"


@contextmanager
def running_node(replays: Sequence[Replay], *, host: str = "127.0.0.1", port: int = 0) -> Iterator[RunningNode]:
    """Serves in a thread, by default on a free port; stops when left."""
    with serve_in_thread(create_node(replays), host=host, port=port) as url:
        yield RunningNode(url, {replay.slug: replay.head for replay in replays})


class _Listing:
    def __init__(self, replays: Sequence[Replay]) -> None:
        self._replays = replays

    async def get(self, _: Request) -> Response:
        return _json([_describe(replay) for replay in self._replays])


def _describe(replay: Replay) -> dict[str, Any]:
    metadata = replay.tape.metadata
    return {
        "slug": replay.slug,
        "title": metadata.title,
        "kind": metadata.kind,
        "chain_id": metadata.chain_id,
        "is_venue": metadata.is_venue,
        "head": replay.head.time if metadata.is_venue else replay.head.number,
        "head_time": replay.head.time,
        "is_at_end": replay.head.is_at_end,
    }


class _Node:
    """A chain: JSON-RPC by POST, its metadata by GET."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._answers = Answers(replay.tape, replay.caps)

    def routes(self) -> list[Route]:
        path = f"/{self._replay.slug}"
        return [Route(path, self.post, methods=["POST"]), Route(path, self.get, methods=["GET"])]

    async def get(self, _: Request) -> Response:
        return _json({**_describe(self._replay), "recording": self._replay.tape.metadata})

    async def post(self, request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body())
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _json(_failed(None, RpcError(-32700, "parse error: the body is no JSON")))
        except ClientDisconnect:
            return Response()  # Nobody is left to answer: a client that was killed is no fault of ours.
        return _json(self._answer_body(body))

    def _answer_body(self, body: Any) -> Any:
        # One moment for a whole batch, so that "the head is at least n" holds for every answer in it.
        number = self._replay.head.number
        moment = Moment(self._replay.tape, number, self._replay.head.finalized_at(number))
        if not isinstance(body, list):
            return self._answer_one(body, moment)
        try:
            if not body:
                raise RpcError(-32600, "invalid request: an empty batch")
            self._replay.caps.check_batch(len(body))
        except RpcError as fault:
            return _failed(None, fault)
        return [self._answer_one(each, moment) for each in body]

    def _answer_one(self, request: Any, moment: Moment) -> dict[str, Any]:
        asked = request if isinstance(request, dict) else {}
        method, params, label = asked.get("method"), asked.get("params", []), asked.get("id")
        try:
            if not isinstance(method, str) or not isinstance(params, list):
                raise RpcError(-32600, "invalid request: an object with method and a list of params is needed")
            return {"jsonrpc": "2.0", "id": label, "result": self._answers.answer(method, params, moment)}
        except RpcError as fault:
            return _failed(label, fault)


class _Venue:
    """A venue: polls as JSON, oldest first."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def routes(self) -> list[Route]:
        path = f"/{self._replay.slug}"
        return [Route(f"{path}/polls", self.polls, methods=["GET"]), Route(path, self.get, methods=["GET"])]

    async def get(self, _: Request) -> Response:
        return _json({**_describe(self._replay), "recording": self._replay.tape.metadata})

    async def polls(self, request: Request) -> Response:
        """Polls after a moment, at most `limit`; `has_more` says whether others are visible already."""
        try:
            after = int(request.query_params.get("after", "-1"))
            limit = min(int(request.query_params.get("limit", _MOST_POLLS)), _MOST_POLLS)
        except ValueError:
            return _json({"error": "after must be unix seconds and limit a number"}, status=400)
        if limit < 1:
            return _json({"error": "limit must be at least 1"}, status=400)
        tape, visible = self._replay.tape, self._replay.head.number + 1
        begin = min(bisect_right(tape.times, after), visible)
        end = min(begin + limit, visible)
        metadata = tape.metadata
        return _json(
            {
                "slug": metadata.slug,
                "kind": metadata.kind,
                "chain_id": metadata.chain_id,
                "head": tape.times[visible - 1],
                "has_more": end < visible,
                "polls": tape.polls[begin:end],
            }
        )


def _failed(label: Any, fault: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": label, "error": fault.as_json()}


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
