"""A fund's first block: found exactly in few questions, or refused with what to write into the file."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.adapter import AdapterError
from indexer.rpc.errors import RequestError, StateMissingError
from indexer.starts import NotDeployedError, find_start, first_block_with_code
from tests.indexer.chain_double import ChainDouble
from tests.indexer.emitting import account

LATE, EARLY, PLAIN = account(1), account(2), account(3)


class Deployments(ChainDouble):
    """A chain that only knows where code begins."""

    def __init__(self, deployed: dict[str, int]) -> None:
        super().__init__([])
        self.deployed = deployed

    async def code(self, address: str, number: int) -> bytes:
        self.requests += 1
        return b"\x60" if number >= self.deployed.get(address, number + 1) else b""


@given(last=st.integers(0, 30_000_000), share=st.floats(0, 1))
async def test_the_first_block_with_code_is_found_exactly_in_a_question_a_halving(last: int, share: float) -> None:
    born = round(last * share)
    chain = Deployments({LATE: born})
    assert await first_block_with_code(chain, LATE, last) == born
    assert chain.requests <= math.ceil(math.log2(last + 2)) + 1


async def test_a_contract_in_the_first_or_in_the_last_block_is_found_too() -> None:
    for born in (0, 100):
        assert await first_block_with_code(Deployments({LATE: born}), LATE, 100) == born


async def test_a_fund_begins_with_the_oldest_of_its_contracts_and_a_plain_account_is_none() -> None:
    assert await find_start(Deployments({LATE: 70, EARLY: 40}), [LATE, PLAIN, EARLY], 99) == 40


async def test_a_contract_that_is_not_final_yet_is_told_from_one_that_never_will_be() -> None:
    with pytest.raises(NotDeployedError, match="by block 99: check addresses and chain"):
        await find_start(Deployments({LATE: 100}), [LATE], 99)


async def test_a_file_without_contract_and_start_is_refused_before_anything_is_asked() -> None:
    chain = Deployments({})
    with pytest.raises(AdapterError, match="add one of them"):
        await find_start(chain, [], 99)
    assert chain.requests == 0


@pytest.mark.parametrize("error", [StateMissingError("missing trie node"), RequestError("method not found")])
async def test_where_nobody_keeps_old_state_the_file_must_say_the_block(error: Exception) -> None:
    class Pruned(Deployments):
        async def code(self, address: str, number: int) -> bytes:
            if number < 99:
                raise error
            return b"\x60"

    with pytest.raises(AdapterError, match="add start_block to the fund file") as refused:
        await find_start(Pruned({}), [LATE], 99)
    assert not isinstance(refused.value, NotDeployedError), "it is not looked for again in every poll"
