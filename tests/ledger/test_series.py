"""Numbers through time read as columns are the mapped rows, digit for digit, on either database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import open_engine, reading, writing
from ledger.latest import Number
from ledger.pages import Place, list_places, metric_history
from ledger.series import list_last_days, list_numbers
from ledger.tables import Platform
from tests.web.inventor import LIVE, Inventor

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIELDS = [name for name in vars(Number) if not name.startswith("_")]
ODD = (None, "ratio", "über\\ \N{RIGHT-TO-LEFT OVERRIDE}", "unknown", "nobody knows", {"n": 2**70, "l": [1.5]})


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """A fund of ten days: one day's number is unknown, the last day was computed at two blocks."""
    engine: Engine = open_engine(database_url)
    with writing(engine) as writer:
        inventor = Inventor(writer)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", START + 10 * DAY)
        fund = inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2")
        for day in range(10):
            told = {"coverage": ODD if day == 4 else (f"1.0{day}", "ratio"), "exposure": (f"{2**200}.50", "usd")}
            inventor.metrics(fund, START + day * DAY, told)
        inventor.metrics(fund, START + 9 * DAY + HOUR, {"coverage": ("2.5", "ratio")})
    with reading(engine) as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def alpha(session: Session) -> Place:
    """The fund's one segment."""
    (place,) = list_places(session)
    return place


def test_a_number_day_by_day_is_what_the_mapped_rows_say(session: Session, alpha: Place) -> None:
    for name in ("coverage", "exposure"):
        mapped = metric_history(session, alpha.segment_id, name)
        read = list_numbers(session, alpha.segment_id, name)
        assert len(mapped) == 10
        for row, number in zip(mapped, read, strict=True):
            for field in FIELDS:
                expected, told = getattr(row, field), getattr(number, field)
                assert (told, str(told), type(told)) == (expected, str(expected), type(expected)), (name, field)
    assert str(list_numbers(session, alpha.segment_id, "coverage")[-1].value) == "2.5"
    assert list_numbers(session, alpha.segment_id, "nothing") == []


def test_the_last_days_are_whole_rows_of_the_named_numbers_by_day_and_name(session: Session, alpha: Place) -> None:
    rows = list_last_days(session, alpha.segment_id, ["exposure", "coverage"], since="2026-03-10")
    found = [(row.day, row.name, str(row.value)) for row in rows]
    huge = f"{2**200}.50"
    assert found == [
        ("2026-03-10", "coverage", "1.08"),
        ("2026-03-10", "exposure", huge),
        ("2026-03-11", "coverage", "2.5"),
        ("2026-03-11", "exposure", huge),
    ]
    assert list_last_days(session, alpha.segment_id, [], since="2026-03-10") == []
