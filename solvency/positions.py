"""Exposure at a point: open interest or debt by market, the account book, and accounts below zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ledger.history import PointRow, ReadingRow
from ledger.kinds import ReadingName, Shape
from solvency.known import Known
from solvency.quantity import Quantity, add_up, make_unknown, scale_raw
from solvency.stress import AccountBook, make_book

Rows = Mapping[tuple[str, str], ReadingRow]

DEFAULT_MARKET_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class MarketExposure:
    """One market: exposure in USD and, where the platform caps what its pool pays there, the cap and its use."""

    market: str
    symbol: str
    exposure: Quantity
    long_usd: float | None = None
    short_usd: float | None = None
    cap: Quantity | None = None
    used: Quantity | None = None
    beta: float = 1.0
    is_open: bool | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure of a segment at a point: open interest of a market = max(Σ longs, Σ |shorts|), summed over markets."""

    total: Quantity
    markets: tuple[MarketExposure, ...]
    read_seconds: int


def read_exposure(known: Known, point: PointRow) -> Exposure:
    """Read the exposure at a point, by the shape of its fund; a shape without one is unknown."""
    readers: dict[str, Callable[[Known], list[MarketExposure]]] = {
        Shape.PERP_V2_CURIE: _read_perp_markets,
        Shape.DRIFT: _read_venue_markets,
        Shape.MORPHO_BLUE: _read_debt_markets,
    }
    seconds = [row.seconds for row in known.markets.values()] or [int(point.time.timestamp())]
    reader = readers.get(known.history.fund.shape)
    if reader is None:
        return Exposure(make_unknown("usd", "no exposure is defined or read for this fund"), (), min(seconds))
    if not known.markets and not known.takers:
        return Exposure(make_unknown("usd", "no market was read at this block"), (), min(seconds))
    markets = tuple(reader(known))
    return Exposure(add_up([market.exposure for market in markets], "usd"), markets, min(seconds))


def _find_value(rows: Rows, name: ReadingName, subject: str) -> Decimal | None:
    row = rows.get((name, subject))
    return None if row is None or row.value_raw is None else scale_raw(row.value_raw, row.decimals)


def _list_subjects(rows: Rows, *names: ReadingName) -> list[str]:
    return sorted({subject for name, subject in rows if name in names})


def _describe_market(known: Known, market: str) -> tuple[str, int, float]:
    """Symbol, decimals and beta of a market's base asset."""
    asset = known.by_address.get(market) or known.by_address.get(market.lower())
    if asset is None:
        return market, DEFAULT_MARKET_DECIMALS, 1.0
    return asset.symbol, asset.decimals, asset.beta


def _read_perp_markets(known: Known) -> list[MarketExposure]:
    """Takers' positions are the sum of their changes; makers hold the rest and are not counted twice."""
    longs: dict[str, int] = {}
    shorts: dict[str, int] = {}
    for (_, market), size in known.takers.items():
        side = longs if size > 0 else shorts
        side[market] = side.get(market, 0) + abs(size)
    listed = {*longs, *shorts, *_list_subjects(known.markets, ReadingName.INDEX_PRICE, ReadingName.IS_OPEN)}
    found = []
    for market in sorted(listed):
        symbol, decimals, beta = _describe_market(known, market)
        long, short = (scale_raw(side.get(market, 0), decimals) for side in (longs, shorts))
        price = _find_value(known.markets, ReadingName.INDEX_PRICE, market)
        flag = _find_value(known.markets, ReadingName.IS_OPEN, market)
        sides = _value_sides(symbol, long, short, price)
        found.append(MarketExposure(market, symbol, *sides, beta=beta, is_open=None if flag is None else bool(flag)))
    return found


def _value_sides(
    symbol: str, long: Decimal | None, short: Decimal | None, price: Decimal | None
) -> tuple[Quantity, float | None, float | None]:
    """Open interest of a market with both sides in USD."""
    if long is None or short is None:
        return make_unknown("usd", f"{symbol}: open interest could not be read"), None, None
    if long == short == 0:
        return Quantity(0.0, "usd"), 0.0, 0.0
    if price is None:
        return make_unknown("usd", f"{symbol}: open interest without an index price"), None, None
    sides = float(abs(long) * price), float(abs(short) * price)
    return Quantity(max(sides), "usd"), *sides


def _read_venue_markets(known: Known) -> list[MarketExposure]:
    """A venue's own open interest and insurance cap by market, in the base units and USD it states."""
    rows = known.markets
    found = []
    for market in _list_subjects(rows, ReadingName.OPEN_INTEREST_LONG, ReadingName.OPEN_INTEREST_SHORT):
        symbol, _, beta = _describe_market(known, market)
        long = _find_value(rows, ReadingName.OPEN_INTEREST_LONG, market)
        short = _find_value(rows, ReadingName.OPEN_INTEREST_SHORT, market)
        sides = _value_sides(symbol, long, short, _find_value(rows, ReadingName.INDEX_PRICE, market))
        cap = _read_cap(known, ReadingName.INSURANCE_CAP, market)
        used = _read_cap(known, ReadingName.INSURANCE_USED, market)
        found.append(MarketExposure(market, symbol, *sides, cap=cap, used=used, beta=beta))
    return found


def _read_cap(known: Known, name: ReadingName, market: str) -> Quantity | None:
    """A cap or its use in USD, from the asset it is stated in; None where the platform states none at all."""
    row = known.markets.get((name, market))
    if row is None:
        return None
    if row.value_raw is None:
        return make_unknown("usd", f"{market}: {name} could not be read")
    asset = known.find_asset(row.asset_id)
    price = known.prices.find_usd(asset.asset_id, row.number) if asset else None
    amount = scale_raw(row.value_raw, row.decimals)
    if price is None and amount != 0:
        return make_unknown("usd", f"{market}: {name} without a price of its asset")
    return Quantity(float(amount * (price or 0)), "usd")


def _read_debt_markets(known: Known) -> list[MarketExposure]:
    """Borrowed debt of each lending market in USD."""
    found = []
    for market in _list_subjects(known.markets, ReadingName.TOTAL_BORROW):
        row = known.markets[ReadingName.TOTAL_BORROW, market]
        asset = known.find_asset(row.asset_id)
        price = known.prices.find_usd(asset.asset_id, row.number) if asset else None
        symbol = asset.symbol if asset else market
        if row.value_raw is None:
            debt = make_unknown("usd", f"{symbol}: debt could not be read")
        elif price is None and row.value_raw != 0:
            debt = make_unknown("usd", f"{symbol}: debt without a price")
        else:
            debt = Quantity(float(scale_raw(row.value_raw, row.decimals) * (price or 0)), "usd")
        found.append(MarketExposure(market, symbol, debt))
    return found


def find_negative_accounts(rows: Rows) -> list[str]:
    """Accounts whose value was read below zero, by name."""
    return sorted(
        subject
        for (name, subject), row in rows.items()
        if name == ReadingName.ACCOUNT_VALUE and row.value_raw is not None and row.value_raw < 0
    )


def find_settlement_price(known: Known) -> Decimal | None:
    """USD price of the segment's asset at the point; account values are counted in it."""
    asset = known.find_asset(None)
    return None if asset is None or known.point is None else known.prices.find_usd(asset.asset_id, known.point.number)


def read_book(known: Known) -> AccountBook | str:
    """Build the account book from account values and signed sizes at the point; text says why there is none.

    An account that holds a position and whose value was not read hides its loss: then the book is unknown.
    """
    rows, price = known.markets, find_settlement_price(known)
    if price is None:
        return "no price of the asset that accounts are kept in"
    sizes = _collect_sizes(known)
    accounts: dict[str, tuple[float, dict[str, float]]] = {}
    betas: dict[str, float] = {}
    names = {*sizes, *_list_subjects(rows, ReadingName.ACCOUNT_VALUE)}
    for account in sorted(names):
        value = _find_value(rows, ReadingName.ACCOUNT_VALUE, account)
        if value is None:
            return f"the value of account {account} could not be read"
        notional: dict[str, float] = {}
        for market, size in sizes.get(account, {}).items():
            index = _find_value(rows, ReadingName.INDEX_PRICE, market)
            symbol, _, betas[market] = _describe_market(known, market)
            if index is None:
                return f"{symbol}: positions without an index price"
            notional[market] = float(size * index)
        accounts[account] = (float(value * price), notional)
    return make_book(accounts, betas)


def _collect_sizes(known: Known) -> dict[str, dict[str, Decimal]]:
    """Signed sizes by account and market: as read with makers included, else the sum of a taker's changes."""
    sizes: dict[str, dict[str, Decimal]] = {}
    for (account, market), raw in known.takers.items():
        if raw != 0:
            _, decimals, _ = _describe_market(known, market)
            sizes.setdefault(account, {})[market] = scale_raw(raw, decimals)
    for (name, subject), row in known.markets.items():
        if name == ReadingName.POSITION_SIZE and row.value_raw is not None:
            account, _, market = subject.partition("/")
            sizes.setdefault(account, {})[market] = scale_raw(row.value_raw, row.decimals)
    return {account: {m: s for m, s in held.items() if s != 0} for account, held in sizes.items() if any(held.values())}


def list_open_accounts(known: Known) -> set[str]:
    """Accounts that hold a position in a market not known to be closed: only there can a liquidation be refused."""
    closed = {
        subject for (name, subject), row in known.markets.items() if name == ReadingName.IS_OPEN and row.value_raw == 0
    }
    return {account for account, held in _collect_sizes(known).items() if any(market not in closed for market in held)}
