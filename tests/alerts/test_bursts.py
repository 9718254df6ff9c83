"""Bursts: the first at once, what follows once a window, by chain time alone and however often somebody looks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.bursts import Burst, split_bursts
from alerts.thresholds import load_rules
from ledger.alerts import HappeningRow
from ledger.kinds import Role

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MINUTES = load_rules().burst_minutes

Groups = list[list[int]]
"""Log indexes, group by group."""


def row(minute: float, log: int, *, block: int | None = None) -> HappeningRow:
    """A shortfall at a minute; blocks are told apart by their minute unless they are named."""
    number = round(minute * 5) if block is None else block
    return HappeningRow(
        segment_id=1, role=Role.SHORTFALL, amount_raw=1, asset_id=1, account=None, market=None, block_number=number,
        block_time=START + minute * MINUTE, block_hash=f"0x{number}", log_index=log, fact_no=0, tx_hash=None,
        since_number=None, detail=None,
    )  # fmt: skip


def rows(*minutes: float) -> list[HappeningRow]:
    return [row(minute, log) for log, minute in enumerate(minutes)]


def split(given_rows: Sequence[HappeningRow], until: float, burst: Burst | None = None) -> tuple[Groups, Burst | None]:
    groups, after = split_bursts(given_rows, burst, until=START + until * MINUTE, minutes=MINUTES)
    return [[one.log_index for one in group] for group in groups], after


def look_often(given_rows: Sequence[HappeningRow], looks: Sequence[float]) -> Groups:
    """What is told when somebody looks at these minutes, each time at what is there by then and was not told."""
    burst: Burst | None = None
    told: Groups = []
    for minute in looks:
        known = {log for group in told for log in group}
        untold = [one for one in given_rows if one.block_time <= START + minute * MINUTE and one.log_index not in known]
        groups, burst = split(untold, minute, burst)
        told += groups
    return told


def test_the_first_is_told_at_once_and_alone() -> None:
    assert split(rows(0), 0) == ([[0]], Burst(START))


def test_what_follows_within_ten_minutes_waits_for_their_end_and_is_one_group() -> None:
    assert split(rows(0, 3, 7, 10), 10) == ([[0]], Burst(START))
    assert split(rows(0, 3, 7, 10), 10.2) == ([[0], [1, 2, 3]], Burst(START + 10 * MINUTE, 1))


def test_the_windows_after_the_first_last_an_hour_each() -> None:
    given_rows = rows(0, 5, 11, 69, 71, 129, 131)
    assert split(given_rows, 200)[0] == [[0], [1], [2, 3], [4, 5], [6]]


def test_a_window_without_any_ends_the_burst_and_the_next_is_told_at_once() -> None:
    assert split(rows(0), 10.2) == ([[0]], None)
    assert split(rows(0, 5, 71), 71)[0] == [[0], [1], [2]]
    assert split(rows(0, 11), 11) == ([[0], [1]], Burst(START + 11 * MINUTE))


def test_what_one_block_has_is_told_together() -> None:
    head = [row(0, 0, block=7), row(0, 1, block=7), row(1, 2, block=8), row(1, 3, block=8)]
    assert split(head, 11)[0] == [[0, 1], [2, 3]]


def test_nothing_is_told_twice_when_what_was_told_is_left_out() -> None:
    given_rows = rows(0, 3, 7)
    groups, burst = split(given_rows, 7)
    assert groups == [[0]]
    assert split(given_rows[1:], 11, burst) == ([[1, 2]], Burst(START + 10 * MINUTE, 1))


def test_what_is_found_late_is_told_with_the_window_under_way() -> None:
    _, burst = split(rows(0, 3), 11)
    late = row(5, 9)
    assert split([late], 12, burst) == ([], burst)
    assert split([late], 71, burst)[0] == [[9]]


minutes = st.integers(0, 1500).map(lambda fifth: fifth / 5)
"""Blocks come every twelve seconds."""


@given(st.lists(minutes, max_size=40).map(sorted), st.lists(minutes, max_size=30).map(sorted))
def test_how_often_somebody_looks_does_not_matter(times: list[float], looks: list[float]) -> None:
    given_rows, end = rows(*times), 2000.0
    once = look_often(given_rows, [end])
    assert look_often(given_rows, [*looks, end]) == once
    assert sorted(log for group in once for log in group) == list(range(len(times)))


@given(st.lists(minutes, max_size=200).map(sorted))
def test_of_three_messages_in_a_row_the_last_is_ten_minutes_after_the_first(times: list[float]) -> None:
    given_rows = rows(*times)
    groups, _ = split(given_rows, 3000)
    began = [given_rows[group[0]].block_time for group in groups]
    assert all(third - first >= 10 * MINUTE for first, third in zip(began, began[2:], strict=False))
