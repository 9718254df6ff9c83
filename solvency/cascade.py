"""M6 liquidation cascade: what forced sales into a market's own depth add to a shock, for positions and for loans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from solvency.stress import Position

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

# Rounding of a trigger price, relative to its terms; generous, because it costs only a few rows looked at early.
_SLACK = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Cascade:
    """Where one shock ends: the last price (USD), gross shortfall (USD), how many were liquidated in how many rounds.

    `residual_equity` (USD): what those liquidated above bankruptcy kept, or what the collateral of liquidated
    loans is worth at the fill beyond debt and bonus. `is_floored`: the impact would have pushed the price below 0,
    and it was held at 0.
    """

    price: float
    shortfall: float
    liquidated: int
    rounds: int
    residual_equity: float
    is_floored: bool = False


@dataclass(frozen=True, slots=True)
class PositionBook:
    """Isolated positions of one market, one row each, columns of shape (n,).

    `size` signed base units, `entry` USD ≥ 0, `margin` USD (below 0 where more than all of it is lost already),
    `maintenance_rate` 0 ≤ rate < 1 of the notional. A row of size 0 counts only by a negative margin.
    """

    size: Floats
    entry: Floats
    margin: Floats
    maintenance_rate: Floats

    def __post_init__(self) -> None:
        _check_columns(
            {"size": self.size, "entry": self.entry, "margin": self.margin, "maintenance rate": self.maintenance_rate}
        )
        if (self.entry < 0).any():
            raise ValueError(f"an entry price of {self.entry.min()} is impossible; it is ≥ 0")
        if ((self.maintenance_rate < 0) | (self.maintenance_rate >= 1)).any():
            raise ValueError("a maintenance rate is outside 0 ≤ rate < 1: at 1 no long could ever be opened")

    def find_hit(self, rows: Rows, price: float) -> Mask:
        """Tell which of the rows are below maintenance: equity < rate·|q|·p."""
        maintenance = self.maintenance_rate[rows] * np.abs(self.size[rows]) * price
        return np.asarray(self.compute_equity(rows, price) < maintenance)

    def compute_equity(self, rows: Rows, price: float) -> Floats:
        """Equity of the rows in USD: margin + q·(p − entry)."""
        return np.asarray(self.margin[rows] + self.size[rows] * (price - self.entry[rows]))

    def sum_sold(self, rows: Rows, price: float) -> float:
        """Net base units that closing the rows sells: longs less shorts."""
        return math.fsum(self.size[rows].tolist())

    def settle(self, rows: Rows, price: float, fill: float) -> tuple[float, float]:
        """Close the rows at the fill: (gross shortfall, equity left), USD."""
        equity = self.compute_equity(rows, fill)
        return math.fsum((-equity[equity < 0]).tolist()), math.fsum(equity[equity > 0].tolist())

    def queue_rows(self) -> list[_Queue]:
        """Line up longs by falling and shorts by rising liquidation price: (entry − margin/q) / (1 ∓ rate)."""
        return [
            self._queue_side(np.flatnonzero((self.size > 0) | ((self.size == 0) & (self.margin < 0))), -1),
            self._queue_side(np.flatnonzero(self.size < 0), 1),
        ]

    def _queue_side(self, rows: Rows, direction: int) -> _Queue:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            funded = self.margin[rows] / self.size[rows]
            share = 1 + direction * self.maintenance_rate[rows]
            trigger = (self.entry[rows] - funded) / share
            slack = _SLACK * (self.entry[rows] + np.abs(funded) + np.abs(trigger)) / share
        return _make_queue(rows, trigger, slack, direction)


@dataclass(frozen=True, slots=True)
class LoanBook:
    """Loans against one collateral asset, one row each, columns of shape (n,).

    `debt` USD ≥ 0, `collateral` base units ≥ 0, `threshold` liquidation threshold LT 0 … 1, `bonus` fraction ≥ 0.
    """

    debt: Floats
    collateral: Floats
    threshold: Floats
    bonus: Floats

    def __post_init__(self) -> None:
        columns = {"debt": self.debt, "collateral": self.collateral, "threshold": self.threshold, "bonus": self.bonus}
        _check_columns(columns)
        for name, column in columns.items():
            if (column < 0).any():
                raise ValueError(f"a {name} of {column.min()} is impossible; it is ≥ 0")
        if (self.threshold > 1).any():
            raise ValueError(f"a liquidation threshold of {self.threshold.max()} is outside 0 … 1")

    def find_hit(self, rows: Rows, price: float) -> Mask:
        """Tell which of the rows can be liquidated: coll·p·LT < debt."""
        return np.asarray(self.collateral[rows] * price * self.threshold[rows] < self.debt[rows])

    def compute_seized(self, rows: Rows, price: float) -> Floats:
        """Collateral taken in base units: min(coll, debt·(1 + bonus)/p), all of it at a price of 0."""
        pledged = self.collateral[rows]
        claim = self.debt[rows] * (1 + self.bonus[rows])
        return np.divide(claim, price, out=pledged.copy(), where=pledged * price > claim)

    def sum_sold(self, rows: Rows, price: float) -> float:
        """Base units of collateral that liquidating the rows sells."""
        return math.fsum(self.compute_seized(rows, price).tolist())

    def settle(self, rows: Rows, price: float, fill: float) -> tuple[float, float]:
        """All collateral stands behind the debt at the fill: (gross shortfall, what is left of it), USD."""
        debt, value = self.debt[rows], self.collateral[rows] * fill
        shortfall = np.maximum(0.0, debt - value / (1 + self.bonus[rows]))
        kept = np.maximum(0.0, value - debt * (1 + self.bonus[rows]))
        return math.fsum(shortfall.tolist()), math.fsum(kept.tolist())

    def queue_rows(self) -> list[_Queue]:
        """Line up the loans by falling liquidation price: debt / (coll·LT)."""
        rows = np.flatnonzero(self.debt > 0)
        with np.errstate(divide="ignore", over="ignore"):
            trigger = self.debt[rows] / (self.collateral[rows] * self.threshold[rows])
        return [_make_queue(rows, trigger, _SLACK * trigger, -1)]


def make_position_book(positions: Sequence[Position]) -> PositionBook:
    """Build a book from isolated positions of one market; their order is irrelevant."""
    columns = [[p.size, p.entry, p.margin, p.maintenance_rate] for p in positions]
    return PositionBook(*np.array(columns, dtype=np.float64).reshape(len(positions), 4).T.copy())


def compute_impact(depth: float) -> float:
    """λ = 1 / depth: return per base unit sold, from the two-sided depth in base units per unit return.

    A depth that is not above 0 is an error: without depth the cascade is unknown, not free of charge.
    """
    if not (math.isfinite(depth) and depth > 0):
        raise ValueError(f"a depth of {depth} base units per unit return is impossible; it is above 0")
    return 1 / depth


def compute_cascade(book: PositionBook, price: float, shocks: Sequence[float], *, impact: float) -> list[Cascade]:
    """One cascade of isolated positions for each shock, from P(1 + s), P in USD, s a fraction never below −100 %.

    Repeat { hit = equity < maintenance; dp = −λ·Σ q·p; fill at p + dp/2; shortfall += Σ max(0, −equity(fill));
    remove; p += dp } until none is hit (METHOD M6). `impact` is λ ≥ 0; neither fill nor price falls below 0.
    """
    return _run_shocks(book, price, shocks, impact)


def compute_lending_cascade(book: LoanBook, price: float, shocks: Sequence[float], *, impact: float) -> list[Cascade]:
    """One cascade of loans for each shock, from P(1 + s), P the collateral's price in USD, s never below −100 %.

    Repeat { hit = coll·p·LT < debt; seized = min(coll, debt·(1 + bonus)/p); dp = −λ·Σ seized·p; fill at p + dp/2;
    shortfall += Σ max(0, debt − coll·fill/(1 + bonus)); remove; p += dp } until none. That is METHOD M6's static
    lending loss, with a slip that the sales themselves make.
    """
    return _run_shocks(book, price, shocks, impact)


class _Book(Protocol):
    """What a cascade asks of a book; all sums are correctly rounded, so that the order of rows is irrelevant."""

    def find_hit(self, rows: Rows, price: float) -> Mask: ...
    def sum_sold(self, rows: Rows, price: float) -> float: ...
    def settle(self, rows: Rows, price: float, fill: float) -> tuple[float, float]: ...
    def queue_rows(self) -> list[_Queue]: ...


@dataclass(frozen=True, slots=True)
class _Queue:
    """Rows in the order in which a falling (direction −1) or rising (+1) price comes within reach of them.

    Row i is within reach when keys[i] ≤ direction · p; keys ascend.
    """

    keys: Floats
    rows: Rows
    direction: int


@dataclass(slots=True)
class _Front:
    """How far one cascade has come along a queue; `waiting` are within reach of rounding, but were not hit."""

    queue: _Queue
    start: int = 0
    waiting: Rows = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    def take_hit(self, book: _Book, price: float) -> Rows:
        """Remove and return the rows that are hit at this price."""
        stop = int(np.searchsorted(self.queue.keys, self.queue.direction * price, side="right"))
        stop = max(self.start, stop)  # Whichever way the price turns, nothing is taken twice.
        reached = np.concatenate((self.waiting, self.queue.rows[self.start : stop]))
        is_hit = book.find_hit(reached, price)
        self.start, self.waiting = stop, reached[~is_hit]
        return reached[is_hit]


def _make_queue(rows: Rows, trigger: Floats, slack: Floats, direction: int) -> _Queue:
    """Sort rows by trigger price, each brought forward by its rounding: the queue proposes, `find_hit` decides."""
    with np.errstate(invalid="ignore"):
        keys = direction * trigger - slack
    # A trigger that floats cannot hold (a size or a collateral near 0) is always within reach.
    keys = np.where(np.isfinite(keys), keys, -np.inf)
    order = np.argsort(keys)
    return _Queue(keys[order], rows[order], direction)


def _run_shocks(book: _Book, price: float, shocks: Sequence[float], impact: float) -> list[Cascade]:
    """Sort the book once, then run each shock on its own."""
    if not (math.isfinite(price) and price > 0):
        raise ValueError(f"a price of {price} USD is impossible; it is above 0")
    if not (math.isfinite(impact) and impact >= 0):
        raise ValueError(f"an impact of {impact} per base unit is impossible; it is ≥ 0")
    if not all(math.isfinite(shock) for shock in shocks):
        raise ValueError(f"a shock in {list(shocks)} is not a number; shocks are fractions such as −0.2")
    queues = book.queue_rows()
    return [_run_cascade(book, queues, price * (1 + max(-1.0, shock)), impact) for shock in shocks]


def _run_cascade(book: _Book, queues: Sequence[_Queue], price: float, impact: float) -> Cascade:
    """Liquidate round by round from this price until nobody is hit."""
    fronts = [_Front(queue) for queue in queues]
    shortfall, residual, liquidated, rounds, is_floored = 0.0, 0.0, 0, 0, False
    while (hit := np.concatenate([front.take_hit(book, price) for front in fronts])).size:
        change = -impact * book.sum_sold(hit, price) * price
        if not math.isfinite(price + change):
            raise ValueError(f"an impact of {impact} per base unit drives the price beyond all numbers; check depth")
        lost, left = book.settle(hit, price, max(0.0, price + change / 2))
        shortfall, residual = shortfall + lost, residual + left
        liquidated, rounds = liquidated + hit.size, rounds + 1
        is_floored = is_floored or price + change < 0
        price = max(0.0, price + change)
    return Cascade(price, shortfall, liquidated, rounds, residual, is_floored)


def _check_columns(columns: dict[str, Floats]) -> None:
    shapes = {name: column.shape for name, column in columns.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"the columns of a book are of one length each, got {shapes}")
    for name, column in columns.items():
        if column.dtype != np.float64 or not np.isfinite(column).all():
            raise ValueError(f"a {name} of the book is not a number (float64); leave the row out and say so")
