"""What was announced and why: the rules' cursor and states, alerts, and the blocks and facts they stand on."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from ledger.columns import ExactDecimal, HashText, UtcTime
from ledger.tables.sentences import Json, said


class AlertCursor(SQLModel, table=True):
    """How far the rules have read a chain; it moves in the transaction of the alerts it covers."""

    __tablename__ = "alert_cursor"
    chain_id: int = Field(
        primary_key=True,
        foreign_key="chain.chain_id",
        sa_type=BigInteger,
        sa_column_kwargs={"autoincrement": False, **said("Chain")},
    )
    live_since: datetime = Field(
        sa_type=UtcTime, sa_column_kwargs=said("Chain time after which things are announced; before it is history")
    )
    number: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=said("Tip of the chain as the rules last saw it")
    )
    epoch: int = Field(default=0, sa_column_kwargs=said("Rollbacks of the chain that the rules have seen"))
    moved_at: datetime = Field(
        sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time at which that tip was first seen")
    )
    ruled_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time of the last look"))


class AlertState(SQLModel, table=True):
    """Where one rule stands with one subject: inactive → pending → firing → clearing → inactive."""

    __tablename__ = "alert_state"
    rule: str = Field(primary_key=True, sa_column_kwargs=said("Rule, as in the file of rules"))
    subject: str = Field(primary_key=True, sa_column_kwargs=said("Slug of the segment, or of the chain"))
    chain_id: int = Field(foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain it lives on"))
    phase: str = Field(sa_column_kwargs=said("AlertPhase"))
    count: int = Field(default=0, sa_column_kwargs=said("Readings in a row that argue for the next phase"))
    level: int = Field(default=0, sa_column_kwargs=said("Worst level of this episode; 0: none"))
    began: datetime | None = Field(
        default=None, sa_type=UtcTime, sa_column_kwargs=said("Chain time at which this episode began; NULL outside one")
    )
    told: Decimal | None = Field(
        default=None,
        sa_type=ExactDecimal,
        sa_column_kwargs=said("Value last announced; outside an episode the last read"),
    )
    seen_number: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=said("Block of the last reading taken")
    )
    seen_time: datetime | None = Field(
        default=None, sa_type=UtcTime, sa_column_kwargs=said("Chain time of the last reading taken")
    )
    episodes: list[str] = Field(
        default_factory=list,
        sa_type=JSON,
        sa_column_kwargs=said("Chain times at which episodes of the last 30 days began"),
    )
    is_unstable: bool = Field(
        default=False, sa_column_kwargs=said("True while it changes so often that only the digest speaks of it")
    )


class Alert(SQLModel, table=True):
    """Something that was announced: a change of state or an event, as it was worded then. Never changed afterwards."""

    __tablename__ = "alert"
    __table_args__ = (Index("alert_time", "happened_at"), Index("alert_fund", "fund_slug", "happened_at"))
    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True, sa_column_kwargs=said("What happened, named so that it can be announced once only"))
    event: str = Field(sa_column_kwargs=said("AlertEvent"))
    severity: str = Field(sa_column_kwargs=said("Severity"))
    subject: str = Field(sa_column_kwargs=said("Slug of the segment, or of the chain"))
    fund_slug: str | None = Field(
        default=None, foreign_key="fund.slug", sa_column_kwargs=said("Fund it is about; NULL: about a source or all")
    )
    chain_id: int | None = Field(
        default=None,
        foreign_key="chain.chain_id",
        sa_type=BigInteger,
        sa_column_kwargs=said("Chain it happened on; NULL: a digest of all live ones"),
    )
    episode: str = Field(
        default="", sa_column_kwargs=said("Id of the episode it belongs to; mails of one are a thread")
    )
    happened_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Chain time of what happened"))
    number: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=said("Block it happened in or was read at")
    )
    title: str = Field(sa_column_kwargs=said("Subject line"))
    message: Json = Field(sa_type=JSON, sa_column_kwargs=said("The whole message as it was announced"))
    retracts: int | None = Field(
        default=None, foreign_key="alert.id", sa_column_kwargs=said("The alert that this one takes back")
    )
    created_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time of the announcement"))


class AlertEvidence(SQLModel, table=True):
    """A block that an alert stands on, and the fact in it if it is about one; a reorg that takes it retracts the alert."""

    __tablename__ = "alert_evidence"
    __table_args__ = (Index("alert_evidence_block", "chain_id", "block_number"),)
    alert_id: int = Field(
        foreign_key="alert.id",
        ondelete="CASCADE",
        primary_key=True,
        sa_column_kwargs=said("Alert"),
    )
    fact_key: str = Field(
        primary_key=True,
        sa_column_kwargs=said(
            "Rule, segment, transaction and place in it: the same after a reorg; of a reading its block"
        ),
    )
    chain_id: int = Field(foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of the block"))
    block_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("The block"))
