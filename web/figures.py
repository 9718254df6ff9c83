"""One metric row as the figure pages print: text, all digits, block and time, quality with its reason."""

import re
from decimal import Decimal
from functools import cached_property, partial

from ledger.kinds import ChainStatus, DataStatus, FundKind, SegmentStatus
from ledger.latest import Number
from ledger.layers import has_fund
from ledger.moments import moment
from ledger.numbers import (
    INVALID,
    NO_BREAK,
    Rounding,
    finite,
    format_decimal,
    format_exact_value,
    format_value,
)
from ledger.pages import Place
from ledger.words import BAND_WORDS, data_words
from web.catalogue import describe
from web.contexts import Badge, Figure
from web.edition import Edition
from web.names import UNITS, neat, neat_symbol
from web.words import NOT_COMPUTED, badge

UNKNOWN = "unknown"
BANDS = frozenset({"size_band", "capital_efficiency"})
"""What is published as two ends and no number between."""
OWN_UNITS = frozenset({"gross_balance"})
"""Metrics in a fund's own token, whose symbol is their unit."""
HUGE = 18
"""Power of ten from which a number is shown by it."""
DIGITS = re.compile("([0-9]+)")
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
BOUND_WORDS = ("at least", "lower bound")
FUND_METRICS = frozenset(
    {
        "gross_balance", "usable_value", "usable_value_min_7d", "coverage", "coverage_of_exposure", "reference_loss",
        "gap_survived", "stress_coverage_20", "worst_7d_scaled", "coverage_worst_7d", "payout_total", "runway",
        "max_drawdown", "self_funding", "inflow_total", "outflow_total", "explained_share", "unbooked_loss",
        "market_cover", "coverage_expected_shortfall", "depletion_30d", "depletion_90d", "depletion_365d", "size_band",
        "capital_efficiency", "cover_1", "cover_2", "coverage_cover_2", "named_days", "cascade_loss_20",
        "expected_shortfall_975", "expected_shortfall_99", "value_at_risk_975", "value_at_risk_99", "backtest_975",
        "backtest_99", "protection_cost_1d", "protection_cost_7d", "surcharge_adequacy", "fund_return", "penalty_share",
    }
)  # fmt: skip
"""What only a fund has: without one these are not unknown but not there."""


class Figures:
    """The printed numbers of one segment."""

    def __init__(self, edition: Edition, place: Place) -> None:
        self.place = place
        self.metrics = edition.metrics_of(place)
        self._printed: dict[str, Figure] = {}

    def __call__(self, name: str) -> Figure:
        """The figure of a metric; a metric that is not there is unknown and says so."""
        found = self._printed.get(name)
        if found is None:
            metric = self.metrics.get(name)
            found = self._printed[name] = self._absent(name) if metric is None else figure(metric, self.place)
        return found

    def _absent(self, name: str) -> Figure:
        no_fund = name in FUND_METRICS and not has_fund(self.place)
        reason = "there is no fund, by design" if no_fund else NOT_COMPUTED
        if self.place.fund.kind == FundKind.RESERVE and self.metrics:
            reason = "it covers no defined exposure"
        word = "no fund" if no_fund else UNKNOWN
        return Figure(name, describe(name).title, word, word, "", "", UNKNOWN, reason, "", "")

    def all(self) -> tuple[Figure, ...]:
        """Every metric that was computed, by title; 30 days before 365."""
        found = [figure(metric, self.place) for metric in self.metrics.values()]
        return tuple(sorted(found, key=lambda one: in_order(one.title)))

    def metric(self, name: str) -> Number | None:
        """The row itself, for its detail."""
        return self.metrics.get(name)

    @property
    def _halted(self) -> str:
        """Since which block nothing of it is verified, and why; empty for a chain that is not halted.

        A page says so at once, whatever was computed before the chain stopped.
        """
        segment = self.place.segment
        return neat(segment.status_reason) if segment.status == SegmentStatus.UNVERIFIED else ""

    def badge(self) -> Badge:
        """Published status; a segment that was never computed is Not computable, or No fund by its kind."""
        return self._badge

    @cached_property
    def _badge(self) -> Badge:
        metric = self.metrics.get("status")
        if self._halted:
            return badge(None)
        if metric is None:
            return badge(None if has_fund(self.place) else "no_fund")
        # A reserve covers nothing that is defined: no band could be its best.
        best = (metric.detail or {}).get("at_best") if self.place.fund.kind != FundKind.RESERVE else None
        return badge(metric.text, f"at best {band_word(best)}" if best is not None else "")

    def status_reason(self) -> str:
        """Why the status is what it is, where the numbers alone do not say it."""
        metric = self.metrics.get("status")
        if self._halted:
            return self._halted
        if metric is not None:
            return _each_once(metric)
        parts = (self.place.segment.status_reason, self.place.chain.status_reason)
        return neat(next((reason for reason in parts if reason), "" if not has_fund(self.place) else NOT_COMPUTED))

    def data(self) -> tuple[str, str]:
        """Data status in words, and its reason."""
        return self._data

    @cached_property
    def _data(self) -> tuple[str, str]:
        metric = self.metrics.get("data_status")
        if self._halted:
            return data_words(DataStatus.UNVERIFIED), self._halted
        if metric is None and self.place.chain.status in (ChainStatus.UNREACHABLE, ChainStatus.HALTED):
            return data_words(DataStatus.SOURCE_DOWN), neat(self.place.chain.status_reason) or NOT_COMPUTED
        if metric is None:
            return UNKNOWN, neat(self.place.segment.status_reason) or NOT_COMPUTED
        return data_words(metric.text), neat(metric.reason)

    def as_of(self) -> str:
        """Block and time of the segment's numbers; empty before any."""
        metric = next(iter(self.metrics.values()), None)
        return as_of_words(metric, self.place) if metric else ""


def in_order(title: str) -> list[str | int]:
    """Words as words and numbers as numbers; they take turns, so that like meets like."""
    return [int(part) if at % 2 else part for at, part in enumerate(DIGITS.split(title))]


def figures_of(edition: Edition, place: Place) -> Figures:
    """The same of the latest numbers, made once: kept while neither those nor the words around them change.

    What a block moves may be older in its place: a page takes heads from its own.
    """

    def kept() -> Figures:
        told = edition.namings[place.segment_id].told
        return edition.computed(place).made_of("figures", told, partial(Figures, edition, place))

    return edition.once(("figures", place.segment_id), kept)


def _each_once(metric: Number) -> str:
    """The stored reason, or its single reasons without the names of what lacks them where several share one."""
    reasons = (metric.detail or {}).get("reasons")
    if not isinstance(reasons, dict) or len(reasons) < 2:
        return neat(metric.reason)
    parts = (part for reason in reasons.values() for part in str(reason).split("; "))
    return neat("; ".join(dict.fromkeys(parts)))


def band_word(band: object) -> str:
    """A band in words, whether stored as its number or its name."""
    number = finite(band)
    if number is not None and 0 <= number < len(BAND_WORDS):
        return BAND_WORDS[int(number)]
    return str(band).replace("_", " ").capitalize()


def as_of_words(metric: Number, place: Place) -> str:
    """block 12,345 (24 May 2021, 17:02 UTC), or the time alone where there are no true blocks."""
    return moment(metric.as_of_number, metric.as_of_time, place.chain)


def figure(metric: Number, place: Place) -> Figure:
    """The figure of one stored row."""
    entry = describe(metric.name)
    unit = unit_of(metric, place)
    text, exact = _printed(metric, unit, entry.rounding)
    interval = _interval(metric, unit, entry.rounding)
    if metric.name in BANDS and metric.value is None and interval:
        text, exact, interval = interval, interval, ""
    quality = metric.quality if text != INVALID else UNKNOWN
    reason = neat(metric.reason) if text != INVALID else "the stored value is no finite number"
    if text == UNKNOWN and metric.name in FUND_METRICS and not has_fund(place):
        text = exact = "no fund"
        reason = reason or "there is no fund, by design"
    return Figure(
        name=metric.name,
        title=entry.title,
        text=text,
        exact=exact,
        unit=unit,
        as_of=as_of_words(metric, place),
        quality=UNKNOWN if text in (UNKNOWN, "no fund") else quality,
        reason=reason or (NOT_COMPUTED if text == UNKNOWN else ""),
        interval=interval,
        href=f"/funds/{place.fund.slug}/facts/{metric.name}",
    )


def unit_of(metric: Number, place: Place) -> str:
    """The unit as pages print it: a token that is called as one of our own units stays a token."""
    if metric.unit in UNITS and (metric.name not in OWN_UNITS or place.asset is None):
        return metric.unit
    symbol = neat_symbol(metric.unit)
    is_own = metric.name in OWN_UNITS and place.asset is not None and symbol == neat_symbol(place.asset.symbol)
    return symbol if is_own or metric.unit not in UNITS else metric.unit


def _printed(metric: Number, unit: str, rounding: Rounding) -> tuple[str, str]:
    """Short and full text of a value, of its words, or of not knowing."""
    words = neat(metric.text).replace(">=", "≥").replace("<=", "≤") if metric.text else ""
    if metric.name in ("status", "status_raw"):
        return _status_text(metric)
    if metric.name == "data_status":
        return (data_words(metric.text),) * 2
    if metric.value is None:
        return (words, words) if words and metric.quality != UNKNOWN else (UNKNOWN, UNKNOWN)
    value = finite(metric.value)
    if value is None:
        return INVALID, INVALID
    if words.startswith(("≥", "≤")):
        return words, words
    bound = "at least " if _is_bound(metric) else ""
    return bound + _short(value, unit, rounding), bound + format_exact_value(value, unit)


def _short(value: Decimal, unit: str, rounding: Rounding) -> str:
    """As tables show it; what nobody can own, such as the largest number a contract can say, by its power of ten."""
    power = value.adjusted()
    if power < HUGE:
        return format_value(value, unit, rounding)
    size = f"{format_decimal(value.scaleb(-power), 2, rounding)}{NO_BREAK}×{NO_BREAK}10{str(power).translate(RAISED)}"
    if unit == "usd":
        return f"−${size[1:]}" if value < 0 else f"${size}"
    return f"{size}×" if unit == "ratio" else f"{size}{NO_BREAK}{unit}"


def _status_text(metric: Number) -> tuple[str, str]:
    if metric.name == "status":
        shown = badge(metric.text)
        return (shown.word,) * 2
    if metric.value is None:
        return (metric.text.replace("_", " ").capitalize(),) * 2 if metric.text else (UNKNOWN,) * 2
    return (band_word(metric.value),) * 2


def _is_bound(metric: Number) -> bool:
    is_marked = (metric.detail or {}).get("is_lower_bound") is True
    return is_marked or (metric.quality == "partial" and any(word in metric.reason.lower() for word in BOUND_WORDS))


def _interval(metric: Number, unit: str, rounding: Rounding) -> str:
    ends = [finite(end) for end in (metric.ci_low, metric.ci_high)]
    if ends == [None, None]:
        return ""
    low, high = (_short(end, unit, rounding) if isinstance(end, Decimal) else "?" for end in ends)
    return f"{low} to {high}".replace("? to ", "up to ").replace(" to ?", " or more")
