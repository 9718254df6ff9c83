"""A factory followed through any reorgs, by one process that remembers: the ledger ends where the chain does."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from indexer.commit import ChainLedger
from indexer.follow import ChainFollower
from indexer.lanes import ChainWork
from ledger.clock import system_clock
from ledger.writer import LedgerWriter
from tests.indexer.semantics.conftest import FreshLedger
from tests.indexer.semantics.factory_fund import FACTORY, created, intervals, loss, losses, track, true_losses
from tests.indexer.semantics.model_chain import Emission, ModelChain, ModelReader
from tests.rigs.transfer_chain import Terms

UNFINAL = 6
POLLS = 6
EMISSIONS = [*(created(k) for k in (1, 2, 3)), *(loss(k, k) for k in (1, 2, 3))]

blocks = st.lists(st.sampled_from(EMISSIONS), max_size=3)
steps = st.tuples(st.integers(0, UNFINAL), st.lists(blocks, min_size=1, max_size=12), st.booleans())
"""How many blocks are replaced, what is mined then, and whether the indexer looks afterwards."""


async def follow(engine: Engine, chain: ModelChain, plan: list[tuple[int, list[list[Emission]], bool]]) -> None:
    """Plays the steps before one follower, which at last reaches the head."""
    reader = ModelReader(chain, unfinal=UNFINAL)
    with LedgerWriter(engine) as writer:
        work = ChainWork(Terms(), reader, track(engine, FACTORY), every_header=False)
        follower = ChainFollower(work, ChainLedger(Terms(), writer, system_clock))
        for at, (depth, mined, is_seen) in enumerate(plan):
            chain.drop(depth)
            for emissions in [*mined, *([] for _ in range(depth))]:
                chain.mine(*emissions, branch=str(at))
            if is_seen:
                await follower.poll()
        chain.mine()
        for _ in range(POLLS):
            if await follower.poll():
                return
    raise AssertionError(f"the head was not reached in {POLLS} polls")


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(plan=st.lists(steps, min_size=1, max_size=6))
def test_children_of_replaced_blocks_are_forgotten_and_those_of_the_new_branch_known(
    fresh_ledger: FreshLedger, plan: list[tuple[int, list[list[Emission]], bool]]
) -> None:
    chain = ModelChain()
    for _ in range(2 * UNFINAL):
        chain.mine()
    with fresh_ledger() as engine:
        asyncio.run(follow(engine, chain, plan))
        assert losses(engine) == true_losses(chain)
        assert intervals(engine, 1) == [(0, len(chain.headers) - 1)]
