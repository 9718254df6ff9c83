"""The ruler: one look tells what is new, history is never told, and nothing is told twice, whoever looks or dies."""

import os
import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

from sqlalchemy import Engine, event, text
from sqlmodel import select

from alerts.machine import Said, State, Terms, grade, step
from alerts.ruling import Ruler
from alerts.thresholds import load_rules
from ledger.alerts import hold_cursor, list_cursors
from ledger.database import open_engine, reading, writing
from ledger.kinds import Role, SourceKind
from ledger.tables import AlertCursor, AlertEvidence, AlertState, Chain
from tests.rigs.alert_ledger import (
    DAY,
    HOUR,
    MINUTE,
    START,
    AlertChain,
    AlertFund,
    AlertLedger,
    SimulatedClock,
    is_digest,
)
from tests.rigs.killable_index import PROCESSES

SHORTFALL, LOW, RECOVERED, DROPPED = (
    "fund.shortfall.recorded", "fund.coverage.low", "fund.coverage.recovered", "fund.balance.dropped",
)  # fmt: skip


def test_two_days_of_noise_at_the_threshold_are_told_as_the_machine_says(lite: AlertLedger) -> None:
    """The same readings through the ledger and through the machine alone; a naive alarm would speak dozens of times."""
    dice = random.Random(5)
    rule, most = load_rules().levels["coverage_low"], load_rules().max_episodes_a_day
    assert rule.clear is not None
    terms = Terms(rule.enter_after, rule.clear_after, most)
    chain = lite.chain()
    fund, ruler = chain.fund(), lite.ruler()
    ruler.rule()
    state, expected, crossings, was_low = State(), list[tuple[Said, datetime]](), 0, False
    for place in range(2 * 24 * 6):
        phase = place // 36 % 3  # Six hours about 1, six clearly above, six clearly below.
        value = round(1 + (0, 0.2, -0.1)[phase] + 0.03 * dice.gauss(0, 1), 4)
        crossings, was_low = crossings + (was_low != (value < 1)), value < 1
        chain.grow_for(10 * MINUTE)
        fund.coverage(value)
        state, said = step(state, grade(value, rule.enter, rule.clear), chain.time_of(chain.tip), terms)
        expected += [(said, chain.time_of(chain.tip))] if said else []
        if place % 10 == 0:
            ruler.rule()
    ruler.rule()
    told = [alert for alert in lite.alerts() if not is_digest(alert.event)]
    assert [(Said(alert.key.split(":")[-2]), alert.happened_at) for alert in told] == expected
    assert 4 <= len(expected) <= 8
    assert crossings >= 50


def test_history_is_never_told_even_when_it_is_indexed_later(ledger: AlertLedger) -> None:
    chain = ledger.chain()
    fund = chain.fund()
    chain.grow_for(2 * DAY)
    live = chain.tip
    fund.fact(Role.SHORTFALL, 1, at=live - 5)
    ruler = ledger.ruler()
    assert ruler.rule() == []
    fund.fact(Role.SHORTFALL, 2, at=live)  # The very block at which it went live.
    for at in range(100, 2000, 100):
        fund.fact(Role.SHORTFALL, 3, at=at)
        fund.coverage(0.7, at=at)
        fund.status("depleted", at=at)
        fund.balance(1000 - at / 2, at=at)
    assert ruler.rule() == []
    chain.grow_for(2 * HOUR)
    assert ruler.rule() == []
    chain.grow()
    fund.fact(Role.SHORTFALL, 4)
    assert len(ruler.rule()) == 1
    assert ledger.events() == [SHORTFALL]


def test_a_fund_that_was_low_at_the_first_look_is_silently_so_and_its_recovery_is_told(lite: AlertLedger) -> None:
    chain = lite.chain()
    fund = chain.fund()
    for value in (1.3, 0.7, 0.6):
        chain.grow_for(HOUR)
        fund.coverage(value)
    ruler = lite.ruler()
    assert ruler.rule() == []
    with reading(lite.engine) as session:
        state = session.get(AlertState, ("coverage_low", "alpha"))
        assert state is not None
        assert (state.phase, state.level, state.began) == ("firing", 1, chain.time_of(900))
    for value in (*[0.7] * 5, *[1.2] * 12):
        chain.grow_for(HOUR)
        fund.coverage(value)
    ruler.rule()
    assert lite.events() == [RECOVERED]
    assert lite.messages()[0].subject == "[Not computable] Alpha fund: coverage 1.20×, 2 Mar 2026, 20:00 UTC"


def test_of_history_only_its_end_counts(lite: AlertLedger) -> None:
    chain = lite.chain()
    fund = chain.fund()
    for value in (0.7, 0.7, 0.7, 1.3):
        chain.grow_for(HOUR)
        fund.coverage(value)
    ruler = lite.ruler()
    ruler.rule()
    for _ in range(3):
        chain.grow_for(HOUR)
        fund.coverage(0.7)
    ruler.rule()
    assert lite.events() == [LOW]


def test_a_drop_before_the_first_look_is_history_and_one_after_it_is_not(lite: AlertLedger) -> None:
    chain = lite.chain()
    fund, other = chain.fund(), chain.fund("beta")
    for alpha, beta in ((1000, 1000), (500, 1000)):
        chain.grow_for(HOUR / 2)
        fund.balance(alpha)
        other.balance(beta)
    ruler = lite.ruler()
    assert ruler.rule() == []
    chain.grow_for(HOUR / 2)
    fund.balance(500)
    other.balance(500)
    ruler.rule()
    assert [(alert.event, alert.fund_slug) for alert in lite.alerts()] == [(DROPPED, "beta")]


def test_a_recording_is_told_from_the_time_that_is_given_for_it(lite: AlertLedger) -> None:
    chain = lite.chain("crash", kind=SourceKind.SIMULATED)
    fund = chain.fund()
    chain.grow_for(10 * HOUR)
    for hour in (2, 5, 8):
        fund.fact(Role.SHORTFALL, hour, at=300 * hour)
    ruler = lite.ruler(live_since={"crash": START + 5 * HOUR})
    ruler.rule()
    assert [alert.number for alert in lite.alerts()] == [2400]
    assert lite.messages()[0].replay == "Replay of Crash: simulated"


def test_a_recording_that_has_served_nothing_yet_is_waited_for(lite: AlertLedger) -> None:
    chain = lite.chain("crash", kind=SourceKind.SIMULATED)
    fund = chain.fund()
    with writing(lite.engine) as session:
        found = session.get(Chain, chain.chain_id)
        assert found is not None
        found.head_time = found.head_number = None
    ruler = lite.ruler()
    assert ruler.rule() == []
    chain.grow()
    assert ruler.rule() == []  # It is live from here on.
    chain.grow()
    fund.fact(Role.SHORTFALL, 1)
    assert len(ruler.rule()) == 1


def test_a_look_at_an_unchanged_ledger_only_reads_until_ten_seconds_have_passed(lite: AlertLedger) -> None:
    chain = lite.chain()
    fund, ruler = chain.fund(), lite.ruler()
    ruler.rule()
    ruled_at = cursor_of(lite).ruled_at
    lite.wait(timedelta(seconds=9))
    assert ruler.rule() == []
    assert cursor_of(lite).ruled_at == ruled_at
    lite.wait(timedelta(seconds=1))
    assert ruler.rule() == []
    assert cursor_of(lite).ruled_at > ruled_at
    fund.fact(Role.SHORTFALL, 1, at=5)  # Neither the tip nor a number moved: the chain's count of facts tells of it.
    assert len(ruler.rule()) == 1


def cursor_of(ledger: AlertLedger) -> AlertCursor:
    with reading(ledger.engine) as session:
        (cursor,) = list_cursors(session)
        return cursor


def busy_ledger(ledger: AlertLedger) -> list[tuple[AlertChain, AlertFund]]:
    """Two live chains with a fund each, looked at once; somebody listens."""
    ledger.listen("reader")
    made = []
    for slug, chain_id in (("ethereum", 1), ("optimism", 10)):
        chain = ledger.chain(slug, chain_id=chain_id)
        made.append((chain, chain.fund(f"fund-{slug}")))
    return made


def make_news(chain: AlertChain, fund: AlertFund) -> None:
    """A loss, a parameter, a withdrawal, a drop and a fund that ran dry: five announcements."""
    fund.balance(1000)
    fund.coverage(1.3)
    chain.grow_for(25 * HOUR)
    fund.fact(Role.SHORTFALL, 5)
    fund.fact(Role.PARAM, detail={"name": "fee", "value": "1"})
    fund.fact(Role.WITHDRAWAL, 500)
    fund.balance(500)
    fund.status("depleted")


def digest_free(keys: list[str]) -> list[str]:
    return [key for key in keys if not is_digest(key)]


def test_a_second_ruler_and_a_restarted_one_tell_nothing_again(ledger: AlertLedger) -> None:
    chains = busy_ledger(ledger)
    ledger.ruler().rule()
    for chain, fund in chains:
        make_news(chain, fund)
    told = ledger.ruler().rule()
    assert len(digest_free(told)) == 10
    for _ in range(3):
        assert ledger.ruler().rule() == []
    assert Counter(key for _, key in ledger.deliveries()) == Counter(digest_free(told))


def test_two_rulers_at_a_time_tell_everything_once_and_neither_fails(postgres_ledger_url: str) -> None:
    """From the very first look on, when both find no cursor; SQLite lets one in at a time anyway."""
    engines = [open_engine(postgres_ledger_url) for _ in range(2)]
    ledger = AlertLedger(engines[0])
    chains = busy_ledger(ledger)
    rulers = [Ruler(engine, ledger.clock, load_rules()) for engine in engines]
    barrier = Barrier(2)

    def look(ruler: Ruler) -> list[str]:
        barrier.wait()
        return ruler.rule()

    told: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        for turn in range(12):
            for keys in threads.map(look, rulers):
                told += keys
            for chain, fund in chains:
                chain.grow_for(HOUR)
                fund.fact(Role.SHORTFALL, 1 + turn)
                fund.fact(Role.ADL, 1)
        for keys in threads.map(look, rulers):
            told += keys
    assert Counter(told) == Counter({alert.key: 1 for alert in ledger.alerts()})
    assert len(told) == 2 * 2 * 12
    assert Counter(key for _, key in ledger.deliveries()) == Counter(told)
    for engine in engines:
        engine.dispose()


def test_a_ruler_that_waited_for_another_goes_by_what_the_chain_is_then(postgres_ledger_url: str) -> None:
    """The tip it read before would lie on a branch that is gone, and fewer rollbacks back than the rules have seen."""
    engines = [open_engine(postgres_ledger_url) for _ in range(2)]
    ledger = AlertLedger(engines[0])
    chain = ledger.chain()
    fund = chain.fund()
    ledger.ruler().rule()
    chain.grow(10)
    fund.fact(Role.SHORTFALL, 1)
    waiting = Ruler(engines[1], ledger.clock, load_rules())
    with ThreadPoolExecutor(1) as threads:
        with writing(engines[0]) as session:
            assert hold_cursor(session, chain.chain_id) is not None
            looked = threads.submit(waiting.rule)
            while not is_waiting(engines[0]):
                assert not looked.done()
            chain.reorg(5, blocks=3)
            fund.fact(Role.ADL, 1)
        assert [key.split(":")[0] for key in looked.result(timeout=60)] == ["platform.adl.executed"]
    cursor = cursor_of(ledger)
    assert (cursor.number, cursor.epoch) == (8, 1)
    for engine in engines:
        engine.dispose()


def is_waiting(engine: Engine) -> bool:
    """Whether somebody waits for a lock."""
    with reading(engine) as session:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(session.execute(text(query)).scalar())


def rule_until_killed(url: str, now: datetime, last: int) -> None:
    """One look in a process of its own, which kills itself before the statement or commit of that place."""
    engine = open_engine(url)
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)
    Ruler(engine, SimulatedClock(now), load_rules()).rule()


def test_a_look_that_is_killed_at_any_moment_leaves_nothing_half_told_and_nothing_untold(
    database_url: str, seed: int
) -> None:
    """Killed before one of its first statements, then a few statements later, and so on, until it comes to its end.

    The process is forked, since a fresh interpreter for each would import for minutes; its connections are its own.
    """
    dice = random.Random(seed)
    engine = open_engine(database_url)
    ledger = AlertLedger(engine)
    chains = busy_ledger(ledger)
    ledger.ruler().rule()
    for chain, fund in chains:
        make_news(chain, fund)
    kills = last = 0
    while True:
        last += dice.randrange(1, 10)
        engine.dispose()
        process = PROCESSES.Process(target=rule_until_killed, args=(database_url, ledger.clock.now, last))
        process.start()
        process.join(60)
        expect_whole_chains(ledger)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert kills > 6
    counted = Counter(alert.event for alert in ledger.alerts())
    assert counted == {
        SHORTFALL: 2, "fund.parameter.changed": 2, "fund.withdrawal.large": 2, "fund.depleted": 2, DROPPED: 2,
        "digest.daily": 1,
    }  # fmt: skip
    assert len(ledger.deliveries()) == 10
    assert ledger.ruler().rule() == []
    engine.dispose()


def expect_whole_chains(ledger: AlertLedger) -> None:
    """Of a chain all is told and the cursor is there, or nothing is and the cursor is where it was."""
    with reading(ledger.engine) as session:
        cursors = {cursor.chain_id: cursor.number for cursor in list_cursors(session)}
        standing = set(session.exec(select(AlertEvidence.alert_id)))
    told = Counter(alert.chain_id for alert in ledger.alerts() if not is_digest(alert.event))
    assert {chain_id: (told[chain_id], number) for chain_id, number in cursors.items()}.items() <= {
        (chain_id, state) for chain_id in (1, 10) for state in ((0, 0), (5, 7500))
    }
    assert len(standing) == sum(told.values()) == len(ledger.deliveries())
