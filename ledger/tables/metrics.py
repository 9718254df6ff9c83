"""What is published: one row a number, kept for ever once its day is final."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from ledger.columns import ExactDecimal, HashText, UtcTime
from ledger.tables.sentences import Json, only_where, said


class Metric(SQLModel, table=True):
    """One published number of a segment's day under one method version; rows of a final day are never touched again."""

    __tablename__ = "metric"
    __table_args__ = (
        Index("metric_day", "segment_id", "day", "as_of_number"),
        # All that lines of days are drawn from: thousands of rows, each of which would be looked up in the table.
        # The name is the same in all; with it SQLite prefers this to the key.
        Index(
            "metric_balance", "segment_id", "name", "day", "as_of_number", "method_version", "value",
            **only_where("name = 'gross_balance'"),
        ),
    )  # fmt: skip
    segment_id: int = Field(primary_key=True, foreign_key="segment.id", sa_column_kwargs=said("Segment"))
    name: str = Field(primary_key=True, sa_column_kwargs=said("Metric, as in docs/glossary.md"))
    day: str = Field(primary_key=True, sa_column_kwargs=said("UTC day, YYYY-MM-DD"))
    as_of_number: int = Field(
        primary_key=True,
        sa_type=BigInteger,
        sa_column_kwargs=said("Block the number holds at: the day's last complete snapshot"),
    )
    method_version: str = Field(primary_key=True, sa_column_kwargs=said("Version of the method and cut points"))
    as_of_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Hash of that block"))
    as_of_time: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Time of that block"))
    is_day_final: bool = Field(sa_column_kwargs=said("True when the chain's clock had passed the day's end"))
    value: Decimal | None = Field(
        default=None,
        sa_type=ExactDecimal,
        sa_column_kwargs=said("Value in unit; NULL is unknown, see reason"),
    )
    unit: str = Field(sa_column_kwargs=said("usd, ratio, days, fraction, count, band, text, or an asset's symbol"))
    text: str | None = Field(
        default=None,
        sa_column_kwargs=said("A value in words where it is no number: not shrinking, no open interest, >= 50 %"),
    )
    quality: str = Field(sa_column_kwargs=said("Quality: ok, partial, stale, unknown"))
    reason: str = Field(default="", sa_column_kwargs=said("Why it is not ok, in one sentence"))
    window_days: float | None = Field(default=None, sa_column_kwargs=said("Length of the window looked at"))
    n_obs: int | None = Field(default=None, sa_column_kwargs=said("Observations: days, readings, accounts"))
    n_events: int | None = Field(default=None, sa_column_kwargs=said("Events in the window"))
    ci_low: float | None = Field(
        default=None, sa_column_kwargs=said("Lower end of the interval, where the method defines one")
    )
    ci_high: float | None = Field(default=None, sa_column_kwargs=said("Upper end of the interval"))
    inputs_digest: str = Field(sa_column_kwargs=said("sha256 of the exact input rows"))
    detail: Json | None = Field(
        default=None, sa_type=JSON, sa_column_kwargs=said("Intermediate values that a page shows as evidence")
    )
    computed_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time of the computation"))
