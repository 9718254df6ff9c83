"""The first block of each hour: found on any chain, with few requests."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.rpc.reader import Header
from indexer.slots import find_starts, starts_among
from tests.indexer.chain_double import ChainDouble

HOUR = 3600


def chain_of(gaps: Sequence[int]) -> list[Header]:
    """Headers with these seconds between them."""
    headers, time = [], 1_612_137_600
    for number, gap in enumerate([0, *gaps]):
        time += gap
        headers.append(Header(number, f"0x{number:064x}", f"0x{max(number - 1, 0):064x}", time))
    return headers


@settings(max_examples=80)
@given(st.lists(st.sampled_from([0, 1, 12, 13, 600, 4000, 90_000, 900_000]), min_size=1, max_size=300))
def test_every_first_block_of_an_hour_is_found_and_no_other(gaps: list[int]) -> None:
    headers = chain_of(gaps)
    found = asyncio.run(find_starts(ChainDouble(headers), headers[0], headers[-1], HOUR))
    assert [h.number for h in found] == [h.number for h in starts_among(headers, HOUR)]


def test_a_regular_chain_costs_few_headers_an_hour() -> None:
    headers = chain_of([12] * 60_000)
    reader = ChainDouble(headers)
    found = asyncio.run(find_starts(reader, headers[0], headers[-1], HOUR))
    assert len(found) == 60_000 * 12 // HOUR
    assert reader.headers_asked <= 3 * len(found)
    assert reader.requests <= 3


def test_a_chain_whose_pace_changed_still_needs_few_rounds() -> None:
    headers = chain_of([13] * 20_000 + [2] * 60_000 + [600] * 200)
    reader = ChainDouble(headers)
    times = [h.timestamp for h in headers]
    found = asyncio.run(find_starts(reader, headers[0], headers[-1], HOUR))
    assert all(bisect_right(times, h.timestamp // HOUR * HOUR - 1) == h.number for h in found)
    assert reader.requests <= 40
