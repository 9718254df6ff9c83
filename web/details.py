"""A metric's stored detail as tables: known keys in the field's words, unknown ones under their own name."""

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.moments import shorten
from ledger.numbers import (
    INVALID,
    NO_BREAK,
    Rounding,
    finite,
    format_day,
    format_decimal,
    format_exact,
    format_fraction,
    format_ratio,
    format_usd,
)
from web.contexts import Cell, Table
from web.names import neat, neat_symbol

WORDS = {
    "qty": "Quantity",
    "quantity": "Quantity",
    "floor_haircut": "Policy haircut",
    "depth_haircut": "Depth haircut",
    "haircut": "Haircut",
    "counted": "Counted",
    "access": "Access",
    "value_usd": "Value",
    "requirement_usd": "Margin requirement",
    "since_block": "Since block",
    "is_refused": "Liquidation refused",
    "loss_beyond_fund": "Loss beyond the fund",
    "ratio": "Coverage",
    "shock": "Move",
    "by_asset": "Sums by asset, in each asset's smallest units",
    "cap": "Cap",
    "used": "Used",
    "left": "Left",
    "btc": "BTC",
    "eth": "ETH",
}
_FRACTIONS = frozenset(
    {"shock", "access", "floor_haircut", "depth_haircut", "haircut", "share", "fraction", "cover", "btc", "eth"}
)
_USD = frozenset(
    {"loss", "usable", "counted", "price", "usd", "value", "scaled", "reference_loss", "loss_beyond_fund"}
) | frozenset({"cap", "used", "left", "open_interest"})
_RATIOS = frozenset({"ratio", "coverage", "m3", "m6"})
_NAMES = ("account", "market", "asset", "address", "symbol", "hash", "digest", "name", "text", "source", "reason")
_BLOCKS = ("block", "number")
MAX_ROWS = 200
MOST_COLUMNS = 8
LONGEST_KEY = 80


def detail_of(metric: Any) -> Mapping[str, Any]:
    """A metric's detail, empty where there is none."""
    detail = getattr(metric, "detail", None)
    return detail if isinstance(detail, Mapping) else {}


def rows_of(value: Any) -> list[Mapping[str, Any]]:
    """The rows in a detail value: a list of mappings as it is, a mapping of mappings with its keys as `name`."""
    if isinstance(value, Mapping):
        return [{"name": key, **row} for key, row in value.items() if isinstance(row, Mapping)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [row for row in value if isinstance(row, Mapping)]
    return []


def word(key: str) -> str:
    """A key in words."""
    if key in WORDS:
        return WORDS[key]
    text = neat(key.removesuffix("_raw").removesuffix("_usd").replace("_", " "), LONGEST_KEY)
    return text[:1].upper() + text[1:]


def cell(key: str, value: Any) -> Cell:
    """One value of a detail as its key says to read it; never NaN, never None."""
    if value is None:
        return Cell("unknown")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, Mapping | list | tuple):
        return Cell(_joined(value))
    # A name may be all digits; a number under a key like "accounts" counts them.
    number = None if isinstance(value, str) and key.startswith(_NAMES) else finite(value)
    if number is None:
        is_text = isinstance(value, str) and value.strip().lower() not in ("nan", "inf", "-inf", "infinity", "none")
        return _text(key, value) if is_text else Cell(INVALID)
    return Cell(_number(key, number), is_number=True, title=format_exact(number))


def _text(key: str, value: str) -> Cell:
    if key == "symbol":
        return Cell(neat_symbol(value))
    if key == "day":
        return Cell(format_day(neat(value)).replace(" ", NO_BREAK))
    whole = neat(value)
    return Cell(shorten(whole), title=whole if shorten(whole) != whole else "")


def _joined(value: Any) -> str:
    pairs = value.items() if isinstance(value, Mapping) else ((None, one) for one in value)
    return (
        ", ".join(f"{word(key)} {cell(key, one).text}" if key else cell("", one).text for key, one in pairs) or "none"
    )


def _number(key: str, number: Any) -> str:
    if key in _FRACTIONS:
        text = format_fraction(number)
        return f"+{text}" if key == "shock" and number > 0 else text
    if key in _RATIOS:
        return format_ratio(number)
    if key in _USD or key.endswith("_usd"):
        return format_usd(number, _rounding(key))
    if key.endswith(_BLOCKS) or number == number.to_integral_value():
        return format_exact(number)
    return format_decimal(number, 6).rstrip("0")


def _rounding(key: str) -> Rounding:
    """Losses up, what could pay them down, as everywhere."""
    if "loss" in key or "requirement" in key:
        return Rounding.UP
    return Rounding.DOWN if key.startswith(("usable", "counted", "left")) else Rounding.NEAREST


def table_of(caption: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str] = ()) -> Table | None:
    """A table of detail rows: the named keys first if the rows have them, then the others; None without rows."""
    if not rows:
        return None
    present = list(dict.fromkeys(key for row in rows for key in row))
    present = [key for key in present if any(row.get(key, "") != "" for row in rows)]
    columns = [key for key in keys if key in present] + [key for key in present if key not in keys]
    shown = rows[:MAX_ROWS]
    # A key that a row has not is no unknown value: it does not apply to it.
    body = tuple(tuple(cell(key, row[key]) if key in row else Cell("–") for key in columns) for row in shown)
    heads = tuple(
        Cell(word(key), is_number=any(line[place].is_number for line in body)) for place, key in enumerate(columns)
    )
    note = f"The first {len(shown):,} of {len(rows):,} rows." if len(rows) > len(shown) else ""
    return Table(caption, heads, body, note)


def turned(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Few rows with very many columns the other way round: a mapping by side of what each asset sums to."""
    names = [str(row.get("name")) for row in rows]
    keys = list(dict.fromkeys(key for row in rows for key in row if key != "name"))
    if not all("name" in row for row in rows) or len(keys) < MOST_COLUMNS:
        return rows
    pairs = list(zip(names, rows, strict=True))
    return [{"name": key, **{name: row[key] for name, row in pairs if key in row}} for key in keys]


def split_detail(detail: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[Table]]:
    """A whole detail: single values as pairs of words, nested ones as tables."""
    pairs: list[tuple[str, str]] = []
    tables: list[Table] = []
    for key, value in detail.items():
        rows = turned(rows_of(value))
        if not rows and isinstance(value, Mapping) and value:
            rows = [{"name": name, "value_": one} for name, one in value.items()]
        table = table_of(word(key), rows)
        if table is not None:
            tables.append(table)
        else:
            pairs.append((word(key), cell(key, value).text))
    return pairs, tables
