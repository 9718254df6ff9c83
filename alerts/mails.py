"""A parcel to a MIME message: headers to thread, filter and unsubscribe by; text, HTML and the chart."""

import re
from datetime import datetime
from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UniqueUnstructuredHeader, UnstructuredHeader
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, EmailPolicy, Policy
from functools import cache
from uuid import NAMESPACE_URL, uuid5

from alerts.channel import Parcel
from alerts.letters import write_letter
from alerts.rendering import find_href, render_html, render_text
from ledger.kinds import Purpose

LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII | re.IGNORECASE)
SUBSCRIBED = (Purpose.ALERT, Purpose.TEST)
"""What comes because somebody subscribed; the rest answers a form."""


class WholeHeader(UnstructuredHeader, BaseHeader):
    """A header of ids or addresses, which the standard library would make an encoded word of when it is long."""

    def fold(self, *, policy: Policy) -> str:
        """On one line; RFC 5322 allows 998 characters."""
        return f"{self.name}: {self}{policy.linesep}"


class WholeSubject(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc]  # As the registry combines them.
    """A subject that arrives as it was written: the standard library loses and doubles spaces between encoded words."""

    def fold(self, *, policy: Policy) -> str:
        """Encoded as a whole where it is not ASCII."""
        if self.isascii():
            return super().fold(policy=policy)
        encoded = Header(str(self), "utf-8", header_name=self.name).encode(linesep=policy.linesep)
        return f"{self.name}: {encoded}{policy.linesep}"


@cache
def mail_policy() -> "EmailPolicy[EmailMessage]":
    """How our mails are written."""
    registry = HeaderRegistry()
    for name in ("References", "In-Reply-To", "List-Unsubscribe"):
        registry.map_to_type(name, WholeHeader)
    registry.map_to_type("Subject", WholeSubject)
    return SMTP.clone(header_factory=registry)


def parse_mailbox(text: str) -> Address:
    """Name <local@domain>, or the address alone, its domain in ASCII; ValueError for what no mail can be sent to."""
    name, bracket, rest = text.rpartition("<")
    local, _, domain = (rest.removesuffix(">") if bracket else rest).rpartition("@")
    try:
        mailbox = Address(name.strip().strip('"'), local, domain.encode("idna").decode())
    except ValueError as error:
        raise ValueError(f"{text!r} is no e-mail address: {error}") from error
    if not LOCAL_PART.fullmatch(mailbox.username) or not DOMAIN.fullmatch(mailbox.domain):
        raise ValueError(f"{text!r} is no e-mail address that we can send to: write name@example.org")
    return mailbox


def build_mail(parcel: Parcel, *, sender: str, chart: bytes | None, attempt_time: datetime) -> EmailMessage:
    """The mail of a parcel; ValueError for an address or a parcel that no mail can be made of."""
    origin = parse_mailbox(sender)
    picture = f"{parcel.message_id}.chart@{origin.domain}" if chart is not None else ""
    letter = write_letter(parcel, attempt_time=attempt_time, picture=picture)
    mail = EmailMessage(mail_policy())
    mail["Subject"] = letter.subject
    mail["From"] = origin
    mail["To"] = parse_mailbox(parcel.address)
    mail["Date"] = parcel.created_at
    mail["Message-ID"] = f"<{parcel.message_id}@{origin.domain}>"
    _add_list_headers(mail, parcel, origin.domain)
    # Quoted-printable keeps every line short and every sign ASCII, whatever servers stand on the way.
    words = {**letter.context, "subject": letter.subject}
    mail.set_content(render_text(letter.template, **words), cte="quoted-printable")
    mail.add_alternative(render_html(letter.template, **words), subtype="html", cte="quoted-printable")
    if chart is not None:
        _add_chart(mail, chart, picture)
    return mail


def _add_list_headers(mail: EmailMessage, parcel: Parcel, domain: str) -> None:
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if parcel.purpose in SUBSCRIBED:
        mail["List-Id"] = f"Backstop alerts <alerts.{domain}>"
    unsubscribe = find_href(parcel.links.unsubscribe, parcel.links.site)
    if unsubscribe is not None:
        mail["List-Unsubscribe"] = f"<{unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if parcel.message is not None and parcel.message.episode:
        # No mail has this id. Mails that name the same one are a thread, whichever of them arrived.
        root = f"<{uuid5(NAMESPACE_URL, f'backstop:{parcel.message.episode}')}@{domain}>"
        mail["In-Reply-To"] = root
        mail["References"] = root


def _add_chart(mail: EmailMessage, chart: bytes, picture: str) -> None:
    html = mail.get_body(("html",))
    assert isinstance(html, MIMEPart)  # It was added just now.
    html.add_related(chart, "image", "png", cid=f"<{picture}>", disposition="inline", filename="balance.png")
