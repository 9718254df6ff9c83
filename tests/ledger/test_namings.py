"""Whatever is said of a segment, its fund, platform, chain or asset is noticed when it is said otherwise."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, Engine, Float, String, select, update

from ledger.columns import UtcTime
from ledger.database import open_engine, reading, writing
from ledger.namings import MOVING, list_namings, list_tokens
from ledger.tables import Asset, Chain, Fund, Platform, Segment
from tests.web.inventor import LIVE, Inventor

TIME = datetime(2021, 5, 24, tzinfo=UTC)
COLUMNS = [
    column
    for table in (Segment, Fund, Platform, Chain, Asset)
    for column in table.__table__.columns  # type: ignore[attr-defined]
    if not column.primary_key and not column.foreign_keys
]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """One segment with an asset, and one that has none."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "live", "Live", "live", TIME)
        for slug in ("alpha", "beta"):
            segment = inventor.fund(slug, slug, LIVE, "perp-v2")
            if slug == "alpha":
                segment.asset_id = inventor.asset(LIVE, "vETH", 18, 2000.0, TIME).id
    yield opened
    opened.dispose()


def other(column: Column[Any]) -> Any:
    """A value that the column does not hold."""
    if isinstance(column.type, JSON):
        return [{"layer": "nobody"}]
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, Float):
        return 0.125
    if isinstance(column.type, String):
        return "another"
    return TIME.replace(year=2030) if isinstance(column.type, UtcTime) else 7


def test_another_value_of_any_column_is_noticed_but_for_those_that_move(engine: Engine) -> None:
    unnoticed = set()
    for column in COLUMNS:
        with reading(engine) as session:
            before = list_namings(session)
            assert list_namings(session) == before
        with writing(engine) as session:
            [key] = column.table.primary_key.columns
            one = session.execute(select(key)).scalars().first()  # One row: a name may be taken once.
            session.execute(update(column.table).where(key == one).values({column: other(column)}))
        with reading(engine) as session:
            after = list_namings(session)
        if all(after[key].told == naming.told for key, naming in before.items()):
            unnoticed.add((column.table.name, column.name))
    assert unnoticed == {(table, name) for table, names in MOVING.items() for name in names}


def test_how_often_numbers_were_written_stands_apart_and_a_segment_without_an_asset_has_its_names(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        session.execute(update(Segment).values(numbers_written=3))
    with reading(engine) as session:
        namings = list_namings(session)
        assert [naming.written for naming in namings.values()] == [3, 3]
        [token] = list_tokens(session)
    assert token[2:] == ("vETH", 18)
    assert ["vETH" in naming.told for naming in namings.values()] == [True, False]
