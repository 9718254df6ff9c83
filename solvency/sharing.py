"""M9 loss sharing: who pays what the fund does not, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from solvency.few import compute_garwood_interval
from solvency.quantity import Number, Quantity, make_exact, make_unknown

UNBOOKED_GRACE_SECONDS = 86_400
_EXACT = Context(prec=80)


@dataclass(frozen=True, slots=True)
class PayerSplit:
    """One gross shortfall by payer, USD: L = payout + ADL + socialised + top-up + unresolved."""

    payout: Decimal = Decimal(0)
    adl: Decimal = Decimal(0)
    socialised: Decimal = Decimal(0)
    top_up: Decimal = Decimal(0)
    unresolved: Decimal = Decimal(0)

    def sum_parts(self) -> Decimal:
        """Return what the parts add up to."""
        with localcontext(_EXACT):
            return self.payout + self.adl + self.socialised + self.top_up + self.unresolved

    def sum_uncovered(self) -> Decimal:
        """Return ADL + socialised + unresolved: what users bore."""
        with localcontext(_EXACT):
            return self.adl + self.socialised + self.unresolved

    def compute_residual(self, gross: Number) -> Decimal:
        """Return gross − Σ parts in USD; 0 when the split reconciles."""
        with localcontext(_EXACT):
            return make_exact(gross) - self.sum_parts()


@dataclass(frozen=True, slots=True)
class NegativeAccount:
    """An account below zero that no event has booked: how far (USD > 0), since when, whether booking is refused."""

    account: str
    deficit: float
    since_seconds: int
    is_refused: bool


def select_unresolved(accounts: Sequence[NegativeAccount], *, now_seconds: int) -> list[NegativeAccount]:
    """Return the accounts that count as unresolved: below zero for 24 h, or at once where liquidation is refused."""
    counted = [
        account
        for account in accounts
        if account.deficit > 0 and (account.is_refused or now_seconds - account.since_seconds >= UNBOOKED_GRACE_SECONDS)
    ]
    return sorted(counted, key=lambda account: account.account)


def compute_unpaid_share(gross: Number, payout: Number) -> Quantity:
    """Share of the gross shortfall that the fund did not pay, 0 … 1; no shortfall: unknown, severity included."""
    loss, paid = make_exact(gross), make_exact(payout)
    if loss < 0 or paid < 0:
        raise ValueError(f"gross {gross}, payout {payout}: both are ≥ 0")
    if loss == 0:
        return make_unknown("fraction", "no shortfall recognised")
    return Quantity(float(min(Decimal(1), max(Decimal(0), (loss - paid) / loss))), "fraction")


def compute_events_per_year(n_events: int, observed_days: int) -> Quantity:
    """Uncovered events a year with the Garwood 95 % interval; no observed day: unknown."""
    if observed_days <= 0:
        return make_unknown("per year", "no observed day", n_obs=0)
    years = observed_days / 365
    low, high = compute_garwood_interval(n_events, years)
    return Quantity(n_events / years, "per year", n_obs=observed_days, n_events=n_events, ci_low=low, ci_high=high)


def allocate_waterfall(loss: Number, layers: Sequence[tuple[str, Number]]) -> tuple[list[tuple[str, Decimal]], Decimal]:
    """Let the ordered layers absorb a loss: ([(layer, paid)], uncovered), USD; Σ paid + uncovered = loss exactly.

    An empty or negative layer pays nothing.
    """
    with localcontext(_EXACT):
        left = make_exact(loss)
        if left < 0:
            raise ValueError(f"a loss of {loss} is impossible; losses are positive")
        paid: list[tuple[str, Decimal]] = []
        for name, size in layers:
            share = min(left, max(make_exact(size), Decimal(0)))
            paid.append((name, share))
            left -= share
        return paid, left


def compute_pro_rata_haircut(deficit: Number, profits: Mapping[str, Number]) -> tuple[Decimal, dict[str, Decimal]]:
    """Haircut h = min(1, D / Σ PnL⁺) on winners and what each gives, USD; D > 0 without winners gives h = 1."""
    with localcontext(_EXACT):
        owed = make_exact(deficit)
        gains = {name: max(make_exact(profit), Decimal(0)) for name, profit in sorted(profits.items())}
        whole = sum(gains.values(), Decimal(0))
        if owed < 0:
            raise ValueError(f"a deficit of {deficit} is impossible; losses are positive")
        if whole == 0:
            return Decimal(1 if owed > 0 else 0), gains
        if owed >= whole:
            return Decimal(1), gains
        # Multiplied before divided: 1/3 of 3 stays 1.
        return owed / whole, {name: owed * gain / whole for name, gain in gains.items()}


@dataclass(frozen=True, slots=True)
class Winner:
    """A winning account of the ADL queue: profit in USD, profit as a share of margin, effective leverage."""

    profit: Number
    pnl_ratio: Number
    leverage: Number


def queue_adl(deficit: Number, accounts: Mapping[str, Winner]) -> tuple[list[str], dict[str, Decimal], Decimal]:
    """Auto-deleverage winners by PnL ratio × effective leverage: (queue, {account: profit taken}, uncovered), USD.

    Profit is taken, never notional; losers are not queued; equal ranks go by name.
    """
    with localcontext(_EXACT):
        winners = {name: account for name, account in accounts.items() if make_exact(account.profit) > 0}
        queue = sorted(
            winners,
            key=lambda name: (-make_exact(winners[name].pnl_ratio) * make_exact(winners[name].leverage), name),
        )
        left, taken = make_exact(deficit), {}
        for name in queue:
            if left <= 0:
                break
            taken[name] = min(left, make_exact(winners[name].profit))
            left -= taken[name]
        return queue, taken, max(left, Decimal(0))
