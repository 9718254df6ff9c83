"""Providers that fail, lag, lie or serve another chain: one clear line each, and the rows stay complete."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.lanes import ChainWork
from indexer.rpc.pool import ProviderPool
from indexer.sync import SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.database import open_engine
from ledger.kinds import ChainStatus, SourceKind
from ledger.writer import LedgerWriter
from tests.rigs.anvil import AnvilNode, start_anvil
from tests.rigs.fast_time import FastTime
from tests.rigs.provider_rows import EVERYTHING, amounts, open_chain, run
from tests.rigs.rpc_faults import FaultyNode, Raw, Twist, always, changed
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import AnvilChain, Terms

Faulty = Callable[..., FaultyNode]
Requests = list[dict[str, Any]]


@pytest.fixture(scope="module")
def chain(anvil: Path) -> Iterator[AnvilChain]:
    """One chain for all, of twenty blocks with transfers: nobody changes it."""
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


def without_logs(result: Any, _params: list[Any]) -> Any:
    return []


def without_first_log(result: Any, _params: list[Any]) -> Any:
    return result[1:]


def twice(result: Any, _params: list[Any]) -> Any:
    return result + result[:1]


def removed(result: Any, _params: list[Any]) -> Any:
    return [{**log, "removed": True} for log in result]


def of_another_block(result: Any, _params: list[Any]) -> Any:
    return [{**log, "blockHash": "0x" + "11" * 32} for log in result]


def invented(result: Any, _params: list[Any]) -> Any:
    return [{**log, "address": "0x" + "77" * 20} for log in result]


def only_other_logs(result: Any, _params: list[Any]) -> Any:
    """A log the bloom knows of is not there, although the answer is not empty."""
    return result[::2]


LIES = [
    pytest.param(without_logs, marks=pytest.mark.scenario(15)),
    pytest.param(of_another_block, marks=pytest.mark.scenario(16)),
    pytest.param(twice, marks=pytest.mark.scenario(17)),
    pytest.param(removed, marks=pytest.mark.scenario(18)),
    without_first_log,
    only_other_logs,
    invented,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_a_lying_provider_is_found_out_and_another_one_believed(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, lie: Callable[[Any, list[Any]], Any]
) -> None:
    liar = faulty_node(chain.url, changed("eth_getLogs", lie))
    outcome = await run(engine, chain, [liar.url, chain.url])
    assert outcome.is_ok, outcome
    assert "eth_getLogs" in liar.methods, "the liar was never asked"
    assert amounts(engine) == EVERYTHING


@pytest.mark.scenario(19, 22)
async def test_a_lagging_provider_is_not_believed_alone(engine: Engine, chain: AnvilChain, faulty_node: Faulty) -> None:
    head = hex(5)
    lagging = faulty_node(chain.url, changed("eth_blockNumber", lambda _result, _params: head))
    outcome = await run(engine, chain, [lagging.url])
    assert outcome.status is ChainStatus.UNREACHABLE
    assert "its head 5 is below block" in outcome.reason
    assert amounts(engine) == []
    assert dump_tables(engine)["coverage"] == []


@pytest.mark.scenario(19, 22)
async def test_a_lagging_provider_beside_a_good_one_does_no_harm(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    lagging = faulty_node(chain.url, changed("eth_blockNumber", lambda _result, _params: hex(5)))
    assert (await run(engine, chain, [lagging.url, chain.url])).is_ok
    assert amounts(engine) == EVERYTHING


HTML = Raw(200, b"<html><body>Please verify you are human</body></html>", {"Content-Type": "text/html"})
CUT_OFF = Raw(200, b'[{"jsonrpc":"2.0","id":0,"result":"0x7')
BROKEN: list[tuple[str, Raw, str]] = [
    ("html", HTML, "HTML with HTTP 200"),
    ("cut off", CUT_OFF, "no valid JSON-RPC"),
    ("503", Raw(503, b"upstream connect error"), "HTTP 503"),
    ("401", Raw(401, b"Must be authenticated!"), "HTTP 401: Must be authenticated!"),
    ("429", Raw(429, b"slow down", {"Retry-After": "3"}), "HTTP 429: slow down"),
]


@pytest.mark.scenario(25)
@pytest.mark.parametrize(("raw", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
async def test_a_broken_provider_alone_makes_one_clear_line(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, *, raw: Raw, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = faulty_node(chain.url, always(raw))
    with caplog.at_level(logging.WARNING):
        outcome = await run(engine, chain, [broken.url])
    assert outcome.status is ChainStatus.UNREACHABLE
    assert words in outcome.reason
    assert "\n" not in outcome.reason
    assert len(caplog.records) <= 2, "one line for the provider, one for the chain"
    (row,) = dump_tables(engine)["chain"]
    assert (row["status"], row["status_reason"]) == ("unreachable", outcome.reason)


@pytest.mark.scenario(25)
@pytest.mark.parametrize("raw", [case[1] for case in BROKEN], ids=[case[0] for case in BROKEN])
async def test_a_broken_provider_beside_a_good_one_does_no_harm(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, raw: Raw
) -> None:
    broken = faulty_node(chain.url, always(raw))
    assert (await run(engine, chain, [broken.url, chain.url])).is_ok
    assert amounts(engine) == EVERYTHING


async def test_a_provider_that_fails_now_and_then_loses_no_row(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    count = iter(range(10**6))
    flaky = faulty_node(chain.url, lambda _requests, answers: HTML if next(count) % 3 == 1 else answers)
    assert (await run(engine, chain, [flaky.url])).is_ok
    assert amounts(engine) == EVERYTHING


@pytest.mark.scenario(21)
async def test_a_provider_of_another_chain_is_out_with_one_line(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    other = faulty_node(chain.url, changed("eth_chainId", lambda _result, _params: "0x89"))
    with caplog.at_level(logging.WARNING):
        assert (await run(engine, chain, [other.url, chain.url])).is_ok
    assert amounts(engine) == EVERYTHING
    assert [record for record in caplog.messages if "chain id 137, but anvil is 31337" in record] == caplog.messages
    assert set(other.methods) == {"eth_chainId"}


@pytest.mark.scenario(21)
async def test_only_providers_of_another_chain_make_the_chain_unreachable(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    other = faulty_node(chain.url, changed("eth_chainId", lambda _result, _params: "0x89"))
    outcome = await run(engine, chain, [other.url])
    assert outcome.status is ChainStatus.UNREACHABLE
    assert "chain id 137" in outcome.reason
    assert "correct its endpoints" in outcome.reason


async def test_a_node_that_is_no_replay_never_passes_for_a_recording(engine: Engine, chain: AnvilChain) -> None:
    outcome = await run(engine, chain, [chain.url], Terms(kind=SourceKind.SIMULATED))
    assert outcome.status is ChainStatus.UNREACHABLE
    assert "is no replay of a recording" in outcome.reason


async def test_a_replay_never_passes_for_a_live_chain(engine: Engine, chain: AnvilChain, faulty_node: Faulty) -> None:
    replay = faulty_node(chain.url, changed("web3_clientVersion", lambda _result, _params: "backstop-replay/1/x"))
    outcome = await run(engine, chain, [replay.url])
    assert outcome.status is ChainStatus.UNREACHABLE
    assert "replays a recording, but anvil is a live chain" in outcome.reason


def refusing(limit: int, message: str) -> Twist:
    """eth_getLogs of more than `limit` blocks is refused."""

    def twist(requests: Requests, answers: Requests) -> Requests:
        twisted = []
        for request, answer in zip(requests, answers, strict=True):
            asked = request["params"][0] if request["method"] == "eth_getLogs" else {}
            blocks = int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) + 1 if "toBlock" in asked else 0
            refusal = {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32005, "message": message}}
            twisted.append(refusal if blocks > limit else answer)
        return twisted

    return twist


@pytest.mark.scenario(23)
@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (3, "eth_getLogs is limited to a 3 blocks range"),
        (2, "query returned more than 10000 results"),
        (1, "Log response size exceeded. this block range should work: [0x1, 0x2]"),
        (0, "response too large"),
    ],
)
async def test_every_kind_of_too_large_shrinks_until_it_fits(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, *, limit: int, message: str
) -> None:
    """A single block that is still too large is read from its receipts (the last case)."""
    small = faulty_node(chain.url, refusing(limit, message))
    assert (await run(engine, chain, [small.url])).is_ok
    assert amounts(engine) == EVERYTHING
    assert [(c["from_number"], c["to_number"], c["level"]) for c in dump_tables(engine)["coverage"]] == [(1, 21, 2)]
    assert ("eth_getBlockReceipts" in small.methods) == (limit == 0)


async def test_any_split_of_a_range_gives_the_same_tables(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, *, migrated_sqlite: Path, tmp_path: Path
) -> None:
    assert (await run(engine, chain, [chain.url])).is_ok
    truth = dump_tables(engine)
    for limit in (1, 2, 3, 5, 8, 11):
        split = open_engine(f"sqlite:///{shutil.copyfile(migrated_sqlite, tmp_path / f'split-{limit}.sqlite')}")
        node = faulty_node(chain.url, refusing(limit, f"eth_getLogs is limited to a {limit} blocks range"))
        assert (await run(split, chain, [node.url])).is_ok
        assert_same_tables(truth, dump_tables(split))
        split.dispose()


async def test_a_reorg_that_a_second_provider_contradicts_rolls_nothing_back(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    assert (await run(engine, chain, [chain.url])).is_ok
    before = dump_tables(engine)
    tip = chain.head()

    def fork(result: Any, _params: list[Any]) -> Any:
        return {**result, "hash": "0x" + "22" * 32} if int(result["number"], 16) == tip else result

    stale = faulty_node(chain.url, changed("eth_getBlockByNumber", fork))
    async with ProviderPool(Terms(), [chain.url, stale.url], pace=FastTime().pace()) as pool:
        with LedgerWriter(engine) as writer:
            (outcome,) = await sync_chains(
                writer, [ChainWork(Terms(), pool, [])], system_clock, options=SyncOptions(pace=FastTime().pace())
            )
    after = dump_tables(engine)
    assert outcome.is_ok
    assert "eth_getBlockByNumber" in stale.methods
    assert after["reorg"] == []
    assert after["fact"] == before["fact"]
