"""Reorganisations of real blocks: whatever the chain did between two looks, the tables are the node's in the end."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from indexer.certainty import LONELY_SECONDS
from ledger.writer import BEFORE_INSERT
from tests.rigs.anvil import AnvilNode
from tests.rigs.live_sync import FINALITY, LIVE_NODE, assert_is_the_chain, facts_in, fill, following
from tests.rigs.rpc_faults import FaultyNode, Raw, Twist
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import SENDER, STRANGER, WALLET, AnvilChain, register

Faulty = Callable[..., FaultyNode]
StartNode = Callable[..., AnvilNode]
Requests = list[dict[str, Any]]
OTHER_SENDER = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"


def once(wanted: Callable[[dict[str, Any]], bool], act: Callable[[], None]) -> Twist:
    """Acts after the node has answered the first request that is wanted, before the answer goes out."""
    done: list[bool] = []

    def twist(requests: Requests, answers: Requests) -> Requests:
        if not done and any(wanted(request) for request in requests):
            done.append(True)
            act()
        return answers

    return twist


@pytest.mark.scenario(1)
@pytest.mark.parametrize("depth", [1, 2, 3, FINALITY - 1])
async def test_a_reorg_of_any_depth_above_finality_is_undone_and_on_record(
    engine: Engine, chain: AnvilChain, depth: int
) -> None:
    fill(chain, 14)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        head, old_tip = chain.head(), chain.hash_of(chain.head())
        chain.reorganise(depth, (WALLET, 500_000))
        assert await followed.settle() == 2, "one provider must say it at two looks"
    assert_is_the_chain(engine, chain)
    (reorg,) = dump_tables(engine)["reorg"]
    assert (reorg["fork_number"], reorg["depth"], reorg["old_hash"]) == (head - depth, depth, old_tip)
    assert reorg["new_hash"] == chain.hash_of(head - depth + 1)


@pytest.mark.scenario(1)
async def test_a_second_provider_that_agrees_makes_one_look_enough(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    fill(chain, 12)
    other = faulty_node(chain.url)
    async with following(engine, [chain.url, other.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        chain.reorganise(2, (WALLET, 3))
        assert await followed.settle() == 1
    assert_is_the_chain(engine, chain)


@pytest.mark.scenario(1)
async def test_while_the_second_provider_is_silent_a_reorg_must_be_said_for_a_minute(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    fill(chain, 12)
    other = faulty_node(chain.url)
    async with following(engine, [chain.url, other.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        other.twist = lambda _requests, _answers: Raw(503, b"down")
        chain.reorganise(2, (WALLET, 3))
        began = followed.time.now
        while not await followed.follower.poll():
            assert dump_tables(engine)["reorg"] == [] or followed.time.now - began >= LONELY_SECONDS
            await followed.time.sleep(5.0)
        assert followed.time.now - began >= LONELY_SECONDS
    assert_is_the_chain(engine, chain)


@pytest.mark.scenario(3)
async def test_a_reorg_while_the_last_final_blocks_are_fetched(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    fill(chain, 30)

    def is_last_window(request: dict[str, Any]) -> bool:
        asked = request["params"][0] if request["method"] == "eth_getLogs" else {}
        return int(asked.get("toBlock", "0x0"), 16) == 31 - FINALITY

    node = faulty_node(chain.url, once(is_last_window, lambda: chain.reorganise(FINALITY - 1, (WALLET, 31))))
    async with following(engine, [node.url], register(engine, [chain.token])) as followed:
        await followed.settle()
    assert_is_the_chain(engine, chain)
    assert dump_tables(engine)["reorg"] == [], "nothing of the old branch was ever held"


@pytest.mark.scenario(4)
@pytest.mark.parametrize("depth", [1, 3])
async def test_a_reorg_between_fetch_and_commit(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty, depth: int
) -> None:
    fill(chain, 12)
    tracked = register(engine, [chain.token])
    async with following(engine, [chain.url], tracked) as followed:
        await followed.settle()
    fill(chain, 3)

    node, replaced = faulty_node(chain.url), list[str]()

    def heard(phase: str) -> None:
        if phase == BEFORE_INSERT and "eth_getLogs" in node.methods and not replaced:
            replaced.append(phase)
            chain.reorganise(depth, (WALLET, 41), (STRANGER, 2))

    async with following(engine, [node.url], tracked, heard=heard) as followed:
        await followed.settle()
        await followed.settle()
    assert_is_the_chain(engine, chain)
    assert len(dump_tables(engine)["reorg"]) == 1, "the old branch was committed, and taken back"


@pytest.mark.scenario(4)
async def test_a_block_replaced_before_its_logs_were_read_is_no_outage(
    engine: Engine, chain: AnvilChain, faulty_node: Faulty
) -> None:
    fill(chain, 12)
    tracked = register(engine, [chain.token])
    async with following(engine, [chain.url], tracked) as followed:
        await followed.settle()
    chain.send((WALLET, 8))

    def is_head(request: dict[str, Any]) -> bool:
        return bool(request["params"]) and request["params"][0] == "latest"

    node = faulty_node(chain.url, once(is_head, lambda: chain.reorganise(1, (WALLET, 9))))
    async with following(engine, [node.url], tracked) as followed:
        assert await followed.settle() == 2
    assert_is_the_chain(engine, chain)
    assert dump_tables(engine)["reorg"] == []


@pytest.mark.scenario(5)
async def test_two_reorgs_back_to_back(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 14)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        chain.reorganise(3, (WALLET, 51))
        chain.reorganise(5, (WALLET, 52))
        await followed.settle()
        assert_is_the_chain(engine, chain)
        chain.reorganise(2, (WALLET, 53))
        assert not await followed.follower.poll(), "the first look settles nothing"
        chain.reorganise(4, (WALLET, 54))
        assert not await followed.follower.poll(), "another branch than at the look before"
        await followed.settle()
    assert_is_the_chain(engine, chain)
    assert [row["depth"] for row in dump_tables(engine)["reorg"]] == [5, 4]


class TwoBranches:
    """Two nodes that share all blocks up to a fork, behind one address that shows one of them."""

    def __init__(self, chain: AnvilChain, start_node: StartNode, faulty_node: Faulty) -> None:
        self.a = self.shown = chain
        fork = start_node(*LIVE_NODE, "--fork-url", chain.url, "--fork-block-number", str(chain.head()))
        self.b = AnvilChain(fork.url)
        self.b.token = chain.token
        self.url = faulty_node(chain.url, self.twist).url

    def twist(self, requests: Requests, answers: Requests) -> Requests:
        """What the node that is shown says."""
        if self.shown is self.a:
            return answers
        shown: Requests = httpx.post(self.b.url, json=requests, timeout=30, verify=False).json()
        return shown


@pytest.fixture
def branches(chain: AnvilChain, start_node: StartNode, faulty_node: Faulty) -> Iterator[TwoBranches]:
    """Branch a is three blocks longer than the fork, branch b four."""
    fill(chain, 12)
    both = TwoBranches(chain, start_node, faulty_node)
    fill(both.a, 3)
    for n in range(4):
        both.b.send((WALLET, 60 + n))
    yield both
    both.b.close()


@pytest.mark.scenario(6)
async def test_a_chain_that_comes_back_to_its_old_branch(engine: Engine, branches: TwoBranches) -> None:
    async with following(engine, [branches.url], register(engine, [branches.a.token])) as followed:
        await followed.settle()
        before = dump_tables(engine)
        branches.shown = branches.b
        await followed.settle()
        assert_is_the_chain(engine, branches.b)
        branches.shown = branches.a
        await followed.settle()
    after = dump_tables(engine)
    assert_is_the_chain(engine, branches.a)
    for table in ("fact", "raw_log", "coverage"):
        assert after[table] == before[table]
    assert [row["depth"] for row in after["reorg"]] == [3, 4]
    assert after["cursor"][0]["epoch"] == 2


@pytest.mark.scenario(6)
async def test_a_branch_seen_once_and_gone_again_changes_nothing(engine: Engine, branches: TwoBranches) -> None:
    async with following(engine, [branches.url], register(engine, [branches.a.token])) as followed:
        await followed.settle()
        for _ in range(3):
            branches.shown = branches.b
            assert not await followed.follower.poll()
            branches.shown = branches.a
            assert await followed.follower.poll()
    assert_is_the_chain(engine, branches.a)
    assert dump_tables(engine)["reorg"] == []


@pytest.mark.scenario(7)
async def test_a_new_branch_that_is_shorter_than_ours(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 15)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        chain.ask("anvil_rollback", 4)
        assert await followed.follower.poll(), "a lower head alone is no reorg"
        assert dump_tables(engine)["reorg"] == []
        chain.send((WALLET, 71))
        await followed.settle()
    assert_is_the_chain(engine, chain)
    assert chain.head() == 13


@pytest.mark.scenario(8)
async def test_another_hash_at_the_height_of_our_tip(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 12)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        assert await followed.settle() == 1
        height = chain.head()
        chain.reorganise(1, (WALLET, 81))
        assert chain.head() == height
        await followed.settle()
    assert_is_the_chain(engine, chain)


@pytest.mark.scenario(9)
async def test_a_reorg_over_blocks_without_events_is_on_record_too(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 9)
    chain.mine(6)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        chain.reorganise(4)
        await followed.settle()
    assert_is_the_chain(engine, chain)
    dump = dump_tables(engine)
    assert [row["depth"] for row in dump["reorg"]] == [4]
    assert dump["orphaned_log"] == []


@pytest.mark.scenario(10)
@pytest.mark.parametrize("later_blocks", [0, 3, 40])
async def test_a_reorg_while_the_indexer_was_stopped(engine: Engine, chain: AnvilChain, later_blocks: int) -> None:
    """After forty more blocks our whole tail is below finality, and still the replaced blocks are found."""
    fill(chain, 14)
    tracked = register(engine, [chain.token])
    async with following(engine, [chain.url], tracked) as followed:
        await followed.settle()
    chain.reorganise(6, (WALLET, 101))
    fill(chain, later_blocks)
    async with following(engine, [chain.url], tracked) as followed:
        await followed.settle()
    assert_is_the_chain(engine, chain)
    assert [row["depth"] for row in dump_tables(engine)["reorg"]] == [6]


@pytest.mark.scenario(11)
async def test_the_same_transaction_in_a_new_block_with_another_log_index(engine: Engine, chain: AnvilChain) -> None:
    def pay(sender: str, amount: int, price: int) -> Any:
        data = "0x" + WALLET[2:].rjust(64, "0") + f"{amount:064x}"
        transaction = {"from": sender, "to": chain.token, "data": data, "gas": "0x20000", "gasPrice": hex(price)}
        return chain.ask("eth_sendTransaction", transaction)

    fill(chain, 12)
    moved = pay(SENDER, 111, 2 * 10**9)
    chain.mine()
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        old = next(row for row in facts_in(dump_tables(engine)) if row[2] == moved)
        chain.ask("anvil_rollback", 1)
        pay(OTHER_SENDER, 112, 9 * 10**9)
        assert pay(SENDER, 111, 2 * 10**9) == moved
        chain.mine()
        await followed.settle()
    assert_is_the_chain(engine, chain)
    new = [row for row in facts_in(dump_tables(engine)) if row[2] == moved]
    assert [(row[0], row[3]) for row in new] == [(old[0], old[3] + 1)]


@pytest.mark.scenario(12)
async def test_what_was_said_of_an_orphaned_log_can_be_retracted_by_its_key(engine: Engine, chain: AnvilChain) -> None:
    fill(chain, 15)
    async with following(engine, [chain.url], register(engine, [chain.token])) as followed:
        await followed.settle()
        before = dump_tables(engine)
        chain.reorganise(5, (WALLET, 121))
        await followed.settle()
    after = dump_tables(engine)
    (reorg,) = after["reorg"]
    gone = [row for row in before["fact"] if row["block_number"] > reorg["fork_number"]]
    record = {(reorg["chain_id"], row["block_hash"], row["log_index"]): row for row in after["orphaned_log"]}
    assert gone, "the replaced blocks had facts"
    for fact in gone:
        log = record[fact["chain_id"], fact["block_hash"], fact["log_index"]]
        assert (log["tx_hash"], log["block_number"]) == (fact["tx_hash"], fact["block_number"])
        assert int(log["data"], 16) == fact["amount_raw"]
    kept = {(row["block_hash"], row["log_index"]) for row in after["fact"]}
    assert kept.isdisjoint((block_hash, index) for _, block_hash, index in record)
