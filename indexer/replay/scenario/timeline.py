"""The steps of the play: one a day until 16 May 2021, one an hour from 17 May, each with its prices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from indexer.replay.scenario.prices import DAILY_START, DAYS, HOURLY_START, HOURS, PricePath

STEPS = DAYS + HOURS
# A constant hour of the day keeps the feeds' age at 24 h, inside what a monitor accepts of a daily feed.
_HOUR_OF_DAY = 14
_ALT_OPENING = 20.0  # USD on 17 May 00:00; ALT is invented, it follows ETH with more swing.
_ALT_SWING = 1.2
_ALT_BREAK_HOURS = 6


def hour_step(hour: int) -> int:
    """The step of an hour counted from 17 May 00:00 UTC."""
    return DAYS + hour


ALT_BREAK = hour_step(59)  # 19 May 11:00: two hours before the worst hour of ETH.


@dataclass(frozen=True)
class Step:
    """A moment at which prices are set and everyone acts."""

    index: int
    moment: int
    prices: dict[str, float]
    eth_return: float

    @property
    def is_hourly(self) -> bool:
        return self.index >= DAYS

    @property
    def is_violent(self) -> bool:
        """ETH moved by 5 % or more within an hour: keepers fall behind."""
        return self.is_hourly and abs(self.eth_return) >= 0.05


def build_steps(path: PricePath, seed: int) -> list[Step]:
    """All steps; ETH and BTC are the shipped medians, ALT and USDC are drawn from the seed."""
    rng = Random(f"{seed}:prices")
    eth = [*path.daily["ETH"], *path.hourly["ETH"]]
    btc = [*path.daily["BTC"], *path.hourly["BTC"]]
    alt = list(_draw_alt(eth, rng))
    steps = []
    for index in range(STEPS):
        prices = {"ETH": eth[index], "BTC": btc[index], "ALT": alt[index], "USDC": 1 + rng.gauss(0, 0.0003)}
        moved = eth[index] / eth[index - 1] - 1 if index else 0.0
        steps.append(Step(index, _moment(index), prices, moved))
    return steps


def _moment(index: int) -> int:
    if index < DAYS:
        return DAILY_START + 86_400 * index + 3_600 * _HOUR_OF_DAY
    return HOURLY_START + 3_600 * (index - DAYS)


def _draw_alt(eth: list[float], rng: Random) -> Iterator[float]:
    left = 1.0
    for index, price in enumerate(eth):
        if ALT_BREAK <= index < ALT_BREAK + _ALT_BREAK_HOURS:
            left *= rng.uniform(0.45, 0.75)
        yield _ALT_OPENING * (price / eth[DAYS]) ** _ALT_SWING * left * math.exp(rng.gauss(0, 0.01))
