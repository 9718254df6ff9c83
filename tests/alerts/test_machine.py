"""The state machine: a change that lasts is told once, noise is not, and missing readings change nothing."""

import random
import statistics
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.machine import MEMORY, PATIENCE, Said, Signal, State, Terms, grade, settle, step
from alerts.thresholds import LevelRule, load_rules
from ledger.kinds import AlertPhase

BEGAN, WORSENED, ENDED, UNSTABLE = Said.BEGAN, Said.WORSENED, Said.ENDED, Said.UNSTABLE
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP, HOUR, DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
COVERAGE = load_rules().levels["coverage_low"]
MOST = load_rules().max_episodes_a_day
TERMS = Terms(COVERAGE.enter_after, COVERAGE.clear_after, MOST)
QUICK = Terms(1, 1, MOST)
LOW, BAND, CLEAR = Signal(1), Signal(0), Signal(0, is_clear=True)
SEEDS = range(20)


def signal_of(value: float | None, rule: LevelRule = COVERAGE) -> Signal | None:
    assert rule.clear is not None
    return None if value is None else grade(value, rule.enter, rule.clear)


def run(
    signals: Iterable[Signal | None], *, state: State | None = None, terms: Terms = TERMS, every: timedelta = STEP
) -> tuple[State, list[tuple[int, Said]]]:
    """The state after all readings, and (place of the reading, what was said)."""
    state, said = state or State(), []
    for place, signal in enumerate(signals):
        state, word = step(state, signal, START + place * every, terms)
        if word is not None:
            said.append((place, word))
    return state, said


def told(values: Iterable[float | None]) -> list[tuple[int, Said]]:
    return run(signal_of(value) for value in values)[1]


def month_at_the_threshold(seed: int) -> Iterator[float]:
    """Thirty days of readings every five minutes of a coverage that hugs 1."""
    dice = random.Random(seed)
    state = 1.02
    for _ in range(30 * 24 * 12):
        state += 0.02 * (1.02 - state) + 0.006 * dice.gauss(0, 1)
        yield state + 0.004 * dice.gauss(0, 1)


def count_crossings(values: Sequence[float]) -> int:
    """Messages of an alarm that speaks whenever the value gets below 1, or back."""
    sides = [value < 1 for value in values]
    return sum(before != after for before, after in pairwise(sides))


def test_a_month_that_hugs_the_threshold_gives_a_handful_of_messages_where_a_naive_alarm_gives_hundreds() -> None:
    counts, naive = [], []
    for seed in SEEDS:
        values = list(month_at_the_threshold(seed))
        counts.append(len(told(values)))
        naive.append(count_crossings(values))
        print(f"seed {seed}: {counts[-1]} messages, a naive alarm {naive[-1]}")
    assert min(naive) >= 200
    assert max(counts) <= 5
    assert statistics.median(counts) <= 2
    assert min(counts) >= 1  # It does go low for good: silence would be no answer either.


def test_a_clean_break_is_told_at_the_third_reading_and_its_end_at_the_twelfth() -> None:
    assert told([1.3, 1.3, *[0.7] * 3]) == [(4, BEGAN)]
    assert told([1.3, 1.3, *[0.7] * 2]) == []
    assert told([*[0.7] * 3, *[1.3] * 12]) == [(2, BEGAN), (14, ENDED)]
    assert told([*[0.7] * 3, *[1.3] * 11]) == [(2, BEGAN)]


def test_one_reading_back_above_the_threshold_begins_the_count_anew() -> None:
    assert told([0.7, 0.7, 1.02, 0.7, 0.7]) == []
    assert told([0.7, 0.7, 1.02, 0.7, 0.7, 0.7]) == [(5, BEGAN)]
    assert told([*[0.7] * 3, *[1.3] * 11, 1.05, *[1.3] * 11]) == [(2, BEGAN)]


def test_it_is_told_again_when_it_gets_worse_and_not_when_it_gets_better_or_as_bad_again() -> None:
    worse = [*[0.7] * 3, *[0.4] * 3, *[0.2] * 3]
    assert told(worse) == [(2, BEGAN), (5, WORSENED), (8, WORSENED)]
    state, _ = run(signal_of(value) for value in worse)
    assert (state.level, state.began) == (3, START + 2 * STEP)  # One episode.
    assert told([*worse, *[0.7] * 5, *[0.2] * 5, *[0.4] * 5]) == [(2, BEGAN), (5, WORSENED), (8, WORSENED)]


def test_a_fall_through_several_thresholds_at_once_is_one_message() -> None:
    assert told([1.3, *[0.1] * 9]) == [(3, BEGAN)]
    assert run(signal_of(value) for value in [0.1] * 3)[0].level == 3


def test_two_worse_readings_are_not_yet_worse() -> None:
    assert told([*[0.7] * 3, 0.4, 0.4, 0.7, 0.4, 0.4]) == [(2, BEGAN)]
    assert told([*[0.7] * 3, 0.4, 0.2, 0.4]) == [(2, BEGAN), (5, WORSENED)]


def test_between_enter_and_clear_nothing_is_said_and_nothing_ends() -> None:
    assert told([1.0, 1.05, 1.0999] * 50) == []
    state, said = run(signal_of(value) for value in [*[0.7] * 3, *[1.0, 1.05, 1.0999] * 50])
    assert said == [(2, BEGAN)]
    assert state.phase is AlertPhase.FIRING


def test_exactly_at_a_threshold_it_is_neither_low_nor_held_back() -> None:
    assert signal_of(1.0) == Signal(0, is_clear=False)
    assert signal_of(1.10) == Signal(0, is_clear=True)
    assert [signal_of(value) for value in (0.999, 0.5, 0.499, 0.25, 0.249)] == [
        Signal(1), Signal(1), Signal(2), Signal(2), Signal(3),
    ]  # fmt: skip


def test_a_share_is_bad_above_its_thresholds() -> None:
    share = load_rules().levels["own_token_high"]
    graded = [signal_of(value, share) for value in (0.18, 0.19, 0.20, 0.21, 0.51)]
    assert graded == [CLEAR, BAND, BAND, Signal(1), Signal(2)]


@pytest.mark.parametrize("before", [[], [LOW, LOW], [LOW] * 3, [*[LOW] * 3, *[CLEAR] * 11], [*[LOW] * 3, Signal(2)]])
def test_missing_readings_neither_count_nor_reset(before: list[Signal]) -> None:
    state, _ = run(before)
    assert run([None] * 40, state=state) == (state, [])


def test_a_break_with_missing_readings_between_is_told_at_its_third_reading() -> None:
    assert told([0.7, None, None, 0.7, None, 0.7]) == [(5, BEGAN)]
    assert told([*[0.7] * 3, *[1.3, None] * 12]) == [(2, BEGAN), (25, ENDED)]


def flapping(episodes: int) -> list[Signal]:
    """Low, then clear long enough for its end however often it happened before."""
    return [part for _ in range(episodes) for part in (LOW, *[CLEAR] * PATIENCE)]


def test_more_than_four_episodes_a_day_are_called_unstable_once_and_then_kept_quiet() -> None:
    _, said = run(flapping(12), terms=QUICK, every=timedelta(minutes=10))
    assert [word for _, word in said] == [*[BEGAN, ENDED] * MOST, UNSTABLE]


def test_what_is_unstable_gets_no_worse_in_words_either() -> None:
    state, _ = run(flapping(5), terms=QUICK)
    assert state.is_unstable
    assert run([LOW, Signal(2), Signal(3), *[CLEAR] * 8], state=state, terms=QUICK)[1] == []


def test_after_a_calm_day_an_episode_is_told_again_and_a_second_bad_day_is_called_unstable_again() -> None:
    state, _ = run(flapping(6), terms=QUICK)
    calm = START + 6 * 9 * STEP + DAY
    state, word = step(state, CLEAR, calm, QUICK)
    assert (state.is_unstable, word) == (False, None)
    words = []
    for place, signal in enumerate(flapping(6)):
        state, word = step(state, signal, calm + place * STEP, QUICK)
        words += [word] if word else []
    assert words == [*[BEGAN, ENDED] * MOST, UNSTABLE]


def test_the_end_of_an_episode_that_outlasts_the_unrest_is_told() -> None:
    state, _ = run([*flapping(5), LOW], terms=QUICK)
    assert (state.phase, state.is_unstable) == (AlertPhase.FIRING, True)
    later = START + 2 * DAY
    words = [step(state, LOW, later, QUICK)[1]]
    state, _ = step(state, LOW, later, QUICK)
    for place in range(PATIENCE):
        state, word = step(state, CLEAR, later + place * STEP, QUICK)
        words.append(word)
    assert words == [*[None] * PATIENCE, ENDED]


def test_each_episode_makes_the_end_of_the_next_wait_longer_up_to_a_limit_and_a_month_forgets() -> None:
    for earlier in range(6):
        state = State(recent=tuple(START - (n + 2) * DAY for n in range(earlier)))
        state, said = run([LOW, *[CLEAR] * 20], state=state, terms=QUICK)
        assert said == [(0, BEGAN), (min(2**earlier, PATIENCE), ENDED)]
    old = State(recent=(START - MEMORY, START - MEMORY - DAY))
    assert run([LOW, CLEAR], state=old, terms=QUICK)[1] == [(0, BEGAN), (1, ENDED)]


def test_what_is_bad_at_the_first_look_is_settled_silently_and_its_end_is_told() -> None:
    state = settle(signal_of(0.4), START)
    assert (state.phase, state.level, state.began) == (AlertPhase.FIRING, 2, START)
    assert run([signal_of(0.4)] * 5, state=state)[1] == []
    assert run([signal_of(0.2)] * 3, state=state)[1] == [(2, WORSENED)]
    assert run([signal_of(1.3)] * 12, state=state)[1] == [(11, ENDED)]


@pytest.mark.parametrize("signal", [None, BAND, CLEAR])
def test_what_is_not_bad_or_not_known_at_the_first_look_is_inactive(signal: Signal | None) -> None:
    assert settle(signal, START) == State()


@given(st.lists(st.sampled_from([None, LOW, Signal(2), Signal(3), BAND, CLEAR]), max_size=300), st.integers(1, 90))
def test_words_always_make_sense_in_their_order(signals: list[Signal | None], minutes: int) -> None:
    """It ends only what began, gets worse only within an episode, and frozen readings change no word."""
    every = timedelta(minutes=minutes)
    _, said = run(signals, terms=QUICK, every=every)
    is_going = False
    for _, word in said:
        assert (word in (WORSENED, ENDED)) <= is_going, said
        is_going = word is not ENDED
    day = [place * every for place, word in said if word is BEGAN]
    assert all(sum(timedelta() <= time - other < DAY for other in day) <= MOST for time in day)
    known = [signal for signal in signals if signal is not None]
    if minutes * len(signals) < 24 * 60:  # Within a day time plays no part.
        assert [word for _, word in run(known, terms=QUICK, every=every)[1]] == [word for _, word in said]
