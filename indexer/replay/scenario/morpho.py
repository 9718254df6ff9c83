"""Deploys Morpho Blue with two USDC markets whose oracles read the scenario's own feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from indexer.replay.scenario.cast import Cast
from indexer.replay.scenario.chain import Call, Chain

PARAMS = "(address,address,address,address,uint256)"
_LLTV = {"WETH": 86 * 10**16, "ALT": 77 * 10**16}
_FEED_ASSET = {"WETH": "ETH", "ALT": "ALT"}
_FEE = 10**17  # A tenth of the interest, as a fraction of 1e18.


@dataclass(frozen=True)
class MorphoMarket:
    """One isolated market: loan token against collateral token at an oracle's price."""

    name: str
    loan: str
    collateral: str
    oracle: str
    irm: str
    lltv: int

    @property
    def params(self) -> tuple[str, str, str, str, int]:
        return (self.loan, self.collateral, self.oracle, self.irm, self.lltv)

    @property
    def market_id(self) -> bytes:
        """keccak(abi.encode(params)), as Morpho's MarketParamsLib computes it."""
        return keccak(encode(["address", "address", "address", "address", "uint256"], self.params))


@dataclass(frozen=True)
class MorphoDeployment:
    """Morpho's address, its interest rate model and its markets by collateral symbol."""

    address: str
    irm: str
    markets: dict[str, MorphoMarket]


def deploy_morpho(
    chain: Chain, cast: Cast, *, loan: str, collateral: Mapping[str, str], aggregators: Mapping[str, str]
) -> MorphoDeployment:
    """Deploys Morpho Blue and creates one market per collateral token."""
    address = chain.deploy("Morpho", cast.owner, ["address"], [cast.owner])
    irm = chain.deploy("IrmMock", cast.owner)
    chain.send(Call(address, "enableIrm(address)", (irm,)), cast.owner)
    chain.send(Call(address, "setFeeRecipient(address)", (cast.dao,)), cast.owner)
    markets = {}
    for symbol, token in collateral.items():
        # 36 + 6 loan decimals - 18 collateral decimals - 8 feed decimals.
        oracle_args = [aggregators[_FEED_ASSET[symbol]], 10 ** (36 + 6 - 18 - 8)]
        oracle = chain.deploy("MorphoOracle", cast.owner, ["address", "uint256"], oracle_args)
        market = MorphoMarket(f"{symbol}/USDC", loan, token, oracle, irm=irm, lltv=_LLTV[symbol])
        chain.send(Call(address, "enableLltv(uint256)", (market.lltv,)), cast.owner)
        chain.send(Call(address, f"createMarket({PARAMS})", (market.params,)), cast.owner)
        markets[symbol] = market
    chain.send(Call(address, f"setFee({PARAMS},uint256)", (markets["WETH"].params, _FEE)), cast.owner)
    return MorphoDeployment(to_checksum_address(address), irm, markets)
