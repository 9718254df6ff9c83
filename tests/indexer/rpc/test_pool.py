"""What the pool learns of its providers: who keeps what, who lags, who speaks, what each did."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from indexer.adapter import ContractCall, LogFilter
from indexer.chain.finality import Finality
from indexer.receipts import receipts_root
from indexer.rpc.errors import NobodyElseError, UnavailableError, WrongChainError
from indexer.rpc.failover import ILL_VOICE_SECONDS, VOICE_SECONDS
from indexer.rpc.pool import ProviderPool
from indexer.rpc.provider import DOUBT_SECONDS, OUTAGE_SECONDS, RELEARN_SECONDS, Pace
from indexer.rpc.reader import Word
from tests.rigs.anvil import AnvilNode
from tests.rigs.fast_time import FastTime
from tests.rigs.played_node import BLOCK_SECONDS, HEAD, MULTICALL, Node, header_at, read
from tests.rigs.provider_rows import open_chain
from tests.rigs.rpc_faults import FaultyNode, Raw, always, played
from tests.rigs.transfer_chain import Terms

Faulty = Callable[..., FaultyNode]
SUPPLY = ContractCall("0x" + "11" * 20, "totalSupply()")


@pytest.fixture
def pool_of(faulty_node: Faulty) -> Callable[..., tuple[ProviderPool, list[FaultyNode], FastTime]]:
    """`pool_of(node, …, terms=)` is a pool of these, their servers, and its clock."""

    def make(*nodes: Node, terms: Terms | None = None) -> tuple[ProviderPool, list[FaultyNode], FastTime]:
        time = FastTime()
        servers = [faulty_node("", node.twist()) for node in nodes]
        return ProviderPool(terms or Terms(), [server.url for server in servers], pace=time.pace()), servers, time

    return make


Pooling = Callable[..., tuple[ProviderPool, list[FaultyNode], FastTime]]


async def test_head_and_final_block_are_one_request(pool_of: Pooling) -> None:
    node = Node(final=HEAD - 64)
    pool, (server,), _ = pool_of(node)
    async with pool:
        await pool.heads()
        before = server.requests
        latest, final = await pool.heads()
        assert server.requests == before + 1
    assert final is not None
    assert (latest.number, final.number) == (HEAD, HEAD - 64)
    assert latest.receipts_root == "0x" + "56" * 32


async def test_a_chain_without_the_tag_is_asked_for_it_once(pool_of: Pooling) -> None:
    pool, (server,), _ = pool_of(Node())
    async with pool:
        assert [(await pool.heads())[1] for _ in range(3)] == [None] * 3
    assert server.methods.count("eth_getBlockByNumber") == 3 + 1


async def test_a_lagging_head_makes_the_others_asked(pool_of: Pooling) -> None:
    late, good = Node(head=HEAD - 5), Node()
    pool, (_, late_server), _ = pool_of(good, late)
    async with pool:
        for _ in range(6):
            latest, _ = await pool.heads(expected=HEAD)
            assert latest.number == HEAD
        assert late_server.methods.count("eth_getBlockByNumber") == 2 + 1, "asked first once, then last"


async def test_an_invented_head_is_not_preferred(pool_of: Pooling) -> None:
    late, good, liar = Node(head=HEAD - 5), Node(), Node(head=HEAD * 1000)
    pool, _, _ = pool_of(good, late, liar)
    async with pool:
        assert (await pool.heads(expected=HEAD))[0].number == HEAD


async def test_a_chain_that_got_shorter_is_believed_when_all_say_so(pool_of: Pooling) -> None:
    pool, _, _ = pool_of(Node(head=HEAD - 2), Node(head=HEAD - 3))
    async with pool:
        assert (await pool.heads(expected=HEAD))[0].number == HEAD - 2


@pytest.mark.parametrize(
    ("branches", "word"),
    [
        ("a", Word.ALONE),
        ("ba", Word.CONTRADICTED),
        ("aa", Word.CONFIRMED),
        ("baa", Word.CONFIRMED),
        ("bba", Word.CONTRADICTED),
        ("bbaa", Word.CONTRADICTED),
    ],
)
async def test_a_header_is_confirmed_by_two_that_are_not_outvoted(pool_of: Pooling, branches: str, word: Word) -> None:
    pool, servers, _ = pool_of(*(Node(branch=branch) for branch in branches))
    async with pool:
        assert await pool.confirms(read(header_at(HEAD, "a"))) is word
        outvoted = [standing for standing in pool.standing().values() if "elsewhere" in standing]
        assert len(outvoted) == (branches.count("b") if word is Word.CONFIRMED else 0)
    assert all(server.requests for server in servers)


async def test_who_does_not_know_the_height_or_is_down_is_no_voice(pool_of: Pooling) -> None:
    down = Node()
    down.is_down = True
    pool, _, _ = pool_of(Node(), Node(head=HEAD - 1), down)
    async with pool:
        assert await pool.confirms(read(header_at(HEAD))) is Word.ALONE


async def test_two_addresses_of_one_host_are_one_voice(faulty_node: Faulty) -> None:
    server = faulty_node("", Node().twist())
    async with ProviderPool(Terms(), [f"{server.url}/one", f"{server.url}/two"]) as pool:
        assert len(pool.standing()) == 2
        assert pool.voices() == 1
        assert await pool.confirms(read(header_at(HEAD))) is Word.ALONE
        given = await pool.logs([LogFilter(frozenset(), ())], 1, 2)
        with pytest.raises(NobodyElseError, match="nobody to ask but"):
            await pool.logs([LogFilter(frozenset(), ())], 1, 2, without=frozenset({given.provider}))


async def test_another_provider_can_be_demanded(pool_of: Pooling) -> None:
    one, other = Node(), Node()
    pool, _, _ = pool_of(one, other)
    async with pool:
        anything = [LogFilter(frozenset(), ())]
        for _ in range(3):
            first = await pool.logs(anything, 1, 2)
            second = await pool.logs(anything, 1, 2, without=frozenset({first.provider}))
            assert first.provider != second.provider
        other.is_down = True
        for _ in range(2):  # Whoever is asked, the other of the two cannot answer for it.
            with pytest.raises(UnavailableError, match="503"):
                await pool.logs(anything, 1, 2, without=frozenset({next(iter(pool.standing()))}))


async def test_who_keeps_no_old_state_is_not_asked_first_for_it_until_a_while_has_passed(pool_of: Pooling) -> None:
    pruned, archive = Node(state_from=HEAD - 127), Node()
    pool, (_, pruned_server), time = pool_of(archive, pruned)

    async def value_at(number: int) -> int:
        (answer,) = await pool.calls([SUPPLY], read(header_at(number)))
        assert answer.values is not None, answer
        return int(answer.values[0])

    def asked() -> int:
        return pruned_server.methods.count("eth_call")

    async with pool:
        for _ in range(2):
            await pool.heads()  # By turns: so that each one's head is known.
        old, lower, recent = HEAD // 2, HEAD // 4, HEAD - 5
        while not asked():
            assert await value_at(old) == old
        learned = asked()
        for _ in range(4):
            assert (await value_at(old), await value_at(lower)) == (old, lower)
        assert asked() == learned, "it said once that it does not keep that"
        for _ in range(2):
            assert await value_at(recent) == recent
        assert asked() > learned, "what it keeps it is asked for"
        known = asked()
        time.now += RELEARN_SECONDS + 1
        for _ in range(2):
            assert await value_at(old) == old
        assert asked() > known, "nodes are exchanged: it may keep it by now"


async def test_state_that_nobody_keeps_is_missing_and_no_outage(pool_of: Pooling) -> None:
    pool, _, _ = pool_of(Node(state_from=HEAD), Node(state_from=HEAD))
    async with pool:
        await pool.heads()
        (answer,) = await pool.calls([SUPPLY], read(header_at(5)))
    assert answer.is_missing


async def test_many_calls_are_one_multicall_once_it_is_deployed(pool_of: Pooling) -> None:
    terms = Terms(multicall3=MULTICALL, multicall3_block=1000)
    pool, (server,), _ = pool_of(Node(), terms=terms)
    async with pool:
        since = await pool.calls([SUPPLY] * 30, read(header_at(1000)))
        assert server.methods.count("eth_call") == 1
        before = await pool.calls([SUPPLY] * 30, read(header_at(999)))
        assert server.methods.count("eth_call") == 1 + 30
    assert [answer.values for answer in since] == [(1000,)] * 30
    assert [answer.values for answer in before] == [(999,)] * 30


async def test_calls_at_many_blocks_share_requests_and_keep_their_order(pool_of: Pooling) -> None:
    terms = Terms(multicall3=MULTICALL, multicall3_block=0)
    pool, (server,), _ = pool_of(Node(), terms=terms)
    wanted = [([SUPPLY] * (1 + n % 3), read(header_at(100 + n))) for n in range(12)]
    async with pool:
        answers = await pool.calls_at(wanted)
    assert [[a.values for a in part] for part in answers] == [[(100 + n,)] * (1 + n % 3) for n in range(12)]
    assert server.requests == 2 + 1, "who it is, then all calls at once"


async def test_an_archive_node_answers_all_multicalls_that_a_pruned_one_lacks(pool_of: Pooling) -> None:
    terms = Terms(multicall3=MULTICALL, multicall3_block=0)
    pool, (_, pruned), _ = pool_of(Node(), Node(state_from=HEAD), terms=terms)
    wanted = [([SUPPLY] * 3, read(header_at(100 + n))) for n in range(5)]
    async with pool:
        answers = await pool.calls_at(wanted)
    assert [[a.values for a in part] for part in answers] == [[(100 + n,)] * 3 for n in range(5)]
    assert pruned.methods.count("eth_call") in (0, 5), "it is not asked call by call"


async def test_finality_by_age_is_found_in_few_headers(pool_of: Pooling) -> None:
    terms = Terms(finality_seconds=1800)
    pool, (server,), _ = pool_of(Node(), terms=terms)
    async with pool:
        finality = Finality(pool, terms)
        heads = await finality.read(None, not_below=0)
        assert heads.finalized.number == HEAD - 1800 // BLOCK_SECONDS
        assert server.requests <= 30
        before = server.requests
        again = await finality.read(heads.finalized, not_below=heads.finalized.number)
        assert (again, server.requests) == (heads, before + 1)


async def test_a_chain_younger_than_its_finality_is_final_at_its_first_block(pool_of: Pooling) -> None:
    terms = Terms(finality_seconds=1800)
    pool, _, _ = pool_of(Node(head=20), terms=terms)
    async with pool:
        assert (await Finality(pool, terms).read(None, not_below=0)).finalized.number == 0


@pytest.mark.scenario(21)
async def test_a_provider_that_comes_back_as_another_chain_is_found_out(pool_of: Pooling) -> None:
    node = Node()
    pool, (server,), time = pool_of(node)
    async with pool:
        await pool.heads()
        node.is_down = True
        with pytest.raises(UnavailableError):
            await pool.heads()
        time.now += OUTAGE_SECONDS
        node.is_down, node.chain_id = False, 137
        with pytest.raises(WrongChainError, match="serves chain id 137"):
            await pool.heads()
        asked = server.requests
        with pytest.raises(WrongChainError):
            await pool.heads()
        assert server.requests == asked, "never again"
        assert pool.voices() == 0


async def test_metrics_count_requests_failures_and_throttles_by_provider(faulty_node: Faulty) -> None:
    turns = iter([Raw(429, b"slow down"), Raw(503, b"down")])
    node = played(Node(final=HEAD - 64).answer)
    server = faulty_node("", lambda requests, answers: next(turns, None) or node(requests, answers))
    time = FastTime()
    async with ProviderPool(Terms(), [server.url], pace=time.pace()) as pool:
        await pool.heads()
        (metrics,) = pool.metrics()
    assert metrics.failures == {"ThrottledError": 1, "UnavailableError": 1}
    assert (metrics.throttles, metrics.set_aside, metrics.head, metrics.standing) == (1, 1, HEAD, "ok")
    assert metrics.http_requests == server.requests == sum(m.answers for m in metrics.methods.values())
    headers = metrics.methods["eth_getBlockByNumber"]
    assert (headers.requests, headers.answers) == (2, 1)
    assert "1 ThrottledError, 1 UnavailableError, set aside 1 times" in metrics.line()


async def test_receipts_come_whole_enough_for_their_root(start_node: Callable[..., AnvilNode]) -> None:
    chain = open_chain(start_node)
    async with ProviderPool(Terms(), [chain.url]) as pool:
        for number in (0, 1, 5):
            header = await pool.header(number)
            assert header is not None
            for block in (number, header.hash):
                given = await pool.receipts(block)
                assert receipts_root(given.receipts) == header.receipts_root
    chain.close()


@pytest.mark.parametrize("most", [1, 3, 10, 37])
async def test_the_largest_batch_that_a_provider_takes_is_found_and_kept_to(faulty_node: Faulty, most: int) -> None:
    node = played(Node().answer)
    refusals: list[int] = []

    def twist(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]] | Raw:
        if len(requests) <= most:
            return node(requests, answers)
        refusals.append(len(requests))
        return Raw(200, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"batch size too large"}}')

    server = faulty_node("", twist)
    async with ProviderPool(Terms(), [server.url]) as pool:
        for _ in range(9):
            headers = await pool.headers(range(500, 600))
            assert [header.number for header in headers] == list(range(500, 600))
        learned, before = len(refusals), server.requests
        await pool.headers(range(100))
    assert len(refusals) == learned <= 12
    assert server.requests - before == -(-100 // most)


async def test_once_an_hour_a_line_says_what_each_provider_did(
    pool_of: Pooling, caplog: pytest.LogCaptureFixture
) -> None:
    pool, _, time = pool_of(Node(), Node())
    async with pool:
        with caplog.at_level(logging.INFO, logger="indexer"):
            for _ in range(180):
                await pool.heads()
                time.now += 60.0
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("indexer")]
    assert len(lines) == 2
    assert all(line.count("failures: none, set aside 0 times") == 2 for line in lines)


async def test_many_questions_wait_once_for_a_provider_that_hangs(faulty_node: Faulty) -> None:
    """Before it said which chain it serves they queue behind one another: that must not add up."""
    hung = faulty_node("", always(Raw(200, b"[]", stalls_at=1)))
    good = faulty_node("", Node().twist())
    asked = iter(range(10**6))
    clock = itertools.count()  # Each look at it comes a second later, past any pause after one failure.

    def limit(seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds if next(asked) else 1.0)  # The first is asked of the last listed.

    pace = Pace(limit=limit, monotonic=lambda: next(clock))
    async with ProviderPool(Terms(), [good.url, hung.url], pace=pace) as pool:
        headers = await asyncio.gather(*(pool.header(number) for number in range(1, 17)))
        assert [header and header.number for header in headers] == list(range(1, 17))
    assert hung.requests == 1


async def test_whom_others_contradict_is_asked_last_for_a_while(pool_of: Pooling) -> None:
    pool, (_, doubted), time = pool_of(Node(), Node())
    async with pool:
        for _ in range(2):
            await pool.heads()
        pool.distrust(list(pool.standing())[1], "other logs than the others have")
        asked = doubted.requests
        time.now += 10.0
        for _ in range(6):
            await pool.heads()
        assert doubted.requests == asked
        time.now += DOUBT_SECONDS
        for _ in range(2):
            await pool.heads()
        assert doubted.requests > asked


async def test_one_that_hangs_holds_up_a_confirmation_once_and_then_less(faulty_node: Faulty) -> None:
    hung = faulty_node("", always(Raw(200, b"[]", stalls_at=1)))
    good = faulty_node("", Node().twist())
    limits: list[float] = []

    def limit(seconds: float) -> asyncio.Timeout:
        limits.append(seconds)
        return asyncio.timeout(seconds / 5 if seconds in (VOICE_SECONDS, ILL_VOICE_SECONDS) else seconds)

    pace = Pace(lambda: 1000.0, limit=limit)
    async with ProviderPool(Terms(), [good.url, hung.url], pace=pace) as pool:
        assert await pool.confirms(read(header_at(7))) is Word.ALONE
        assert pool.voices() == 1, "it is set aside for its silence"
        assert ILL_VOICE_SECONDS not in limits
        assert await pool.confirms(read(header_at(7))) is Word.ALONE
        assert limits.count(ILL_VOICE_SECONDS) == 1
