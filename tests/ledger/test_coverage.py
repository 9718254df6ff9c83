"""Coverage and verification: intervals merge, rungs stay apart, a rollback cuts both, old ledgers keep theirs."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlmodel import Session, select

from ledger.coverage import (
    AUDITED,
    COMPARED,
    Verified,
    cut_coverage,
    extend_coverage,
    extend_coverages,
    extend_verification,
    list_coverage,
    list_levels,
    list_verified,
)
from ledger.database import open_engine, writing
from ledger.kinds import FundKind
from ledger.tables import Coverage, Fund, Platform, Segment, Verification
from ledger.upgrades import migration_config

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with one segment."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        fill(session)
    yield opened
    opened.dispose()


def fill(session: Session) -> None:
    # Chain and segment as rows of the first tables: one of the tests begins there.
    columns = "chain_id, slug, name, kind, provenance, explorer, is_venue, status, status_reason"
    session.execute(
        text(f"INSERT INTO chain ({columns}) VALUES (7, 'seven', 'Seven', 'live', '', '', false, 'new', '')")
    )
    session.add(Platform(slug="p", name="P"))
    session.flush()
    session.add(Fund(slug="f", platform_slug="p", name="F", kind=FundKind.RESERVE, shape="address_fund", chain_id=7,
                     methodology="m", file_digest="d"))  # fmt: skip
    session.flush()
    columns = "id, fund_slug, slug, name, chain_id, status, status_reason"
    session.execute(text(f"INSERT INTO segment ({columns}) VALUES (1, 'f', 'f', 'F', 7, 'new', '')"))


def covered(session: Session, first: int, last: int, level: int) -> None:
    extend_coverage(session, Coverage(segment_id=1, filter_digest="d", from_number=first, to_number=last, level=level,
                                      verified_at=NOW))  # fmt: skip


def passed(session: Session, level: int, first: int, last: int) -> None:
    extend_verification(session, Verification(segment_id=1, filter_digest="d", level=level, from_number=first,
                                              to_number=last, verified_at=NOW))  # fmt: skip


def test_blocks_asked_by_bloom_are_known_though_their_neighbours_were_not(engine: Engine) -> None:
    with writing(engine) as session:
        covered(session, 0, 9, 1)
        covered(session, 10, 19, 2)
        covered(session, 20, 29, 1)
        covered(session, 30, 39, 2)
    with writing(engine) as session:
        assert list_coverage(session, 1, "d") == [(0, 39)]
        assert session.exec(select(Coverage.level)).one() == 1
        assert list_verified(session, 1, "d") == [Verified(2, 10, 19), Verified(2, 30, 39)]


def test_intervals_of_one_rung_merge_and_those_of_others_stay_apart(engine: Engine) -> None:
    with writing(engine) as session:
        passed(session, COMPARED, 10, 19)
        passed(session, AUDITED, 5, 40)
        passed(session, COMPARED, 25, 29)
        passed(session, COMPARED, 20, 24)
        passed(session, COMPARED, 12, 13)
        assert list_verified(session, 1, "d") == [Verified(3, 10, 29), Verified(4, 5, 40)]
        assert list_verified(session, 1, "another filter") == []


def test_what_passed_higher_rungs_counts_from_the_segments_own_first_block(engine: Engine) -> None:
    with writing(engine) as session:
        added = Coverage(segment_id=1, filter_digest="d", from_number=15, to_number=20, level=1, verified_at=NOW)
        extend_coverage(session, added, [Verified(COMPARED, 10, 20), Verified(AUDITED, 12, 12)])
        assert list_verified(session, 1, "d") == [Verified(COMPARED, 15, 20)]


def test_a_rollback_cuts_what_was_verified_as_it_cuts_what_was_covered(engine: Engine) -> None:
    with writing(engine) as session:
        covered(session, 0, 99, 2)
        passed(session, COMPARED, 40, 60)
        passed(session, COMPARED, 80, 90)
        cut_coverage(session, 7, 50, now=LATER)
    with writing(engine) as session:
        assert list_coverage(session, 1, "d") == [(0, 50)]
        assert list_verified(session, 1, "d") == [Verified(2, 0, 50), Verified(3, 40, 50)]
        assert {row.verified_at for row in session.exec(select(Verification))} == {LATER}


def test_an_older_ledger_keeps_what_it_knows_about_blooms(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(migration_config(engine), "0001")
    with writing(engine) as session:
        fill(session)
        for first, level in ((0, 1), (20, 2)):
            session.execute(
                text("INSERT INTO coverage VALUES (1, 'd', :first, :last, :level, '2026-01-01 00:00:00')"),
                {"first": first, "last": first + 9, "level": level},
            )
    command.upgrade(migration_config(engine), "head")
    with writing(engine) as session:
        assert list_verified(session, 1, "d") == [Verified(2, 20, 29)]
    engine.dispose()


SEGMENTS = (1, 2, 3)
SCANS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(0, 12),
        st.sets(st.sampled_from(SEGMENTS), min_size=1),
        st.integers(1, 2),
        st.lists(st.tuples(st.sampled_from([COMPARED, AUDITED]), st.integers(0, 40), st.integers(0, 5)), max_size=3),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCANS)
def test_several_segments_at_once_are_covered_as_each_of_them_alone(
    engine: Engine, scans: list[tuple[int, int, set[int], int, list[tuple[int, int, int]]]]
) -> None:
    def played(*, is_together: bool) -> list[object]:
        with Session(engine) as session:
            for number in SEGMENTS[1:]:
                session.add(Segment(id=number, fund_slug="f", slug=f"s{number}", name="S", chain_id=7))
            session.flush()
            for first, blocks, segments, level, rungs in scans:
                wanted = [
                    Coverage(segment_id=segment, filter_digest="d", from_number=first, to_number=first + blocks,
                             level=level, verified_at=NOW)
                    for segment in sorted(segments)
                ]  # fmt: skip
                passed = [Verified(rung, start, start + length) for rung, start, length in rungs]
                if is_together:
                    extend_coverages(session, wanted, passed)
                else:
                    for one in wanted:
                        extend_coverage(session, one, passed)
            levels = [list_levels(session, segment, "d") for segment in SEGMENTS]
            return [*levels, *(list_verified(session, segment, "d") for segment in SEGMENTS)]

    assert played(is_together=True) == played(is_together=False)
