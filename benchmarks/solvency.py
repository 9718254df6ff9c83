"""The calculator beside plain Python loops: segments of five years, a million positions, a million paths of ruin.

    python -m benchmarks.solvency [--segments 200] [--positions 1000000] [--paths 1000000] [--strict]

Everything is drawn from one seed. The loops run over a part of the work and are scaled up by its share; where both give
the same number, the numbers are compared, and a difference ends the benchmark.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from benchmarks import plain
from benchmarks.measure import report
from benchmarks.results import RESULTS, Target, record
from solvency.backtest import compute_backtest
from solvency.cascade import PositionBook, compute_cascade
from solvency.coverage import StressLeg, compute_coverage
from solvency.few import compute_daily_chance_bound, compute_garwood_interval
from solvency.flows import compute_max_drawdown, compute_runway
from solvency.losses import (
    DAY_SECONDS,
    ExposureReading,
    LossEvent,
    compute_scaled_worst_window,
    compute_worst_window,
    group_episodes,
)
from solvency.outlook import splice_tail
from solvency.quantity import Quantity
from solvency.ruin_paths import ExponentialSeverities, RatePosterior, RecordSeverities, compute_depletion
from solvency.sizing import compute_size_band
from solvency.status import decide_band, grade_gap, grade_past_shortfall, grade_runway
from solvency.stress import (
    LADDER,
    PUBLISHED_MIX,
    AccountBook,
    Floats,
    compute_account_losses,
    compute_gap_survived,
    compute_mix_losses,
)
from solvency.tail import compute_empirical_es, compute_tail_risk, compute_var
from solvency.usable import Holding, compute_usable_value

SEED = 20_211_126
YEARS_DAYS = 5 * 365 + 1
LOSSY_SHARE = 0.3  # 60 of 200.
FITTED_OF_LOSSY = 3  # Every third of them has days enough for a fit: 20 of 60.
SHOCKS = tuple(k / 100 for k in (-50, -40, -30, -20, -10, 10, 20, 30, 40, 50))
PRICE, IMPACT_DEPTH = 2_000.0, 40.0
RUIN = {"reserve": 1_000_000.0, "rate": 20 / 365, "mean": 50_000.0, "inflow": 3_000.0}
PART = 50
"""The loops over positions and paths get one in so many."""
CLOSE = 1e-9
WIDTH = 130

CLOSED = "solvency.closed_s"
TARGETS = {
    CLOSED: Target("s", 5, is_most=True, meaning="closed-form metrics, 200 segments of 5 years"),
    "solvency.segments_s": Target("s", 60, is_most=True, meaning="the same with bootstrap, profiles and ruin for 60"),
    "solvency.stress_s": Target("s", 1, is_most=True, meaning="1,000,000 positions × 10 shocks, static"),
    "solvency.cascade_s": Target("s", 5, is_most=True, meaning="1,000,000 positions × 10 shocks, cascade"),
    "solvency.ruin_s": Target("s", 5, is_most=True, meaning="1,000,000 paths of ruin over 365 days"),
}
VS_PLAIN = {
    f"{name}_vs_plain_python": Target("×", 1, meaning="seconds of plain loops ÷ ours")
    for name in TARGETS
    if name != CLOSED
}


@dataclass(frozen=True)
class Pool:
    """Five years of one segment, daily."""

    balances: Floats
    exposures: Floats
    losses: Floats
    holdings: Sequence[Holding]
    markets: Sequence[tuple[float, float]]

    @property
    def events(self) -> list[tuple[int, float]]:
        """Losses at noon of their days."""
        days = np.flatnonzero(self.losses)
        return [(int(day) * DAY_SECONDS + DAY_SECONDS // 2, float(self.losses[day])) for day in days]


def draw_pools(count: int) -> list[Pool]:
    """Segments: three in ten with losses, of which one in three on many days."""
    draw = np.random.Generator(np.random.PCG64(SEED))
    return [draw_pool(draw, n_losses(place, count)) for place in range(count)]


def n_losses(place: int, count: int) -> int:
    """Days with a loss of the segment at this place."""
    if place >= round(count * LOSSY_SHARE):
        return 0
    return 240 if place % FITTED_OF_LOSSY == 0 else 40


def draw_pool(draw: np.random.Generator, n_loss_days: int) -> Pool:
    """Random walks of balance and exposure, Pareto losses."""
    balances = 1e7 * np.exp(np.cumsum(draw.normal(0, 0.01, YEARS_DAYS)))
    exposures = 2e8 * np.exp(np.cumsum(draw.normal(0, 0.02, YEARS_DAYS)))
    losses = np.zeros(YEARS_DAYS)
    days = draw.choice(YEARS_DAYS, n_loss_days, replace=False)
    losses[days] = 20_000 * (1 + draw.pareto(2.5, n_loss_days))
    amount = float(balances[-1])
    holdings = [
        Holding("USDC", amount / 2, 1, h_floor=0.005),
        Holding("ETH", amount / 4_000, 1_000, beta=1, h_liq=0.02),
        Holding("OWN", amount, 0.5, beta=2, h_floor=1),
    ]
    markets = [(float(exposures[-1]) / 10, float(beta)) for beta in draw.uniform(0.8, 2.0, 10)]
    return Pool(balances, exposures, losses, holdings, markets)


def compute_closed(pool: Pool) -> None:
    """Every metric that is a formula."""
    events = [LossEvent(seconds, amount) for seconds, amount in pool.events]
    observed = YEARS_DAYS * DAY_SECONDS
    readings = [ExposureReading(day * DAY_SECONDS, float(amount)) for day, amount in enumerate(pool.exposures)]
    now = Quantity(float(pool.exposures[-1]), "usd")
    usable = compute_usable_value(pool.holdings)
    ladder = [compute_usable_value(pool.holdings, shock=-step).value or 0.0 for step in LADDER]
    for days in (1, 7, 30):
        compute_worst_window(events, window_seconds=days * DAY_SECONDS, observed_seconds=observed)
    scaled = compute_scaled_worst_window(
        events, readings, exposure_now=now, window_seconds=7 * DAY_SECONDS, observed_seconds=observed
    )
    episodes = group_episodes(events)
    for level in (0.975, 0.99):
        compute_var(pool.losses, level)
        compute_empirical_es(pool.losses, level)
    compute_daily_chance_bound(len(events), YEARS_DAYS)
    compute_garwood_interval(len(episodes), 5.0)
    down = sum(compute_mix_losses(amount, [-step for step in LADDER], beta=beta) for amount, beta in pool.markets)
    up = sum(compute_mix_losses(amount, LADDER, beta=beta) for amount, beta in pool.markets)
    gap = compute_gap_survived(ladder, np.asarray(down), np.asarray(up))
    legs = [StressLeg(s, usable, Quantity(float(np.asarray(side)[20]), "usd")) for s, side in ((-0.2, down), (0.2, up))]
    compute_coverage(usable, scaled.loss, legs, is_none_recognised=not events)
    runway = compute_runway(usable, inflow_per_day=1_000.0, payout_per_day=1_500.0, observed_days=YEARS_DAYS)
    compute_max_drawdown([float(balance) for balance in pool.balances])
    compute_size_band(losses=pool.losses) if events else None
    forecasts = [float(amount) for amount in pool.losses[:-1]]
    compute_backtest(forecasts, [float(amount) for amount in pool.losses[1:]], level=0.99)
    past = grade_past_shortfall(scaled.loss, n_episodes=len(episodes), observed_days=YEARS_DAYS)
    decide_band({"gap": grade_gap(gap), "past": past, "runway": grade_runway(runway)}, ("gap", "past", "runway"))


def compute_modelled(pool: Pool) -> None:
    """Tail with its intervals (2,000 replicates or profiles) and depletion (20,000 paths)."""
    tail = compute_tail_risk(pool.losses, seed=SEED)
    episodes = [amount for _, amount in pool.events]
    severities = RecordSeverities(tuple(episodes), splice_tail(episodes, tail))
    rate = RatePosterior(len(episodes), YEARS_DAYS)
    compute_depletion(float(pool.balances[-1]), inflow=1_000.0, severities=severities, rate=rate, seed=SEED)


def close_plainly(pool: Pool) -> None:
    """The dear part of the closed forms as loops."""
    events = pool.events
    for days in (1, 7, 30):
        plain.worst_window(events, days * DAY_SECONDS)
    daily = [float(amount) for amount in pool.losses]
    for level in (0.975, 0.99):
        plain.expected_shortfall(daily, level)
    plain.drawdown([float(balance) for balance in pool.balances])
    plain.mix_losses(pool.markets, dict(PUBLISHED_MIX), LADDER)
    plain.mix_losses(pool.markets, dict(PUBLISHED_MIX), LADDER)


def model_plainly(pool: Pool) -> None:
    """A fiftieth of bootstrap and ruin as loops: without profiles, of which a loop is no plain matter."""
    daily = [float(amount) for amount in pool.losses]
    plain.bootstrap(daily, 0.975, replicates=2_000 // PART, mean_block=10, seed=SEED)
    episodes = [amount for _, amount in pool.events]
    plain.record_depletion(
        float(pool.balances[-1]), episodes, observed_days=YEARS_DAYS, inflow=1_000.0, paths=20_000 // PART, seed=SEED
    )


def timed_each(work: Callable[[Pool], None], pools: Sequence[Pool]) -> float:
    """Seconds for all of them, one after the other."""
    begun = time.perf_counter()
    for pool in pools:
        work(pool)
    return time.perf_counter() - begun


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure_segments(count: int) -> dict[str, float]:
    """Closed forms of all, models of those with losses."""
    pools = draw_pools(count)
    lossy = [pool for pool in pools if pool.losses.any()]
    closed = timed_each(compute_closed, pools)
    modelled = timed_each(compute_modelled, lossy)
    some, few = pools[:: max(1, count // 20)], lossy[:: max(1, len(lossy) // 3)]
    plain_closed = timed_each(close_plainly, some) * len(pools) / len(some)
    plain_models = timed_each(model_plainly, few) * len(lossy) / len(few) * PART
    return {
        CLOSED: closed,
        "solvency.segments_s": closed + modelled,
        "solvency.segments_s_vs_plain_python": (plain_closed + plain_models) / (closed + modelled),
    }


def draw_book(count: int) -> PositionBook:
    """Longs and shorts of one market, most of them at 3 to 30 times leverage."""
    draw = np.random.Generator(np.random.PCG64(SEED))
    size = draw.lognormal(0, 1.5, count) * np.where(draw.random(count) < 0.5, 1, -1)
    entry = PRICE * np.exp(draw.normal(0, 0.05, count))
    margin = np.abs(size) * entry / draw.uniform(3, 30, count)
    return PositionBook(size, entry, margin, np.full(count, 0.03))


def measure_positions(count: int) -> dict[str, float]:
    """Static stress and cascade; the loops take a part, and must find the same losses there."""
    book = draw_book(count)
    impact = 1 / (IMPACT_DEPTH * float(np.abs(book.size).sum()))
    accounts = AccountBook(
        book.margin + book.size * (PRICE - book.entry), (book.size * PRICE).reshape(-1, 1), np.ones(1)
    )
    static = timed(lambda: compute_account_losses(accounts, SHOCKS))
    cascade = timed(lambda: compute_cascade(book, PRICE, SHOCKS, impact=impact))
    part = PositionBook(*(column[::PART] for column in (book.size, book.entry, book.margin, book.maintenance_rate)))
    rows = list(
        zip(*(column.tolist() for column in (part.size, part.entry, part.margin, part.maintenance_rate)), strict=True)
    )
    found: dict[str, list[float]] = {}
    plain_static = timed(lambda: found.update(static=plain.stress(rows, PRICE, SHOCKS))) * PART
    plain_cascade = timed(lambda: found.update(cascade=plain.cascade(rows, PRICE, SHOCKS, impact))) * PART
    own = AccountBook(accounts.equity[::PART], accounts.notional[::PART], accounts.betas)
    require_equal("static stress", compute_account_losses(own, SHOCKS).tolist(), found["static"])
    ours = [each.shortfall for each in compute_cascade(part, PRICE, SHOCKS, impact=impact)]
    require_equal("cascade", ours, found["cascade"])
    return {
        "solvency.stress_s": static,
        "solvency.stress_s_vs_plain_python": plain_static / static,
        "solvency.cascade_s": cascade,
        "solvency.cascade_s_vs_plain_python": plain_cascade / cascade,
    }


def require_equal(what: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Raises SystemExit where the loop finds another number: the speed of a wrong result means nothing."""
    for shock, mine, other in zip(SHOCKS, ours, theirs, strict=True):
        if not math.isclose(mine, other, rel_tol=CLOSE, abs_tol=CLOSE):
            raise SystemExit(f"WRONG: {what} at {shock:+.0%} is {mine}, a plain loop finds {other}; nothing recorded")


def measure_ruin(paths: int) -> dict[str, float]:
    """Paths over a year with exponential claims."""
    severities = ExponentialSeverities(RUIN["mean"])

    def run() -> None:
        compute_depletion(
            RUIN["reserve"], inflow=RUIN["inflow"], severities=severities, rate=RUIN["rate"], horizons=(365,),
            paths=paths, seed=SEED,
        )  # fmt: skip

    def run_plainly() -> None:
        plain.ruin(
            RUIN["reserve"], rate=RUIN["rate"], mean_claim=RUIN["mean"], inflow=RUIN["inflow"], days=365,
            paths=paths // PART, seed=SEED,
        )  # fmt: skip

    ours, theirs = timed(run), timed(run_plainly) * PART
    return {"solvency.ruin_s": ours, "solvency.ruin_s_vs_plain_python": theirs / ours}


def main() -> int:
    """Measures, prints each figure beside its target, records them; ends with all of it as one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.solvency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--segments", type=int, default=200, help="segments of five years (default 200)")
    parser.add_argument("--positions", type=int, default=1_000_000, help="isolated positions (default 1,000,000)")
    parser.add_argument("--paths", type=int, default=1_000_000, help="paths of ruin (default 1,000,000)")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where a target is missed")
    said = parser.parse_args()
    console = Console(width=WIDTH, highlight=False)
    values: dict[str, float] = {}
    for part, size in (
        (measure_segments, said.segments),
        (measure_positions, said.positions),
        (measure_ruin, said.paths),
    ):
        found = part(size)
        values |= found
        for name, value in found.items():
            target = (TARGETS | VS_PLAIN)[name]
            console.print(f"{name:38} {value:10.2f} {target.unit:2}  target {target.said():8} {target.meaning}")
    record(RESULTS, values, TARGETS | VS_PLAIN)
    report(**values)
    is_met = all(target.is_met(values[name]) for name, target in (TARGETS | VS_PLAIN).items())
    return 0 if is_met or not said.strict else 1


if __name__ == "__main__":
    sys.exit(main())
