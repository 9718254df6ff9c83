"""A range audited against a real node: every block proved by its receipts, both databases, liars beside it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, delete
from sqlmodel import col

from indexer.audit import Audit, AuditPlan, AuditReport, broken_links
from indexer.facts import prepare
from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.rpc.reader import Header
from indexer.sync import sync_chains
from ledger.clock import system_clock
from ledger.coverage import AUDITED, BLOOM, COMPARED
from ledger.database import open_engine, writing
from ledger.tables import Fact, RawLog
from ledger.writer import LedgerWriter
from tests.rigs.anvil import AnvilNode
from tests.rigs.rpc_faults import FaultyNode
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import WALLET, AnvilChain, Terms, register

BLOCKS, LAST = 16, 8


@pytest.fixture
def chain(start_node: Callable[..., AnvilNode]) -> Iterator[AnvilChain]:
    """Blocks 2 to 17 with two payments each, finalized some below the head."""
    opened = AnvilChain(start_node("--no-mining", "--slots-in-an-epoch", "4").url)
    opened.deploy()
    for n in range(BLOCKS):
        opened.send((WALLET, 100 + n), (WALLET, 200 + n))
    yield opened
    opened.close()


@pytest.fixture
def indexed(chain: AnvilChain, database_url: str) -> Iterator[tuple[Engine, Tracked]]:
    """The chain in a ledger."""
    engine = open_engine(database_url)
    (tracked,) = register(engine, [chain.token])

    async def index() -> None:
        async with ProviderPool(Terms(), [chain.url]) as pool:
            with LedgerWriter(engine) as writer:
                (outcome,) = await sync_chains(writer, [ChainWork(Terms(), pool, [tracked])], system_clock)
        assert outcome.is_ok, outcome

    asyncio.run(index())
    yield engine, tracked
    engine.dispose()


def audit(engine: Engine, tracked: Tracked, plan: AuditPlan, *urls: str) -> AuditReport:
    async def run() -> AuditReport:
        async with ProviderPool(Terms(), list(urls)) as pool:
            with LedgerWriter(engine) as writer:
                segments = [prepare(tracked, 1)]
                auditor = Audit(Terms().id, pool, writer, segments=segments, clock=system_clock)
                return await auditor.run(plan)

    return asyncio.run(run())


def rungs(engine: Engine) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for row in dump_tables(engine)["verification"]:
        found.setdefault(row["level"], []).append((row["from_number"], row["to_number"]))
    return found


def test_receipts_prove_every_block_and_the_rung_is_recorded(
    chain: AnvilChain, indexed: tuple[Engine, Tracked]
) -> None:
    engine, tracked = indexed
    assert AUDITED not in rungs(engine)
    report = audit(engine, tracked, AuditPlan(1, LAST, sample=None), chain.url)
    assert (report.findings, report.proved, report.unproved, report.logs) == ([], LAST, 0, 2 * (LAST - 1))
    assert rungs(engine)[AUDITED] == [(1, LAST)]


def test_a_sample_is_the_same_for_the_same_seed(chain: AnvilChain, indexed: tuple[Engine, Tracked]) -> None:
    plan = AuditPlan(1, LAST, sample=3, seed=7)
    assert plan.proved_blocks() == AuditPlan(1, LAST, sample=3, seed=7).proved_blocks()
    assert len({AuditPlan(1, LAST, sample=3, seed=n).proved_blocks() for n in range(20)}) > 1
    report = audit(*indexed, plan, chain.url)
    assert report.proved == 3
    proved = {n for low, high in rungs(indexed[0])[AUDITED] for n in range(low, high + 1)}
    assert proved == plan.proved_blocks()


def test_two_providers_that_agree_leave_the_third_rung(
    chain: AnvilChain, indexed: tuple[Engine, Tracked], faulty_node: Callable[..., FaultyNode]
) -> None:
    report = audit(*indexed, AuditPlan(1, LAST), chain.url, faulty_node(chain.url).url)
    assert (report.findings, report.compared) == ([], LAST)
    assert rungs(indexed[0])[COMPARED] == [(1, LAST)]


def test_a_log_that_the_only_provider_still_leaves_out_is_found_by_its_receipts_and_put_back(
    chain: AnvilChain, indexed: tuple[Engine, Tracked], faulty_node: Callable[..., FaultyNode]
) -> None:
    def twist(requests: list[Any], answers: list[Any]) -> list[Any]:
        for request, answer in zip(requests, answers, strict=True):
            if request["method"] == "eth_getLogs" and "result" in answer:
                left_out = (hex(5), "0x1")
                answer["result"] = [e for e in answer["result"] if (e["blockNumber"], e["logIndex"]) != left_out]
        return answers

    engine, tracked = indexed
    truth = dump_tables(engine)
    with writing(engine) as session:
        for table in (Fact, RawLog):
            session.execute(delete(table).where(col(table.block_number) == 5, col(table.log_index) == 1))
    liar = faulty_node(chain.url, twist)
    assert audit(engine, tracked, AuditPlan(1, LAST), liar.url).findings == []
    (found,) = audit(engine, tracked, AuditPlan(1, LAST, sample=None), liar.url).findings
    assert (found.kind, found.number, found.log_index) == ("missing", 5, 1)
    assert rungs(engine)[AUDITED] == [(1, 4), (6, LAST)]
    report = audit(engine, tracked, AuditPlan(1, LAST, sample=None, repair=True), liar.url)
    assert (report.findings, report.repaired) == ([], 1)
    assert rungs(engine)[AUDITED] == [(1, LAST)]
    after = dump_tables(engine)
    assert_same_tables({name: truth[name] for name in ("raw_log", "fact")}, after)


def test_rungs_that_were_passed_before_stay(chain: AnvilChain, indexed: tuple[Engine, Tracked]) -> None:
    engine, tracked = indexed
    before = rungs(engine)
    audit(engine, tracked, AuditPlan(3, 6, sample=None), chain.url)
    assert rungs(engine) == {**before, AUDITED: [(3, 6)]}
    assert BLOOM in before


def test_headers_that_do_not_hang_together_are_found_across_chunks_too() -> None:
    good = [Header(n, f"0x{n:064x}", f"0x{n - 1:064x}", n) for n in range(1, 5)]
    assert broken_links(good[0], good[1:]) == []
    assert [finding.number for finding in broken_links(good[0], good[2:])] == [3]
