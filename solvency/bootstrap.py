"""M4 empirical tail: the stationary block bootstrap that gives VaR and expected shortfall their interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REPLICATES = 2_000
MEAN_BLOCK_DAYS = 10.0
CONFIDENCE = 0.95
# Days resampled at once: a chunk of a million keeps the working memory under 50 MB.
_CHUNK_DAYS = 1_000_000


@dataclass(frozen=True, slots=True)
class BootstrapInterval:
    """Percentile interval of the empirical VaR and ES at one level, USD."""

    level: float
    var_low: float
    var_high: float
    es_low: float
    es_high: float


def make_daily_losses(daily: Sequence[float] | Floats) -> Floats:
    """Return one gross shortfall per observed day in USD, shape (n,), zero days included, as floats.

    No day at all, a negative or an infinite loss, or NaN is a ValueError: a day that was not observed is left out.
    """
    losses = np.asarray(daily, dtype=np.float64)
    if losses.ndim != 1 or losses.size == 0:
        raise ValueError(f"daily losses of shape {losses.shape}; give one number for each observed day, at least one")
    if not (np.isfinite(losses).all() and (losses >= 0).all()):
        raise ValueError("a daily loss is negative or not a number; L = max(0, …), and an unobserved day is left out")
    return losses


def compute_tail_days(n_obs: int, level: float) -> float:
    """Days beyond the level, n(1 − α) > 0, freed of floating error: 0.025 × 100 is 2.5, 0.1 × 30 is 3.

    The error matters only beside a whole number, where it would move ⌈nα⌉ by a day.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is impossible; it lies between 0 and 1, as 0.975")
    days = n_obs * (1 - level)
    whole = round(days)
    return float(whole) if whole > 0 and abs(days - whole) < 1e-9 else days


def draw_stationary_indices(
    generator: np.random.Generator, n_obs: int, n_replicates: int, *, mean_block: float = MEAN_BLOCK_DAYS
) -> NDArray[np.int64]:
    """Draw days 0 … n − 1 in blocks of geometric length around `mean_block`, shape (n_replicates, n_obs).

    Each block starts on any day alike, and day 0 follows the last day (Politis & Romano 1994).
    """
    if mean_block < 1:
        raise ValueError(f"a mean block of {mean_block} days is impossible; it is at least 1")
    size = n_replicates * n_obs
    is_start = generator.random(size) < 1 / mean_block
    # A geometric length has no memory, so a block may be cut where the next replicate begins.
    is_start[::n_obs] = True
    positions = np.flatnonzero(is_start)
    shifts = generator.integers(0, n_obs, len(positions)) - positions
    days = np.repeat(shifts, np.diff(positions, append=size)) + np.arange(size)
    np.subtract(days, n_obs, out=days, where=days >= n_obs)
    return days.reshape(n_replicates, n_obs)


def compute_bootstrap_intervals(
    daily: Sequence[float] | Floats,
    levels: Sequence[float],
    *,
    seed: int,
    replicates: int = REPLICATES,
    mean_block: float = MEAN_BLOCK_DAYS,
    confidence: float = CONFIDENCE,
) -> list[BootstrapInterval]:
    """Percentile intervals of the empirical VaR and ES in USD, one a level, all from the same replicates.

    `daily` (n,) are the losses in USD in order of days, since blocks keep neighbours together. The same seed
    gives the same interval. Stationary bootstrap: Politis & Romano 1994; B = 2,000 and 10 days: METHOD M4.
    """
    losses = make_daily_losses(daily)
    if replicates < 1 or not 0 < confidence < 1:
        raise ValueError(f"{replicates} replicates at {confidence}: need at least 1, and a confidence between 0 and 1")
    tails = [compute_tail_days(losses.size, level) for level in levels]
    generator = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, _CHUNK_DAYS // losses.size)
    chunks = []
    for first in range(0, replicates, rows):
        days = draw_stationary_indices(generator, losses.size, min(rows, replicates - first), mean_block=mean_block)
        chunks.append(_compute_risks(losses[days], tails))
    ends = np.quantile(np.concatenate(chunks, axis=1), [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return [
        BootstrapInterval(level, *(float(end) for end in (*ends[:, 2 * i], *ends[:, 2 * i + 1])))
        for i, level in enumerate(levels)
    ]


def _compute_risks(samples: Floats, tails: Sequence[float]) -> Floats:
    """Return VaR and ES of each row for each tail of n(1 − α) days, shape (2 × tails, rows)."""
    n = samples.shape[1]
    deepest = min(n, int(max(tails)) + 1)
    # Only the tail counts: the largest are parted from the rest first, and only they are sorted.
    largest = -np.sort(-np.partition(samples, n - deepest, axis=1)[:, n - deepest :], axis=1)
    risks = []
    for tail in tails:
        var = largest[:, min(int(tail), n - 1)]
        risks += [var, var + (largest[:, : int(tail)] - var[:, None]).sum(axis=1) / tail]
    return np.array(risks)
