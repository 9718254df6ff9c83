"""Historical days as scenarios, from their configuration."""

import numpy as np
import pytest

from solvency.compute import load_named_days
from solvency.named_days import NamedDay, compute_usable_on, list_moves, parse_named_days
from solvency.positions import MarketExposure
from solvency.quantity import Quantity
from solvency.stress import make_book
from solvency.usable import Holding

THURSDAY = NamedDay("2020-03-12", "Black Thursday", {"BTC": -0.4, "ETH": -0.45}, "somewhere")


def test_the_shipped_days_are_the_five_of_the_method_each_with_its_source() -> None:
    days = load_named_days().days
    assert [day.date for day in days] == ["2020-03-12", "2021-05-19", "2022-06-13", "2022-11-08", "2025-10-10"]
    assert all(day.source and day.title and -1 < day.moves["BTC"] < 0 and -1 < day.moves["ETH"] < 0 for day in days)


@pytest.mark.parametrize(
    ("symbol", "beta", "move"),
    [
        ("vETH", 1.0, -0.45),
        ("ETH-PERP", 1.3, -0.45),
        ("WBTC", 1.0, -0.4),
        ("SOL-PERP", 1.5, -0.6),
        ("DOGE", 3.0, -1.0),
        ("USDC", 0.0, 0.0),
    ],
)
def test_an_asset_moves_by_its_own_name_or_by_its_beta_with_btc(symbol: str, beta: float, move: float) -> None:
    assert THURSDAY.find_move(symbol, beta) == pytest.approx(move)


def test_usable_value_falls_with_each_asset_by_its_own_move() -> None:
    held = [Holding("USDC", 100, 1), Holding("WETH", 10, 100, beta=1), Holding("SOL", 10, 10, beta=1.5)]
    usable = compute_usable_on(THURSDAY, held)
    assert usable.value == pytest.approx(100 + 1_000 * 0.55 + 100 * 0.4)


def test_a_missing_price_leaves_a_lower_bound_on_such_a_day_too() -> None:
    usable = compute_usable_on(THURSDAY, [Holding("USDC", 100, 1), Holding("WETH", 10, None, beta=1)])
    assert (usable.value, usable.quality) == (100.0, "partial")


def test_markets_of_a_book_move_by_the_symbols_of_their_assets() -> None:
    book = make_book({"a": (1.0, {"0x1": 10.0, "0x2": -5.0})}, {"0x1": 1.0, "0x2": 1.2})
    markets = [
        MarketExposure("0x1", "vETH", Quantity(10.0, "usd")),
        MarketExposure("0x2", "vXYZ", Quantity(5.0, "usd")),
    ]
    assert list_moves(book, markets, THURSDAY) == pytest.approx(np.array([-0.45, -0.48]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 1", "'day' is missing"),
        ('version = "1"\n[[day]]\ndate = "2020-03-12"\nBTC = -0.4', "'title' is missing"),
        ('version = "1"\n[[day]]\ndate = "d"\ntitle = "t"\nsource = "s"\nETH = -0.4', "named day d"),
        ('version = "1"\n[[day]]\ndate = "d"\ntitle = "t"\nsource = "s"\nBTC = 0.4', "fractions in"),
        ('version = "1"\n[[day]]\ndate = "d"\ntitle = "t"\nsource = "s"\nBTC = "-40 %"', "fractions in"),
        ("version = ", "malformed"),
    ],
)
def test_a_broken_configuration_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_named_days(text)
