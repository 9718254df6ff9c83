"""The fund's money on a day: its valuation with its age judged, the minimum of seven days, and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from solvency.draft import Draft, render_usd
from solvency.losses import DAY_SECONDS
from solvency.quality import compute_period, judge_age, judge_feed
from solvency.quantity import Quality, Quantity, join_quality, make_unknown
from solvency.stress import Floats
from solvency.usable import compute_usable_value
from solvency.valuation import Valuation
from solvency.walk import Walk

MINIMUM_DAYS = 7
STREAMS = ("money", "prices")


@dataclass(frozen=True, slots=True)
class Money:
    """The fund's money on one day: the valuation with its age judged, and the 7-day minimum for the band."""

    valuation: Valuation
    gross: Quantity
    usable: Quantity
    minimum: Quantity
    ladder_minimum: Floats | None


def judge_money(walk: Walk, *, now_seconds: int, is_reconciled: bool | None) -> Money:
    """Judge the valuation at the as-of point: age of balance and price, reconciliation, the 7-day minimum."""
    latest = walk.valuations[-1]
    legs = _judge_legs(walk, latest, now_seconds)
    if is_reconciled is False:
        legs.append(("partial", "unreconciled: flows do not explain the balance"))
    quality, reason = join_quality(legs)
    gross, usable = latest.gross, latest.usable
    if quality != "ok":
        gross, usable = gross.lower_quality(quality, reason), usable.lower_quality(quality, reason)
    minimum, ladder = _find_minimum(walk.valuations, latest.seconds)
    if minimum.value is not None and quality != "ok":
        minimum = minimum.lower_quality(quality, reason)
    return Money(latest, gross, usable, minimum, ladder)


def _judge_legs(walk: Walk, latest: Valuation, now_seconds: int) -> list[tuple[Quality, str]]:
    """Ages of the oldest leg; nothing to judge where nothing was read, since that is unknown already."""
    if latest.read_seconds is None:
        return []
    # Flows read a balance again between two polls; how often we look is what the schedule says.
    period = compute_period(walk.point_seconds, now_seconds=now_seconds)
    age = judge_age(
        "the balance or its price", read_seconds=latest.read_seconds, now_seconds=now_seconds, period_seconds=period
    )
    # A feed's own time is held against the block it was read at; how old that block is, is judged above.
    feed = judge_feed("the price feed", updated_seconds=latest.updated_seconds, now_seconds=latest.seconds)
    return [age, feed]


def _find_minimum(valuations: Sequence[Valuation], now_seconds: int) -> tuple[Quantity, Floats | None]:
    """Smallest U over the last 7 days, as a number and step by step of the ladder.

    A balance in the window that was asked for and not answered could be the lowest: then the minimum is unknown.
    """
    start = now_seconds - MINIMUM_DAYS * DAY_SECONDS
    window = [v for v in reversed(valuations) if v.seconds > start and (v.is_read or v.usable.reason)]
    read = [v for v in window if v.is_read]
    hidden = next((v for v in window if v.usable.value is None), None)
    if hidden is not None or not read:
        reason = hidden.usable.reason if hidden else "no balance was read"
        return make_unknown("usd", f"in the last {MINIMUM_DAYS} days: {reason}"), None
    lowest = min((v.usable for v in read), key=lambda usable: usable.value or 0.0)
    ladder = np.min([v.ladder for v in read if v.ladder is not None], axis=0)
    return lowest, ladder


def draft_money(walk: Walk, money: Money) -> list[Draft]:
    """Gross balance in tokens, usable value in USD with its assets, and the 7-day minimum."""
    drafts = [_draft_gross(walk, money)]
    drafts.append(
        Draft("usable_value", money.usable, STREAMS, rounding="down", detail={"assets": _list_assets(money.valuation)})
    )
    drafts.append(Draft("usable_value_min_7d", money.minimum, STREAMS, rounding="down"))
    return drafts


def _draft_gross(walk: Walk, money: Money) -> Draft:
    """The gross balance in the segment's own asset; a fund of several assets is printed in USD."""
    own = walk.find_asset(None)
    held = money.valuation.holdings
    detail = {"usd": render_usd(money.gross.value)}
    if own is None or len(held) != 1 or money.valuation.assets[0] != own:
        return Draft("gross_balance", money.gross, STREAMS, detail=detail)
    quantity = held[0].quantity
    if quantity is None:
        unknown = make_unknown(own.symbol, f"{own.symbol}: the balance could not be read")
        return Draft("gross_balance", unknown, STREAMS, detail=detail)
    native = Quantity(float(quantity), own.symbol)
    # A balance needs no price: only its own age and reconciliation count, not what USD lacks.
    if not money.gross.is_lower_bound and money.gross.quality in ("partial", "stale"):
        native = native.lower_quality(money.gross.quality, money.gross.reason)
    return Draft("gross_balance", native, STREAMS, exact=Decimal(quantity), detail=detail)


def _list_assets(valuation: Valuation) -> list[dict[str, Any]]:
    """Each asset with quantity, price and haircuts, and what of it counts."""
    rows = []
    for holding, asset in zip(valuation.holdings, valuation.assets, strict=True):
        counted = compute_usable_value([holding]).value
        rows.append(
            {
                "symbol": holding.asset,
                "qty": None if holding.quantity is None else format(Decimal(holding.quantity), "f"),
                "price": None if holding.price is None else format(Decimal(holding.price), "f"),
                "depth_haircut": float(holding.h_liq),
                "floor_haircut": float(holding.h_floor),
                "beta": float(holding.beta),
                "access": float(holding.access),
                "access_reason": asset.access_reason if asset else "",
                "counted": render_usd(counted),
            }
        )
    return rows
