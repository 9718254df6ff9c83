"""Lists by key: whatever the size of a page, following them gives each row once, in one order, on either database."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import open_engine, reading, writing
from ledger.kinds import ReadingName, Role
from ledger.listings import (
    AlertKey,
    DayKey,
    FactKey,
    ReadingKey,
    ReorgKey,
    Span,
    find_retracted,
    has_metric,
    latest_standing,
    list_alerts,
    list_chain_facts,
    list_days,
    list_facts,
    list_readings,
    page_reorgs,
)
from ledger.pages import latest_metrics, list_places
from ledger.tables import Alert, Metric, Platform, Reading, Reorg
from tests.web.inventor import COMPUTED_AT, LIVE, SIMULATED, Inventor, digest, hours

END = datetime(2021, 5, 24, tzinfo=UTC)
LOSSES = (Role.SHORTFALL, Role.PAYOUT)
SIZES = (1, 2, 3, 100)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Two funds on two chains with the same heights, with everything that lists hold."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        for chain_id, slug in ((LIVE, "alpha"), (SIMULATED, "beta")):
            inventor.chain(chain_id, slug, slug, "live", END)
            usdc = inventor.asset(chain_id, "USDC", 6, 1.0, END)
            segment = inventor.fund(slug, slug, chain_id, "perp-v2", asset=usdc)
            for place, time in enumerate(hours(END, 5)):
                inventor.fact(segment, time, Role.SHORTFALL, place, log=1)
                inventor.fact(segment, time, Role.PAYOUT, place, log=1, fact_no=1)
                inventor.fact(segment, time, Role.LIQUIDATION, place, log=2)
            for day in range(3):
                inventor.metrics(
                    segment, END - timedelta(days=day), {"coverage": (day, "ratio"), "status": (1, "band")}
                )
            invent_readings(inventor, segment.id or 0, chain_id)
        for place in range(4):
            inventor.add(make_alert(place))
            hashes = {"old_hash": digest(place), "new_hash": digest(place, 1)}
            inventor.add(Reorg(chain_id=LIVE, fork_number=place, depth=1, detected_at=COMPUTED_AT, **hashes))
    yield opened
    opened.dispose()


def invent_readings(inventor: Inventor, segment_id: int, chain_id: int) -> None:
    """Of three accounts at two blocks each."""
    for time in hours(END, 2):
        block = inventor.block(chain_id, time)
        key = {"chain_id": chain_id, "block_hash": block.hash, "segment_id": segment_id, "block_number": block.number}
        for subject in ("a", "ü", ""):
            said = {"subject": subject, "contract": "c", "call": "f()", "block_time": time, "value_raw": 7}
            inventor.add(Reading(**key, name=ReadingName.ACCOUNT_VALUE, **said))


def make_alert(place: int) -> Alert:
    """The last takes back the first; two happened at the same moment."""
    return Alert(
        key=f"alert-{place}",
        event="fund.depleted",
        severity="critical",
        subject="alpha",
        happened_at=END + timedelta(hours=place // 2),
        title="Depleted",
        message={},
        retracts=1 if place == 3 else None,
        created_at=COMPUTED_AT,
    )


def walk(ask: Callable[[Any], Sequence[Any]], key: Callable[[Any], Any]) -> list[Any]:
    """Every row, by following the list from its start."""
    found: list[Any] = []
    after = None
    while part := ask(after):
        found += part
        after = key(part[-1])
        assert len(found) < 100, "the list goes in circles"
    return found


def fact_key(row: Any) -> FactKey:
    return FactKey(row.block_time, row.block_number, row.log_index, row.fact_no, row.segment_id)


def ids(session: Session) -> list[int]:
    return [place.segment_id for place in list_places(session)]


@pytest.mark.parametrize("size", SIZES)
def test_facts_of_all_chains_are_walked_once_newest_first(engine: Engine, size: int) -> None:
    with reading(engine) as session:
        found = walk(lambda after: list_facts(session, ids(session), LOSSES, limit=size, after=after), fact_key)
    keys = [fact_key(row) for row in found]
    assert keys == sorted(set(keys), reverse=True)
    assert len(keys) == 20
    assert {row.role for row in found} == {"shortfall", "payout"}


@pytest.mark.parametrize("size", SIZES)
def test_facts_of_one_chain_are_walked_once_highest_block_first(engine: Engine, size: int) -> None:
    with reading(engine) as session:
        [alpha] = list_places(session, "alpha")
        one = [alpha.segment_id]
        found = walk(lambda after: list_chain_facts(session, LIVE, one, LOSSES, limit=size, after=after), fact_key)
    keys = [fact_key(row) for row in found]
    assert keys == sorted(set(keys), reverse=True)
    assert len(keys) == 10


@pytest.mark.parametrize(
    ("since", "until", "count"),
    [
        (None, None, 5),
        (END - timedelta(hours=2), None, 3),
        (END - timedelta(hours=2), END - timedelta(hours=1), 2),
        (END - timedelta(minutes=90), END - timedelta(minutes=30), 1),
        (END + timedelta(days=1), None, 0),
        (None, datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), 5),
    ],
)
def test_a_span_includes_both_its_ends(
    engine: Engine, since: datetime | None, until: datetime | None, count: int
) -> None:
    span = Span(since, until)
    with reading(engine) as session:
        [alpha] = list_places(session, "alpha")
        one, roles = [alpha.segment_id], [Role.SHORTFALL]
        assert len(list_chain_facts(session, LIVE, one, roles, limit=9, span=span)) == count
        assert len(list_facts(session, one, roles, limit=9, span=span)) == count


@pytest.mark.parametrize("size", SIZES)
def test_a_history_has_one_row_a_day_and_segment_the_last_that_was_computed(engine: Engine, size: int) -> None:
    with writing(engine) as session:
        old = list_days(session, ids(session), "coverage", limit=1)[0]
        told = old.model_dump() | {"value": None, "reason": "computed anew"}
        session.add(Metric(**told | {"as_of_number": old.as_of_number - 1, "method_version": "9"}))
        session.add(Metric(**told | {"method_version": "2"}))
    with reading(engine) as session:
        found = walk(
            lambda after: list_days(session, ids(session), "coverage", limit=size, after=after),
            lambda row: DayKey(row.day, row.segment_id),
        )
        keys = [(row.day, row.segment_id) for row in found]
    assert keys == sorted(set(keys), reverse=True)
    assert len(keys) == 6
    assert [row.reason for row in found] == ["computed anew", "", "", "", "", ""]


def test_a_metric_is_there_or_not(engine: Engine) -> None:
    with reading(engine) as session:
        assert has_metric(session, ids(session), "coverage")
        assert not has_metric(session, ids(session), "runway")


def test_the_standing_is_that_of_the_latest_metrics(engine: Engine) -> None:
    with reading(engine) as session:
        whole, standing = latest_metrics(session, ids(session)), latest_standing(session, ids(session))
        assert {key: found["status"] for key, found in whole.items()} == {
            key: found["status"] for key, found in standing.items()
        }
        assert all(list(found) == ["status"] for found in standing.values())


@pytest.mark.parametrize("size", SIZES)
def test_readings_are_walked_once_and_each_subject_newest_first(engine: Engine, size: int) -> None:
    with reading(engine) as session:
        found = walk(
            lambda after: list_readings(session, ids(session), ReadingName.ACCOUNT_VALUE, limit=size, after=after),
            lambda row: ReadingKey(row.segment_id, row.subject, row.block_number),
        )
    assert len({(row.segment_id, row.subject, row.block_number) for row in found}) == len(found) == 12
    for before, after in pairwise(found):
        if (before.segment_id, before.subject) == (after.segment_id, after.subject):
            assert before.block_number > after.block_number


@pytest.mark.parametrize("size", SIZES)
def test_alerts_are_walked_once_and_those_taken_back_are_known(engine: Engine, size: int) -> None:
    with reading(engine) as session:
        found = walk(
            lambda after: list_alerts(session, limit=size, after=after), lambda row: AlertKey(row.happened_at, row.id)
        )
        assert [row.key for row in found] == ["alert-3", "alert-2", "alert-1", "alert-0"]
        assert find_retracted(session, [row.id for row in found]) == {1}


@pytest.mark.parametrize("size", SIZES)
def test_reorganisations_are_walked_once_newest_first(engine: Engine, size: int) -> None:
    with reading(engine) as session:
        found = walk(lambda after: page_reorgs(session, limit=size, after=after), lambda row: ReorgKey(row.id))
    assert [row.fork_number for row in found] == [3, 2, 1, 0]
