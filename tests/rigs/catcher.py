"""A webhook endpoint on this machine, by http or https, that keeps what it gets and answers as a test tells it."""

import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Event, Thread
from typing import Any, Self

import httpx
import trustme

from alerts.reach import Destination, UnreachableAddressError


@dataclass(frozen=True)
class Caught:
    """One request as it came; header names in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the endpoint answers, and how."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0.0
    """Pause before each byte of the body."""
    is_silent: bool = False
    """Nothing is said until the other side hangs up."""
    is_cut: bool = False
    """The connection ends without a word."""


def answer_pings(caught: Caught) -> Reply:
    """What an endpoint in order does: pings get their challenge, everything else 204."""
    event = json.loads(caught.body)
    return Reply(200, event["data"]["challenge"].encode()) if event["type"] == "ping" else Reply()


class Catcher:
    """Listens on a port of its own until it is closed; given names it speaks https, with a certificate for them.

    `answer` may be changed at any time. Another process needs `port`, and `ca` for `trusting`.
    """

    def __init__(self, *names: str) -> None:
        self.answer: Callable[[Caught], Reply] = answer_pings
        self.caught: list[Caught] = []
        self.ended = Event()
        self.ca = ""
        self._server = _Server(self)
        if names:
            authority = trustme.CA()
            self.ca = authority.cert_pem.bytes().decode()
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(*names).configure_cert(tls)
            # The handshake is for the thread of each connection, not for the one that accepts them.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def replies(self, reply: Reply) -> None:
        """The same answer to everything from now on."""
        self.answer = lambda _caught: reply

    def close(self) -> None:
        """Ends the server and every answer under way."""
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class LoopbackResolver:
    """Reaches only servers of this machine, by the names a test gives them: name → (IP address, port)."""

    def __init__(self, names: Mapping[str, tuple[str, int]]) -> None:
        self._names = dict(names)

    async def resolve(self, url: str) -> Destination:
        parsed = httpx.URL(url)
        if parsed.host not in self._names:
            raise UnreachableAddressError(f"{parsed.host} is no name of this test")
        ip, port = self._names[parsed.host]
        return Destination(parsed, ip_address(ip), port)


def trusting(ca: str) -> ssl.SSLContext:
    """What a client needs to accept a catcher's certificate, and no other."""
    return ssl.create_default_context(cadata=ca)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, catcher: Catcher) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.catcher = catcher

    def handle_error(self, *_arguments: Any) -> None:
        """Says nothing: clients that hang up or refuse the certificate are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # Connections stay open, so that a client could wrongly use one twice.

    def do_POST(self) -> None:
        catcher, body = self.server.catcher, self.rfile.read(int(self.headers.get("content-length", 0)))
        caught = Caught(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        catcher.caught.append(caught)
        reply = catcher.answer(caught)
        if reply.is_silent:
            self.wait_for_the_end(catcher.ended)
        elif not reply.is_cut:
            self.give(reply, catcher.ended)
        self.close_connection |= reply.is_silent or reply.is_cut or catcher.ended.is_set()

    def do_GET(self) -> None:
        self.do_POST()

    def wait_for_the_end(self, ended: Event) -> None:
        self.connection.settimeout(0.05)
        while not ended.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return

    def give(self, reply: Reply, ended: Event) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        if not reply.drip_seconds:
            self.wfile.write(reply.body)
            return
        for byte in reply.body:
            if ended.wait(reply.drip_seconds):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, *_arguments: Any) -> None:
        """Says nothing."""
