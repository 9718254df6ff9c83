"""A walk through a segment's rows in the order of blocks: what was known at each point, added up as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ledger.history import FactRow, PointRow, ReadingRow
from ledger.kinds import ReadingName, Role, Side, SnapshotKind
from solvency.flow_book import FlowBook, LiquidationCount, UsdAmount, sign_of_flow
from solvency.known import Known
from solvency.liquidations import LiquidationRecord
from solvency.losses import ExposureReading, LossEvent
from solvency.positions import Exposure, find_negative_accounts, read_exposure
from solvency.quantity import scale_raw
from solvency.timeline import RowDigest
from solvency.valuation import Valuation, value_point

# A venue polls its vault and its markets apart: what belongs together was read at one block.
MONEY_NAMES = frozenset({ReadingName.BALANCE, ReadingName.TOTAL_SHARES, ReadingName.USER_SHARES})
_NO_ROWS: Mapping[tuple[str, str], ReadingRow] = {}


@dataclass
class Spell:
    """An unbroken time below zero of one account, as far as snapshots saw it."""

    since_seconds: int
    since_number: int


@dataclass
class Walk(Known):
    """What is known at a point, and what came together on the way there."""

    flows: FlowBook = field(default_factory=FlowBook)
    liquidations: LiquidationCount = field(default_factory=LiquidationCount)
    liquidation_record: LiquidationRecord = field(default_factory=LiquidationRecord)
    burdens: list[UsdAmount] = field(default_factory=list)
    losses: list[UsdAmount] = field(default_factory=list)
    valuations: list[Valuation] = field(default_factory=list)
    exposure: Exposure | None = None
    exposures: list[ExposureReading] = field(default_factory=list)
    point_seconds: list[int] = field(default_factory=list)
    spells: dict[str, Spell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.digests = {name: RowDigest() for name in ("facts", "money", "markets", "prices")}
        self._facts = self._group_facts()
        self._next_facts = next(self._facts, None)
        self._readings = iter(self.history.readings)
        self._next_reading = next(self._readings, None)
        self._price_index = 0

    def advance(self, point: PointRow) -> None:
        """Take in everything up to a point's block and value the fund there."""
        self.point = point
        self._take_facts(point.number)
        self._take_readings(point.number)
        self._take_prices(point.number)
        self.valuations.append(value_point(self, point))
        if point.kind != SnapshotKind.SCHEDULED:
            return
        self.point_seconds.append(int(point.time.timestamp()))
        self.exposure = read_exposure(self, point)
        if self.exposure.total.value is not None:
            self.exposures.append(ExposureReading(self.exposure.read_seconds, self.exposure.total.value))
        self._follow_spells(point)
        self.liquidation_record.follow(self.markets, int(point.time.timestamp()))

    def list_loss_events(self) -> list[LossEvent]:
        """Gross shortfalls so far in USD; those without a price are counted by `count_unpriced_losses`."""
        return [LossEvent(loss.row.seconds, loss.usd) for loss in self.losses if loss.usd is not None]

    def count_unpriced_losses(self) -> int:
        """Shortfalls so far whose asset had no price."""
        return sum(1 for loss in self.losses if loss.usd is None)

    def _group_facts(self) -> Iterator[list[FactRow]]:
        """The facts block by block."""
        block: list[FactRow] = []
        for row in self.history.facts:
            if block and row.number != block[0].number:
                yield block
                block = []
            block.append(row)
        if block:
            yield block

    def _take_facts(self, number: int) -> None:
        while self._next_facts is not None and self._next_facts[0].number <= number:
            block = self._next_facts
            self.digests["facts"].add(block)
            amounts = []
            for row in block:
                if row.role == Role.EXPOSURE_CHANGE:
                    self._move_position(row)
                elif row.amount_raw is not None:
                    amounts.append(self._value_fact(row))
            self._sort_amounts(amounts)
            self._next_facts = next(self._facts, None)

    def _sort_amounts(self, amounts: list[UsdAmount]) -> None:
        """File a block's amounts: flows, what users bore, liquidations, gross shortfalls."""
        for amount in amounts:
            if sign_of_flow(amount.row.role):
                self.flows.add(amount, is_own=amount.row.asset_id in (None, self.history.segment.asset_id))
            if amount.row.role in (Role.ADL, Role.SOCIALISED_LOSS):
                self.burdens.append(amount)
            if amount.row.role == Role.LIQUIDATION:
                asset = self.find_asset(amount.row.asset_id)
                self.liquidations.add(amount.row, asset.symbol if asset else "unknown asset")
        self.liquidation_record.take(amounts)
        losses = _select_losses(amounts)
        self.losses += losses
        for loss in losses:
            self.flows.gross_usd.add(loss.row.seconds, loss.usd)

    def _move_position(self, row: FactRow) -> None:
        by_side = {
            Side.POSITION: self.takers,
            Side.DEBT_SHARES: self.debt_shares,
            Side.COLLATERAL: self.collateral,
        }
        held = by_side.get(Side(row.side)) if row.side else None
        if held is not None and row.account and row.market and row.amount_raw is not None:
            key = (row.account, row.market)
            held[key] = held.get(key, 0) + row.amount_raw

    def _value_fact(self, row: FactRow) -> UsdAmount:
        asset = self.find_asset(row.asset_id)
        raw = row.amount_raw or 0
        if asset is None:
            return UsdAmount(row, Decimal(raw), Decimal(0) if raw == 0 else None)
        native = scale_raw(raw, asset.decimals)
        price = self.prices.find_usd(asset.asset_id, row.number)
        return UsdAmount(row, native, Decimal(0) if raw == 0 else None if price is None else native * price)

    def _take_readings(self, number: int) -> None:
        money: dict[tuple[str, str], ReadingRow] = {}
        markets: dict[tuple[str, str], ReadingRow] = {}
        while self._next_reading is not None and self._next_reading.number <= number:
            row = self._next_reading
            is_money = row.name in MONEY_NAMES
            self.digests["money" if is_money else "markets"].add([row])
            rows = money if is_money else markets
            if rows and next(iter(rows.values())).number != row.number:
                rows.clear()
            rows[row.name, row.subject] = row
            self._next_reading = next(self._readings, None)
        self.money = self._keep(money, self.money, number)
        self.markets = self._keep(markets, self.markets, number)

    def _keep(
        self,
        fresh: Mapping[tuple[str, str], ReadingRow],
        before: Mapping[tuple[str, str], ReadingRow],
        number: int,
    ) -> Mapping[tuple[str, str], ReadingRow]:
        """A chain's answers hold at their block only; a venue's last poll holds until the next, with its age."""
        rows = fresh or before
        if self.history.chain.is_venue:
            return rows
        return rows if rows and next(iter(rows.values())).number == number else _NO_ROWS

    def _take_prices(self, number: int) -> None:
        rows = self.history.prices
        while self._price_index < len(rows) and rows[self._price_index].number <= number:
            self.digests["prices"].add([rows[self._price_index]])
            self._price_index += 1

    def _follow_spells(self, point: PointRow) -> None:
        """An account seen below zero keeps the first time of its unbroken spell."""
        below = find_negative_accounts(self.markets)
        self.spells = {
            account: self.spells.get(account) or Spell(int(point.time.timestamp()), point.number) for account in below
        }


def _select_losses(block: list[UsdAmount]) -> list[UsdAmount]:
    """Gross shortfalls of one block: the shortfalls stated, or where none is, the parts that payers bore."""
    stated = [amount for amount in block if amount.row.role == Role.SHORTFALL]
    payers = (Role.PAYOUT, Role.SOCIALISED_LOSS, Role.ADL)
    return stated or [amount for amount in block if amount.row.role in payers]
