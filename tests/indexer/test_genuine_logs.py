"""Logs that real chains emitted, through every decoder there is: what eth_abi reads, or refused; none goes missing."""

import gzip
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import eth_abi
import msgspec
import pytest
import zstandard
from eth_abi.exceptions import DecodingError

from indexer.adapter import Log, LogFilter
from indexer.registry import ADAPTERS
from indexer.replay.bloom import compute_bloom
from indexer.rpc.reader import Header, LogBatch
from indexer.scan.fetch import LogFetcher
from indexer.scan.filters import matching
from indexer.scan.ranges import RangeSizer
from indexer.scan.verify import BLOOM
from indexer.words import Event, WordsError
from tests.indexer.chain_double import ChainDouble

GENUINE_LOGS = 9_727
ERC721_TRANSFERS = 32
"""Transfers of the file that carry a token's id as a fourth topic: ERC-20's topic0 in another layout."""
EMITTED = {"address_fund.TRANSFER", "morpho_blue.ACCRUE_INTEREST"}
"""Watched events that the file certainly holds."""


class Row(msgspec.Struct):
    """A line of the files."""

    chain_id: int
    log: Log


def watched_events() -> list[tuple[str, Event]]:
    """Every event of every landed adapter, by module and name."""
    modules = sorted({adapter.__module__ for adapter in ADAPTERS.values()})
    return [
        (f"{module.rsplit('.', 1)[-1]}.{name}", value)
        for module in modules
        for name, value in sorted(vars(sys.modules[module]).items())
        if isinstance(value, Event)
    ]


@pytest.fixture(scope="module")
def genuine(real_data: Path) -> list[Log]:
    """All logs of the file."""
    with gzip.open(real_data / "genuine_raw_logs.jsonl.gz") as lines:
        return [msgspec.json.decode(line, type=Row).log for line in lines]


def eth_abi_values(event: Event, log: Log) -> tuple[Any, ...] | None:
    """What eth_abi reads out of the log by the event's signature; None where the log has another layout."""
    indexed = [p.type for p in event.parameters if p.is_indexed]
    plain = [p.type for p in event.parameters if not p.is_indexed]
    data = bytes.fromhex(log.data[2:])
    if len(log.topics) != len(indexed) + 1 or len(data) != 32 * len(plain):
        return None
    try:
        topics = [
            eth_abi.decode([kind], bytes.fromhex(word[2:]))[0]
            for kind, word in zip(indexed, log.topics[1:], strict=True)
        ]
        words = list(eth_abi.decode(plain, data))
    except DecodingError:
        return None
    in_order = (topics.pop(0) if p.is_indexed else words.pop(0) for p in event.parameters)
    return tuple("0x" + value.hex() if isinstance(value, bytes) else value for value in in_order)


def our_values(event: Event, log: Log) -> tuple[Any, ...] | None:
    """What our decoder reads; None where it refuses."""
    try:
        return event.values(log)
    except WordsError:
        return None


def test_every_genuine_log_of_a_watched_event_decodes_as_eth_abi_says_or_is_refused_by_both(genuine: list[Log]) -> None:
    compared = Counter[str]()
    for name, event in watched_events():
        emitted = [log for log in genuine if log.topics[:1] == (event.topic0,)]
        assert [our_values(event, log) for log in emitted] == [eth_abi_values(event, log) for log in emitted], name
        compared[name] += len(emitted)
    assert {name for name, logs in compared.items() if logs} >= EMITTED, compared


def test_logs_that_are_not_ours_are_counted_and_none_is_lost(genuine: list[Log]) -> None:
    by_topic: dict[str, list[Event]] = {}
    for _, event in watched_events():
        by_topic.setdefault(event.topic0, []).append(event)
    fates: Counter[str] = Counter()
    for log in genuine:
        events = by_topic.get(log.topics[0], []) if log.topics else []
        read = any(our_values(event, log) is not None for event in events)
        fates["decoded" if read else "refused" if events else "not ours"] += 1
    assert fates.total() == GENUINE_LOGS
    assert fates["decoded"] > 4_000
    assert fates["not ours"] > 4_000
    assert fates["refused"] >= ERC721_TRANSFERS


def test_a_transfer_of_a_collectible_is_refused_and_not_read_as_an_amount(genuine: list[Log]) -> None:
    transfer = dict(watched_events())["address_fund.TRANSFER"]
    namesakes = [log for log in genuine if log.topics[:1] == (transfer.topic0,) and len(log.topics) == 4]
    assert len(namesakes) == ERC721_TRANSFERS
    for log in namesakes:
        with pytest.raises(WordsError, match="another event of the same name"):
            transfer.values(log)


def test_every_landed_adapter_has_events_to_decode() -> None:
    found = {name.split(".")[0] for name, _ in watched_events()}
    assert found == {adapter.__module__.rsplit(".", 1)[-1] for adapter in ADAPTERS.values()}


def whole_blocks(real_data: Path) -> Iterator[tuple[Header, list[Log]]]:
    """Whole blocks of four chains with the header that their logs give."""
    blocks: dict[tuple[int, str], list[Log]] = {}
    with zstandard.open(real_data / "whole_block_logs.jsonl.zst", "rb") as file:
        for line in file.read().splitlines():
            row = msgspec.json.decode(line, type=Row)
            blocks.setdefault((row.chain_id, row.log.block_number), []).append(row.log)
    for (_, number), logs in blocks.items():
        bloom = compute_bloom(word for log in logs for word in (log.address, *log.topics))
        yield Header(int(number, 16), logs[0].block_hash, "0x" + "0" * 64, 0, bloom or ""), logs


class TwoViews(ChainDouble):
    """A provider that leaves out one contract's logs, and another that gives the whole block."""

    def __init__(self, header: Header, logs: Sequence[Log], left_out: str) -> None:
        super().__init__([header])
        self.logs_held = logs
        self.left_out = left_out

    async def logs_of(
        self,
        filters: Sequence[LogFilter],
        block_hashes: Sequence[str],
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> list[LogBatch]:
        found = matching(filters, self.logs_held)
        if "liar" in avoid | without:
            return [LogBatch(found, "honest", 1)]
        return [LogBatch([log for log in found if log.address != self.left_out], "liar", 1)]


async def test_in_whole_blocks_each_contract_left_out_is_noticed_by_the_bloom_and_fetched(real_data: Path) -> None:
    blocks = list(whole_blocks(real_data))
    assert sum(len(logs) for _, logs in blocks) == 1_843
    for header, logs in blocks:
        for address in sorted({log.address for log in logs}):
            wanted = LogFilter(frozenset({address}), ())
            reader = TwoViews(header, logs, address)
            fetched = await LogFetcher(reader, [wanted], RangeSizer(), every_header=True).fetch_live([header])
            assert fetched.logs == [log for log in logs if log.address == address]
            assert fetched.level == BLOOM
