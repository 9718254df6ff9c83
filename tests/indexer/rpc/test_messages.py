"""Batches read in one pass: where each request got a result of its own type; all others take a closer look."""

from typing import Any

import msgspec
import pytest

from indexer.adapter import Log, LogFilter
from indexer.rpc.messages import (
    ANYTHING,
    Ask,
    WireHeader,
    ask_head,
    ask_header,
    ask_logs,
    ask_receipts,
    plain_results,
)

LOG = {
    "address": "0x" + "ab" * 20,
    "topics": ["0x" + "11" * 32],
    "data": "0x",
    "blockNumber": "0x7",
    "blockHash": "0x" + "22" * 32,
    "transactionHash": "0x" + "33" * 32,
    "logIndex": "0x0",
    "transactionIndex": "0x0",
}
HEADER = {"number": "0x7", "hash": "0x" + "22" * 32, "parentHash": "0x" + "44" * 32, "timestamp": "0x1", "nonce": None}
EVERYTHING = LogFilter(frozenset(), ())
ASKS: list[Ask[Any]] = [ask_head(), ask_logs(EVERYTHING, 1, 9), ask_logs(EVERYTHING, 1, 9)]


def body(*answers: dict[str, Any]) -> bytes:
    """A batch of answers."""
    return msgspec.json.encode([{"jsonrpc": "2.0", **answer} for answer in answers])


HEAD, ONE, NONE = {"id": 0, "result": "0x9"}, {"id": 1, "result": [LOG]}, {"id": 2, "result": []}


def test_results_come_in_the_order_asked_whatever_the_order_of_the_answers() -> None:
    results = plain_results(body(NONE, HEAD, {**ONE, "error": None}), ASKS)
    assert results == ["0x9", [msgspec.convert(LOG, Log)], []]


def test_headers_are_read_too() -> None:
    results = plain_results(body({"id": 0, "result": HEADER}), [ask_header(7)])
    assert results == [msgspec.convert(HEADER, WireHeader)]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([HEAD, ONE], id="one is missing"),
        pytest.param([HEAD, ONE, NONE, {"id": 2, "result": [LOG]}], id="one came twice"),
        pytest.param([HEAD, ONE, NONE, {"id": 3, "result": []}], id="one that nobody asked for"),
        pytest.param([HEAD, ONE, {"id": 2, "error": {"code": -32005}}], id="an error"),
        pytest.param([HEAD, ONE, {**NONE, "error": {"code": -32005}}], id="a result with an error"),
        pytest.param([HEAD, ONE, {"id": 2}], id="neither result nor error"),
        pytest.param([HEAD, ONE, {"id": 2, "result": None}], id="null"),
        pytest.param([HEAD, ONE, {"id": 2, "result": "0x9"}], id="of another request's type"),
        pytest.param([{"id": 0, "result": []}, ONE, NONE], id="logs for a head"),
        pytest.param([HEAD, ONE, {"id": 2, "result": [{**LOG, "data": 7}]}], id="a log that is none"),
        pytest.param([HEAD, ONE, {"id": [2], "result": []}], id="an id that is none"),
        pytest.param([HEAD, ONE, {"id": "2", "result": []}], id="an id as text"),
    ],
)
def test_a_batch_that_is_not_plain_in_every_answer_takes_a_closer_look(answers: list[dict[str, Any]]) -> None:
    assert plain_results(body(*answers), ASKS) is None


@pytest.mark.parametrize("raw", [b"", b"<html>", b"{}", b"[" * 5000, b'[{"id":0,"result":"0x9"', b"[null]", b"7"])
def test_what_is_no_batch_takes_a_closer_look(raw: bytes) -> None:
    assert plain_results(raw, ASKS) is None


@pytest.mark.parametrize("ask", [ask_receipts(7), Ask("any", (), ANYTHING)], ids=lambda ask: ask.method)
def test_what_is_asked_seldom_takes_a_closer_look(ask: Ask[Any]) -> None:
    assert plain_results(body({"id": 0, "result": []}), [ask]) is None
