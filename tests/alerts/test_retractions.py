"""Reorganisations: what the new branch does not have is taken back, once, from those who had it; the rest is not."""

from sqlmodel import select

from alerts.retractions import walk_retractions
from alerts.ruling import Ruler
from alerts.thresholds import load_rules
from alerts.watch import Watch
from ledger.alerts import hold_cursor
from ledger.blocks import delete_cursor, start_cursor
from ledger.database import open_engine, reading, writing
from ledger.kinds import AlertPhase, EndpointStatus, Role, Severity
from ledger.pages import list_chains
from ledger.tables import AlertEvidence, AlertState, Endpoint
from tests.rigs.alert_ledger import HOUR, AlertChain, AlertFund, AlertLedger, plain

SHORTFALL, RETRACTED = "fund.shortfall.recorded", "event.retracted"
LOW, RECOVERED, DEPLETED, DROPPED = (
    "fund.coverage.low",
    "fund.coverage.recovered",
    "fund.depleted",
    "fund.balance.dropped",
)


def begin(ledger: AlertLedger) -> tuple[AlertChain, AlertFund, Ruler]:
    """A live chain with a fund, looked at once and since then at block 10."""
    chain, fund, ruler = ledger.begin()
    chain.grow(10)
    return chain, fund, ruler


def evidence(ledger: AlertLedger) -> list[tuple[int, str]]:
    """(height, hash) of the blocks that alerts stand on."""
    with reading(ledger.engine) as session:
        rows = session.exec(select(AlertEvidence).order_by(AlertEvidence.alert_id))  # type: ignore[arg-type]
        return [(row.block_number, row.block_hash) for row in rows]


def phase(ledger: AlertLedger, rule: str) -> str:
    with reading(ledger.engine) as session:
        state = session.get(AlertState, (rule, "alpha"))
        return state.phase if state else ""


def test_an_orphaned_event_is_taken_back_once_the_new_branch_is_three_blocks_higher(ledger: AlertLedger) -> None:
    chain, fund, ruler = begin(ledger)
    transaction = fund.fact(Role.SHORTFALL, 12)
    (key,) = ruler.rule()
    chain.reorg(8, blocks=2)
    for height in (10, 11, 12):
        assert (chain.tip, ruler.rule()) == (height, [])
        chain.grow()
    assert ruler.rule() == [f"event.retracted:{key}"]
    assert ruler.rule() == []
    told, taken = ledger.alerts()
    assert (taken.retracts, taken.episode, taken.severity, taken.happened_at) == (
        told.id, told.episode, told.severity, told.happened_at,
    )  # fmt: skip
    message = ledger.messages()[1]
    assert message.retracts == key == f"fund.shortfall.recorded:alpha:shortfall:{transaction}:0"
    assert plain(message.sentence) == (
        "What was announced as “[Not computable] Alpha fund: shortfall of 12 USDC, 2 Mar 2026, 00:02 UTC” is taken "
        "back: block 10 of Ethereum was replaced by a reorganisation, and the new branch does not have it."
    )
    assert plain(message.finality) == ("Replaced: block 10 is no longer part of the chain.")


def test_the_same_transaction_in_another_block_is_neither_told_again_nor_taken_back(ledger: AlertLedger) -> None:
    chain, fund, ruler = begin(ledger)
    fund.fact(Role.SHORTFALL, 12, tx="one")
    assert len(ruler.rule()) == 1
    chain.reorg(8)
    ruler.rule()
    chain.grow(2)
    fund.fact(Role.SHORTFALL, 12, tx="one")
    for _ in range(10):
        chain.grow()
        assert ruler.rule() == []
    assert evidence(ledger) == [(11, chain.hash_of(11))]
    chain.reorg(10)  # It can be taken from there too.
    chain.grow(3)
    assert [key.split(":")[0] for key in ruler.rule()] == [RETRACTED]


def test_what_was_taken_back_and_happens_after_all_is_told_again_under_a_key_that_counts(ledger: AlertLedger) -> None:
    chain, fund, ruler = begin(ledger)
    for _ in range(3):
        fork = chain.tip
        chain.grow()
        fund.fact(Role.SHORTFALL, 12, tx="one")
        ruler.rule()
        chain.reorg(fork, blocks=4)
        ruler.rule()
        chain.grow_for(HOUR)
        ruler.rule()  # The burst it began is over.
    key = ledger.alerts()[0].key
    told = [part for again in ("", "#2", "#3") for part in (key + again, f"event.retracted:{key}{again}")]
    assert [alert.key for alert in ledger.alerts()] == told
    assert [message.key for message in ledger.messages()] == told


def test_a_group_of_which_a_part_is_lost_is_taken_back_and_what_is_left_is_told(lite: AlertLedger) -> None:
    chain, fund, ruler = begin(lite)
    fund.fact(Role.SHORTFALL, 1)
    ruler.rule()
    for amount in (2, 3, 4):
        chain.grow()
        fund.fact(Role.SHORTFALL, amount)
    chain.grow_for(HOUR / 2)
    ruler.rule()
    assert [alert.key.split(":")[-1] for alert in lite.alerts()] == ["0", "and2"]
    chain.reorg(12, blocks=160)
    ruler.rule()
    chain.grow_for(2 * HOUR)
    ruler.rule()
    assert [alert.key.split(":")[-1] for alert in lite.alerts()][2:] == ["and2", "and1"]
    taken, left = lite.messages()[2:]
    assert taken.event == RETRACTED
    assert "5\N{NO-BREAK SPACE}USDC in all" in left.sentence


def test_a_retraction_goes_to_those_who_had_the_alert_and_are_still_there(ledger: AlertLedger) -> None:
    chain, fund, ruler = begin(ledger)
    ledger.listen("all")
    ledger.listen("shortfalls", event=SHORTFALL, least=Severity.CRITICAL)
    ledger.listen("pauses", event="fund.paused")
    gone = ledger.listen("gone")
    fund.fact(Role.SHORTFALL, 12)
    (key,) = ruler.rule()
    with writing(ledger.engine) as session:
        endpoint = session.get(Endpoint, gone)
        assert endpoint is not None
        endpoint.status = EndpointStatus.DISABLED
    ledger.listen("late")
    chain.reorg(8, blocks=6)
    ruler.rule()
    had = [(name, key) for name in ("all", "shortfalls", "gone")]
    taken = [(name, f"event.retracted:{key}") for name in ("all", "shortfalls")]
    assert ledger.deliveries() == [*had, *taken]


def test_nothing_is_taken_back_by_a_tip_of_the_old_branch(postgres_ledger_url: str) -> None:
    """A look that began before a reorganisation sees the blocks of after it, and must not go by the tip of before."""
    engine = open_engine(postgres_ledger_url)
    ledger = AlertLedger(engine)
    chain, fund, ruler = begin(ledger)
    fund.fact(Role.SHORTFALL, 12)
    chain.grow(20)
    assert len(ruler.rule()) == 1
    with writing(engine) as session:
        cursor = hold_cursor(session, chain.chain_id)
        assert cursor is not None
        (state,) = list_chains(session)
        watch = Watch(session, state, cursor, load_rules(), now=ledger.clock.now, wall_now=ledger.clock.now)
        chain.reorg(8, blocks=3)
        assert (watch.tip and watch.tip.number, chain.tip) == (30, 11)
        assert list(walk_retractions(watch)) == []
    chain.grow(2)
    ruler.rule()
    assert ledger.events() == [SHORTFALL, RETRACTED]
    engine.dispose()


def read(fund: AlertFund, *values: float) -> None:
    """Coverage at a block each, the first one at that after the tip."""
    for value in values:
        fund.chain.grow()
        fund.coverage(value)


def test_a_level_alert_whose_block_vanished_waits_for_a_reading_of_the_new_branch(ledger: AlertLedger) -> None:
    """What was read below says nothing of the new branch, and what the old branch said is void."""
    chain, fund, ruler = begin(ledger)
    read(fund, 1.3, 0.7, 0.7, 0.7)
    ruler.rule()
    assert ledger.events() == [LOW]
    chain.reorg(13, blocks=1)
    for _ in range(8):
        assert ruler.rule() == []
        chain.grow()
    assert ledger.events() == [LOW]
    fund.coverage(1.3)
    ruler.rule()
    assert ledger.events() == [LOW, RETRACTED]
    assert phase(ledger, "coverage_low") == AlertPhase.INACTIVE
    read(fund, *[1.3] * 15)
    ruler.rule()
    assert ledger.events() == [LOW, RETRACTED]  # What was taken back does not end in words.


def test_a_level_alert_with_which_the_new_branch_agrees_moves_there(ledger: AlertLedger) -> None:
    chain, fund, ruler = begin(ledger)
    read(fund, 1.3, 0.7, 0.7, 0.7)
    ruler.rule()
    chain.reorg(13, blocks=1)
    fund.coverage(0.72)
    for _ in range(10):
        chain.grow()
        assert ruler.rule() == []
    assert evidence(ledger) == [(14, chain.hash_of(14))]
    assert phase(ledger, "coverage_low") == AlertPhase.FIRING
    read(fund, *[1.3] * 12)
    ruler.rule()
    assert ledger.events() == [LOW, RECOVERED]


def test_a_reading_of_a_replaced_block_is_not_counted_for_its_successor(ledger: AlertLedger) -> None:
    """Two readings of the old branch and one of the new are no three readings in a row."""
    chain, fund, ruler = begin(ledger)
    read(fund, 1.3, 0.7, 0.7)
    ruler.rule()
    chain.reorg(11, blocks=2)
    ruler.rule()
    assert ledger.events() == []  # The old branch's numbers are still stored; nobody goes by them.
    fund.coverage(0.7)
    ruler.rule()
    read(fund, 0.7)
    ruler.rule()
    assert ledger.events() == []
    read(fund, 0.7)
    ruler.rule()
    assert ledger.events() == [LOW]


def test_an_end_that_vanished_and_is_not_true_of_the_new_branch_is_taken_back(lite: AlertLedger) -> None:
    chain, fund, ruler = begin(lite)
    read(fund, *[0.7] * 3, *[1.3] * 12)
    ruler.rule()
    assert lite.events() == [LOW, RECOVERED]
    chain.reorg(24, blocks=5)
    fund.coverage(0.7)
    ruler.rule()
    assert lite.events() == [LOW, RECOVERED, RETRACTED]
    assert lite.messages()[-1].retracts == lite.alerts()[1].key


def test_a_drop_that_vanished_is_taken_back_and_one_that_is_there_again_is_not(lite: AlertLedger) -> None:
    chain, fund, ruler = begin(lite)
    other = chain.fund("beta")
    for one in (fund, other):
        one.balance(1000)
    chain.grow()
    for one in (fund, other):
        one.balance(500)
    ruler.rule()
    assert lite.events() == [DROPPED, DROPPED]
    chain.reorg(10, blocks=2)
    fund.balance(1000)
    other.balance(600)
    chain.grow(3)
    ruler.rule()
    assert [(alert.event, alert.fund_slug) for alert in lite.alerts()][2:] == [(RETRACTED, "alpha")]
    assert evidence(lite)[1] == (12, chain.hash_of(12))


def test_after_a_retraction_the_same_level_is_told_anew_when_it_comes(lite: AlertLedger) -> None:
    chain, fund, ruler = begin(lite)
    fund.status("depleted")
    ruler.rule()
    chain.reorg(9, blocks=4)
    fund.status("short")
    ruler.rule()
    chain.grow()
    fund.status("depleted")
    ruler.rule()
    assert lite.events() == [DEPLETED, RETRACTED, DEPLETED]


def test_a_reorganisation_that_touches_no_alert_says_nothing(lite: AlertLedger) -> None:
    chain, fund, ruler = begin(lite)
    fund.fact(Role.SHORTFALL, 12)
    chain.grow()
    ruler.rule()
    chain.reorg(10, blocks=30)
    ruler.rule()
    assert lite.events() == [SHORTFALL]


def test_what_vanished_and_came_back_on_the_old_branch_is_not_taken_back(lite: AlertLedger) -> None:
    """Blocks that are fetched again, for more filters or after an operator's rewind, keep their hashes."""
    chain, fund, ruler = begin(lite)
    fund.fact(Role.SHORTFALL, 12, tx="one")
    ruler.rule()
    before = chain.hash_of(10)
    with writing(lite.engine) as session:
        chain.rewind(session, 5)
    ruler.rule()
    chain.grow(20)
    fund.fact(Role.SHORTFALL, 12, at=10, tx="one")
    ruler.rule()
    assert lite.events() == [SHORTFALL]
    assert evidence(lite) == [(10, before)]


def test_a_chain_that_is_followed_from_its_start_again_is_judged_again_without_a_word(ledger: AlertLedger) -> None:
    """Its rollbacks are counted from 0 then: fewer than the rules have seen."""
    chain, fund, ruler = begin(ledger)
    read(fund, 1.3, 0.7, 0.7, 0.7)
    fund.fact(Role.SHORTFALL, 12)
    ruler.rule()
    chain.reorg(14)
    ruler.rule()
    with writing(ledger.engine) as session:
        delete_cursor(session, chain.chain_id)
    ruler.rule()
    with writing(ledger.engine) as session:
        assert start_cursor(session, chain.chain_id, chain.tip, chain.hash_of(chain.tip))
    chain.grow()
    assert ruler.rule() == []
    read(fund, *[1.3] * 12)
    ruler.rule()
    assert sorted(ledger.events()) == sorted([LOW, SHORTFALL, RECOVERED])
