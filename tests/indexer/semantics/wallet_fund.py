"""A published wallet on a model chain: the fund's file, its transfers, and how it enters the ledger."""

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy import Engine

from indexer.adapters.address_fund import TRANSFER
from indexer.lanes import Tracked
from indexer.registry import FUNDS, Registry, tracked, write
from indexer.specs import AssetSpec, ChainSpec, FundSpec, load_fund_file
from indexer.words import address_topic
from ledger.database import writing
from tests.indexer.semantics.model_chain import Emission
from tests.rigs.transfer_chain import STRANGER, WALLET

CHAIN = ChainSpec(id=31337, slug="anvil", name="Model", rpc=("http://one", "http://two"))
TOKENS = tuple("0x" + digit * 40 for digit in "1234")


def wallet_fund(slug: str, tokens: Sequence[str], *, holder: str = WALLET) -> FundSpec:
    """The fund that one wallet is, counted in the first of its tokens."""
    assets = tuple(AssetSpec(address=token, symbol=f"T{token[-4:].upper()}", decimals=18) for token in tokens)
    return replace(
        load_fund_file(FUNDS / "ethena-reserve.toml"),
        slug=slug,
        chain=CHAIN.id,
        contracts={"holder": holder},
        assets=assets,
        balance_asset=assets[0].symbol,
        start_block=0,
    )


def enter(engine: Engine, *funds: FundSpec) -> list[Tracked]:
    """Writes the funds' files into the ledger; what to index then."""
    registry = Registry((CHAIN,), tuple(sorted(funds, key=lambda fund: fund.slug)))
    with writing(engine) as session:
        write(session, registry)
        return tracked(session, registry, CHAIN.id)


def transfer(token: str, amount: int, *, sender: str = STRANGER, receiver: str = WALLET) -> Emission:
    """A token moves, into the wallet unless said otherwise."""
    return Emission(token, (TRANSFER.topic0, address_topic(sender), address_topic(receiver)), f"0x{amount:064x}")
