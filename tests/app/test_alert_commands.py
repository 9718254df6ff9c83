"""`backstop alert …` as a person uses it: a test message, what was sent, once more, and what came back."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from alerts.catcher import MailCatcher
from app.cli import cli
from app.failures import Exit
from app.settings import Settings
from ledger.clock import system_clock
from ledger.database import open_engine, reading, writing
from ledger.kinds import DeliveryState, EndpointKind, EndpointStatus, Purpose
from ledger.outbox import end_delivery, order, order_alert
from ledger.tables import Attempt, Delivery, Endpoint
from tests.rigs.catcher import Catcher, Reply
from tests.rigs.outbox_rows import NOW, add_endpoint, add_funds, make_alert
from tests.rigs.postbox import Postbox, Simulated, opened_sender

# Apprise imports a module of the standard library that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

READER = "reader@example.org"
SITE = "https://backstop.example"
NOBODY = "smtp://127.0.0.1:1"
Backstop = Callable[..., Result]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with funds, and nobody who listens."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        add_funds(session)
    yield opened
    opened.dispose()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backstop]:
    """Runs a command of `backstop alert` in an empty directory with the variables given; logging as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BACKSTOP_{name.upper()}", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    yield lambda *words, stdin=b"", **variables: CliRunner().invoke(cli, ["alert", *words], env=variables, input=stdin)
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def backstop(bare: Backstop, engine: Engine) -> Backstop:
    """The same on the ledger."""
    url = engine.url.render_as_string(hide_password=False)
    return lambda *words, stdin=b"", **given: bare(*words, stdin=stdin, BACKSTOP_DATABASE_URL=url, **given)


def error_line(result: Result) -> str:
    """The one line that a failed command ends in."""
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.output
    return lines[0].removeprefix("error: ")


def test_a_test_mail_arrives_and_the_servers_answer_is_said(bare: Backstop) -> None:
    with MailCatcher() as post:
        done = bare("test", READER, BACKSTOP_SMTP_URL=post.url, BACKSTOP_PUBLIC_URL=SITE)
        (caught,) = post.messages
    assert done.exit_code == 0, done.output
    assert f"{READER} took the test: 250 2.0.0 Ok: kept as 1" in done.stderr
    assert caught.recipients == (READER,)
    assert caught.mail["From"] == "Backstop <alerts@localhost>"
    assert caught.mail["List-Unsubscribe"] is None, "whoever tests is not subscribed"


def test_a_test_of_an_operators_channel_arrives(bare: Backstop) -> None:
    with Catcher() as chat:
        urls = json.dumps({"on-call": f"json://127.0.0.1:{chat.port}/s3cret"})
        done = bare("test", "on-call", BACKSTOP_OPERATOR_URLS=urls)
        (caught,) = chat.caught
    assert done.exit_code == 0, done.output
    assert "on-call took the test: taken" in done.stderr
    assert "s3cret" not in done.output
    assert json.loads(caught.body)["message"] == "A test message of Backstop."


@pytest.mark.parametrize(
    ("channel", "given", "line"),
    [
        (READER, {"BACKSTOP_SMTP_URL": NOBODY}, f"{READER} did not take the test: the mail server cannot be reached: "),
        (
            "nobody",
            {"BACKSTOP_OPERATOR_URLS": '{"nobody": "json://127.0.0.1:1/s3cret"}'},
            "nobody did not take the test",
        ),
        ("no mailbox@example.org", {"BACKSTOP_SMTP_URL": NOBODY}, "no mailbox@example.org did not take the test: "),
    ],
)
def test_what_does_not_take_the_test_is_named_in_one_line(
    bare: Backstop, channel: str, given: dict[str, str], line: str
) -> None:
    done = bare("test", channel, BACKSTOP_PUBLIC_URL=SITE, **given)
    assert done.exit_code == Exit.INCOMPLETE, done.output
    assert error_line(done).startswith(line)
    assert "s3cret" not in done.output


def test_a_server_that_refuses_is_quoted(bare: Backstop) -> None:
    with Catcher() as chat:
        chat.replies(Reply(500))
        done = bare("test", "chat", BACKSTOP_OPERATOR_URLS=json.dumps({"chat": f"json://127.0.0.1:{chat.port}"}))
    assert done.exit_code == Exit.INCOMPLETE
    assert error_line(done).startswith("chat did not take the test: the channel chat did not take the message")


@pytest.mark.parametrize(
    ("channel", "given", "line"),
    [
        ("pager", {"BACKSTOP_OPERATOR_URLS": '{"chat": "json://127.0.0.1"}'}, "pager is no e-mail address, no webhook"),
        ("pager", {"BACKSTOP_OPERATOR_URLS": '{"chat": "json://127.0.0.1"}'}, "(known: chat)"),
        ("pager", {}, "(known: none)"),
        (READER, {}, "BACKSTOP_SMTP_URL is missing: name the server that sends mail"),
        (READER, {"BACKSTOP_SMTP_URL": NOBODY}, "BACKSTOP_PUBLIC_URL is missing"),
        (
            READER,
            {"BACKSTOP_SMTP_URL": "mail.example"},
            "BACKSTOP_SMTP_URL: the address of the mail server begins with",
        ),
        ("chat", {"BACKSTOP_OPERATOR_URLS": "slack://x"}, "BACKSTOP_OPERATOR_URLS cannot be read: write JSON"),
        ("chat", {"BACKSTOP_OPERATOR_URLS": '{"chat": "noway://s3cret"}'}, "BACKSTOP_OPERATOR_URLS: apprise does not"),
    ],
)
def test_a_name_or_setting_that_is_wrong_is_one_line_with_the_fix(
    bare: Backstop, channel: str, given: dict[str, str], line: str
) -> None:
    done = bare("test", channel, **given)
    assert done.exit_code == Exit.WRONG_USE, done.output
    assert line in error_line(done)
    assert "s3cret" not in done.output


def test_a_webhook_is_tested_only_where_somebody_entered_it(backstop: Backstop, engine: Engine) -> None:
    done = backstop("test", "https://hook.example/hook")
    assert done.exit_code == Exit.WRONG_USE
    assert error_line(done).startswith("nobody has entered https://hook.example/hook as a webhook")
    with writing(engine) as session:
        known = session.get_one(Endpoint, add_endpoint(session, "own"))
        known.address, known.secrets = "https://127.0.0.1/hook", ["whsec_" + "A" * 32]
    done = backstop("test", "https://127.0.0.1/hook")
    # It is signed and would be sent; but this machine is no public address, for tests either.
    assert done.exit_code == Exit.INCOMPLETE
    assert "public" in error_line(done)


def test_a_test_is_written_down_nowhere(backstop: Backstop, engine: Engine) -> None:
    with MailCatcher() as post:
        assert backstop("test", READER, BACKSTOP_SMTP_URL=post.url, BACKSTOP_PUBLIC_URL=SITE).exit_code == 0
    with reading(engine) as session:
        assert session.get(Delivery, 1) is None
        assert session.get(Endpoint, 1) is None


@pytest.mark.parametrize("words", [["list"], ["replay", "1"], ["test", "https://hook.example/"], ["bounce"]])
def test_without_a_database_the_commands_say_what_to_do(bare: Backstop, words: list[str], tmp_path: Path) -> None:
    done = bare(*words, stdin=bounced("msg_" + "0" * 32))
    assert done.exit_code == Exit.DATABASE, done.output
    assert "run `backstop db upgrade`" in error_line(done)
    assert not list(tmp_path.rglob("*.sqlite"))


@pytest.fixture
def sent(engine: Engine) -> dict[str, int]:
    """Three deliveries: one that waits, one that was sent, and one that failed; their ids."""
    with writing(engine) as session:
        mail = add_endpoint(session, "reader", kind=EndpointKind.EMAIL)
        alert = make_alert()
        order_alert(session, alert, now=NOW)
        ids = {"alert": 1, "waits": order(session, mail, Purpose.LINK, now=NOW)}
        ids["failed"] = order(session, mail, Purpose.CONFIRM, now=NOW)
        for name, state, reason in (
            ("alert", DeliveryState.SENT, ""),
            ("failed", DeliveryState.FAILED, "550 5.1.1 no such mailbox"),
        ):
            end_delivery(session.get_one(Delivery, ids[name]), state, reason, now=NOW)
            is_ok = state is DeliveryState.SENT
            session.add(Attempt(delivery_id=ids[name], number=1, began_at=NOW, seconds=0.1, is_ok=is_ok, answer=reason))
    return ids


def test_deliveries_are_listed_with_whom_they_go_to_and_how_they_stand(
    backstop: Backstop, sent: dict[str, int]
) -> None:
    done = backstop("list")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines() if re.match(r" *\d+ +email ", line)]
    assert [int(row[0]) for row in rows] == [sent["failed"], sent["waits"], sent["alert"]]
    assert "email reader@example.org" in done.stdout
    assert "waiting, due 2026-01-05 12:00 UTC" in done.stdout
    assert "failed: 550 5.1.1 no such mailbox" in done.stdout
    assert "[Short] Alpha: coverage 0.71× (was 1.12×), 17:00 UTC" in done.stdout
    few = backstop("list", "--limit", "1").stdout
    assert "confirm" in few
    assert "waiting" not in few


def test_only_what_was_given_up_is_listed_where_that_is_asked_for(backstop: Backstop, sent: dict[str, int]) -> None:
    done = backstop("list", "--failed")
    assert "550 5.1.1" in done.stdout
    assert "waiting" not in done.stdout
    assert f"{sent['waits']} " not in done.stdout


def test_an_empty_outbox_says_so(backstop: Backstop) -> None:
    assert "There are none." in backstop("list", "--failed").stderr


async def test_a_delivery_is_sent_once_more_under_its_old_id(
    backstop: Backstop, engine: Engine, sent: dict[str, int]
) -> None:
    with reading(engine) as session:
        old_id = session.get_one(Delivery, sent["alert"]).message_id
    done = backstop("replay", str(sent["alert"]))
    assert done.exit_code == 0, done.output
    assert f"Delivery {sent['alert']} is in the outbox again" in done.stderr
    post, clock = Postbox(), Simulated(system_clock() + timedelta(seconds=1))
    with opened_sender(engine, post, clock) as sender:
        await sender.drain()
    assert [one.message_id for one in post.parcels if one.message is not None] == [old_id]
    with reading(engine) as session:
        delivery = session.get_one(Delivery, sent["alert"])
        assert delivery.state == DeliveryState.SENT
        assert session.get(Attempt, (sent["alert"], 2)) is not None, "its attempts are counted on"


@pytest.mark.parametrize("which", ["waits", "nobody's"])
def test_what_has_not_ended_or_never_was_cannot_be_repeated(
    backstop: Backstop, sent: dict[str, int], which: str
) -> None:
    number = sent.get(which, 4711)
    done = backstop("replay", str(number))
    assert done.exit_code == Exit.WRONG_USE
    assert error_line(done) == f"there is no delivery {number} that has ended: backstop alert list shows them"


def bounced(message_id: str, status: str = "5.1.1", action: str = "failed") -> bytes:
    """What a mail server writes to the mailbox of bounces about a mail of ours (RFC 3464)."""
    return "\r\n".join(
        [
            "Return-Path: <>",
            "From: Mail Delivery System <MAILER-DAEMON@mx.example.org>",
            f"To: bounces+{message_id}@backstop.example",
            "Subject: Undelivered Mail Returned to Sender",
            'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
            "",
            "--b",
            "Content-Type: text/plain",
            "",
            "I'm sorry to have to inform you that your message could not be delivered.",
            "--b",
            "Content-Type: message/delivery-status",
            "",
            "Reporting-MTA: dns; mx.example.org",
            "",
            f"Final-Recipient: rfc822; {READER}",
            f"Action: {action}",
            f"Status: {status}",
            f"Diagnostic-Code: smtp; 550 {status} User unknown",
            "",
            "--b--",
            "",
        ]
    ).encode()


def status_of(engine: Engine) -> tuple[str, str]:
    """Whether mails go to the reader, and why not."""
    with reading(engine) as session:
        reader = session.get_one(Endpoint, 1)
        return reader.status, reader.status_reason


def test_a_final_report_switches_its_address_off(backstop: Backstop, engine: Engine, sent: dict[str, int]) -> None:
    with reading(engine) as session:
        message_id = session.get_one(Delivery, sent["alert"]).message_id
    done = backstop("bounce", stdin=bounced(message_id))
    assert (done.exit_code, done.stderr) == (0, "the address is switched off\n")
    status, reason = status_of(engine)
    assert status == EndpointStatus.DISABLED
    assert reason == "a mail came back: 5.1.1 smtp; 550 5.1.1 User unknown"
    assert f"failed: {reason}" in backstop("list", "--failed").stdout


@pytest.mark.parametrize(
    "mail",
    [
        b"From: someone@example.org\r\nSubject: hello\r\n\r\nA question about your site.\r\n",
        b"",
        b"\xff\xfe\x00",
        bounced("msg_" + "0" * 32),
        bounced("nothing of ours"),
        bounced("{sent}", status="4.2.2", action="delayed"),
        bounced("{sent}", status="5.2.2"),
    ],
    ids=["a question", "nothing", "bytes", "an unknown id", "no id", "a delay", "a full mailbox"],
)
def test_any_other_mail_is_left_alone_and_is_no_failure(
    backstop: Backstop, engine: Engine, sent: dict[str, int], mail: bytes
) -> None:
    with reading(engine) as session:
        message_id = session.get_one(Delivery, sent["alert"]).message_id
    done = backstop("bounce", stdin=mail.replace(b"{sent}", message_id.encode()))
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("left alone: ")
    assert status_of(engine) == (EndpointStatus.ACTIVE, "")
