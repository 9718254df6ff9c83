"""Column types for what databases get wrong: exact 256-bit integers, aware UTC times, addresses and hashes."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import msgspec
from sqlalchemy import CHAR, JSON, NUMERIC, BigInteger, DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator, TypeEngine

UINT256_MAX = 2**256 - 1
INT256_MIN, INT256_MAX = -(2**255), 2**255 - 1

DIGITS = 78  # 2**256 has 78 decimal digits.


class ColumnError(ValueError):
    """A value does not fit its column: what, where and the allowed range."""


class _Exact(TypeDecorator[int]):
    """NUMERIC(78, 0) on Postgres; sortable fixed-width text on SQLite, whose NUMERIC turns 30 digits into a float."""

    impl = String
    cache_ok = True
    low: int
    high: int

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(NUMERIC(DIGITS, 0))
        return dialect.type_descriptor(String(DIGITS + 1))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        checked = self._checked(value)
        return Decimal(checked) if dialect.name == "postgresql" else self.to_text(checked)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        return int(value) if dialect.name == "postgresql" else self.from_text(value)

    def convert(self, values: Sequence[int | None], dialect: Dialect) -> Sequence[Any]:
        """A whole column at once: what process_bind_param says of each, checked by type and by extremes."""
        given = [value for value in values if value is not None]
        if not given:
            return values
        if set(map(type, given)) != {int} or min(given) < self.low or max(given) > self.high:
            return [self.process_bind_param(value, dialect) for value in values]  # It names the value that is wrong.
        if dialect.name == "postgresql":
            return values
        return self.to_texts(values)

    def _checked(self, value: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ColumnError(f"{value!r} is a {type(value).__name__}; an exact column takes int only")
        if not self.low <= value <= self.high:
            raise ColumnError(f"{value} is outside {self.low} … {self.high}")
        return value

    @abstractmethod
    def to_text(self, value: int) -> str:
        """The text SQLite stores: sorts as the number does."""

    def to_texts(self, values: Sequence[int | None]) -> Sequence[str | None]:
        """The same for a column."""
        to_text = self.to_text
        return [None if value is None else to_text(value) for value in values]

    @abstractmethod
    def from_text(self, text: str) -> int:
        """The number behind SQLite's text."""


class Uint256(_Exact):
    """Exact unsigned 256-bit integer."""

    cache_ok = True
    low, high = 0, UINT256_MAX

    def to_text(self, value: int) -> str:
        return f"{value:0{DIGITS}d}"

    def from_text(self, text: str) -> int:
        return int(text)


class Int256(_Exact):
    """Exact signed integer of 256-bit words; room for −(2^255) … 2^256−1 so that one column holds both kinds."""

    cache_ok = True
    low, high = INT256_MIN, UINT256_MAX
    _complement = 10**DIGITS
    _zeros = tuple("1" + "0" * (DIGITS - length) for length in range(DIGITS + 1))
    """Before a number of that many digits: cut once, for they come by the million."""

    def to_text(self, value: int) -> str:
        # A sign that sorts, then ten's complement: -1 comes after -2 and before 0.
        return "1" + str(value).zfill(DIGITS) if value >= 0 else "0" + str(self._complement + value).zfill(DIGITS)

    def to_texts(self, values: Sequence[int | None]) -> Sequence[str | None]:
        zeros, to_text = self._zeros, self.to_text
        return [
            None if value is None else zeros[len(text := str(value))] + text if value >= 0 else to_text(value)
            for value in values
        ]

    def from_text(self, text: str) -> int:
        number = int(text[1:])
        return number if text[0] == "1" else number - self._complement


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal kept digit for digit: NUMERIC on Postgres, plain text on SQLite (it does not sort there)."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(NUMERIC())
        return dialect.type_descriptor(String())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise ColumnError(f"{value!r} is not a finite Decimal; an unknown is NULL with a reason")
        return value if dialect.name == "postgresql" else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC time; naive times are refused, since SQLite would silently drop a zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return utc_of(value) if dialect.name == "postgresql" else utc_of(value).replace(tzinfo=None)

    def convert(self, values: Sequence[datetime | None], dialect: Dialect) -> Sequence[Any]:
        """A whole column at once: the rows of a block share a time, so each is converted once."""
        is_zoned = dialect.name == "postgresql"
        converted = {value: None if value is None else time_text(value, is_zoned) for value in set(values)}
        return [converted[value] for value in values]

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def utc_of(value: datetime) -> datetime:
    """The time in UTC; raises ColumnError where it has no zone."""
    if value.tzinfo is None:
        raise ColumnError(f"{value!r} has no time zone; times in the ledger are aware UTC")
    return value.astimezone(UTC)


@lru_cache(maxsize=4096)
def time_text(value: datetime, is_zoned: bool) -> str:
    """The time as Postgres reads it or, without its zone, as SQLAlchemy writes it into SQLite."""
    aware = utc_of(value)
    return (aware if is_zoned else aware.replace(tzinfo=None)).isoformat(" ", "microseconds")


class _Hex(TypeDecorator[str]):
    """Lower-case 0x-prefixed hexadecimal of a fixed number of bytes."""

    impl = CHAR
    cache_ok = True
    size: int

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(CHAR(2 + 2 * self.size))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        text = value.lower()
        if len(text) != 2 + 2 * self.size or not text.startswith("0x"):
            raise ColumnError(f"{value!r} is not 0x and {self.size} bytes of hexadecimal")
        try:
            int(text, 16)
        except ValueError as error:
            raise ColumnError(f"{value!r} is not hexadecimal") from error
        return text

    def convert(self, values: Sequence[str | None], dialect: Dialect) -> Sequence[str | None]:
        """A whole column at once: as it is where every value is well formed, else what process_bind_param says."""
        distinct = {value for value in values if value is not None}
        if is_hex(distinct, self.size):
            return values
        return [self.process_bind_param(value, dialect) for value in values]


class AddressText(_Hex):
    """A 20-byte account or contract address."""

    cache_ok = True
    size = 20


class HashText(_Hex):
    """A 32-byte hash or topic."""

    cache_ok = True
    size = 32


ChainId = BigInteger  # Chain ids of recordings exceed 2^31 in general; EIP-155 allows it.
BlockNumber = BigInteger

Converter = Callable[[Any], Any]
ColumnConverter = Callable[[Sequence[Any]], Sequence[Any]]
HEX_DIGITS = b"0123456789abcdef"


def is_hex(texts: Collection[str], size: int, *, words: int | None = None) -> bool:
    """Whether each text is 0x and `size` bytes of hex digits in lower case.

    `words`: how many there are where a text may be several joined by commas. Few passes over all of them joined, none
    over each: millions of hashes and topics come this way.
    """
    count, step, joined = len(texts) if words is None else words, 3 + 2 * size, ",".join(texts)
    if not count:
        return not joined
    # As many commas as must be, each where one must be: so every word is as long as it must be.
    return (
        len(joined) == count * step - 1
        and joined[step - 1 :: step] == "," * (count - 1)
        and joined[0::step] == "0" * count
        and joined[1::step] == "x" * count
        and joined.isascii()
        and joined.encode().translate(None, HEX_DIGITS) == b"x," * (count - 1) + b"x"
    )


def converter(column_type: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    """The function that turns a Python value into what COPY or executemany takes, or None where nothing is to do."""
    return column_type.dialect_impl(dialect).bind_processor(dialect)


def column_converter(column_type: TypeEngine[Any], dialect: Dialect) -> ColumnConverter | None:
    """The same for one column of many rows."""
    if isinstance(column_type, _Hex | _Exact | UtcTime):
        return partial(column_type.convert, dialect=dialect)
    if isinstance(column_type, JSON):  # SQLAlchemy's own wraps the value for the driver, which COPY does not pass.
        return json_texts
    single = converter(column_type, dialect)
    return None if single is None else partial(convert_each, single)


def json_text(value: Any) -> str:
    """JSON of a column, as compact as it goes; numbers of any size stay numbers."""
    return msgspec.json.encode(value).decode()


def json_texts(values: Sequence[Any]) -> list[str | None]:
    """A whole column of it; None is no value and not JSON's null."""
    encode = msgspec.json.Encoder().encode
    return [None if value is None else encode(value).decode() for value in values]


def convert_each(convert: Converter, values: Sequence[Any]) -> list[Any]:
    """Converts value by value."""
    return [None if value is None else convert(value) for value in values]
