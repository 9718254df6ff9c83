"""What the played scenario says when its contracts and logs are asked directly, beside the indexer."""

from tests.rigs.direct_chain import Question
from tests.rigs.played_scenario import (
    Deployment,
    PlayedScenario,
)

LARGE, SMALL = "perp-v2-large-simulated", "perp-v2-small-simulated"
MORPHO, RESERVE = "morpho-blue-simulated", "reserve-simulated"
PERPS = (LARGE, SMALL)
FUND_SHARE_PERCENT = 20
E12 = 10**12
POSITION_CHANGED = "PositionChanged(address*,address*,int256,int256,uint256,int256,int256,uint256)"
POSITION_CLOSED = "PositionClosed(address*,address*,int256,int256,int256,int256,uint256)"
POSITION_LIQUIDATED = "PositionLiquidated(address*,address*,uint256,uint256,uint256,address)"
BAD_DEBT_SETTLED = "BadDebtSettled(address*,uint256)"
COLLATERAL_LIQUIDATED = "CollateralLiquidated(address*,address*,address*,uint256,uint256,uint256,uint24)"
MORPHO_LIQUIDATE = "Liquidate(bytes32*,address*,address*,uint256,uint256,uint256,uint256,uint256)"
DEPOSITED = "Deposited(address*,address*,uint256)"
WITHDRAWN = "Withdrawn(address*,address*,uint256)"
PNL_REALIZED = "PnlRealized(address*,int256)"
TRANSFER = "Transfer(address*,address*,uint256)"


def moments(scenario: PlayedScenario) -> list[int]:
    """The blocks of the play's marks, and its head."""
    return [*(mark["block"] for mark in scenario.manifest["marks"].values()), scenario.head]


def traders_of(scenario: PlayedScenario, perp: Deployment) -> set[str]:
    """Every account that ever traded, from raw logs."""
    house = perp.contracts["ClearingHouse"]
    return {
        str(log.values[0])
        for event in (POSITION_CHANGED, POSITION_CLOSED)
        for log in scenario.chain.logs(house, event, last=scenario.head)
    }


def sizes_at(scenario: PlayedScenario, perp: Deployment, block: int) -> dict[tuple[str, str], int]:
    """getTakerPositionSize of everyone who ever traded, in every market, zeros left out."""
    pairs = [(who, base) for who in sorted(traders_of(scenario, perp)) for base in perp.markets.values()]
    signature, balance = "getTakerPositionSize(address,address)", perp.contracts["AccountBalance"]
    answers = scenario.chain.calls([Question(balance, signature, pair, ("int256",)) for pair in pairs], block)
    return {pair: size for pair, size in zip(pairs, answers, strict=True) if size != 0}


def capacities(scenario: PlayedScenario, perp: Deployment, blocks: list[int]) -> list[int]:
    """getInsuranceFundCapacity at each block."""
    question = Question(perp.contracts["InsuranceFund"], "getInsuranceFundCapacity()", (), ("int256",))
    return scenario.chain.calls_at([(question, block) for block in blocks])


def account_values(scenario: PlayedScenario, perp: Deployment, account: str, blocks: list[int]) -> list[int]:
    """getAccountValue at each block, 18 decimals."""
    question = Question(perp.contracts["ClearingHouse"], "getAccountValue(address)", (account,), ("int256",))
    return scenario.chain.calls_at([(question, block) for block in blocks])


def scheduled_blocks(scenario: PlayedScenario, slug: str) -> list[int]:
    """Heights at which everything of a segment was read."""
    segment = scenario.segment(slug)
    snapshots = scenario.tables["snapshot"]
    return sorted(r["block_number"] for r in snapshots if r["segment_id"] == segment and r["kind"] == "scheduled")


def seconds_of(scenario: PlayedScenario, block: int) -> int:
    """A block's time, from the node."""
    return int(scenario.chain.ask("eth_getBlockByNumber", hex(block), False)["timestamp"], 16)
