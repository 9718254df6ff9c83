"""Queries behind pages of evidence, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from ledger.database import open_engine, reading, writing
from ledger.evidence import (
    count_events,
    find_block,
    find_fact,
    find_log,
    last_final_numbers,
    latest_events,
    list_changes,
    list_events_between,
    list_tellings,
    metrics_at,
    nearest_numbers,
    walk_days,
)
from ledger.kinds import Role
from ledger.pages import Place, list_places
from ledger.tables import Alert, AlertEvidence, Fact, Metric, Platform, RawLog
from tests.web.inventor import LIVE, Inventor, digest

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with one live fund of ten days."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", START + 10 * DAY)
        usdc = inventor.asset(LIVE, "USDC", 6, 1.0, START)
        fund = inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2", asset=usdc)
        for day in range(10):
            inventor.metrics(fund, START + day * DAY, {"coverage": (f"1.0{day}", "ratio"), "exposure": ("5", "usd")})
        inventor.metrics(fund, START + 9 * DAY + HOUR, {"coverage": ("2.5", "ratio")})
        for place in range(6):
            inventor.fact(fund, START + place * HOUR, Role.SHORTFALL, 10 + place, asset_id=usdc.id)
            inventor.fact(fund, START + place * HOUR, Role.PAYOUT, 10 + place, asset_id=usdc.id, fact_no=1)
    yield opened
    opened.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A look at it."""
    with reading(engine) as opened:
        yield opened


@pytest.fixture
def alpha(session: Session) -> Place:
    """The fund's one segment."""
    (place,) = list_places(session)
    return place


def test_of_a_day_only_the_last_block_counts(session: Session, alpha: Place) -> None:
    rows = [row for row in walk_days(session, [alpha.segment_id]) if row.name == "coverage"]
    assert [row.value for row in rows] == [f"1.0{day}" for day in range(9)] + ["2.5"]
    assert [row.day for row in rows] == sorted(row.day for row in rows)
    assert rows[-1].as_of_time == START + 9 * DAY + HOUR


def test_days_of_nobody_are_none(session: Session) -> None:
    assert list(walk_days(session, [])) == []


def test_a_number_is_found_at_its_block_and_nowhere_else(session: Session, alpha: Place) -> None:
    rows = [row for row in walk_days(session, [alpha.segment_id]) if row.name == "coverage"]
    third = rows[2]
    found = metrics_at(session, [alpha.segment_id], "coverage", third.as_of_number)
    assert str(found[alpha.segment_id].value) == "1.02"
    assert metrics_at(session, [alpha.segment_id], "coverage", third.as_of_number + 1) == {}
    near = nearest_numbers(session, [alpha.segment_id], "coverage", third.as_of_number + 1)
    assert near == [third.as_of_number, rows[3].as_of_number]
    assert nearest_numbers(session, [alpha.segment_id], "coverage", 0) == [rows[0].as_of_number]
    assert nearest_numbers(session, [alpha.segment_id], "nothing", 5) == []


def test_only_final_days_have_final_numbers(engine: Engine, session: Session, alpha: Place) -> None:
    with writing(engine) as writer:
        for metric in writer.exec(select(Metric).where(Metric.day == "2026-03-11")).all():
            metric.is_day_final = False
            writer.add(metric)
    session.rollback()  # Another look, which sees what was just written.
    found = last_final_numbers(session, alpha.segment_id, ["coverage", "exposure"], days=3)
    assert set(found) == {"coverage", "exposure"}
    assert list(found["coverage"]) == ["2026-03-08", "2026-03-09", "2026-03-10"]


def test_the_newest_events_come_in_order_and_never_half_a_block(session: Session, alpha: Place) -> None:
    roles = (Role.SHORTFALL, Role.PAYOUT)
    whole = latest_events(session, [alpha.segment_id], roles, 100)
    assert [(row.amount_raw, row.role) for row in whole][-2:] == [(15, "shortfall"), (15, "payout")]
    assert len(whole) == count_events(session, [alpha.segment_id], roles) == 12
    some = latest_events(session, [alpha.segment_id], roles, 5)
    assert [row.amount_raw for row in some] == [14, 14, 15, 15]
    assert latest_events(session, [alpha.segment_id], roles, 12) == whole


def test_events_between_two_times_leave_the_end_out(session: Session, alpha: Place) -> None:
    rows = list_events_between(session, alpha, Role.PAYOUT, since=START + HOUR, until=START + 3 * HOUR)
    assert [row.amount_raw for row in rows] == [11, 12]


def test_a_fact_leads_to_its_block_and_its_raw_log(engine: Engine, session: Session, alpha: Place) -> None:
    row = latest_events(session, [alpha.segment_id], (Role.SHORTFALL,), 1)[0]
    with writing(engine) as writer:
        writer.add(
            RawLog(chain_id=LIVE, block_hash=row.block_hash, log_index=row.log_index, block_number=row.block_number,
                   tx_hash=digest("tx"), address="0x" + "ab" * 20, topics=digest("topic"), data="0x01")
        )  # fmt: skip
    session.rollback()
    fact = find_fact(session, alpha, row)
    assert fact is not None
    assert (fact.decoder, fact.amount_raw) == ("invented@1", 15)
    block, log = find_block(session, fact), find_log(session, fact)
    assert block is not None
    assert block.status == "finalized"
    assert log is not None
    assert log.data == "0x01"


def test_announcements_of_a_fact_are_those_of_its_name_and_say_whether_they_stand(
    engine: Engine, session: Session, alpha: Place
) -> None:
    row = latest_events(session, [alpha.segment_id], (Role.SHORTFALL,), 1)[0]
    with writing(engine) as writer:
        first, other = (
            _announce(writer, row.block_number, row.block_hash, key) for key in ("a:alpha:x:0", "b:beta:x:0")
        )
        writer.add(_alert("taken back", retracts=first))
    session.rollback()
    fact = find_fact(session, alpha, row)
    assert fact is not None
    told = list_tellings(session, fact, named=":alpha:x:0")
    assert [(one.alert.id, one.is_retracted) for one in told] == [(first, True)]
    assert [(one.alert.id, one.is_retracted) for one in list_tellings(session, fact, named=":beta:x:0")] == [
        (other, False)
    ]
    # What stands for anything in a pattern is only itself here.
    assert list_tellings(session, fact, named=":%") == []


def _alert(key: str, retracts: int | None = None) -> Alert:
    return Alert(key=key, event="e", severity="notice", subject="alpha", fund_slug="alpha", chain_id=LIVE,
                 happened_at=START, title=key, message={}, retracts=retracts, created_at=START)  # fmt: skip


def _announce(session: Session, number: int, block_hash: str, key: str) -> int:
    alert = _alert(key)
    session.add(alert)
    session.flush()
    assert alert.id is not None
    session.add(
        AlertEvidence(alert_id=alert.id, fact_key=key, chain_id=LIVE, block_number=number, block_hash=block_hash)
    )
    return alert.id


def test_changes_are_facts_of_control_parameters_and_shutdowns_in_order(
    engine: Engine, session: Session, alpha: Place
) -> None:
    with writing(engine) as writer:
        like = writer.exec(select(Fact).where(Fact.role == "payout")).first()
        assert like is not None
        for place, role in enumerate((Role.MARKET_SHUTDOWN, Role.PARAM, Role.CONTROL)):
            told = like.model_dump() | {"role": role, "log_index": 9 - place, "detail": {"name": role}}
            writer.add(Fact(**told))
    session.rollback()
    rows = list_changes(session, [alpha.segment_id])
    assert [row.role for row in rows] == ["control", "param", "market_shutdown"]
    assert rows[0].detail == {"name": "control"}
