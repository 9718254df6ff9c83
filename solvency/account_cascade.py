"""M6 cascade where margin is shared: forced closures of whole accounts move every market they are in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solvency.stress import AccountBook, Floats

DEPTH_OF_INTEREST = 5.0
"""Depth per unit of return as a multiple of a market's open interest: closing a tenth of it moves the price by 2 %."""


@dataclass(frozen=True, slots=True)
class AccountCascade:
    """Where one shock ends: gross shortfall (USD), accounts liquidated, rounds, return of each market (m,)."""

    shortfall: float
    liquidated: int
    rounds: int
    returns: Floats


def compute_account_cascade(book: AccountBook, shock: float, *, requirement: Floats, depth: Floats) -> AccountCascade:
    """Repeat { close accounts below maintenance at the mean of the prices before and after; move the prices } (M6).

    `requirement` (n,) maintenance margin in USD at the book's prices, which moves with the notional; `depth` (m,) USD
    at the book's prices per unit of return, two-sided; 0: no impact. No price falls below 0. An account below zero
    without a position counts as liquidated.
    """
    if requirement.shape != book.equity.shape or depth.shape != book.betas.shape:
        raise ValueError(f"requirement {requirement.shape}, depth {depth.shape}: one an account and one a market")
    impact = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)
    size = np.abs(book.notional)
    gross = size.sum(axis=1)
    rate = np.divide(requirement, gross, out=np.zeros_like(gross), where=gross > 0)
    levels = 1 + np.maximum(-1.0, shock * book.betas)
    is_open, shortfall, rounds = np.ones(len(book.equity), dtype=bool), 0.0, 0
    while True:
        is_hit = is_open & (_find_equity(book, levels) < rate * (size @ levels))
        if not is_hit.any():
            break
        moved = np.maximum(0.0, levels * (1 - impact * book.notional[is_hit].sum(axis=0)))
        fill = _find_equity(book, (levels + moved) / 2)[is_hit]
        shortfall += float(np.maximum(0.0, -fill).sum())
        is_open &= ~is_hit
        levels, rounds = moved, rounds + 1
    return AccountCascade(shortfall, int((~is_open).sum()), rounds, levels - 1)


def _find_equity(book: AccountBook, levels: Floats) -> Floats:
    """Equity of each account in USD where prices stand at these multiples of the book's."""
    return np.asarray(book.equity + book.notional @ (levels - 1))
