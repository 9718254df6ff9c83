"""Real contracts on anvil: a factory and a forger, and a proxy whose events change when it is upgraded."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from indexer.lanes import Tracked
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome
from indexer.words import Event
from tests.indexer.semantics.conftest import ContractChain
from tests.indexer.semantics.factory_fund import LOSS, index, intervals, losses, track
from tests.indexer.semantics.layouts import LayoutAdapter, amounts, follow
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import Terms

FIRST = Event("Covered(address indexed account, uint256 amount)")
SECOND = Event("Covered(address indexed account, uint256 amount, uint256 fee)")
UNKNOWN = Event("Covered(address account, uint256 amount)")


async def sync(engine: Engine, chain: ContractChain, tracked: Sequence[Tracked]) -> ChainOutcome:
    """One sync up to the head of a real node."""
    async with ProviderPool(Terms(), [chain.url]) as pool:
        return await index(engine, pool, tracked)


@pytest.mark.scenario(38, 39)
async def test_a_real_factory_loses_no_child_and_a_forger_wins_none(engine: Engine, contracts: ContractChain) -> None:
    factory, forger, stranger = contracts.put("Factory"), contracts.put("Forger"), contracts.put("Factory")
    for n in range(24):
        if n in (2, 9, 20):
            contracts.queue(factory, "create(uint256)", 100 * n)
        if n % 4 == 0:
            contracts.queue(stranger, "create(uint256)", 7)
        contracts.mine()
    logs = contracts.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": factory})
    children = ["0x" + log["topics"][1][26:] for log in logs]
    (alien, *_) = contracts.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": stranger})
    contracts.queue(forger, "announce(address)", "0x" + alien["topics"][1][26:])
    for child in children:
        contracts.queue(child, "lose(uint256)", 5)
    contracts.mine()
    assert (await sync(engine, contracts, track(engine, factory))).is_ok
    question = {"fromBlock": "0x0", "toBlock": "latest", "address": children, "topics": [LOSS.topic0]}
    truth = contracts.ask("eth_getLogs", question)
    assert len(truth) == 9, "one loss in the constructor, one in the block of creation, one at the end"
    assert losses(engine) == [(int(log["blockNumber"], 16), log["address"], int(log["data"], 16)) for log in truth]


@pytest.mark.scenario(40)
async def test_a_proxy_upgraded_in_mid_range_is_read_in_the_layout_each_log_has(
    engine: Engine, contracts: ContractChain
) -> None:
    proxy, first, second = contracts.put("Proxy"), contracts.put("FirstLayout"), contracts.put("SecondLayout")
    contracts.queue(proxy, "upgrade(address)", first)
    contracts.mine()
    for n in range(16):
        if n == 8:
            contracts.queue(proxy, "upgrade(address)", second)
        contracts.queue(proxy, "cover(uint256)", n)
        contracts.mine()
    tracked = follow(engine, LayoutAdapter(proxy, [FIRST, SECOND]))
    assert (await sync(engine, contracts, [tracked])).is_ok
    layouts = [FIRST.canonical] * 8 + [SECOND.canonical] * 8
    assert amounts(engine) == [(5 + n, n, layout) for n, layout in enumerate(layouts)]


@pytest.mark.scenario(40)
async def test_an_unknown_layout_makes_the_fund_unknown_keeps_its_logs_and_costs_nothing_once_it_is_known(
    engine: Engine, contracts: ContractChain
) -> None:
    proxy, first, odd = contracts.put("Proxy"), contracts.put("FirstLayout"), contracts.put("UnknownLayout")
    other = contracts.put("FirstLayout")
    contracts.queue(proxy, "upgrade(address)", first)
    contracts.mine()
    for n in range(24):
        if n == 6:
            contracts.queue(proxy, "upgrade(address)", odd)
        contracts.queue(proxy, "cover(uint256)", n)
        contracts.queue(other, "cover(uint256)", n)
        contracts.mine()
    tracked = [follow(engine, LayoutAdapter(proxy, [FIRST])), follow(engine, LayoutAdapter(other, [FIRST]), 2)]
    assert (await sync(engine, contracts, tracked)).is_ok
    dump = dump_tables(engine)
    assert [segment["status"] for segment in dump["segment"]] == ["unknown", "ok"]
    assert "another event of the same name" in dump["segment"][0]["status_reason"]
    assert intervals(engine, 1) == [], "facts that are not there are not covered"
    assert intervals(engine, 2) == [(0, contracts.head())]
    kept = [row for row in dump["raw_log"] if row["address"] == proxy]
    assert len(kept) == 16, "the logs of the final range that could not be decoded are kept"

    tracked[0] = replace(tracked[0], adapter=LayoutAdapter(proxy, [FIRST, UNKNOWN], version=2))
    assert (await sync(engine, contracts, tracked)).is_ok
    assert [segment["status"] for segment in dump_tables(engine)["segment"]] == ["ok", "ok"]
    mine = [row["amount_raw"] for row in dump_tables(engine)["fact"] if row["segment_id"] == 1]
    assert sorted(mine) == list(range(24))
