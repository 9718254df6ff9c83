"""Historical days as scenarios (M6): the price moves of a day, tried on what is held and open now."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from solvency.quantity import Quantity
from solvency.stress import AccountBook, Floats
from solvency.usable import Holding, compute_usable_value

REFERENCE = "BTC"
"""What an asset that a day does not name moves with, by its beta."""


class NamedMarket(Protocol):
    """A market and the symbol of its asset."""

    @property
    def market(self) -> str: ...
    @property
    def symbol(self) -> str: ...


@dataclass(frozen=True, slots=True)
class NamedDay:
    """One day: the move of each named asset as a fraction (−1 … 0], and where that is from."""

    date: str
    title: str
    moves: Mapping[str, float]
    source: str

    def find_move(self, symbol: str, beta: float) -> float:
        """Move of an asset: its own where its symbol holds a named one (vETH, ETH-PERP), else β × that of BTC."""
        if beta == 0:
            return 0.0
        named = next((move for name, move in sorted(self.moves.items()) if name in symbol.upper()), None)
        return max(-1.0, beta * self.moves[REFERENCE]) if named is None else named


@dataclass(frozen=True, slots=True)
class NamedDays:
    """The days of one configuration file, in its order."""

    version: str
    days: tuple[NamedDay, ...]


def parse_named_days(text: str) -> NamedDays:
    """Read the configuration (TOML); raises ValueError that names the day and what is wrong with it."""
    try:
        given = tomllib.loads(text)
        return NamedDays(str(given["version"]), tuple(_parse_day(entry) for entry in given["day"]))
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ValueError(
            f"named days: {error} is missing or malformed; each day has date, title, BTC, source"
        ) from error


def _parse_day(entry: Mapping[str, object]) -> NamedDay:
    date, title, source = (str(entry[key]) for key in ("date", "title", "source"))
    moves = {key: value for key, value in entry.items() if key not in ("date", "title", "source")}
    sound = {name: float(move) for name, move in moves.items() if isinstance(move, int | float) and -1 < move <= 0}
    if len(sound) < len(moves) or REFERENCE not in sound:
        raise ValueError(f"named day {date}: moves are fractions in (−1, 0], {REFERENCE} among them; got {moves}")
    return NamedDay(date, title, sound, source)


def list_moves(book: AccountBook, markets: Iterable[NamedMarket], day: NamedDay) -> Floats:
    """Return of each market of a book on that day, shape (m,)."""
    symbols = {market.market: market.symbol for market in markets}
    pairs = zip(book.markets, book.betas, strict=True)
    return np.array([day.find_move(symbols.get(name, name), float(beta)) for name, beta in pairs], dtype=np.float64)


def compute_usable_on(day: NamedDay, holdings: Sequence[Holding]) -> Quantity:
    """U in USD under the moves of that day, each asset by its own."""
    moved = [replace(holding, beta=-day.find_move(holding.asset, float(holding.beta))) for holding in holdings]
    return compute_usable_value(moved, shock=-1)
