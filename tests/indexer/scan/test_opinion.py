"""A second provider's word: what the first left out comes back, and the one that lied is set aside."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from indexer.adapter import Log
from indexer.rpc.errors import UntruthError
from indexer.rpc.pool import ProviderPool
from indexer.scan.fetch import Fetched, LogFetcher
from indexer.scan.opinion import FEW_LOGS, SecondOpinion
from indexer.scan.ranges import RangeSizer
from ledger.coverage import AUDITED, COMPARED, Verified
from tests.rigs.anvil import AnvilNode
from tests.rigs.rpc_faults import FaultyNode
from tests.rigs.transfer_chain import WALLET, AnvilChain, Terms, TransferAdapter

Faulty = Callable[..., FaultyNode]
Requests = list[dict[str, Any]]
BLOCKS, DISPUTED = 6, 4


@pytest.fixture
def chain(start_node: Callable[..., AnvilNode]) -> Iterator[AnvilChain]:
    """Blocks 2 to 7 with two payments each: of two logs of one event the bloom misses neither alone."""
    opened = AnvilChain(start_node("--no-mining").url)
    opened.deploy()
    for n in range(BLOCKS):
        opened.send((WALLET, 100 + n), (WALLET, 200 + n))
    yield opened
    opened.close()


def leaving_out(number: int) -> Callable[[Requests, Requests], Requests]:
    """Every eth_getLogs lacks the second log of that block."""

    def twist(requests: Requests, answers: Requests) -> Requests:
        for request, answer in zip(requests, answers, strict=True):
            if request["method"] == "eth_getLogs":
                answer["result"] = [
                    each for each in answer["result"] if (each["blockNumber"], each["logIndex"]) != (hex(number), "0x1")
                ]
        return answers

    return twist


def without_receipts(twist: Callable[[Requests, Requests], Requests]) -> Callable[[Requests, Requests], Requests]:
    """The same from a provider that has no eth_getBlockReceipts."""

    def both(requests: Requests, answers: Requests) -> Requests:
        refused = {"code": -32601, "message": "the method eth_getBlockReceipts does not exist"}
        return [
            {"jsonrpc": "2.0", "id": answer["id"], "error": refused}
            if request["method"] == "eth_getBlockReceipts"
            else answer
            for request, answer in zip(requests, twist(requests, answers), strict=True)
        ]

    return both


def honest(_requests: Requests, answers: Requests) -> Requests:
    return answers


async def fetch(
    chain: AnvilChain, urls: list[str], *, live: bool, times: int = 1
) -> tuple[list[Fetched], dict[str, str]]:
    """Blocks 2 to 7, each time from the start, and how the providers stand afterwards."""
    found = []
    async with ProviderPool(Terms(), urls) as pool:
        filters = TransferAdapter(chain.token, WALLET).filters()
        opinion = SecondOpinion(pool, Terms().id)
        fetcher = LogFetcher(pool, filters, RangeSizer(), every_header=True, opinion=opinion)
        for _ in range(times):
            if live:
                found.append(await fetcher.fetch_live(await pool.headers(range(2, 2 + BLOCKS))))
            else:
                found.append(await fetcher.fetch_final(2, 1 + BLOCKS))
        return found, dict(pool.standing())


def places(fetched: Fetched) -> list[tuple[int, int]]:
    return [(int(each.block_number, 16), int(each.log_index, 16)) for each in fetched.logs]


def log_of(topic: str) -> Log:
    """A log of that event and nothing else worth a look."""
    return Log("0x" + "11" * 20, (topic,), "0x", "0x1", "0x" + "01" * 32, "0x" + "02" * 32, "0x0")


ALL = [(2 + n, at) for n in range(BLOCKS) for at in (0, 1)]
SPAN = Verified(COMPARED, 2, 1 + BLOCKS)


@pytest.mark.parametrize("live", [False, True])
async def test_a_log_that_one_left_out_is_proved_by_its_receipts_and_the_liar_is_set_aside(
    chain: AnvilChain, faulty_node: Faulty, live: bool, caplog: pytest.LogCaptureFixture
) -> None:
    liar = faulty_node(chain.url, leaving_out(DISPUTED))
    with caplog.at_level(logging.WARNING):
        found, standing = await fetch(chain, [chain.url, liar.url], live=live, times=2)
    for fetched in found:
        assert places(fetched) == ALL
    assert Verified(AUDITED, DISPUTED, DISPUTED) in found[0].passed
    assert SPAN in found[0].passed
    (name,) = [name for name, said in standing.items() if said != "ok"]
    assert f"logs of block {DISPUTED} are not those of its receipts" in standing[name]
    assert name in liar.url
    assert sum("set aside" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("live", [False, True])
async def test_two_that_agree_pass_the_third_rung_and_one_alone_does_not(
    chain: AnvilChain, faulty_node: Faulty, live: bool
) -> None:
    other = faulty_node(chain.url)
    (fetched,), _ = await fetch(chain, [chain.url, other.url], live=live)
    assert (places(fetched), fetched.passed) == (ALL, (SPAN,))
    (alone,), _ = await fetch(chain, [chain.url], live=live)
    assert (places(alone), alone.passed) == (ALL, ())


async def test_where_no_receipts_are_given_a_third_provider_decides(chain: AnvilChain, faulty_node: Faulty) -> None:
    liar = faulty_node(chain.url, without_receipts(leaving_out(DISPUTED)))
    truthful = [faulty_node(chain.url, without_receipts(honest)).url for _ in range(2)]
    found, standing = await fetch(chain, [liar.url, *truthful], live=False, times=3)
    assert [places(fetched) for fetched in found] == [ALL] * 3
    assert all(Verified(AUDITED, DISPUTED, DISPUTED) not in fetched.passed for fetched in found)
    assert [name for name, said in standing.items() if said != "ok"] == [liar.url.removeprefix("http://")]


async def test_two_that_differ_and_nothing_to_decide_by_are_not_believed(
    chain: AnvilChain, faulty_node: Faulty
) -> None:
    liar = faulty_node(chain.url, without_receipts(leaving_out(DISPUTED)))
    truthful = faulty_node(chain.url, without_receipts(honest))
    with pytest.raises(UntruthError, match=rf"block {DISPUTED}\b"):
        await fetch(chain, [liar.url, truthful.url], live=False)


async def test_a_second_provider_that_is_down_holds_nothing_up(chain: AnvilChain, faulty_node: Faulty) -> None:
    down = faulty_node(chain.url)
    down.close()
    (fetched,), _ = await fetch(chain, [chain.url, down.url], live=True)
    assert (places(fetched), fetched.passed) == (ALL, ())


async def test_ranges_with_many_logs_are_drawn_by_their_place_and_loud_events_always_compared() -> None:
    async with ProviderPool(Terms(), []) as pool:
        opinion = SecondOpinion(pool, 1, share=0.05, loud=frozenset({"0x" + "aa" * 32}))
        quiet = [log_of("0x" + "bb" * 32)] * (FEW_LOGS + 1)
        drawn = [first for first in range(0, 2_000_000, 1000) if opinion.is_wanted(quiet, first)]
        assert 60 <= len(drawn) <= 140
        assert drawn == [first for first in range(0, 2_000_000, 1000) if opinion.is_wanted(quiet, first)]
        undrawn = next(first for first in range(0, 10_000, 1000) if first not in drawn)
        assert opinion.is_wanted([*quiet, log_of("0x" + "aa" * 32)], undrawn)
        assert opinion.is_wanted(quiet[:FEW_LOGS], undrawn)
