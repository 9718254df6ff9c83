"""A final block that changed stops its chain with everything kept; only an operator sets it going again."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.commit import ChainLedger, HaltedError, HaltError
from indexer.lanes import ChainWork, Tracked
from indexer.resume import NO_BRANCH, ResumeError, resume_chain
from indexer.rpc.errors import UntruthError
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome, SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.database import writing
from ledger.kinds import ChainStatus
from ledger.writer import LedgerWriter
from tests.rigs.fast_time import FastTime
from tests.rigs.live_sync import FINALITY, assert_is_the_chain, facts_in, fill, following
from tests.rigs.rpc_faults import FaultyNode, Raw
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import WALLET, AnvilChain, Terms, TransferAdapter, register

KEPT = ("fact", "raw_log", "block", "coverage", "cursor", "reorg", "orphaned_log")
SLUG = "chain-31337"


async def sync(engine: Engine, urls: list[str], chain: AnvilChain) -> ChainOutcome:
    """One run up to the head, or to what stops it."""
    pace = FastTime().pace()
    async with ProviderPool(Terms(), urls, pace=pace) as pool:
        with LedgerWriter(engine) as writer:
            work = ChainWork(Terms(), pool, tracked(engine, chain), every_header=True)
            (outcome,) = await sync_chains(writer, [work], system_clock, options=SyncOptions(pace=pace))
    return outcome


def tracked(engine: Engine, chain: AnvilChain) -> list[Tracked]:
    """The fund, registered once."""
    if not dump_tables(engine)["segment"]:
        return register(engine, [chain.token])
    return [Tracked(1, "fund-1", "address_fund", TransferAdapter(chain.token, WALLET), (chain.token,))]


async def halted(engine: Engine, chain: AnvilChain, depth: int = FINALITY + 1) -> ChainOutcome:
    """The chain indexed, then reorganised below finality."""
    fill(chain, 20)
    assert (await sync(engine, [chain.url], chain)).is_ok
    chain.reorganise(depth, (WALLET, 20_000))
    fill(chain, 2)
    return await sync(engine, [chain.url], chain)


@pytest.mark.scenario(2)
async def test_one_block_deeper_than_finality_halts_and_deletes_nothing(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 20)
    assert (await sync(engine, [chain.url], chain)).is_ok
    before = dump_tables(engine)
    chain.reorganise(FINALITY + 1, (WALLET, 20_000))
    outcomes = [await sync(engine, [chain.url], chain) for _ in range(2)]
    assert {outcome.status for outcome in outcomes} == {ChainStatus.HALTED}
    assert outcomes[0].reason == outcomes[1].reason
    after = dump_tables(engine)
    assert {table: after[table] for table in KEPT} == {table: before[table] for table in KEPT}
    final = before["chain"][0]["finalized_number"]
    (segment,) = after["segment"]
    assert (segment["status"], segment["status_number"]) == ("unverified", final)
    assert segment["status_reason"].startswith(f"unverified since block {final}: block {final} was final with hash 0x")


@pytest.mark.scenario(2)
async def test_one_provider_alone_must_say_it_twice_before_the_chain_halts(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 20)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        chain.reorganise(FINALITY + 2, (WALLET, 20_000))
        assert not await followed.follower.poll()
        with pytest.raises(HaltError, match="was final"):
            await followed.follower.poll()


@pytest.mark.scenario(2)
async def test_a_liar_cannot_halt_a_chain_that_another_provider_follows(
    engine: Engine, chain: AnvilChain, faulty_node: Callable[..., FaultyNode]
) -> None:
    fill(chain, 20)
    tracked_ones = register(engine, [chain.token])
    async with following(engine, [chain.url], tracked_ones) as followed:
        await followed.settle()
    final = dump_tables(engine)["chain"][0]["finalized_number"]

    def fork(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Every block from the final one on has another hash here."""
        for answer in answers:
            result = answer.get("result")
            if isinstance(result, dict) and int(result.get("number", "0x0"), 16) >= final:
                result["hash"], result["parentHash"] = "0xbb" + result["hash"][4:], "0xbb" + result["parentHash"][4:]
        return answers

    liar = faulty_node(chain.url, fork)
    async with following(engine, [chain.url, liar.url], tracked_ones) as followed:
        for _ in range(6):
            with suppress(UntruthError):
                await followed.follower.poll()
        chain.send((WALLET, 1))
        await followed.settle()
    assert "eth_getBlockByNumber" in liar.methods
    assert_is_the_chain(engine, chain)
    assert dump_tables(engine)["chain"][0]["status"] == "following"


async def test_a_chain_halted_by_one_process_stops_in_another(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 12)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        with LedgerWriter(engine) as elsewhere:
            ledger = ChainLedger(Terms(), elsewhere, system_clock)
            await ledger.open()
            await ledger.halt(HaltError("looked at by somebody", number=3))
        before = dump_tables(engine)
        chain.send((WALLET, 1))
        with pytest.raises(HaltedError, match="looked at by somebody"):
            await followed.follower.poll()
    assert dump_tables(engine) == before


async def test_resuming_and_rewinding_gives_the_tables_of_the_new_branch(engine: Engine, chain: AnvilChain) -> None:
    outcome = await halted(engine, chain, FINALITY + 4)
    assert outcome.status is ChainStatus.HALTED
    old = {row[1:3] for row in facts_in(dump_tables(engine)) if row[0] > 9}
    with writing(engine) as session:
        done = resume_chain(session, SLUG, clock=system_clock, rewind_to=9)
    assert (done.slug, done.reason) == (SLUG, outcome.reason)
    assert done.tip is not None
    assert done.tip <= 9
    between = dump_tables(engine)
    assert max(row["to_number"] for row in between["coverage"]) == 9
    assert between["segment"][0]["status"] == "new"
    assert all(row["block_number"] <= 9 for row in facts_in_rows(between))
    (record,) = between["reorg"]
    assert (record["fork_number"], record["new_hash"]) == (9, NO_BRANCH)
    assert {(row["block_hash"], row["tx_hash"]) for row in between["orphaned_log"]} == old
    assert (await sync(engine, [chain.url], chain)).is_ok
    assert_is_the_chain(engine, chain)
    assert dump_tables(engine)["segment"][0]["status"] == "ok"


def facts_in_rows(dump: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of every table that hangs on blocks."""
    return [row for table in ("fact", "raw_log", "reading", "price", "snapshot") for row in dump[table]]


async def test_resuming_without_rewinding_halts_again_while_the_chain_says_the_same(
    engine: Engine, chain: AnvilChain
) -> None:
    await halted(engine, chain)
    before = dump_tables(engine)
    with writing(engine) as session:
        resume_chain(session, SLUG, clock=system_clock)
    assert (await sync(engine, [chain.url], chain)).status is ChainStatus.HALTED
    after = dump_tables(engine)
    assert {table: after[table] for table in KEPT} == {table: before[table] for table in KEPT}


async def test_rewinding_below_every_stored_block_starts_the_chain_over(engine: Engine, chain: AnvilChain) -> None:
    await halted(engine, chain)
    with writing(engine) as session:
        done = resume_chain(session, SLUG, clock=system_clock, rewind_to=0)
    assert done.tip is None
    dump = dump_tables(engine)
    assert (dump["cursor"], dump["fact"], dump["coverage"]) == ([], [], [])
    assert (dump["chain"][0]["finalized_number"], dump["segment"][0]["start_number"]) == (None, None)
    assert (await sync(engine, [chain.url], chain)).is_ok
    assert_is_the_chain(engine, chain)


async def test_only_a_halted_chain_is_resumed_and_only_to_a_block_below_its_tip(
    engine: Engine, chain: AnvilChain
) -> None:
    fill(chain, 12)
    await sync(engine, [chain.url], chain)
    with writing(engine) as session, pytest.raises(ResumeError, match="is not halted, it is following"):
        resume_chain(session, SLUG, clock=system_clock)
    with writing(engine) as session, pytest.raises(ResumeError, match="is no chain of this ledger"):
        resume_chain(session, "atlantis", clock=system_clock)
    chain.reorganise(FINALITY + 1, (WALLET, 1))
    await sync(engine, [chain.url], chain)
    before = dump_tables(engine)
    for wrong in (-1, 13, 500):
        with writing(engine) as session, pytest.raises(ResumeError, match=f"cannot go back to block {wrong}"):
            resume_chain(session, SLUG, clock=system_clock, rewind_to=wrong)
    assert dump_tables(engine) == before


@pytest.mark.scenario(13)
async def test_a_finalized_block_that_one_of_two_invents_never_becomes_ours(
    engine: Engine, chain: AnvilChain, faulty_node: Callable[..., FaultyNode]
) -> None:
    """On the first start nothing links it to a block we hold: only the second provider tells."""
    fill(chain, 20)

    def invent(requests: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for asked, answer in zip(requests, answers, strict=True):
            if "finalized" in asked["params"]:
                answer["result"]["hash"] = "0x" + "bb" * 32
        return answers

    liar = faulty_node(chain.url, invent)
    async with following(engine, [chain.url, liar.url], register(engine, [chain.token])) as followed:
        assert not await followed.follower.poll()
        assert dump_tables(engine)["block"] == []
        await followed.settle()
    assert "eth_getBlockByNumber" in liar.methods
    assert_is_the_chain(engine, chain)


async def test_finality_goes_on_while_the_second_provider_is_down(
    engine: Engine, chain: AnvilChain, faulty_node: Callable[..., FaultyNode]
) -> None:
    fill(chain, 20)
    down = faulty_node(chain.url, lambda _requests, _answers: Raw(503, b"down"))
    async with following(engine, [chain.url, down.url], register(engine, [chain.token])) as followed:
        for _ in range(12):
            await followed.follower.poll()
            chain.send((WALLET, 1))
        await followed.settle()
        await followed.settle()
    assert dump_tables(engine)["chain"][0]["finalized_number"] == chain.head() - FINALITY
    assert_is_the_chain(engine, chain)


async def test_a_ledger_that_holds_another_block_than_the_chain_halts_after_two_looks(
    engine: Engine, chain: AnvilChain
) -> None:
    """A block below the final one cannot be reached by stepping back: the commit that meets it finds it out."""
    fill(chain, 20)
    tracked_ones = register(engine, [chain.token])
    async with following(engine, [chain.url], tracked_ones) as followed:
        await followed.settle()
    with writing(engine) as session:
        session.connection().exec_driver_sql("DELETE FROM coverage")
        session.connection().exec_driver_sql("DELETE FROM fact")
        session.connection().exec_driver_sql("DELETE FROM raw_log")
        session.connection().exec_driver_sql(f"UPDATE block SET hash = '0x{'ee' * 32}' WHERE number = 5")
    async with following(engine, [chain.url], tracked_ones) as followed:
        with pytest.raises(UntruthError, match="block 5 is stored with hash 0xeeee"):
            await followed.follower.poll()
        with pytest.raises(HaltError, match="block 5 is stored with hash 0xeeee") as halt:
            await followed.follower.poll()
    assert halt.value.number == 5
