"""Lists of events make the lines they show, and still know how many there are."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from ledger.counts import list_marks
from ledger.kinds import Role
from ledger.pages import asking, list_events
from tests.web.conftest import Reader
from tests.web.crawling import text_of
from tests.web.inventor import NOW
from tests.web.witness import NOON, reader_of, rows_of, witnessing
from web.contexts import EventLine
from web.edition import Edition, SiteConfig
from web.eventlist import last_events
from web.evidence import LOSS_ROLES, count_lines, event_lines
from web.happened import EVENT_ROLES

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture(scope="module")
def edition(engine: Engine) -> Iterator[Edition]:
    """The invented ledger."""
    with asking(engine) as session:
        yield Edition(session, lambda: NOW, SiteConfig())


def all_lines(edition: Edition, roles: tuple[Role, ...]) -> list[EventLine]:
    places = {place.segment_id: place for place in edition.places}
    return event_lines(list_events(edition.session, list(places), roles), places, edition.assets)


@pytest.mark.parametrize("roles", [LOSS_ROLES, EVENT_ROLES])
def test_the_newest_lines_are_the_first_of_all_lines(edition: Edition, roles: tuple[Role, ...]) -> None:
    places = {place.segment_id: place for place in edition.places}
    rows, whole = list_events(edition.session, list(places), roles), all_lines(edition, roles)
    assert any(line.count > 2 for line in whole)
    for limit in range(len(whole) + 2):
        assert event_lines(rows, places, edition.assets, limit=limit) == whole[:limit]


def test_lines_of_one_second_are_cut_by_their_anchors(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for log in range(2):
            witness.tell(NOON, Role.SHORTFALL, 10**6, log=log)
            witness.tell(NOON, Role.PAYOUT, 10**6, log=log + 2)
    with asking(new_ledger) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        whole = all_lines(edition, LOSS_ROLES)
        assert len(whole) == 4
        for limit in range(1, 5):
            assert last_events(edition, limit) == whole[:limit]


def test_all_lines_are_counted_though_few_are_made(edition: Edition) -> None:
    ids = [place.segment_id for place in edition.places]
    whole = all_lines(edition, LOSS_ROLES)
    assert count_lines(list_marks(edition.session, ids, LOSS_ROLES)) == len(whole) > 0
    assert count_lines(list_events(edition.session, ids, LOSS_ROLES)) == len(whole)


def test_the_pages_say_how_many_lines_there_are(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for day in range(210):
            witness.tell(NOON - day * DAY, Role.SHORTFALL, 10**6)
        for place in range(4):
            witness.tell(NOON - DAY + place * MINUTE, Role.CONTRIBUTION, 10**6, log=place + 1, source="trading_fee")
    reader: Reader = reader_of(new_ledger)
    assert "200 of 210 lines" in text_of(reader.get("/events").text)
    page = reader.get("/funds/alpha/events").text
    assert "The newest 200 of 211 lines." in text_of(page)
    assert len(rows_of(page)) == 200
    assert rows_of(page)[1][1] == "Paid in: trading-fee share (4)"


def test_liquidations_and_accounts_of_a_month_count_once(new_ledger: Engine) -> None:
    with witnessing(new_ledger) as witness:
        for log, account in enumerate(("0xa", "0xa", "0xb")):
            for fact_no, side in enumerate(("debt", "collateral")):
                witness.tell(NOON, Role.LIQUIDATION, 5, log=log, fact_no=fact_no, side=side, account=account)
        witness.tell(NOON - 40 * DAY, Role.LIQUIDATION, 5, side="debt", account="0xa")
    rows = rows_of(reader_of(new_ledger).get("/events").text)
    assert [row[2:4] for row in rows] == [["3", "2"], ["1", "1"]]
