"""The exact column types: what goes in comes out, in order, at the extremes, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, insert, select

from ledger.columns import (
    INT256_MAX,
    INT256_MIN,
    UINT256_MAX,
    AddressText,
    ColumnError,
    ExactDecimal,
    HashText,
    Int256,
    Uint256,
    UtcTime,
)
from ledger.database import open_engine

UNSIGNED = [0, 1, 9, 10, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30 + 1, 2**128, UINT256_MAX - 1, UINT256_MAX]
SIGNED = [INT256_MIN, INT256_MIN + 1, -(10**30) - 1, -(2**63) - 1, -2, -1, *UNSIGNED[:-2], INT256_MAX]


@pytest.fixture
def engine(empty_database_url: str) -> Engine:
    """An engine on an empty database of either kind."""
    engine = open_engine(empty_database_url)
    yield engine
    engine.dispose()


def stored(engine: Engine, column_type: object, values: list[object]) -> list[object]:
    """Writes the values in reverse and reads them back sorted by the database."""
    metadata = MetaData()
    table = Table("number", metadata, Column("id", Integer, primary_key=True), Column("value", column_type))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": i, "value": v} for i, v in enumerate(reversed(values))])
        found = connection.execute(select(table.c.value).order_by(table.c.value)).scalars().all()
    metadata.drop_all(engine)
    return list(found)


def test_unsigned_256_bit_integers_round_trip_and_sort(engine: Engine) -> None:
    assert stored(engine, Uint256, UNSIGNED) == UNSIGNED


def test_signed_256_bit_integers_round_trip_and_sort(engine: Engine) -> None:
    assert stored(engine, Int256, SIGNED) == SIGNED


def test_a_comparison_in_the_database_agrees_with_python(engine: Engine) -> None:
    metadata = MetaData()
    table = Table("number", metadata, Column("value", Int256))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"value": v} for v in SIGNED])
        for bound in (-1, 0, 2**63, INT256_MIN):
            found = connection.execute(select(table.c.value).where(table.c.value < bound)).scalars().all()
            assert sorted(found) == [v for v in SIGNED if v < bound]
    metadata.drop_all(engine)


@given(st.lists(st.integers(INT256_MIN, UINT256_MAX), min_size=2, max_size=30))
def test_the_text_of_sqlite_sorts_as_the_numbers_do(values: list[int]) -> None:
    column = Int256()
    texts = sorted(column.to_text(v) for v in values)
    assert [column.from_text(t) for t in texts] == sorted(values)


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        (Uint256, -1),
        (Uint256, UINT256_MAX + 1),
        (Int256, INT256_MIN - 1),
        (Int256, 1.0),
        (Int256, True),
        (ExactDecimal, Decimal("NaN")),
        (ExactDecimal, Decimal("Infinity")),
        (ExactDecimal, 0.1),
        (UtcTime, datetime(2021, 5, 19)),  # noqa: DTZ001  The naive time is what must be refused.
        (AddressText, "0x12"),
        (HashText, "0x" + "g" * 64),
    ],
)
def test_what_does_not_fit_is_refused(column_type: type, value: object) -> None:
    dialect = create_engine("sqlite://").dialect
    with pytest.raises(ColumnError):
        column_type().process_bind_param(value, dialect)


def test_times_come_back_aware_and_in_utc(engine: Engine) -> None:
    noon = datetime(2021, 5, 19, 12, 0, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=9)))
    found = stored(engine, UtcTime, [elsewhere, noon + timedelta(microseconds=1)])
    assert found == [noon, noon + timedelta(microseconds=1)]
    assert all(t.tzinfo is UTC for t in found)


def test_decimals_keep_every_digit(engine: Engine) -> None:
    value = Decimal("123456789012345678901234567890.123456789012345678")
    assert stored(engine, ExactDecimal, [value]) == [value]


def test_addresses_are_stored_in_lower_case(engine: Engine) -> None:
    address = "0x7d2768dE32b0b80b7a3454c06BdAc94A69DDc7A9"
    assert stored(engine, AddressText, [address]) == [address.lower()]
