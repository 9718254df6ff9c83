"""The manifest: what was deployed, who played, when the marks fell, and which transactions failed and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eth_utils.address import to_checksum_address

from indexer.replay.scenario.cast import Cast
from indexer.replay.scenario.chain import Chain
from indexer.replay.scenario.curie import PerpDeployment
from indexer.replay.scenario.deploy import World
from indexer.replay.scenario.node import CHAIN_ID, GENESIS


def describe_world(world: World, cast: Cast) -> dict[str, Any]:
    """The part of the manifest that is the same for every seed: addresses, market ids, actors."""
    return {
        "chain_id": CHAIN_ID,
        "genesis": GENESIS,
        "tokens": {"USDC": world.usdc, "WETH": world.weth, "ALT": world.alt, "lookalike_USDC": world.lookalike},
        "multicall3": world.multicall,
        "uniswap_factory": world.factory,
        "aggregators": dict(world.aggregators),
        "feeds": dict(world.feeds),
        "dispatchers": dict(world.dispatchers),
        "perps": {name: _describe_perp(perp) for name, perp in world.perps.items()},
        "morpho": {
            "address": world.morpho.address,
            "irm": world.morpho.irm,
            "fee_recipient": cast.dao,
            "markets": {
                market.name: {"id": "0x" + market.market_id.hex(), **_describe_market(market.params)}
                for market in world.morpho.markets.values()
            },
        },
        "reserve": {"address": cast.reserve, "token": world.usdc},
        "actors": asdict(cast),
    }


def describe_failures(chain: Chain) -> list[dict[str, Any]]:
    """Mined transactions that reverted, in order."""
    return [asdict(failure) for failure in chain.failures]


def _describe_perp(perp: PerpDeployment) -> dict[str, Any]:
    return {
        "seed_usdc": perp.plan.seed_usdc,
        "contracts": dict(perp.contracts),
        "markets": {
            f"v{asset}": {"asset": asset, "base": market.base, "pool": to_checksum_address(market.pool)}
            for asset, market in perp.markets.items()
        },
    }


def _describe_market(params: tuple[str, str, str, str, int]) -> dict[str, Any]:
    loan, collateral, oracle, irm, lltv = params
    return {"loan": loan, "collateral": collateral, "oracle": oracle, "irm": irm, "lltv": str(lltv)}
