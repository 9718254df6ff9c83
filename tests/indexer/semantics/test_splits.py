"""How a chain is cut into ranges, interrupted or joined later leaves no trace in what is known of it."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from indexer.lanes import Tracked
from tests.indexer.semantics.conftest import FreshLedger
from tests.indexer.semantics.factory_fund import FACTORY, FORGER, FactoryAdapter, created, index, intervals, loss
from tests.indexer.semantics.model_chain import ModelChain, ModelReader, asked_addresses
from tests.indexer.semantics.wallet_fund import TOKENS, enter, transfer, wallet_fund
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, add_fund, register

EMISSIONS = [
    transfer(TOKENS[0], 5),
    transfer(TOKENS[0], 2**256 - 1),
    transfer(TOKENS[1], 7, sender=WALLET, receiver=STRANGER),
    transfer(TOKENS[1], 9, receiver=STRANGER),
    transfer(TOKENS[2], 3),
    *(created(k) for k in (1, 2)),
    *(loss(k, 10 + k) for k in (1, 2, 3)),
    created(3, by=FORGER),
]


@dataclass(frozen=True)
class Cuts:
    """How a chain is read: caps of its provider, blocks not final, and heights at which a sync ends."""

    most_blocks: int = 10**6
    most_logs: int = 10**6
    unfinal: int = 0
    stops: tuple[int, ...] = ()


def enter_all(engine: Engine) -> list[Tracked]:
    """Two wallets that share a token, and a factory with its children."""
    register(engine, [])
    funds = [wallet_fund("one", TOKENS[:2]), wallet_fund("two", TOKENS[1:3], holder=STRANGER)]
    tracked = enter(engine, *funds)
    family = add_fund(engine, 9, FACTORY)
    return [*tracked, Tracked(9, family.slug, family.shape, FactoryAdapter(FACTORY), (FACTORY,), start_block=0)]


def tables_of(engine: Engine, chain: ModelChain, cuts: Cuts, *, every_header: bool) -> dict[str, list[dict[str, Any]]]:
    """What the ledger holds after the chain was read with these cuts."""
    tracked = enter_all(engine)
    for height in (*sorted(cuts.stops), len(chain.headers)):
        grown = ModelChain(chain.headers[:height], chain.logs[:height])
        unfinal = min(cuts.unfinal, height - 1)
        reader = ModelReader(grown, unfinal=unfinal, most_blocks=cuts.most_blocks, most_logs=cuts.most_logs)
        outcome = asyncio.run(index(engine, reader, tracked, every_header=every_header))
        assert outcome.is_ok, outcome
    dump = dump_tables(engine)
    if not every_header:
        # History is then verified without blooms of empty blocks, the live lane with them: how, not what.
        dump["verification"] = []
        for row in dump["coverage"]:
            del row["level"]
    return dump


@st.composite
def chains(draw: st.DrawFn) -> ModelChain:
    chain = ModelChain()
    for emissions in draw(st.lists(st.lists(st.sampled_from(EMISSIONS), max_size=4), min_size=2, max_size=30)):
        chain.mine(*emissions)
    return chain


@st.composite
def cuttings(draw: st.DrawFn, heights: int, unfinal: int) -> Cuts:
    stops = draw(st.lists(st.integers(1, heights), max_size=3))
    return Cuts(draw(st.integers(1, 12)), draw(st.integers(1, 12)), unfinal, tuple(stops))


@pytest.mark.scenario(36)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), chain=chains(), every_header=st.booleans())
def test_any_split_of_a_range_gives_the_same_rows(
    fresh_ledger: FreshLedger, data: st.DataObject, chain: ModelChain, every_header: bool
) -> None:
    unfinal = data.draw(st.integers(0, 8))
    cuts = data.draw(cuttings(len(chain.headers), unfinal))
    with fresh_ledger() as whole, fresh_ledger() as split:
        expected = tables_of(whole, chain, Cuts(unfinal=unfinal), every_header=every_header)
        assert_same_tables(expected, tables_of(split, chain, cuts, every_header=every_header))


def busy_chain(blocks: int) -> ModelChain:
    """Every token moves in every block."""
    chain = ModelChain()
    for number in range(blocks):
        chain.mine(*(transfer(token, 1 + number) for token in TOKENS))
    return chain


@pytest.mark.scenario(37)
async def test_a_contract_added_to_a_funds_file_fetches_its_own_hole_and_nobody_elses(engine: Engine) -> None:
    chain = busy_chain(30)
    other = wallet_fund("zz-other", [TOKENS[3]])
    reader = ModelReader(chain, unfinal=6)
    assert (await index(engine, reader, enter(engine, wallet_fund("one", TOKENS[:1]), other))).is_ok
    before = dump_tables(engine)
    reader.asked.clear()
    assert (await index(engine, reader, enter(engine, wallet_fund("one", TOKENS[:2]), other))).is_ok
    after = dump_tables(engine)
    (one, two) = (row["id"] for row in sorted(after["segment"], key=lambda row: row["slug"]))
    of_two = [row for row in before["fact"] if row["segment_id"] == two]
    assert [row for row in after["fact"] if row["segment_id"] == two] == of_two
    amounts = sorted(row["amount_raw"] for row in after["fact"] if row["segment_id"] == one)
    assert amounts == sorted([*range(1, 31)] * 2)
    assert (0, 29) in intervals(engine, one)
    # Blocks above finality are fetched once for everybody; below it nobody but the changed fund is asked for.
    assert TOKENS[3] not in asked_addresses(reader, lambda number: number <= 23)


@pytest.mark.scenario(37)
async def test_a_fund_added_later_asks_only_for_what_it_lacks(engine: Engine) -> None:
    chain = busy_chain(30)
    first = wallet_fund("one", TOKENS[:1])
    reader = ModelReader(chain, unfinal=0)
    assert (await index(engine, reader, enter(engine, first))).is_ok
    reader.asked.clear()
    for _ in range(10):
        chain.mine(*(transfer(token, 1) for token in TOKENS))
    assert (await index(engine, reader, enter(engine, first, wallet_fund("two", [TOKENS[2]])))).is_ok
    assert asked_addresses(reader, lambda number: number < 30) == {TOKENS[2]}
    assert asked_addresses(reader, lambda number: number >= 30) == {TOKENS[0], TOKENS[2]}
