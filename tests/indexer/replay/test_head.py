"""The head of a replay: a function of a clock or of who moves it, never of sleeping."""

import pytest

from indexer.replay.head import Head

TIMES = [1000, 1010, 1010, 1500, 2000, 9000]


class Hand:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_without_a_pace_the_whole_recording_is_there_and_final() -> None:
    head = Head(TIMES, first=100)
    assert (head.number, head.finalized, head.time, head.is_at_end) == (105, 105, 9000, True)


def test_a_head_moved_by_hand_leaves_the_latest_blocks_unfinal_until_the_end() -> None:
    head = Head(TIMES, first=100, start=100)
    assert (head.number, head.finalized) == (100, 100)
    head.advance_to(103)
    assert (head.number, head.finalized) == (103, 101)
    head.advance_to(105)
    assert (head.number, head.finalized) == (105, 105)


def test_a_head_never_moves_back_nor_past_the_end() -> None:
    head = Head(TIMES, first=100, start=102)
    head.advance_to(101)
    assert head.number == 102
    head.advance_to(999)
    assert head.number == 105


def test_a_head_moved_to_a_moment_stands_at_the_last_block_not_younger() -> None:
    head = Head(TIMES, first=100, start=100)
    head.advance_to_time(1010)
    assert head.number == 102
    head.advance_to_time(1999)
    assert head.number == 103
    head.advance_to_time(5)
    assert head.number == 103


def test_a_growing_head_follows_chain_time_from_the_first_question_on() -> None:
    clock = Hand()
    head = Head(TIMES, first=0, chain_seconds_per_second=100, depth=1, clock=clock)
    clock.now += 1_000_000  # Nobody has asked yet: nothing has happened.
    assert head.number == 0
    clock.now += 0.1
    assert (head.number, head.finalized) == (2, 1)
    clock.now += 4.8
    assert head.number == 2
    clock.now += 0.1
    assert head.number == 3
    clock.now += 1000
    assert (head.number, head.finalized, head.is_at_end) == (5, 5, True)


def test_a_head_that_starts_in_the_middle_grows_from_there() -> None:
    clock = Hand()
    head = Head(TIMES, start=3, chain_seconds_per_second=10, clock=clock)
    assert head.number == 3
    clock.now += 50
    assert head.number == 4


@pytest.mark.parametrize("options", [{"depth": -1}, {"chain_seconds_per_second": 0}])
def test_a_senseless_head_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="depth must be 0 or more"):
        Head(TIMES, **options)
    with pytest.raises(ValueError, match="at least one block"):
        Head([])
