"""Everything that is deployed before the first price: tokens, feeds, two Perp v2 deployments, Morpho Blue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexer.replay.scenario.cast import COIN_UNIT, USDC_UNIT, Cast
from indexer.replay.scenario.chain import Call, Chain
from indexer.replay.scenario.curie import PerpDeployment, PerpPlan, deploy_perp
from indexer.replay.scenario.morpho import MorphoDeployment, deploy_morpho

ASSETS = ("ETH", "BTC", "ALT", "USDC")
FEED_DECIMALS = 8
# The longest silence is the day between two sparse steps; a feed that timed out would stop every margin check.
_FEED_TIMEOUT = 40 * 3600
_FEED_TWAP = 900

LARGE = PerpPlan(name="large", seed_usdc=600_000, markets=("ETH", "BTC"), depths={"ETH": 30e6, "BTC": 30e6})
SMALL = PerpPlan(
    name="small",
    seed_usdc=60_000,
    markets=("ETH", "BTC", "ALT"),
    depths={"ETH": 15e6, "BTC": 15e6, "ALT": 4e6},
)


@dataclass(frozen=True)
class World:
    """Addresses of everything that was deployed."""

    usdc: str
    weth: str
    alt: str
    lookalike: str
    multicall: str
    factory: str
    aggregators: dict[str, str]
    feeds: dict[str, str]
    dispatchers: dict[str, str]
    perps: dict[str, PerpDeployment]
    morpho: MorphoDeployment


def deploy_world(chain: Chain, cast: Cast, prices: Mapping[str, float]) -> World:
    """Deploys all contracts in a fixed order, so that every address is the same for every seed."""
    usdc = _deploy_token(chain, cast, "USD Coin", "USDC")
    weth = _deploy_token(chain, cast, "Wrapped Ether", "WETH")
    alt = _deploy_token(chain, cast, "Alt", "ALT")
    lookalike = _deploy_token(chain, cast, "USD Coin", "USDC")
    multicall = chain.deploy("Multicall", cast.owner)
    factory = chain.deploy("UniswapV3Factory", cast.owner)
    aggregators = {asset: _deploy_aggregator(chain, cast, asset, prices[asset]) for asset in ASSETS}
    feeds = {asset: _deploy_feed(chain, cast, aggregators[asset]) for asset in ("ETH", "BTC", "ALT")}
    dispatchers = {
        asset: chain.deploy("PriceFeedDispatcher", cast.owner, ["address"], [feed]) for asset, feed in feeds.items()
    }
    perps = {
        plan.name: deploy_perp(
            chain, cast, plan, usdc=usdc, weth=weth, factory=factory, dispatchers=dispatchers, prices=prices
        )
        for plan in (LARGE, SMALL)
    }
    morpho = deploy_morpho(chain, cast, loan=usdc, collateral={"WETH": weth, "ALT": alt}, aggregators=aggregators)
    return World(
        usdc,
        weth,
        alt,
        lookalike,
        multicall=multicall,
        factory=factory,
        aggregators=aggregators,
        feeds=feeds,
        dispatchers=dispatchers,
        perps=perps,
        morpho=morpho,
    )


def encode_price(price: float) -> int:
    """A USD price in the feeds' eight decimals, never below one unit."""
    return max(1, round(price * float(10**FEED_DECIMALS)))


def _deploy_token(chain: Chain, cast: Cast, name: str, symbol: str) -> str:
    decimals, supply = (6, 10**10 * USDC_UNIT) if symbol == "USDC" else (18, 10**9 * COIN_UNIT)
    token = chain.deploy("ERC20Fake", cast.owner)
    signature = "initializeERC20Fake(uint256,string,string,uint8)"
    chain.send(Call(token, signature, (supply, name, symbol, decimals)), cast.owner)
    return token


def _deploy_aggregator(chain: Chain, cast: Cast, asset: str, price: float) -> str:
    args = [FEED_DECIMALS, f"{asset} / USD", encode_price(price)]
    return chain.deploy("Aggregator", cast.owner, ["uint8", "string", "int256"], args)


def _deploy_feed(chain: Chain, cast: Cast, aggregator: str) -> str:
    types, args = ["address", "uint256", "uint80"], [aggregator, _FEED_TIMEOUT, _FEED_TWAP]
    return chain.deploy("ChainlinkPriceFeedV3", cast.owner, types, args)
