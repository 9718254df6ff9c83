"""Loads the file of rules: when to speak, how loudly, and how calmly."""

from functools import cached_property
from importlib import resources
from typing import Annotated

import msgspec

from ledger.kinds import AlertEvent, Role, Severity

Positive = Annotated[int, msgspec.Meta(ge=1)]


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
    """Rules that stop this one while they are firing for the same subject: there is nothing to judge."""
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
    burst_minutes: tuple[Positive, ...]
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
    for name, rule in rules.levels.items():
        levels = max(len(rule.enter), len(rule.drops), 1)
        if len(rule.severity) != levels:
            raise ValueError(f"rule {name} has {levels} levels and {len(rule.severity)} severities: give one for each")
        unknown = {*rule.frozen_by, *rule.silenced_by} - set(rules.levels)
        if unknown:
            raise ValueError(f"rule {name} refers to {', '.join(sorted(unknown))}, which the file does not have")
    return rules


def load_rules() -> Rules:
    """The rules that are shipped."""
    return parse_rules(resources.files("alerts").joinpath("rules.toml").read_text(encoding="utf-8"))
