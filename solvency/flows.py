"""M8 flows: runway, drawdown in tokens and in USD, self-funding, inflow by source, what facts explain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from solvency.quantity import Number, Quantity, inherit_quality, make_exact, make_unknown, render_count

RUNWAY_DAYS = 90
NOT_SHRINKING = "not shrinking"
NO_SHORTFALL = "no shortfall to fund"

# Sources that recur by contract; stakes, top-ups and donations are decisions of people and never carry a runway.
RECURRING_SOURCES = frozenset({"liquidation_fee", "trading_fee", "interest", "auction", "revenue"})

_EXACT = Context(prec=80)


def compute_runway(balance: Quantity, *, inflow_per_day: float, payout_per_day: float, observed_days: int) -> Quantity:
    """Days until the gross balance F is used up: F / (payout − inflow), rates over 90 days or the observed ones.

    Top-ups, withdrawals, stakes and unstakes are not part of the rates. Net ≥ 0: "not shrinking", no number.
    Under 90 observed days: partial; none or F unknown: unknown; F ≤ 0: 0 days.
    """
    if observed_days <= 0:
        return make_unknown("days", "no observed day", n_obs=0)
    if balance.value is None:
        return make_unknown("days", f"balance: {balance.reason or balance.words}", n_obs=observed_days)
    days = min(observed_days, RUNWAY_DAYS)
    shrinks_by = payout_per_day - inflow_per_day
    if shrinks_by <= 0:
        runway = Quantity(None, "days", words=NOT_SHRINKING, window_days=days, n_obs=days)
    else:
        runway = Quantity(max(balance.value, 0.0) / shrinks_by, "days", window_days=days, n_obs=days)
    if observed_days < RUNWAY_DAYS:
        observed = render_count(observed_days, "observed day")
        runway = runway.lower_quality("partial", f"rates over {observed}, not {RUNWAY_DAYS}")
    return inherit_quality(runway, [balance])


@dataclass(frozen=True, slots=True)
class Drawdown:
    """Largest fall from a peak as a share of that peak, with the indices of peak and trough."""

    share: Quantity
    peak: int | None = None
    trough: int | None = None


def compute_max_drawdown(balances: Sequence[Number | None]) -> Drawdown:
    """Maximum drawdown of a series: max over t of 1 − balance_t / highest balance before, share of the peak.

    Unknown balances (None) are skipped and make it partial; a peak ≤ 0 has no share. No fall: 0.
    """
    best, best_peak, best_trough = Decimal(0), None, None
    top, top_index = None, None
    known = [(index, make_exact(value)) for index, value in enumerate(balances) if value is not None]
    if not known:
        return Drawdown(make_unknown("fraction", "no balance was read", n_obs=0))
    for index, value in known:
        if top is None or value > top:
            top, top_index = value, index
        elif top > 0 and 1 - value / top > best:
            best, best_peak, best_trough = 1 - value / top, top_index, index
    share = Quantity(float(best), "fraction", n_obs=len(known))
    if len(known) < len(balances):
        unread = render_count(len(balances) - len(known), "balance is", "balances are")
        share = share.lower_quality("partial", f"{unread} unknown")
    return Drawdown(share, best_peak, best_trough)


def split_usd_change(before: tuple[Number, Number], after: tuple[Number, Number]) -> tuple[Decimal, Decimal]:
    """Split a change of USD value into (use, price effect), both USD, from (quantity, price) before and after.

    Use is valued at the old price, the price effect falls on what is left: they add up to the whole change.
    """
    with localcontext(_EXACT):
        quantity0, price0, quantity1, price1 = (make_exact(number) for number in (*before, *after))
        return (quantity1 - quantity0) * price0, quantity1 * (price1 - price0)


def compute_self_funding(recurring_inflow: Number, gross_shortfall: Number) -> Quantity:
    """Recurring inflow / gross shortfall of the same window, ×; no shortfall is said in words."""
    loss = make_exact(gross_shortfall)
    if loss < 0:
        raise ValueError(f"gross shortfall is {gross_shortfall}; losses are positive")
    if loss == 0:
        return Quantity(None, "ratio", words=NO_SHORTFALL)
    return Quantity(float(make_exact(recurring_inflow) / loss), "ratio")


def group_by_source(inflows: Iterable[tuple[str, Number]]) -> dict[str, Decimal]:
    """Sum inflows by source, exact, in the order of the names."""
    totals: dict[str, Decimal] = {}
    with localcontext(_EXACT):
        for source, amount in inflows:
            totals[source] = totals.get(source, Decimal(0)) + make_exact(amount)
    return dict(sorted(totals.items()))


def sum_recurring(by_source: Mapping[str, Decimal]) -> Decimal:
    """Sum the inflow that recurs by contract: liquidation surcharge, trading-fee share, interest, auctions."""
    with localcontext(_EXACT):
        return sum((amount for source, amount in by_source.items() if source in RECURRING_SOURCES), Decimal(0))


def compute_explained_share(balance_change: Number, net_flows: Number) -> Quantity:
    """Share of the balance's change that indexed facts explain: 1 − |Δ − Σ flows| / max(|Δ|, |Σ flows|), in 0 … 1.

    Neither a change nor a flow: "no change".
    """
    with localcontext(_EXACT):
        change, flows = make_exact(balance_change), make_exact(net_flows)
        scale = max(abs(change), abs(flows))
        if scale == 0:
            return Quantity(None, "fraction", words="no change")
        return Quantity(float(max(Decimal(0), 1 - abs(change - flows) / scale)), "fraction")
