"""Stress from real loans (M6, lending): what borrowers would leave unpaid if prices moved at once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from ledger.history import LoanTerms
from ledger.kinds import ReadingName, Shape
from solvency.day import Day
from solvency.draft import Draft, render_usd
from solvency.quantity import Quantity, inherit_quality, make_unknown, scale_raw
from solvency.stress import GRID, Floats, compute_lending_losses
from solvency.walk import Walk

STREAMS = ("facts", "markets", "prices")
HEADLINE = 0.20
WAD = Decimal(10) ** 18
# Morpho Blue: a market's shares and assets are counted with this much of each that nobody owns (SharesMathLib).
VIRTUAL_SHARES, VIRTUAL_ASSETS = 10**6, 1
# Liquidation incentive of Morpho Blue: min(1.15, 1 / (1 − 0.3 · (1 − LLTV))).
MAX_INCENTIVE, CURSOR = Decimal("1.15"), Decimal("0.3")


@dataclass(frozen=True)
class Loans:
    """Loans of a segment, columns of shape (n,): debt and collateral in USD at the oracle's price, threshold, bonus."""

    markets: tuple[str, ...]
    debt: Floats
    collateral: Floats
    threshold: Floats
    bonus: Floats
    debt_beta: Floats
    collateral_beta: Floats


def draft_loan_stress(day: Day) -> list[Draft]:
    """L of a common move of 20 %, the worse direction, with the whole grid; nothing for shapes without such loans."""
    if day.walk.history.fund.shape != Shape.MORPHO_BLUE:
        return []
    loans = read_loans(day.walk)
    if isinstance(loans, str):
        return [Draft("stress_loss_20", make_unknown("usd", loans), STREAMS, rounding="up")]
    losses = compute_lending_losses(
        debt=loans.debt,
        collateral=loans.collateral,
        threshold=loans.threshold,
        bonus=loans.bonus,
        shocks=GRID,
        debt_beta=loans.debt_beta,
        collateral_beta=loans.collateral_beta,
    )
    total = losses.sum(axis=1)
    worse = max((-HEADLINE, HEADLINE), key=lambda shock: float(total[GRID.index(shock)]))
    loss = Quantity(float(total[GRID.index(worse)]), "usd", n_obs=len(loans.debt))
    detail = {
        "shock": worse,
        "loans": len(loans.debt),
        "grid": [{"shock": shock, "loss": render_usd(float(sum_))} for shock, sum_ in zip(GRID, total, strict=True)],
        "by_market": _sum_by_market(loans, losses[GRID.index(worse)]),
    }
    return [Draft("stress_loss_20", inherit_quality(loss, [day.exposure.total]), STREAMS, rounding="up", detail=detail)]


def read_loans(walk: Walk) -> Loans | str:
    """Every loan with a debt at the point; text says which number is missing, for one hidden loan hides its loss."""
    rows = []
    for (account, market), shares in sorted(walk.debt_shares.items()):
        if shares > 0:
            row = _read_loan(walk, market, shares, walk.collateral.get((account, market), 0))
            if isinstance(row, str):
                return row
            rows.append((market, row))
    columns = np.array([row for _, row in rows], dtype=np.float64).reshape(len(rows), 6)
    return Loans(tuple(market for market, _ in rows), *columns.T)


def _read_loan(walk: Walk, market: str, shares: int, collateral: int) -> tuple[float, ...] | str:
    """Debt, collateral, threshold, bonus and both betas of one loan."""
    terms, short = walk.history.loan_terms.get(market), f"{market[:10]}…"
    if terms is None:
        return f"market {short}: its terms are not in the ledger"
    loan, pledged = walk.by_address.get(terms.loan), walk.by_address.get(terms.collateral)
    price = walk.prices.find_usd(loan.asset_id, walk.point.number) if loan and walk.point else None
    whole = [_read(walk, name, market) for name in (ReadingName.TOTAL_BORROW, ReadingName.TOTAL_BORROW_SHARES)]
    oracle = walk.markets.get((ReadingName.ORACLE_PRICE, market))
    if loan is None or price is None:
        return f"market {short}: debt without a price"
    if None in whole:
        return f"market {short}: its totals could not be read"
    if collateral > 0 and (oracle is None or oracle.value_raw is None):
        return f"market {short}: collateral without an oracle price"
    assets, all_shares = (number or 0 for number in whole)
    # Rounded up, as the contract does for a borrower.
    owed = -(-shares * (assets + VIRTUAL_ASSETS) // (all_shares + VIRTUAL_SHARES))
    backed = Decimal(0)
    if oracle is not None and oracle.value_raw is not None:
        backed = scale_raw(collateral * oracle.value_raw, oracle.decimals)  # In smallest units of the loan's token.
    return (
        float(scale_raw(owed, loan.decimals) * price),
        float(backed.scaleb(-loan.decimals) * price),
        float(terms.threshold / WAD),
        float(compute_incentive(terms) - 1),
        loan.beta,
        pledged.beta if pledged else 1.0,
    )


def compute_incentive(terms: LoanTerms) -> Decimal:
    """What a liquidator is paid per unit of debt: min(1.15, 1 / (1 − 0.3 · (1 − LLTV))) (Morpho Blue)."""
    return min(MAX_INCENTIVE, 1 / (1 - CURSOR * (1 - terms.threshold / WAD)))


def _read(walk: Walk, name: ReadingName, market: str) -> int | None:
    row = walk.markets.get((name, market))
    return None if row is None else row.value_raw


def _sum_by_market(loans: Loans, losses: Floats) -> list[dict[str, Any]]:
    rows = []
    for market in sorted(set(loans.markets)):
        own = np.array([name == market for name in loans.markets])
        debt, loss = float(loans.debt[own].sum()), float(losses[own].sum())
        rows.append({"market": market, "debt_usd": render_usd(debt), "loss": render_usd(loss)})
    return rows
