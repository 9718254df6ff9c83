"""Holes and rungs as intervals: by hand, and against block-by-block truth."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from indexer.gaps import Interval, intervals_of, share_of
from ledger.coverage import Verified


def test_what_nobody_scanned_is_a_hole_and_higher_rungs_are_named_where_they_were_passed() -> None:
    covered = [Verified(1, 0, 9), Verified(2, 20, 29)]
    verified = [Verified(2, 5, 9), Verified(2, 20, 29), Verified(4, 25, 25)]
    assert intervals_of((0, 34), covered, verified) == [
        Interval(0, 4, (0, 1)),
        Interval(5, 9, (0, 1, 2)),
        Interval(10, 19, ()),
        Interval(20, 24, (0, 1, 2)),
        Interval(25, 25, (0, 1, 2, 4)),
        Interval(26, 29, (0, 1, 2)),
        Interval(30, 34, ()),
    ]


def test_a_proof_of_blocks_that_are_not_covered_leaves_them_a_hole() -> None:
    assert intervals_of((0, 9), [], [Verified(4, 3, 5)]) == [Interval(0, 9, ())]


def test_the_share_of_a_rung_is_counted_in_blocks() -> None:
    intervals = intervals_of((0, 9), [Verified(2, 0, 4)], [])
    assert (share_of(intervals, 2), share_of(intervals, 3), share_of([], 2)) == (0.5, 0.0, 1.0)
    assert [interval.level for interval in intervals] == [2, None]


spans = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
covering = st.lists(st.tuples(st.integers(0, 2), spans).map(lambda pair: Verified(pair[0], *pair[1])), max_size=6)
proving = st.lists(st.tuples(st.integers(2, 5), spans).map(lambda pair: Verified(pair[0], *pair[1])), max_size=6)


@given(wanted=spans, covered=covering, verified=proving)
def test_every_wanted_block_is_in_exactly_one_interval_with_the_rungs_it_passed(
    wanted: tuple[int, int], covered: list[Verified], verified: list[Verified]
) -> None:
    found = intervals_of(wanted, covered, verified)
    assert [n for interval in found for n in range(interval.first, interval.last + 1)] == [
        *range(wanted[0], wanted[1] + 1)
    ]
    for interval in found:
        for number in range(interval.first, interval.last + 1):
            rungs = {rung for level, low, high in covered if low <= number <= high for rung in range(level + 1)}
            higher = {level for level, low, high in verified if low <= number <= high} if rungs else set()
            assert set(interval.passed) == rungs | higher
    assert all(one.passed != other.passed for one, other in pairwise(found))
