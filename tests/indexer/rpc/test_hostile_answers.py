"""Answers made to break the reader: no wrong row, no crash, and beside a good provider nothing is lost."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.rpc.client import MOST_BYTES
from ledger.database import open_engine
from ledger.kinds import ChainStatus
from tests.rigs.anvil import AnvilNode, start_anvil
from tests.rigs.provider_rows import EVERYTHING, amounts, open_chain, run
from tests.rigs.rpc_faults import FaultyNode, Raw, Twist, always, changed
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import AnvilChain

Faulty = Callable[..., FaultyNode]
Answers = list[dict[str, Any]]


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


def logs_with(**fields: Any) -> Twist:
    """Every log has these fields changed."""
    return changed("eth_getLogs", lambda logs, _params: [{**log, **fields} for log in logs])


def headers_with(**fields: Any) -> Twist:
    return changed("eth_getBlockByNumber", lambda header, _params: {**header, **fields})


def instead(method: str, result: Any) -> Twist:
    return changed(method, lambda _result, _params: result)


def each_twice(_requests: Answers, answers: Answers) -> Answers:
    """Every id comes twice, the second time with nothing in it."""
    return [*answers, *({**answer, "result": []} for answer in answers)]


def with_strange_ids(_requests: Answers, answers: Answers) -> Answers:
    return [{**answer, "id": 10**6 + n} for n, answer in enumerate(answers)]


HUGE = "0x" + "f" * 10_000
NESTED = b'[{"jsonrpc":"2.0","id":0,"result":' + b"[" * 200_000
BOMB = gzip.compress(b"[" + b" " * (MOST_BYTES + (1 << 20)))
HOSTILE: dict[str, Twist] = {
    "each id twice": each_twice,
    "block number without end": logs_with(blockNumber=HUGE),
    "log index without end": logs_with(logIndex=HUGE),
    "log index negative": logs_with(logIndex="-0x1"),
    "height without end": headers_with(number=HUGE),
    "time after all dates": headers_with(timestamp="0x" + "f" * 15),
    "head without end": instead("eth_blockNumber", HUGE),
    "head is no number": instead("eth_blockNumber", "0xzz"),
    "chain id without end": instead("eth_chainId", HUGE),
    "chain id is a list": instead("eth_chainId", [1]),
    "logs are text": instead("eth_getLogs", "0x"),
    "logs are an object": instead("eth_getLogs", {}),
    "logs are null": instead("eth_getLogs", None),
    "null among logs": changed("eth_getLogs", lambda logs, _params: [*logs, None]),
    "null among topics": logs_with(topics=[None]),
    "header is a number": instead("eth_getBlockByNumber", 7),
    "hash too short": headers_with(hash="0x12"),
    "bloom is no hex": headers_with(logsBloom="0x" + "zz" * 256),
    "bloom too short": headers_with(logsBloom="0x12"),
    "address is no hex": logs_with(address="0x" + "zz" * 20),
    "data is no hex": logs_with(data="0x" + "zz" * 32),
    "transaction hash too short": logs_with(transactionHash="0x12"),
    "transaction hash is no hex": logs_with(transactionHash="0x" + "zz" * 32),
    "nested without end": always(Raw(200, NESTED)),
    "null": always(Raw(200, b"null")),
    "an empty list": always(Raw(200, b"[]")),
    "no utf-8": always(Raw(200, b'[{"id":0,"result":"\xff\xfe"}]')),
    "a gzip bomb": always(Raw(200, BOMB, {"Content-Encoding": "gzip"})),
    "no gzip at all": always(Raw(200, b"no", {"Content-Encoding": "gzip"})),
    "a redirect": always(Raw(307, b"", {"Location": "http://127.0.0.1:9/"})),
    "an error without shape": always(Raw(200, b'{"id":null,"error":[[["what"]]]}')),
    "an error code without end": always(Raw(200, b'{"id":0,"error":{"code":' + b"9" * 6000 + b',"message":"x"}}')),
}


@pytest.mark.parametrize("twist", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_provider_alone_makes_one_line_and_no_row(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, twist: Twist
) -> None:
    hostile = faulty_node(chain.url, twist)
    alone = await run(engine, chain, [hostile.url])
    assert alone.status is ChainStatus.UNREACHABLE
    assert len(alone.reason) < 3000, "nobody reads a line without end"
    assert amounts(engine) == []
    assert dump_tables(engine)["coverage"] == []


@pytest.mark.parametrize("twist", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_provider_beside_a_good_one_costs_no_row(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, twist: Twist
) -> None:
    hostile = faulty_node(chain.url, twist)
    outcome = await run(engine, chain, [chain.url, hostile.url])  # The last is asked first.
    assert outcome.is_ok, outcome.reason
    assert amounts(engine) == EVERYTHING
    assert hostile.requests > 0


def shouted(text: Any) -> Any:
    return "0x" + text[2:].upper() if isinstance(text, str) and text.startswith("0x") else text


def all_shouted(value: Any) -> Any:
    """Every hex text inside in capitals."""
    if isinstance(value, dict):
        return {name: all_shouted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [all_shouted(inner) for inner in value]
    return shouted(value)


def in_capitals(_requests: Answers, answers: Answers) -> Answers:
    return [{**answer, "result": all_shouted(answer["result"])} for answer in answers]


async def test_capitals_are_the_same_hex(engine: Engine, chain: AnvilChain, faulty_node: Faulty) -> None:
    loud = faulty_node(chain.url, in_capitals)
    assert (await run(engine, chain, [loud.url])).is_ok
    assert amounts(engine) == EVERYTHING


async def test_capitals_beside_a_good_provider_cost_no_row(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    loud = faulty_node(chain.url, in_capitals)
    assert (await run(engine, chain, [chain.url, loud.url])).is_ok
    assert amounts(engine) == EVERYTHING


async def test_answers_under_other_ids_answer_nothing(engine: Engine, chain: AnvilChain, faulty_node: Faulty) -> None:
    """A lone answer with a strange id is taken (some nodes put null there); of several none can be told apart."""
    strange = faulty_node(chain.url, with_strange_ids)
    outcome = await run(engine, chain, [strange.url])
    assert outcome.status is ChainStatus.UNREACHABLE
    assert "the batch came back without this answer" in outcome.reason
    assert amounts(engine) == []
