"""What the demo sent, to look at: its mails and webhook calls. These pages exist only where an inbox is handed over."""

import base64
import json
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException

from ledger.pages import asking
from web.caught import CaughtCall, CaughtMail, Inbox
from web.contexts import Frame
from web.desk import Desk

SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A mail is somebody's HTML: it is shown alone, without scripts, and fetches nothing."""
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
            around = desk.frame(session, f"{MAIL}/{number}", str(mail["Subject"]))
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
        answer = inbox.take_call(request.headers.get("webhook-id", ""), await request.body())
        return Response(answer, media_type="text/plain")

    return router


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


def _mail_line(one: CaughtMail) -> InboxLine:
    mail = one.mail
    return InboxLine(
        when=str(mail["Date"]), whom=str(mail["To"]), what=str(mail["Subject"]), href=f"{MAIL}/{one.number}"
    )


def _call_line(one: CaughtCall) -> InboxLine:
    try:
        said = json.loads(one.body)
        what = str(said.get("data", {}).get("subject") or said.get("type", ""))
        when = str(said.get("timestamp", ""))
    except (ValueError, AttributeError):
        what, when = "no JSON", ""
    return InboxLine(when=when, whom=one.message_id, what=what, href="")
