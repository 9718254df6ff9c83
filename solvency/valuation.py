"""What a fund holds at a point: balances with their prices, gross and usable value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ledger.history import AssetRow, PointRow, ReadingRow
from ledger.kinds import ReadingName, Shape
from solvency.known import Known
from solvency.quantity import Quantity, make_exact, make_unknown, scale_raw
from solvency.stress import LADDER, Floats
from solvency.usable import Holding, compute_gross_balance, compute_usable_value

# Contracts that answer with a signed net value; elsewhere a negative balance is an impossible reading.
SIGNED_SHAPES = frozenset({Shape.PERP_V2_CURIE})


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


def value_point(known: Known, point: PointRow) -> Valuation:
    """Value the balances read at a point; an impossible reading makes the value unknown and says so."""
    rows = [row for (name, _), row in sorted(known.money.items()) if name == ReadingName.BALANCE]
    seconds = int(point.time.timestamp())
    assets = [known.find_asset(row.asset_id) for row in rows]
    prices = [known.prices.find(asset.asset_id, point.number) if asset else None for asset in assets]
    try:
        holdings = [_make_holding(known, row, asset) for row, asset in zip(rows, assets, strict=True)]
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


def _make_holding(known: Known, row: ReadingRow, asset: AssetRow | None) -> Holding:
    """One balance with the price at its block and its asset's haircuts."""
    quantity = None if row.value_raw is None else scale_raw(row.value_raw, row.decimals)
    is_signed = known.history.fund.shape in SIGNED_SHAPES
    if asset is None:
        return Holding(row.subject or "balance", quantity, None, is_signed=is_signed)
    price = known.prices.find_usd(asset.asset_id, row.number)
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
