"""What webhooks carry and how answers are read; signatures are verified by somebody else's code."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from alerts.channel import Parcel
from alerts.channels.webhook import WebhookChannel, challenge_of, render_body, seconds_to_wait
from alerts.message import Evidence, FundLine
from alerts.signing import new_secret
from ledger.kinds import Purpose
from tests.alerts.webhook_rows import AT, MESSAGE, NAME, PARCEL, PING, failure, reaching
from tests.rigs.catcher import Catcher, LoopbackResolver, Reply, trusting


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """An endpoint that answers as one in order does."""
    with Catcher(NAME) as opened:
        yield opened


@pytest.fixture
def channel(catcher: Catcher) -> WebhookChannel:
    """A channel that reaches the endpoint and nothing else."""
    return reaching(catcher)


def data_of(body: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(body)["data"]
    return data


async def test_an_alert_arrives_as_one_signed_post_and_its_receipt_is_the_answer(
    catcher: Catcher, channel: WebhookChannel
) -> None:
    assert (await channel.send(PARCEL)).answer == "204"
    (caught,) = catcher.caught
    assert caught.path == "/in?key=1"
    assert caught.headers["host"] == NAME
    assert caught.headers["content-type"] == "application/json"
    assert Webhook(PARCEL.secrets[0]).verify(caught.body, caught.headers) == {
        "type": "fund.coverage.low",
        "timestamp": "2021-05-19T17:00:00Z",
        "data": {
            "message_id": "msg_0a1b",
            "purpose": "alert",
            "key": "coverage:example:12",
            "event": "fund.coverage.low",
            "severity": "critical",
            "subject": "[Short] Example fund: coverage 0.71× (was 1.12×), 17:00 UTC",
            "sentence": "Coverage of the Example fund fell to 0.71× at 17:00 UTC.",
            "happened_at": "2021-05-19T17:00:00Z",
            "fund_slug": "example",
            "block_number": 12_465_000,
            "changes": [{"name": "coverage", "before": "1.12×", "after": "0.71×", "threshold": "below 1.00×"}],
            "evidence": [
                {"text": "block 12465000", "href": "https://backstop.example/funds/example?block=12465000"},
                {"text": "the transaction", "href": "https://explorer.example/tx/0xab"},
                {"text": "a reading", "href": ""},
            ],
            "links": {"page": "https://backstop.example/funds/example", "site": "https://backstop.example"},
        },
    }


async def test_while_an_old_secret_is_valid_both_verify_and_no_other_does(
    catcher: Catcher, channel: WebhookChannel
) -> None:
    new, old, strange = new_secret(), new_secret(), new_secret()
    await channel.send(replace(PARCEL, secrets=(new, old)))
    (caught,) = catcher.caught
    for secret in (new, old):
        assert Webhook(secret).verify(caught.body, caught.headers)["type"] == "fund.coverage.low"
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(strange).verify(caught.body, caught.headers)


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp"])
async def test_a_message_that_was_tampered_with_does_not_verify(
    catcher: Catcher, channel: WebhookChannel, part: str
) -> None:
    await channel.send(PARCEL)
    (caught,) = catcher.caught
    body, headers = caught.body, dict(caught.headers)
    if part == "body":
        body = body.replace(b"0.71", b"1.71")
    else:
        headers[part] = "msg_0a1c" if part == "webhook-id" else str(int(headers[part]) + 1)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(PARCEL.secrets[0]).verify(body, headers)


def test_a_secret_is_256_random_bits_in_the_form_receivers_expect() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32 for secret in secrets)


@pytest.mark.parametrize("secrets", [(), ("c2VjcmV0",), ("whsec_=not base64=",)])
async def test_nothing_is_sent_unsigned(catcher: Catcher, channel: WebhookChannel, secrets: tuple[str, ...]) -> None:
    error = await failure(channel, replace(PARCEL, secrets=secrets))
    assert "give the webhook a new secret" in str(error)
    assert (error.permanent, catcher.caught) == (False, [])


async def test_each_attempt_has_the_same_id_and_bytes_and_a_time_of_its_own(catcher: Catcher) -> None:
    moments = iter((AT, AT + timedelta(hours=5)))
    resolver = LoopbackResolver({NAME: ("127.0.0.1", catcher.port)})
    channel = WebhookChannel(resolver, lambda: next(moments), verify=trusting(catcher.ca))
    for manage in ("token=1", "token=2"):
        await channel.send(replace(PARCEL, links=replace(PARCEL.links, manage=manage)))
    first, second = catcher.caught
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_0a1b"
    times = [int(caught.headers["webhook-timestamp"]) for caught in (first, second)]
    assert times == [1621443605, 1621443605 + 5 * 3600]


async def test_what_carries_no_message_says_its_purpose_and_details(catcher: Catcher, channel: WebhookChannel) -> None:
    await channel.send(replace(PARCEL, purpose=Purpose.TEST, message=None, detail={"text": "a test"}))
    event = json.loads(catcher.caught[0].body)
    assert (event["type"], event["data"]["text"], event["data"]["message_id"]) == ("test", "a test", "msg_0a1b")


def digest(lines: int, evidence: int = 0) -> Parcel:
    """A digest with so many lines, some of letters that take several bytes."""
    message = msgspec.structs.replace(
        MESSAGE,
        lines=tuple(line(n) for n in range(lines)),
        evidence=tuple(Evidence(f"transaction {n}", f"/facts/{n}") for n in range(evidence)),
    )
    return replace(PARCEL, message=message)


def line(number: int) -> FundLine:
    return FundLine(f"fund-{number}", f"Line {number}: coverage {'≥' * (number % 40)} 1.02×")


def test_a_huge_digest_is_cut_to_the_most_first_lines_that_fit_and_says_so() -> None:
    body = render_body(digest(5_000))
    data = data_of(body)
    assert data["truncated"] is True
    kept = len(data["lines"])
    assert [line["fund_slug"] for line in data["lines"]] == [f"fund-{n}" for n in range(kept)]
    assert len(body) < 20_000 <= len(body) + len(b"," + msgspec.json.encode(line(kept)))
    assert body == render_body(digest(5_000))


def test_a_digest_that_fits_is_whole() -> None:
    data = data_of(render_body(digest(100)))
    assert len(data["lines"]) == 100
    assert "truncated" not in data


@given(st.integers(0, 400), st.integers(0, 1_000))
def test_no_body_reaches_20_kb(lines: int, evidence: int) -> None:
    body = render_body(digest(lines, evidence))
    data = data_of(body)
    assert len(body) < 20_000
    is_whole = len(data.get("lines", [])) == lines and len(data.get("evidence", [])) == evidence
    assert is_whole is not data.get("truncated", False)


async def test_a_signed_ping_is_answered_by_its_challenge(catcher: Catcher, channel: WebhookChannel) -> None:
    receipt = await channel.send(PING)
    (caught,) = catcher.caught
    challenge = challenge_of("msg_0a1b")
    assert Webhook(PING.secrets[0]).verify(caught.body, caught.headers) == {
        "type": "ping",
        "timestamp": "2021-05-19T17:00:00Z",
        "data": {"challenge": challenge},
    }
    assert receipt.answer == f"200: {challenge}"
    assert challenge != challenge_of("msg_0a1c")


@pytest.mark.parametrize("form", ["{}", " {}\n", '{{"challenge": "{}"}}', '{{"ok": true, "challenge": "{}"}}'])
async def test_the_challenge_may_be_plain_text_or_json(catcher: Catcher, channel: WebhookChannel, form: str) -> None:
    catcher.replies(Reply(201, form.format(challenge_of("msg_0a1b")).encode()))
    assert (await channel.send(PING)).answer.startswith("201: ")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(204),
        Reply(200, b"OK"),
        Reply(200, challenge_of("msg_0a1c").encode()),
        Reply(200, b'{"challenge": 5}'),
        Reply(200, b"[" * 4_000),
        Reply(200, b"\xff\xfe"),
        Reply(200, render_body(PING)),
    ],
)
async def test_any_other_answer_to_a_ping_fails_with_what_was_expected(
    catcher: Catcher, channel: WebhookChannel, reply: Reply
) -> None:
    catcher.replies(reply)
    error = await failure(channel, PING)
    assert str(error).startswith(
        "the ping must be answered with the challenge from data.challenge, as plain text or as"
    )
    assert not error.permanent


async def test_a_ping_is_not_answered_by_an_error_that_holds_the_challenge(
    catcher: Catcher, channel: WebhookChannel
) -> None:
    catcher.replies(Reply(500, challenge_of("msg_0a1b").encode()))
    assert str(await failure(channel, PING)).startswith("the endpoint answered 500: ")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (Reply(200), "200"),
        (Reply(202, b" queued \r\n as\x1b[31m 7\x00\xe2\x80\xae "), "202: queued as [31m 7"),
        (Reply(200, "ü".encode() * 5_000), "200: " + "ü" * 200),
        (Reply(200, b"\xff", headers={"content-encoding": "gzip"}), "200: \ufffd"),
    ],
)
async def test_the_receipt_is_the_status_and_the_first_readable_200_characters(
    catcher: Catcher, channel: WebhookChannel, reply: Reply, answer: str
) -> None:
    catcher.replies(reply)
    assert (await channel.send(PARCEL)).answer == answer


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 502, 503])
async def test_an_error_may_pass_and_is_quoted(catcher: Catcher, channel: WebhookChannel, status: int) -> None:
    catcher.replies(Reply(status, b"not now"))
    error = await failure(channel)
    assert (str(error), error.permanent, error.retry_after) == (f"the endpoint answered {status}: not now", False, None)


async def test_410_is_for_good(catcher: Catcher, channel: WebhookChannel) -> None:
    catcher.replies(Reply(410))
    error = await failure(channel)
    assert (str(error), error.permanent) == ("the endpoint said that it is gone (410)", True)


@pytest.mark.parametrize(("status", "wait"), [(429, 120.0), (503, 120.0), (500, None)])
async def test_the_wait_that_an_endpoint_asks_for_is_handed_on(
    catcher: Catcher, channel: WebhookChannel, status: int, wait: float | None
) -> None:
    catcher.replies(Reply(status, headers={"retry-after": "120"}))
    assert (await failure(channel)).retry_after == wait


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("86401", 86_400.0),
        ("9" * 5_000, 86_400.0),
        ("Wed, 19 May 2021 17:10:05 GMT", 600.0),
        ("Wed, 19 May 2021 17:10:05 -0000", 600.0),
        ("Wed, 19 May 2021 18:10:05 +0100", 600.0),
        ("Wed, 19 May 2021 16:00:00 GMT", 0.0),
        ("Wed, 19 May 2100 17:00:00 GMT", 86_400.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("Wed, 99 May 2021 17:10:05 GMT", None),
        ("Wed, 19 May 2021 17:10:05 +99999999999999999999", None),
    ],
)
def test_the_wait_is_read_as_seconds_or_as_a_date_and_bounded_by_a_day(header: str, wait: float | None) -> None:
    assert seconds_to_wait(header, AT) == wait


@given(st.text(max_size=40) | st.datetimes(timezones=st.timezones()).map(format_datetime))
def test_no_wait_is_beyond_its_bounds(header: str) -> None:
    wait = seconds_to_wait(header, AT)
    assert wait is None or 0 <= wait <= 86_400
