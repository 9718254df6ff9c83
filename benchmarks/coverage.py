"""How often the interval of a fitted expected shortfall holds the truth: samples of a known tail, one after the other.

    python -m benchmarks.coverage [--samples 500] [--excesses 100]

A sample has so many days beyond the threshold, of twenty times as many days in all; the level is 99 %. An interval
without an upper end is not published (the number is unknown then): it is counted apart and holds nothing.
"""

import argparse
import sys
from dataclasses import dataclass

from rich.console import Console
from scipy import stats

from benchmarks.measure import report
from benchmarks.results import RESULTS, Target, record
from solvency.gpd import compute_es_interval, fit_gpd

LEVEL, DAYS_AN_EXCESS = 0.99, 20
SHAPES = (0.1, 0.3, 0.5)
SEED = 10_000
LOW, HIGH = 0.92, 0.98
WIDTH = 140


@dataclass(frozen=True)
class Covered:
    """Samples of one shape: the share of published intervals that hold the truth, and of all that have no upper end."""

    shape: float
    share: float
    endless: float

    @property
    def name(self) -> str:
        """As in bench.json."""
        return f"solvency.es_coverage_{round(100 * self.shape):02d}"


def true_shortfall(shape: float, share: float) -> float:
    """ES beyond a threshold of 0 with scale 1, (VaR + 1) / (1 − ξ), where `share` of the excesses lie beyond VaR."""
    var: float = (share**-shape - 1) / shape
    return (var + 1) / (1 - shape)


def study(shape: float, samples: int, excesses: int) -> Covered:
    """Fits each sample and asks whether its interval holds the truth."""
    truth = true_shortfall(shape, (1 - LEVEL) * DAYS_AN_EXCESS)
    held = endless = 0
    for place in range(samples):
        drawn = stats.genpareto.rvs(shape, size=excesses, random_state=SEED + place)
        fit = fit_gpd(drawn, n_obs=DAYS_AN_EXCESS * excesses)
        interval = compute_es_interval(fit, drawn, LEVEL)
        low, high = interval or (0.0, None)  # None: the fit itself has no finite mean.
        endless += high is None
        held += high is not None and low <= truth <= high
    return Covered(shape, held / (samples - endless), endless / samples)


def main() -> int:
    """Studies each shape, prints and records it; exit code 1 where a share is outside 92 to 98 %."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=500, help="samples of each shape (default 500)")
    parser.add_argument("--excesses", type=int, default=100, help="days beyond the threshold (default 100)")
    said = parser.parse_args()
    console = Console(width=WIDTH, highlight=False)
    found = [study(shape, said.samples, said.excesses) for shape in SHAPES]
    for one in found:
        console.print(
            f"ξ = {one.shape}: {one.share:.1%} of the published intervals hold the truth (92 to 98 %); "
            f"{one.endless:.1%} of {said.samples} have no upper end and are not published"
        )
    record(RESULTS, {one.name: one.share for one in found}, {one.name: Target("share", LOW) for one in found})
    report(**{one.name: one.share for one in found})
    return 0 if all(LOW <= one.share <= HIGH for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
