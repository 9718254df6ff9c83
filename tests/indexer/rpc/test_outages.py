"""Providers that fail for a while: rows are complete when they are back, unasked, and few lines are logged."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.lanes import ChainWork
from indexer.rpc.errors import UnavailableError
from indexer.rpc.limiter import PENALTY_SECONDS
from indexer.rpc.pool import ProviderPool
from indexer.rpc.provider import USUAL_PATIENCE, Pace
from indexer.sync import SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.database import open_engine
from ledger.kinds import ChainStatus
from ledger.writer import LedgerWriter
from tests.rigs.anvil import AnvilNode, start_anvil
from tests.rigs.fast_time import FastTime
from tests.rigs.provider_rows import EVERYTHING, amounts, open_chain, run
from tests.rigs.rpc_faults import FaultyNode, Raw, Twist, always, at_first, changed, refused
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import AnvilChain, Terms, register

Faulty = Callable[..., FaultyNode]
Answers = list[dict[str, Any]]
OUTAGE_SECONDS = 600.0


@pytest.fixture(scope="module")
def chain(anvil: Path) -> Iterator[AnvilChain]:
    """One chain for all: nobody changes it."""
    nodes: list[AnvilNode] = []

    def start(*options: str) -> AnvilNode:
        nodes.append(start_anvil(anvil, *options))
        return nodes[-1]

    opened = open_chain(start)
    yield opened
    opened.close()
    nodes[0].stop()


@pytest.fixture
def engine(sqlite_ledger_url: str) -> Iterator[Engine]:
    opened = open_engine(sqlite_ledger_url)
    yield opened
    opened.dispose()


def null_latest(result: Any, params: list[Any]) -> Any:
    return None if params[0] == "latest" else result


@pytest.mark.scenario(14)
async def test_a_null_latest_block_is_no_head(engine: Engine, chain: AnvilChain, faulty_node: Faulty) -> None:
    headless = faulty_node(chain.url, changed("eth_getBlockByNumber", null_latest))
    alone = await run(engine, chain, [headless.url])
    assert alone.status is ChainStatus.UNREACHABLE
    assert "no latest block" in alone.reason
    assert amounts(engine) == []


@pytest.mark.scenario(14)
async def test_a_null_latest_block_for_a_while_or_beside_a_good_provider_costs_nothing(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    headless = faulty_node(chain.url, changed("eth_getBlockByNumber", null_latest))
    passing = faulty_node(chain.url, at_first(2, changed("eth_getBlockByNumber", null_latest)))
    assert (await run(engine, chain, [passing.url, headless.url])).is_ok
    assert amounts(engine) == EVERYTHING
    assert headless.requests > 0


TROUBLE: dict[str, Raw] = {
    "503": Raw(503, b"upstream connect error"),
    "502 with HTML": Raw(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
    "HTML with 200": Raw(200, b"<html><body>Please verify you are human</body></html>"),
    "cut off": Raw(200, b'[{"jsonrpc":"2.0","id":0,"result":"0x7'),
    "empty": Raw(200, b""),
}
STALLING = Raw(200, b'[{"jsonrpc":"2.0","id":0,"result":"0x7a69"}]', stalls_at=20)


@pytest.mark.scenario(25)
@pytest.mark.parametrize("raw", TROUBLE.values(), ids=TROUBLE)
async def test_trouble_that_passes_costs_no_row(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, raw: Raw
) -> None:
    troubled = faulty_node(chain.url, at_first(3, always(raw)))
    assert (await run(engine, chain, [troubled.url])).is_ok
    assert amounts(engine) == EVERYTHING


@pytest.mark.scenario(25)
async def test_a_body_that_never_ends_is_given_up_and_asked_for_again(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    """What takes seconds of patience is the same clock a fiftieth as long here, for this provider's first answer."""
    time = FastTime()
    limits: list[float] = []

    def limit(seconds: float) -> asyncio.Timeout:
        limits.append(seconds)
        return asyncio.timeout(seconds / 50 if len(limits) == 1 else seconds)

    slow = faulty_node(chain.url, at_first(1, always(STALLING)))
    with_patience = Pace(lambda: time.now, time.sleep, limit)
    async with ProviderPool(Terms(), [slow.url], pace=with_patience) as pool:
        assert (await pool.heads())[0].number == chain.head()
        assert pool.metrics()[0].failures == {"UnavailableError": 1}
    assert limits[0] == USUAL_PATIENCE
    assert (await run(engine, chain, [slow.url])).is_ok
    assert amounts(engine) == EVERYTHING


@pytest.mark.scenario(25)
@pytest.mark.parametrize(
    ("headers", "pause"),
    [({"Retry-After": "7"}, 7.0), ({}, PENALTY_SECONDS), ({"Retry-After": "soon"}, PENALTY_SECONDS)],
)
async def test_429_is_waited_out_as_long_as_it_says(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, headers: dict[str, str], *, pause: float
) -> None:
    time = FastTime()
    busy = faulty_node(chain.url, at_first(2, always(Raw(429, b"slow down", headers))))
    assert (await run(engine, chain, [busy.url], pace=time.pace())).is_ok
    assert amounts(engine) == EVERYTHING
    assert [round(wait, 6) for wait in time.waits[:2]] == [pause, pause]


@pytest.mark.scenario(25)
async def test_a_throttled_provider_holds_up_nobody_while_another_answers(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    time = FastTime()
    busy = faulty_node(chain.url, always(Raw(429, b"slow down", {"Retry-After": "60"})))
    assert (await run(engine, chain, [chain.url, busy.url], pace=time.pace())).is_ok
    assert amounts(engine) == EVERYTHING
    assert busy.requests >= 1
    assert max(time.waits, default=0.0) < 1.0, "nobody waits for the one that is busy"


@pytest.mark.scenario(24)
@pytest.mark.parametrize(
    ("message", "is_throttle"),
    [
        ("query returned more than 10000 results", False),
        ("daily request count exceeded, request rate limited", True),
        ("limit exceeded", True),
    ],
)
async def test_the_same_code_means_size_or_pace_as_its_message_says(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, *, message: str, is_throttle: bool
) -> None:
    time = FastTime()
    node = faulty_node(chain.url, at_first(6, refused("eth_getLogs", -32005, message)))
    assert (await run(engine, chain, [node.url], pace=time.pace())).is_ok
    assert amounts(engine) == EVERYTHING
    assert (max(time.waits, default=0.0) >= PENALTY_SECONDS / 2) == is_throttle


SUGGESTED = "Log response size exceeded. Based on your parameters, this block range should work: [0x1, 0x4]"


@pytest.mark.scenario(23)
async def test_a_suggested_range_that_is_refused_again_shrinks_on(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    def twist(requests: Answers, answers: Answers) -> Answers:
        """Says that four blocks would do, and then refuses anything above one."""
        told: Answers = []
        for request, answer in zip(requests, answers, strict=True):
            asked = request["params"][0] if request["method"] == "eth_getLogs" else {}
            is_wide = asked.get("toBlock") != asked.get("fromBlock")
            error = {"code": -32602, "message": SUGGESTED}
            told.append({"jsonrpc": "2.0", "id": request["id"], "error": error} if is_wide else answer)
        return told

    assert (await run(engine, chain, [faulty_node(chain.url, twist).url])).is_ok
    assert amounts(engine) == EVERYTHING


@pytest.mark.scenario(23)
async def test_a_block_too_large_for_one_provider_is_asked_of_the_next(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    small = faulty_node(chain.url, refused("eth_getLogs", -32005, "query returned more than 10000 results"))
    good = faulty_node(chain.url)
    assert (await run(engine, chain, [good.url, small.url])).is_ok
    assert amounts(engine) == EVERYTHING
    assert "eth_getLogs" in small.methods


MISSING = ["missing trie node 7a8d (path ) <nil>", "header not found", "history has been pruned for this block"]


@pytest.mark.scenario(27)
@pytest.mark.parametrize("message", MISSING)
async def test_what_one_provider_does_not_keep_another_is_asked_for(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, message: str
) -> None:
    without = faulty_node(chain.url, refused("eth_getLogs", -32000, message))
    assert (await run(engine, chain, [chain.url, without.url])).is_ok
    assert amounts(engine) == EVERYTHING
    assert "eth_getLogs" in without.methods


@pytest.mark.scenario(27)
@pytest.mark.parametrize("message", MISSING)
async def test_what_nobody_keeps_leaves_a_hole_and_no_coverage(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, message: str
) -> None:
    without = faulty_node(chain.url, refused("eth_getLogs", -32000, message))
    outcome = await run(engine, chain, [without.url])
    assert outcome.status is ChainStatus.UNREACHABLE
    assert message[:16] in outcome.reason
    assert dump_tables(engine)["coverage"] == []


def forked_above(number: int) -> Twist:
    """Another branch: other hashes above that height, each block hanging on the one before."""

    def fork(header: Any, _params: list[Any]) -> Any:
        at = int(header["number"], 16)
        own, parent = (f"0x{n:064x}" if n > number else None for n in (at, at - 1))
        return {**header, "hash": own or header["hash"], "parentHash": parent or header["parentHash"]}

    return changed("eth_getBlockByNumber", fork)


@pytest.mark.scenario(20)
@pytest.mark.parametrize("calls", [1, 4, 1000])
async def test_a_stale_fork_beside_a_good_provider_rolls_nothing_back(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, calls: int
) -> None:
    assert (await run(engine, chain, [chain.url])).is_ok
    before = dump_tables(engine)
    stale = faulty_node(chain.url, at_first(calls, forked_above(chain.head() - 3)))
    time = FastTime()
    async with ProviderPool(Terms(), [chain.url, stale.url], pace=time.pace()) as pool:
        with LedgerWriter(engine) as writer:
            for _ in range(3):
                await sync_chains(
                    writer, [ChainWork(Terms(), pool, [])], system_clock, options=SyncOptions(pace=time.pace())
                )
    after = dump_tables(engine)
    assert "eth_getBlockByNumber" in stale.methods
    assert (after["reorg"], after["fact"], after["raw_log"]) == ([], before["fact"], before["raw_log"])


@pytest.mark.scenario(26)
async def test_ten_minutes_without_any_provider_end_by_themselves_and_are_few_lines(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    time, done = FastTime(), asyncio.Event()

    def down(_requests: Answers, answers: Answers) -> Answers | Raw:
        return Raw(503, b"upstream connect error") if time.now < OUTAGE_SECONDS else answers

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        if time.now > 2 * OUTAGE_SECONDS:
            done.set()
            await asyncio.Event().wait()

    nodes = [faulty_node(chain.url, down) for _ in range(3)]
    pace = Pace(lambda: time.now, sleep)
    with caplog.at_level(logging.INFO):
        async with ProviderPool(Terms(), [node.url for node in nodes], pace=pace) as pool:
            with LedgerWriter(engine) as writer:
                work = ChainWork(Terms(), pool, register(engine, [chain.token]), every_header=True)
                options = SyncOptions(until_head=False, pace=pace)
                following = asyncio.create_task(sync_chains(writer, [work], system_clock, options=options))
                await asyncio.wait({following, asyncio.create_task(done.wait())}, return_when=asyncio.FIRST_COMPLETED)
                assert not following.done()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    assert amounts(engine) == EVERYTHING
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("indexer")]
    assert len(lines) <= 12, "\n".join(lines)
    assert sum("is set aside" in line for line in lines) == len(nodes)
    assert sum("answers again" in line for line in lines) == len(nodes) + 1, "each provider, and the chain"


async def test_a_provider_that_comes_and_goes_all_the_time_is_two_lines_in_five_minutes(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    time = FastTime()

    def flapping(_requests: Answers, answers: Answers) -> Answers | Raw:
        return Raw(503, b"upstream connect error") if int(time.now) % 20 < 10 else answers

    node = faulty_node(chain.url, flapping)
    with caplog.at_level(logging.INFO, logger="indexer"):
        async with ProviderPool(Terms(), [node.url], pace=time.pace()) as pool:
            while time.now < OUTAGE_SECONDS:
                with suppress(UnavailableError):
                    await pool.heads()
                await time.sleep(4.0)
    assert node.requests > 200
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("indexer")]
    assert 2 <= len(lines) <= 6, "\n".join(lines)
