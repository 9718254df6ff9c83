"""The fund's money at a point: holdings from readings and prices, gross balance, usable value and its minimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from ledger.history import AssetRow, PointRow, ReadingRow
from ledger.kinds import ReadingName, Shape
from solvency.draft import Draft, render_usd
from solvency.losses import DAY_SECONDS
from solvency.quality import compute_period, judge_age, judge_feed
from solvency.quantity import Quality, Quantity, join_quality, make_exact, make_unknown, scale_raw
from solvency.stress import LADDER, Floats
from solvency.usable import Holding, compute_gross_balance, compute_usable_value

if TYPE_CHECKING:
    from solvency.walk import Walk

# Contracts that answer with a signed net value; elsewhere a negative balance is an impossible reading.
SIGNED_SHAPES = frozenset({Shape.PERP_V2_CURIE})
MINIMUM_DAYS = 7
STREAMS = ("money", "prices")


@dataclass(frozen=True, slots=True)
class Valuation:
    """What a fund held at one point; `ladder` is U at shocks 0, −1 … −50 %, None where U is unknown.

    `native` is the balance in whole tokens of a fund that holds one asset; None where it holds several or was not read.
    """

    number: int
    seconds: int
    holdings: Sequence[Holding]
    assets: Sequence[AssetRow | None]
    gross: Quantity
    usable: Quantity
    ladder: Floats | None
    read_seconds: int | None
    updated_seconds: int | None
    native: Decimal | None = None

    @property
    def is_read(self) -> bool:
        """True where a balance was asked for at this point, answered or not."""
        return bool(self.holdings)


def value_point(walk: Walk, point: PointRow) -> Valuation:
    """Value the balances read at a point; an impossible reading makes the value unknown and says so."""
    rows = [row for (name, _), row in sorted(walk.money.items()) if name == ReadingName.BALANCE]
    seconds = int(point.time.timestamp())
    assets = [walk.find_asset(row.asset_id) for row in rows]
    prices = [walk.prices.find(asset.asset_id, point.number) if asset else None for asset in assets]
    try:
        holdings = [_make_holding(walk, row, asset) for row, asset in zip(rows, assets, strict=True)]
        gross, usable = compute_gross_balance(holdings), compute_usable_value(holdings)
    except ValueError as error:
        invalid = make_unknown("usd", f"invalid reading: {error}")
        return Valuation(point.number, seconds, [], [], invalid, invalid, None, None, None)
    read = [row.seconds for row in rows] + [price.seconds for price in prices if price]
    updated = [price.updated_seconds for price in prices if price and price.updated_seconds is not None]
    return Valuation(
        point.number,
        seconds, holdings, assets, gross, usable, _climb(holdings, usable),
        min(read, default=None), min(updated, default=None), _find_native(holdings),
    )  # fmt: skip


def _find_native(holdings: Sequence[Holding]) -> Decimal | None:
    if len(holdings) != 1 or holdings[0].quantity is None:
        return None
    return make_exact(holdings[0].quantity)


def _make_holding(walk: Walk, row: ReadingRow, asset: AssetRow | None) -> Holding:
    """One balance with the price at its block and its asset's haircuts."""
    quantity = None if row.value_raw is None else scale_raw(row.value_raw, row.decimals)
    is_signed = walk.history.fund.shape in SIGNED_SHAPES
    if asset is None:
        return Holding(row.subject or "balance", quantity, None, is_signed=is_signed)
    price = walk.prices.find_usd(asset.asset_id, row.number)
    return Holding(
        asset.symbol, quantity, price, access=asset.access, beta=asset.beta, h_liq=asset.depth_haircut,
        h_floor=asset.floor_haircut, is_signed=is_signed,
    )  # fmt: skip


def _climb(holdings: Sequence[Holding], usable: Quantity) -> Floats | None:
    """U along the ladder; one valuation where no asset moves with the shock."""
    if usable.value is None:
        return None
    if all(holding.beta == 0 for holding in holdings):
        return np.full(len(LADDER), usable.value)
    steps = [compute_usable_value(holdings, shock=-step).value for step in LADDER]
    return np.array(steps, dtype=np.float64)


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
