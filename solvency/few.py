"""M12 few or no shortfalls: what a short or empty record still allows one to say."""

from __future__ import annotations

from scipy import stats

from solvency.quantity import Quantity, make_unknown, render_count

MIN_EPISODES = 5
MIN_OBSERVED_DAYS = 90


def has_few_shortfalls(n_episodes: int, observed_days: int) -> bool:
    """True when M12 applies: under 5 episodes or under 90 observed days."""
    return n_episodes < MIN_EPISODES or observed_days < MIN_OBSERVED_DAYS


def compute_daily_chance_bound(n_days_with_loss: int, observed_days: int, *, level: float = 0.95) -> Quantity:
    """One-sided Clopper–Pearson upper bound of the chance of a shortfall on a day; 1 − .05^(1/n) for none in n.

    Unit: probability per day. No observed day: unknown.
    """
    k, n = n_days_with_loss, observed_days
    if k < 0 or k > n:
        raise ValueError(f"{k} days with a loss in {n} observed days is impossible")
    if n == 0:
        return make_unknown("fraction", "no observed day", n_obs=0)
    bound = 1.0 if k == n else float(stats.beta.ppf(level, k + 1, n - k))
    return Quantity(bound, "fraction", n_obs=n, n_events=k)


def compute_rate_bound(n_episodes: int, observed_days: float, *, level: float = 0.95) -> Quantity:
    """One-sided upper bound of a Poisson rate: χ²⁻¹(level; 2k + 2) / 2T, episodes per day over T days."""
    if n_episodes < 0:
        raise ValueError(f"{n_episodes} episodes is impossible")
    if observed_days <= 0:
        return make_unknown("per day", "no observed day", n_obs=0)
    bound = float(stats.chi2.ppf(level, 2 * n_episodes + 2)) / (2 * observed_days)
    return Quantity(bound, "per day", n_obs=int(observed_days), n_events=n_episodes)


def compute_garwood_interval(n_events: int, observed: float, *, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a Poisson rate after n events in `observed` units of time (Garwood 1936)."""
    if n_events < 0 or observed <= 0:
        raise ValueError(f"{n_events} events in {observed} units of time: need ≥ 0 events and time > 0")
    tail = (1 - level) / 2
    low = 0.0 if n_events == 0 else float(stats.chi2.ppf(tail, 2 * n_events)) / (2 * observed)
    return low, float(stats.chi2.ppf(1 - tail, 2 * n_events + 2)) / (2 * observed)


def describe_none_recognised(observed_days: int) -> str:
    """Render the sentence for an empty record: "none recognised", never "none"."""
    return f"no shortfall recognised in {render_count(observed_days, 'observed day')}"
