"""M6 static stress: what accounts, a leverage mix or loans would lose at once, and the gap that U survives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvency.quantity import Quantity, divide_usable

Floats = NDArray[np.float64]

STEP_PERCENT = 1
MAX_PERCENT = 50
GRID: tuple[float, ...] = tuple(k / 100 for k in (-50, -40, -30, -20, -10, 0, 10, 20, 30, 40, 50))
LADDER: tuple[float, ...] = tuple(k / 100 for k in range(0, MAX_PERCENT + 1, STEP_PERCENT))
NOT_EXHAUSTED = "not exhausted"
# Accounts summed at a time: a block fits the processor's cache, and a million accounts need no more memory than one.
_BLOCK = 8_192

# Share of open interest by leverage where positions are not public: one mix for all, on the pessimistic side.
PUBLISHED_MIX: Mapping[int, float] = {3: 0.10, 5: 0.25, 10: 0.35, 20: 0.20, 50: 0.10}


@dataclass(frozen=True, slots=True)
class AccountBook:
    """Accounts with shared margin at one block.

    `equity` (n,) account values in USD; `notional` (n, m) signed position × index price in USD; `betas` (m,)
    return of each asset per unit of shock, 1 where absent; `names` (n,) of the accounts, or none.
    """

    equity: Floats
    notional: Floats
    betas: Floats
    markets: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, m = self.notional.shape
        if self.equity.shape != (n,) or self.betas.shape != (m,):
            raise ValueError(
                f"book of {n} accounts × {m} markets with equity {self.equity.shape}, betas {self.betas.shape}"
            )
        if not (np.isfinite(self.equity).all() and np.isfinite(self.notional).all()):
            raise ValueError("an equity or a size of the book is not a number; leave the account out and say so")


@dataclass(frozen=True, slots=True)
class Position:
    """One isolated position: signed size in base units, entry price, margin in USD, maintenance margin rate."""

    size: float
    entry: float
    margin: float
    maintenance_rate: float = 0.0


def make_book(
    accounts: Mapping[str, tuple[float, Mapping[str, float]]], betas: Mapping[str, float] | None = None
) -> AccountBook:
    """Build a book from {account: (equity, {market: signed notional USD})}; the order of both is irrelevant."""
    markets = tuple(sorted({market for _, sizes in accounts.values() for market in sizes}))
    names = sorted(accounts)
    notional = np.array([[accounts[name][1].get(m, 0.0) for m in markets] for name in names], dtype=np.float64)
    return AccountBook(
        np.array([accounts[name][0] for name in names], dtype=np.float64),
        notional.reshape(len(names), len(markets)),
        np.array([(betas or {}).get(market, 1.0) for market in markets], dtype=np.float64),
        markets,
        tuple(names),
    )


def make_isolated_book(positions: Sequence[Position], price: float) -> AccountBook:
    """Build a book of isolated positions in one market: equity = margin + size · (price − entry)."""
    sizes = np.array([p.size for p in positions], dtype=np.float64)
    entry = np.array([p.entry for p in positions], dtype=np.float64)
    margin = np.array([p.margin for p in positions], dtype=np.float64)
    return AccountBook(margin + sizes * (price - entry), (sizes * price).reshape(-1, 1), np.ones(1))


def compute_bankruptcy_price(position: Position) -> float | None:
    """Price at which equity is 0: entry − margin / q (q signed); None without a position. ≤ 0: never bankrupt."""
    return None if position.size == 0 else position.entry - position.margin / position.size


def compute_account_losses(book: AccountBook, shocks: Sequence[float], *, slip: float = 0.0) -> Floats:
    """L(s) in USD for each shock: Σ_i max(0, −equity_i(P(1 + s)(1 ∓ slip))), shape (len(shocks),).

    Asset a moves by β_a·s, never below −100 %; longs close at a worse price by `slip`, shorts likewise.
    """
    returns = np.maximum(-1.0, np.outer(np.asarray(shocks, dtype=np.float64), book.betas))
    return _sum_shortfalls(book, returns, slip)


def compute_asset_losses(book: AccountBook, market: int, shocks: Sequence[float]) -> Floats:
    """L(s) in USD when one asset alone moves by s (its beta does not apply), shape (len(shocks),)."""
    returns = np.zeros((len(shocks), len(book.betas)))
    returns[:, market] = np.maximum(-1.0, np.asarray(shocks, dtype=np.float64))
    return _sum_shortfalls(book, returns, 0.0)


def compute_moved_losses(book: AccountBook, returns: Floats) -> float:
    """L in USD when each market moves by its own return, shape (markets,), none below −100 %."""
    return float(_sum_shortfalls(book, np.maximum(-1.0, returns).reshape(1, -1), 0.0)[0])


def compute_market_losses(book: AccountBook, shocks: Sequence[float]) -> Floats:
    """L_m(s) in USD, shape (len(shocks), markets): each account's shortfall by market.

    Shared margin has no loss of one market, so the shortfall is split by the account's losing positions; an
    account below zero without one (at s = 0) splits by absolute size, and without positions stays unsplit.
    """
    returns = np.maximum(-1.0, np.outer(np.asarray(shocks, dtype=np.float64), book.betas))
    gains = book.notional[None, :, :] * returns[:, None, :]
    shortfall = np.maximum(0.0, -(book.equity[None, :] + gains.sum(axis=2)))
    losing = np.maximum(0.0, -gains)
    size = np.broadcast_to(np.abs(book.notional), losing.shape)
    weights = np.where(losing.sum(axis=2, keepdims=True) > 0, losing, size)
    whole = weights.sum(axis=2, keepdims=True)
    shares = np.divide(weights, whole, out=np.zeros_like(weights), where=whole > 0)
    return np.asarray((shares * shortfall[:, :, None]).sum(axis=1))


def compute_mix_losses(
    open_interest: float, shocks: Sequence[float], *, beta: float = 1.0, mix: Mapping[int, float] = PUBLISHED_MIX
) -> Floats:
    """L(s) in USD of one market by the published leverage mix: OI · Σ w_ℓ · max(0, |β·s| − 1/ℓ).

    Both sides alike, so a rise costs as much as a fall, but no price falls by more than 100 %.
    """
    if open_interest < 0:
        raise ValueError(f"open interest of {open_interest} USD is impossible; check the reading")
    moves = np.maximum(-1.0, np.asarray(shocks, dtype=np.float64) * beta)
    leverages = sorted(mix)
    beyond = np.maximum(0.0, np.abs(moves)[:, None] - np.array([1 / leverage for leverage in leverages]))
    return np.asarray(open_interest * (beyond @ np.array([mix[leverage] for leverage in leverages])))


def compute_lending_losses(
    *,
    debt: Sequence[float] | Floats,
    collateral: Sequence[float] | Floats,
    threshold: Sequence[float] | Floats,
    bonus: Sequence[float] | Floats,
    shocks: Sequence[float],
    slip: float = 0.0,
    debt_beta: Any = 0.0,
    collateral_beta: Any = 1.0,
) -> Floats:
    """L(s) of each loan in USD, shape (len(shocks), loans).

    Liquidatable iff coll·(1 + s)·LT < debt; L = max(0, debt − coll·(1 + s)(1 − slip)/(1 + bonus)), else 0.
    Betas (numbers or one a loan) shock collateral and debt alike; a stable debt has 0. Nothing falls below 0.
    """
    moves = np.asarray(shocks, dtype=np.float64)[:, None]
    pledged = np.asarray(collateral, dtype=np.float64) * (1 + np.maximum(-1.0, moves * np.asarray(collateral_beta)))
    owed = np.asarray(debt, dtype=np.float64) * (1 + np.maximum(-1.0, moves * np.asarray(debt_beta)))
    recovered = pledged * (1 - slip) / (1 + np.asarray(bonus, dtype=np.float64))
    is_liquidatable = pledged * np.asarray(threshold, dtype=np.float64) < owed
    return np.where(is_liquidatable, np.maximum(0.0, owed - recovered), 0.0)


@dataclass(frozen=True, slots=True)
class MarketLadder:
    """Loss of one capped market along the ladder, both directions, and what its cap still pays, in USD."""

    market: str
    cap_left: float
    losses_down: Sequence[float] | Floats
    losses_up: Sequence[float] | Floats


def compute_gap_survived(
    usable_down: Sequence[float] | Floats,
    losses_down: Sequence[float] | Floats,
    losses_up: Sequence[float] | Floats,
    *,
    markets: Sequence[MarketLadder] = (),
) -> Quantity:
    """Largest |s| (fraction, steps of 1 % to 50 %) survived in both directions with all smaller ones.

    Survived: L(s) ≤ U(s) and, in every capped market, L_m(s) ≤ cap − used. `usable_down` is U at 0, −1 … −50 %;
    a rise is never credited, so upwards U(0) holds. L(0) > U(0) gives 0. All steps survived: "≥ 50 %".
    """
    usable, down, up = (np.asarray(a, dtype=np.float64) for a in (usable_down, losses_down, losses_up))
    if not usable.shape == down.shape == up.shape == (len(LADDER),):
        raise ValueError(f"the ladder has {len(LADDER)} steps of 1 %; got {usable.shape}, {down.shape}, {up.shape}")
    is_survived = _is_paid(down, usable) & _is_paid(up, usable[0])
    for market in markets:
        is_survived &= _is_paid(np.asarray(market.losses_down), market.cap_left)
        is_survived &= _is_paid(np.asarray(market.losses_up), market.cap_left)
    if is_survived.all():
        return Quantity(MAX_PERCENT / 100, "fraction", words="≥ 50 %")
    first_lost = int(np.argmin(is_survived))
    return Quantity(LADDER[max(first_lost - 1, 0)], "fraction")


def compute_stress_ratio(usable: Quantity, loss: Quantity) -> Quantity:
    """U(s) / L(s) with the same shock on both, ×; L(s) = 0 is "not exhausted"."""
    return divide_usable(usable, loss, when_zero=NOT_EXHAUSTED)


def _is_paid(loss: Floats, money: Floats | float) -> NDArray[np.bool_]:
    """L ≤ U, up to rounding: 7 % of 100 is 7.000000000000001 in floats, and must not cost a step."""
    return np.asarray(loss <= money + 1e-9 * np.minimum(np.abs(loss), np.abs(money)))


def _sum_shortfalls(book: AccountBook, returns: Floats, slip: float) -> Floats:
    """Σ_i max(0, −equity) for each row of returns (shocks × markets), block by block of accounts."""
    down, up = (1 + returns) * (1 - slip) - 1, (1 + returns) * (1 + slip) - 1
    total = np.zeros(len(returns))
    for start in range(0, len(book.equity), _BLOCK):
        notional = book.notional[start : start + _BLOCK].T
        equity = down @ np.maximum(notional, 0.0)
        equity += up @ np.minimum(notional, 0.0)
        equity += book.equity[start : start + _BLOCK]
        total -= np.minimum(equity, 0.0, out=equity).sum(axis=1)
    return total
