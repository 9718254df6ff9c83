"""Numbers and tokens at the edge of what contracts can say: as they are, refused by name, or unknown; never bent."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from indexer.adapter import ContractCall
from indexer.prices import Quote, quote_of
from indexer.registry import FUNDS, FundFileError
from indexer.rpc.pool import ProviderPool
from indexer.rpc.reader import CallAnswer
from indexer.specs import load_fund_file
from indexer.words import Event
from ledger.columns import INT256_MAX, INT256_MIN, UINT256_MAX
from tests.indexer.semantics.conftest import ContractChain
from tests.indexer.semantics.factory_fund import index
from tests.indexer.semantics.layouts import LayoutAdapter, amounts, follow
from tests.indexer.semantics.wallet_fund import enter, wallet_fund
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import WALLET, Terms

UNSIGNED = Event("Unsigned(uint256 amount)")
SIGNED = Event("Signed(int256 amount)")


@pytest.mark.scenario(41)
async def test_the_outermost_numbers_come_back_as_they_were_emitted(engine: Engine, contracts: ContractChain) -> None:
    extremes = contracts.put("Extremes")
    for empty in (3, 12):
        contracts.mine(empty)
        contracts.queue(extremes, "emitAll()")
        contracts.mine()
    async with ProviderPool(Terms(), [contracts.url]) as pool:
        assert (await index(engine, pool, [follow(engine, LayoutAdapter(extremes, [UNSIGNED, SIGNED]))])).is_ok
    numbers = [UINT256_MAX, 0, INT256_MIN, INT256_MAX, -1]
    assert [amount for _, amount, _ in amounts(engine)] == numbers * 2


@pytest.mark.scenario(41)
async def test_a_token_without_decimals_and_with_a_symbol_of_one_word_is_indexed_by_its_funds_file(
    engine: Engine, contracts: ContractChain
) -> None:
    token = contracts.put("OldToken")
    gifts = [0, 1, UINT256_MAX, 10**18]
    for amount in gifts:
        contracts.queue(token, "give(address,uint256)", WALLET, amount)
        contracts.mine(3)
    async with ProviderPool(Terms(), [contracts.url]) as pool:
        assert (await index(engine, pool, enter(engine, wallet_fund("old", [token])))).is_ok
        head = await pool.header("latest")
        assert head is not None
        calls = [
            ContractCall(token, "symbol()", (), ("string",)),
            ContractCall(token, "symbol()", (), ("bytes32",)),
            ContractCall(token, "decimals()", (), ("uint8",)),
            ContractCall(token, "balanceOf(address)", (WALLET,)),
        ]
        as_text, as_word, decimals, balance = await pool.calls(calls, head)
    assert [row["amount_raw"] for row in dump_tables(engine)["fact"]] == gifts[1:], "a gift of nothing moves nothing"
    assert as_text.error is not None
    assert as_text.error.startswith("garbage: symbol() returned")
    assert as_word.values == (b"OLD".ljust(32, b"\0"),)
    assert decimals.error is not None
    assert decimals.error.startswith("reverted")
    assert balance.values == (sum(gifts) % 2**256,)


@pytest.mark.scenario(41)
@pytest.mark.parametrize("decimals", [0, 6, 18, 36])
def test_decimals_of_a_funds_file_are_taken_as_they_are(tmp_path: Path, decimals: int) -> None:
    assert {asset.decimals for asset in load_fund_file(fund_file(tmp_path, f"decimals = {decimals}")).assets} == {
        decimals
    }


@pytest.mark.scenario(41)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("decimals = 77", "decimals = 77 is not between 0 and 36"),
        ("decimals = -1", "decimals = -1 is not between 0 and 36"),
        ('decimals = "18"', "decimals"),
        ("", "lacks the key"),
    ],
)
def test_decimals_that_are_absent_or_senseless_are_refused_by_name(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(FundFileError, match=words) as refused:
        load_fund_file(fund_file(tmp_path, line))
    assert "decimals" in str(refused.value)


@pytest.mark.scenario(41)
@pytest.mark.parametrize(
    ("decimals", "expected"),
    [
        (CallAnswer(values=(0,)), Quote(7, 0, None, None)),
        (CallAnswer(values=(18,)), Quote(7, 18, None, None)),
        (CallAnswer(values=(77,)), Quote(None, 0, None, "garbage: 77 decimals")),
        (CallAnswer(error="reverted"), Quote(None, 0, None, "decimals(): reverted")),
    ],
)
def test_a_feed_without_sensible_decimals_has_no_price_and_says_why(decimals: CallAnswer, expected: Quote) -> None:
    assert quote_of(CallAnswer(values=(7,)), decimals, updated_at=None) == expected


def fund_file(folder: Path, line: str) -> Path:
    """A fund file whose assets have this line for their decimals."""
    lines = (FUNDS / "ethena-reserve.toml").read_text().splitlines()
    path = folder / "ethena-reserve.toml"
    path.write_text("\n".join(line if text.startswith("decimals") else text for text in lines))
    return path
