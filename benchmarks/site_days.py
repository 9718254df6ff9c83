"""The numbers of the benchmark's funds: the last days as the calculator works them out, the years before after them.

Working out three years of sixty funds takes the calculator many minutes. A page looks at the newest numbers
and at the series of a few; so the newest are real, and each day before has the same rows with its own balance.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from benchmarks.site_plan import NOW
from ledger.bulk import Same, insert_columns
from ledger.clock import chain_now
from ledger.database import reading, writing
from ledger.history import SegmentHistory, list_segments, load_history
from ledger.kinds import ReadingName
from ledger.metrics import MetricRow, SettledDay
from ledger.tables import Metric
from solvency.compute import compute_days
from solvency.outlook import FORECASTS
from solvency.timeline import DayPlan, plan_days

COLUMNS = (*MetricRow.__dataclass_fields__, "computed_at")
ALL_POINTS = timedelta(days=31)
POINTS_A_WEEK = 28
OF_BALANCE = ("gross_balance", "usable_value", "usable_value_min_7d")
"""Their value in the years before is the day's own."""


def write_days(engine: Engine) -> int:
    """Writes the numbers of all segments and returns how many rows there are."""
    with reading(engine) as session:
        segments = list_segments(session)
    written = 0
    for segment in segments:
        with reading(engine) as session:
            history = load_history(session, segment)
        plans = plan_days(history, chain_now(history.chain, lambda: NOW) or NOW)
        newest = _compute_newest(history, plans)
        with writing(engine) as session:
            insert_columns(session, Metric, COLUMNS, _columns(history, plans, newest))
        written += len(plans) * len(newest)
    return written


def _compute_newest(history: SegmentHistory, plans: list[DayPlan]) -> list[MetricRow]:
    """The last day by the calculator itself, which is told that all days before are settled."""
    band = SettledDay(1, dict.fromkeys(FORECASTS.values()))
    *_, rows = compute_days(_thin(history), plans, {plan.name: band for plan in plans[:-1]})
    return rows


def _thin(history: SegmentHistory) -> SegmentHistory:
    """All points of the last days, by which ages are judged, and before them one a week."""
    since = max((point.time for point in history.points), default=NOW) - ALL_POINTS
    points = [point for at, point in enumerate(history.points) if point.time > since or at % POINTS_A_WEEK == 0]
    return replace(history, points=points)


def _columns(
    history: SegmentHistory, plans: Sequence[DayPlan], newest: Sequence[MetricRow]
) -> list[Same | Sequence[Any]]:
    """Day by day the rows of the newest one, each with its own block and balance."""
    balances = {row.number: row.value_raw for row in history.readings if row.name == ReadingName.BALANCE}
    last = balances.get(plans[-1].as_of.number)
    columns: dict[str, Same | Sequence[Any]] = {
        name: [getattr(row, name) for row in newest] * len(plans) for name in MetricRow.__dataclass_fields__
    }
    by_day: dict[str, list[Any]] = {
        "day": [plan.name for plan in plans],
        "as_of_number": [plan.as_of.number for plan in plans],
        "as_of_hash": [plan.as_of.block_hash for plan in plans],
        "as_of_time": [plan.as_of.time for plan in plans],
        "is_day_final": [plan.is_final for plan in plans],
    }
    columns |= {name: [value for value in values for _ in newest] for name, values in by_day.items()}
    shares = [_share(balances.get(plan.as_of.number), last) for plan in plans]
    columns["value"] = [_value(row, share) for share in shares for row in newest]
    return [columns.get(name, Same(NOW)) for name in COLUMNS]


def _share(balance: int | None, last: int | None) -> Decimal:
    """A day's balance as a share of the last; 1 where one of the two is not known."""
    return Decimal(balance) / Decimal(last) if balance and last else Decimal(1)


def _value(row: MetricRow, share: Decimal) -> Decimal | None:
    """The value as it stands on a day; on the last day it is the calculator's own."""
    if row.value is None or share == 1 or row.name not in OF_BALANCE:
        return row.value
    return (row.value * share).quantize(row.value)
