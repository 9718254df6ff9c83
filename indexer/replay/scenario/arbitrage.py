"""The arbitrageur: brings pools back to their index prices, several markets in one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.replay.scenario.perp import PerpDesk

_GAS = 3_000_000
# The exchange takes a new reference tick only 15 s after the last one it stored.
_STEP_GAP = 18
_MOST_STEPS = 14
_CLOSE_ENOUGH = 0.006


@dataclass(frozen=True)
class Target:
    """A market and the USD price it should trade at."""

    desk: PerpDesk
    asset: str
    price: float


def arbitrage(targets: Sequence[Target]) -> None:
    """Swaps step by step until every target is reached; all desks must stand on the same chain."""
    if not targets:
        return
    chain, cast = targets[0].desk.chain, targets[0].desk.cast
    for _ in range(_MOST_STEPS):
        roots = chain.read_many([target.desk.spot_call(target.asset) for target in targets])
        spots = [(root / 2**96) ** 2 for root in roots]
        orders = [
            (target.desk.arbitrage_call(target.asset, spot, target.price), cast.arbitrageur)
            for target, spot in zip(targets, spots, strict=True)
            if abs(spot / target.price - 1) >= _CLOSE_ENOUGH
        ]
        if not orders:
            return
        chain.send_together(orders, note="arbitrage", may_fail=True, gap=_STEP_GAP, gas=_GAS)
