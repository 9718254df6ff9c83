"""The ledger as it stood at an earlier time: what was on chain by then, and nothing later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

from ledger.history import BlockRow, SegmentHistory
from ledger.kinds import ChainStatus, SegmentStatus
from ledger.tables import Chain, Segment
from solvency.timeline import list_points


class PastError(Exception):
    """The ledger holds nothing that speaks of the time asked for; says what it does hold."""


class _Row(Protocol):
    @property
    def number(self) -> int: ...


_Rows = TypeVar("_Rows", bound=_Row)


def cut_history(history: SegmentHistory, moment: datetime) -> SegmentHistory:
    """Leave what was on chain at or below the last stored block at or before a time; raises PastError without one.

    The chain reads as if that block were its head. What is not kept by time stays as it is today: the segment's
    status, and what the fund file says of assets. Chain and segment are copies; the given rows are not changed.
    """
    index = bisect_right(history.blocks, moment, key=lambda block: block.time)
    if index == 0:
        raise PastError(_describe_start(history, moment))
    return cut_at(history, history.blocks[index - 1])


def cut_at(history: SegmentHistory, last: BlockRow) -> SegmentHistory:
    """The same for a block: leave what was on chain at or below it."""
    index = bisect_right(history.blocks, last.number, key=lambda block: block.number)
    return replace(
        history,
        segment=_copy_segment(history.segment, last.number),
        chain=_copy_chain(history.chain, last, is_older=index < len(history.blocks)),
        facts=_cut(history.facts, last.number),
        readings=_cut(history.readings, last.number),
        prices=_cut(history.prices, last.number),
        points=_cut(history.points, last.number),
        blocks=history.blocks[:index],
        coverage=[
            row._replace(to_number=min(row.to_number, last.number))
            for row in history.coverage
            if row.from_number <= last.number
        ],
        tip_number=_limit(history.tip_number, last.number),
    )


def find_end(history: SegmentHistory) -> datetime:
    """Time up to which the ledger knows the segment's chain: its head once that is reached, else its last block."""
    if not history.blocks:
        raise PastError(_describe_empty(history))
    last, chain, tip = history.blocks[-1].time, history.chain, history.tip_number
    if tip is None or chain.head_number is None or chain.head_time is None or tip < chain.head_number:
        return last
    return max(last, chain.head_time)


def find_settlement(history: SegmentHistory, day_end: datetime) -> datetime | None:
    """Time of the block that settles a day: the first scanned one at or after its end, for a venue the next poll.

    None: no such block is in the ledger.
    """
    if history.chain.is_venue or not history.coverage:
        return next((point.time for point in list_points(history) if point.time >= day_end), None)
    later = history.blocks[bisect_left(history.blocks, day_end, key=lambda block: block.time) :]
    return next((block.time for block in later if _is_scanned(history, block)), None)


def describe_status(history: SegmentHistory) -> str:
    """Say that the segment's status in the past is not kept, and which one stands in for it."""
    segment = history.segment
    reason = f": {segment.status_reason}" if segment.status_reason else ""
    return f"The segment's status at that time is not kept; today's stands in for it ({segment.status}{reason})."


def _is_scanned(history: SegmentHistory, block: BlockRow) -> bool:
    return any(row.from_number <= block.number <= row.to_number for row in history.coverage)


def _describe_start(history: SegmentHistory, moment: datetime) -> str:
    if not history.blocks:
        return _describe_empty(history)
    first = history.blocks[0]
    return (
        f"{history.segment.slug}: {_render(moment)} is before the first block in the ledger, "
        f"{first.number:,} of {_render(first.time)}: give a later time"
    )


def _describe_empty(history: SegmentHistory) -> str:
    return f"{history.segment.slug}: no block of its chain is in the ledger: run `backstop index` first"


def _copy_chain(chain: Chain, last: BlockRow, *, is_older: bool) -> Chain:
    """The chain with `last` as its head; trouble that came after it (`is_older`) had not come yet."""
    past = Chain(**chain.model_dump())
    if chain.head_number is not None:
        past.head_number, past.head_time = last.number, last.time
    past.finalized_number = _limit(chain.finalized_number, last.number)
    if is_older and chain.status in (ChainStatus.UNREACHABLE, ChainStatus.HALTED):
        past.status, past.status_reason = ChainStatus.FOLLOWING, ""
    return past


def _copy_segment(segment: Segment, number: int) -> Segment:
    """The segment; a halt names the block it began at, so that below it there was none."""
    past = Segment(**segment.model_dump())
    if segment.status == SegmentStatus.UNVERIFIED and (segment.status_number or 0) > number:
        past.status, past.status_reason, past.status_number = SegmentStatus.OK, "", None
    return past


def _cut(rows: Sequence[_Rows], number: int) -> Sequence[_Rows]:
    return rows[: bisect_right(rows, number, key=lambda row: row.number)]


def _limit(number: int | None, highest: int) -> int | None:
    return None if number is None else min(number, highest)


def _render(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
