"""Sending by SMTP against real servers: what is taken, what is refused for good, and what may work later."""

import smtplib
import ssl
from datetime import timedelta
from urllib.parse import quote

import pytest
import trustme

from alerts.channel import ChannelError, Chart
from alerts.channels.email import EmailChannel, SmtpTarget
from ledger.kinds import Purpose
from tests.rigs.mail import (
    COVERAGE_LOW,
    DIGEST,
    LOGIN,
    MESSAGE_ID,
    ORDERED,
    READER,
    SENDER,
    MailServer,
    changed,
    draw_png,
    html_of,
    parcel,
    question,
    text_of,
)

MALFORMED = (
    "",
    "nobody",
    "@mail.example",
    "a@",
    "a@b@c.example",
    "a..b@mail.example",
    "a@mail..example",
    "a@mail.example, b@mail.example",
    "a@mail.example\r\nBcc: b@mail.example",
    "A\nBcc: b@mail.example <a@mail.example>",
    "a@\u202email.example",
    "é@mail.example",
    "a@" + 64 * "x" + ".example",
)
BOUNCES = "bounces@returns.backstop.example"


def channel_to(
    server: MailServer, *, login: tuple[str, str] | None = None, scheme: str = "smtp", **options: object
) -> EmailChannel:
    """A channel to a server, logging in if asked to; it sends five seconds after a message was ordered."""
    place = server.url.removeprefix("smtp://")
    url = f"{scheme}://{':'.join(quote(word, safe='') for word in login)}@{place}" if login else f"{scheme}://{place}"
    chart: Chart | None = options.pop("chart", None)  # type: ignore[assignment]
    clock = lambda: ORDERED + timedelta(seconds=5)  # noqa: E731
    return EmailChannel(SmtpTarget.parse(url), SENDER, chart, clock, **options)  # type: ignore[arg-type]


async def refusal(channel: EmailChannel, **fields: object) -> ChannelError:
    """The error of a send that fails."""
    with pytest.raises(ChannelError) as caught:
        await channel.send(parcel(**fields))  # type: ignore[arg-type]
    return caught.value


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who certifies the servers of these tests."""
    return trustme.CA()


@pytest.fixture(scope="module")
def serving(authority: trustme.CA) -> ssl.SSLContext:
    """What a server encrypts with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What a client that trusts the authority checks with."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_mail_arrives_as_it_was_built() -> None:
    with MailServer() as server:
        receipt = await channel_to(server, chart=lambda _slug: draw_png(64, 32)).send(parcel())
    (caught,) = server.messages
    assert receipt.answer == "250 2.0.0 Ok: kept as 1"
    assert (caught.sender, caught.recipients) == ("alerts@backstop.example", (READER,))
    assert not [part.defects for part in caught.mail.walk() if part.defects]
    assert caught.mail["Message-ID"] == f"<{MESSAGE_ID}@backstop.example>"
    assert caught.mail["Subject"] == COVERAGE_LOW.subject
    assert "1.12× → 0.71× (threshold: below 1.00×)" in text_of(caught.mail)
    assert "data:image/png;base64," in html_of(caught.mail)


async def test_a_line_that_is_only_a_dot_ends_nothing() -> None:
    with MailServer() as server:
        await channel_to(server).send(parcel(changed(COVERAGE_LOW, next_steps=".\n.\nand more")))
    assert ". . and more" in text_of(server.messages[0].mail)


async def test_bounces_come_back_to_an_address_that_names_the_message() -> None:
    with MailServer() as server:
        await channel_to(server, bounces=BOUNCES).send(parcel())
    assert server.messages[0].sender == f"bounces+{MESSAGE_ID}@returns.backstop.example"


async def test_only_a_message_about_a_fund_asks_for_its_chart() -> None:
    asked: list[str] = []
    with MailServer() as server:
        channel = channel_to(server, chart=asked.append)
        for one in (parcel(), parcel(DIGEST), question(), parcel(None, Purpose.TEST)):
            await channel.send(one)
    assert asked == ["example-perpetuals"]
    assert [caught.number for caught in server.messages] == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("step", "answer", "is_permanent"),
    [
        ("RCPT", "550 5.1.1 No such user here", True),
        ("RCPT", "550 No such user here", True),
        ("RCPT", "551 5.1.6 The user has moved", True),
        ("RCPT", "553 5.1.3 Bad syntax of the mailbox", True),
        ("RCPT", "556 5.1.10 The domain takes no mail", True),
        ("RCPT", "550 5.2.1 This mailbox is switched off", True),
        ("RCPT", "451 4.7.1 Greylisted, come back in 5 minutes", False),
        ("RCPT", "450 4.1.1 Unknown for the moment", False),
        ("RCPT", "452 4.2.2 Mailbox full", False),
        ("RCPT", "552 5.2.2 Mailbox full", False),
        ("RCPT", "552 Mailbox full", False),
        ("RCPT", "550 5.7.1 Your network is on a list of ours", False),
        ("RCPT", "550 5.7.26 Unauthenticated mail is not taken", False),
        ("RCPT", "554 5.7.1 Relaying denied", False),
        ("RCPT", "554 Transaction failed", False),
        ("RCPT", "550 5.1.8 The domain of the sender does not exist", False),
        ("DATA", "550 5.1.1 No such user here", True),
        ("DATA", "550 High probability of spam", False),
        ("DATA", "554 5.7.1 Message contains a forbidden link", False),
        ("DATA", "451 4.3.0 Out of memory", False),
        ("MAIL", "550 5.1.1 Sender unknown", False),
        ("MAIL", "553 5.7.1 Sender not owned by user", False),
        ("MAIL", "421 4.3.2 Shutting down", False),
    ],
)
async def test_an_address_is_given_up_only_where_the_server_says_that_it_is_the_address(
    step: str, answer: str, is_permanent: bool
) -> None:
    with MailServer({step: answer}) as server:
        error = await refusal(channel_to(server))
    assert error.permanent is is_permanent
    assert answer in str(error)
    assert server.messages == ()


async def test_a_server_that_hangs_up_after_it_took_the_mail_took_it() -> None:
    with MailServer(last_answer="250 2.0.0 Ok: kept") as server:
        receipt = await channel_to(server).send(parcel())
    assert receipt.answer == "250 2.0.0 Ok: kept as 1"
    assert len(server.messages) == 1


@pytest.mark.parametrize("last_answer", ["220", "250 2.1.0", "250 2.1.5", "354"])
async def test_a_server_that_hangs_up_before_is_tried_again(last_answer: str) -> None:
    with MailServer(last_answer=last_answer) as server:
        error = await refusal(channel_to(server))
    assert not error.permanent
    assert str(error).startswith("the mail server cannot be reached: ")
    assert server.messages == ()


async def test_a_server_that_is_down_is_tried_again() -> None:
    with MailServer() as server:
        channel = channel_to(server)
    error = await refusal(channel)
    assert not error.permanent
    assert "cannot be reached" in str(error)


async def test_a_server_that_falls_silent_is_not_waited_for() -> None:
    with MailServer(is_silent=True) as server:
        error = await refusal(channel_to(server, limit_seconds=0.3))
    assert (str(error), error.permanent) == ("the mail server did not answer within 0.3 seconds", False)


async def test_a_malformed_address_is_given_up_without_asking_the_server() -> None:
    with MailServer() as server:
        channel = channel_to(server)
    for address in MALFORMED:
        error = await refusal(channel, address=address)
        assert error.permanent
        assert "is no e-mail address" in str(error)


async def test_a_domain_with_umlauts_is_sent_in_its_ascii_form() -> None:
    with MailServer() as server:
        await channel_to(server).send(parcel(address="leser@bücher.example"))
    assert server.messages[0].recipients == ("leser@xn--bcher-kva.example",)
    assert server.messages[0].mail["To"] == "leser@xn--bcher-kva.example"


async def test_starttls_is_used_where_it_is_offered_and_a_login_goes_through_it(
    serving: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with MailServer(tls_context=serving, require_starttls=True, auth_required=True) as server:
        await channel_to(server, login=LOGIN, tls=trusting).send(parcel())
        await channel_to(server, login=LOGIN).send(parcel())  # This machine's own certificate is not checked.
    assert server.logins == [LOGIN, LOGIN]
    assert len(server.messages) == 2


async def test_starttls_is_used_without_a_login_too(serving: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with MailServer(tls_context=serving, require_starttls=True) as server:
        await channel_to(server, tls=trusting).send(parcel())
    assert len(server.messages) == 1


async def test_smtps_encrypts_from_the_first_byte(serving: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with MailServer(ssl_context=serving, auth_require_tls=False) as server:
        await channel_to(server, scheme="smtps", login=LOGIN, tls=trusting).send(parcel())
        error = await refusal(channel_to(server, limit_seconds=0.3))
    assert server.logins == [LOGIN]
    assert len(server.messages) == 1
    assert not error.permanent


async def test_a_password_is_not_sent_in_the_clear() -> None:
    with MailServer(auth_require_tls=False) as server:
        error = await refusal(channel_to(server, login=LOGIN))
    assert "STARTTLS" in str(error)
    assert not error.permanent
    assert (server.logins, server.messages) == ([], ())


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_trusts_gets_neither_password_nor_mail(
    scheme: str, serving: ssl.SSLContext
) -> None:
    options = {"ssl_context": serving} if scheme == "smtps" else {"tls_context": serving}
    with MailServer(**options) as server:  # type: ignore[arg-type]
        error = await refusal(channel_to(server, scheme=scheme, login=LOGIN, tls=ssl.create_default_context()))
    assert "certificate verify failed" in str(error).lower().replace("_", " ")
    assert not error.permanent
    assert (server.logins, server.messages) == ([], ())


async def test_a_refused_login_is_ours_to_mend_and_tells_no_password(
    serving: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with MailServer(tls_context=serving) as server:
        error = await refusal(channel_to(server, login=("alerts", "wrong-password"), tls=trusting))
    assert str(error).startswith("the mail server refused our login: 535 5.7.8")
    assert not error.permanent
    assert "wrong-password" not in str(error)


def test_the_catcher_keeps_the_newest_two_hundred() -> None:
    with MailServer() as server:
        host, port = server.url.removeprefix("smtp://").split(":")
        with smtplib.SMTP(host, int(port), local_hostname="localhost") as client:
            for number in range(203):
                client.sendmail("a@mail.example", [READER], f"Subject: {number}\r\n\r\n")
    assert [caught.number for caught in server.messages] == list(range(203, 3, -1))
    assert server.messages[0].mail["Subject"] == "202"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("smtp://127.0.0.1:2525", SmtpTarget("127.0.0.1", 2525)),
        ("smtp://mail.example", SmtpTarget("mail.example", 25)),
        ("smtp://me:word@mail.example", SmtpTarget("mail.example", 587, "me", "word")),
        ("smtps://mail.example/", SmtpTarget("mail.example", 465, is_tls=True)),
        (
            "smtps://me%40x.example:a%3Ab%2Fc@mail.example:4650",
            SmtpTarget("mail.example", 4650, "me@x.example", "a:b/c", True),
        ),
        ("smtp://[::1]:2525", SmtpTarget("::1", 2525)),
    ],
)
def test_the_address_of_a_server_is_read(url: str, target: SmtpTarget) -> None:
    assert SmtpTarget.parse(url) == target
    assert "word" not in repr(SmtpTarget.parse(url)).replace("password", "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://me@mail.example",
        "smtp://:word@mail.example",
        "smtp://mail.example:port",
        "smtp://mail.example:99999",
        "smtp://mail.example/path",
        "smtp://mail.example?tls=no",
        "smtp://[::1",
        "smtp://me:secret/word@mail.example",
    ],
)
def test_a_wrong_address_of_a_server_is_refused_with_a_sentence_that_tells_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="the address of the mail server") as caught:
        SmtpTarget.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("field", ["sender", "bounces"])
def test_a_sender_that_is_no_address_is_refused_at_once(field: str) -> None:
    mailboxes = {"sender": SENDER, "bounces": BOUNCES, field: "Backstop"}
    target = SmtpTarget("127.0.0.1", 25)
    with pytest.raises(ValueError, match="'Backstop' is no e-mail address"):
        EmailChannel(target, mailboxes["sender"], None, lambda: ORDERED, bounces=mailboxes["bounces"])
