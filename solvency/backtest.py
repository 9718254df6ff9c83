"""Backtest of the daily value at risk: failures counted, tested for their number and for coming in runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy.special import xlog1py, xlogy
from scipy.stats import chi2

from solvency.quantity import render_count

SIGNIFICANCE = 0.05
MIN_TELLING_DAYS = 1_000
POWER_CAVEAT = (
    "under 1,000 days this says little: of models whose losses pass a 99 % VaR twice as often as forecast, "
    "250 days of it reject 24 %"
)


@dataclass(frozen=True, slots=True)
class RatioTest:
    """A likelihood-ratio test: its statistic and the chance of one at least as large under a right model."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """Failures (loss > VaR) of n days against those expected, the tests (None: no day), days left out, a sentence."""

    n: int
    failures: int
    expected: float
    kupiec: RatioTest | None
    christoffersen: RatioTest | None
    joint: RatioTest | None
    n_unknown: int
    words: str


def compute_kupiec(n: int, failures: int, p: float) -> RatioTest:
    """LR = −2 ln[(1−p)^(n−x) p^x / ((1−x/n)^(n−x) (x/n)^x)] ~ χ²₁ of x failures in n days, chance p each.

    x = 0 and x = n by their limits (0·ln 0 = 0). Kupiec 1995.
    """
    if n < 1 or not 0 <= failures <= n:
        raise ValueError(f"{failures} failures in {n} days is impossible; need 0 ≤ failures ≤ days and a day at least")
    if not 0 < p < 1:
        raise ValueError(f"a failure chance of {p} cannot be tested; give one between 0 and 1")
    expected = float(xlogy(failures, p) + xlog1py(n - failures, -p))
    return _compare(expected, _fit_chance(n - failures, failures), degrees=1)


def compute_christoffersen(n00: int, n10: int, n01: int, n11: int) -> RatioTest:
    """Independence: does a failure make the next day's likelier? LR ~ χ²₁, degenerate counts by their limits.

    Pairs of days in a row: n00 calm after calm, n10 calm after a failure, n01 a failure after a calm day, n11
    two failures. Christoffersen 1998.
    """
    counts = (n00, n10, n01, n11)
    if min(counts) < 0 or sum(counts) == 0:
        raise ValueError(f"counts of {counts} cannot be tested; none is negative, and a pair of days is needed")
    apart = _fit_chance(n00, n01) + _fit_chance(n10, n11)
    return _compare(_fit_chance(n00 + n10, n01 + n11), apart, degrees=1)


def compute_joint(kupiec: RatioTest, christoffersen: RatioTest) -> RatioTest:
    """Number and independence together, LR = LR_number + LR_independence ~ χ²₂. Christoffersen 1998."""
    statistic = kupiec.statistic + christoffersen.statistic
    return RatioTest(statistic, float(chi2.sf(statistic, 2)))


def compute_backtest(forecasts: Sequence[float | None], losses: Sequence[float | None], *, level: float) -> Backtest:
    """Test daily VaR forecasts at `level`, each made before its day's loss was known (both USD, in order of days).

    A day whose forecast or loss is unknown (None) is left out and counted, and days beside it are no pair. The
    words never call a model validated, and under 1,000 days say how little the tests can tell.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is impossible; give one between 0 and 1, such as 0.975")
    if len(forecasts) != len(losses):
        raise ValueError(f"{len(forecasts)} forecasts with {len(losses)} losses; give one of each a day")
    days = list(zip(forecasts, losses, strict=True))
    outcomes = [_is_failure(forecast, loss) for forecast, loss in days]
    known = [outcome for outcome in outcomes if outcome is not None]
    n, failures, expected = len(known), sum(known), len(known) * (1 - level)
    kupiec = compute_kupiec(n, failures, 1 - level) if n else None
    pairs = Counter(pair for pair in pairwise(outcomes) if None not in pair)
    christoffersen = None
    if pairs:
        christoffersen = compute_christoffersen(
            pairs[False, False], pairs[True, False], pairs[False, True], pairs[True, True]
        )
    joint = compute_joint(kupiec, christoffersen) if kupiec and christoffersen else None
    tests = {"number of failures": kupiec, "independence": christoffersen, "both together": joint}
    rejected = [name for name, test in tests.items() if test and test.p_value < SIGNIFICANCE]
    n_zero = sum(forecast == 0 and loss is not None for forecast, loss in days)
    words = _describe(
        f"{failures:,} of {render_count(n, 'day')} beyond the forecast, {expected:.1f} expected", n, n_zero, rejected
    )
    return Backtest(n, failures, expected, kupiec, christoffersen, joint, len(days) - n, words)


def _is_failure(forecast: float | None, loss: float | None) -> bool | None:
    """True when the loss exceeds the forecast; None when either is unknown."""
    for number, what in ((forecast, "VaR forecast"), (loss, "loss")):
        if number is not None and not (math.isfinite(number) and number >= 0):
            raise ValueError(f"a {what} of {number} is impossible; give a finite number ≥ 0, or None if unknown")
    return None if forecast is None or loss is None else loss > forecast


def _fit_chance(n_calm: int, n_failed: int) -> float:
    """Log-likelihood of the counts at the failure chance that fits them best; 0 of nothing."""
    n = n_calm + n_failed
    return float(xlogy(n_calm, n_calm / n) + xlogy(n_failed, n_failed / n)) if n else 0.0


def _compare(restricted: float, free: float, *, degrees: int) -> RatioTest:
    """Likelihood ratio of two log-likelihoods; rounding may take the difference of equal ones below 0."""
    statistic = max(0.0, 2 * (free - restricted))
    return RatioTest(statistic, float(chi2.sf(statistic, degrees)))


def _describe(count: str, n: int, n_zero: int, rejected: Sequence[str]) -> str:
    if n == 0:
        return "unknown: no day with both a forecast and a loss"
    parts = [count, f"rejected at 5 % by: {', '.join(rejected)}" if rejected else "not rejected at 5 %"]
    if n_zero:
        # Losses are 0 on most days: a quantile within that mass is passed less often than its level says.
        parts.append(f"forecast of 0 on {n_zero:,} of them, where a right model fails less often than expected")
    if n < MIN_TELLING_DAYS:
        parts.append(POWER_CAVEAT)
    return "; ".join(parts)
