"""The state machine of one rule and subject: inactive → pending → firing → clearing → inactive. Pure.

It speaks of a change that lasts, once: readings between enter and clear change nothing, missing ones freeze it, and
what begins more often than a few times a day is called unstable once and then left to the digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ledger.kinds import AlertPhase

DAY = timedelta(days=1)
MEMORY = timedelta(days=30)
"""Episodes are remembered so long; each makes the end of the next wait twice as long, up to PATIENCE times."""
PATIENCE = 8


class Said(StrEnum):
    """What a step has to announce."""

    BEGAN = "began"
    WORSENED = "worsened"
    ENDED = "ended"
    UNSTABLE = "unstable"


@dataclass(frozen=True)
class Signal:
    """What one reading argues: `level` 0 for none, 1, 2, … for worse; `is_clear` beyond the threshold of the end.

    Neither is the band between the two. None instead of a signal: there is no reading, or it is unknown or stale.
    """

    level: int
    is_clear: bool = False


@dataclass(frozen=True)
class Terms:
    """How long a change must last, and how many episodes a day are told one by one."""

    enter_after: int
    clear_after: int
    max_episodes: int


@dataclass(frozen=True)
class State:
    """Where it stands. `count`: readings in a row that argue for the next phase, or while firing for a worse level."""

    phase: AlertPhase = AlertPhase.INACTIVE
    count: int = 0
    level: int = 0
    began: datetime | None = None
    """When this episode began; it names the episode."""
    recent: tuple[datetime, ...] = ()
    """When the episodes of the last 30 days began, this one included."""
    is_unstable: bool = False


def step(state: State, signal: Signal | None, time: datetime, terms: Terms) -> tuple[State, Said | None]:
    """The state after one reading, and what is to be said of it."""
    if signal is None:
        return state, None
    state = _calm_down(state, time, terms)
    if state.phase in (AlertPhase.INACTIVE, AlertPhase.PENDING):
        return _enter(state, signal, time, terms)
    return _leave(state, signal, terms)


def settle(signal: Signal | None, time: datetime) -> State:
    """Where a subject stands when it is first looked at: what began before is history, and nobody is told."""
    if signal is None or signal.level == 0:
        return State()
    return State(AlertPhase.FIRING, level=signal.level, began=time)


def _calm_down(state: State, time: datetime, terms: Terms) -> State:
    recent = tuple(began for began in state.recent if time - began < MEMORY)
    return replace(state, recent=recent, is_unstable=state.is_unstable and _is_unstable(recent, time, terms))


def _is_unstable(recent: Sequence[datetime], time: datetime, terms: Terms) -> bool:
    return sum(time - began < DAY for began in recent) > terms.max_episodes


def _enter(state: State, signal: Signal, time: datetime, terms: Terms) -> tuple[State, Said | None]:
    if signal.level == 0:
        return replace(state, phase=AlertPhase.INACTIVE, count=0), None
    if state.count + 1 < terms.enter_after:
        return replace(state, phase=AlertPhase.PENDING, count=state.count + 1), None
    recent = (*state.recent, time)
    is_unstable = _is_unstable(recent, time, terms)
    began = State(AlertPhase.FIRING, 0, signal.level, time, recent, is_unstable)
    if not is_unstable:
        return began, Said.BEGAN
    return began, None if state.is_unstable else Said.UNSTABLE


def _leave(state: State, signal: Signal, terms: Terms) -> tuple[State, Said | None]:
    if signal.is_clear:
        count = state.count + 1 if state.phase is AlertPhase.CLEARING else 1
        if count < terms.clear_after * min(2 ** max(len(state.recent) - 1, 0), PATIENCE):
            return replace(state, phase=AlertPhase.CLEARING, count=count), None
        ended = State(recent=state.recent, is_unstable=state.is_unstable)
        return ended, None if state.is_unstable else Said.ENDED
    if signal.level <= state.level:
        return replace(state, phase=AlertPhase.FIRING, count=0), None
    count = state.count + 1 if state.phase is AlertPhase.FIRING else 1
    if count < terms.enter_after:
        return replace(state, phase=AlertPhase.FIRING, count=count), None
    worse = replace(state, phase=AlertPhase.FIRING, count=0, level=signal.level)
    return worse, None if state.is_unstable else Said.WORSENED


def grade(value: float, enter: Sequence[float], clear: float) -> Signal:
    """The signal of a number against thresholds, the first one entered first; which side is bad follows from `clear`.

    A number below every threshold that clear lies above is bad (coverage), and the other way round (a share).
    """
    is_low_bad = clear >= enter[0]
    level = sum(value < threshold if is_low_bad else value > threshold for threshold in enter)
    return Signal(level, is_clear=value >= clear if is_low_bad else value <= clear)
