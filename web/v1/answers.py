"""The answers of the API: rows or one object in an envelope that says where it came from and where it goes on."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from web.v1.models import (
    AlertRow,
    AsOf,
    ChainRow,
    Definition,
    EventRow,
    FundBrief,
    FundFull,
    Indexed,
    MethodVersion,
    MetricDay,
    MetricLatest,
    ReadingRow,
    ReorgRow,
    SegmentRow,
)

Row = TypeVar("Row", bound=BaseModel)


class Answer(BaseModel):
    """What every answer begins with."""

    self: str = Field(description="Address of this answer.")
    notice: str = Field(description="What the numbers are not.")


class One(Answer, Generic[Row]):
    """One object."""

    data: Row = Field(description="The object.")


class Page(Answer, Generic[Row]):
    """Rows of a list."""

    data: list[Row] = Field(description="The rows.")
    next: str | None = Field(description="Address of the rows that follow; null on the last page.")


class Funds(Page[FundBrief]):
    """Funds by slug."""


class Fund(One[FundFull]):
    """One fund."""


class Segments(Page[SegmentRow]):
    """The segments of one fund."""


class Metrics(Page[MetricLatest]):
    """Latest numbers of one fund."""


class MetricDays(Page[MetricDay]):
    """One metric by day."""


class Readings(Page[ReadingRow]):
    """Readings of one fund."""


class Events(Page[EventRow]):
    """Facts."""


class Alerts(Page[AlertRow]):
    """Announcements."""


class Chains(Page[ChainRow]):
    """Chains, recordings and venues."""


class Reorgs(Page[ReorgRow]):
    """Reorganisations on record."""


class Methodology(Answer):
    """How the numbers are made."""

    method_version: str | None = Field(description="Version behind the latest numbers; null before any was computed.")
    versions: list[MethodVersion] = Field(description="Published versions, newest first.")
    metrics: list[Definition] = Field(description="Every metric that may be published.")


class StatusSegment(AsOf, Indexed):
    """A segment with what is missing of it."""


class SiteStatus(Answer):
    """How current the whole is."""

    method_version: str | None = Field(description="Version behind the latest numbers; null before any was computed.")
    digest: str = Field(description="sha256 of every latest number and fund file: two equal ones say the same.")
    oldest_block_time: datetime | None = Field(description="Time of the oldest segment's latest numbers, UTC.")
    newest_block_time: datetime | None = Field(description="Time of the newest segment's latest numbers, UTC.")
    source_count: int = Field(description="Chains, recordings and venues that a fund lives on.")
    current_source_count: int = Field(description="How many of them are current.")
    segments: list[StatusSegment] = Field(description="Each segment with what was not scanned of it.")
