"""The insurance fund's own life: seeding, repaying, distributing surplus, the DAO's top-ups, the closed market."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from indexer.replay.scenario.cast import COIN_UNIT, USDC_UNIT
from indexer.replay.scenario.chain import Call
from indexer.replay.scenario.perp import PerpDesk
from indexer.replay.scenario.timeline import ALT_BREAK, Step, hour_step

THRESHOLD_MARGIN = 100  # USDC above the seed before surplus is distributed.
ALT_PAUSE = ALT_BREAK + 5
ALT_CLOSE = ALT_PAUSE + 13
FIRST_TOP_UP = hour_step(90)  # 20 May 18:00
SECOND_TOP_UP = hour_step(105)  # 21 May 09:00
LATE_QUITS = hour_step(158)  # 23 May 14:00
_LATE_QUITTERS = 3
_RAISED_THRESHOLD = 5_000_000


@dataclass
class Treasury:
    """One fund's caretakers; the collapse of ALT happens only where ALT is listed."""

    desk: PerpDesk
    rng: Random
    late_quitters: list[str] = field(default_factory=list)

    def seed(self) -> None:
        """The DAO fills the fund once; surplus above a small margin may be distributed."""
        plan = self.desk.perp.plan
        self._top_up(plan.seed_usdc * USDC_UNIT, note="seed the fund")
        self._set_threshold(plan.seed_usdc + THRESHOLD_MARGIN)

    def act(self, step: Step) -> None:
        """What is due at this step."""
        if step.index % 7 == 5 and step.index < hour_step(0):
            self._distribute()
        if step.index == hour_step(0):
            # Before the crash the DAO decides to keep what comes in.
            self._set_threshold(_RAISED_THRESHOLD)
        if step.index % 6 == 5:
            self._repay()
        if "ALT" in self.desk.perp.markets:
            self._act_on_collapse(step)

    def _act_on_collapse(self, step: Step) -> None:
        capacity = self.desk.capacity()
        if step.index == ALT_CLOSE:
            self._close_alt(step)
        elif step.index == FIRST_TOP_UP and capacity < 0:
            self._top_up(_round_to_thousands(-capacity * 0.55), note="top up")
        elif step.index == SECOND_TOP_UP:
            goal = self.rng.randint(24, 30) * 1_000 * USDC_UNIT
            self._top_up(_round_to_thousands(max(goal - capacity, 20_000 * USDC_UNIT)), note="top up")
        elif step.index == LATE_QUITS:
            for trader in self.late_quitters:
                self._quit_alt(trader)

    def pause_alt(self) -> None:
        """The market stops; positions stay, at the index price of this moment."""
        self.desk.chain.send(Call(self.desk.perp.markets["ALT"].base, "pause()"), self.desk.cast.owner)
        self.desk.open_assets.remove("ALT")

    def _close_alt(self, step: Step) -> None:
        """Closes the market at its price and quits everyone but the last few bankrupt accounts."""
        desk, base = self.desk, self.desk.perp.markets["ALT"].base
        paused = desk.chain.read(Call(base, "getPausedIndexPrice()", (), ("uint256",)))
        price = min(int(step.prices["ALT"] * COIN_UNIT), paused)
        desk.chain.send(Call(base, "close(uint256)", (price,)), desk.cast.owner)
        everyone = [*desk.cast.traders[desk.perp.plan.name], *desk.cast.keepers, desk.cast.arbitrageur]
        holders = [who for who, sizes in desk.position_sizes(everyone).items() if "ALT" in sizes]
        self.late_quitters = self._pick_late_quitters(holders)
        for who in [*(holder for holder in holders if holder not in self.late_quitters), desk.cast.maker]:
            self._quit_alt(who)

    def _pick_late_quitters(self, holders: list[str]) -> list[str]:
        """The deepest under water are left for last: nobody gains by booking them."""
        values = [value for value, _ in self.desk.account_values(holders)]
        return [who for _, who in sorted(zip(values, holders, strict=True))[:_LATE_QUITTERS]]

    def _quit_alt(self, who: str) -> None:
        call = Call(
            self.desk.perp.clearing_house, "quitMarket(address,address)", (who, self.desk.perp.markets["ALT"].base)
        )
        self.desk.chain.send(call, self.desk.cast.keepers[1], may_fail=True)

    def _repay(self) -> None:
        """Moves the fund's wallet against its debt in the vault; capacity does not change by it."""
        desk, fund = self.desk, self.desk.perp.insurance_fund
        owed = desk.chain.read(Call(desk.perp.vault, "getSettlementTokenValue(address)", (fund,), ("int256",)))
        wallet = desk.chain.read(Call(desk.world.usdc, "balanceOf(address)", (fund,), ("uint256",)))
        if owed < 0 < wallet:
            desk.chain.send(Call(fund, "repay()"), self.rng.choice(desk.cast.keepers))

    def _distribute(self) -> None:
        desk = self.desk
        surplus_above = (desk.perp.plan.seed_usdc + THRESHOLD_MARGIN) * USDC_UNIT
        if desk.capacity() > surplus_above:
            call = Call(desk.perp.insurance_fund, "distributeFee()")
            desk.chain.send(call, self.rng.choice(desk.cast.keepers), may_fail=True)

    def _set_threshold(self, usdc: int) -> None:
        call = Call(self.desk.perp.insurance_fund, "setDistributionThreshold(uint256)", (usdc * USDC_UNIT,))
        self.desk.chain.send(call, self.desk.cast.owner)

    def _top_up(self, amount: int, *, note: str) -> None:
        """A bare transfer of the token: capacity changes without any event of the protocol."""
        call = Call(self.desk.world.usdc, "transfer(address,uint256)", (self.desk.perp.insurance_fund, amount))
        self.desk.chain.send(call, self.desk.cast.dao, note=note)


def _round_to_thousands(amount: float) -> int:
    unit = 1_000 * USDC_UNIT
    return round(amount / unit) * unit
