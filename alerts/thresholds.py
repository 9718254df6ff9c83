"""Loads the file of rules: when to speak, how loudly, and how calmly."""

from functools import cached_property
from importlib import resources
from typing import Annotated

import msgspec

from ledger.kinds import AlertEvent, Role, Severity
from ledger.numbers import format_count

Positive = Annotated[int, msgspec.Meta(ge=1)]

LEVELS = frozenset({
    "coverage_low", "depleted", "balance_dropped", "own_token_high",
    "unreconciled", "data_stale", "numbers_stale", "indexer_lagging", "source_disagreement",
})  # fmt: skip
"""Level rules that something is read for: the file has each of them and no other."""


class Drop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A loss of the balance: a share of its highest value within so many hours."""

    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    hours: Annotated[float, msgspec.Meta(gt=0)]


class LevelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that watches a number or a state; `severity` by level, the first one entered first."""

    event: AlertEvent
    severity: tuple[Severity, ...]
    enter_after: Positive
    """Readings in a row that must argue for entering, or for a worse level."""
    clear_after: Positive
    """Readings in a row that must argue for the end."""
    recovered: AlertEvent | None = None
    """What the end is announced as; None: only the digest speaks of it."""
    enter: tuple[float, ...] = ()
    clear: float | None = None
    drops: tuple[Drop, ...] = ()
    minutes: float | None = None
    clear_minutes: float | None = None
    still_seconds: float = 0.0
    """Seconds of the wall clock for which the tip must not have moved: a replay's chain time runs fast."""
    frozen_by: tuple[str, ...] = ()
    """Rules that stop this one while they are firing for the same subject; what is read meanwhile is judged later."""
    silenced_by: tuple[str, ...] = ()
    """Rules that say more than this one: it goes on, and says nothing while they are firing."""


class EventRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that speaks of facts of these roles, and of those whose role and contract event are named together."""

    severity: Severity
    roles: tuple[Role, ...] = ()
    names: tuple[str, ...] = ()
    """role:Event, the event as the contract calls it."""
    least_share: float | None = None
    """Only amounts from this share of the last balance on."""

    def matches(self, role: str, event: object) -> bool:
        """Whether it speaks of a fact of this role that a contract event of this name gave."""
        return role in self.roles or f"{role}:{event}" in self.names


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """All of them."""

    version: str
    max_episodes_a_day: Positive
    burst_minutes: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]
    retract_after_blocks: Positive
    levels: dict[str, LevelRule]
    events: dict[AlertEvent, EventRule]

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Every role that some event rule looks at."""
        named = {Role(name.split(":")[0]) for rule in self.events.values() for name in rule.names}
        return tuple(sorted(named.union(*(rule.roles for rule in self.events.values()))))


def parse_rules(text: str) -> Rules:
    """Rules of a TOML text; raises ValueError that names what is wrong."""
    try:
        rules = msgspec.toml.decode(text.encode(), type=Rules)
    except msgspec.DecodeError as error:
        raise ValueError(f"the file of rules cannot be used: {error}") from error
    if lacking := LEVELS - set(rules.levels):
        raise ValueError(f"the file of rules lacks levels.{', levels.'.join(sorted(lacking))}")
    if unread := set(rules.levels) - LEVELS:
        raise ValueError(f"nothing is read for levels.{', levels.'.join(sorted(unread))}: take it out of the rules")
    for name, rule in rules.levels.items():
        _check_level(name, rule)
    for event, watched in rules.events.items():
        _check_event(event, watched)
    return rules


def _check_level(name: str, rule: LevelRule) -> None:
    levels = max(len(rule.enter), len(rule.drops), 1)
    if len(rule.severity) != levels:
        told = f"{format_count(levels, 'level')} and {format_count(len(rule.severity), 'severity', 'severities')}"
        raise ValueError(f"rule {name} has {told}: give one for each")
    unknown = {*rule.frozen_by, *rule.silenced_by} - LEVELS
    if unknown:
        raise ValueError(f"rule {name} refers to {', '.join(sorted(unknown))}, which the file does not have")
    if (rule.minutes is None) != (rule.clear_minutes is None):
        raise ValueError(f"rule {name} has only one of minutes and clear_minutes: it would never begin, or never end")
    if rule.enter:
        if rule.clear is None:
            raise ValueError(f"rule {name} has thresholds to enter and none to clear: it would never end")
        if list(rule.enter) != sorted(rule.enter, reverse=rule.clear >= rule.enter[0]):
            raise ValueError(f"rule {name}: each threshold to enter must lie further from clear than the one before")


def _check_event(event: AlertEvent, rule: EventRule) -> None:
    for name in rule.names:
        role, _, told = name.partition(":")
        if role not in set(Role) or not told:
            raise ValueError(f"rule {event} names {name}: write the role of a fact, a colon, and the contract's event")
    if not rule.roles and not rule.names:
        raise ValueError(f"rule {event} has neither roles nor names: it would never speak")


def load_rules() -> Rules:
    """The rules that are shipped."""
    return parse_rules(resources.files("alerts").joinpath("rules.toml").read_text(encoding="utf-8"))
