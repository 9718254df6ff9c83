"""One Perp v2 deployment with everyone who acts on it, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from indexer.replay.scenario.arbitrage import Target, arbitrage
from indexer.replay.scenario.keepers import Keepers
from indexer.replay.scenario.perp import PerpDesk
from indexer.replay.scenario.timeline import Step, hour_step
from indexer.replay.scenario.traders import TraderBook, draw_entry
from indexer.replay.scenario.treasury import ALT_PAUSE, Treasury

_DEEP_MARGIN = 50_000_000
_KEEPER_MARGIN = 2_000_000
_KEEPER_WALLET = 500_000
# The maker's range in multiples of the opening price; ALT may lose almost everything.
_RANGES = {"ETH": (0.05, 4.0), "BTC": (0.05, 4.0), "ALT": (0.002, 8.0)}
_CROWD_LEAVES = {False: 0.02, True: 0.005}
_CROWD_RETURNS = {False: 0.05, True: 0.04}
# Nobody of the crowd opens in the worst hours.
_QUIET = range(hour_step(56), hour_step(66))


@dataclass
class Stage:
    """Traders, keepers and treasury of one deployment."""

    desk: PerpDesk
    book: TraderBook
    keepers: Keepers
    treasury: Treasury
    rng: Random

    def prepare(self, prices: dict[str, float]) -> None:
        """Margin for the professionals, the maker's orders, the fund's seed; prices must have been set."""
        cast = self.desk.cast
        for who in (cast.maker, cast.arbitrageur):
            self.desk.deposit_usdc(who, _DEEP_MARGIN)
        for keeper in cast.keepers:
            self.desk.deposit_usdc(keeper, _KEEPER_MARGIN)
            # Buying a debtor's collateral is paid from the keeper's wallet, not from his margin.
            self.desk.give_usdc(keeper, _KEEPER_WALLET, spender=self.desk.perp.vault)
        for asset in self.desk.perp.plan.markets:
            self.desk.add_liquidity(asset, prices[asset], _RANGES[asset])
        self.treasury.seed()

    def find_targets(self, step: Step) -> list[Target]:
        """Where the arbitrageur brings the open markets: to their index, a shade beside it."""
        if step.index == ALT_PAUSE and "ALT" in self.desk.open_assets:
            self.treasury.pause_alt()
        return [
            Target(self.desk, asset, step.prices[asset] * (1 + self.rng.gauss(0, 0.001)))
            for asset in self.desk.open_assets
        ]

    def liquidate(self, step: Step) -> None:
        """Keepers work through the sick accounts, then through WETH-backed debts."""
        self.keepers.work(step, self.book.weth_backed)
        for trader in sorted(self.book.weth_backed):
            self.keepers.liquidate_collateral(trader)

    def trade(self, step: Step) -> None:
        """Planned entries, then the crowd comes and goes."""
        crowded: dict[str, int] = {}
        for entry in self.book.entries.get(step.index, ()):
            self.desk.enter(entry, step.prices["ETH"])
            crowded[entry.asset] = crowded.get(entry.asset, 0) + 1
            if crowded[entry.asset] % 2 == 0 and entry.asset in self.desk.open_assets:
                arbitrage([Target(self.desk, entry.asset, step.prices[entry.asset])])
        for trader in self.book.crowd:
            self._drift(trader, step)

    def _drift(self, trader: str, step: Step) -> None:
        draw = self.rng.random()
        if step.index in _QUIET:
            return
        if trader in self.desk.holders:
            if draw < _CROWD_LEAVES[step.is_hourly]:
                self.desk.leave(trader)
        elif trader in self.desk.seen and draw < _CROWD_RETURNS[step.is_hourly]:
            self.desk.enter(draw_entry(trader, self.rng), step.prices["ETH"])
