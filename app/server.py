"""Serves one ASGI application in a thread of its own, so that a busy indexer never delays a page."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from app.failures import CommandError, Exit

STARTUP_SECONDS = 15.0
SHUTDOWN_SECONDS = 5

log = logging.getLogger(__name__)


class PortError(CommandError):
    """The address cannot be listened on; says which and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.NO_PORT)


@dataclass(frozen=True)
class Address:
    """Where a server can be reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Address for a browser on this machine; a wildcard is reached through loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{self.port}"


def open_socket(host: str, port: int, *, variable: str = "BACKSTOP_PORT") -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises PortError before anything else has started.

    `variable` is the setting or option that the message tells people to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay (40 ms an answer) off only where it is.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PortError(
            f"cannot listen on {host}:{port} ({reason}): stop what listens there, or choose another port by {variable}"
        ) from error
    return listening


@contextmanager
def serving(application: Any, listening: socket.socket) -> Iterator[Address]:
    """Answers requests on the socket until the block ends; requests under way are given a few seconds.

    `application` is any ASGI callable; its type lives in the room that made it.
    """
    host, port = listening.getsockname()[:2]
    server = uvicorn.Server(
        uvicorn.Config(application, log_config=None, access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name=f"serve-{port}", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield Address(host, port)
    finally:
        server.should_exit = True
        thread.join(SHUTDOWN_SECONDS + 2)
        listening.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    """uvicorn offers no event for this; it looks at its own flags every tenth of a second, and so do we."""
    waited = 0.0
    while not server.started:
        thread.join(0.02)
        waited += 0.02
        if not thread.is_alive() or waited > STARTUP_SECONDS:
            raise PortError("the server did not start; the log lines above say why")
