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
    column_converter,
    is_hex,
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


def test_times_written_in_bulk_are_the_ones_written_one_by_one(engine: Engine) -> None:
    noon = datetime(2026, 5, 19, 12, 0, 0, 7, tzinfo=UTC)
    given = [noon, None, noon.astimezone(timezone(timedelta(hours=9))), datetime(1, 1, 1, tzinfo=UTC), noon]
    table = Table("times", MetaData(), Column("n", Integer, primary_key=True), Column("at", UtcTime))
    convert = column_converter(table.c.at.type, engine.dialect)
    assert convert is not None
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"n": n, "at": value} for n, value in enumerate(given)])
        marks = "?, ?" if engine.dialect.name == "sqlite" else "%s, %s"
        bulk = [(100 + n, value) for n, value in enumerate(convert(given))]
        connection.exec_driver_sql(f"INSERT INTO times VALUES ({marks})", bulk)
        found = connection.scalars(select(table.c.at).order_by(table.c.n)).all()
        if engine.dialect.name == "sqlite":
            raw = connection.exec_driver_sql("SELECT at FROM times ORDER BY n").scalars().all()
            assert raw[: len(given)] == raw[len(given) :]
    assert found[: len(given)] == found[len(given) :] == given


def test_a_column_of_times_with_one_without_a_zone_is_refused(engine: Engine) -> None:
    convert = column_converter(UtcTime(), engine.dialect)
    assert convert is not None
    with pytest.raises(ColumnError, match="no time zone"):
        convert([datetime(2026, 5, 19, tzinfo=UTC), datetime(2026, 5, 19)])  # noqa: DTZ001  That is the mistake.


@pytest.mark.parametrize("texts", [["0x12"], ["0x12", "0xff"], []])
def test_hex_of_one_length_is_hex(texts: list[str]) -> None:
    assert is_hex(texts, 1)
    assert is_hex([",".join(texts)] if texts else [], 1, words=len(texts))


@pytest.mark.parametrize(
    "texts",
    [
        ["0x1"],
        ["0x1G"],
        ["0xAB"],
        ["1234"],
        ["0x12", "0x"],
        ["0x1", "0x123"],
        ["0x12,0x34"],
        ["0x12", ",0x1"],
        ["0x1é"],
    ],
)
def test_what_is_not_hex_of_that_length_is_none(texts: list[str]) -> None:
    assert not is_hex(texts, 1)


@given(st.lists(st.text(alphabet="0x1,aG", max_size=9), min_size=1, max_size=4))
def test_texts_looked_at_together_are_hex_exactly_if_each_of_them_is(texts: list[str]) -> None:
    alone = [len(text) == 4 and text.startswith("0x") and set(text[2:]) <= set("01a") for text in texts]
    assert is_hex(texts, 1) == all(alone)


def test_decimals_keep_every_digit(engine: Engine) -> None:
    value = Decimal("123456789012345678901234567890.123456789012345678")
    assert stored(engine, ExactDecimal, [value]) == [value]


def test_addresses_are_stored_in_lower_case(engine: Engine) -> None:
    address = "0x7d2768dE32b0b80b7a3454c06BdAc94A69DDc7A9"
    assert stored(engine, AddressText, [address]) == [address.lower()]
