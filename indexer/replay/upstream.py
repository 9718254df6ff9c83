"""The node behind a recorder, asked for what a complete recording needs beside the answers that passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import msgspec

from indexer.replay.bloom import compute_bloom
from indexer.replay.filters import CompleteFilter
from indexer.replay.recording import CodeRecord, HeaderRecord, LogRecord, RecordingError
from indexer.replay.words import ZERO_BLOOM, Bloom, Hash

TakeProgress = Callable[[str, int, int], None]
"""Called with what is being taken, how much of it is done, how much there is."""

_HEADERS_AT_ONCE = 100
_WIDEST_RANGE = 10_000
_TIMEOUT_SECONDS = 60.0


class UpstreamError(RecordingError):
    """The node behind the recorder refused or gave something else than it should."""


class _SentHeader(msgspec.Struct, rename="camel"):
    number: str
    hash: Hash
    parent_hash: Hash
    timestamp: str
    logs_bloom: Bloom


class _SentLog(msgspec.Struct, rename="camel"):
    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: Hash
    transaction_hash: str
    transaction_index: str
    log_index: str


class Upstream:
    """A plain synchronous connection: recordings are saved outside of the proxy's event loop."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._url = url

    def ask(self, method: str, *params: Any) -> Any:  # Any: JSON.
        return self.ask_many([(method, params)])[0]

    def ask_many(self, questions: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results of a batch in its own order; the first error of any of them is raised."""
        body = [
            {"jsonrpc": "2.0", "id": place, "method": method, "params": list(params)}
            for place, (method, params) in enumerate(questions)
        ]
        answers = {answer.get("id"): answer for answer in self._post(body)}
        return [_result(answers.get(place), question[0]) for place, question in enumerate(questions)]

    def take_header(self, block: int | str) -> HeaderRecord:
        """A header by number or tag."""
        return _read_header(self.ask("eth_getBlockByNumber", _quantity(block), False))

    def take_headers(self, first: int, last: int, progress: TakeProgress) -> list[HeaderRecord]:
        """All headers of a range, checked to be one chain."""
        headers: list[HeaderRecord] = []
        for begin in range(first, last + 1, _HEADERS_AT_ONCE):
            numbers = range(begin, min(begin + _HEADERS_AT_ONCE, last + 1))
            blocks = self.ask_many([("eth_getBlockByNumber", (hex(number), False)) for number in numbers])
            headers += [_read_header(block) for block in blocks]
            progress("headers", len(headers), last - first + 1)
        for before, header in pairwise(headers):
            if header.parent != before.hash:
                raise UpstreamError(f"block {header.number} does not follow block {before.number}: save again")
        return headers

    def take_logs(
        self, asked: CompleteFilter, headers: Sequence[HeaderRecord], progress: TakeProgress
    ) -> Iterator[LogRecord]:
        """All logs of a filter in the headers' blocks, in ranges as wide as the node allows."""
        first, last, width = headers[0].number, headers[-1].number, _WIDEST_RANGE
        begin = first
        while begin <= last:
            end = min(begin + width - 1, last)
            try:
                found = self._ask_logs(asked, begin, end)
            except UpstreamError:
                if width == 1:
                    raise
                width = max(1, (end - begin + 1) // 2)
                continue
            yield from (_read_log(log, headers) for log in found)
            progress("logs", end - first + 1, last - first + 1)
            begin, width = end + 1, min(width * 2, _WIDEST_RANGE)

    def take_code(self, address: str, first: int, last: int) -> list[CodeRecord]:
        """From which block on an address has code, by bisection: code appears once and stays (EIP-6780)."""
        has_code = {number: self._has_code(address, number) for number in (first, last)}
        if has_code[first] == has_code[last]:
            return [CodeRecord(address=address, first=first, last=last, has_code=has_code[first])]
        low, high = first, last
        while high - low > 1:
            middle = (low + high) // 2
            if self._has_code(address, middle) == has_code[first]:
                low = middle
            else:
                high = middle
        return [
            CodeRecord(address=address, first=first, last=low, has_code=has_code[first]),
            CodeRecord(address=address, first=high, last=last, has_code=has_code[last]),
        ]

    def _has_code(self, address: str, number: int) -> bool:
        return bool(self.ask("eth_getCode", address, hex(number)) != "0x")

    def _ask_logs(self, asked: CompleteFilter, first: int, last: int) -> list[_SentLog]:
        query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last), "topics": list(asked.topics)}
        if asked.addresses is not None:
            query["address"] = list(asked.addresses)
        logs: list[_SentLog] = _convert(self.ask("eth_getLogs", query), list[_SentLog])
        return logs

    def _post(self, body: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            response = self._client.post(self._url, content=msgspec.json.encode(body), headers=_JSON)
            answers = msgspec.json.decode(response.content)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise UpstreamError(f"{self._url} does not answer as a JSON-RPC node: {error}") from error
        if not isinstance(answers, list):
            raise UpstreamError(f"{self._url} does not answer batches: {str(answers)[:200]}")
        return answers


_JSON = {"content-type": "application/json"}


@contextmanager
def connect(url: str) -> Iterator[Upstream]:
    """A connection to the node, closed when left."""
    with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
        yield Upstream(client, url)


def ignore_progress(_what: str, _done: int, _total: int) -> None:
    """For callers that don't watch."""


def _result(answer: dict[str, Any] | None, method: str) -> Any:
    if answer is None:
        raise UpstreamError(f"{method}: the node left it unanswered")
    if answer.get("error") is not None:
        raise UpstreamError(f"{method}: {str(answer['error'])[:300]}")
    return answer.get("result")


def _read_header(block: Any) -> HeaderRecord:
    if block is None:
        raise UpstreamError("the node does not have a block it should have: its head moved back, save again")
    sent = _convert(block, _SentHeader)
    return HeaderRecord(
        number=int(sent.number, 16),
        hash=sent.hash,
        parent=sent.parent_hash,
        time=int(sent.timestamp, 16),
        bloom=None if sent.logs_bloom == ZERO_BLOOM else sent.logs_bloom,
    )


def _read_log(log: _SentLog, headers: Sequence[HeaderRecord]) -> LogRecord:
    number = int(log.block_number, 16)
    if headers[number - headers[0].number].hash != log.block_hash:
        raise UpstreamError(f"a log of block {number} names another block hash: the chain moved, save again")
    return LogRecord(
        block=number,
        index=int(log.log_index, 16),
        tx=log.transaction_hash.lower(),
        tx_index=int(log.transaction_index, 16),
        address=log.address.lower(),
        topics=tuple(topic.lower() for topic in log.topics),
        data=log.data.lower(),
    )


def check_everything(headers: Sequence[HeaderRecord], logs: Sequence[LogRecord]) -> None:
    """For a recording of all logs: each header's bloom must be exactly that of its logs."""
    words: dict[int, list[str]] = {}
    for log in logs:
        words.setdefault(log.block, []).extend((log.address, *log.topics))
    for header in headers:
        if compute_bloom(words.get(header.number, ())) != header.bloom:
            raise UpstreamError(f"block {header.number}: the logs the node gave do not make up the block's bloom")


def _quantity(block: int | str) -> str:
    return hex(block) if isinstance(block, int) else block


def _convert(value: Any, wanted: Any) -> Any:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise UpstreamError(f"the node answered in another shape: {error}") from error
