"""Beside the graded numbers of a day: price of the protection (M10), return (M11), liquidation engine (M14)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ledger.kinds import Contribution, ReadingName
from solvency.day import Day
from solvency.draft import Draft, render_usd
from solvency.engine import compute_bankrupt_share, compute_liquidation_delay, compute_penalty_share
from solvency.flow_book import RunningSum
from solvency.flows import RUNWAY_DAYS
from solvency.losses import DAY_SECONDS
from solvency.protection import (
    compute_capped_cost,
    compute_depletion_prices,
    compute_protection_cost,
    compute_surcharge_adequacy,
)
from solvency.quantity import Quantity, inherit_quality, make_unknown, render_count, scale_raw
from solvency.record import ALL, UNSEEN_LIQUIDATIONS
from solvency.risk import Stress
from solvency.sizing import DAYS_A_YEAR, compute_fund_return
from solvency.stress import Floats

COST_DAYS = (1, 7)
STRESSED_VOLATILITY = 1.5
"""A year, of a market with a beta of 1: an assumption of ours."""
LEAST_PREMIUM = 0.01
"""USD a day: nothing is held against less, since a ratio to a trace of money has a hundred digits."""
ASSUMPTIONS = (
    f"volatility is assumed: {STRESSED_VOLATILITY * 100:g} % a year times the market's beta, without interest",
    "an account's equity is shared among its positions by size: exact for one position, else never too low",
    "each market moves alone when it is held against the reserve",
)
NOT_PUBLIC = "positions are not public"
BETWEEN_SNAPSHOTS = "as far as snapshots saw: a spell may have begun at any time since the one before"
UNTOLD_PENALTY = "facts tell what reached the fund, not the whole penalty"


@dataclass(frozen=True)
class _Market:
    """One market's positions (n,): signed sizes in base units and bankruptcy prices, USD."""

    symbol: str
    price: float
    volatility: float
    sizes: Floats
    bankruptcies: Floats


def draft_yardsticks(day: Day, stress: Stress) -> list[Draft]:
    """Every yardstick of a day. Shown, never graded."""
    markets = _list_markets(day, stress)
    costs = [_draft_cost(day, markets, days) for days in COST_DAYS]
    return [
        *costs,
        _draft_surcharge(day, costs[0].quantity),
        _draft_return(day),
        _draft_delay(day),
        *_draft_shares(day),
    ]


def _list_markets(day: Day, stress: Stress) -> list[_Market] | str:
    """Positions with isolated bankruptcy prices; text says why there are none.

    Shared margin has no bankruptcy price of one position. An account's equity is shared by |notional|, so that
    K = P − share / q: exact for one position, and for several the shortfalls add up to no less than the account's.
    """
    book = stress.book
    if book is None:
        return stress.reason or f"{NOT_PUBLIC}: an option needs each account's bankruptcy price"
    symbols = {market.market: market.symbol for market in day.exposure.markets}
    whole = np.abs(book.notional).sum(axis=1)
    found = []
    for index, market in enumerate(book.markets):
        symbol, price = symbols.get(market, market), _find_price(day, market)
        if price <= 0:
            return f"{symbol}: positions without an index price above 0"
        held = book.notional[:, index] != 0
        notional = book.notional[held, index]
        # share / q as a part of the price: equity · |n| / whole / n.
        move = np.sign(notional) * book.equity[held] / whole[held]
        volatility = STRESSED_VOLATILITY * float(book.betas[index])
        found.append(_Market(symbol, price, volatility, notional / price, price * (1 - move)))
    return found


def _find_price(day: Day, market: str) -> float:
    row = day.walk.markets.get((ReadingName.INDEX_PRICE, market))
    return 0.0 if row is None or row.value_raw is None else float(scale_raw(row.value_raw, row.decimals))


def _draft_cost(day: Day, markets: list[_Market] | str, days: int) -> Draft:
    """V over a horizon in days, USD, market by market."""
    name = f"protection_cost_{days}d"
    if isinstance(markets, str):
        return Draft(name, make_unknown("usd", markets), ALL, rounding="up")
    usable = day.money.usable
    reserve = usable.value if usable.is_known else None
    priced = [_price_market(market, days, reserve) for market in markets]
    n_positions = sum(len(market.sizes) for market in markets)
    cost = Quantity(math.fsum(cost for cost, _ in priced), "usd", n_obs=n_positions)
    detail = {
        "horizon_days": days,
        "reserve_usd": render_usd(reserve),
        "markets": [row for _, row in priced],
        "assumptions": list(ASSUMPTIONS),
    }
    return Draft(name, inherit_quality(cost, [day.exposure.total]), ALL, rounding="up", detail=detail)


def _price_market(market: _Market, days: int, reserve: float | None) -> tuple[float, dict[str, Any]]:
    """Cost of one market in USD, and its row: what the fund could pay of it, and the prices where it runs dry."""
    book, years = (market.sizes, market.bankruptcies), days / DAYS_A_YEAR
    found = compute_protection_cost(*book, spot=market.price, years=years, rate=0.0, volatility=market.volatility)
    row = {
        "market": market.symbol,
        "price": _render_price(market.price),
        "volatility": market.volatility,
        "cost": render_usd(found.cost),
        "longs": render_usd(found.longs),
        "shorts": render_usd(found.shorts),
    }
    if reserve is None:
        return found.cost, row
    capped = compute_capped_cost(
        *book, reserve=reserve, spot=market.price, years=years, rate=0.0, volatility=market.volatility
    )
    ends = compute_depletion_prices(*book, reserve=reserve, spot=market.price)
    row["capped"] = render_usd(capped)
    row["depleted_below"], row["depleted_above"] = _render_price(ends.falling), _render_price(ends.rising)
    return found.cost, row


def _render_price(price: float | None) -> str | None:
    """A price may be far below a cent, so digits count and not places."""
    return None if price is None else f"{price:.8g}"


def _sum_flow(day: Day, flow: RunningSum, days: int) -> Quantity:
    """Σ of a flow in USD over the last days, or the observed ones if fewer (`window_days`)."""
    window, end = min(day.observed_days, days), day.as_of_seconds
    if window == 0:
        return make_unknown("usd", "no observed day")
    if day.walk.find_asset(None) is None:
        return make_unknown("usd", "it has no balance of its own, so its flows are not read")
    total = flow.sum_between(end - window * DAY_SECONDS, end)
    if total is None:
        return make_unknown("usd", "a flow has no price in USD")
    return day.mark_unobserved(Quantity(float(total), "usd", window_days=float(window)))


def _sum_inflow(day: Day, days: int) -> Quantity:
    """Recurring inflow; what came in from nobody knows where may have been some of it."""
    inflow = _sum_flow(day, day.walk.flows.recurring_usd, days)
    if Contribution.UNEXPLAINED in day.walk.flows.by_source:
        return inflow.lower_quality("partial", "inflow of an unknown source is not counted")
    return inflow


def _draft_surcharge(day: Day, premium: Quantity) -> Draft:
    """Recurring inflow a day over the fair premium of a day."""
    collected, window = _sum_inflow(day, RUNWAY_DAYS), min(day.observed_days, RUNWAY_DAYS)
    if collected.value is not None:
        collected = replace(collected, value=collected.value / window)
        if window < RUNWAY_DAYS:
            collected = collected.lower_quality(
                "partial", f"{render_count(window, 'observed day')}, under {RUNWAY_DAYS}"
            )
    detail = {
        "inflow_per_day_usd": render_usd(collected.value),
        "days": window,
        "premium_usd": render_usd(premium.value),
    }
    if premium.value is not None and premium.value < LEAST_PREMIUM:
        premium = replace(premium, value=0.0)
    ratio = compute_surcharge_adequacy(collected, premium)
    return Draft("surcharge_adequacy", ratio, ALL, rounding="down", detail=detail)


def _draft_return(day: Day) -> Draft:
    """Recurring inflow less payouts of the last 365 days over the gross balance."""
    inflow, paid = _sum_inflow(day, DAYS_A_YEAR), _sum_flow(day, day.walk.flows.payouts_usd, DAYS_A_YEAR)
    gross = day.money.gross
    result = compute_fund_return(inflow, paid, gross, days=inflow.window_days or DAYS_A_YEAR)
    detail = {
        "inflow_usd": render_usd(inflow.value),
        "payouts_usd": render_usd(paid.value),
        "balance_usd": render_usd(gross.value),
    }
    return Draft("fund_return", result, ("facts", "money", "prices"), rounding="down", detail=detail)


def _draft_delay(day: Day) -> Draft:
    """Median delay from liquidatable to liquidated, from shortest to longest possible; the 95 % quantile beside it."""
    name, streams, seen = "liquidation_delay", ("facts", "markets"), day.walk.liquidation_record
    if not day.has_public_positions:
        return Draft(name, make_unknown("seconds", NOT_PUBLIC), streams)
    found, slowest = compute_liquidation_delay(seen.found), compute_liquidation_delay(seen.slowest)
    median = day.mark_unobserved(found.median)
    if median.value is not None:
        median = replace(
            median.lower_quality("partial", BETWEEN_SNAPSHOTS),
            ci_low=median.value, ci_high=slowest.median.value, is_lower_bound=True,
        )  # fmt: skip
    detail = {"upper_95_seconds": [found.upper.value, slowest.upper.value], "liquidations": len(seen.found)}
    return Draft(name, median, streams, rounding="up", detail=detail)


def _draft_shares(day: Day) -> list[Draft]:
    """Liquidations closed worse than bankruptcy, and the part of the penalties that reached the fund."""
    found = day.walk.liquidation_record.found
    bankrupt, penalty = day.mark_unobserved(compute_bankrupt_share(found)), compute_penalty_share(found)
    if day.never_booked:
        bankrupt = make_unknown("fraction", day.never_booked)
    if day.walk.history.chain.is_venue and not found:
        bankrupt, penalty = (make_unknown("fraction", UNSEEN_LIQUIDATIONS) for _ in range(2))
    if found:
        penalty = penalty.lower_quality("unknown", UNTOLD_PENALTY)
    return [
        Draft("bankrupt_share", bankrupt, ("facts",), rounding="up"),
        Draft("penalty_share", penalty, ("facts",), rounding="down"),
    ]
