"""A recording's logs, ready to be sent: rendered once, found by number columns, copied in runs."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from indexer.replay.filters import CompleteFilter
from indexer.replay.recording import HeaderRecord, LogRecord

_ABSENT = -1


class _SentLog(msgspec.Struct, rename="camel"):
    address: str
    topics: tuple[str, ...]
    data: str
    block_hash: str
    block_number: str
    block_timestamp: str
    transaction_hash: str
    transaction_index: str
    log_index: str
    removed: bool = False


class LogShelf:
    """Logs in chain order as one run of JSON bytes plus, per log, where it starts and its words as small numbers.

    A million logs cost one buffer and six columns, no object each; a filter is a few vector comparisons.
    """

    def __init__(self) -> None:
        self._json = bytearray()
        self._starts = array("q", [0])
        self._blocks = array("q")
        self._words: dict[str, int] = {}
        self._columns = [array("i") for _ in range(5)]  # address, topic 0 … topic 3
        self._transactions: dict[str, tuple[int, int]] = {}
        self._encoder = msgspec.json.Encoder()

    def add(self, log: LogRecord, header: HeaderRecord) -> None:
        """Takes the next log; the caller keeps chain order."""
        place = len(self._blocks)
        sent = _SentLog(
            address=log.address,
            topics=log.topics,
            data=log.data,
            block_hash=header.hash,
            block_number=hex(header.number),
            block_timestamp=hex(header.time),
            transaction_hash=log.tx,
            transaction_index=hex(log.tx_index),
            log_index=hex(log.index),
        )
        self._json += self._encoder.encode(sent) + b","
        self._starts.append(len(self._json))
        self._blocks.append(log.block)
        for column, word in zip(
            self._columns, (log.address, *log.topics, *(None,) * (4 - len(log.topics))), strict=True
        ):
            column.append(_ABSENT if word is None else self._words.setdefault(word, len(self._words)))
        begin, _ = self._transactions.get(log.tx, (place, place))
        self._transactions[log.tx] = (begin, place + 1)

    def find(self, asked: CompleteFilter, first: int, last: int) -> NDArray[np.int64]:
        """The places of all matching logs in blocks `first` to `last`, in order."""
        begin, end = self._span(first, last)
        places = np.arange(begin, end, dtype=np.int64)
        for column, words in zip(self._columns, (asked.addresses, *asked.topics), strict=False):
            if words is not None:
                known = [self._words[word] for word in words if word in self._words]
                places = (
                    places[np.isin(np.frombuffer(column, dtype=np.int32)[places], known)] if len(places) else places
                )
        # A log must have a topic at each position the filter has, even where any value is right.
        if asked.topics and len(places):
            deepest = np.frombuffer(self._columns[len(asked.topics)], dtype=np.int32)
            places = places[deepest[places] != _ABSENT]
        return places

    def render(self, places: NDArray[np.int64]) -> msgspec.Raw:
        """The logs at these places as a JSON list; neighbours are copied together."""
        runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1) if len(places) else []
        pieces = [memoryview(self._json)[self._starts[run[0]] : self._starts[run[-1] + 1]] for run in runs]
        joined = b"".join(pieces)
        for piece in pieces:
            piece.release()
        return msgspec.Raw(b"[" + joined[:-1] + b"]")

    def transaction(self, tx: str) -> NDArray[np.int64]:
        """The places of a transaction's logs; empty for one that isn't recorded."""
        return np.arange(*self._transactions.get(tx, (0, 0)), dtype=np.int64)

    def transactions_of(self, block: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """The transactions of a block that logged, in order, with the places of their logs."""
        begin, end = self._span(block, block)
        for log in self.read(np.arange(begin, end, dtype=np.int64)):
            places = self.transaction(log["transactionHash"])
            if places[0] == begin:
                yield log["transactionHash"], places
                begin = int(places[-1]) + 1

    def read(self, places: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The logs at these places as JSON-RPC objects."""
        return msgspec.json.decode(self.render(places), type=list[dict[str, Any]])

    def block_of(self, place: int) -> int:
        return self._blocks[place]

    def _span(self, first: int, last: int) -> tuple[int, int]:
        blocks = np.frombuffer(self._blocks, dtype=np.int64) if self._blocks else np.empty(0, dtype=np.int64)
        return int(np.searchsorted(blocks, first, "left")), int(np.searchsorted(blocks, last, "right"))
