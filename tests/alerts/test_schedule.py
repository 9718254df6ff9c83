"""The schedule of retries: its pauses, their jitter, and a receiver's own wish."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.schedule import JITTER, PAUSES, pause_after

DAY = 86_400.0


class Even(random.Random):
    """Dice that always show the middle."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_the_pauses_are_those_of_standard_webhooks_and_the_tenth_attempt_is_the_last() -> None:
    dice = Even()
    pauses = [pause_after(attempts, dice=dice) for attempts in range(1, 12)]
    hours = [timedelta(hours=each) for each in (2, 5, 10, 14, 20, 24)]
    assert pauses == [
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        *hours,
        None,
        None,
    ]


@given(st.integers(1, len(PAUSES)), st.integers())
def test_chance_moves_a_pause_by_a_tenth_at_most(attempts: int, seed: int) -> None:
    pause = pause_after(attempts, dice=random.Random(seed))
    assert pause is not None
    assert abs(pause / PAUSES[attempts - 1] - 1) <= JITTER + 1e-6


def test_chance_uses_its_whole_room(seed: int) -> None:
    dice = random.Random(seed)
    shares = [pause / PAUSES[2] for _ in range(400) if (pause := pause_after(3, dice=dice)) is not None]
    assert min(shares) < 1 - 0.8 * JITTER
    assert max(shares) > 1 + 0.8 * JITTER
    assert len(set(shares)) > 300


@pytest.mark.parametrize(
    ("attempts", "wish", "seconds"),
    [
        (1, None, 5),
        (1, 0.0, 5),
        (1, 4.0, 5),
        (1, 60.0, 60),
        (2, 60.0, 300),
        (1, DAY, DAY),
        (1, 30 * DAY, DAY),
        (1, float("inf"), DAY),
        (1, float("nan"), 5),
        (1, -60.0, 5),
        (9, 2 * DAY, DAY),
    ],
)
def test_a_receiver_may_ask_for_more_patience_up_to_a_day(attempts: int, wish: float | None, seconds: float) -> None:
    assert pause_after(attempts, retry_after=wish, dice=Even()) == timedelta(seconds=seconds)


def test_a_wish_does_not_add_an_attempt() -> None:
    assert pause_after(10, retry_after=60.0, dice=Even()) is None
