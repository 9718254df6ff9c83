"""What the traders of a deployment intend: gamblers who enter before the worst moves, and an ordinary crowd."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from indexer.replay.scenario.timeline import STEPS, hour_step

LONG, SHORT = True, False


@dataclass(frozen=True)
class Gamble:
    """A wave of entries at almost full leverage, at one step and in one market."""

    step: int
    asset: str
    is_long: bool
    entries: int
    margins: tuple[float, float]
    leverage: float = 9.2


@dataclass(frozen=True)
class Entry:
    """One trader opens one position with fresh margin (USD)."""

    trader: str
    asset: str
    is_long: bool
    margin: float
    leverage: float
    weth_margin: float = 0.0


# The dates are those of real moves: 23 Feb, 18 Apr, 26 Apr, 3 May, 12 May, then hours of 19 and 23 May.
GAMBLES: dict[str, tuple[Gamble, ...]] = {
    "large": (
        Gamble(21, "ETH", LONG, 3, (9_000, 14_000)),
        Gamble(75, "ETH", LONG, 3, (9_000, 14_000)),
        Gamble(83, "ETH", SHORT, 2, (9_000, 14_000)),
        Gamble(90, "ETH", SHORT, 2, (9_000, 14_000)),
        Gamble(99, "BTC", LONG, 2, (9_000, 14_000)),
        Gamble(hour_step(60), "ETH", LONG, 4, (12_000, 20_000)),
        Gamble(hour_step(61), "ETH", SHORT, 4, (6_000, 10_000)),
        Gamble(hour_step(134), "ETH", LONG, 4, (15_000, 25_000), 7.0),
        Gamble(hour_step(160), "ETH", SHORT, 3, (9_000, 14_000)),
        Gamble(hour_step(170), "ETH", LONG, 5, (40_000, 60_000), 8.0),
        Gamble(hour_step(170), "BTC", LONG, 2, (20_000, 35_000), 8.0),
    ),
    "small": (
        Gamble(21, "ETH", LONG, 1, (4_000, 6_000)),
        Gamble(75, "ETH", LONG, 1, (4_000, 6_000)),
        Gamble(90, "ETH", SHORT, 1, (4_000, 6_000)),
        *(Gamble(hour_step(hour), "ALT", LONG, 2, (3_500, 7_000), 7.0) for hour in (46, 48, 51, 53, 55, 57)),
        Gamble(hour_step(60), "ETH", LONG, 2, (6_000, 9_000)),
        Gamble(hour_step(61), "ETH", SHORT, 5, (10_000, 15_000)),
        Gamble(hour_step(160), "ETH", SHORT, 4, (7_000, 11_000)),
    ),
}
_WETH_BACKED: dict[str, tuple[int, ...]] = {"large": (hour_step(40),), "small": (hour_step(40), hour_step(47))}
_GAMBLERS = 20


@dataclass(frozen=True)
class TraderBook:
    """All planned entries by step, and the crowd, which also leaves and comes back by chance."""

    entries: dict[int, list[Entry]]
    crowd: tuple[str, ...]
    weth_backed: frozenset[str]


def plan_traders(deployment: str, traders: tuple[str, ...], rng: Random) -> TraderBook:
    """Deals the gambles to the first accounts in turn, the WETH-backed longs and the crowd to the rest."""
    entries: dict[int, list[Entry]] = defaultdict(list)
    turn = 0
    for gamble in GAMBLES[deployment]:
        for _ in range(gamble.entries):
            margin = rng.uniform(*gamble.margins)
            entry = Entry(traders[turn % _GAMBLERS], gamble.asset, gamble.is_long, margin, leverage=gamble.leverage)
            entries[gamble.step].append(entry)
            turn += 1
    backed = traders[_GAMBLERS : _GAMBLERS + len(_WETH_BACKED[deployment])]
    for trader, step in zip(backed, _WETH_BACKED[deployment], strict=True):
        margin = rng.uniform(4_000, 7_000)
        entries[step].append(Entry(trader, "ETH", LONG, margin, leverage=12, weth_margin=2.5 * margin))
    crowd = traders[_GAMBLERS + len(backed) :]
    for trader in crowd:
        entries[rng.randrange(1, STEPS - 60)].append(draw_entry(trader, rng))
    return TraderBook(dict(entries), crowd, frozenset(backed))


def draw_entry(trader: str, rng: Random) -> Entry:
    """An ordinary position: ETH or BTC, mostly long, leverage 2 to 7."""
    margin = min(40_000.0, max(3_000.0, rng.lognormvariate(9.9, 0.7)))
    asset = rng.choices(["ETH", "BTC"], [5, 3])[0]
    return Entry(trader, asset, rng.random() < 0.7, margin, leverage=rng.choice([2, 3, 4, 5, 6, 7]))
