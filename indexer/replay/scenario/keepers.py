"""Keepers of one Perp v2 deployment: they liquidate what pays, fall behind in violent hours, and meet refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from indexer.replay.scenario.chain import Call
from indexer.replay.scenario.perp import PerpDesk
from indexer.replay.scenario.timeline import Step, hour_step

# Hours in which no keeper of the deployment works, as happens when gas is dear.
_OUTAGES: dict[str, frozenset[int]] = {
    "large": frozenset(map(hour_step, (62, 161, 162, 163, 164))),
    "small": frozenset(map(hour_step, (62, 63, 161, 162, 163, 164, 165, 166))),
}
_RETRY_STEPS = 6


@dataclass
class Keepers:
    """The liquidators of one deployment and what they remember: who was refused at which step."""

    desk: PerpDesk
    rng: Random
    refused_at: dict[str, int] = field(default_factory=dict)

    def work(self, step: Step, weth_backed: frozenset[str]) -> None:
        """Liquidates accounts below their requirement, the least bad first, as long as the budget lasts."""
        if step.index in _OUTAGES[self.desk.perp.plan.name]:
            return
        budget = self.rng.choice([2, 3, 4]) if step.is_violent else self.rng.randint(6, 12)
        for trader, asset in self._find_work(step):
            if budget == 0:
                return
            budget -= 1
            self._liquidate(trader, asset, step)
            if trader in weth_backed:
                self.liquidate_collateral(trader)

    def liquidate_collateral(self, trader: str) -> None:
        """Sells a debtor's WETH at the discount, if the vault allows it."""
        desk, vault = self.desk, self.desk.perp.vault
        if not desk.chain.read(Call(vault, "isLiquidatable(address)", (trader,), ("bool",))):
            return
        signature = "getMaxRepaidSettlementAndLiquidatableCollateral(address,address)"
        question = Call(vault, signature, (trader, desk.world.weth), ("uint256", "uint256"))
        repaid, _ = desk.chain.read(question)
        if repaid == 0:
            return
        sale = (trader, desk.world.weth, repaid, True)
        desk.chain.send(
            Call(vault, "liquidateCollateral(address,address,uint256,bool)", sale), desk.cast.keepers[0], may_fail=True
        )

    def _find_work(self, step: Step) -> list[tuple[str, str]]:
        desk = self.desk
        live = desk.position_sizes(sorted(desk.holders))
        desk.holders.clear()
        desk.holders.update({trader: set(sizes) for trader, sizes in live.items()})
        values = dict(zip(live, desk.account_values(list(live)), strict=True))
        sick = [trader for trader, (value, requirement) in values.items() if value < requirement]
        sick.sort(key=lambda trader: -values[trader][0])
        return [
            (trader, asset)
            for trader in sick
            if step.index - self.refused_at.get(trader, -_RETRY_STEPS) >= _RETRY_STEPS
            for asset in live[trader]
            if asset in desk.open_assets
        ]

    def _liquidate(self, trader: str, asset: str, step: Step) -> None:
        desk, keeper = self.desk, self.rng.choice(self.desk.cast.keepers)
        call = Call(desk.perp.clearing_house, "liquidate(address,address)", (trader, desk.perp.markets[asset].base))
        if not desk.chain.send(call, keeper, may_fail=True).succeeded:
            if desk.chain.failures[-1].reason == "CH_IIC":
                self.refused_at[trader] = step.index
            return
        self.refused_at.pop(trader, None)
        # The liquidated position is now the keeper's; he sells it once the pool accepts a new tick.
        desk.close(keeper, asset, note="keeper close", gap=16)
