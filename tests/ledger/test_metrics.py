"""Each write of numbers is counted at its segment, in its own transaction: caches are keyed by it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import open_engine, reading, writing
from ledger.metrics import MetricRow, delete_metrics_above, write_metrics
from ledger.pages import ledger_marker, list_places
from ledger.tables import Platform
from tests.web.inventor import LIVE, SIMULATED, Inventor

END = datetime(2021, 5, 24, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Three segments on two chains."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        for chain_id, slug in ((LIVE, "live"), (SIMULATED, "simulated")):
            inventor.chain(chain_id, slug, slug, "live", END)
        for slug, chain_id in (("alpha", LIVE), ("beta", LIVE), ("gamma", SIMULATED)):
            inventor.fund(slug, slug, chain_id, "perp-v2")
    yield opened
    opened.dispose()


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        return {place.segment.slug: place.segment.numbers_written for place in list_places(session)}


def row_of(session: Session, slug: str, value: str = "1.5") -> MetricRow:
    [place] = list_places(session, slug)
    return MetricRow(
        segment_id=place.segment_id, name="coverage", day="2021-05-23", as_of_number=7, method_version="1",
        as_of_hash="0x" + "07" * 32, as_of_time=END, is_day_final=False, value=Decimal(value), unit="ratio", text=None,
        quality="ok", reason="", window_days=None, n_obs=None, n_events=None, ci_low=None, ci_high=None,
        inputs_digest="0" * 64, detail=None,
    )  # fmt: skip


def test_a_write_is_counted_at_its_segments_and_one_that_changes_nothing_is_none(engine: Engine) -> None:
    assert counts(engine) == {"alpha": 0, "beta": 0, "gamma": 0}
    with writing(engine) as session:
        rows = [row_of(session, "alpha"), row_of(session, "gamma")]
        assert write_metrics(session, rows, computed_at=END) == 2
    assert counts(engine) == {"alpha": 1, "beta": 0, "gamma": 1}
    with writing(engine) as session:
        assert write_metrics(session, rows, computed_at=END) == 0
    assert counts(engine) == {"alpha": 1, "beta": 0, "gamma": 1}
    with writing(engine) as session:
        assert write_metrics(session, [rows[0], replace(rows[1], value=Decimal(2))], computed_at=END) == 1
    assert counts(engine) == {"alpha": 1, "beta": 0, "gamma": 2}


def test_numbers_that_are_taken_back_are_counted_at_every_segment_of_the_chain(engine: Engine) -> None:
    with writing(engine) as session:
        delete_metrics_above(session, LIVE, 6)
    assert counts(engine) == {"alpha": 1, "beta": 1, "gamma": 0}


def test_a_write_that_fails_is_not_counted_and_the_mark_of_the_ledger_moves_with_each_other(engine: Engine) -> None:
    marks = []
    for value in ("1", "2", "2", "3"):
        with writing(engine) as session:
            write_metrics(session, [row_of(session, "alpha", value)], computed_at=END)
        with reading(engine) as session:
            marks.append(ledger_marker(session).computed)
    assert marks == [1, 2, 2, 3]

    def fail() -> None:
        with writing(engine) as session:
            write_metrics(session, [row_of(session, "alpha", "4")], computed_at=END)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert counts(engine)["alpha"] == 3
