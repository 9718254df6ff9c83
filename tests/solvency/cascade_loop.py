"""The cascade as a plain loop over every row in every round: the oracle of its tests."""

import math
from collections.abc import Callable

from solvency.cascade import Cascade
from solvency.stress import Position

Loan = tuple[float, float, float, float]


def walk_rounds(price: float, impact: float, rows: list, rules: tuple[Callable, Callable, Callable]) -> Cascade:
    """The definition as a plain loop over every row in every round: the oracle."""
    is_hit, sell, settle = rules
    left, shortfall, residual, liquidated, rounds, is_floored = list(rows), 0.0, 0.0, 0, 0, False
    while hit := [row for row in left if is_hit(row, price)]:
        change = -impact * math.fsum(sell(row, price) for row in hit) * price
        fill = max(0.0, price + change / 2)
        settled = [settle(row, price, fill) for row in hit]
        shortfall += math.fsum(loss for loss, _ in settled)
        residual += math.fsum(kept for _, kept in settled)
        left = [row for row in left if not is_hit(row, price)]
        liquidated, rounds = liquidated + len(hit), rounds + 1
        is_floored = is_floored or price + change < 0
        price = max(0.0, price + change)
    return Cascade(price, shortfall, liquidated, rounds, residual, is_floored)


def compute_equity(position: Position, price: float) -> float:
    return position.margin + position.size * (price - position.entry)


def settle_position(position: Position, price: float, fill: float) -> tuple[float, float]:
    equity = compute_equity(position, fill)
    return max(0.0, -equity), max(0.0, equity)


POSITION_RULES = (
    lambda row, price: compute_equity(row, price) < row.maintenance_rate * abs(row.size) * price,
    lambda row, price: row.size,
    settle_position,
)


def seize(loan: Loan, price: float) -> float:
    debt, collateral, _, bonus = loan
    return collateral if collateral * price <= debt * (1 + bonus) else debt * (1 + bonus) / price


def settle_loan(loan: Loan, price: float, fill: float) -> tuple[float, float]:
    debt, collateral, _, bonus = loan
    return max(0.0, debt - collateral * fill / (1 + bonus)), max(0.0, collateral * fill - debt * (1 + bonus))


LOAN_RULES = (lambda loan, price: loan[1] * price * loan[2] < loan[0], seize, settle_loan)
