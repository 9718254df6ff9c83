"""Parcels as the outbox would hand them over, their mails as a program shows them, and mail servers that say no."""

import asyncio
import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from alerts.catcher import LoopbackController, MailCatcher
from alerts.channel import Links, Parcel
from alerts.mails import build_mail
from alerts.message import Change, Evidence, FundLine, Message
from ledger.kinds import AlertEvent, Purpose, Severity

SITE = "https://backstop.example"
SENDER = "Backstop <alerts@backstop.example>"
READER = "reader@mail.example"
MESSAGE_ID = "msg_0f3c5a7e9b1d2f4a6c8e0a1b2c3d4e5f"
ORDERED = datetime(2025, 3, 14, 17, 2, 30, tzinfo=UTC)
TX = "0x6f2a81d90c44d1e6b3a57f0c2d9e8b417a65c3f2e1d0b9a8c7f6e5d4c3b2a190"
BLOCK = "0x9b1c44d1e6b3a57f0c2d9e8b417a65c3f2e1d0b9a8c7f6e5d4c3b2a1906f2a81"
TOKEN = "Zk3v8Qx1nR5tY7wB2cF4hJ6mP9sL0dGaEuIoXyNzTqM"

COVERAGE_LOW = Message(
    key="coverage_low/perp-main/2025-03-14T17:00:00Z/1",
    event=AlertEvent.COVERAGE_LOW,
    severity=Severity.WARNING,
    subject="[Short] Example perpetuals fund: coverage 0.71× (was 1.12×), 14 Mar 2025, 17:00 UTC",
    sentence="Coverage of Example perpetuals fund fell to 0.71× at block 221,483,907, 14 Mar 2025, 17:00 UTC: it could "
    "pay less than its reference loss.",
    happened_at="2025-03-14T17:00:00Z",
    fund_name="Example perpetuals fund",
    fund_slug="example-perpetuals",
    segment="perp-main",
    block_number=221_483_907,
    block_hash=BLOCK,
    tx_hash=TX,
    changes=(
        Change("Coverage", "1.12×", "0.71×", "below 1.00×"),
        Change("Balance", "6,720,114.20 USDC", "4,260,871.55 USDC"),
    ),
    status="Short",
    data_status="verified on chain",
    finality="Final: block 221,483,907 can no longer be replaced.",
    evidence=(
        Evidence(f"Transaction {TX}, log 41", f"https://explorer.example/tx/{TX}"),
        Evidence("Coverage at block 221,483,907", "/funds/example-perpetuals/facts/coverage/221483907"),
        Evidence("Read by two providers that agree"),
    ),
    next_steps="If the fund runs out: auto-deleveraging of the most profitable opposite positions. Whose loss it is in "
    "the end: traders on the winning side.",
    limits="Nothing more is sent until it gets worse or is over. Judged by version 1 of the rules.",
    episode="coverage_low/perp-main/2025-03-14T17:00:00Z",
)
DIGEST = Message(
    key="digest.daily:live:2025-03-14",
    event=AlertEvent.DIGEST_DAILY,
    severity=Severity.NOTICE,
    subject="[Digest] 14 Mar 2025: 4 announcements at 2 funds",
    sentence="14 Mar 2025: 4 announcements at 2 funds.",
    happened_at="2025-03-15T00:00:00Z",
    lines=(
        FundLine("lending-backstop", "09:14 UTC: A change of the owner at Lending backstop: it is now 0x91bc…4a20."),
        FundLine("example-perpetuals", "16:40 UTC: 3 shortfalls at Example perpetuals fund, 1.90 M USDC in all."),
        FundLine("", "16:52 UTC: Sources of Example chain disagree."),
        FundLine("example-perpetuals", "17:00 UTC: Coverage of Example perpetuals fund fell to 0.71×."),
        FundLine(
            "lending-backstop", "Lending backstop: Covered, coverage 1.84×, as of 14 Mar 2025, 23:59 UTC", is_calm=True
        ),
        FundLine("venue-fund", "Venue fund: Not computable, as of 14 Mar 2025, 23:55 UTC", is_calm=True),
    ),
    limits="Judged by version 1 of the rules.",
)
LOGIN = ("alerts@backstop.example", "a pass:word/with#signs")
WISHES = {"funds": ["example-perpetuals"], "events": ["fund.coverage.low"], "least": "warning", "digest": "daily"}


def links(**changed: str) -> Links:
    """What the sender of an outbox makes for one recipient."""
    made = {
        "site": SITE,
        "page": f"{SITE}/funds/example-perpetuals",
        "manage": f"{SITE}/alerts/manage?token={TOKEN}",
        "mute": f"{SITE}/alerts/mute?token={TOKEN}&fund=example-perpetuals",
        "unsubscribe": f"{SITE}/alerts/unsubscribe?token={TOKEN}",
    }
    return Links(**{**made, **changed})


def parcel(message: Message | None = COVERAGE_LOW, purpose: Purpose = Purpose.ALERT, **changed: Any) -> Parcel:
    """A parcel to the reader."""
    made = {"message_id": MESSAGE_ID, "address": READER, "created_at": ORDERED, "links": links()}
    return Parcel(purpose=purpose, message=message, **{**made, **changed})


def question(**wishes: object) -> Parcel:
    """The parcel that asks a new address whether it wants what was ordered."""
    asking = Links(site=SITE, confirm=f"{SITE}/alerts/confirm?token={TOKEN}")
    detail = {"wishes": msgspec.json.encode({**WISHES, **wishes}).decode()}
    return parcel(None, Purpose.CONFIRM, links=asking, detail=detail)


def mail_of(sent: Parcel, *, chart: bytes | None = None, delay: timedelta = timedelta(seconds=5)) -> EmailMessage:
    """The mail of a parcel, sent so long after it was ordered."""
    return build_mail(sent, sender=SENDER, chart=chart, attempt_time=sent.created_at + delay)


def changed(message: Message, **fields: Any) -> Message:
    """The same message with other fields."""
    return msgspec.structs.replace(message, **fields)


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    return _body(mail, "plain")


def html_of(mail: EmailMessage) -> str:
    """The HTML of a mail, its chart inside, as a program shows it."""
    shown = _body(mail, "html")
    for part in mail.walk():
        if part["Content-ID"]:
            picture = f"data:{part.get_content_type()};base64,{b64encode(part.get_content()).decode()}"
            shown = shown.replace(f"cid:{part['Content-ID'].strip('<>')}", picture)
    return shown


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    found = part.get_content()
    assert isinstance(found, str)
    return found.replace("\r\n", "\n")


def received(mail: EmailMessage) -> EmailMessage:
    """The mail as the other side parses it."""
    parsed = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


class Outline(HTMLParser):
    """The skeleton of a page, without its words: every tag with the names of its attributes; and its addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [(name, value or "") for name, value in attrs if name in ("href", "src", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """What can be read, on one line."""
        return re.sub(r"[ \n]+", " ", "".join(self.words))


def draw_png(width: int = 1152, height: int = 360) -> bytes:
    """A real PNG: a line that falls, on paper."""
    rows = bytearray()
    for y in range(height):
        level = [width * y // height - 3 <= x <= width * y // height + 3 for x in range(width)]
        rows += b"\x00" + b"".join(b"\x0b\x6a\xa8" if inside else b"\xfd\xfc\xfa" for inside in level)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    )


class HangingUp(SMTP):
    """aiosmtpd's server, but it hangs up once it has given a certain answer."""

    def __init__(self, handler: object, last_answer: str, **options: Any) -> None:
        super().__init__(handler, **options)
        self.last_answer = last_answer

    async def push(self, status: Any) -> None:
        """Every answer passes here."""
        await super().push(status)
        if self.last_answer and str(status).startswith(self.last_answer):
            self.transport.close()


class HangingUpController(LoopbackController):
    """Serves with it."""

    def factory(self) -> HangingUp:
        return HangingUp(self.handler, self.handler.last_answer, **self.SMTP_kwargs)


class MailServer(MailCatcher):
    """A catcher with manners. `answers`: what it says to MAIL, RCPT and DATA instead of taking them.

    `last_answer`: it hangs up after an answer that begins so. `is_silent`: it never says what became of a mail.
    """

    def __init__(
        self,
        answers: Mapping[str, str] | None = None,
        *,
        last_answer: str = "",
        is_silent: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(authenticator=self.authenticate, **options)
        self.answers = answers or {}
        self.last_answer = last_answer
        self.is_silent = is_silent
        self.logins: list[tuple[str, str]] = []

    def _make_controller(self) -> HangingUpController:
        return HangingUpController(self, self._port, self._options)

    def authenticate(self, *asked: Any) -> AuthResult:
        """Knows one user, and writes down who asked."""
        login: LoginPassword = asked[-1]
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=self.logins[-1] == LOGIN, handled=False)

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 2.1.0 Ok")

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.is_silent:
            await asyncio.Event().wait()
        return self.answers.get("DATA") or await super().handle_DATA(server, session, envelope)
