"""A number that knows its unit, its quality and why it may be missing; unknown never turns into a number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Literal

Quality = Literal["ok", "partial", "stale", "unknown"]
Number = Decimal | float | int

_EXACT = Context(prec=120)
_ORDER: tuple[Quality, ...] = ("ok", "partial", "stale", "unknown")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One published number.

    `value` is None when the number is unknown, or when `words` say the answer ("not shrinking", "no open
    interest"): an answer in words is known. `stale` keeps the last value so that a page can show it greyed.
    `is_lower_bound`: the true number is at least this one, because a part of it could not be valued.
    """

    value: float | None
    unit: str
    quality: Quality = "ok"
    reason: str = ""
    words: str = ""
    window_days: float | None = None
    n_obs: int | None = None
    n_events: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    is_lower_bound: bool = False

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.unit}: {self.value} is no number that can be published; say it in words")
        if self.quality != "ok" and not self.reason:
            raise ValueError(f"{self.unit}: quality '{self.quality}' needs its reason")
        if self.quality == "unknown" and self.value is not None:
            raise ValueError(f"{self.unit}: an unknown number carries no value, got {self.value}")
        if self.quality == "unknown" and self.words:
            raise ValueError(f"{self.unit}: an unknown number carries no words, got '{self.words}'")
        if self.value is None and not self.words and self.quality not in ("unknown", "stale"):
            raise ValueError(f"{self.unit}: without a value it needs words, or quality 'unknown'")

    @property
    def is_known(self) -> bool:
        """True when the number may be graded: ok or partial, by value or in words."""
        return self.quality in ("ok", "partial")

    def lower_quality(self, quality: Quality, reason: str) -> Quantity:
        """Return the same number with at least this bad a quality; the value goes when it becomes unknown."""
        if _ORDER.index(quality) < _ORDER.index(self.quality):
            return self
        worst, why = join_quality([(self.quality, self.reason), (quality, reason)])
        if worst == "unknown":
            return replace(self, value=None, words="", quality=worst, reason=why, ci_low=None, ci_high=None)
        return replace(self, quality=worst, reason=why)


def make_unknown(unit: str, reason: str, *, n_obs: int | None = None) -> Quantity:
    """Return an unknown number with its reason."""
    return Quantity(None, unit, "unknown", reason, n_obs=n_obs)


def join_quality(legs: Iterable[tuple[Quality, str]]) -> tuple[Quality, str]:
    """Return the worst quality of the legs and the distinct reasons of that rank: the worst leg rules."""
    known = list(legs)
    worst: Quality = _ORDER[max((_ORDER.index(quality) for quality, _ in known), default=0)]
    reasons = dict.fromkeys(reason for quality, reason in known if quality == worst and reason)
    return worst, "; ".join(reasons)


def inherit_quality(result: Quantity, inputs: Sequence[Quantity]) -> Quantity:
    """Return the result with at least the quality of its worst input."""
    quality, reason = join_quality((leg.quality, leg.reason) for leg in inputs)
    return result if quality == "ok" else result.lower_quality(quality, reason)


def divide(top: Quantity, bottom: Quantity, *, unit: str = "ratio", when_zero: str) -> Quantity:
    """Return top / bottom; a bottom of 0 is answered in the words `when_zero`, never by infinity."""
    missing = [leg for leg in (top, bottom) if leg.value is None]
    if missing:
        return make_unknown(unit, "; ".join(dict.fromkeys(leg.reason or leg.words for leg in missing)))
    assert top.value is not None  # Narrowed for the type checker: both legs carry values here.
    assert bottom.value is not None
    if bottom.value < 0:
        raise ValueError(f"denominator is {bottom.value} {bottom.unit}; losses and exposures are not negative")
    if bottom.value == 0 or not math.isfinite(top.value / bottom.value):
        return inherit_quality(Quantity(None, unit, words=when_zero), (top, bottom))
    ratio = Quantity(top.value / bottom.value, unit, is_lower_bound=top.is_lower_bound)
    return inherit_quality(ratio, (top, bottom))


def divide_usable(usable: Quantity, loss: Quantity, *, when_zero: str) -> Quantity:
    """Return max(0, U) / loss, ×: a fund below zero covers nothing, however large the loss.

    Unfloored, −10 / 100 would be a better ratio than −10 / 5: more loss must never look like more coverage.
    """
    if usable.value is not None and usable.value < 0:
        usable = replace(usable, value=0.0)
    return divide(usable, loss, when_zero=when_zero)


def add_up(parts: Sequence[Quantity], unit: str) -> Quantity:
    """Return the sum of the parts; one unknown part makes the sum unknown."""
    missing = [part for part in parts if part.value is None]
    if missing:
        return make_unknown(unit, "; ".join(dict.fromkeys(part.reason or part.words for part in missing)))
    total = math.fsum(part.value for part in parts if part.value is not None)
    is_lower = any(part.is_lower_bound for part in parts)
    return inherit_quality(Quantity(total, unit, is_lower_bound=is_lower), parts)


def scale_raw(amount_raw: int, decimals: int) -> Decimal:
    """Return whole units of an integer in smallest units, every digit kept (78 fit)."""
    return Decimal(amount_raw).scaleb(-decimals, _EXACT)


def render_count(count: float, one: str, many: str = "") -> str:
    """Render a count: "1 day", "2.5 days", "6,231 liquidations"."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{number} {one if count == 1 else many or one + 's'}"


def make_exact(number: Number) -> Decimal:
    """Return a Decimal with the digits as written (0.9995 stays 0.9995); a number that is not finite is an error."""
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if not exact.is_finite():
        raise ValueError(f"{number} is not a finite amount; mark the reading invalid instead")
    return exact
