"""What a published stress was computed from, put together again from what is stored, and held against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from ledger.kinds import FundKind, ReadingName, SegmentStatus
from ledger.latest import Number
from ledger.layers import has_fund
from ledger.numbers import finite, scale
from ledger.pages import Place
from ledger.snapshots import list_readings
from ledger.tables import Reading
from solvency.stress import AccountBook, Floats, compute_account_losses, compute_mix_losses, make_book
from solvency.usable import Holding, compute_usable_value
from web.details import detail_of, rows_of
from web.edition import Edition
from web.words import NOT_COMPUTED

CENT = 0.01
READ = (ReadingName.ACCOUNT_VALUE, ReadingName.POSITION_SIZE, ReadingName.INDEX_PRICE)


@dataclass(frozen=True)
class MixMarket:
    """One market where positions are not public: open interest in USD, and what its cap still pays (None: no cap)."""

    symbol: str
    interest: float
    beta: float
    cap_left: float | None


@dataclass(frozen=True)
class Inputs:
    """A fund's holdings and what stands against them: an account book, or markets with a published leverage mix."""

    holdings: tuple[Holding, ...]
    book: AccountBook | None
    mix: tuple[MixMarket, ...]
    symbols: Mapping[str, str]
    """Symbol of each market of the book."""

    def find_loss(self, shock: float) -> float:
        """L(s) in USD if all prices moved by s at once."""
        if self.book is not None:
            return float(compute_account_losses(self.book, [shock])[0])
        return sum(float(compute_mix_losses(one.interest, [shock], beta=one.beta)[0]) for one in self.mix)

    def find_admitted(self, shock: float) -> float:
        """What of L(s) the caps of single markets let the fund pay, USD: all of it where there is no cap."""
        if self.book is not None:
            return self.find_loss(shock)
        losses = [(one, float(compute_mix_losses(one.interest, [shock], beta=one.beta)[0])) for one in self.mix]
        return sum(loss if one.cap_left is None else min(loss, one.cap_left) for one, loss in losses)

    def find_usable(self, shock: float) -> float | None:
        """U(s) in USD under the same move; a rise is not credited."""
        return compute_usable_value(self.holdings, shock=shock).value


def restore_inputs(edition: Edition, place: Place) -> Inputs | str:
    """What the latest stress of a segment was computed from; text says why that cannot be put together."""
    reason = _find_hindrance(edition, place)
    if reason:
        return reason
    metrics = edition.metrics_of(place)
    gap = metrics["gap_survived"]
    holdings = _list_holdings(metrics.get("usable_value"))
    if isinstance(holdings, str):
        return holdings
    markets = rows_of(detail_of(metrics.get("exposure")).get("markets"))
    symbols = {str(row.get("market")): str(row.get("symbol", row.get("market"))) for row in markets}
    match detail_of(gap).get("positions"):
        case "public":
            book = _read_book(edition, place, gap)
            found = book if isinstance(book, str) else Inputs(holdings, book, (), symbols)
        case "leverage mix":
            mix = _list_mix(edition, place, markets, rows_of(detail_of(gap).get("capped_markets")))
            found = mix if isinstance(mix, str) else Inputs(holdings, None, mix, symbols)
        case _:
            found = "where the losses come from is not stored with the published stress"
    return found if isinstance(found, str) else _held_against(found, rows_of(detail_of(gap).get("grid")))


def _find_hindrance(edition: Edition, place: Place) -> str:
    """Why no stress of the segment is known; empty where one is."""
    gap = edition.metrics_of(place).get("gap_survived")
    if not has_fund(place):
        return "there is no fund to hold against a loss, by design"
    if place.segment.status == SegmentStatus.UNVERIFIED:
        return place.segment.status_reason or "its chain is halted"
    if place.fund.kind == FundKind.RESERVE:
        return "it covers no defined exposure"
    if gap is None:
        return NOT_COMPUTED
    return (gap.reason or NOT_COMPUTED) if gap.value is None else ""


def _list_holdings(usable: Number | None) -> tuple[Holding, ...] | str:
    """The holdings as they are stored with the usable value."""
    rows = rows_of(detail_of(usable).get("assets"))
    if usable is None or usable.value is None or not rows:
        return f"what the fund holds is unknown: {(usable.reason if usable else '') or NOT_COMPUTED}"
    found = [_holding(row) for row in rows]
    known = tuple(one for one in found if one is not None)
    return known if len(known) == len(found) else "how its assets move with prices is not stored with the usable value"


def _holding(row: Mapping[str, Any]) -> Holding | None:
    quantity, price = finite(row.get("qty")), finite(row.get("price"))
    names = ("access", "beta", "depth_haircut", "floor_haircut")
    access, beta, depth, floor = (finite(row.get(name)) for name in names)
    if access is None or beta is None or depth is None or floor is None:
        return None
    # A balance below zero was taken as a signed net value when it was published, else it would not be here.
    is_signed = quantity is not None and quantity < 0
    return Holding(
        str(row.get("symbol")), quantity, price, access=access, beta=beta, h_liq=depth, h_floor=floor,
        is_signed=is_signed,
    )  # fmt: skip


def _read_book(edition: Edition, place: Place, gap: Number) -> AccountBook | str:
    """The account book from the readings at the block of the stress: values, signed sizes, index prices."""
    rows = list_readings(edition.session, place, gap.as_of_hash, READ)
    price = _settlement_price(edition, place, gap.as_of_number)
    if price is None:
        return "no price of the asset that accounts are kept in is stored at that block"
    if not any(row.name == ReadingName.ACCOUNT_VALUE for row in rows):
        return "the accounts of that block are not stored"
    values = {row.subject: _value(row) for row in rows if row.name == ReadingName.ACCOUNT_VALUE}
    prices = {row.subject: _value(row) for row in rows if row.name == ReadingName.INDEX_PRICE}
    sizes: dict[str, dict[str, Decimal | None]] = {}
    for row in rows:
        if row.name == ReadingName.POSITION_SIZE:
            account, _, market = row.subject.partition("/")
            sizes.setdefault(account, {})[market] = _value(row)
    accounts = {}
    for account in sorted({*values, *sizes}):
        entry = _account(values.get(account), sizes.get(account, {}), prices, price)
        if entry is None:
            return f"a value, size or price of account {account} could not be read at that block"
        accounts[account] = entry
    betas = {asset.address: asset.beta for asset in edition.assets.values() if asset.chain_id == place.chain.chain_id}
    return make_book(accounts, betas)


def _account(
    value: Decimal | None, sizes: Mapping[str, Decimal | None], prices: Mapping[str, Decimal | None], usd: Decimal
) -> tuple[float, dict[str, float]] | None:
    """Equity and signed notional by market in USD; None where a part of it is not known."""
    notional = {}
    for market, size in sizes.items():
        index = prices.get(market)
        if size is None or (size and index is None):
            return None
        if size and index is not None:
            notional[market] = float(size * index)
    return None if value is None else (float(value * usd), notional)


def _value(row: Reading) -> Decimal | None:
    return None if row.value_raw is None else scale(row.value_raw, row.decimals)


def _settlement_price(edition: Edition, place: Place, number: int) -> Decimal | None:
    """USD price of the segment's asset at that block: account values are counted in it."""
    for price, asset in edition.prices(place.chain.chain_id, number):
        if place.asset is not None and asset.id == place.asset.id and price.answer_raw is not None:
            return scale(price.answer_raw, price.decimals)
    return None


def _list_mix(
    edition: Edition, place: Place, markets: Sequence[Mapping[str, Any]], capped: Sequence[Mapping[str, Any]]
) -> tuple[MixMarket, ...] | str:
    """Open interest of each market as it is stored with the exposure, and what each cap still pays."""
    betas = {asset.address: asset.beta for asset in edition.assets.values() if asset.chain_id == place.chain.chain_id}
    left = {str(row.get("market")): finite(row.get("cap_left_usd")) for row in capped}
    found = []
    for row in markets:
        market, symbol, interest = str(row.get("market")), str(row.get("symbol")), finite(row.get("exposure_usd"))
        cap = left.get(symbol)
        if interest is None or (symbol in left and cap is None):
            return f"open interest or cap of {symbol} is not stored with the published stress"
        beta = betas.get(market, betas.get(market.lower(), 1.0))
        found.append(MixMarket(symbol, float(interest), beta, None if cap is None else float(cap)))
    return tuple(found) if found else "open interest by market is not stored with the published stress"


def _held_against(inputs: Inputs, grid: Sequence[Mapping[str, Any]]) -> Inputs | str:
    """The inputs if they give back every published point to the cent; else why they are not used."""
    # Stored open interest is rounded to cents: each market may be off by one.
    slack = CENT * (1 + len(inputs.mix))
    for row in grid:
        shock, loss, usable = (finite(row.get(key)) for key in ("shock", "loss", "usable"))
        if shock is None or loss is None or usable is None:
            return "a point of the published stress is not known"
        here = inputs.find_usable(float(shock))
        is_same = here is not None and abs(here - float(usable)) <= CENT
        if not is_same or abs(inputs.find_loss(float(shock)) - float(loss)) > slack:
            return "what is stored does not give back the published losses, so no other move is computed from it"
    return inputs if grid else "no point of the published stress is stored to hold it against"


def account_shortfalls(book: AccountBook, shock: float) -> Floats:
    """Shortfall of each account in USD at that move, shape (n,): max(0, −equity)."""
    returns = np.maximum(-1.0, shock * book.betas)
    return np.asarray(np.maximum(0.0, -(book.equity + book.notional @ returns)))
