"""Events through a ledger: told at the first look that sees them, bursts grouped, small withdrawals passed over."""

import random
from pathlib import Path

import pytest

from ledger.database import open_engine
from ledger.kinds import AlertEvent, Role, SourceKind
from tests.rigs.alert_ledger import DAY, HOUR, MINUTE, AlertLedger, is_digest, plain
from tests.rigs.databases import migrate

SHORTFALL, LARGE, PARAMETER = "fund.shortfall.recorded", "fund.withdrawal.large", "fund.parameter.changed"


def test_a_shortfall_is_told_by_the_look_that_first_sees_it_and_never_again(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin()
    ledger.listen("reader")
    chain.grow(3)
    transaction = fund.fact(Role.SHORTFALL, 12)
    key = f"fund.shortfall.recorded:alpha:shortfall:{transaction}:0"
    assert ruler.rule() == [key]
    assert ledger.deliveries() == [("reader", key)]
    for _ in range(3):
        chain.grow_for(20 * MINUTE)
        assert ruler.rule() == []
    (alert,) = ledger.alerts()
    assert (alert.event, alert.fund_slug, alert.number, alert.happened_at) == (SHORTFALL, "alpha", 3, chain.time_of(3))
    assert (alert.created_at, alert.severity) == (chain.time_of(3), "critical")


def test_facts_of_one_block_are_told_together(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow()
    for _ in range(3):
        fund.fact(Role.SHORTFALL, 10)
    fund.fact(Role.SOCIALISED_LOSS, 30)
    ruler.rule()
    assert [plain(message.sentence) for message in lite.messages()] == [
        "3 shortfalls at Alpha fund, at 2 Mar 2026, 00:00 UTC, 30 USDC in all.",
        "A socialised loss of 30 USDC at Alpha fund, at block 1 (2 Mar 2026, 00:00 UTC).",
    ]


def test_a_burst_is_its_head_at_once_then_ten_minutes_then_hours_each_with_the_exact_sum(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin()
    counts = []
    for minute in range(0, 150, 5):
        chain.grow_for(5 * MINUTE)
        if minute < 100:
            fund.fact(Role.SHORTFALL, "1.000001")
        counts.append(len(ruler.rule()))
    told = [5 * place for place, count in enumerate(counts) if count]
    assert told == [0, 15, 75, 135]
    subjects = [plain(message.subject) for message in ledger.messages()]
    assert [subject.split(": ")[1].rsplit(", ", 2)[0] for subject in subjects] == [
        "shortfall of 1.01 USDC",
        "2 shortfalls, 2.01 USDC in all",
        "12 shortfalls, 12.01 USDC in all",
        "5 shortfalls, 5.01 USDC in all",
    ]


def test_a_burst_of_one_fund_holds_nothing_of_another_back_nor_another_event(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    other = chain.fund("beta")
    chain.grow()
    fund.fact(Role.SHORTFALL, 1)
    ruler.rule()
    chain.grow()
    fund.fact(Role.SHORTFALL, 1)
    fund.fact(Role.ADL, 1)
    other.fact(Role.SHORTFALL, 1)
    ruler.rule()
    assert [(alert.event, alert.fund_slug) for alert in lite.alerts()] == [
        (SHORTFALL, "alpha"), (SHORTFALL, "beta"), ("platform.adl.executed", "alpha"),
    ]  # fmt: skip


def test_a_chain_that_is_caught_up_in_steps_is_grouped_by_its_own_time(lite: AlertLedger) -> None:
    """The clock is hours ahead of the tip then; windows end when the tip has passed them."""
    chain, fund, ruler = lite.begin()
    lite.wait(6 * HOUR)
    for _ in range(60):
        chain.grow()
        fund.fact(Role.SHORTFALL, 1)
        ruler.rule()
    head, followed = lite.alerts()
    assert head.number == 1
    assert (followed.number, followed.key[-6:]) == (51, ":and49")  # The window's end is the last block's time.


def test_what_waits_in_a_burst_is_told_when_the_chain_stands_still(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    for _ in range(4):
        chain.grow()
        fund.fact(Role.SHORTFALL, 1)
        ruler.rule()
    lite.wait(5 * MINUTE)
    assert ruler.rule() == []
    lite.wait(6 * MINUTE)
    assert [key[-5:] for key in ruler.rule()] == [":and2"]


def test_withdrawals_below_a_tenth_of_the_balance_say_nothing_and_from_there_on_they_do(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow()
    fund.balance(1000)
    for amount, left in ((99.99, 900.01), (90.001, 810.009), (80, 730.009)):
        chain.grow_for(11 * MINUTE)
        fund.fact(Role.WITHDRAWAL, amount)
        fund.balance(left)
        ruler.rule()
    (message,) = [message for message in lite.messages() if message.event == LARGE]
    assert "(10 % of the balance before)" in plain(message.sentence)
    assert message.block_number == 111


def test_a_withdrawal_is_judged_when_the_balance_at_its_block_is_read_since_before_it_more_may_have_come_in(
    ledger: AlertLedger,
) -> None:
    chain, fund, ruler = ledger.begin()
    chain.grow()
    fund.balance(1000)
    ruler.rule()
    chain.grow()
    fund.fact(Role.CONTRIBUTION, 9000)
    chain.grow()
    fund.fact(Role.WITHDRAWAL, 500)
    chain.grow()
    ruler.rule()  # Half of what was known, a twentieth of what there was.
    fund.balance(10_000, at=2)
    fund.balance(9500, at=3)
    chain.grow()
    ruler.rule()
    assert ledger.events() == []


def test_a_withdrawal_is_told_when_the_balance_before_becomes_known(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow(5)
    fund.fact(Role.WITHDRAWAL, 500)
    assert ruler.rule() == []
    fund.balance(1000, at=2)
    fund.balance(500)
    chain.grow()
    ruler.rule()
    assert lite.events().count(LARGE) == 1


@pytest.mark.parametrize(("days", "told_at_once"), [(3, 1), (8, 0)])
def test_a_withdrawal_is_told_although_the_tip_leapt_days_ahead_before_its_balance_was_read(
    lite: AlertLedger, days: int, told_at_once: int
) -> None:
    chain = lite.chain("replay", kind=SourceKind.SIMULATED)
    fund, ruler, began = chain.fund(), lite.ruler(), lite.clock.now
    chain.grow()
    ruler.rule()
    chain.grow(5)
    fund.fact(Role.WITHDRAWAL, 500)
    ruler.rule()
    chain.grow_for(days * DAY)
    ruler.rule()
    fund.balance(1000, at=2)
    fund.balance(500, at=6)
    lite.clock.now = began + MINUTE  # Far from the hour after which all facts are gone through again.
    ruler.rule()
    assert lite.events().count(LARGE) == told_at_once
    lite.clock.now = began + HOUR + MINUTE
    ruler.rule()
    assert lite.events().count(LARGE) == 1


def test_a_withdrawal_after_which_the_balance_could_not_be_read_is_judged_by_the_one_before(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow()
    fund.balance(1000)
    chain.grow()
    fund.fact(Role.SURPLUS_DISTRIBUTION, 500)
    fund.balance(None)
    ruler.rule()
    assert lite.events() == [LARGE]


def test_a_withdrawal_in_another_asset_or_of_nothing_says_nothing(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    other = chain.fund("beta")
    chain.grow()
    fund.balance(1000)
    chain.grow()
    fund.fact(Role.WITHDRAWAL, 900, asset_id=other.asset_id)
    fund.fact(Role.WITHDRAWAL)
    fund.balance(1000)
    ruler.rule()
    assert lite.events() == []


def test_a_parameter_is_told_with_its_value_before_even_if_that_was_set_in_the_same_block(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin()
    chain.grow()
    for value in ("100", "200", "300"):
        fund.fact(Role.PARAM, detail={"name": "fee_ratio", "value": value})
    fund.fact(Role.PARAM, detail={"name": "another", "value": "1"})
    fund.fact(Role.PARAM, detail={"name": "fee_ratio", "value": "7"}, market="0xother")
    ruler.rule()
    (message,) = ledger.messages()
    assert message.event == PARAMETER
    assert [(change.name, change.before, change.after) for change in message.changes] == [
        ("Fee ratio", "", "100"), ("Fee ratio", "100", "200"), ("Fee ratio", "200", "300"), ("Another", "", "1"),
        ("Fee ratio", "", "7"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "detail", "event"),
    [
        (Role.CONTROL, {"event": "OwnershipTransferred"}, AlertEvent.OWNER_CHANGED),
        (Role.CONTROL, {"event": "Upgraded"}, AlertEvent.IMPLEMENTATION_CHANGED),
        (Role.MARKET_SHUTDOWN, {"name": "market_state", "value": "closed"}, AlertEvent.PAUSED),
        (Role.PAYOUT, {"event": "Slashed"}, AlertEvent.SLASHED),
        (Role.ADL, None, AlertEvent.ADL_EXECUTED),
        (Role.PAYOUT, None, None),
        (Role.LIQUIDATION, None, None),
    ],
)
def test_a_fact_is_told_as_its_role_and_contract_event_say(
    lite: AlertLedger, role: Role, detail: dict[str, str] | None, event: AlertEvent | None
) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow()
    fund.fact(role, 5, detail=detail)
    ruler.rule()
    assert lite.events() == ([] if event is None else [event])


def test_a_fact_that_a_repair_finds_days_back_is_told_within_the_hour(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow_for(3 * DAY)
    ruler.rule()
    fund.fact(Role.SHORTFALL, 5, at=10)
    chain.grow()
    ruler.rule()
    assert SHORTFALL not in lite.events()
    chain.grow_for(HOUR)
    ruler.rule()
    assert SHORTFALL in lite.events()


def test_facts_of_days_that_come_in_one_step_are_all_told(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    chain.grow()
    ruler.rule()
    chain.grow_for(5 * DAY)
    for day in range(1, 5):
        fund.fact(Role.SHORTFALL, day, at=chain.number_at(chain.time_of(0) + day * DAY))
    lite.clock.now = chain.time_of(1) + MINUTE  # By our clock it took a minute.
    ruler.rule()
    assert lite.events().count(SHORTFALL) == 4


class Story:
    """A few hours of two funds, block by block, drawn from a seed."""

    def __init__(self, path: Path, seed: int) -> None:
        url = f"sqlite:///{path}"
        migrate(url)
        self.ledger = AlertLedger(open_engine(url))
        self.chain = self.ledger.chain()
        self.funds = [self.chain.fund("alpha"), self.chain.fund("beta")]
        self.dice = random.Random(seed)
        self.balances = [1000.0, 1000.0]
        self.ruler = self.ledger.ruler()
        self.ruler.rule()

    def step(self) -> None:
        """A few blocks pass, and in the last something may happen."""
        self.chain.grow(self.dice.choice([1, 5, 25, 100]))
        for place, fund in enumerate(self.funds):
            match self.dice.choice(["loss", "losses", "withdrawal", "coverage", "status", "nothing", "parameter"]):
                case "loss":
                    fund.fact(Role.SHORTFALL, self.dice.randrange(1, 9))
                case "losses":
                    for _ in range(3):
                        fund.fact(Role.ADL, self.dice.randrange(1, 9))
                case "withdrawal":
                    gone = self.dice.randrange(10, 200)
                    fund.fact(Role.WITHDRAWAL, gone)
                    self.balances[place] += self.dice.choice([-gone, 0])
                    fund.balance(self.balances[place])
                case "coverage":
                    fund.coverage(self.dice.choice([0.2, 0.4, 0.7, 0.7, 0.7, 1.05, 1.3, None]))
                case "status":
                    fund.status(self.dice.choice(["depleted", "short", "covered", "not_computable"]))
                case "parameter":
                    fund.fact(Role.PARAM, detail={"name": "fee", "value": str(self.dice.randrange(9))})

    def told(self) -> set[str]:
        """Keys of all announcements, once nothing is held back any more."""
        self.chain.grow_for(3 * HOUR)
        self.ruler.rule()
        self.ledger.engine.dispose()
        return {alert.key for alert in self.ledger.alerts() if not is_digest(alert.event)}


def test_how_often_somebody_looks_does_not_change_what_is_told(tmp_path: Path, seed: int) -> None:
    """The same keys from a look at every block, now and then, or once at the end.

    What may differ is what is no reading of the chain: whether data were stale, flows unexplained or the indexer behind
    at a moment nobody looked, and digests of days that were over when the next one was.
    """
    often, seldom, once = (Story(tmp_path / f"{name}.sqlite", seed) for name in ("often", "seldom", "once"))
    for place in range(40):
        for story in (often, seldom, once):
            story.step()
        often.ruler.rule()
        if place % 17 == 0:
            seldom.ruler.rule()
    told = often.told()
    assert seldom.told() == told
    assert once.told() == told
    assert len(told) > 5
