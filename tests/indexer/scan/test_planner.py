"""Holes and stretches: nothing twice, nothing left out, whatever is covered already."""

from hypothesis import given
from hypothesis import strategies as st

from indexer.scan.planner import Stretch, holes, plan

INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=6)


def test_holes_are_what_is_wanted_minus_what_is_covered() -> None:
    assert holes((10, 50), []) == [(10, 50)]
    assert holes((10, 50), [(10, 50)]) == []
    assert holes((10, 50), [(0, 12), (20, 30), (50, 99)]) == [(13, 19), (31, 49)]


def test_segments_that_miss_the_same_blocks_share_a_stretch() -> None:
    assert plan({1: [(0, 99)], 2: [(50, 99)], 3: []}) == [
        Stretch(0, 49, frozenset({1})),
        Stretch(50, 99, frozenset({1, 2})),
    ]


@given(first=st.integers(0, 30), length=st.integers(0, 30), covered=INTERVALS)
def test_holes_hold_exactly_the_uncovered_blocks(first: int, length: int, covered: list[tuple[int, int]]) -> None:
    missing = [n for start, end in holes((first, first + length), covered) for n in range(start, end + 1)]
    has = {n for start, end in covered for n in range(start, end + 1)}
    assert missing == [n for n in range(first, first + length + 1) if n not in has]


@given(st.dictionaries(st.integers(1, 4), INTERVALS))
def test_stretches_name_for_each_block_exactly_the_segments_that_miss_it(
    missing: dict[int, list[tuple[int, int]]],
) -> None:
    planned = {n: s.segments for s in plan(missing) for n in range(s.first, s.last + 1)}
    wanted: dict[int, set[int]] = {}
    for segment, parts in missing.items():
        for start, end in parts:
            for n in range(start, end + 1):
                wanted.setdefault(n, set()).add(segment)
    assert planned == wanted
