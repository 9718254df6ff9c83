"""All funds of a chain share requests: many cost what one costs, as far as providers take it in one question."""

import pytest
from sqlalchemy import Engine

from indexer.adapters.address_fund import AddressFund
from indexer.rpc.pool import ProviderPool
from indexer.scan.filters import MOST_VALUES, merge_filters
from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.indexer.semantics.conftest import ContractChain
from tests.indexer.semantics.factory_fund import index
from tests.indexer.semantics.wallet_fund import enter, wallet_fund
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import WALLET, Terms


async def requests_for(engine: Engine, chain: ContractChain, tokens: list[str]) -> int:
    """HTTP requests of one sync with a fund for each token."""
    funds = [wallet_fund(f"fund-{n}", [token]) for n, token in enumerate(tokens)]
    async with ProviderPool(Terms(), [chain.url]) as pool:
        assert (await index(engine, pool, enter(engine, *funds))).is_ok
        return pool.requests


@pytest.mark.parametrize("funds", [2, 7])
async def test_many_funds_cost_no_more_requests_than_one(
    engine: Engine, contracts: ContractChain, funds: int, sqlite_url: str
) -> None:
    tokens = [contracts.put("OldToken") for _ in range(funds)]
    for n in range(24):
        contracts.queue(tokens[n % funds], "give(address,uint256)", WALLET, 1 + n)
        contracts.queue(tokens[0], "give(address,uint256)", WALLET, 100 + n)
        contracts.mine()
    alone = open_engine(sqlite_url)
    upgrade(alone)
    of_one = await requests_for(alone, contracts, tokens[:1])
    alone.dispose()
    assert await requests_for(engine, contracts, tokens) <= of_one
    assert len(dump_tables(engine)["fact"]) == 48


def test_as_many_wallets_as_a_provider_takes_in_one_list_are_two_questions() -> None:
    # One for transfers from the wallets, one for transfers to them.
    tokens = [f"0x{n:040x}" for n in range(1, MOST_VALUES + 1)]
    filters = [part for token in tokens for part in AddressFund(wallet_fund("many", [token])).filters()]
    assert len(merge_filters(filters)) == 2
