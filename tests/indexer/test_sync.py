"""The two lanes against anvil: complete, exactly once, canonical; reorgs on record; halts rather than lies."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from indexer.adapter import FactDraft, Log
from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome, sync_chains
from ledger.clock import system_clock
from ledger.database import open_engine, writing
from ledger.kinds import ChainStatus
from ledger.tables import Chain
from ledger.upgrades import upgrade
from ledger.writer import LedgerWriter
from tests.rigs.anvil import AnvilNode
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain, Terms, TransferAdapter, add_fund, register

NOWHERE = "http://127.0.0.1:1"


class BrokenAdapter(TransferAdapter):
    """Expects another layout than the contract has."""

    def decode(self, log: Log) -> Sequence[FactDraft]:
        raise ValueError(f"three words expected, the log has {len(log.data) // 64}")


def add_fund_on_other_chain(engine: Engine) -> Tracked:
    """A second chain with one fund."""
    with writing(engine) as session:
        session.add(Chain(chain_id=7, slug="other", name="Other", kind="live"))
    return add_fund(engine, 2, STRANGER, chain_id=7)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def chain(start_node: Callable[..., AnvilNode]) -> Iterator[AnvilChain]:
    """A chain whose finalized block lies 8 below the head, with the emitter in block 1."""
    node = start_node("--no-mining", "--slots-in-an-epoch", "4", "--timestamp", "1700000000")
    opened = AnvilChain(node.url)
    opened.deploy()
    yield opened
    opened.close()


async def run(engine: Engine, urls: list[str], tracked: list[Tracked], *, every_header: bool = False) -> ChainOutcome:
    """One sync up to the head."""
    async with ProviderPool(Terms(), urls) as pool:
        with LedgerWriter(engine) as writer:
            work = ChainWork(Terms(), pool, tracked, every_header=every_header)
            (outcome,) = await sync_chains(writer, [work], system_clock)
    return outcome


def fill(chain: AnvilChain, blocks: int) -> None:
    """Blocks with transfers to the wallet and to a stranger, every third one empty."""
    for n in range(blocks):
        if n % 3 == 2:
            chain.mine()
        else:
            chain.send((WALLET, 1000 + n), (STRANGER, 5), (WALLET, 7))


def expected_amounts(chain: AnvilChain) -> list[tuple[int, int]]:
    """(block, amount) of every transfer to the wallet, asked of the node itself."""
    padded = "0x" + WALLET[2:].rjust(64, "0")
    logs = chain.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "topics": [None, None, padded]})
    return [(int(log["blockNumber"], 16), int(log["data"], 16)) for log in logs]


def amounts(engine: Engine) -> list[tuple[int, int]]:
    rows = sorted(dump_tables(engine)["fact"], key=lambda row: (row["block_number"], row["log_index"]))
    return [(row["block_number"], row["amount_raw"]) for row in rows]


@pytest.mark.scenario(34)
async def test_history_and_head_are_indexed_completely_and_once(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 30)
    tracked = register(engine, [chain.token])
    outcome = await run(engine, [chain.url], tracked)
    assert outcome.is_ok, outcome
    assert outcome.tip == chain.head() == 31
    assert amounts(engine) == expected_amounts(chain)
    dump = dump_tables(engine)
    assert [(c["from_number"], c["to_number"], c["level"]) for c in dump["coverage"]] == [(1, 31, 1)]
    assert dump["chain"][0]["finalized_number"] == 23
    assert sorted(b["number"] for b in dump["block"] if b["status"] == "unfinalized") == list(range(24, 32))
    assert dump["segment"][0]["start_number"] == 1
    assert dump["segment"][0]["status"] == "ok"


async def test_running_twice_changes_nothing(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 20)
    tracked = register(engine, [chain.token])
    await run(engine, [chain.url], tracked)
    before = dump_tables(engine)
    await run(engine, [chain.url], tracked)
    assert_same_tables(before, dump_tables(engine))


@pytest.mark.scenario(35)
async def test_following_block_by_block_gives_the_same_tables_as_indexing_history_once(
    database_url: str, chain: AnvilChain, tmp_path: Path
) -> None:
    followed = open_engine(database_url)
    tracked = register(followed, [chain.token])
    for _ in range(14):
        fill(chain, 2)
        assert (await run(followed, [chain.url], tracked, every_header=True)).is_ok
    once = open_engine(f"sqlite:///{tmp_path / 'once.sqlite'}")
    upgrade(once)
    await run(once, [chain.url], register(once, [chain.token]), every_header=True)
    assert_same_tables(dump_tables(followed), dump_tables(once))
    followed.dispose()
    once.dispose()


@pytest.mark.scenario(10)
async def test_a_reorg_while_following_is_undone_and_on_record(engine: Engine, chain: AnvilChain) -> None:
    tracked = register(engine, [chain.token])
    for depth in (1, 2, 3, 7):
        fill(chain, 12)
        await run(engine, [chain.url], tracked)
        old_head, old_hash = chain.head(), chain.hash_of(chain.head())
        chain.reorganise(depth, (WALLET, 500_000 + depth))
        chain.send((WALLET, 9))
        outcome = await run(engine, [chain.url], tracked)
        assert outcome.is_ok, outcome
        assert amounts(engine) == expected_amounts(chain)
        reorg = dump_tables(engine)["reorg"][-1]
        assert (reorg["fork_number"], reorg["depth"]) == (old_head - depth, depth)
        assert reorg["old_hash"] == old_hash
        assert reorg["new_hash"] == chain.hash_of(old_head - depth + 1)
    dump = dump_tables(engine)
    assert dump["orphaned_log"], "logs taken back are public"
    assert {log["reorg_id"] for log in dump["orphaned_log"]} <= {reorg["id"] for reorg in dump["reorg"]}
    assert [(c["from_number"], c["to_number"]) for c in dump["coverage"]] == [(1, chain.head())]


@pytest.mark.scenario(7)
async def test_a_new_branch_shorter_than_the_tip_is_followed(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 15)
    tracked = register(engine, [chain.token])
    await run(engine, [chain.url], tracked)
    chain.ask("anvil_rollback", 3)
    chain.send((WALLET, 77))
    assert (await run(engine, [chain.url], tracked)).is_ok
    assert amounts(engine) == expected_amounts(chain)
    assert dump_tables(engine)["cursor"][0]["number"] == chain.head() == 14


async def test_a_lower_head_alone_rolls_nothing_back(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 15)
    tracked = register(engine, [chain.token])
    await run(engine, [chain.url], tracked)
    before = dump_tables(engine)["fact"]
    chain.ask("anvil_rollback", 2)
    assert (await run(engine, [chain.url], tracked)).is_ok
    dump = dump_tables(engine)
    assert dump["fact"] == before
    assert dump["reorg"] == []
    assert dump["cursor"][0]["number"] == 16


@pytest.mark.scenario(2)
async def test_a_reorg_below_finality_halts_the_chain_and_deletes_nothing(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 20)
    tracked = register(engine, [chain.token])
    await run(engine, [chain.url], tracked)
    before = dump_tables(engine)
    chain.reorganise(12, (WALLET, 1))
    for _ in range(2):  # A halted chain stays halted after a restart.
        outcome = await run(engine, [chain.url], tracked)
        assert outcome.status is ChainStatus.HALTED
        assert "was final" in outcome.reason
    after = dump_tables(engine)
    assert after["chain"][0]["status"] == "halted"
    assert after["chain"][0]["status_reason"] == outcome.reason
    for table in ("fact", "raw_log", "block", "coverage", "cursor", "reorg"):
        assert after[table] == before[table]


@pytest.mark.scenario(37)
async def test_a_fund_added_later_fetches_only_its_own_hole_and_the_unfinal_blocks(
    engine: Engine, chain: AnvilChain
) -> None:
    first = chain.token
    fill(chain, 6)
    second = chain.deploy()
    fill(chain, 16)
    tracked = register(engine, [first])
    await run(engine, [chain.url], tracked)
    tracked.append(add_fund(engine, 2, second))
    assert (await run(engine, [chain.url], tracked)).is_ok
    dump = dump_tables(engine)
    assert amounts(engine) == expected_amounts(chain)
    assert [(c["segment_id"], c["from_number"], c["to_number"]) for c in dump["coverage"]] == [
        (1, 1, 24),
        (2, 8, 24),
    ]
    assert dump["reorg"] == [], "fetching again for a new filter is no reorganisation"


async def test_an_adapter_that_cannot_decode_hurts_its_own_fund_only(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 20)
    tracked = register(engine, [chain.token])
    broken = add_fund(engine, 2, chain.token)
    tracked.append(replace(broken, adapter=BrokenAdapter(chain.token, WALLET)))
    outcome = await run(engine, [chain.url], tracked)
    assert outcome.is_ok
    dump = dump_tables(engine)
    assert amounts(engine) == expected_amounts(chain)
    assert [row["status"] for row in dump["segment"]] == ["ok", "unknown"]
    assert "cannot be decoded" in dump["segment"][1]["status_reason"]
    assert [c["segment_id"] for c in dump["coverage"]] == [1]


async def test_a_fund_without_contract_on_the_chain_is_unknown_with_the_fix(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 12)
    tracked = register(engine, [chain.token])
    tracked.append(add_fund(engine, 2, STRANGER))
    assert (await run(engine, [chain.url], tracked)).is_ok
    row = dump_tables(engine)["segment"][1]
    assert row["status"] == "unknown"
    assert "no contract at" in row["status_reason"]
    assert "check addresses" in row["status_reason"]


async def test_a_contract_newer_than_the_last_final_block_is_indexed_once_it_is_final(
    engine: Engine, chain: AnvilChain
) -> None:
    tracked = register(engine, [chain.token])
    fill(chain, 4)
    assert (await run(engine, [chain.url], tracked)).is_ok
    assert dump_tables(engine)["segment"][0]["status"] == "unknown"
    fill(chain, 6)
    assert (await run(engine, [chain.url], tracked)).is_ok
    assert dump_tables(engine)["segment"][0]["status"] == "ok"
    assert amounts(engine) == expected_amounts(chain)


async def test_an_unreachable_chain_says_why_and_leaves_the_others_alone(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 12)
    tracked = register(engine, [chain.token])
    elsewhere = add_fund_on_other_chain(engine)
    async with ProviderPool(Terms(), [chain.url]) as here, ProviderPool(Terms(id=7, slug="other"), [NOWHERE]) as there:
        with LedgerWriter(engine) as writer:
            works = [ChainWork(Terms(), here, tracked), ChainWork(Terms(id=7, slug="other"), there, [elsewhere])]
            outcomes = await sync_chains(writer, works, system_clock)
    assert [outcome.status for outcome in outcomes] == [ChainStatus.FOLLOWING, ChainStatus.UNREACHABLE]
    assert "127.0.0.1:1" in outcomes[1].reason
    statuses = {row["chain_id"]: row["status"] for row in dump_tables(engine)["chain"]}
    assert statuses == {31337: "following", 7: "unreachable"}
    assert amounts(engine) == expected_amounts(chain)


@pytest.mark.scenario(30)
async def test_two_indexers_on_one_chain_one_stops_and_no_row_is_doubled(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 30)
    tracked = register(engine, [chain.token])
    async with ProviderPool(Terms(), [chain.url]) as one, ProviderPool(Terms(), [chain.url]) as two:
        with LedgerWriter(engine) as first, LedgerWriter(engine) as second:
            outcomes = await asyncio.gather(
                sync_chains(first, [ChainWork(Terms(), one, tracked)], system_clock),
                sync_chains(second, [ChainWork(Terms(), two, tracked)], system_clock),
            )
    assert any(outcome.is_ok for (outcome,) in outcomes), outcomes
    assert amounts(engine) == expected_amounts(chain)
    assert [(c["from_number"], c["to_number"]) for c in dump_tables(engine)["coverage"]] == [(1, 31)]
