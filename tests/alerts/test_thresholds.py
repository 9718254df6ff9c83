"""The file of rules: what is shipped says what the site promises, and a wrong file says what is wrong with it."""

import re
from importlib import resources

import pytest

from alerts.flips import TELLERS
from alerts.happenings import NOUNS
from alerts.thresholds import LEVELS, EventRule, load_rules, parse_rules
from ledger.kinds import AlertEvent, Role, Severity

SHIPPED = resources.files("alerts").joinpath("rules.toml").read_text(encoding="utf-8")
RULES = load_rules()


def test_the_shipped_rules_are_those_the_site_names() -> None:
    low = RULES.levels["coverage_low"]
    assert (low.event, low.recovered) == (AlertEvent.COVERAGE_LOW, AlertEvent.COVERAGE_RECOVERED)
    assert (low.enter[0], low.clear, low.enter_after, low.clear_after) == (1.0, 1.10, 3, 12)
    drops = RULES.levels["balance_dropped"].drops
    assert [(drop.share, drop.hours) for drop in drops] == [(0.10, 1), (0.25, 24)]
    assert RULES.levels["own_token_high"].enter[0] == 0.20
    assert RULES.max_episodes_a_day == 4
    assert RULES.burst_minutes == (10, 60)
    assert RULES.events[AlertEvent.WITHDRAWAL_LARGE].least_share == 0.10


def test_every_event_is_announced_by_some_rule_and_every_rule_has_words() -> None:
    by_levels = {event for rule in RULES.levels.values() for event in (rule.event, rule.recovered) if event}
    without_rule = {AlertEvent.DIGEST_DAILY, AlertEvent.DIGEST_WEEKLY, AlertEvent.RETRACTED}
    assert by_levels | set(RULES.events) | without_rule == set(AlertEvent)
    assert set(TELLERS) == set(RULES.levels) == LEVELS
    assert set(NOUNS) == set(RULES.events)


def test_every_level_of_the_fund_itself_is_frozen_by_stale_data() -> None:
    frozen = {name for name, rule in RULES.levels.items() if "data_stale" in rule.frozen_by}
    assert frozen == {"coverage_low", "depleted", "balance_dropped", "own_token_high", "numbers_stale"}
    # What is old of one fund holds nothing back: a balance of nothing needs no price.
    assert not [name for name, rule in RULES.levels.items() if "numbers_stale" in (*rule.frozen_by, *rule.silenced_by)]


def test_all_roles_that_some_rule_looks_at_are_asked_for() -> None:
    assert set(RULES.roles) == {
        Role.SHORTFALL, Role.ADL, Role.SOCIALISED_LOSS, Role.PAYOUT, Role.ACCOUNTING, Role.CONTROL,
        Role.MARKET_SHUTDOWN, Role.PARAM, Role.WITHDRAWAL, Role.SURPLUS_DISTRIBUTION,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("role", "event", "expected"),
    [
        ("shortfall", None, {AlertEvent.SHORTFALL_RECORDED}),
        ("adl", None, {AlertEvent.ADL_EXECUTED}),
        ("socialised_loss", None, {AlertEvent.LOSS_SOCIALIZED}),
        ("payout", "Slashed", {AlertEvent.SLASHED}),
        ("accounting", "StakeTokenSlashed", {AlertEvent.SLASHED}),
        ("payout", None, set()),
        ("accounting", "Repaid", set()),
        ("control", "OwnershipTransferred", {AlertEvent.OWNER_CHANGED}),
        ("control", "SetOwner", {AlertEvent.OWNER_CHANGED}),
        ("control", "Upgraded", {AlertEvent.IMPLEMENTATION_CHANGED}),
        ("control", "Paused", {AlertEvent.PAUSED}),
        ("control", "Renamed", set()),
        ("market_shutdown", None, {AlertEvent.PAUSED}),
        ("param", None, {AlertEvent.PARAMETER_CHANGED}),
        ("withdrawal", None, {AlertEvent.WITHDRAWAL_LARGE}),
        ("surplus_distribution", None, {AlertEvent.WITHDRAWAL_LARGE}),
        ("contribution", None, set()),
        ("liquidation", None, set()),
    ],
)
def test_a_role_or_a_role_with_its_contract_event_says_which_rule_speaks(
    role: str, event: str | None, expected: set[AlertEvent]
) -> None:
    assert {name for name, rule in RULES.events.items() if rule.matches(role, event)} == expected


def test_an_event_rule_without_roles_speaks_of_named_events_only() -> None:
    rule = EventRule(Severity.NOTICE, names=("control:Paused",))
    assert rule.matches("control", "Paused")
    assert not rule.matches("control", None)
    assert not rule.matches("accounting", "Paused")


def changed(old: str, new: str) -> str:
    assert SHIPPED.count(old) >= 1, old
    return SHIPPED.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version = [", "the file of rules cannot be used: "),
        (changed('version = "1"\n', ""), "missing required field `version`"),
        (changed("max_episodes_a_day = 4", "max_episodes_a_day = 0"), "`int` >= 1 - at `$.max_episodes_a_day`"),
        (changed("burst_minutes = [10, 60]", "burst_minutes = []"), "length >= 1 - at `$.burst_minutes`"),
        (changed("burst_minutes = [10, 60]", "burst_minutes = [0]"), "`int` >= 1 - at `$.burst_minutes[0]`"),
        (changed("enter_after = 3", "enter_atfer = 3"), "unknown field `enter_atfer` - at `$.levels[...]`"),
        (changed('event = "fund.coverage.low"', 'event = "fund.coverage.lo"'), "Invalid enum value 'fund.coverage.lo'"),
        (changed('"critical", "critical"]', '"critical", "grave"]'), "Invalid enum value 'grave'"),
        (changed("share = 0.10", "share = 0"), "`float` > 0.0 - at `$.levels[...].drops[0].share`"),
        (changed("share = 0.10", "share = 1.5"), "`float` <= 1.0"),
        (changed("[levels.coverage_low]", "[levels.coverage_lo]"), "the file of rules lacks levels.coverage_low"),
        (
            SHIPPED
            + '\n[levels.mood]\nevent = "fund.paused"\nseverity = ["notice"]\nenter_after = 1\nclear_after = 1\n',
            "nothing is read for levels.mood: take it out of the rules",
        ),
        (
            changed("enter = [1.0, 0.5, 0.25]", "enter = [1.0, 0.5]"),
            "rule coverage_low has 2 levels and 3 severities: give one for each",
        ),
        (
            changed('severity = ["critical"]', 'severity = ["critical", "critical"]'),
            "rule depleted has 1 level and 2 severities: give one for each",
        ),
        (
            changed("share = 0.25, hours = 24 }", "share = 0.25, hours = 24 }, { share = 0.5, hours = 24 }"),
            "rule balance_dropped has 3 levels and 2 severities: give one for each",
        ),
        (
            changed('frozen_by = ["data_stale"]', 'frozen_by = ["data_old"]'),
            "rule coverage_low refers to data_old, which the file does not have",
        ),
        (
            changed('silenced_by = ["depleted"]', 'silenced_by = ["empty"]'),
            "rule coverage_low refers to empty, which the file does not have",
        ),
        (
            changed("clear = 1.10\n", ""),
            "rule coverage_low has thresholds to enter and none to clear: it would never end",
        ),
        (
            changed("enter = [1.0, 0.5, 0.25]", "enter = [1.0, 0.25, 0.5]"),
            "rule coverage_low: each threshold to enter must lie further from clear than the one before",
        ),
        (
            changed("clear = 1.10", "clear = 0.9"),
            "rule coverage_low: each threshold to enter must lie further from clear than the one before",
        ),
        (
            changed("clear_minutes = 15\n", ""),
            "rule data_stale has only one of minutes and clear_minutes: it would never begin, or never end",
        ),
        (
            changed('"payout:Slashed"', '"Slashed"'),
            "rule fund.slashed names Slashed: write the role of a fact, a colon, and the contract's event",
        ),
        (
            changed('"payout:Slashed"', '"paid:Slashed"'),
            "rule fund.slashed names paid:Slashed: write the role of a fact, a colon, and the contract's event",
        ),
        (changed('roles = ["adl"]\n', ""), "rule platform.adl.executed has neither roles nor names"),
        (changed('roles = ["adl"]', 'roles = ["dal"]'), "Invalid enum value 'dal'"),
        (changed('[events."fund.slashed"]', '[events."fund.slash"]'), "Invalid enum value 'fund.slash'"),
    ],
)
def test_a_wrong_file_is_refused_by_name_of_the_mistake(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_rules(text)


def test_every_event_rule_says_how_loud_it_is() -> None:
    assert RULES.events[AlertEvent.SHORTFALL_RECORDED].severity is Severity.CRITICAL
    assert RULES.events[AlertEvent.PARAMETER_CHANGED].severity is Severity.NOTICE
