"""Each message that providers are known to give is of the kind that makes us do the right thing."""

from pathlib import Path

import msgspec
import pytest

from indexer.rpc.errors import (
    Kind,
    RangeTooWideError,
    RequestError,
    Said,
    ThrottledError,
    classify,
    error_of,
    shorten,
    stated_limit,
)

MESSAGES = [
    (Kind.RANGE, -32000, "eth_getLogs is limited to a 1000 blocks range"),
    (Kind.RANGE, -32600, "You can make eth_getLogs requests with up to a 500 block range."),
    (Kind.RANGE, -32000, "block range is too wide"),
    (Kind.RANGE, -32602, "exceed maximum block range: 50000"),
    (Kind.RANGE, -32005, "eth_getLogs block range too large, range: 3000, max: 2000"),
    (Kind.RANGE, 35, "ranges over 10000 blocks are not supported on freetier"),
    (Kind.RANGE, -32614, "eth_getLogs is limited to a 10,000 range"),
    (Kind.RANGE, -32000, "requested too many blocks from 1 to 5000, maximum is set to 2048"),
    (Kind.RANGE, -32000, "Block range limit exceeded."),
    (Kind.RANGE, -32005, "Requested range exceeds maximum RPC range limit"),
    (Kind.RANGE, -32602, "query exceeds max block range 100000"),
    (Kind.RANGE, -32000, "maximum [from, to] blocks distance: 2000"),
    (Kind.SIZE, -32005, "query returned more than 10000 results"),
    (Kind.SIZE, -32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2]."),
    (Kind.SIZE, -32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
    (Kind.SIZE, -32000, "Query timeout exceeded. Consider reducing your block range."),
    (Kind.SIZE, -32000, "logs matched by query exceeds limit of 10000"),
    (Kind.SIZE, -32603, "response size should not greater than 10000000 bytes"),
    (Kind.SIZE, -32602, "Log response size exceeded."),
    (Kind.SIZE, -32000, "query timeout exceeded"),
    (Kind.SIZE, -32008, "response is too big: exceeds 10485760"),
    (Kind.THROTTLE, -32005, "daily request count exceeded, request rate limited"),
    (Kind.THROTTLE, -32005, "something nobody has seen before"),
    (Kind.THROTTLE, 429, "Your app has exceeded its compute units per second capacity."),
    (Kind.STATE_MISSING, -32000, "missing trie node 7a8d (path ) <nil>"),
    (Kind.THROTTLE, -32090, "Too many requests, reason: call rate limit exhausted, retry in 10s"),
    (Kind.THROTTLE, -32007, "50/second request limit reached - reduce calls per second"),
    (Kind.THROTTLE, -32001, "Exceeded the quota usage"),
    (Kind.THROTTLE, -32000, "you have used up your free credits"),
    (Kind.STATE_MISSING, -32000, "header not found"),
    (Kind.STATE_MISSING, -32000, "required historical state unavailable (reexec=128)"),
    (Kind.STATE_MISSING, -32000, "state histories haven't been fully indexed yet"),
    (Kind.STATE_MISSING, 4444, "pruned history unavailable"),
    (Kind.STATE_MISSING, -39001, "Unknown block"),
    (Kind.STATE_MISSING, -32002, "No state available for block 36600 (0x985a)"),
    (Kind.STATE_MISSING, -32801, "no historical RPC is available for this historical (pre-bedrock) execution request"),
    (Kind.STATE_MISSING, -32000, "not recorded: eth_call of 0x70a0"),
    (Kind.REVERT, 3, "execution reverted: CH_IIC"),
    (Kind.REVERT, -32000, "out of gas"),
    (Kind.FATAL, -32601, "the method eth_foo does not exist/is not available"),
    (Kind.FATAL, -32602, "missing value for required argument 0"),
    (Kind.UNAVAILABLE, -32603, "Internal error"),
    (Kind.UNAVAILABLE, -32011, "no backend is currently healthy to serve traffic"),
    (Kind.UNAVAILABLE, -32099, "we have no idea"),
]


@pytest.mark.parametrize(("kind", "code", "message"), MESSAGES)
def test_a_message_is_of_its_kind(kind: Kind, code: int, message: str) -> None:
    assert classify(Said(message, code=code)) is kind


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        (Kind.THROTTLE, 429, "anything"),
        (Kind.UNAVAILABLE, 503, "upstream connect error"),
        (Kind.UNAVAILABLE, 500, "RPC Request failed."),
        (Kind.FATAL, 401, "Must be authenticated!"),
        (Kind.FATAL, 404, "page not found"),
        (Kind.SIZE, 413, "content too large"),
    ],
)
def test_the_http_status_counts_where_the_message_says_little(kind: Kind, status: int, message: str) -> None:
    assert classify(Said(message, status=status)) is kind


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("eth_getLogs is limited to a 1000 blocks range", 1000),
        ("ranges over 10k blocks are refused", 10_000),
        ("requests with up to a 500 block range", 500),
        ("range is too wide", None),
    ],
)
def test_a_stated_limit_is_read_from_the_message(message: str, limit: int | None) -> None:
    assert stated_limit(message) == limit


def test_the_error_carries_what_the_caller_acts_on() -> None:
    wide = error_of(Said("limited to a 1000 blocks range"), "a.example: eth_getLogs")
    assert isinstance(wide, RangeTooWideError)
    assert wide.limit == 1000
    assert str(wide) == "a.example: eth_getLogs: limited to a 1000 blocks range"
    throttled = error_of(Said("", status=429, retry_after=7.0), "a.example")
    assert isinstance(throttled, ThrottledError)
    assert throttled.retry_after == 7.0
    assert isinstance(error_of(Said("Must be authenticated!", status=401), "a.example"), RequestError)


def test_a_page_of_html_becomes_one_short_line() -> None:
    line = shorten("<html>\n\n  <body>" + "x" * 1000)
    assert len(line) == 200
    assert line.startswith("<html> <body>xxx")


EXPECTED_IN_FILE = {
    "missing trie node": Kind.STATE_MISSING,
    "No state available": Kind.STATE_MISSING,
    "pre-bedrock": Kind.STATE_MISSING,
    "execution reverted": Kind.REVERT,
    "blocks range": Kind.RANGE,
    "RPC Request failed": Kind.UNAVAILABLE,
    "Missed `to` address": Kind.FATAL,
    "temporarily unavailable due to unusually high": Kind.THROTTLE,
    "Must be authenticated": Kind.FATAL,
    "requires an API key": Kind.FATAL,
}


def test_real_messages_of_providers_are_of_their_kind(real_data: Path) -> None:
    seen = set()
    for line in (real_data / "provider_errors.jsonl").read_text().splitlines():
        record = msgspec.json.decode(line)
        body = record["body"]
        words = next((words for words in EXPECTED_IN_FILE if words in body), None)
        if words is None:
            continue
        try:
            error = msgspec.json.decode(body)
        except msgspec.DecodeError:
            error = {}
        inner = error.get("error", {}) if isinstance(error, dict) else {}
        code = inner.get("code") if isinstance(inner, dict) else None
        message = inner.get("message", body) if isinstance(inner, dict) else str(inner)
        said = Said(message, code=code, status=record["http_status"])
        assert classify(said) is EXPECTED_IN_FILE[words], f"{record['provider']}: {message}"
        seen.add(words)
    assert seen == set(EXPECTED_IN_FILE), f"never seen: {set(EXPECTED_IN_FILE) - seen}"
