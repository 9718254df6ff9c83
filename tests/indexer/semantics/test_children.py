"""Children of factories: no log of theirs is lost wherever they are created, none of anybody else's is believed."""

import pytest
from sqlalchemy import Engine

from indexer.adapter import AdapterError, Log, LogFilter
from indexer.commit import ChainLedger
from indexer.facts import prepare
from indexer.follow import ChainFollower
from indexer.lanes import ChainWork, Tracked
from indexer.rebuild import Rebuild
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header
from indexer.scan.children import MOST_CHILDREN, Family, joined_logs
from indexer.scan.fetch import Fetched
from indexer.scan.filters import LOUD_TOPICS, MOST_VALUES, merge_filters
from ledger.clock import system_clock
from ledger.coverage import Verified
from ledger.database import writing
from ledger.writer import LedgerWriter
from tests.indexer.semantics.factory_fund import (
    CREATED,
    FACTORY,
    FORGER,
    LOSS,
    FactoryAdapter,
    child,
    created,
    index,
    intervals,
    loss,
    losses,
    track,
    true_losses,
)  # fmt: skip
from tests.indexer.semantics.model_chain import ModelChain, ModelReader, asked_addresses
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import Terms


def short_life() -> ModelChain:
    """Forty blocks: children created in blocks 5 and 21, each with a loss in that block and every third one after."""
    chain = ModelChain()
    for number in range(40):
        born = {5: 1, 21: 2}.get(number)
        news = [loss(born, 7), created(born), loss(born, 8)] if born else []
        chain.mine(*news, *(loss(k, 100 * k + number) for k in (1, 2) if number % 3 == 0))
    return chain


@pytest.mark.scenario(38)
@pytest.mark.parametrize("most_blocks", [1, 4, 7, 1000])
async def test_a_child_that_emits_in_the_block_of_its_creation_loses_nothing(engine: Engine, most_blocks: int) -> None:
    chain = short_life()
    reader = ModelReader(chain, unfinal=6, most_blocks=most_blocks)
    assert (await index(engine, reader, track(engine, FACTORY))).is_ok
    assert losses(engine) == true_losses(chain)
    assert {(5, child(1), 7), (5, child(1), 8), (21, child(2), 7)} <= set(losses(engine))
    assert intervals(engine, 1) == [(0, 39)]


@pytest.mark.scenario(38)
async def test_a_child_created_above_finality_is_asked_for_by_hash_in_the_same_step(engine: Engine) -> None:
    chain = short_life()
    reader = ModelReader(chain, unfinal=20)
    assert (await index(engine, reader, track(engine, FACTORY))).is_ok
    assert losses(engine) == true_losses(chain)
    assert child(2) in asked_addresses(reader, lambda number: number == 21)


@pytest.mark.scenario(37)
async def test_a_child_found_later_is_fetched_from_its_creation_on_only(engine: Engine) -> None:
    chain = ModelChain()
    for number in range(40):
        chain.mine(*([created(2)] if number == 21 else []), loss(2, number))
    reader = ModelReader(chain)
    assert (await index(engine, reader, track(engine, FACTORY))).is_ok
    assert losses(engine) == true_losses(chain)
    asked = [(first, last, filters[0].addresses) for first, last, filters in reader.asked if filters]
    assert asked == [(0, 39, frozenset({FACTORY})), (21, 39, frozenset({child(2)}))]


async def test_children_are_known_after_a_restart_without_a_table_of_their_own(engine: Engine) -> None:
    chain = short_life()
    tracked = track(engine, FACTORY)
    reader = ModelReader(chain, unfinal=12)  # Child 1 is final, child 2 is above finality.
    assert (await index(engine, reader, tracked)).is_ok
    for number in range(40, 60):
        chain.mine(loss(1, number), loss(2, number))
    reader.asked.clear()
    assert (await index(engine, reader, tracked)).is_ok
    assert losses(engine) == true_losses(chain)
    assert intervals(engine, 1) == [(0, 59)]
    assert {child(1), child(2)} <= asked_addresses(reader, lambda number: number == 40)


async def reach(follower: ChainFollower) -> None:
    """Polls until the tip is the head: a new branch must be seen twice."""
    for _ in range(4):
        if await follower.poll():
            return
    pytest.fail("the head is not reached")


async def test_a_reorg_takes_the_child_back_that_it_orphans(engine: Engine) -> None:
    chain = short_life()
    reader = ModelReader(chain, unfinal=20)
    with LedgerWriter(engine) as writer:
        work = ChainWork(Terms(), reader, track(engine, FACTORY), every_header=False)
        follower = ChainFollower(work, ChainLedger(Terms(), writer, system_clock))
        await reach(follower)
        assert (21, child(2), 7) in losses(engine)
        chain.drop(20)
        for number in range(20, 42):
            chain.mine(*([created(2)] if number == 30 else []), loss(2, number), branch="other")
        await reach(follower)
        for number in range(42, 80):  # So far ahead that blocks above 21 come back as history, by number.
            chain.mine(loss(2, number))
        await reach(follower)
    assert losses(engine) == true_losses(chain)
    assert min(number for number, market, _ in losses(engine) if market == child(2)) == 30


async def test_a_hole_that_may_hide_a_creation_makes_what_lies_above_it_uncovered(engine: Engine) -> None:
    chain = short_life()
    reader = ModelReader(chain, unfinal=4)
    (tracked,) = track(engine, FACTORY)
    from_ten = Tracked(**{**vars(tracked), "start_block": 10})
    assert (await index(engine, reader, [from_ten])).is_ok
    assert child(1) not in {market for _, market, _ in losses(engine)}, "its creation in block 5 was never seen"
    assert (await index(engine, reader, [tracked])).is_ok
    assert losses(engine) == true_losses(chain)
    assert intervals(engine, 1) == [(0, 39)]


@pytest.mark.scenario(39)
async def test_neither_a_forged_factory_nor_a_stranger_emitting_the_same_event_is_believed(engine: Engine) -> None:
    chain, plain = ModelChain(), ModelChain()
    for number in range(30):
        honest = [created(1)] if number == 3 else [loss(1, number)]
        plain.mine(*honest)
        chain.mine(*honest, created(9, by=FORGER), loss(9, 10**30), loss(8, 10**30))
    assert (await index(engine, ModelReader(chain, unfinal=5), track(engine, FACTORY))).is_ok
    assert [row for row in losses(engine) if row[1] != child(1)] == []
    assert len(losses(engine)) == 26
    assert {row["address"] for row in dump_tables(engine)["raw_log"]} == {FACTORY, child(1)}


@pytest.mark.scenario(39)
async def test_events_of_strangers_are_counted_where_everybody_had_to_be_asked() -> None:
    chain, family = ModelChain(), Family(FactoryAdapter(FACTORY))
    for number in range(MOST_CHILDREN + 1):
        chain.mine(created(number))
    chain.mine(loss(5, 1), loss(10**6, 2), loss(6, 3))
    reader = ModelReader(chain)
    family.learn(log for logs in chain.logs for log in logs)
    filters = merge_filters(family.filters(family.known()))
    assert filters == [LogFilter(frozenset(), (frozenset({LOSS.topic0}),))]
    found = family.wanted((), (await reader.logs(filters, 0, MOST_CHILDREN + 1)).logs)
    assert [log.address for log in found] == [child(5), child(6)]
    assert family.strangers == 1


@pytest.mark.scenario(38, 39)
async def test_a_family_of_thousands_is_asked_for_by_its_events_and_strangers_leave_no_row(engine: Engine) -> None:
    chain, stranger = ModelChain(), 10**6
    chain.mine(*(created(number) for number in range(MOST_CHILDREN)))
    for number in range(1, 16):
        news = [created(MOST_CHILDREN + number)] if number in (4, 9, 13) else []
        chain.mine(*news, loss(number, 5), loss(MOST_CHILDREN + number, 6), loss(stranger, 10**30))
    reader = ModelReader(chain, unfinal=4, most_blocks=2)
    assert (await index(engine, reader, track(engine, FACTORY))).is_ok
    assert losses(engine) == true_losses(chain)
    assert child(stranger) not in {row["address"] for row in dump_tables(engine)["raw_log"]}
    by_event = LogFilter(frozenset(), (frozenset({LOSS.topic0}),))
    last = [filters for first, _, filters in reader.asked if first == 15]
    assert last == [(LogFilter(frozenset({FACTORY}), (frozenset({CREATED.topic0}),)), by_event)]


def test_many_children_are_packed_within_what_providers_take_until_asking_everybody_is_cheaper() -> None:
    family = Family(FactoryAdapter(FACTORY))
    parts = merge_filters(family.filters(child(n) for n in range(MOST_CHILDREN)))
    assert [len(part.addresses) for part in parts] == [MOST_VALUES] * (MOST_CHILDREN // MOST_VALUES)
    assert family.asks_anyone(MOST_CHILDREN + 1)


def test_an_event_that_everybody_emits_is_never_asked_of_everybody() -> None:
    adapter = FactoryAdapter(FACTORY)
    adapter.child_topics = lambda: (frozenset({min(LOUD_TOPICS)}),)  # type: ignore[method-assign]
    parts = merge_filters(Family(adapter).filters(child(n) for n in range(MOST_CHILDREN + 1)))
    assert all(part.addresses for part in parts)


def test_a_child_named_in_capitals_is_the_same_child() -> None:
    adapter, chain = FactoryAdapter(FACTORY), ModelChain()
    adapter.child_of = lambda log: child(1).upper().replace("X", "x")  # type: ignore[method-assign]
    family = Family(adapter)
    chain.mine(created(1), loss(1, 5))
    family.learn(chain.logs[0])
    assert family.wanted((), chain.logs[0]) == chain.logs[0][1:]


def test_a_creation_log_of_anybody_is_refused_before_anything_is_asked() -> None:
    adapter = FactoryAdapter(FACTORY)
    adapter.creations = lambda: [LogFilter(frozenset(), (frozenset({CREATED.topic0}),))]  # type: ignore[method-assign]
    with pytest.raises(AdapterError, match="name the factories"):
        Family(adapter)


async def test_a_creation_that_cannot_be_read_makes_the_fund_unknown_instead_of_losing_a_child(engine: Engine) -> None:
    chain = ModelChain()
    for number in range(20):
        chain.mine(*([created(1)] if number == 2 else []), loss(1, number))
    broken = created(2)
    chain.mine(type(broken)(broken.address, broken.topics, "0x"))
    chain.mine()
    assert (await index(engine, ModelReader(chain, most_blocks=5), track(engine, FACTORY))).is_ok
    (segment,) = dump_tables(engine)["segment"]
    assert segment["status"] == "unknown"
    assert "log 0 of block 20" in segment["status_reason"]


def view(first: int, last: int, *logs: Log, level: int, passed: tuple[Verified, ...], branch: str = "0") -> Fetched:
    """Blocks first…last with these logs, as far verified as said."""
    headers = {n: Header(n, "0x" + branch * 32 + f"{n:032x}", "0x", 0) for n in range(first, last + 1)}
    return Fetched(first, last, logs, headers, level, passed)


def test_logs_of_late_children_leave_a_range_as_verified_as_both_answers_are() -> None:
    chain = short_life()
    one, late = chain.logs[5][0], chain.logs[6][1]
    whole = view(0, 9, late, level=2, passed=(Verified(3, 0, 9), Verified(4, 2, 8)))
    more = view(5, 9, one, level=1, passed=(Verified(3, 7, 9),))
    joined = joined_logs(whole, more)
    assert joined.logs == [one, late]
    assert joined.level == 1
    assert sorted(joined.passed) == [Verified(3, 0, 4), Verified(3, 7, 9), Verified(4, 2, 4)]


def test_two_answers_on_different_branches_are_never_joined() -> None:
    with pytest.raises(UntruthError, match="block 5 is"):
        joined_logs(view(0, 9, level=2, passed=()), view(5, 9, level=2, passed=(), branch="f"))


@pytest.mark.parametrize("every_header", [False, True])
async def test_two_factories_share_requests_and_keep_their_children_apart(engine: Engine, every_header: bool) -> None:
    chain = ModelChain()
    for number in range(30):
        news = {4: [created(1)], 9: [created(2, by=FORGER)]}.get(number, [])
        chain.mine(*news, loss(1, number), loss(2, 1000 + number))
    reader = ModelReader(chain, unfinal=5, most_blocks=6)
    assert (await index(engine, reader, track(engine, FACTORY, FORGER), every_header=every_header)).is_ok
    facts = [row for row in dump_tables(engine)["fact"] if row["role"] == "shortfall"]
    assert {(row["segment_id"], row["market"]) for row in facts} == {(1, child(1)), (2, child(2))}
    assert len(facts) == 26 + 21


async def test_children_stay_known_while_their_creation_becomes_final(database_url: str, engine: Engine) -> None:
    chain = short_life()
    tracked = track(engine, FACTORY)
    for unfinal in (33, 20, 19, 3):
        assert (await index(engine, ModelReader(chain, unfinal=unfinal), tracked)).is_ok
        assert losses(engine) == true_losses(chain)


async def test_facts_of_children_are_decoded_anew_from_the_ledger_alone(engine: Engine) -> None:
    (tracked,) = track(engine, FACTORY)
    assert (await index(engine, ModelReader(short_life()), [tracked])).is_ok
    before = dump_tables(engine)
    with writing(engine) as session:
        rebuilt = Rebuild(session, Terms().id).rebuild(prepare(tracked, 0))
    assert rebuilt.facts_before == rebuilt.facts_after == len(before["fact"])
    assert_same_tables(before, dump_tables(engine))
