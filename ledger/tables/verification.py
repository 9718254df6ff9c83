"""Which rungs of the verification ladder which blocks have passed, beyond the lowest one that coverage names."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from ledger.columns import UtcTime
from ledger.tables.sentences import said


class Verification(SQLModel, table=True):
    """An interval of blocks that passed one rung of the verification ladder for a segment's filters. Neighbours are merged."""

    __tablename__ = "verification"
    segment_id: int = Field(primary_key=True, foreign_key="segment.id", sa_column_kwargs=said("Segment"))
    filter_digest: str = Field(
        primary_key=True, sa_column_kwargs=said("Digest of addresses and topics asked for, as in coverage")
    )
    level: int = Field(
        primary_key=True,
        sa_column_kwargs=said(
            "Rung: 2 header blooms asked, 3 a second provider gave the same logs, 4 proved by receiptsRoot, "
            "5 flows explain the balances at both ends"
        ),
    )
    from_number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("First block"))
    to_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Last block"))
    verified_at: datetime = Field(
        sa_type=UtcTime,
        sa_column_kwargs=said("Wall-clock time of the last extension; for rung 5 that of the later balance"),
    )
