"""A mail server on this machine that delivers nothing: it keeps what it is sent, for the demo and for tests."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
MOST_KEPT = 200


@dataclass(frozen=True)
class Caught:
    """One mail as it came in."""

    number: int
    """1, 2, …: the order in which they came."""
    sender: str
    """Of the envelope: where a bounce would go."""
    recipients: tuple[str, ...]
    mail: EmailMessage


class LoopbackController(Controller):
    """Serves in a thread of its own; with port 0 on a free one."""

    def __init__(self, handler: object, port: int, options: Mapping[str, Any]) -> None:
        super().__init__(handler, hostname=HOST, port=port, server_hostname="localhost", **options)

    def _trigger_server(self) -> None:
        # The first connection, which aiosmtpd makes here to see that it serves, needs the port that was chosen.
        assert isinstance(self.server, asyncio.Server)  # It serves by now.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd has types, but not all.


class MailCatcher:
    """Runs inside `with`; `options` go to aiosmtpd's server."""

    _controller: LoopbackController

    def __init__(self, port: int = 0, **options: Any) -> None:
        self._port = port
        self._options = options
        self._messages: tuple[Caught, ...] = ()

    @property
    def url(self) -> str:
        """Where to send mail."""
        return f"smtp://{HOST}:{self._controller.port}"

    @property
    def messages(self) -> tuple[Caught, ...]:
        """What was caught, the newest first."""
        return self._messages

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd)
        """Takes a mail; aiosmtpd calls it."""
        number = self._messages[0].number + 1 if self._messages else 1
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        caught = Caught(number, envelope.mail_from or "", tuple(envelope.rcpt_tos), mail)
        self._messages = (caught, *self._messages)[:MOST_KEPT]  # A new tuple: readers are other threads.
        return f"250 2.0.0 Ok: kept as {number}"

    def __enter__(self) -> Self:
        self._controller = self._make_controller()
        self._controller.start()
        return self

    def _make_controller(self) -> LoopbackController:
        return LoopbackController(self, self._port, self._options)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._controller.stop()
