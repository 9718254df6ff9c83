"""How numbers are printed: rounding that never flatters, thousands separated, a real minus, units beside the value.

Usable values and coverage are rounded down, losses up. What is no finite number is never printed as one.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

MILLION = Decimal(1_000_000)
TEN_MILLION = 10 * MILLION
WIDE = Context(prec=120)
"""Room for any 256-bit integer and its decimals."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""By their English names wherever this runs; strftime() asks the machine, and takes longer."""
INVALID = "invalid"
NO_BREAK = "\N{NO-BREAK SPACE}"
STORED_INTEGER = re.compile("-?[0-9]{1,78}")


class Rounding(StrEnum):
    """Which way a printed number may err."""

    DOWN = ROUND_FLOOR
    UP = ROUND_CEILING
    NEAREST = ROUND_HALF_EVEN


def finite(value: Any) -> Decimal | None:
    """The value as a finite decimal, or None where it is none (text, NaN, infinity, nothing)."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        return None
    return number if number.is_finite() else None


def scale(raw: int, decimals: int) -> Decimal:
    """raw / 10^decimals, exact for any 256-bit integer."""
    return Decimal(raw).scaleb(-decimals, WIDE)


def format_decimal(value: Decimal, places: int, rounding: Rounding = Rounding.NEAREST) -> str:
    """Fixed places, commas between thousands; −0.00 is 0.00."""
    rounded = value.quantize(Decimal((0, (1,), -places)), str(rounding), WIDE)
    text = f"{rounded.copy_abs():,f}"
    return f"−{text}" if rounded < 0 else text


def format_exact(value: Decimal) -> str:
    """All digits, commas between thousands, no trailing zeros."""
    text = f"{value.copy_abs():,f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"−{text}" if value < 0 else text


def format_usd(value: Decimal, rounding: Rounding = Rounding.NEAREST) -> str:
    """$12.34 under a hundred, $1,234 under ten million, $13.48 M above."""
    size = abs(value)
    if size >= TEN_MILLION:
        text = format_decimal(value / MILLION, 2, rounding) + f"{NO_BREAK}M"
    else:
        text = format_decimal(value, 2 if size < 100 and value != value.to_integral_value() else 0, rounding)
    return f"−${text[1:]}" if text.startswith("−") else f"${text}"


def format_ratio(value: Decimal, rounding: Rounding = Rounding.DOWN) -> str:
    """0.71×, 14.2×, 140×."""
    places = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return format_decimal(value, places, rounding) + "×"


def format_fraction(value: Decimal, rounding: Rounding = Rounding.NEAREST) -> str:
    """23 %, 4.5 %, 0.82 %."""
    percent = value * 100
    is_whole = percent == percent.to_integral_value()
    places = 0 if is_whole else 1 if abs(percent) >= 1 else 2
    return format_decimal(percent, places, rounding) + f"{NO_BREAK}%"


def format_amount(value: Decimal, symbol: str, rounding: Rounding = Rounding.NEAREST) -> str:
    """A token amount for tables: whole above 1,000, two places above 1, else up to six."""
    size = abs(value)
    is_whole = value == value.to_integral_value()
    places = 0 if size >= 1000 or is_whole else 2 if size >= 1 else 6
    return f"{format_decimal(value, places, rounding)}{NO_BREAK}{symbol}"


def format_value(value: Decimal, unit: str, rounding: Rounding = Rounding.NEAREST) -> str:
    """A metric's value as tables show it; an unknown unit is an asset's symbol."""
    match unit:
        case "usd":
            return format_usd(value, rounding)
        case "ratio":
            return format_ratio(value, rounding)
        case "fraction":
            return format_fraction(value, rounding)
        case "days":
            days = format_decimal(value, 0, rounding)
            return f"{days}{NO_BREAK}{'day' if days == '1' else 'days'}"
        case "seconds":
            return format_duration(float(value)).replace(" ", NO_BREAK)
        case "per year":
            return f"{format_fraction(value, rounding)} a year"
        case "count" | "band" | "":
            return format_decimal(value, 0, rounding)
        case _:
            return format_amount(value, unit, rounding)


def format_exact_value(value: Decimal, unit: str) -> str:
    """A metric's value with every digit that is stored."""
    match unit:
        case "usd":
            return f"{format_exact(value)}{NO_BREAK}USD"
        case "ratio":
            return f"{format_exact(value)}×"
        case "fraction":
            return f"{format_exact(value)} ({format_exact(value * 100)}{NO_BREAK}%)"
        case "count" | "band" | "":
            return format_exact(value)
        case _:
            return f"{format_exact(value)}{NO_BREAK}{unit}"


def format_setting(value: str, detail: Mapping[str, Any]) -> str:
    """A parameter with every digit by the `unit` and `decimals` its fact names, as 60,100 USDC or 0.1 %.

    Without them, and where the value is no integer, it stays as the contract stores it.
    """
    unit, decimals = detail.get("unit"), detail.get("decimals")
    if not isinstance(unit, str) or not isinstance(decimals, int) or not STORED_INTEGER.fullmatch(value):
        return value
    if unit == "fraction":
        return f"{format_exact(scale(int(value), decimals - 2))}{NO_BREAK}%"
    return format_exact_value(scale(int(value), decimals), unit)


def format_count(count: int, one: str, many: str | None = None) -> str:
    """1 event, 6,231 events."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def format_date(time: datetime) -> str:
    """24 May 2021."""
    return f"{time.day} {MONTHS[time.month - 1]} {time.year}"


def format_time(time: datetime) -> str:
    """24 May 2021, 17:02 UTC."""
    return f"{format_date(time)}, {time.hour:02}:{time.minute:02} UTC"


def format_block(number: int) -> str:
    """block 12,345."""
    return f"block{NO_BREAK}{number:,}"


def format_month(month: str) -> str:
    """2021-05 as May 2021."""
    return f"{MONTHS[int(month[5:7]) - 1]}{NO_BREAK}{month[:4]}"


def format_day(day: str) -> str:
    """2021-05-24 as 24 May 2021; what is no day stays as it is."""
    try:
        return format_date(datetime.fromisoformat(day))
    except ValueError:
        return day


def format_days(first: str, last: str) -> str:
    """From 2021-05-19 to 2021-05-20 as 19–20 May 2021; one day, or what is none, as format_day has it."""
    start, end = format_day(first), format_day(last)
    if start in (end, first):
        return end
    day, *month = start.split(" ")
    return f"{day}–{end}" if month == end.split(" ")[1:] else f"{start} – {end}"


def format_duration(seconds: float) -> str:
    """40 s, 12 min, 5 h, 3 days: the largest whole unit."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
