"""Flows of one day: runway, drawdown, self-funding, inflow by source, outflow by role, what facts explain."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ledger.kinds import FundKind, Role
from solvency.day import Day
from solvency.draft import Draft
from solvency.flow_book import FlowBook, render_sums
from solvency.flows import (
    NO_SHORTFALL,
    RECURRING_SOURCES,
    RUNWAY_DAYS,
    compute_explained_share,
    compute_max_drawdown,
    compute_runway,
    compute_self_funding,
)
from solvency.losses import DAY_SECONDS
from solvency.quantity import Quantity, make_unknown, render_count

FLOWS = ("facts",)
STREAMS = ("facts", "money")
YEAR_DAYS = 365


def read_runway(day: Day) -> Quantity:
    """Runway from the recurring inflow and payouts of the last 90 days, or of the observed ones if fewer."""
    flows, end = day.walk.flows, day.as_of_seconds
    if reason := _find_untold(day):
        return make_unknown("days", reason)
    window = min(day.observed_days, RUNWAY_DAYS)
    start = end - max(window, 1) * DAY_SECONDS
    balance = _read_balance(day)
    is_usd = balance.unit == "usd"
    inflow = (flows.recurring_usd if is_usd else flows.recurring).sum_between(start, end)
    paid = (flows.payouts_usd if is_usd else flows.payouts).sum_between(start, end)
    if inflow is None or paid is None:
        return make_unknown("days", "a flow has no price in USD")
    runway = compute_runway(
        balance,
        inflow_per_day=float(inflow) / max(window, 1),
        payout_per_day=float(paid) / max(window, 1),
        observed_days=day.observed_days,
    )
    if flows.n_foreign and not is_usd:
        foreign = render_count(flows.n_foreign, "flow in another asset is", "flows in other assets are")
        runway = runway.lower_quality("partial", f"{foreign} not counted")
    return runway


def _find_untold(day: Day) -> str:
    """Why nobody knows whether a reserve paid for anything; empty where that is known, or where nothing left it."""
    is_untold = day.kind == FundKind.RESERVE and day.walk.flows.by_role.get(Role.WITHDRAWAL)
    return "what left this wallet cannot be told to be a payout or not" if is_untold else ""


def _read_balance(day: Day) -> Quantity:
    """The gross balance in tokens, or in USD where the fund holds several, with the age of the day's money."""
    native, gross = day.money.valuation.native, day.money.gross
    symbol = _find_symbol(day)
    if len(day.money.valuation.holdings) > 1:
        return gross
    if native is None:
        return make_unknown(symbol, gross.reason or "the balance could not be read")
    balance = Quantity(float(native), symbol)
    if gross.quality in ("partial", "stale") and not gross.is_lower_bound:
        return balance.lower_quality(gross.quality, gross.reason)
    return balance


def _find_symbol(day: Day) -> str:
    asset = day.walk.find_asset(None)
    return asset.symbol if asset else "tokens"


def draft_usage(day: Day, runway: Quantity) -> list[Draft]:
    """Every metric of flows."""
    flows, symbol = day.walk.flows, _find_symbol(day)
    inflow = Quantity(float(sum(flows.by_source.values(), Decimal(0))), symbol, n_events=flows.n_flows)
    outflow = Quantity(float(sum(flows.by_role.values(), Decimal(0))), symbol)
    return [
        Draft("runway", runway, STREAMS, rounding="down", detail=_describe_rates(day)),
        _draft_drawdown(day),
        _draft_self_funding(day),
        Draft(
            "inflow_total", day.mark_unobserved(inflow), FLOWS, exact=sum(flows.by_source.values(), Decimal(0)),
            detail={"by_source": render_sums(flows.by_source), "by_month": _render_months(flows.inflow_by_month)},
        ),
        Draft(
            "outflow_total", day.mark_unobserved(outflow), FLOWS, exact=sum(flows.by_role.values(), Decimal(0)),
            detail={"by_role": render_sums(flows.by_role), "by_month": _render_months(flows.outflow_by_month)},
        ),
        _draft_explained(day),
    ]  # fmt: skip


def _describe_rates(day: Day) -> dict[str, Any]:
    window = max(min(day.observed_days, RUNWAY_DAYS), 1)
    start, flows = day.as_of_seconds - window * DAY_SECONDS, day.walk.flows
    return {
        "window_days": window,
        "recurring_inflow": format(flows.recurring.sum_between(start, day.as_of_seconds) or Decimal(0), "f"),
        "payouts": format(flows.payouts.sum_between(start, day.as_of_seconds) or Decimal(0), "f"),
        "recurring_sources": sorted(RECURRING_SOURCES),
    }


def _render_months(months: dict[str, dict[str, Decimal]]) -> dict[str, dict[str, str]]:
    return {month: render_sums(sums) for month, sums in sorted(months.items())}


def _draft_drawdown(day: Day) -> Draft:
    """Maximum drawdown in tokens, and beside it in USD, whose difference is the price effect."""
    valuations = [v for v in day.walk.valuations if v.is_read]
    native = compute_max_drawdown([v.native for v in valuations])
    usd = compute_max_drawdown([v.gross.value for v in valuations])
    detail: dict[str, Any] = {"usd": None if usd.share.value is None else round(usd.share.value, 7)}
    if native.peak is not None and native.trough is not None:
        detail["peak_time"] = _render_time(valuations[native.peak].seconds)
        detail["trough_time"] = _render_time(valuations[native.trough].seconds)
    return Draft("max_drawdown", native.share, ("money", "prices"), rounding="up", detail=detail)


def _draft_self_funding(day: Day) -> Draft:
    """Recurring inflow / gross shortfall of the last 365 days, both in USD."""
    flows, end = day.walk.flows, day.as_of_seconds
    start = end - YEAR_DAYS * DAY_SECONDS
    inflow, loss = flows.recurring_usd.sum_between(start, end), flows.gross_usd.sum_between(start, end)
    if inflow is None or loss is None:
        ratio = make_unknown("ratio", "an amount has no price in USD")
    elif loss == 0 and (reason := _find_untold(day) or day.never_booked):
        ratio = make_unknown("ratio", reason)
    else:
        ratio = compute_self_funding(inflow, loss)
        if ratio.words != NO_SHORTFALL:
            ratio = day.mark_unobserved(ratio)
    return Draft("self_funding", ratio, ("facts", "prices"), rounding="down")


def _draft_explained(day: Day) -> Draft:
    """Share of the balance's change since the first balance that indexed facts explain."""
    known = [v for v in day.walk.valuations if v.native is not None]
    if len(known) < 2:
        return Draft("explained_share", make_unknown("fraction", "fewer than two balances were read"), STREAMS)
    first, last = known[0], known[-1]
    change = (last.native or Decimal(0)) - (first.native or Decimal(0))
    net = _sum_net(day.walk.flows, first.number, last.number)
    share = compute_explained_share(change, net)
    detail = {
        "balance_change": format(change, "f"),
        "net_flows": format(net, "f"),
        "since": _render_time(first.seconds),
    }
    return Draft("explained_share", share, STREAMS, rounding="down", detail=detail)


def _sum_net(flows: FlowBook, low: int, high: int) -> Decimal:
    return flows.net_explained.sum_between(low, high) or Decimal(0)


def _render_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
