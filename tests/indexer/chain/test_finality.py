"""Which block is final: the chain's tag, else age; whatever a provider says later, what was final stays final."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.finality import Finality, Heads
from indexer.rpc.errors import UnavailableError
from indexer.rpc.reader import Header
from tests.indexer.chain_double import ChainDouble
from tests.rigs.transfer_chain import Terms

BLOCK_SECONDS = 12
FINALITY_SECONDS = 900


def header(number: int, branch: str = "a") -> Header:
    return Header(number, f"{branch}{number}", f"{branch}{number - 1}", 1_700_000_000 + BLOCK_SECONDS * number)


class Tagged(ChainDouble):
    """A chain of 1,000 blocks that names the head and the finalized block it is told to."""

    def __init__(self) -> None:
        super().__init__([header(number) for number in range(1000)])
        self.latest = header(999)
        self.tag: Header | None = None

    async def heads(self) -> tuple[Header, Header | None]:
        return self.latest, self.tag


@pytest.fixture
def chain() -> Tagged:
    return Tagged()


def finality(chain: Tagged, seconds: int = FINALITY_SECONDS) -> Finality:
    return Finality(chain, Terms(finality_seconds=seconds))


@pytest.mark.scenario(13)
async def test_the_chains_own_tag_is_taken_and_costs_no_further_request(chain: Tagged) -> None:
    chain.tag = header(935)
    assert await finality(chain).read(None, not_below=0) == Heads(header(999), header(935))
    assert chain.requests == 0


@pytest.mark.scenario(13)
async def test_without_a_tag_the_newest_block_that_is_old_enough_is_final(chain: Tagged) -> None:
    heads = await finality(chain).read(None, not_below=0)
    assert heads.finalized == header(999 - FINALITY_SECONDS // BLOCK_SECONDS)
    assert chain.requests <= 20


@pytest.mark.scenario(13)
async def test_following_a_chain_without_a_tag_costs_few_headers_a_block_and_none_while_it_stands_still(
    chain: Tagged,
) -> None:
    judge = finality(chain)
    chain.latest = header(900)
    held = (await judge.read(None, not_below=0)).finalized
    for number in range(901, 1000):
        chain.latest = header(number)
        before = chain.requests
        heads = await judge.read(held, not_below=held.number)
        assert heads.finalized == header(number - 75)
        assert chain.requests - before <= 2
        assert await judge.read(held, not_below=held.number) == heads
        assert chain.requests - before <= 2
        held = heads.finalized


@pytest.mark.scenario(13)
async def test_a_tag_that_moves_backwards_or_vanishes_takes_nothing_back(chain: Tagged) -> None:
    judge = finality(chain)
    chain.tag = header(935)
    held = (await judge.read(None, not_below=0)).finalized
    chain.tag = header(900)
    assert (await judge.read(held, not_below=935)).finalized == header(935)
    chain.tag = None
    chain.latest = header(999)
    assert (await judge.read(held, not_below=935)).finalized == header(935), "not by age, for this chain has the tag"
    assert chain.requests == 0


@pytest.mark.scenario(13)
async def test_after_a_restart_a_tag_that_lags_is_lifted_to_what_was_final(chain: Tagged) -> None:
    chain.tag = header(900)
    assert (await finality(chain).read(None, not_below=935)).finalized == header(935)


@pytest.mark.scenario(13)
async def test_a_finalized_block_ahead_of_the_head_makes_nothing_final(chain: Tagged) -> None:
    judge = finality(chain)
    chain.latest, chain.tag = header(950), header(960)
    with pytest.raises(UnavailableError, match="above its own head 950"):
        await judge.read(None, not_below=0)
    assert (await judge.read(header(900), not_below=900)).finalized == header(900)


@pytest.mark.scenario(13)
async def test_a_head_below_what_was_final_is_a_provider_that_lags(chain: Tagged) -> None:
    chain.latest = header(800)
    with pytest.raises(UnavailableError, match="block 935 was final already"):
        await finality(chain).read(header(935), not_below=935)


@given(
    heads=st.lists(st.integers(0, 999), min_size=1, max_size=12),
    tags=st.lists(st.none() | st.integers(0, 999), min_size=12, max_size=12),
    seconds=st.integers(0, 20_000),
)
async def test_the_final_block_never_moves_backwards_nor_above_the_head(
    heads: Sequence[int], tags: Sequence[int | None], seconds: int
) -> None:
    chain = Tagged()
    judge = finality(chain, seconds)
    held: Header | None = None
    for latest, tag in zip(heads, tags, strict=False):
        chain.latest, chain.tag = header(latest), None if tag is None else header(tag)
        try:
            found = await judge.read(held, not_below=0 if held is None else held.number)
        except UnavailableError:
            continue
        assert found.finalized.number <= found.latest.number == latest
        assert held is None or found.finalized.number >= held.number
        held = found.finalized
