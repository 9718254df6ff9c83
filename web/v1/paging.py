"""Parameters of lists, each of them bounded; cursors, which are checked before anything is asked; and pages of rows."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from ledger.kinds import ReadingName, Role
from ledger.listings import Span
from web.posting import NO_TEXT

MOST_ROWS, ROWS = 500, 100
LONGEST_CURSOR = 1000
HIGHEST = 2**63 - 1
"""No block, log or id is higher: databases refuse such a number."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
FORGED = "is none that this list gave; start without one and follow `next`"

Key = TypeVar("Key", bound=tuple[Any, ...])


def _check_digits(value: object) -> object:
    """Refuses what Python also takes for a whole number: 1_0, 1.0, +1."""
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,9}", value):
        raise ValueError("write a whole number in digits")
    return value


def _check_day(value: object) -> object:
    """Refuses what pydantic also takes for a day, such as seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("write a day as YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_check_day)]


class LossRole(StrEnum):
    """The facts that speak of losses and of who paid them."""

    SHORTFALL = Role.SHORTFALL
    PAYOUT = Role.PAYOUT
    SOCIALISED_LOSS = Role.SOCIALISED_LOSS
    ADL = Role.ADL


class NoQuery(BaseModel):
    """No parameter at all: what nobody reads is refused, for a misspelt filter would silently filter nothing."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(NoQuery):
    """A page of a list."""

    limit: Annotated[int, BeforeValidator(_check_digits)] = Field(
        ROWS, ge=1, le=MOST_ROWS, description="Most rows to answer."
    )
    cursor: str | SkipJsonSchema[None] = Field(
        None,
        min_length=1,
        max_length=LONGEST_CURSOR,
        pattern="^[A-Za-z0-9_-]+$",
        description="Where to go on, as `next` of the page before has it. It belongs to that list and its filters.",
    )


class SpanQuery(PageQuery):
    """A page of what happened between two days."""

    since: Day | SkipJsonSchema[None] = Field(None, description="First UTC day of chain time, YYYY-MM-DD.")
    until: Day | SkipJsonSchema[None] = Field(None, description="Last UTC day of chain time, that day included.")

    @field_validator("until")
    @classmethod
    def _follows(cls, until: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if until is not None and since is not None and until < since:
            raise ValueError("until is a day before since")
        return until

    @property
    def span(self) -> Span:
        """The same as times."""
        return Span(
            None if self.since is None else datetime.combine(self.since, time.min, UTC),
            None if self.until is None else datetime.combine(self.until, time.max, UTC),
        )


class LossQuery(SpanQuery):
    """Losses and payouts of all funds."""

    role: LossRole | SkipJsonSchema[None] = Field(None, description="One role; without it all of these.")


class EventQuery(SpanQuery):
    """Facts of one fund."""

    role: Role | SkipJsonSchema[None] = Field(
        None, description="One role; without it shortfalls, payouts, socialised losses and ADL."
    )


class ReadingQuery(PageQuery):
    """Readings of one fund."""

    name: ReadingName = Field(description="What was read.")


class Slice(NamedTuple):
    """The rows of one page, its address, and that of the next one; None on the last."""

    rows: Sequence[Any]
    address: str
    next: str | None


def query_text(query: PageQuery, cursor: str | None = None) -> str:
    """The query as it stands in an address, in one order and without defaults."""
    said = query.model_dump(mode="json", exclude_defaults=True, exclude={"cursor"})
    if cursor is not None:
        said["cursor"] = cursor
    return f"?{urlencode(said)}" if said else ""


def cut(rows: Sequence[Any], keys: Sequence[tuple[Any, ...]], path: str, query: PageQuery) -> Slice:
    """A page out of up to one row more than it takes; `keys` are the places of those rows."""
    address = path + query_text(query, query.cursor)
    if len(rows) <= query.limit:
        return Slice(rows, address, None)
    following = query_text(query, write_cursor(path, query, keys[query.limit - 1]))
    return Slice(rows[: query.limit], address, path + following)


def write_cursor(path: str, query: PageQuery, key: tuple[Any, ...]) -> str:
    """A place in one list under its filters."""
    place = [_as_microseconds(part) if isinstance(part, datetime) else part for part in key]
    text = json.dumps([_seal(path, query, place), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(path: str, query: PageQuery, kind: type[Key]) -> Key | None:
    """The place that the query's cursor names; None without one. One that this list never gave is refused with 400."""
    if query.cursor is None:
        return None
    try:
        seal, *place = json.loads(base64.b64decode(query.cursor + "=" * (-len(query.cursor) % 4), b"-_", validate=True))
        if seal != _seal(path, query, place):
            raise ValueError("it was sealed for another list, or not by us")
        types = kind.__annotations__.values()
        return kind(*(_restore(part, wanted) for part, wanted in zip(place, types, strict=True)))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        wrong = {"type": "value_error", "loc": ("query", "cursor"), "msg": f"The cursor {FORGED}"}
        raise RequestValidationError([wrong]) from error


def _seal(path: str, query: PageQuery, place: Sequence[Any]) -> str:
    """Ties a place to its list. It keeps no secret, so what it seals is checked all the same."""
    filters = query.model_dump(mode="json", exclude={"cursor", "limit"})
    return sha256(json.dumps([path, filters, list(place)], sort_keys=True).encode()).hexdigest()[:16]


def _restore(part: object, wanted: type) -> Any:
    """One part of a key as the database takes it; raises ValueError for anything else."""
    if wanted is str and isinstance(part, str) and not NO_TEXT.search(part):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        if wanted is int and 0 <= part <= HIGHEST:
            return part
        if wanted is datetime and 0 <= part <= LAST_MOMENT:
            return EPOCH + timedelta(microseconds=part)
    raise ValueError(f"{part!r} is no {wanted.__name__} that a list has")


def _as_microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
