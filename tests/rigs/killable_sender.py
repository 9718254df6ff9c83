"""Senders in processes of their own that are killed, and a catcher over loopback, in a process too, that outlives them.

The processes are forked, for a fresh interpreter each would import for longer than all the rest takes; what they open
(database, connections, event loop) is their own. SIGKILL ends them without any chance to clean up.
"""

import asyncio
import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from threading import Lock
from typing import NamedTuple

from alerts.channel import ChannelError, Parcel, Receipt
from alerts.delivery import AFTER_CLAIM, AFTER_RECORD, AFTER_SEND, Sender
from ledger.database import open_engine
from ledger.kinds import EndpointKind
from ledger.writer import BEFORE_COMMIT, LedgerWriter, PhaseHook
from tests.rigs.killable_index import PROCESSES, name_of_work

INSIDE_CLAIM = "before the claim is committed"
DURING_SEND = "during send"
INSIDE_RECORD = "before the record is committed"
MOMENTS = (INSIDE_CLAIM, AFTER_CLAIM, DURING_SEND, AFTER_SEND, INSIDE_RECORD, AFTER_RECORD)


class Caught(NamedTuple):
    """One message that arrived."""

    message_id: str
    address: str
    """Whom it was for."""
    key: str
    """The alert it carries."""


class Catcher(BaseHTTPRequestHandler):
    """Keeps what is posted to it, and lists it when asked."""

    caught: list[Caught]
    lock: Lock

    def do_POST(self) -> None:
        """Takes a message that arrived whole."""
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:  # The sender died while it wrote.
            return
        with self.lock:
            self.caught.append(Caught(self.headers["webhook-id"], **json.loads(body)))
        self._answer(204, b"")

    def do_GET(self) -> None:
        """Everything that arrived so far."""
        with self.lock:
            listed = json.dumps(self.caught).encode()
        self._answer(200, listed)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002  The name is http.server's.
        """Says nothing."""


class QuietServer(ThreadingHTTPServer):
    """Does not complain when a sender dies amid a request: that is what it is for."""

    request_queue_size = 128

    def handle_error(self, _request: object, _client: object) -> None:
        """Says nothing."""


def catch(said: Connection) -> None:
    """The catching process: says its port and catches until it is killed."""
    handler = type("OneCatcher", (Catcher,), {"caught": [], "lock": Lock()})
    server = QuietServer(("127.0.0.1", 0), handler)
    said.send(server.server_port)
    server.serve_forever()


@contextmanager
def running_catcher() -> Iterator[int]:
    """The port of a catcher."""
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=catch, args=(there,))
    process.start()
    there.close()
    try:
        with here:
            yield int(here.recv())
    finally:
        process.kill()
        process.join()
        process.close()


def list_caught(port: int) -> list[Caught]:
    """What arrived at a catcher, in order."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    rows = json.loads(connection.getresponse().read())
    connection.close()
    return [Caught(*row) for row in rows]


@dataclass(frozen=True)
class PlainChannel:
    """Posts to the catcher, whatever the address; a moment of its own lies amid the request and one behind it."""

    port: int
    phase: PhaseHook

    async def send(self, parcel: Parcel) -> Receipt:
        """One request on a connection of its own."""
        assert parcel.message is not None
        body = json.dumps({"address": parcel.address, "key": parcel.message.key}).encode()
        head = f"POST / HTTP/1.0\r\nwebhook-id: {parcel.message_id}\r\ncontent-length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in (head.encode(), body):
                writer.write(part)
                await writer.drain()
                self.phase(DURING_SEND)
            status = (await reader.readline()).decode().strip()
        finally:
            writer.close()
            await writer.wait_closed()
        if " 204 " not in status:
            raise ChannelError(status or "no answer")
        return Receipt(status)

    async def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True)
class Death:
    """Where a sender kills itself: the moment, and at which of its times."""

    moment: str
    time: int


def run_sender(
    database: str,
    port: int,
    now: datetime,
    *,
    name: str,
    death: Death | None = None,
    kill_after: float | None = None,
) -> int:
    """A process that sends all that is due: its exit code, of its own end, its death, or SIGKILL after some seconds."""
    asked = {"database": database, "port": port, "now": now, "name": name, "death": death}
    process = PROCESSES.Process(target=send_until_killed, kwargs=asked)
    process.start()
    process.join(kill_after)
    if kill_after is not None:
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    assert code is not None
    return code


def send_until_killed(database: str, port: int, now: datetime, *, name: str, death: Death | None) -> None:
    """The process: drains the outbox, unless its death comes first."""
    times = dict.fromkeys(MOMENTS, 0)

    def reach(moment: str) -> None:
        if moment in times:
            times[moment] += 1
            if death == Death(moment, times[moment]):
                os.kill(os.getpid(), signal.SIGKILL)

    def reach_commit(phase: str) -> None:
        if phase == BEFORE_COMMIT:
            reach(INSIDE_RECORD if name_of_work().endswith("record") else INSIDE_CLAIM)

    engine = open_engine(database)
    with LedgerWriter(engine, phase=reach_commit) as writer:
        sender = Sender(
            writer,
            {EndpointKind.WEBHOOK: PlainChannel(port, reach)},
            lambda: now,
            site_url="https://backstop.example",
            name=name,
            dice=random.Random(name),
            phase=reach,
        )
        asyncio.run(sender.drain())
    engine.dispose()
