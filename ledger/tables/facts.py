"""What was learned: facts out of logs, readings and prices at blocks, and which blocks were read completely."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from ledger.columns import HashText, Int256, UtcTime
from ledger.tables.sentences import Json, in_order, of_block, said


class Fact(SQLModel, table=True):
    """What one log (or one pair of polls) says, in the field's words; one log may carry several. It goes with its block."""

    __tablename__ = "fact"
    __table_args__ = (
        *in_order("chain_id", "block_number", "log_index", "fact_no", "segment_id"),
        Index("fact_segment_role", "segment_id", "role", "block_number"),
    )
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Block it is in"))
    log_index: int = Field(
        primary_key=True, sa_column_kwargs=said("Log it was decoded from; for a venue the row of the poll")
    )
    fact_no: int = Field(primary_key=True, sa_column_kwargs=said("0, 1, … within that log"))
    segment_id: int = Field(
        primary_key=True,
        sa_column_kwargs=said("Segment it belongs to; one log may concern two"),
    )
    block_number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
    block_time: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Time of that block"))
    tx_hash: str | None = Field(default=None, sa_type=HashText, sa_column_kwargs=said("Transaction; NULL for polls"))
    role: str = Field(sa_column_kwargs=said("Role: contribution, payout, shortfall, liquidation, …"))
    source: str | None = Field(default=None, sa_column_kwargs=said("Contribution: where an inflow comes from"))
    side: str | None = Field(default=None, sa_column_kwargs=said("Side: debt, collateral, position, …"))
    amount_raw: int | None = Field(
        default=None,
        sa_type=Int256,
        sa_column_kwargs=said(
            "Amount in smallest units of the asset; positive for flows and losses, signed for exposure changes"
        ),
    )
    asset_id: int | None = Field(default=None, sa_column_kwargs=said("Asset of the amount"))
    account: str | None = Field(
        default=None, sa_column_kwargs=said("Account concerned: trader, borrower, counterparty")
    )
    market: str | None = Field(default=None, sa_column_kwargs=said("Market: base token, market id, or a venue's name"))
    since_number: int | None = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_kwargs=said("For polled counters: the poll before; it happened between the two"),
    )
    detail: Json | None = Field(
        default=None, sa_type=JSON, sa_column_kwargs=said("Further words of the event that a page shows")
    )
    decoder: str = Field(sa_column_kwargs=said("shape@version of the decoder"))


class Reading(SQLModel, table=True):
    """One contract read (or venue poll value) at a block, with the call that gave it."""

    __tablename__ = "reading"
    __table_args__ = of_block(Index("reading_series", "segment_id", "name", "subject", "block_number"))
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(primary_key=True, sa_type=HashText, sa_column_kwargs=said("Block it was read at"))
    segment_id: int = Field(primary_key=True, foreign_key="segment.id", sa_column_kwargs=said("Segment it belongs to"))
    name: str = Field(primary_key=True, sa_column_kwargs=said("ReadingName"))
    subject: str = Field(
        primary_key=True,
        default="",
        sa_column_kwargs=said("Account, market, account/market or asset address; empty for the fund itself"),
    )
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
    block_time: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Time of that block"))
    value_raw: int | None = Field(
        default=None,
        sa_type=Int256,
        sa_column_kwargs=said("Answer as an integer; NULL is unknown, see error"),
    )
    decimals: int = Field(default=0, sa_column_kwargs=said("value = value_raw / 10^decimals"))
    asset_id: int | None = Field(
        default=None,
        foreign_key="asset.id",
        sa_column_kwargs=said("Asset the value is counted in, where it is an amount"),
    )
    contract: str = Field(sa_column_kwargs=said("Contract or venue endpoint asked"))
    call: str = Field(sa_column_kwargs=said("Function signature with its arguments, or the poll's field"))
    error: str | None = Field(
        default=None, sa_column_kwargs=said("Why there is no value: reverted, garbage, not recorded")
    )


class Price(SQLModel, table=True):
    """USD price of an asset, read from its feed contract at a block."""

    __tablename__ = "price"
    __table_args__ = of_block(Index("price_series", "asset_id", "block_number"))
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(primary_key=True, sa_type=HashText, sa_column_kwargs=said("Block it was read at"))
    asset_id: int = Field(primary_key=True, foreign_key="asset.id", sa_column_kwargs=said("Asset priced"))
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
    block_time: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Time of that block"))
    answer_raw: int | None = Field(
        default=None, sa_type=Int256, sa_column_kwargs=said("Feed's answer; NULL is unknown, see error")
    )
    decimals: int = Field(sa_column_kwargs=said("USD = answer_raw / 10^decimals"))
    updated_at: datetime | None = Field(
        default=None,
        sa_type=UtcTime,
        sa_column_kwargs=said("The feed's own time of the answer; NULL: the feed does not say"),
    )
    feed: str = Field(sa_column_kwargs=said("Feed contract or venue field"))
    error: str | None = Field(default=None, sa_column_kwargs=said("Why there is no price"))


class Snapshot(SQLModel, table=True):
    """One block read completely for one segment; what is due and absent here is still to do."""

    __tablename__ = "snapshot"
    __table_args__ = of_block(Index("snapshot_series", "segment_id", "block_number"))
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(primary_key=True, sa_type=HashText, sa_column_kwargs=said("Block read"))
    segment_id: int = Field(primary_key=True, foreign_key="segment.id", sa_column_kwargs=said("Segment read"))
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
    block_time: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Time of that block"))
    kind: str = Field(sa_column_kwargs=said("SnapshotKind: scheduled or flow"))
    residual_raw: int | None = Field(
        default=None,
        sa_type=Int256,
        sa_column_kwargs=said(
            "Balance read minus (last balance read + flows since): what indexed facts do not explain, in the balance's smallest units"
        ),
    )
    is_reconciled: bool | None = Field(
        default=None,
        sa_column_kwargs=said(
            "Whether the residual is within tolerance; NULL: not decidable, no balance before or now"
        ),
    )
