"""How numbers are printed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.numbers import (
    Rounding,
    finite,
    format_amount,
    format_days,
    format_exact,
    format_exact_value,
    format_fraction,
    format_ratio,
    format_setting,
    format_usd,
    format_value,
    scale,
)

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "rounding", "text"),
    [
        ("1.4299", Rounding.DOWN, "1.42×"),
        ("0.999", Rounding.DOWN, "0.99×"),
        ("14.29", Rounding.DOWN, "14.2×"),
        ("140.9", Rounding.DOWN, "140×"),
        ("-0.001", Rounding.DOWN, "−0.01×"),
    ],
)
def test_coverage_is_rounded_down(value: str, rounding: Rounding, text: str) -> None:
    assert format_ratio(Decimal(value), rounding) == text


@pytest.mark.parametrize(
    ("value", "rounding", "text"),
    [
        ("118201.31", Rounding.UP, "$118,202"),
        ("118201.31", Rounding.DOWN, "$118,201"),
        ("12.341", Rounding.UP, "$12.35"),
        ("0", Rounding.NEAREST, "$0"),
        ("-17000", Rounding.DOWN, "−$17,000"),
        ("13485025.1", Rounding.DOWN, f"$13.48{SPACE}M"),
    ],
)
def test_losses_are_rounded_up_and_usable_values_down(value: str, rounding: Rounding, text: str) -> None:
    assert format_usd(Decimal(value), rounding) == text


def test_a_fraction_is_a_percentage() -> None:
    assert format_fraction(Decimal("0.23")) == f"23{SPACE}%"
    assert format_fraction(Decimal("0.0081739")) == f"0.82{SPACE}%"


def test_an_amount_of_256_bits_keeps_every_digit() -> None:
    raw = 2**256 - 1
    assert format_exact(scale(raw, 18)).replace(",", "").replace(".", "") == str(raw)


def test_an_unknown_unit_is_an_asset() -> None:
    assert format_value(Decimal("1234.5"), "USDC", Rounding.DOWN) == f"1,234{SPACE}USDC"
    assert format_exact_value(Decimal("1234.500001"), "USDC") == f"1,234.500001{SPACE}USDC"
    assert format_amount(Decimal("0.0000004"), "ETH", Rounding.UP) == f"0.000001{SPACE}ETH"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("1", "days", f"1{SPACE}day"),
        ("1.3", "days", f"1{SPACE}day"),
        ("1.6", "days", f"2{SPACE}days"),
        ("0", "days", f"0{SPACE}days"),
        ("90", "seconds", f"90{SPACE}s"),
        ("16200", "seconds", f"4{SPACE}h"),
        ("0.0121", "per year", f"1.2{SPACE}% a year"),
        ("-234.7", "per year", f"−23,470{SPACE}% a year"),
    ],
)
def test_times_and_rates_are_told_as_people_say_them(value: str, unit: str, text: str) -> None:
    assert format_value(Decimal(value), unit) == text


@pytest.mark.parametrize(
    ("value", "detail", "text"),
    [
        ("600100000000", {"unit": "USDC", "decimals": 6}, f"600,100{SPACE}USDC"),
        ("600100000001", {"unit": "USDC", "decimals": 6}, f"600,100.000001{SPACE}USDC"),
        ("1000", {"unit": "fraction", "decimals": 6}, f"0.1{SPACE}%"),
        ("1", {"unit": "fraction", "decimals": 18}, f"0.0000000000000001{SPACE}%"),
        ("-5", {"unit": "fraction", "decimals": 1}, f"−50{SPACE}%"),
        (str(2**256 - 1), {"unit": "fraction", "decimals": 0}, f"{100 * (2**256 - 1):,}{SPACE}%"),
        ("1000", {}, "1000"),
        ("1000", {"unit": "USDC"}, "1000"),
        ("1000", {"unit": 7, "decimals": "6"}, "1000"),
        ("paused", {"unit": "USDC", "decimals": 6}, "paused"),
        ("", {"unit": "USDC", "decimals": 6}, ""),
        ("1" * 79, {"unit": "USDC", "decimals": 6}, "1" * 79),
    ],
)
def test_a_parameter_is_told_by_its_unit_with_every_digit(value: str, detail: dict[str, object], text: str) -> None:
    assert format_setting(value, detail) == text


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2021-05-19", "2021-05-19", "19 May 2021"),
        ("2021-05-19", "2021-05-20", "19–20 May 2021"),
        ("2021-05-31", "2021-06-01", "31 May 2021 – 1 Jun 2021"),
        ("2021-12-31", "2022-01-01", "31 Dec 2021 – 1 Jan 2022"),
        ("", "2021-05-19", "19 May 2021"),
        ("soon", "later", "later"),
    ],
)
def test_days_are_told_from_the_first_to_the_last(first: str, last: str, text: str) -> None:
    assert format_days(first, last) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None, "NaN", "x", True, Decimal("sNaN")])
def test_what_is_no_number_is_none(value: object) -> None:
    assert finite(value) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=6))
def test_rounding_never_flatters(value: Decimal) -> None:
    printed = Decimal(format_ratio(value, Rounding.DOWN).rstrip("×").replace(",", "").replace("−", "-"))
    assert printed <= value
    loss = format_amount(value, "", Rounding.UP).strip().replace(",", "").replace("−", "-")
    assert Decimal(loss) >= value
