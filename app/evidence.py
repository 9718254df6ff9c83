"""The input rows behind a number: counts by stream, the last readings and prices, facts summed by role."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from ledger.history import UNUSED_READINGS, FactRow, SegmentHistory
from ledger.numbers import scale
from ledger.tables import Asset, Price, Reading
from ledger.words import plain
from solvency.walk import MONEY_NAMES
from web.catalogue import readings_of


class Evidence(NamedTuple):
    """One input row: a contract read, or a price from its feed."""

    stream: str
    block: int
    time: datetime
    name: str
    contract: str
    call: str
    value_raw: str | None
    decimals: int
    error: str | None


class FactSum(NamedTuple):
    """The facts of one role and side in one asset, with the most recent of them."""

    role: str
    side: str
    unit: str
    n_facts: int
    total: Decimal
    last_block: int
    last_time: datetime


def count_rows(past: SegmentHistory, stream: str) -> tuple[int, int | None]:
    """How many rows of a stream the number stands on, and the block of the last one."""
    numbers = {
        "facts": [row.number for row in past.facts],
        "money": [row.number for row in past.readings if row.name in MONEY_NAMES],
        "markets": [row.number for row in past.readings if row.name not in MONEY_NAMES],
        "prices": [row.number for row in past.prices],
    }[stream]
    return len(numbers), max(numbers, default=None)


def list_evidence(
    readings: Sequence[Reading], prices: Sequence[tuple[Price, Asset]], streams: Sequence[str]
) -> list[Evidence]:
    """The last readings and prices at or below the as-of block, of the streams the number is made of."""
    found = [
        Evidence(
            "money" if read.name in MONEY_NAMES else "markets",
            read.block_number, read.block_time, " ".join((plain(read.name), read.subject)).strip(),
            read.contract, read.call, digits(read.value_raw), read.decimals, read.error,
        )
        for read in readings
        if read.name not in UNUSED_READINGS
    ]  # fmt: skip
    found += [
        Evidence(
            "prices", price.block_number, price.block_time, f"price of {asset.symbol}", price.feed, "the feed's answer",
            digits(price.answer_raw), price.decimals, price.error,
        )
        for price, asset in prices
    ]  # fmt: skip
    return [row for row in found if row.stream in streams]


def digits(raw: int | None) -> str | None:
    """A 256-bit integer as text: JSON readers round such numbers."""
    return None if raw is None else str(raw)


def rank_evidence(evidence: Sequence[Evidence], metric: str) -> list[Evidence]:
    """The readings that the metric's page shows first, then the most recent."""
    named = tuple(plain(name) for name in readings_of(metric))
    return sorted(evidence, key=lambda row: (not row.name.startswith(named), -row.block, row.name))


def sum_facts(past: SegmentHistory) -> list[FactSum]:
    """Exact sums of facts by role, side and asset."""

    def key(row: FactRow) -> tuple[str, str, int]:
        return row.role, row.side or "", row.asset_id or past.segment.asset_id or 0

    return [sum_group(past, names, list(rows)) for names, rows in groupby(sorted(past.facts, key=key), key=key)]


def sum_group(past: SegmentHistory, names: tuple[str, str, int], rows: Sequence[FactRow]) -> FactSum:
    """One of those sums; without a known asset it stays in smallest units."""
    role, side, asset_id = names
    asset = past.assets.get(asset_id)
    total = sum(row.amount_raw or 0 for row in rows)
    last = max(rows, key=lambda row: row.number)
    return FactSum(
        role, side, asset.symbol if asset else "smallest units", len(rows),
        scale(total, asset.decimals if asset else 0), last.number, datetime.fromtimestamp(last.seconds, UTC),
    )  # fmt: skip
