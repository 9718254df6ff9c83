"""Reports of mail servers and mailbox providers: which address takes no mail any more, or no mail of ours."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser

from alerts.rendering import neutralise

LARGEST_REPORT = 4_000_000
"""Bytes: a report may carry the whole mail it is about, chart included."""
NESTING_TYPE = re.compile(rb"(?:multipart|message)/", re.I)
MOST_NESTING_TYPES = 100
"""Types named in a report whose parts may have parts: seven, where it carries the whole mail it is about. The parser
goes into each by a call of its own, so thousands of them would exhaust the stack."""
LONGEST_REASON = 300
MESSAGE_ID = re.compile(r"msg_[0-9a-f]{32}", re.I)
ENHANCED_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
DEAD_SUBJECTS = {"1.0", "1.1", "1.2", "1.3", "1.4", "1.6", "1.10", "2.0", "2.1", "4.1", "4.4"}
"""RFC 3463 details of class 5 that are about the address: no such mailbox (1.1), no such domain (1.2, 1.10, 4.4), moved
(1.6), switched off (2.1); 4.1 is what Microsoft answers for a mailbox it does not know. A full mailbox (2.2), the
sender (1.7, 1.8) and policies about senders and contents (7.x) are not."""
DEAD_REPLIES = {550, 551, 553, 556}
"""The same for replies that name no status. 552 is a full mailbox, 554 anything."""
UNDEFINED = "5.0.0"
"""What a server writes that was given no status itself."""
SMTP_REPLY = re.compile(r"smtp; *(\d{3})[ -](.*)", re.I)
LONGEST_FIELD = 1000
COMPLAINTS = {"abuse", "fraud", "opt-out"}
RETURNED_TO = ("To", "Delivered-To", "X-Original-To", "Envelope-To")
Parts = Mapping[str, Message]
"""Parts of the report by content type."""


@dataclass(frozen=True)
class Bounce:
    """What was reported about one of our mails."""

    message_id: str
    """Of the delivery."""
    recipient: str
    """As the report names it; empty where it hides it."""
    is_permanent: bool
    """Whether nothing should be sent there any more."""
    reason: str


def is_dead(code: int, answer: str) -> bool:
    """Whether an SMTP reply to a recipient says that the address is the trouble, for good."""
    has_status = ENHANCED_STATUS.match(answer) is not None
    return 500 <= code < 600 and (names_dead_address(answer) if has_status else code in DEAD_REPLIES)


def names_dead_address(answer: str) -> bool:
    """Whether it begins with a status that says so, such as 5.1.1."""
    found = ENHANCED_STATUS.match(answer)
    return found is not None and found[1] == "5" and f"{int(found[2])}.{int(found[3])}" in DEAD_SUBJECTS


def read_bounce(raw: bytes) -> Bounce | None:
    """The report in a mail that came back; None: it is no report of a failure or of a complaint.

    ValueError: it is one, but nobody can say of which of our mails.
    """
    if len(raw) > LARGEST_REPORT:
        raise ValueError(f"a report of {len(raw):,} bytes is none that a mail server writes")
    nesting = sum(1 for _ in NESTING_TYPE.finditer(raw))
    if nesting > MOST_NESTING_TYPES:
        raise ValueError(f"the parts of this mail cannot be told apart: {nesting:,} may have parts of their own")
    try:
        report = message_from_bytes(raw)
    except TypeError as error:  # A boundary in pieces that have no order.
        raise ValueError(f"the parts of this mail cannot be told apart: {error}") from error
    # Only parts of the report itself: a report that somebody forwards is his mail, no word of a server.
    parts = {part.get_content_type(): part for part in _children(report)}
    if report.get_content_type() != "multipart/report":
        return None
    if "message/delivery-status" in parts:
        return _read_failure(report, parts)
    return _read_complaint(report, parts) if "message/feedback-report" in parts else None


def _read_failure(report: Message, parts: Parts) -> Bounce | None:
    """RFC 3464. A delay is no failure, and what was delivered or passed on is none either."""
    blocks = _children(parts["message/delivery-status"])
    failed = next((block for block in blocks if _field(block, "Action").lower() == "failed"), None)
    if failed is None:
        return None
    status, diagnosis = _field(failed, "Status"), _field(failed, "Diagnostic-Code")
    return Bounce(
        message_id=_find_message_id(report, parts, ""),
        recipient=_field(failed, "Final-Recipient").rpartition(";")[2].strip(),
        is_permanent=_is_dead_failure(status, diagnosis),
        reason=neutralise(f"{status} {diagnosis}", LONGEST_REASON),
    )


def _is_dead_failure(status: str, diagnosis: str) -> bool:
    reply = SMTP_REPLY.match(diagnosis)
    if status in ("", UNDEFINED) and reply is not None:
        return is_dead(int(reply[1]), reply[2])
    return names_dead_address(status)


def _read_complaint(report: Message, parts: Parts) -> Bounce | None:
    """RFC 5965: a reader pressed the button for spam. Whoever does that is sent nothing more."""
    fields = next(_children(parts["message/feedback-report"]), report)
    kind = _field(fields, "Feedback-Type").lower()
    if kind not in COMPLAINTS:
        return None
    return Bounce(
        message_id=_find_message_id(report, parts, _field(fields, "Original-Mail-From")),
        recipient=_field(fields, "Original-Rcpt-To").strip("<>"),
        is_permanent=True,
        reason=f"the mailbox provider passed on a complaint: {kind}",
    )


def _find_message_id(report: Message, parts: Parts, sender: str) -> str:
    """The address that the envelope named as its sender carries the id, and so does the mail that is returned."""
    returned = "".join(_returned_ids(parts))
    for text in (*(_field(report, name) for name in RETURNED_TO), sender, returned):
        found = MESSAGE_ID.search(text)
        if found is not None:
            return found[0].lower()
    raise ValueError("this report does not say which mail it is about: no message id of ours in it")


def _returned_ids(parts: Parts) -> Iterator[str]:
    if "message/rfc822" in parts:
        yield from (_field(mail, "Message-ID") for mail in _children(parts["message/rfc822"]))
    if "text/rfc822-headers" in parts:
        headers = parts["text/rfc822-headers"].get_payload(decode=True)
        yield _field(BytesHeaderParser().parsebytes(headers if isinstance(headers, bytes) else b""), "Message-ID")


def _children(part: Message) -> Iterator[Message]:
    payload = part.get_payload()
    return (child for child in payload if isinstance(child, Message)) if isinstance(payload, list) else iter(())


def _field(part: Message, name: str) -> str:
    """A field on one line; empty where it is missing."""
    return neutralise(str(part.get(name, "")), LONGEST_FIELD)
