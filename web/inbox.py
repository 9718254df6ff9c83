"""What the demo sent, to look at: its mails and webhook calls. These pages exist only where an inbox is handed over."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException

from ledger.numbers import format_time
from ledger.pages import asking
from web.caught import CaughtCall, CaughtMail, Inbox
from web.contexts import Frame
from web.desk import Desk

SANDBOX = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""A mail is somebody's HTML: it is shown alone, without scripts, and neither fetches nor posts anything."""
MOST_BYTES = 20_000
"""Of a webhook call: those of ours are smaller."""
MOST_SHOWN = 200
MAIL, HOOK = "/dev/mail", "/dev/hook"


@dataclass(frozen=True)
class InboxLine:
    """One mail or call in the list."""

    when: Annotated[str, "when it was ordered, as it says itself"]
    whom: Annotated[str, "whom it went to, or its message id"]
    what: Annotated[str, "its subject"]
    href: Annotated[str, "where to read it; empty: nowhere"]


@dataclass(frozen=True)
class InboxPage:
    """Everything that was sent."""

    frame: Annotated[Frame, "around the page"]
    mails: Annotated[tuple[InboxLine, ...], "the newest first"]
    calls: Annotated[tuple[InboxLine, ...], "the newest first"]


@dataclass(frozen=True)
class MailPage:
    """One mail."""

    frame: Annotated[Frame, "around the page"]
    headers: Annotated[tuple[tuple[str, str], ...], "name and value, in order"]
    body_path: Annotated[str, "where its HTML stands alone"]
    text: Annotated[str, "its plain part"]


Number = Annotated[int, Path(ge=1, le=10**9)]


def create_inbox_router(desk: Desk, inbox: Inbox) -> APIRouter:
    """The demo's pages of what was sent, and the address that its own webhook calls."""
    router = APIRouter(include_in_schema=False)

    @router.get(MAIL)
    def list_mails() -> Response:
        """All mails and calls."""
        with asking(desk.engine) as session:
            around = desk.frame(session, MAIL, "What the demo sent")
        mails = tuple(_mail_line(one) for one in inbox.mails()[:MOST_SHOWN])
        calls = tuple(_call_line(one) for one in inbox.calls()[:MOST_SHOWN])
        return desk.answer("inbox.html", InboxPage(around, mails, calls))

    @router.get(MAIL + "/{number}")
    def show_mail(number: Number) -> Response:
        """One mail with its headers."""
        mail = find_mail(inbox, number)
        with asking(desk.engine) as session:
            around = desk.frame(session, f"{MAIL}/{number}", subject_of(mail))
        headers = tuple((name, str(value)) for name, value in mail.items())
        return desk.answer("inbox_mail.html", MailPage(around, headers, f"{MAIL}/{number}/body", text_of(mail)))

    @router.get(MAIL + "/{number}/body")
    def show_body(number: Number) -> Response:
        """Its HTML alone."""
        body = html_of(find_mail(inbox, number))
        return Response(body, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": SANDBOX})

    @router.post(HOOK)
    async def take_call(request: Request) -> Response:
        """The demo's webhook."""
        answer = inbox.take_call(request.headers.get("webhook-id", ""), await read_call(request))
        return Response(answer, media_type="text/plain")

    return router


async def read_call(request: Request) -> bytes:
    """What was posted; raises 413 where it is larger than any call of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
    return body


def find_mail(inbox: Inbox, number: int) -> EmailMessage:
    """A mail by its number; raises 404."""
    found = next((one.mail for one in inbox.mails() if one.number == number), None)
    if found is None:
        raise HTTPException(404)
    return found


def text_of(mail: EmailMessage) -> str:
    """The plain part."""
    part = mail.get_body(("plain",))
    return str(part.get_content()) if part is not None else ""


def html_of(mail: EmailMessage) -> str:
    """The HTML part with its picture inside; links open beside the page that shows it."""
    part = mail.get_body(("html",))
    text = str(part.get_content()) if part is not None else ""
    for picture in mail.walk():
        name = str(picture.get("Content-ID", "")).strip("<>")
        if name and picture.get_content_maintype() == "image":
            data = base64.b64encode(picture.get_payload(decode=True) or b"").decode()  # type: ignore[arg-type]
            text = text.replace(f"cid:{name}", f"data:{picture.get_content_type()};base64,{data}")
    return text.replace("<head>", '<head><base target="_blank">', 1)


def subject_of(mail: EmailMessage) -> str:
    """Its subject, or that it has none."""
    return str(mail.get("Subject", "")) or "no subject"


def _mail_line(one: CaughtMail) -> InboxLine:
    mail = one.mail
    when = _when(getattr(mail["Date"], "datetime", None))
    return InboxLine(when=when, whom=str(mail.get("To", "")), what=subject_of(mail), href=f"{MAIL}/{one.number}")


def _call_line(one: CaughtCall) -> InboxLine:
    try:
        said = json.loads(one.body)
        what = str(said.get("data", {}).get("subject") or said.get("type", ""))
        when = _when(datetime.fromisoformat(said["timestamp"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        what, when = "no call of ours", ""
    return InboxLine(when=when, whom=one.message_id, what=what, href="")


def _when(time: datetime | None) -> str:
    return "" if time is None else format_time(time.astimezone(UTC))
