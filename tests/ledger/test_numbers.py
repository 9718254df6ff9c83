"""How numbers are printed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.numbers import (
    Rounding,
    finite,
    format_amount,
    format_exact,
    format_exact_value,
    format_fraction,
    format_ratio,
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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None, "NaN", "x", True, Decimal("sNaN")])
def test_what_is_no_number_is_none(value: object) -> None:
    assert finite(value) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=6))
def test_rounding_never_flatters(value: Decimal) -> None:
    printed = Decimal(format_ratio(value, Rounding.DOWN).rstrip("×").replace(",", "").replace("−", "-"))
    assert printed <= value
    loss = format_amount(value, "", Rounding.UP).strip().replace(",", "").replace("−", "-")
    assert Decimal(loss) >= value
