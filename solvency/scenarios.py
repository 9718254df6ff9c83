"""Beside the graded stress of one day: named historical days, and a cascade into an assumed depth. Never graded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ledger.kinds import ReadingName
from solvency.account_cascade import DEPTH_OF_INTEREST, compute_account_cascade
from solvency.day import Day
from solvency.draft import Draft, render_usd
from solvency.named_days import NamedDay, NamedDays, list_moves
from solvency.positions import MarketExposure, find_settlement_price
from solvency.quantity import Quantity, inherit_quality, make_unknown, scale_raw
from solvency.record import ALL
from solvency.risk import Stress, find_usable_on
from solvency.stress import (
    AccountBook,
    Floats,
    compute_account_losses,
    compute_mix_losses,
    compute_moved_losses,
    compute_stress_ratio,
)

CASCADE_SHOCKS = (-0.20, 0.20)
SLIP = 0.02
"""Every closure 2 % worse than the index price: shown beside, an assumption of ours."""
DEPTH_LABEL = "depth is assumed: closing a tenth of a market's open interest moves its price by 2 %"


def draft_scenarios(day: Day, stress: Stress, named: NamedDays) -> list[Draft]:
    """The worst named day as U over its loss, each day in the detail; and what a cascade adds to a 20 % move."""
    return [_draft_named_days(day, stress, named), _draft_cascade(day, stress)]


def _draft_named_days(day: Day, stress: Stress, named: NamedDays) -> Draft:
    ratios, rows = [], list[dict[str, Any]]()
    for scenario in named.days:
        loss, usable = _find_loss(day, stress, scenario), find_usable_on(day, scenario)
        ratio = compute_stress_ratio(usable, loss)
        ratios.append(ratio)
        rows.append(
            {
                "day": scenario.date,
                "title": scenario.title,
                **{name.lower(): move for name, move in sorted(scenario.moves.items())},
                "loss": render_usd(loss.value),
                "usable": render_usd(usable.value),
                "ratio": None if ratio.value is None else round(ratio.value, 4),
                "words": ratio.words or ratio.reason,
                "source": scenario.source,
            }
        )
    hidden = next((ratio for ratio in ratios if ratio.quality == "unknown"), None)
    worst = hidden or min(ratios, key=lambda ratio: float("inf") if ratio.value is None else ratio.value)
    return Draft("named_days", worst, ALL, rounding="down", detail={"version": named.version, "days": rows})


def _find_loss(day: Day, stress: Stress, scenario: NamedDay) -> Quantity:
    """L in USD if the moves of that day came now."""
    if stress.down is None:
        return make_unknown("usd", stress.reason)
    if stress.book is None:
        loss = sum(_lose_by_mix(market, scenario) for market in day.exposure.markets)
    else:
        loss = compute_moved_losses(stress.book, list_moves(stress.book, day.exposure.markets, scenario))
    return inherit_quality(Quantity(loss, "usd"), [day.exposure.total])


def _lose_by_mix(market: MarketExposure, scenario: NamedDay) -> float:
    move = scenario.find_move(market.symbol, market.beta)
    return float(compute_mix_losses(market.exposure.value or 0.0, [move])[0])


def _draft_cascade(day: Day, stress: Stress) -> Draft:
    """Gross shortfall after the cascade of an instant 20 % move, the worse direction."""
    name = "cascade_loss_20"
    if stress.book is None:
        reason = stress.reason or "positions are not public: a cascade needs each account's margin"
        return Draft(name, make_unknown("usd", reason), ALL, rounding="up")
    requirement, depth = _list_requirements(day, stress.book), _list_depths(day, stress.book)
    if isinstance(requirement, str) or isinstance(depth, str):
        reason = requirement if isinstance(requirement, str) else str(depth)
        return Draft(name, make_unknown("usd", reason), ALL, rounding="up")
    found = [
        compute_account_cascade(stress.book, shock, requirement=requirement, depth=depth) for shock in CASCADE_SHOCKS
    ]
    rows = [
        {
            "shock": shock,
            "static_loss_usd": render_usd(float(compute_account_losses(stress.book, [shock])[0])),
            "slip_loss_usd": render_usd(float(compute_account_losses(stress.book, [shock], slip=SLIP)[0])),
            "loss": render_usd(cascade.shortfall),
            "accounts": cascade.liquidated,
            "rounds": cascade.rounds,
            "lowest_return": round(float(cascade.returns.min(initial=0.0)), 4),
        }
        for shock, cascade in zip(CASCADE_SHOCKS, found, strict=True)
    ]
    worst = max(cascade.shortfall for cascade in found)
    loss = inherit_quality(Quantity(worst, "usd", n_obs=len(stress.book.equity)), [day.exposure.total])
    return Draft(name, loss, ALL, rounding="up", detail={"rows": rows, "slip": SLIP, "assumption": DEPTH_LABEL})


def _list_requirements(day: Day, book: AccountBook) -> Floats | str:
    """Maintenance margin of each account in USD; text where one with a position has none that was answered."""
    price, rows = find_settlement_price(day.walk), day.walk.markets
    if price is None:
        return "no price of the asset that accounts are kept in"
    found = []
    for account, notional in zip(book.names, book.notional, strict=True):
        row = rows.get((ReadingName.MARGIN_REQUIREMENT, account))
        if row is not None and row.value_raw is not None:
            found.append(float(scale_raw(row.value_raw, row.decimals) * price))
        elif notional.any():
            return f"the margin requirement of account {account} could not be read"
        else:
            found.append(0.0)  # Without a position nothing is required.
    return np.array(found, dtype=np.float64)


def _list_depths(day: Day, book: AccountBook) -> Floats | str:
    """Assumed two-sided depth of each market in USD per unit of return; text where there is nothing to assume it from.

    A depth of 0 would mean a market that no sale moves.
    """
    interest = {market.market: market.exposure.value for market in day.exposure.markets}
    found = []
    for index, market in enumerate(book.markets):
        depth = interest.get(market)
        if not depth and book.notional[:, index].any():
            return f"market {market} has positions and no open interest to assume a depth from"
        found.append(DEPTH_OF_INTEREST * (depth or 0.0))
    return np.array(found, dtype=np.float64)
