"""A loopback HTTP server between us and a node that answers wrongly in ways a test chooses."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import msgspec
import pytest

Twist = Callable[[list[dict[str, Any]], list[dict[str, Any]]], "list[dict[str, Any]] | Raw"]
"""(requests, the node's answers) → the answers to give, or a raw response."""


class Raw(msgspec.Struct):
    """A response as it is; after `stalls_at` bytes nothing comes any more until the asker hangs up."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    stalls_at: int | None = None


def honest(_requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the node said."""
    return answers


def always(raw: Raw) -> Twist:
    """The same response to everything."""
    return lambda _requests, _answers: raw


def changed(method: str, change: Callable[[Any, list[Any]], Any]) -> Twist:
    """Changes the result of one method: (result, params) → result."""

    def twist(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**answer, "result": change(answer["result"], request["params"])} if request["method"] == method else answer
            for request, answer in zip(requests, answers, strict=True)
        ]

    return twist


def refused(method: str, code: int, message: str) -> Twist:
    """A JSON-RPC error in answer to one method."""

    def twist(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}
            if request["method"] == method
            else answer
            for request, answer in zip(requests, answers, strict=True)
        ]

    return twist


def played(answer: Callable[[str, list[Any]], Any]) -> Twist:
    """A node made of one function: (method, params) → result, or a dictionary with an error's code and message."""

    def twist(requests: list[dict[str, Any]], _answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        said = [answer(request["method"], request["params"]) for request in requests]
        return [
            {"jsonrpc": "2.0", "id": request["id"]}
            | ({"error": each} if isinstance(each, dict) and "code" in each else {"result": each})
            for request, each in zip(requests, said, strict=True)
        ]

    return twist


def at_first(count: int, twist: Twist) -> Twist:
    """Only the first so many HTTP requests that this would change are answered that way."""
    left = iter(range(count))

    def twisted(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]] | Raw:
        told = twist(requests, answers)
        return answers if told == answers or next(left, None) is None else told

    return twisted


class FaultyNode:
    """Forwards to the node at `upstream` ("": there is none) and lets `twist` change what comes back.

    `requests` counts HTTP requests, `methods` are those asked for.
    """

    def __init__(self, upstream: str, twist: Twist = honest) -> None:
        self.twist = twist
        self.methods: list[str] = []
        self.requests = 0
        self._http = httpx.Client(timeout=30, verify=False)  # Reading the certificates takes longer than a test.
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = msgspec.json.decode(body)
                is_batch = isinstance(asked, list)
                requests = asked if is_batch else [asked]
                outer.requests += 1
                outer.methods += [request["method"] for request in requests]
                answers = outer._http.post(upstream, json=requests).json() if upstream else []
                twisted = outer.twist(requests, answers)
                if isinstance(twisted, Raw):
                    self.reply(twisted)
                else:
                    self.reply(Raw(200, msgspec.json.encode(twisted if is_batch else twisted[0])))

            def reply(self, raw: Raw) -> None:
                self.send_response(raw.status)
                for name, value in raw.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw.body)))
                self.end_headers()
                self.wfile.write(raw.body[: raw.stalls_at])
                if raw.stalls_at is not None:
                    self.wfile.flush()
                    self.connection.recv(1)
                    self.close_connection = True

            def log_message(self, *_arguments: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://localhost:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._http.close()


@pytest.fixture
def faulty_node() -> Iterator[Callable[..., FaultyNode]]:
    """`faulty_node(upstream, twist)` starts one; all of them end with the test."""
    nodes: list[FaultyNode] = []

    def start(upstream: str, twist: Twist = honest) -> FaultyNode:
        nodes.append(FaultyNode(upstream, twist))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()
