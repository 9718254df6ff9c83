"""Sizes of ranges: shrink when refused, keep to stated limits, grow with thin logs."""

from indexer.rpc.errors import AnswerTooLargeError, RangeTooWideError
from indexer.scan.ranges import FORGET_AFTER, RangeSizer


def test_thin_logs_make_ranges_grow_and_dense_ones_make_them_fit() -> None:
    sizer = RangeSizer(1_000, wanted_logs=10_000)
    sizer.answered(1_000, 0)
    assert sizer.blocks == 4_000
    sizer.answered(4_000, 40_000)
    assert sizer.blocks == 1_000


def test_a_stated_limit_is_kept_for_good() -> None:
    sizer = RangeSizer(2_000)
    sizer.refused(2_000, RangeTooWideError("limited to a 1000 blocks range", limit=1_000))
    for _ in range(FORGET_AFTER * 3):
        assert sizer.next_range(0, 10**6) == (0, 999)
        sizer.answered(1_000, 0)


def test_a_stated_limit_that_the_refused_range_kept_to_is_not_believed() -> None:
    sizer = RangeSizer(1_000)
    sizer.refused(1_000, RangeTooWideError("limited to a 1000 blocks range", limit=1_000))
    assert sizer.blocks == 500


def test_a_learned_limit_is_tried_again_after_a_while() -> None:
    sizer = RangeSizer(1_000)
    sizer.refused(1_000, RangeTooWideError("too wide"))
    for _ in range(FORGET_AFTER):
        sizer.answered(500, 0)
        assert sizer.blocks == 500
    sizer.answered(500, 0)
    assert sizer.blocks == 2_000


def test_too_many_results_halve_down_to_one_block() -> None:
    sizer = RangeSizer(5)
    for wanted in (2, 1, 1):
        sizer.refused(sizer.blocks, AnswerTooLargeError("too many"))
        assert sizer.blocks == wanted


def test_a_remainder_says_nothing_about_density() -> None:
    sizer = RangeSizer(1_000)
    sizer.answered(3, 0)
    assert sizer.blocks == 1_000


def test_ranges_never_pass_the_end() -> None:
    assert RangeSizer(1_000).next_range(5, 9) == (5, 9)


def test_one_dense_stretch_does_not_make_the_ranges_of_a_thin_chain_small_for_long() -> None:
    sizer = RangeSizer(4_000)
    sizer.answered(4_000, 40)
    for _ in range(20):
        sizer.refused(sizer.blocks, AnswerTooLargeError("more than 10000 results"))
    assert sizer.blocks == 1
    for _ in range(10):
        sizer.answered(sizer.blocks, sizer.blocks // 100)
    assert sizer.blocks > 10_000
