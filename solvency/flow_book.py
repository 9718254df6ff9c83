"""Sums over facts that grow as the walk goes on: flows by source and month, windows, liquidations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Context, Decimal

from ledger.history import FactRow
from ledger.kinds import FLOW_SIGN, Contribution, Role
from solvency.flows import RECURRING_SOURCES

_EXACT = Context(prec=120)


@dataclass(frozen=True, slots=True)
class UsdAmount:
    """An amount of one fact: tokens, and USD at the price of its block; `usd` None where there was no price."""

    row: FactRow
    native: Decimal
    usd: Decimal | None


class RunningSum:
    """Amounts in order of a position (time or block); sums over (low, high] are exact."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._totals: list[Decimal] = [Decimal(0)]
        self._missing: list[int] = [0]

    def add(self, position: int, amount: Decimal | None) -> None:
        """Append an amount; None is one that has no value, counted apart."""
        self._positions.append(position)
        self._totals.append(_EXACT.add(self._totals[-1], amount or Decimal(0)))
        self._missing.append(self._missing[-1] + (amount is None))

    def sum_between(self, low: int, high: int) -> Decimal | None:
        """Σ of amounts in (low, high]; None when one of them has no value."""
        first, last = bisect_right(self._positions, low), bisect_right(self._positions, high)
        if self._missing[last] != self._missing[first]:
            return None
        return _EXACT.subtract(self._totals[last], self._totals[first])


@dataclass
class FlowBook:
    """Flows of a fund in its own asset, added up by source, role, month, time and block."""

    by_source: dict[str, Decimal] = field(default_factory=dict)
    by_role: dict[str, Decimal] = field(default_factory=dict)
    inflow_by_month: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    outflow_by_month: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    recurring: RunningSum = field(default_factory=RunningSum)
    payouts: RunningSum = field(default_factory=RunningSum)
    net_explained: RunningSum = field(default_factory=RunningSum)
    recurring_usd: RunningSum = field(default_factory=RunningSum)
    payouts_usd: RunningSum = field(default_factory=RunningSum)
    gross_usd: RunningSum = field(default_factory=RunningSum)
    n_flows: int = 0
    n_foreign: int = 0

    def add(self, amount: UsdAmount, *, is_own: bool) -> None:
        """File one flow; one in another asset is counted, but never added to tokens of the fund's own."""
        row = amount.row
        if row.role == Role.PAYOUT:
            self.payouts_usd.add(row.seconds, amount.usd)
        is_recurring = row.role == Role.CONTRIBUTION and row.source in RECURRING_SOURCES
        if is_recurring:
            self.recurring_usd.add(row.seconds, amount.usd)
        if not is_own:
            self.n_foreign += 1
            return
        self.n_flows += 1
        month = datetime.fromtimestamp(row.seconds, UTC).strftime("%Y-%m")
        if row.role == Role.CONTRIBUTION:
            _add(self.by_source, row.source or "unexplained", amount.native)
            _add(self.inflow_by_month.setdefault(month, {}), row.source or "unexplained", amount.native)
        else:
            _add(self.by_role, row.role, amount.native)
            _add(self.outflow_by_month.setdefault(month, {}), row.role, amount.native)
        if is_recurring:
            self.recurring.add(row.seconds, amount.native)
        if row.role == Role.PAYOUT:
            self.payouts.add(row.seconds, amount.native)
        if row.source != Contribution.UNEXPLAINED:
            self.net_explained.add(row.number, _EXACT.multiply(amount.native, Decimal(sign_of_flow(row.role))))


@dataclass
class LiquidationCount:
    """Liquidations seen, and exact raw sums by side and asset."""

    n_events: int = 0
    raw_by_side: dict[str, dict[str, int]] = field(default_factory=dict)
    _last: tuple[int, int] | None = None

    def add(self, row: FactRow, symbol: str) -> None:
        """Count one fact; the debt and the collateral of one log are one liquidation."""
        if (row.number, row.log_index) != self._last:
            self.n_events += 1
            self._last = (row.number, row.log_index)
        sums = self.raw_by_side.setdefault(row.side or "amount", {})
        sums[symbol] = sums.get(symbol, 0) + (row.amount_raw or 0)


def sign_of_flow(role: str) -> int:
    """Effect of a role on the fund's balance: +1, −1, or 0 for what is no flow."""
    return FLOW_SIGN.get(Role(role), 0)


def render_sums(sums: Mapping[str, Decimal]) -> dict[str, str]:
    """Sums by name as text with every digit, in the order of names."""
    return {name: format(amount, "f") for name, amount in sorted(sums.items())}


def _add(sums: dict[str, Decimal], name: str, amount: Decimal) -> None:
    sums[name] = _EXACT.add(sums.get(name, Decimal(0)), amount)
