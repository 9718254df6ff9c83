"""Ranges fetched whole or in parts: the same rows, no header twice, blooms learned once, lies asked elsewhere."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.adapter import Log, LogFilter
from indexer.replay.words import ZERO_BLOOM
from indexer.rpc.errors import AnswerTooLargeError, UntruthError
from indexer.rpc.reader import Header, LogBatch
from indexer.scan.blooms import ChainBlooms
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.ranges import RangeSizer
from indexer.scan.verify import BLOOM, HEAD
from tests.indexer.semantics.model_chain import Emission, ModelChain, ModelReader

TOKEN, STRANGER = "0x" + "ab" * 20, "0x" + "cd" * 20
EVENT = "0x" + "11" * 32
WANTED = [LogFilter(frozenset({TOKEN}), (frozenset({EVENT}),))]
OURS, THEIRS = Emission(TOKEN, (EVENT,)), Emission(STRANGER, (EVENT,))


class CountingReader(ModelReader):
    """Remembers which headers were asked for, and may lie about blooms or leave out a log."""

    def __init__(self, chain: ModelChain, *, most_blocks: int = 10**6, most_logs: int = 10**6) -> None:
        super().__init__(chain, most_blocks=most_blocks, most_logs=most_logs)
        self.headers_of: list[int] = []
        self.is_bloomless = False
        self.left_out: int | None = None
        self.second_looks = 0

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        self.headers_of += numbers
        found = await super().headers(numbers)
        return [msgspec.structs.replace(h, logs_bloom=ZERO_BLOOM) for h in found] if self.is_bloomless else found

    async def logs(self, filters: Sequence[LogFilter], first: int, last: int, **whom: frozenset[str]) -> LogBatch:
        batch = await super().logs(filters, first, last, **whom)
        if self.left_out is None or whom.get("avoid"):
            return batch
        return LogBatch([log for log in batch.logs if int(log.block_number, 16) != self.left_out], "liar", HEAD)

    async def logs_of(
        self, filters: Sequence[LogFilter], block_hashes: Sequence[str], **whom: frozenset[str]
    ) -> list[LogBatch]:
        self.second_looks += 1
        return await super().logs_of(filters, block_hashes, **whom)


def chain_of(counts: Sequence[int]) -> ModelChain:
    """Block n has counts[n] logs of ours, and one of a stranger."""
    chain = ModelChain()
    for count in counts:
        chain.mine(*[OURS] * count, THEIRS)
    return chain


def fetch(reader: ModelReader, sizer: RangeSizer | None = None, *, every_header: bool = True) -> Fetched:
    """All blocks of the reader's chain."""
    fetcher = LogFetcher(reader, WANTED, sizer or RangeSizer(), every_header=every_header)
    return asyncio.run(fetcher.fetch_final(0, len(reader.chain.headers) - 1))


def ours(chain: ModelChain) -> list[Log]:
    return [log for block in chain.logs for log in block if log.address == TOKEN]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40),
    st.integers(1, 50),
    st.integers(4, 60),
    st.booleans(),
)
def test_whatever_a_provider_refuses_the_range_comes_whole_and_no_header_is_fetched_twice(
    counts: list[int], most_blocks: int, most_logs: int, every_header: bool
) -> None:
    chain = chain_of(counts)
    reader = CountingReader(chain, most_blocks=most_blocks, most_logs=most_logs)
    fetched = fetch(reader, every_header=every_header)
    assert fetched.logs == ours(chain)
    assert fetched.level == (BLOOM if every_header else HEAD)
    assert set(fetched.headers) >= {int(log.block_number, 16) for log in fetched.logs} | {len(counts) - 1}
    if every_header:
        assert reader.headers_of == list(range(len(counts)))


def test_a_learned_number_of_logs_keeps_later_ranges_from_growing_into_the_same_refusal() -> None:
    reader = CountingReader(chain_of([2] * 4_000), most_logs=500)
    sizer = RangeSizer(100, wanted_logs=10_000)
    assert len(fetch(reader, sizer).logs) == 8_000
    refused = [(first, last) for first, last, _ in reader.asked if (last - first + 1) * 2 > 500]
    assert len(refused) <= 8, refused
    assert len(reader.asked) - len(refused) <= 1.7 * 8_000 / 500


def test_a_block_too_large_for_any_range_comes_from_its_receipts() -> None:
    chain = chain_of([1, 9, 1])
    reader = CountingReader(chain, most_logs=5)
    assert fetch(reader).logs == ours(chain)


def test_a_block_that_nobody_gives_whole_is_an_error_and_no_shorter_list() -> None:
    class NoReceipts(CountingReader):
        async def logs_from_receipts(self, number: int) -> LogBatch:
            raise AnswerTooLargeError(f"receipts of {number} are too large")

    with pytest.raises(AnswerTooLargeError):
        fetch(NoReceipts(chain_of([1, 9, 1]), most_logs=5))


def test_a_left_out_log_is_fetched_from_another_provider() -> None:
    chain = chain_of([1, 1, 0, 1])
    reader = CountingReader(chain)
    reader.left_out = 1
    assert fetch(reader).logs == ours(chain)


def test_zeros_for_blooms_are_learned_once_and_claim_no_more_than_level_1() -> None:
    chain = chain_of([0, 2, 1, 0])
    reader = CountingReader(chain)
    reader.is_bloomless = True
    blooms = ChainBlooms()
    for _ in range(2):
        fetcher = LogFetcher(reader, WANTED, RangeSizer(), every_header=True, blooms=blooms)
        fetched = asyncio.run(fetcher.fetch_final(0, 3))
        assert (fetched.logs, fetched.level) == (ours(chain), HEAD)
    assert reader.second_looks == 1


def test_an_invented_log_of_a_block_with_an_empty_bloom_is_still_a_lie() -> None:
    class Inventing(CountingReader):
        async def logs(self, filters: Sequence[LogFilter], first: int, last: int, **whom: frozenset[str]) -> LogBatch:
            batch = await super().logs(filters, first, last, **whom)
            block = self.chain.headers[0]
            invented = msgspec.structs.replace(ours(chain_of([1]))[0], block_hash=block.hash, block_number="0x0")
            return LogBatch([invented, *batch.logs], "liar", HEAD)

    silent = ModelChain()
    silent.mine()
    with pytest.raises(UntruthError, match="bloom"):
        fetch(Inventing(silent))


def test_a_headers_own_range_is_checked_part_by_part() -> None:
    """A part of a split range is asked about its own blocks only: none of the others is suspected."""
    reader = CountingReader(chain_of([3] * 20), most_logs=12)
    fetched = fetch(reader)
    assert len(fetched.logs) == 60
    assert reader.second_looks == 0
