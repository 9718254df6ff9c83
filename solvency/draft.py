"""One metric before it is written: the number, how it is rounded, its evidence and the inputs it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Literal

from solvency.quantity import Quantity, make_exact

Rounding = Literal["down", "up", "nearest"]
Detail = Mapping[str, Any]

_MODES = {"down": ROUND_FLOOR, "up": ROUND_CEILING, "nearest": ROUND_HALF_EVEN}
_EXACT = Context(prec=120)
_PLACES = {"usd": 2, "ratio": 4, "days": 1, "fraction": 7, "count": 0, "band": 0, "per year": 4, "seconds": 0}


@dataclass(frozen=True, slots=True)
class Draft:
    """A metric's number. `exact` overrides the float where every digit counts; `streams` name the input rows."""

    name: str
    quantity: Quantity
    streams: tuple[str, ...]
    exact: Decimal | None = None
    rounding: Rounding = "nearest"
    detail: Detail = field(default_factory=dict)


def round_number(number: Decimal | float, unit: str, rounding: Rounding) -> Decimal:
    """Round to the places of the unit: coverage and usable value down, losses up; token amounts keep every digit."""
    exact = make_exact(number)
    places = _PLACES.get(unit)
    if places is None:
        return exact
    # Float noise such as 2.0000000000000004 must not round a loss up by a cent.
    if isinstance(number, float):
        exact = exact.quantize(Decimal(1).scaleb(-places - 4), ROUND_HALF_EVEN, _EXACT)
    return exact.quantize(Decimal(1).scaleb(-places), _MODES[rounding], _EXACT)


def render_usd(number: Decimal | float | None) -> str | None:
    """Render USD for a detail: text with two places, so that no digit depends on a database."""
    return None if number is None else str(round_number(number, "usd", "nearest"))
