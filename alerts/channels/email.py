"""E-mail by SMTP: one connection and one mail for each send.

What the server says decides: an address that does not exist is given up, everything else may work later. Once the
server has taken the mail it is sent, whatever happens to the connection after that.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib

from alerts.bounces import is_dead, names_dead_address
from alerts.channel import ChannelError, Chart, Parcel, Receipt
from alerts.mails import build_mail, parse_mailbox
from alerts.rendering import neutralise
from ledger.clock import Clock
from ledger.kinds import Purpose

LIMIT_SECONDS = 30.0
GOODBYE_SECONDS = 2.0
LONGEST_ANSWER = 300
TLS_PORT, LOGIN_PORT, RELAY_PORT = 465, 587, 25


@dataclass(frozen=True)
class SmtpTarget:
    """The server that takes our mail. With a login nothing is sent unless the connection is encrypted."""

    host: str
    port: int
    user: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)
    is_tls: bool = False
    """Encrypted from the first byte on; otherwise by STARTTLS, if the server offers it."""

    @classmethod
    def parse(cls, url: str) -> "SmtpTarget":
        """Of smtp://user:password@host:587, smtps://host or smtp://127.0.0.1:2525; ValueError with what is wrong."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            # The error itself would quote what may be half of a password.
            raise ValueError(
                "the address of the mail server cannot be read: its port is a number, and in user and password "
                "the signs : / @ are written %3A %2F %40"
            ) from None
        has_login = parts.username is not None or parts.password is not None
        if parts.scheme not in ("smtp", "smtps"):
            raise ValueError("the address of the mail server begins with smtp:// or smtps://")
        if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("the address of the mail server is scheme://user:password@host:port and nothing else")
        if has_login and not (parts.username and parts.password):
            raise ValueError("the address of the mail server has a user without a password, or the reverse")
        is_tls = parts.scheme == "smtps"
        return cls(
            host=host,
            port=port or (TLS_PORT if is_tls else LOGIN_PORT if has_login else RELAY_PORT),
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            is_tls=is_tls,
        )

    @property
    def is_local(self) -> bool:
        """Whether it is this machine itself, whose certificate is nobody's to check."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class EmailChannel:
    """Sends mails as `sender`. `bounces`: mailbox that failures are returned to, with the message id after a plus."""

    def __init__(
        self,
        smtp: SmtpTarget,
        sender: str,
        chart: Chart | None,
        clock: Clock,
        *,
        bounces: str = "",
        tls: ssl.SSLContext | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self.smtp = smtp
        self.sender = sender
        self.chart = chart
        self.clock = clock
        self.origin = parse_mailbox(sender)
        self.bounces = parse_mailbox(bounces) if bounces else None
        self.tls = tls
        self.limit_seconds = limit_seconds

    async def send(self, parcel: Parcel) -> Receipt:
        """Sends once; raises ChannelError where the server did not take it."""
        try:
            parse_mailbox(parcel.address)
        except ValueError as error:
            raise ChannelError(str(error), permanent=True) from error
        mail = await self._build(parcel)
        client = self._client()
        try:
            async with asyncio.timeout(self.limit_seconds):
                await client.connect()
                _, answer = await client.send_message(mail, sender=self._envelope_sender(parcel))
        except (aiosmtplib.SMTPException, OSError) as error:
            if isinstance(error, TimeoutError):
                client.close()  # It may still be waiting for the mail, and would take a goodbye for a line of it.
            raise _translate(error, self.limit_seconds) from error
        finally:
            await _leave(client)
        return Receipt(neutralise(f"250 {answer}", LONGEST_ANSWER))

    async def close(self) -> None:
        """Nothing is held between two mails."""

    async def _build(self, parcel: Parcel) -> EmailMessage:
        fund = parcel.message.fund_slug if parcel.purpose == Purpose.ALERT and parcel.message else ""
        # A chart is drawn anew where the front door has none ready: that would stop everything else for a while.
        chart = await asyncio.to_thread(self.chart, fund) if self.chart is not None and fund else None
        return build_mail(parcel, sender=self.sender, chart=chart, attempt_time=self.clock())

    def _client(self) -> aiosmtplib.SMTP:
        # None takes STARTTLS where it is offered; a password is sent through TLS or not at all.
        start_tls = True if self.smtp.user else None
        return aiosmtplib.SMTP(
            hostname=self.smtp.host,
            port=self.smtp.port,
            username=self.smtp.user or None,
            password=self.smtp.password or None,
            local_hostname=self.origin.domain,
            timeout=self.limit_seconds,
            use_tls=self.smtp.is_tls,
            start_tls=False if self.smtp.is_tls else start_tls,
            validate_certs=not self.smtp.is_local,
            tls_context=self.tls,
        )

    def _envelope_sender(self, parcel: Parcel) -> str:
        if self.bounces is None:
            return self.origin.addr_spec
        return f"{self.bounces.username}+{parcel.message_id}@{self.bounces.domain}"


def _translate(error: Exception, limit_seconds: float) -> ChannelError:
    """What the failure means for the address: nothing, unless the server says that it is the address."""
    permanent = False
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refused, *_]):
            words = f"refused the address: {_say(refused)}"
            permanent = is_dead(refused.code, refused.message)
        case aiosmtplib.SMTPDataError():
            words = f"refused the mail: {_say(error)}"
            # Some servers look at the address only now; others judge the content, so a bare 550 proves nothing.
            permanent = names_dead_address(error.message)
        case aiosmtplib.SMTPSenderRefused():
            words = f"refused our sender: {_say(error)}"
        case aiosmtplib.SMTPAuthenticationError():
            words = f"refused our login: {_say(error)}"
        case aiosmtplib.SMTPResponseException():
            words = f"refused to talk: {_say(error)}"
        case ssl.SSLError():
            words = f"offers no safe connection: {_clean(error)}"
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPServerDisconnected():
            words = f"cannot be reached: {_clean(error)}"
        case TimeoutError():
            words = f"did not answer within {limit_seconds:g} seconds"
        case _:
            words = f"cannot be used: {_clean(error)}"
    return ChannelError(f"the mail server {words}", permanent=permanent)


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Says goodbye where somebody listens; what goes wrong with that concerns no mail."""
    with suppress(aiosmtplib.SMTPException, OSError):
        if client.is_connected:
            await client.quit(timeout=GOODBYE_SECONDS)
    client.close()


def _say(error: aiosmtplib.SMTPResponseException) -> str:
    return neutralise(f"{error.code} {error.message}", LONGEST_ANSWER)


def _clean(error: Exception) -> str:
    return neutralise(str(error), LONGEST_ANSWER)
