"""Levels through a ledger: readings are stepped through once, missing ones freeze, and stale data silence the fund."""

from datetime import timedelta

from alerts.ruling import Ruler
from ledger.kinds import ChainStatus, SegmentStatus, SourceKind
from tests.rigs.alert_ledger import (
    DAY,
    HOUR,
    MINUTE,
    START,
    AlertFund,
    AlertLedger,
    is_digest,
)

LOW, RECOVERED, DROPPED, DEPLETED = (
    "fund.coverage.low",
    "fund.coverage.recovered",
    "fund.balance.dropped",
    "fund.depleted",
)
OWN, UNRECONCILED = "fund.composition.own_token_high", "fund.unreconciled"
STALE, CURRENT, LAGGING, DISAGREEMENT = "data.stale", "data.recovered", "indexer.lagging", "source.disagreement"
LOOK = timedelta(seconds=10)


def read_coverage(fund: AlertFund, *values: float | None) -> None:
    """A reading an hour."""
    for value in values:
        fund.chain.grow_for(HOUR)
        fund.coverage(value)


def test_a_break_is_told_at_its_third_reading_its_worsening_again_and_its_end_at_the_twelfth(
    ledger: AlertLedger,
) -> None:
    _, fund, ruler = ledger.begin()
    told = []
    for value in (1.3, *[0.7] * 4, *[0.4] * 3, *[0.2] * 3, 1.05, *[1.2] * 12):
        read_coverage(fund, value)
        told.append([key.split(":")[-2:] for key in ruler.rule() if not is_digest(key)])
    assert [(place, *words) for place, said in enumerate(told) for words in said] == [
        (3, "began", "1"), (7, "worsened", "2"), (10, "worsened", "3"), (23, "ended", "3"),
    ]  # fmt: skip
    assert ledger.events() == [LOW, LOW, LOW, RECOVERED]
    messages = [message for message in ledger.messages() if not is_digest(message.event)]
    assert [message.severity for message in messages] == ["warning", "critical", "critical", "notice"]
    assert len({message.episode for message in messages}) == 1
    assert [(message.changes[0].before, message.changes[0].after) for message in messages] == [
        ("1.30×", "0.70×"), ("0.70×", "0.40×"), ("0.40×", "0.20×"), ("0.20×", "1.20×"),
    ]  # fmt: skip


def test_missing_unknown_and_stale_readings_neither_count_nor_reset(lite: AlertLedger) -> None:
    _, fund, ruler = lite.begin()
    read_coverage(fund, 0.7, None, 0.7)
    fund.chain.grow_for(HOUR)
    fund.coverage(0.1, quality="stale", reason="the balance is 26 h old")
    ruler.rule()
    assert lite.events() == []
    read_coverage(fund, 0.7)
    ruler.rule()
    assert lite.events() == [LOW]
    assert lite.messages()[0].changes[0].after == "0.70×"


def test_a_lower_bound_never_argues_for_low_but_for_the_end(lite: AlertLedger) -> None:
    _, fund, ruler = lite.begin()
    for _ in range(6):
        fund.chain.grow_for(HOUR)
        fund.coverage(0.3, quality="partial", detail={"is_lower_bound": True})
    ruler.rule()
    assert lite.events() == []
    read_coverage(fund, *[0.7] * 3)
    for _ in range(12):
        fund.chain.grow_for(HOUR)
        fund.coverage(1.3, quality="partial", detail={"is_lower_bound": True})
    ruler.rule()
    assert lite.events() == [LOW, RECOVERED]


def test_readings_that_were_taken_are_not_taken_again(lite: AlertLedger) -> None:
    _, fund, ruler = lite.begin()
    read_coverage(fund, 0.7, 0.7)
    for _ in range(5):
        lite.wait(LOOK)
        ruler.rule()
        lite.ruler().rule()
    assert lite.events() == []
    fund.coverage(0.6)  # The same block computed again.
    ruler.rule()
    assert lite.events() == []


def test_a_depleted_fund_is_told_at_once_and_of_its_coverage_nothing_is_said(lite: AlertLedger) -> None:
    _, fund, ruler = lite.begin()
    for value, status in ((1.3, "ample"), (0.7, "short"), (0.5, "short"), (0.0, "depleted"), (0.0, "depleted")):
        fund.chain.grow_for(HOUR)
        fund.status(status)
        fund.coverage(value)
    ruler.rule()
    assert lite.events() == [DEPLETED]
    (message,) = lite.messages()
    assert (message.severity, message.status) == ("critical", "Depleted")
    for _ in range(12):
        fund.chain.grow_for(HOUR)
        fund.status("covered")
        fund.coverage(1.3)
    ruler.rule()
    assert lite.events() == [DEPLETED, RECOVERED]  # The end of depletion alone is told by the digest.


def test_much_of_the_own_token_is_told_after_three_readings_from_the_detail_of_usable_value(
    lite: AlertLedger,
) -> None:
    _, fund, ruler = lite.begin()
    for own in (10, 30, 30, 30, 60, 60, 60, *[10] * 12):
        fund.chain.grow_for(HOUR)
        fund.composition(own, 100 - own)
    ruler.rule()
    assert lite.events() == [OWN, OWN]
    assert [(m.severity, m.sentence[:4].replace("\N{NO-BREAK SPACE}", " ")) for m in lite.messages()] == [
        ("warning", "30 %"), ("critical", "60 %"),
    ]  # fmt: skip


def test_a_balance_that_drops_is_told_once_and_again_when_a_quarter_of_the_day_is_gone(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin()
    for amount in (1000, 1000, 890, 880, 700, 690):
        chain.grow_for(HOUR / 2)
        fund.balance(amount)
        ruler.rule()
    assert ledger.events() == [DROPPED, DROPPED]
    first, second = ledger.messages()
    assert [(change.before, change.after) for change in (*first.changes, *second.changes)] == [
        ("1,000\N{NO-BREAK SPACE}USDC", "890\N{NO-BREAK SPACE}USDC"),
        ("1,000\N{NO-BREAK SPACE}USDC", "700\N{NO-BREAK SPACE}USDC"),
    ]
    assert (first.severity, second.severity) == ("warning", "critical")


def test_a_balance_that_falls_below_zero_is_told_and_an_unknown_one_is_not(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    for amount in (1000, None, None, 950):
        chain.grow_for(HOUR / 4)
        fund.balance(amount)
        ruler.rule()
    assert lite.events() == []
    chain.grow_for(HOUR / 4)
    fund.balance(-5)
    ruler.rule()
    assert [message.subject.split(": ")[1] for message in lite.messages()] == [
        "balance below zero within 24 hours, 2 Mar 2026, 01:15 UTC"
    ]


def test_flows_that_do_not_explain_the_balance_are_told_with_their_reason(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    fund.judge(SegmentStatus.UNRECONCILED, "5.00 USDC are missing at block 12.")
    chain.grow()
    ruler.rule()
    assert lite.events() == [UNRECONCILED]
    assert lite.messages()[0].sentence == (
        "Recorded flows do not explain the balance of Alpha fund: 5.00 USDC are missing at block 12."
    )


def test_a_fund_that_was_unreconciled_at_the_first_look_is_not_told(lite: AlertLedger) -> None:
    chain = lite.chain()
    fund = chain.fund()
    fund.judge(SegmentStatus.UNRECONCILED, "why")
    ruler = lite.ruler()
    ruler.rule()
    chain.grow()
    ruler.rule()
    assert lite.events() == []


def test_a_halted_chain_is_told_once(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin()
    chain.say(ChainStatus.HALTED, "block 9 is stored with another hash")
    for _ in range(3):
        ruler.rule()
        lite.wait(LOOK)
    assert lite.events() == [DISAGREEMENT]
    message = lite.messages()[0]
    assert (message.fund_slug, message.severity) == ("", "critical")
    assert "block 9 is stored with another hash" in message.sentence


def test_an_indexer_that_stands_behind_the_named_head_is_told_after_three_looks(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin()
    chain.serve(100)  # Twenty minutes ahead of the tip.
    lite.wait(MINUTE)
    for _ in range(2):
        lite.wait(LOOK)
        ruler.rule()
    assert lite.events() == []
    lite.wait(LOOK)
    ruler.rule()
    assert lite.events() == [LAGGING]


def stand_still(ledger: AlertLedger, ruler: Ruler, time: timedelta, *, every: timedelta = 5 * MINUTE) -> None:
    """Nobody answers, and the rules go on looking."""
    for _ in range(int(time / every)):
        ledger.wait(every)
        ruler.rule()


def test_a_chain_that_does_not_answer_makes_its_funds_stale_and_no_fund_depleted(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin()
    chain.grow_for(HOUR)
    fund.status("short")
    fund.coverage(0.7)
    ruler.rule()
    chain.say(ChainStatus.UNREACHABLE, "connection refused")
    stand_still(ledger, ruler, 30 * MINUTE)
    assert ledger.events() == []
    fund.status("not_computable", quality="stale", reason="the balance is 40 min old")
    fund.coverage(0.7, quality="stale", reason="the balance is 40 min old")
    stand_still(ledger, ruler, 5 * HOUR)
    assert ledger.events() == [STALE]
    (message,) = ledger.messages()
    assert message.sentence == (
        "Nothing newer than 35 min was read for Alpha fund. What is printed about it is old, and nothing new can be "
        "announced. The source says: connection refused."
    )
    chain.say(ChainStatus.FOLLOWING)
    chain.grow(chain.number_at(ledger.clock.now) - chain.tip)
    stand_still(ledger, ruler, 3 * LOOK, every=LOOK)
    assert ledger.events() == [STALE, CURRENT]


def test_what_is_read_while_data_are_stale_is_judged_once_they_are_current(lite: AlertLedger) -> None:
    """Otherwise a fund that ran dry during an outage would be silent until it is read the next time."""
    chain, fund, ruler = lite.begin()
    chain.grow()
    ruler.rule()
    stand_still(lite, ruler, 3 * HOUR)
    assert lite.events() == [STALE]
    for hour in (1, 2):
        chain.grow_for(HOUR)
        fund.status("short" if hour == 1 else "depleted")
        ruler.rule()
    assert lite.events() == [STALE]  # An hour is still missing.
    chain.grow(chain.number_at(lite.clock.now) - chain.tip)
    stand_still(lite, ruler, 3 * LOOK, every=LOOK)
    assert lite.events() == [STALE, CURRENT, DEPLETED]
    assert lite.alerts()[-1].happened_at == chain.time_of(601)


def test_stale_data_of_one_chain_silence_no_fund_of_another(lite: AlertLedger) -> None:
    _, _, ruler = lite.begin()
    other = lite.chain("optimism", chain_id=10)
    fund = other.fund("beta")
    ruler.rule()
    for _ in range(12):
        other.grow_for(5 * MINUTE)
        fund.status("depleted")
        ruler.rule()
    assert sorted(lite.events()) == [STALE, DEPLETED]
    assert [alert.fund_slug for alert in lite.alerts() if alert.event == STALE] == ["alpha"]


def test_a_tip_that_moves_is_catching_up_and_not_stale(lite: AlertLedger) -> None:
    chain, _, ruler = lite.begin()
    lite.wait(10 * HOUR)
    for _ in range(40):
        chain.grow_for(15 * MINUTE)
        lite.wait(timedelta(seconds=30))
        ruler.rule()
    assert lite.events() == []


def test_a_recording_does_not_go_stale_while_it_plays_nor_after_its_end(lite: AlertLedger) -> None:
    chain = lite.chain("crash", kind=SourceKind.SIMULATED)
    chain.fund()
    ruler = lite.ruler()
    ruler.rule()
    for hour in range(1, 30):  # A day in a minute, with the index an hour or two behind.
        chain.serve(chain.number_at(START + (hour + 2) * HOUR))
        chain.grow_for(HOUR)
        chain.serve(chain.number_at(START + (hour + 2) * HOUR))
        lite.wait(timedelta(seconds=2))
        ruler.rule()
    chain.grow_for(2 * HOUR)
    stand_still(lite, ruler, 2 * DAY, every=6 * HOUR)
    assert lite.events() == []


def test_a_recording_that_is_served_and_not_read_is_stale(lite: AlertLedger) -> None:
    chain = lite.chain("crash", kind=SourceKind.SIMULATED)
    chain.fund()
    ruler = lite.ruler()
    ruler.rule()
    chain.serve(chain.number_at(START + HOUR))
    stand_still(lite, ruler, 2 * MINUTE, every=MINUTE)
    assert STALE in lite.events()


def test_our_own_state_is_not_taken_back_when_its_block_is_forgotten_or_replaced(ledger: AlertLedger) -> None:
    """Final blocks that nothing hangs on are forgotten, and a tip that stood still is often replaced."""
    chain, _, ruler = ledger.begin()
    chain.grow(10)
    ruler.rule()
    stand_still(ledger, ruler, HOUR)
    assert ledger.events() == [STALE]
    chain.reorg(8, blocks=chain.number_at(ledger.clock.now) - 8)
    stand_still(ledger, ruler, 3 * LOOK, every=LOOK)
    assert ledger.events() == [STALE, CURRENT]
    chain.grow(100)
    chain.finalize(chain.tip - 5)
    stand_still(ledger, ruler, 3 * LOOK, every=LOOK)
    assert ledger.events() == [STALE, CURRENT]


def test_what_changes_too_often_is_called_unstable_once_until_it_is_calm(lite: AlertLedger) -> None:
    """Four episodes are told one by one, the fifth is called unstable, and those after it are not told."""
    chain, fund, ruler = lite.begin()
    chain.grow()

    def flap(looks_to_the_end: int) -> None:
        fund.judge(SegmentStatus.UNRECONCILED)
        lite.wait(LOOK)
        ruler.rule()
        fund.judge(SegmentStatus.OK)
        for _ in range(looks_to_the_end):
            lite.wait(LOOK)
            ruler.rule()

    for episode in range(6):
        flap(2 * min(2**episode, 8))
    assert lite.events() == [UNRECONCILED] * 5
    assert [key.split(":")[-2] for key in (alert.key for alert in lite.alerts())] == [*["began"] * 4, "unstable"]
    chain.grow_for(26 * HOUR)
    ruler.rule()
    flap(16)
    assert lite.events() == [UNRECONCILED] * 6
    assert lite.alerts()[-1].key.split(":")[-2] == "began"
