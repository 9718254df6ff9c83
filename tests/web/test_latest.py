"""Numbers that pages share: read once, and never shown after something was computed, taken back or declared anew."""

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256

import pytest
from sqlalchemy import Engine, delete, event, func, select, update
from sqlmodel import Session, col

from ledger.database import open_engine, writing
from ledger.facts import note_facts_written
from ledger.kinds import ChainStatus, Role, SegmentStatus
from ledger.latest import latest_numbers
from ledger.metrics import delete_metrics_above
from ledger.pages import asking, daily_balances, latest_metrics, ledger_marker, list_events, list_places
from ledger.standing import set_chain_status, set_segment_status
from ledger.tables import Block, Chain, Cursor, Fact, Fund, Metric, Platform, Segment
from tests.web.conftest import Reader
from tests.web.inventor import COMPUTED_AT, LIVE, NOW, Inventor, perp_metrics
from web.edition import CURRENT_WITHIN, Edition, SiteConfig
from web.eventlist import last_events, newest_events
from web.evidence import LOSS_ROLES, event_lines
from web.press import Press, Sheet
from web.site import create_site


@pytest.fixture
def changing(database_url: str) -> Iterator[Engine]:
    """Two funds with numbers in a ledger that may be written."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        for slug in ("alpha", "beta"):
            segment = inventor.fund(slug, f"{slug.title()} fund", LIVE, "perp-v2")
            for days in range(3):
                numbers = perp_metrics("thin", 1, "512300.10", "512300.10")
                inventor.metrics(segment, NOW - timedelta(days=days), numbers)
    yield opened
    opened.dispose()


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, object]]]:
    """What the database is asked meanwhile."""
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, given: object, *_: object) -> None:
        asked.append((statement, given))

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def reads_numbers(asked: list[tuple[str, object]]) -> int:
    return sum("FROM metric JOIN latest" in " ".join(statement.split()) for statement, _ in asked)


def count_written(session: Session, segment_ids: Sequence[int]) -> None:
    """As it is counted beside each write of numbers."""
    more = {"numbers_written": col(Segment.numbers_written) + 1}
    session.execute(update(Segment).where(col(Segment.id).in_(segment_ids)).values(more))


def move_tip(engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(update(Chain).values(head_number=col(Chain.head_number) + 1))


def change_coverage(engine: Engine, slug: str, value: str, *, seconds: float = 1, day: str = "") -> None:
    """Another number of the same block, as a computation writes it so many seconds later; of one day or all."""
    with writing(engine) as session:
        [place] = list_places(session, slug)
        told = update(Metric).where(
            col(Metric.segment_id) == place.segment_id, col(Metric.name) == "coverage", col(Metric.day).contains(day)
        )
        session.execute(told.values(value=Decimal(value), computed_at=COMPUTED_AT + timedelta(seconds=seconds)))
        count_written(session, [place.segment_id])


def test_pages_share_what_they_read_until_something_is_computed(changing: Engine) -> None:
    reader = Reader(create_site(changing, lambda: NOW, SiteConfig()))
    with statements(changing) as asked:
        first = reader.get("/").text
        reader.get("/compare")
        move_tip(changing)
        assert reader.get("/").text == first
        assert reads_numbers(asked) == 1
        change_coverage(changing, "alpha", "7.31")
        assert "7.31×" in reader.get("/").text
        assert reads_numbers(asked) == 2
    assert "7.31×" not in first


def test_of_all_segments_only_the_one_whose_numbers_were_written_is_read_again(changing: Engine) -> None:
    press = Press(changing, lambda: NOW, SiteConfig())
    before = press.sheet("/")
    with statements(changing) as asked:
        change_coverage(changing, "beta", "7.31")
        after = press.sheet("/")
    with asking(changing) as session:
        [beta] = list_places(session, "beta")
    [given] = [given for statement, given in asked if reads_numbers([(statement, given)])]
    ids = [value for name, value in given.items() if "ids" in name] if isinstance(given, dict) else given[4:]  # type: ignore[index]
    assert list(ids) == [beta.segment_id]
    assert before is not None
    assert after is not None
    whole = Press(changing, lambda: NOW, SiteConfig()).sheet("/")
    assert whole is not None
    assert after.body == whole.body != before.body, "and the page is that of a site that has kept nothing"


@pytest.mark.parametrize("seconds", [0, -5], ids=["at the same time", "that began earlier"])
def test_a_second_computation_is_shown_at_once_whatever_its_time(changing: Engine, seconds: float) -> None:
    reader = Reader(create_site(changing, lambda: NOW, SiteConfig()))
    change_coverage(changing, "alpha", "6.42", seconds=0)
    assert "6.42×" in reader.get("/").text
    change_coverage(changing, "beta", "7.31", seconds=seconds)
    page = reader.get("/").text
    assert "6.42×" in page
    assert "7.31×" in page


def test_those_who_want_a_page_that_is_being_made_wait_for_it(changing: Engine) -> None:
    press = Press(changing, lambda: NOW, SiteConfig())
    start = threading.Barrier(8)

    def ask(_: int) -> Sheet | None:
        start.wait()
        return press.sheet("/")

    with ThreadPoolExecutor(8) as readers:
        sheets = list(readers.map(ask, range(8)))
    assert sheets[0] is not None
    assert all(sheet is sheets[0] for sheet in sheets)
    assert press.sheet("/nothing/here") is None
    assert press.sheet("/") is sheets[0]


def test_a_page_travels_packed_to_those_who_take_it_and_is_the_same_page(reader: Reader) -> None:
    packed, plain = (reader.get("/", {"Accept-Encoding": way}) for way in ("br, gzip", "identity"))
    assert (packed.headers.get("content-encoding"), plain.headers.get("content-encoding")) == ("gzip", None)
    assert packed.content == plain.content
    assert packed.headers["etag"] == plain.headers["etag"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    small = reader.get("/robots.txt", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_what_a_reorganisation_took_back_is_shown_no_more(changing: Engine) -> None:
    reader = Reader(create_site(changing, lambda: NOW, SiteConfig()))
    change_coverage(changing, "alpha", "7.31", day=f"{NOW:%Y-%m-%d}")
    assert "7.31×" in reader.get("/").text
    with writing(changing) as session:
        session.execute(update(Cursor).values(epoch=1))
        delete_metrics_above(session, LIVE, session.execute(select(func.max(Metric.as_of_number))).scalar_one() - 1)
    page = reader.get("/").text
    assert "7.31×" not in page
    assert "1.42×" in page


def test_a_fund_declared_anew_changes_the_digest_of_every_page(changing: Engine) -> None:
    reader = Reader(create_site(changing, lambda: NOW, SiteConfig()))
    with asking(changing) as session:
        before = Edition(session, lambda: NOW, SiteConfig()).digest
    assert before[:12] in reader.get("/glossary").text
    with writing(changing) as session:
        session.execute(update(Fund).values(file_digest="f" * 64))
    assert before[:12] not in reader.get("/glossary").text


def test_the_latest_numbers_and_the_lines_of_days_are_found_by_index(changing: Engine) -> None:
    with statements(changing) as asked, asking(changing) as session:
        ids = [place.segment_id for place in list_places(session)]
        asked.clear()
        assert set(latest_numbers(session, ids)) == set(daily_balances(session, ids, "2000-01-01")) == set(ids)
        ledger_marker(session)
    of_numbers = [one for one in asked if "FROM metric" in one[0]]
    with changing.connect() as connection:
        if changing.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # A small table is read whole, whatever there is.
        word = "EXPLAIN" if changing.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        plans = [
            "\n".join(map(str, connection.exec_driver_sql(f"{word} {statement}", given)))
            for statement, given in of_numbers
        ]
    assert len(plans) == 2
    assert not any("SCAN metric" in plan or "Seq Scan on metric" in plan for plan in plans)
    assert "metric_day" in plans[0]
    if changing.dialect.name == "sqlite":
        assert "COVERING INDEX metric_balance" in plans[1]


def test_a_ledger_without_numbers_has_no_latest(changing: Engine) -> None:
    with writing(changing) as session:
        session.execute(delete(Metric))
    with asking(changing) as session:
        assert Edition(session, lambda: NOW, SiteConfig()).metrics == {}


def test_the_digest_is_that_of_the_numbers_as_json(changing: Engine) -> None:
    odd = 'A "name" with \\ and ü'
    with writing(changing) as session:
        session.execute(update(Metric).where(col(Metric.name) == "coverage").values(text=odd, value=Decimal("1E-9")))
    with asking(changing) as session:
        places = list_places(session)
        found = latest_metrics(session, [place.segment_id for place in places])
        numbers = [
            [place.segment.slug, name, m.day, m.as_of_hash, m.method_version, str(m.value), m.text, m.inputs_digest]
            for place in places
            for name, m in sorted(found[place.segment_id].items())
        ]
        files = sorted((place.fund.slug, place.fund.file_digest) for place in places)
        told = json.dumps([numbers, files]).encode()
        assert Edition(session, lambda: NOW, SiteConfig()).digest == sha256(told).hexdigest()
    assert b"1E-9" in told


@contextmanager
def after_a_block(engine: Engine) -> Iterator[tuple[Reader, Session]]:
    """A reader who has seen the home page, and the ledger: what is written is followed by a block, not by numbers."""
    reader = Reader(create_site(engine, lambda: NOW, SiteConfig()))
    reader.get("/")
    with writing(engine) as session:
        yield reader, session
    move_tip(engine)


def row_of(reader: Reader, slug: str) -> str:
    text = reader.get("/").text
    return text[text.index(f'<th scope="row"><a href="/funds/{slug}">') :].partition("</tr>")[0]


def test_a_row_is_kept_over_a_block_and_made_anew_when_its_segment_or_chain_stands_otherwise(changing: Engine) -> None:
    with after_a_block(changing) as (reader, session):
        before = {slug: row_of(reader, slug) for slug in ("alpha", "beta")}
        [alpha] = list_places(session, "alpha")
        set_segment_status(session, alpha.segment_id, SegmentStatus.UNVERIFIED, "block 7 has another hash")
    assert row_of(reader, "beta") == before["beta"]
    changed = row_of(reader, "alpha")
    assert "Thin" in before["alpha"]
    assert "Not computable" in changed
    assert "unverified" in changed
    assert "block 7 has another hash" in reader.get("/").text
    assert "Not computable" in row_of(reader, "alpha"), "and it stays so"


def test_a_chain_that_went_away_is_said_of_a_fund_without_numbers_at_the_next_block(changing: Engine) -> None:
    with writing(changing) as session:
        session.execute(delete(Metric))
    with after_a_block(changing) as (reader, session):
        assert "source down" not in row_of(reader, "alpha")
        set_chain_status(session, LIVE, ChainStatus.UNREACHABLE, "no provider answers")
    assert "source down" in row_of(reader, "alpha")


def test_a_new_name_stands_in_rows_and_events_at_the_next_block(changing: Engine) -> None:
    with writing(changing) as session:
        [alpha] = list_places(session, "alpha")
        Inventor(session).fact(alpha.segment, NOW - timedelta(minutes=1), Role.SHORTFALL, 5)
    with after_a_block(changing) as (reader, session):
        assert reader.get("/").text.count("Alpha fund") == 3  # In the table, below it, and with its event.
        session.execute(update(Fund).where(col(Fund.slug) == "alpha").values(name="Omega fund"))
    page = reader.get("/").text
    assert (page.count("Alpha fund"), page.count("Omega fund")) == (0, 3)


def test_events_are_those_of_the_ledger_at_each_block(changing: Engine) -> None:
    with after_a_block(changing) as (reader, session):
        assert "No shortfall, payout" in reader.get("/").text
        [alpha] = list_places(session, "alpha")
        Inventor(session).fact(alpha.segment, NOW - timedelta(minutes=1), Role.SHORTFALL, 5)
    assert "5 smallest units" in reader.get("/").text
    with writing(changing) as session:
        session.execute(update(Fact).values(amount_raw=77))
        note_facts_written(session, LIVE)
    move_tip(changing)
    page = reader.get("/").text
    assert "77 smallest units" in page
    assert ">5 smallest units" not in page


def test_a_source_that_falls_behind_is_said_although_numbers_and_rows_are_kept(changing: Engine) -> None:
    """The clock crosses the limit within a minute, so that all that hangs on numbers is still kept."""
    limit = NOW.replace(second=0) + CURRENT_WITHIN
    now = [limit + timedelta(seconds=10)]
    with writing(changing) as session:
        session.execute(update(Block).values(timestamp=limit - CURRENT_WITHIN + timedelta(seconds=20)))
    reader = Reader(create_site(changing, lambda: now[0], SiteConfig()))
    with statements(changing) as asked:
        assert "1 of 1 source current" in reader.get("/").text
        now[0] += timedelta(seconds=20)
        move_tip(changing)
        late = reader.get("/").text
        assert reads_numbers(asked) == 1, "numbers were kept"
    assert "0 of 1 source current" in late
    assert "Our reading of Optimism is behind" in late


def test_a_change_stands_on_the_home_page_at_the_next_block_and_one_that_is_moved_is_told_anew(
    changing: Engine,
) -> None:
    with writing(changing) as session:
        [alpha] = list_places(session, "alpha")
        told = {"name": "discount_rate", "value": "7"}
        Inventor(session).fact(alpha.segment, NOW - timedelta(minutes=5), Role.PARAM, None, detail=told)
    with after_a_block(changing) as (reader, session):
        before = reader.get("/").text
        Inventor(session).fact(
            alpha.segment, NOW - timedelta(minutes=1), Role.PARAM, None, log=9, detail=told | {"value": "8"}
        )
    after = reader.get("/").text
    assert before.count("Discount rate") == 1
    assert after.count("Discount rate") == 2
    with writing(changing) as session:
        session.execute(update(Fact).where(col(Fact.log_index) == 9).values(detail=told | {"value": "123456"}))
        note_facts_written(session, LIVE)
    move_tip(changing)
    assert "123456" not in after
    assert "123456" in reader.get("/").text


def test_the_newest_events_are_the_first_of_all_however_many_facts_make_a_line(engine: Engine) -> None:
    with asking(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        places = {place.segment_id: place for place in edition.places}
        whole = event_lines(list_events(session, list(places), LOSS_ROLES), places, edition.assets)
        assert any(line.count > 2 for line in whole)
        for count in (*range(1, 15), 200):
            assert newest_events(edition, count) == last_events(edition, count) == whole[:count]


def test_a_day_of_many_facts_is_summed_up_whole_among_the_newest(new_ledger: Engine) -> None:
    with writing(new_ledger) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        segment = inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2")
        for minute in range(60 * 40):  # Forty a day lie before noon, sixty days long.
            time = NOW.replace(hour=1) - timedelta(days=minute // 40, minutes=minute % 40)
            inventor.fact(segment, time, Role.SHORTFALL, 1, log=minute % 40)
    with asking(new_ledger) as session:
        found = newest_events(Edition(session, lambda: NOW, SiteConfig()), 12)
    assert [line.count for line in found] == [40] * 12
