"""The calculator's heavy parts as plain Python loops: the peer that anyone can write down from the methodology."""

import random
from bisect import bisect_right
from collections.abc import Sequence

Row = tuple[float, float, float, float]
"""A position: signed size, entry, margin, maintenance rate."""


def stress(rows: Sequence[Row], price: float, shocks: Sequence[float]) -> list[float]:
    """L(s) of each shock."""
    return [
        sum(max(0.0, -(margin + size * (price * (1 + shock) - entry))) for size, entry, margin, _ in rows)
        for shock in shocks
    ]


def cascade(rows: Sequence[Row], price: float, shocks: Sequence[float], impact: float) -> list[float]:
    """Shortfall of each shock with its cascade."""
    return [cascade_once(list(rows), price * (1 + shock), impact) for shock in shocks]


def cascade_once(rows: list[Row], price: float, impact: float) -> float:
    """Round after round until nobody is below maintenance."""
    shortfall = 0.0
    while True:
        hit = [row for row in rows if row[2] + row[0] * (price - row[1]) < row[3] * abs(row[0]) * price]
        if not hit:
            return shortfall
        moved = -impact * sum(row[0] for row in hit) * price
        fill = price + moved / 2
        shortfall += sum(max(0.0, -(row[2] + row[0] * (fill - row[1]))) for row in hit)
        closed = set(map(id, hit))
        rows = [row for row in rows if id(row) not in closed]
        price += moved


def ruin(reserve: float, *, rate: float, mean_claim: float, inflow: float, days: float, paths: int, seed: int) -> float:
    """Share of paths that are ruined within so many days, checked at each claim."""
    draw, ruined = random.Random(seed), 0
    for _ in range(paths):
        moment, lost = draw.expovariate(rate), 0.0
        while moment <= days:
            lost += draw.expovariate(1 / mean_claim)
            if reserve + inflow * moment < lost:
                ruined += 1
                break
            moment += draw.expovariate(rate)
    return ruined / paths


def expected_shortfall(daily: Sequence[float], level: float) -> float:
    """Empirical ES, exact for fractional tails."""
    tail = round(len(daily) * (1 - level), 9)
    largest = sorted(daily, reverse=True)
    whole = int(tail)
    rest = (tail - whole) * largest[whole] if tail > whole else 0.0
    return (sum(largest[:whole]) + rest) / tail


def bootstrap(daily: Sequence[float], level: float, *, replicates: int, mean_block: float, seed: int) -> list[float]:
    """ES of so many samples by the stationary bootstrap."""
    draw, n = random.Random(seed), len(daily)
    found = []
    for _ in range(replicates):
        at, sample = draw.randrange(n), []
        for _ in range(n):
            sample.append(daily[at])
            at = draw.randrange(n) if draw.random() < 1 / mean_block else (at + 1) % n
        found.append(expected_shortfall(sample, level))
    return sorted(found)


def record_depletion(
    reserve: float, episodes: Sequence[float], *, observed_days: float, inflow: float, paths: int, seed: int
) -> float:
    """Share of paths depleted within 365 days; each path draws its rate, claims come from the record."""
    draw, k, ruined = random.Random(seed), len(episodes), 0
    for _ in range(paths):
        rate = draw.gammavariate(k + 0.5, 1 / observed_days)
        moment, lost = draw.expovariate(rate), 0.0
        while moment <= 365:
            lost += episodes[draw.randrange(k)]
            if reserve + inflow * moment < lost:
                ruined += 1
                break
            moment += draw.expovariate(rate)
    return ruined / paths


def worst_window(events: Sequence[tuple[int, float]], window: int) -> float:
    """Largest sum of losses in (t − w, t], anchored at events."""
    times, sums = [seconds for seconds, _ in events], [0.0]
    for _, amount in events:
        sums.append(sums[-1] + amount)
    return max((sums[bisect_right(times, t)] - sums[bisect_right(times, t - window)] for t in times), default=0.0)


def drawdown(balances: Sequence[float]) -> float:
    """Largest fall from an earlier peak."""
    peak, worst = 0.0, 0.0
    for balance in balances:
        peak = max(peak, balance)
        worst = max(worst, 1 - balance / peak)
    return worst


def mix_losses(markets: Sequence[tuple[float, float]], mix: dict[int, float], ladder: Sequence[float]) -> list[float]:
    """L along the ladder of markets (open interest, beta) by the leverage mix."""
    return [
        sum(
            interest * sum(share * max(0.0, min(1.0, beta * step) - 1 / leverage) for leverage, share in mix.items())
            for interest, beta in markets
        )
        for step in ladder
    ]
