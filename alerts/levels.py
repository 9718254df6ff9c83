"""What level rules look at: new readings of a subject as signals, in order of chain time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from alerts.machine import Signal, grade
from alerts.thresholds import LevelRule
from ledger.alerts import BalanceRow, NewestNumber, NumberRow
from ledger.kinds import ChainStatus, DataStatus, Quality, SegmentStatus, Status
from ledger.numbers import finite, scale

COVERAGE, STATUS, USABLE = "coverage", "status", "usable_value"
NUMBERS = (COVERAGE, STATUS, USABLE)
"""Metrics that rules read."""


@dataclass(frozen=True)
class Look:
    """One reading of one rule. `signal` None: nothing can be said; `number` and `block_hash`: the block it holds at."""

    rule: str
    time: datetime
    number: int
    block_hash: str
    signal: Signal | None
    value: Decimal | None = None
    compared: Decimal | None = None
    """What the value is held against where that is no threshold: the highest balance before a drop."""
    hours: float | None = None
    """Within how many hours it dropped."""
    reason: str = ""
    is_of_block: bool = True
    """False where it is no reading of a block: it says how we stand at that time, `number` being the newest block."""


def look_at_coverage(name: str, rule: LevelRule, rows: Iterable[NumberRow]) -> Iterator[Look]:
    """Coverage against its thresholds; a lower bound argues for the end only, since the true value may be higher."""
    for row in rows:
        if row.name != COVERAGE:
            continue
        value, signal = _known(row), None
        if value is not None and rule.clear is not None:
            signal = grade(float(value), rule.enter, rule.clear)
            if (row.detail or {}).get("is_lower_bound") is True and not signal.is_clear:
                signal = None
        yield Look(name, row.time, row.number, row.block_hash, signal, value)


def look_at_status(name: str, rows: Iterable[NumberRow]) -> Iterator[Look]:
    """The published status: Depleted or not; where it is not computable nothing is said."""
    for row in rows:
        if row.name != STATUS:
            continue
        unknown = row.text in (None, Status.NOT_COMPUTABLE) or row.quality in (Quality.UNKNOWN, Quality.STALE)
        is_depleted = row.text == Status.DEPLETED
        signal = None if unknown else Signal(int(is_depleted), is_clear=not is_depleted)
        yield Look(name, row.time, row.number, row.block_hash, signal)


def look_at_composition(name: str, rule: LevelRule, rows: Iterable[NumberRow]) -> Iterator[Look]:
    """Share of the platform's own token (whose floor haircut takes all of it) in the fund's value."""
    for row in rows:
        if row.name != USABLE:
            continue
        share = None if row.quality in (Quality.UNKNOWN, Quality.STALE) else own_token_share(row.detail or {})
        signal = None if share is None or rule.clear is None else grade(float(share), rule.enter, rule.clear)
        yield Look(name, row.time, row.number, row.block_hash, signal, share)


def own_token_share(detail: dict[str, Any]) -> Decimal | None:
    """Value in the platform's own token ÷ value of all assets; None where one of them is unknown or nothing is held."""
    total = own = Decimal(0)
    for asset in detail.get("assets", ()):
        quantity, price = finite(asset.get("qty")), finite(asset.get("price"))
        if quantity is None or price is None:
            return None
        total += quantity * price
        own += quantity * price if asset.get("floor_haircut") == 1 else 0
    return own / total if total > 0 else None


def look_at_balance(name: str, rule: LevelRule, rows: Sequence[BalanceRow], *, above: int) -> Iterator[Look]:
    """Each balance above a block against the highest one of the hours before it."""
    known = _Balances([(row, scale(row.value_raw, row.decimals)) for row in rows if row.value_raw is not None])
    for row in rows:
        if row.number <= above:
            continue
        if row.value_raw is None:
            yield Look(name, row.time, row.number, row.block_hash, None)
            continue
        value = scale(row.value_raw, row.decimals)
        level, peak, hours = 0, None, None
        for index, drop in enumerate(rule.drops, start=1):
            highest = known.peak(row, hours=drop.hours)
            if highest is not None and highest > 0 and (highest - value) / highest >= Decimal(str(drop.share)):
                level, peak, hours = index, highest, drop.hours
        yield Look(name, row.time, row.number, row.block_hash, Signal(level, level == 0), value, peak, hours)


class _Balances:
    """Balances that were read, by block."""

    def __init__(self, rows: Sequence[tuple[BalanceRow, Decimal]]) -> None:
        self._numbers = [row.number for row, _ in rows]
        self._times = [row.time for row, _ in rows]
        self._values = [value for _, value in rows]

    def peak(self, row: BalanceRow, *, hours: float) -> Decimal | None:
        """The highest balance that held at any moment of the hours before a reading."""
        end = bisect_left(self._numbers, row.number)
        # The last one read before those hours still stood when they began.
        first = bisect_right(self._times, row.time - timedelta(hours=hours), hi=end) - 1
        return max(self._values[max(first, 0) : end], default=None)


@dataclass(frozen=True)
class Source:
    """How a chain stands at one look: `now` and `tip_time` on its own clock; `still`: for so long the tip stood."""

    status: str
    status_reason: str
    now: datetime
    head_time: datetime | None
    tip_number: int
    tip_hash: str
    tip_time: datetime
    still: timedelta

    def look(self, rule: str, signal: Signal | None, value: Decimal | None = None, *, reason: str) -> Look:
        """How it stands now as a look of a rule."""
        return Look(rule, self.now, self.tip_number, self.tip_hash, signal, value, reason=reason, is_of_block=False)


def look_at_age(name: str, rule: LevelRule, source: Source, *, until: datetime) -> Look:
    """How old the tip is at `until`. A tip that moves is catching up: that is neither stale nor current."""
    age = (until - source.tip_time).total_seconds() / 60
    is_still = source.still.total_seconds() >= rule.still_seconds
    is_old = rule.minutes is not None and age > rule.minutes
    is_current = rule.clear_minutes is not None and age <= rule.clear_minutes
    signal = Signal(int(is_old and is_still), is_clear=is_current)
    value = Decimal(max(0, round(age)))
    return source.look(name, signal, value, reason=source.status_reason)


def look_at_data(name: str, status: NewestNumber | None, balance: NewestNumber | None, source: Source) -> Look:
    """Whether what is read of a segment is old or not answered, by its published data status and balance.

    A source that is down or not to be trusted is told by its own rules.
    """
    if status is None or status.text in (DataStatus.SOURCE_DOWN, DataStatus.UNVERIFIED):
        return source.look(name, None, reason="")
    if status.text == DataStatus.STALE:
        return source.look(name, Signal(1), reason=status.reason)
    if balance is not None and balance.quality == Quality.UNKNOWN:
        return source.look(name, Signal(1), reason=balance.reason)
    return source.look(name, Signal(0, is_clear=True), reason="")


def look_at_halt(name: str, source: Source) -> Look:
    """Whether the chain contradicts what was final."""
    is_halted = source.status == ChainStatus.HALTED
    signal = Signal(int(is_halted), is_clear=source.status == ChainStatus.FOLLOWING)
    return source.look(name, signal, reason=source.status_reason)


def look_at_reconciliation(name: str, status: str, reason: str, source: Source) -> Look:
    """Whether recorded flows explain the balance."""
    signals = {SegmentStatus.UNRECONCILED: Signal(1), SegmentStatus.OK: Signal(0, is_clear=True)}
    signal = signals.get(SegmentStatus(status)) if status in set(SegmentStatus) else None
    return source.look(name, signal, reason=reason)


def _known(row: NumberRow) -> Decimal | None:
    """The value where it is one that holds."""
    return None if row.quality in (Quality.UNKNOWN, Quality.STALE) else finite(row.value)
