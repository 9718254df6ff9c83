"""Where every rule stands with every subject of a chain: read from the ledger, stepped look by look, written back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlmodel import Session

from alerts.bursts import Burst
from alerts.levels import Look
from alerts.machine import Said, State, Terms, settle, step
from alerts.thresholds import LevelRule, Rules
from ledger.alerts import list_states
from ledger.kinds import AlertPhase
from ledger.tables import AlertState


@dataclass(frozen=True)
class Flip:
    """A change of state that is to be told: which rule, what changed, the reading that did it, and the value before."""

    rule: str
    said: Said
    look: Look
    before: Decimal | None
    level: int
    began: datetime

    def episode(self, subject: str) -> str:
        """Id of the episode: messages of one are a thread."""
        return f"{self.rule}:{subject}:{self.began.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Book:
    """The states of one chain within one transaction."""

    def __init__(self, session: Session, chain_id: int, rules: Rules) -> None:
        self._session = session
        self._chain_id = chain_id
        self._rules = rules
        self._rows = list_states(session, chain_id)

    def seen_number(self, rule: str, subject: str) -> int | None:
        """Block of the last reading that a rule took; None before its first."""
        row = self._rows.get((rule, subject))
        return row.seen_number if row else None

    def seen_time(self, rule: str, subject: str) -> datetime | None:
        """Chain time of that reading."""
        row = self._rows.get((rule, subject))
        return row.seen_time if row else None

    def forget_above(self, number: int) -> None:
        """Readings above a height are taken again: their blocks were replaced, and what they argued for is void."""
        for row in self._rows.values():
            if row.seen_number is not None and row.seen_number > number:
                row.seen_number, row.count = number, 0

    def is_firing(self, rule: str, subject: str) -> bool:
        """Whether a rule is within an episode."""
        row = self._rows.get((rule, subject))
        return row is not None and row.phase in (AlertPhase.FIRING, AlertPhase.CLEARING)

    def list_ongoing(self) -> list[tuple[str, str, datetime | None, bool]]:
        """(rule, subject, when it began, whether it is unstable), by rule and subject.

        Of episodes under way, and of what is unstable even if it is between two episodes: began is None then.
        """
        rows = (row for key, row in sorted(self._rows.items()) if key[0] in self._rules.levels)
        ongoing = [row for row in rows if row.is_unstable or self.is_firing(row.rule, row.subject)]
        return [(row.rule, row.subject, row.began, row.is_unstable) for row in ongoing]

    def reset(self, rule: str, subject: str) -> None:
        """Ends an episode without a word: what it stood on never happened."""
        row = self._rows.get((rule, subject))
        if row is not None:
            self._keep(row, State(recent=state_of(row).recent[:-1]))

    def settle(self, subject: str, look: Look) -> None:
        """Takes the first look at a subject: what it finds is history and is not told."""
        row = self._row(look.rule, subject)
        self._keep(row, settle(look.signal, look.time))
        self._see(row, look)

    def take(self, subject: str, looks: Iterable[Look]) -> Iterator[Flip]:
        """Steps through looks of one subject in order of time, the rules that others depend on first."""
        for look in sorted(looks, key=lambda look: (look.time, look.number, self._rank(look.rule), look.rule)):
            flip = self._take(subject, look)
            if flip is not None:
                yield flip

    def _rank(self, rule: str) -> int:
        terms = self._rules.levels[rule]
        return len(terms.frozen_by) + len(terms.silenced_by)

    def _take(self, subject: str, look: Look) -> Flip | None:
        terms = self._rules.levels[look.rule]
        if any(self.is_firing(name, subject) for name in terms.frozen_by):
            return None  # It is not lost: it is taken when the rule goes on.
        row = self._row(look.rule, subject)
        before = state_of(row)
        after, said = step(before, look.signal, look.time, self._terms(terms))
        told = row.told
        self._keep(row, after)
        self._see(row, look)
        if said is None:
            return None
        row.told = look.value
        if any(self.is_firing(name, subject) for name in terms.silenced_by):
            return None
        return Flip(
            look.rule, said, look, told, max(after.level, before.level), after.began or before.began or look.time
        )

    def _terms(self, rule: LevelRule) -> Terms:
        return Terms(rule.enter_after, rule.clear_after, self._rules.max_episodes_a_day)

    def _row(self, rule: str, subject: str) -> AlertState:
        if (rule, subject) not in self._rows:
            row = AlertState(
                rule=rule, subject=subject, chain_id=self._chain_id, phase=AlertPhase.INACTIVE, episodes=[]
            )
            self._session.add(row)
            self._rows[rule, subject] = row
        return self._rows[rule, subject]

    def _keep(self, row: AlertState, state: State) -> None:
        row.phase, row.count, row.level = state.phase, state.count, state.level
        row.began, row.is_unstable = state.began, state.is_unstable
        row.episodes = [began.isoformat() for began in state.recent]

    def _see(self, row: AlertState, look: Look) -> None:
        row.seen_number, row.seen_time = look.number, look.time
        if row.phase in (AlertPhase.INACTIVE, AlertPhase.PENDING) and look.value is not None and row.count == 0:
            row.told = look.value  # What it was before something begins.

    def burst(self, event: str, subject: str) -> Burst | None:
        """The burst of an event that is under way."""
        row = self._rows.get((event, subject))
        return Burst(row.began, row.count) if row and row.began and row.phase == AlertPhase.FIRING else None

    def keep_burst(self, event: str, subject: str, burst: Burst | None) -> None:
        """Keeps how a burst stands."""
        if burst is None and (event, subject) not in self._rows:
            return
        row = self._row(event, subject)
        row.phase = AlertPhase.INACTIVE if burst is None else AlertPhase.FIRING
        row.began, row.count = (None, 0) if burst is None else (burst.began, burst.windows)


def state_of(row: AlertState) -> State:
    """A stored state as the machine knows it."""
    return State(
        AlertPhase(row.phase),
        row.count,
        row.level,
        row.began,
        tuple(datetime.fromisoformat(began) for began in row.episodes),
        row.is_unstable,
    )
