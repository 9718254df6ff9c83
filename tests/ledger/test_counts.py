"""How much there is, on both databases: days once each, and facts by the day in UTC whatever the connection's zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlmodel import Session

from ledger.counts import count_days, list_marks
from ledger.database import open_engine, reading, writing
from ledger.kinds import Role
from ledger.pages import list_events, list_places
from ledger.published import list_days
from ledger.tables import Platform
from tests.web.inventor import LIVE, Inventor

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROLES = (Role.SHORTFALL, Role.LIQUIDATION)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Two funds, one with numbers of four days and facts on both sides of a midnight; Postgres tells Tokyo's time."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.update_query_dict({"options": "-c TimeZone=Asia/Tokyo"})
    opened = open_engine(url.render_as_string(hide_password=False))
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", MIDNIGHT + 10 * DAY)
        alpha = inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2")
        inventor.fund("beta", "Beta fund", LIVE, "perp-v2")
        for day in range(4):
            for hour in (8, 20):
                told = {"status": ("1", "band"), "coverage": ("1.5", "ratio")}
                inventor.metrics(alpha, MIDNIGHT + day * DAY + hour * HOUR, told)
        for hour, role in ((-1, Role.SHORTFALL), (0, Role.SHORTFALL), (23, Role.LIQUIDATION), (24, Role.PAYOUT)):
            inventor.fact(alpha, MIDNIGHT + hour * HOUR, role, 2**200, log=hour + 1, market="m", account="a")
    yield opened
    opened.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A look at it."""
    with reading(engine) as opened:
        yield opened


def ids(session: Session) -> list[int]:
    return [place.segment_id for place in list_places(session)]


def test_a_day_counts_once_however_often_it_was_computed(session: Session) -> None:
    alpha, beta = ids(session)
    assert count_days(session, [alpha, beta]) == {alpha: 4}
    assert len(list_days(session, [alpha])[alpha]) == 4
    assert count_days(session, [beta]) == count_days(session, []) == {}


def test_marks_are_those_of_the_facts_and_their_day_is_that_of_utc(session: Session) -> None:
    marks = sorted(list_marks(session, ids(session), ROLES), key=lambda mark: mark.block_number)
    facts = list_events(session, ids(session), ROLES)
    assert [mark.day for mark in marks] == ["2026-03-01", "2026-03-02", "2026-03-02"]
    for mark, fact in zip(marks, facts, strict=True):
        assert mark.day == f"{fact.block_time:%Y-%m-%d}"
        for name in ("segment_id", "role", "market", "account", "block_number", "log_index"):
            assert getattr(mark, name) == getattr(fact, name)
    assert list_marks(session, [], ROLES) == []
