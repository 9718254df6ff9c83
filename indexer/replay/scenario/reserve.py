"""A reserve at a plain address: payments in and out, and what strangers send to mislead its readers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from indexer.replay.scenario.cast import USDC_UNIT, Cast
from indexer.replay.scenario.chain import Call, Chain
from indexer.replay.scenario.deploy import World
from indexer.replay.scenario.timeline import Step, hour_step

OPENING_USDC = 750_000
_BAILOUT_STEP = hour_step(63)
_BAILOUT_USDC = 200_000
_TRANSFER = "transfer(address,uint256)"


@dataclass
class Reserve:
    """The reserve's owner, those who pay in, and those who poison."""

    chain: Chain
    cast: Cast
    world: World
    rng: Random

    def open(self) -> None:
        """The opening balance."""
        self._pay(self.cast.owner, self.cast.reserve, OPENING_USDC * USDC_UNIT, note="reserve opens")

    def act(self, step: Step) -> None:
        """What is due at this step."""
        if step.index % 17 == 6:
            self._pay(self.cast.reserve, self.cast.vendor, self._draw(2_000, 40_000), note="reserve pays")
        if step.index % 23 == 9:
            self._pay(self.cast.dao, self.cast.reserve, self._draw(1_000, 30_000), note="reserve receives")
        if step.index == _BAILOUT_STEP:
            self._pay(self.cast.reserve, self.cast.dao, _BAILOUT_USDC * USDC_UNIT, note="reserve bails out")
        if step.index % 60 == 31:
            self._poison()

    def _poison(self) -> None:
        """A stranger may move zero of anyone's tokens, and anyone may call a token USDC."""
        nothing = (self.cast.reserve, self.cast.poisoner, 0)
        zero = Call(self.world.usdc, "transferFrom(address,address,uint256)", nothing)
        self.chain.send(zero, self.cast.spammer, note="zero-value poison")
        amount = self.rng.randint(1, 9) * 10**5 * USDC_UNIT
        fake = Call(self.world.lookalike, _TRANSFER, (self.cast.reserve, amount))
        self.chain.send(fake, self.cast.owner, note="look-alike token")

    def _draw(self, low: int, high: int) -> int:
        return self.rng.randint(low, high) * USDC_UNIT + self.rng.randint(0, USDC_UNIT - 1)

    def _pay(self, sender: str, to: str, amount: int, *, note: str) -> None:
        self.chain.send(Call(self.world.usdc, _TRANSFER, (to, amount)), sender, note=note)
