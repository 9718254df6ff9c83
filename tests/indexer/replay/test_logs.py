"""Finding logs by columns gives what comparing them one by one gives."""

from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from indexer.replay.filters import CompleteFilter
from indexer.replay.logs import LogShelf
from indexer.replay.recording import HeaderRecord, LogRecord

ADDRESSES = ["0x" + digit * 40 for digit in "ab"]
TOPICS = ["0x" + digit * 64 for digit in "123"]
WORDS = st.none() | st.lists(st.sampled_from(TOPICS), max_size=2, unique=True).map(tuple)
FILTERS = st.builds(
    CompleteFilter,
    st.none() | st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple),
    st.lists(WORDS, max_size=4).map(tuple),
)
LOGS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(ADDRESSES),
        st.lists(st.sampled_from(TOPICS), max_size=4).map(tuple),
        st.integers(0, 2),
    ),
    max_size=30,
)


def header(number: int) -> HeaderRecord:
    return HeaderRecord(number=number, hash=f"0x{number + 1:064x}", parent=f"0x{number:064x}", time=number)


def fill(drawn: list[tuple[int, str, tuple[str, ...], int]]) -> tuple[LogShelf, list[LogRecord]]:
    shelf, logs = LogShelf(), []
    ordered = sorted(drawn, key=lambda each: (each[0], each[3]))
    for index, (block, address, topics, tx) in enumerate(ordered):
        log = LogRecord(
            block=block,
            index=index,
            tx=f"0x{block * 10 + tx:064x}",
            tx_index=tx,
            address=address,
            topics=topics,
            data=f"0x{index:02x}",
        )
        shelf.add(log, header(block))
        logs.append(log)
    return shelf, logs


def is_match(log: LogRecord, asked: CompleteFilter) -> bool:
    return (
        (asked.addresses is None or log.address in asked.addresses)
        and len(log.topics) >= len(asked.topics)
        and all(words is None or topic in words for words, topic in zip(asked.topics, log.topics, strict=False))
    )


@given(LOGS, FILTERS, st.integers(0, 5), st.integers(0, 5))
def test_columns_find_what_a_plain_comparison_finds(
    drawn: list[Any], asked: CompleteFilter, one: int, two: int
) -> None:
    shelf, logs = fill(drawn)
    first, last = min(one, two), max(one, two)
    sent = msgspec.json.decode(shelf.render(shelf.find(asked, first, last)))
    expected = [log for log in logs if first <= log.block <= last and is_match(log, asked)]
    assert [(log["blockNumber"], log["logIndex"], log["address"], log["topics"], log["data"]) for log in sent] == [
        (hex(log.block), hex(log.index), log.address, list(log.topics), log.data) for log in expected
    ]
    assert all(log["blockHash"] == header(int(log["blockNumber"], 16)).hash for log in sent)


@given(LOGS)
def test_the_transactions_of_all_blocks_hold_each_log_once(drawn: list[Any]) -> None:
    shelf, logs = fill(drawn)
    found = [(tx, place) for block in range(6) for tx, places in shelf.transactions_of(block) for place in places]
    assert [place for _, place in found] == list(range(len(logs)))
    assert all(logs[place].tx == tx for tx, place in found)


def test_an_empty_shelf_answers_with_nothing() -> None:
    shelf = LogShelf()
    assert bytes(shelf.render(shelf.find(CompleteFilter(), 0, 9))) == b"[]"
    assert not len(shelf.transaction("0x" + "00" * 32))
    assert bytes(shelf.render(np.empty(0, dtype=np.int64))) == b"[]"
