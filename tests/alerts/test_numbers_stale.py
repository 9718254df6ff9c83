"""What is read of one fund is old or missing while its chain goes on: told once, and nothing else is held back."""

from sqlalchemy import func, select, update
from sqlmodel import col

from alerts.message import Message
from alerts.ruling import Ruler
from alerts.thresholds import load_rules
from ledger.database import open_engine, reading, writing
from ledger.kinds import ReadingName, SourceKind
from ledger.tables import Alert, Reading
from tests.alerts.test_looking import CURRENT, DEPLETED, LOOK, STALE, stand_still
from tests.rigs.alert_ledger import HOUR, MINUTE, AlertChain, AlertLedger, SimulatedClock
from tests.solvency.rows import compute, perp_days

OLD = {"text": "stale", "reason": "the balance or its price is 3 h old"}


def go_on(chain: AlertChain, ruler: Ruler, steps: int) -> None:
    """The chain grows a block at each look."""
    for _ in range(steps):
        chain.grow()
        chain.ledger.wait(LOOK)
        ruler.rule()


def test_a_fund_whose_contract_gives_no_answer_is_stale_while_its_chain_goes_on(ledger: AlertLedger) -> None:
    chain, fund, ruler = ledger.begin()
    other = chain.fund("beta")
    fund.metric("data_status", text="verified")
    other.metric("data_status", text="verified")
    go_on(chain, ruler, 3)
    fund.metric("data_status", **OLD)
    go_on(chain, ruler, 17)
    assert ledger.events() == []
    go_on(chain, ruler, 3)
    assert ledger.events() == [STALE]
    assert [alert.fund_slug for alert in ledger.alerts()] == ["alpha"]
    assert ledger.messages()[0].sentence == (
        "Ethereum goes on, but what is read of Alpha fund is old or missing: the balance or its price is 3 h old."
    )
    assert [one.href for one in ledger.messages()[0].evidence] == ["/funds/alpha/facts/data_status"]
    fund.status("depleted")  # A fact with a block, which no old price holds back.
    go_on(chain, ruler, 2)
    assert ledger.events() == [STALE, DEPLETED]
    fund.metric("data_status", text="verified")
    go_on(chain, ruler, 3)
    assert ledger.events() == [STALE, DEPLETED, CURRENT]
    assert ledger.messages()[-1].sentence == "Alpha fund is read again, and its numbers are current."


def test_a_contract_that_reverts_is_told_by_what_the_calculator_makes_of_it(database_url: str) -> None:
    engine, rows = open_engine(database_url), perp_days(3)
    rows.source = SourceKind.LIVE
    rows.write(engine)
    clock = SimulatedClock(rows.blocks[rows.head] + 5 * MINUTE)
    ruler = Ruler(engine, clock, load_rules())

    def look(answer: dict[str, object]) -> list[str]:
        """The events announced once the newest balance is this, computed and looked at for four minutes."""
        with writing(engine) as session:
            newest = select(func.max(Reading.block_number)).where(Reading.name == ReadingName.BALANCE).scalar_subquery()
            own = update(Reading).where(Reading.name == ReadingName.BALANCE, Reading.block_number == newest)
            session.execute(own.values(answer))
        compute(engine, now=clock.now)
        told = []
        for _ in range(24):
            clock.now += LOOK
            told += [key.split(":")[0] for key in ruler.rule()]
        return [event for event in told if event in (STALE, CURRENT)]

    held = {"value_raw": 600_000 * 10**6, "error": None}
    assert look(held) == []
    assert look({"value_raw": None, "error": "reverted: paused"}) == [STALE]
    with reading(engine) as session:
        (alert,) = session.scalars(select(Alert).where(col(Alert.event) == STALE))
    assert [one.href for one in Message.of_json(alert.message).evidence] == ["/funds/f/facts/gross_balance"]
    assert look(held) == [CURRENT]
    engine.dispose()


def test_balances_that_a_recording_does_not_hold_are_no_news(lite: AlertLedger) -> None:
    chain = lite.chain("crash", kind=SourceKind.SIMULATED)
    fund, ruler = chain.fund(), lite.ruler()
    fund.metric("data_status", text="simulated")
    fund.metric("gross_balance", 5)
    chain.serve(1000)
    go_on(chain, ruler, 3)
    fund.metric("gross_balance", None, quality="unknown", reason="not polled")
    go_on(chain, ruler, 25)
    assert lite.events() == []


def test_an_outage_of_the_chain_is_told_once_though_each_number_of_it_gets_old(lite: AlertLedger) -> None:
    chain, fund, ruler = lite.begin()
    fund.metric("data_status", text="verified")
    chain.grow()
    ruler.rule()
    stand_still(lite, ruler, 2 * HOUR)
    fund.metric("data_status", **OLD)
    stand_still(lite, ruler, HOUR)
    assert lite.events() == [STALE]
    chain.grow(chain.number_at(lite.clock.now) - chain.tip)
    go_on(chain, ruler, 6)  # The calculator needs a moment to say that they are current.
    fund.metric("data_status", text="verified")
    go_on(chain, ruler, 30)
    assert lite.events() == [STALE, CURRENT]
