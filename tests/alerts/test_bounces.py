"""Reports about our mails: which of them switch an address off, which do not, and what nobody can read."""

from email import message_from_bytes
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.bounces import LARGEST_REPORT, Bounce, is_dead, read_bounce
from tests.rigs.mail import MESSAGE_ID, draw_png, mail_of, parcel

VERP = f"bounces+{MESSAGE_ID}@returns.backstop.example"
READER = "reader@mail.example"


def report(
    *parts: str, to: str = VERP, kind: str = "delivery-status", sender: str = "MAILER-DAEMON@mx.mail.example"
) -> bytes:
    """A multipart/report of these parts, as a mail server writes it."""
    lines = [
        "Return-Path: <>",
        f"From: Mail Delivery System <{sender}>",
        f"To: {to}",
        "Subject: Undelivered Mail Returned to Sender",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind}; boundary="=_7f3"',
        "",
        "--=_7f3\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nI'm sorry to have to inform you …",
        *(f"--=_7f3\r\n{part}" for part in parts),
        "--=_7f3--",
        "",
    ]
    return "\r\n".join(lines).encode()


def status(code: str = "5.1.1", diagnosis: str = "", action: str = "failed") -> str:
    """The part of RFC 3464; a long diagnosis is folded, as servers do."""
    return (
        "Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.backstop.example\r\nX-Postfix-Queue-ID: 4Zb7\r\n\r\n"
        f"Final-Recipient: rfc822; {READER}\r\nOriginal-Recipient: rfc822;{READER}\r\nAction: {action}\r\n"
        f"Status: {code}\r\nRemote-MTA: dns; mx.mail.example\r\nDiagnostic-Code: {diagnosis}\r\n"
    )


def complaint(kind: str = "abuse", more: str = "") -> str:
    """The part of RFC 5965."""
    return (
        "Content-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {kind}\r\nUser-Agent: Feedback/1.0\r\nVersion: 1\r\n{more}"
        f"Original-Rcpt-To: <{READER}>\r\nArrival-Date: Fri, 14 Mar 2025 17:02:36 +0000\r\n"
    )


def returned(*, is_whole: bool) -> str:
    """The mail that the report is about, or its headers alone."""
    whole = mail_of(parcel(), chart=draw_png(64, 32)).as_bytes().decode()
    if is_whole:
        return f"Content-Type: message/rfc822\r\n\r\n{whole}"
    return "Content-Type: text/rfc822-headers\r\n\r\n" + whole.partition("\r\n\r\n")[0] + "\r\n"


def test_an_unknown_mailbox_is_a_permanent_bounce() -> None:
    diagnosis = f"smtp; 550 5.1.1 <{READER}>: Recipient address\r\n    rejected: User unknown in virtual mailbox table"
    assert read_bounce(report(status("5.1.1", diagnosis), returned(is_whole=True))) == Bounce(
        message_id=MESSAGE_ID,
        recipient=READER,
        is_permanent=True,
        reason=f"5.1.1 smtp; 550 5.1.1 <{READER}>: Recipient address rejected: User unknown in virtual mailbox table",
    )


@pytest.mark.parametrize(
    ("code", "diagnosis", "is_permanent"),
    [
        ("5.1.2", "", True),
        ("5.1.10", "smtp; 556 5.1.10 Domain takes no mail", True),
        ("5.2.1", "smtp; 550 5.2.1 Mailbox disabled", True),
        ("5.4.4", "X-Postfix; Host or domain name not found", True),
        ("5.0.0", "smtp; 550 User unknown", True),
        ("5.0.0", "smtp; 550-5.1.1 The email account that you tried to reach does not exist", True),
        ("", "smtp; 550 5.1.1 User unknown", True),
        ("5.0.0", "smtp; 554 rejected", False),
        ("5.0.0", "", False),
        ("5.2.2", "smtp; 552 5.2.2 Mailbox full", False),
        ("5.3.4", "smtp; 552 5.3.4 Message too big", False),
        ("5.4.7", "smtp; 550 5.4.7 Delivery expired", False),
        ("5.7.1", "smtp; 550 5.7.1 Message rejected as spam", False),
        ("4.4.1", "X-Postfix; connect to mx.mail.example[192.0.2.1]:25: Connection timed out", False),
        ("4.2.2", "smtp; 452 4.2.2 Mailbox full", False),
        ("nonsense", "smtp; 550 User unknown", False),
    ],
)
def test_only_what_is_about_the_address_and_for_good_is_permanent(
    code: str, diagnosis: str, is_permanent: bool
) -> None:
    bounce = read_bounce(report(status(code, diagnosis)))
    assert bounce is not None
    assert bounce.is_permanent is is_permanent
    assert bounce.reason == f"{code} {diagnosis}".strip()


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded", ""])
def test_what_did_not_fail_is_no_bounce(action: str) -> None:
    assert read_bounce(report(status("4.4.1", action=action))) is None


@pytest.mark.parametrize(
    "raw",
    [
        report(status(), to=f"Backstop <{VERP}>"),
        report(status(), to="postmaster@backstop.example").replace(b"To:", f"Delivered-To: {VERP}\r\nTo:".encode(), 1),
        report(status(), to=VERP.upper()),
        report(status(), returned(is_whole=True), to="alerts@backstop.example"),
        report(status(), returned(is_whole=False), to="alerts@backstop.example"),
    ],
)
def test_the_message_is_known_by_the_address_or_by_the_mail_that_came_back(raw: bytes) -> None:
    bounce = read_bounce(raw)
    assert bounce is not None
    assert bounce.message_id == MESSAGE_ID


def test_a_report_about_another_mail_says_so() -> None:
    other = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <1234@elsewhere.example>\r\n\r\nHello"
    with pytest.raises(ValueError, match="does not say which mail it is about"):
        read_bounce(report(status(), other, to="alerts@backstop.example"))


@pytest.mark.parametrize("kind", ["abuse", "Fraud", "opt-out"])
def test_a_complaint_is_permanent(kind: str) -> None:
    raw = report(complaint(kind), returned(is_whole=True), to="complaints@backstop.example", kind="feedback-report")
    assert read_bounce(raw) == Bounce(
        MESSAGE_ID, READER, True, f"the mailbox provider passed on a complaint: {kind.lower()}"
    )


def test_a_complaint_without_the_mail_is_known_by_its_envelope() -> None:
    part = complaint(more=f"Original-Mail-From: <{VERP}>\r\n")
    bounce = read_bounce(report(part, to="complaints@backstop.example", kind="feedback-report"))
    assert bounce is not None
    assert bounce.message_id == MESSAGE_ID


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", ""])
def test_other_feedback_is_no_complaint(kind: str) -> None:
    assert read_bounce(report(complaint(kind), returned(is_whole=True), kind="feedback-report")) is None


def forwarded(raw: bytes) -> bytes:
    """A mail with a report attached."""
    mail = EmailMessage()
    mail["To"] = VERP
    mail.set_content("Look what I got")
    mail.add_attachment(message_from_bytes(raw))  # type: ignore[arg-type]
    return mail.as_bytes()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"\x00\xff" * 500,
        f"To: {VERP}\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nBack on Monday".encode(),
        mail_of(parcel()).as_bytes(),
        report(),
        b"Content-Type: multipart/report\r\n\r\nno boundary",
        b"Content-Type: message/delivery-status\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        report("Content-Type: message/delivery-status\r\n\r\n"),
        report("Content-Type: message/feedback-report\r\n\r\n", kind="feedback-report"),
    ],
)
def test_what_is_no_report_is_none(raw: bytes) -> None:
    assert read_bounce(raw) is None


def test_a_report_that_somebody_forwards_is_no_word_of_a_server() -> None:
    assert read_bounce(report(status())) is not None
    assert read_bounce(forwarded(report(status()))) is None


def test_what_is_too_large_or_too_tangled_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="a report of 4,000,001 bytes"):
        read_bounce(b"x" * (LARGEST_REPORT + 1))
    deep = "".join(f'Content-Type: multipart/mixed; boundary="{place}"\r\n\r\n--{place}\r\n' for place in range(2_000))
    pieces = b"Content-Type: multipart/report; boundary*0*=utf-8''x; boundary*=utf-8''y\r\n\r\n--x"
    for raw in (deep.encode(), pieces):
        with pytest.raises(ValueError, match="the parts of this mail cannot be told apart"):
            read_bounce(raw)


def test_reasons_are_one_short_harmless_line() -> None:
    bounce = read_bounce(report(status("5.1.1", "smtp; 550 5.1.1 \x1b[31mred\u202e " + "very " * 200)))
    assert bounce is not None
    assert len(bounce.reason) <= 300
    assert bounce.reason.startswith("5.1.1 smtp; 550 5.1.1 [31mred")


WHOLE = report(status("5.1.1", "smtp; 550 5.1.1 User unknown"), returned(is_whole=False))


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=6)), max_size=12))
def test_a_damaged_report_is_read_refused_or_ignored_but_breaks_nothing(damages: list[tuple[int, bytes]]) -> None:
    raw = bytearray(WHOLE)
    for place, piece in damages:
        raw[place : place + 3] = piece
    try:
        bounce = read_bounce(bytes(raw))
    except ValueError as error:
        assert str(error)  # noqa: PT017
    else:
        assert bounce is None or bounce.message_id.startswith("msg_")


@given(st.binary(max_size=300))
def test_any_bytes_break_nothing(raw: bytes) -> None:
    head = b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n"
    for whole in (raw, head + raw, head.replace(b"delivery-status", b"feedback-report") + raw):
        try:
            assert read_bounce(whole) is None
        except ValueError as error:
            assert str(error)  # noqa: PT017


def test_a_reply_without_a_status_is_judged_by_its_code() -> None:
    assert [code for code in range(200, 600) if is_dead(code, "no words")] == [550, 551, 553, 556]
    assert not is_dead(450, "5.1.1 contradicts itself")
