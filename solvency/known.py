"""What is known of a segment at one block: its rows, the prices of its chain, open positions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ledger.history import AssetRow, PointRow, PriceRow, ReadingRow, SegmentHistory
from solvency.quantity import scale_raw


class PriceBook:
    """Prices of a chain's assets by block."""

    def __init__(self, history: SegmentHistory) -> None:
        self._rows: dict[int, list[PriceRow]] = {}
        for row in history.prices:
            self._rows.setdefault(row.asset_id, []).append(row)
        self._numbers = {asset: [row.number for row in rows] for asset, rows in self._rows.items()}

    def find(self, asset_id: int | None, number: int) -> PriceRow | None:
        """The last price read at or before a block; None where there is none."""
        if asset_id is None or asset_id not in self._rows:
            return None
        index = bisect_right(self._numbers[asset_id], number) - 1
        return self._rows[asset_id][index] if index >= 0 else None

    def find_usd(self, asset_id: int | None, number: int) -> Decimal | None:
        """The last answered price in USD at or before a block."""
        row = self.find(asset_id, number)
        return None if row is None or row.answer_raw is None else scale_raw(row.answer_raw, row.decimals)


@dataclass
class Known:
    """What facts, readings and prices say up to `point`."""

    history: SegmentHistory
    prices: PriceBook = field(init=False)
    by_address: dict[str, AssetRow] = field(init=False)
    point: PointRow | None = None
    money: Mapping[tuple[str, str], ReadingRow] = field(default_factory=dict)
    markets: Mapping[tuple[str, str], ReadingRow] = field(default_factory=dict)
    takers: dict[tuple[str, str], int] = field(default_factory=dict)
    debt_shares: dict[tuple[str, str], int] = field(default_factory=dict)
    collateral: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prices = PriceBook(self.history)
        self.by_address = {asset.address: asset for asset in self.history.assets.values()}

    def find_asset(self, asset_id: int | None) -> AssetRow | None:
        """The asset of an amount; the segment's own where none is named."""
        wanted = self.history.segment.asset_id if asset_id is None else asset_id
        return None if wanted is None else self.history.assets.get(wanted)
