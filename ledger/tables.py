"""Every table and column of the ledger, each with one sentence (docs/data-dictionary.md is made from them).

Facts, readings, prices and snapshots hang on a block by foreign key with cascade, so that a reorg is one delete.
Facts are append-only; totals are recomputed, never updated. Amounts are integers in smallest units.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from ledger.columns import AddressText, ExactDecimal, HashText, Int256, UtcTime

Json = dict[str, Any]


def said(sentence: str) -> dict[str, str]:
    """The column comment an analyst reads."""
    return {"comment": sentence}


class Chain(SQLModel, table=True):
    """A chain, a recording of one, or a venue whose polls we number like blocks."""

    __tablename__ = "chain"
    chain_id: int = Field(
        primary_key=True,
        sa_type=BigInteger,
        sa_column_kwargs={
            "autoincrement": False,
            **said("eth_chainId; recordings answer ids of their own, starting with 42"),
        },
    )
    slug: str = Field(unique=True, sa_column_kwargs=said("Short name; a recording's ends with its kind"))
    name: str = Field(sa_column_kwargs=said("Name shown to people"))
    kind: str = Field(
        sa_column_kwargs=said("SourceKind: live, recorded, recorded_by_third_party, reconstructed or simulated")
    )
    provenance: str = Field(
        default="",
        sa_column_kwargs=said("For recordings: what was played or recorded, by whom, what is made up"),
    )
    explorer: str = Field(default="", sa_column_kwargs=said("Block explorer's address, empty where there is none"))
    is_venue: bool = Field(
        default=False,
        sa_column_kwargs=said("True where rows come from polls of an API and block numbers are poll times"),
    )
    status: str = Field(default="new", sa_column_kwargs=said("ChainStatus"))
    status_reason: str = Field(default="", sa_column_kwargs=said("Why the chain is unreachable or halted"))
    head_number: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=said("Latest head that a provider named")
    )
    head_time: datetime | None = Field(
        default=None,
        sa_type=UtcTime,
        sa_column_kwargs=said("Time of that head; the clock of a recorded chain"),
    )
    finalized_number: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=said("Latest finalized block")
    )
    checked_at: datetime | None = Field(
        default=None,
        sa_type=UtcTime,
        sa_column_kwargs=said("Wall-clock time of the last answer of any provider"),
    )


class Platform(SQLModel, table=True):
    """A venue or protocol that runs one or more funds."""

    __tablename__ = "platform"
    slug: str = Field(primary_key=True, sa_column_kwargs=said("Short name in addresses"))
    name: str = Field(sa_column_kwargs=said("Name shown to people"))
    url: str = Field(default="", sa_column_kwargs=said("The platform's own site"))


class Fund(SQLModel, table=True):
    """One fund with its page; what its file in indexer/funds says."""

    __tablename__ = "fund"
    slug: str = Field(primary_key=True, sa_column_kwargs=said("Short name in addresses; never changes"))
    platform_slug: str = Field(foreign_key="platform.slug", sa_column_kwargs=said("Platform that runs it"))
    name: str = Field(sa_column_kwargs=said("Name shown to people; recordings carry their kind in it"))
    kind: str = Field(sa_column_kwargs=said("FundKind: which metrics the status requires"))
    shape: str = Field(sa_column_kwargs=said("Shape: the contract layout and so the adapter"))
    chain_id: int = Field(foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain it lives on"))
    summary: str = Field(default="", sa_column_kwargs=said("One sentence: what the fund covers"))
    methodology: str = Field(sa_column_kwargs=said("How Backstop reads this fund"))
    control: str = Field(default="", sa_column_kwargs=said("Who can move the money"))
    contracts: Json = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs=said("Contract name to address"))
    waterfall: list[Json] = Field(
        default_factory=list,
        sa_type=JSON,
        sa_column_kwargs=said("Layers that absorb a loss, in order: layer, owner, trigger, note"),
    )
    sources: list[Json] = Field(
        default_factory=list,
        sa_type=JSON,
        sa_column_kwargs=said("Where the file's facts come from: title, url"),
    )
    caveats: list[str] = Field(
        default_factory=list,
        sa_type=JSON,
        sa_column_kwargs=said("What a reader must know before using a number"),
    )
    file_digest: str = Field(sa_column_kwargs=said("sha256 of the fund file as loaded"))


class Asset(SQLModel, table=True):
    """A token, or the base asset of a perpetual market, with what M1 needs to value it."""

    __tablename__ = "asset"
    __table_args__ = (Index("asset_identity", "chain_id", "address", unique=True),)
    id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain it lives on"))
    address: str = Field(sa_column_kwargs=said("Token contract or base-token address in lower case; a venue's symbol"))
    symbol: str = Field(sa_column_kwargs=said("Symbol; untrusted text where it was read from a contract"))
    decimals: int = Field(sa_column_kwargs=said("Smallest units of one token: 10^decimals"))
    feed: str | None = Field(
        default=None,
        sa_column_kwargs=said(
            "Contract that answers latestRoundData() or latestAnswer() in USD; NULL: no price source"
        ),
    )
    beta: float = Field(
        default=1.0, sa_column_kwargs=said("Stressed return per unit of shock (M1): stable 0, BTC and ETH 1")
    )
    depth_haircut: float = Field(default=0.0, sa_column_kwargs=said("h_liq of M1: cost of selling all of it"))
    floor_haircut: float = Field(
        default=0.0, sa_column_kwargs=said("h_floor of M1: policy haircut; the venue's own token 1")
    )
    access: float = Field(default=1.0, sa_column_kwargs=said("Share that could really be paid out"))
    access_reason: str = Field(default="", sa_column_kwargs=said("Why access is below 1"))


class Segment(SQLModel, table=True):
    """One pool of money that may only pay its own losses; metrics, bands and alerts belong to it."""

    __tablename__ = "segment"
    id: int | None = Field(default=None, primary_key=True)
    fund_slug: str = Field(foreign_key="fund.slug", sa_column_kwargs=said("Fund whose page lists it"))
    slug: str = Field(unique=True, sa_column_kwargs=said("fund slug, or fund slug/segment where a fund has several"))
    name: str = Field(sa_column_kwargs=said("Name shown to people"))
    chain_id: int = Field(foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain it lives on"))
    asset_id: int | None = Field(
        default=None,
        foreign_key="asset.id",
        sa_column_kwargs=said("Asset its balance is counted in; NULL where it has no balance"),
    )
    start_number: int | None = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_kwargs=said("First block of its contracts; NULL until found"),
    )
    status: str = Field(default="new", sa_column_kwargs=said("SegmentStatus: whether its indexed data can be trusted"))
    status_reason: str = Field(default="", sa_column_kwargs=said("Why not, in one sentence"))
    status_number: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=said("Block the status refers to")
    )


class Block(SQLModel, table=True):
    """A block we refer to: dense above finalized, below it only those with logs or readings. For a venue: one poll."""

    __tablename__ = "block"
    __table_args__ = (
        Index("block_number", "chain_id", "number", unique=True),
        Index("block_time", "chain_id", "timestamp"),
    )
    chain_id: int = Field(
        primary_key=True, foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain")
    )
    hash: str = Field(
        primary_key=True,
        sa_type=HashText,
        sa_column_kwargs=said("Block hash; for a poll the sha256 of its content"),
    )
    number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height; for a poll its unix time"))
    parent_hash: str = Field(
        sa_type=HashText, sa_column_kwargs=said("Hash of the block before; for a poll the one polled before")
    )
    timestamp: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Block time, or time of the poll"))
    status: str = Field(sa_column_kwargs=said("BlockStatus: unfinalized or finalized"))


def of_block(*others: Any) -> tuple[Any, ...]:
    """Table arguments of what hangs on a block and goes with it in a reorg."""
    return (
        ForeignKeyConstraint(["chain_id", "block_hash"], ["block.chain_id", "block.hash"], ondelete="CASCADE"),
        *others,
    )


class RawLog(SQLModel, table=True):
    """A log as the chain gave it, kept so that a better decoder needs no provider."""

    __tablename__ = "raw_log"
    __table_args__ = of_block(Index("raw_log_number", "chain_id", "block_number"))
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(primary_key=True, sa_type=HashText, sa_column_kwargs=said("Block it is in"))
    log_index: int = Field(
        primary_key=True, sa_column_kwargs=said("Position in the block; for a venue the row of the poll")
    )
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
    tx_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Transaction that emitted it"))
    address: str = Field(sa_type=AddressText, sa_column_kwargs=said("Contract that emitted it"))
    topics: str = Field(sa_column_kwargs=said("Topics, 0x-prefixed, joined by a comma"))
    data: str = Field(sa_column_kwargs=said("Data, 0x-prefixed"))


class Fact(SQLModel, table=True):
    """What one log (or one pair of polls) says, in the field's words; one log may carry several facts."""

    __tablename__ = "fact"
    __table_args__ = of_block(
        Index("fact_segment_role", "segment_id", "role", "block_number"),
        Index("fact_number", "chain_id", "block_number"),
    )
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(primary_key=True, sa_type=HashText, sa_column_kwargs=said("Block it is in"))
    log_index: int = Field(
        primary_key=True, sa_column_kwargs=said("Log it was decoded from; for a venue the row of the poll")
    )
    fact_no: int = Field(primary_key=True, sa_column_kwargs=said("0, 1, … within that log"))
    segment_id: int = Field(
        primary_key=True,
        foreign_key="segment.id",
        sa_column_kwargs=said("Segment it belongs to; one log may concern two"),
    )
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
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
    asset_id: int | None = Field(default=None, foreign_key="asset.id", sa_column_kwargs=said("Asset of the amount"))
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


class Coverage(SQLModel, table=True):
    """An interval of blocks completely scanned for a segment's filters, and how that was verified. Neighbours are merged."""

    __tablename__ = "coverage"
    segment_id: int = Field(primary_key=True, foreign_key="segment.id", sa_column_kwargs=said("Segment"))
    filter_digest: str = Field(
        primary_key=True,
        sa_column_kwargs=said("Digest of addresses and topics asked for; another decoder may ask for more"),
    )
    from_number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("First block"))
    to_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Last block"))
    level: int = Field(sa_column_kwargs=said("Highest rung of the verification ladder that every block in it passed"))
    verified_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time of the last extension"))


class Cursor(SQLModel, table=True):
    """Tip of the canonical chain we followed; moved by compare-and-swap in the transaction of the data it covers."""

    __tablename__ = "cursor"
    chain_id: int = Field(
        primary_key=True,
        foreign_key="chain.chain_id",
        sa_type=BigInteger,
        sa_column_kwargs={"autoincrement": False, **said("Chain")},
    )
    number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height of the tip"))
    hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Hash of the tip"))
    epoch: int = Field(default=0, sa_column_kwargs=said("Rollbacks so far: a writer that missed one is refused"))


class Reorg(SQLModel, table=True):
    """Public record of a reorganisation that replaced blocks we had stored."""

    __tablename__ = "reorg"
    id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(foreign_key="chain.chain_id", sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    fork_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Last common block"))
    depth: int = Field(sa_column_kwargs=said("Stored blocks replaced"))
    old_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Our tip before"))
    new_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("First block of the new branch"))
    detected_at: datetime = Field(sa_type=UtcTime, sa_column_kwargs=said("Wall-clock time"))


class OrphanedLog(SQLModel, table=True):
    """A log that a reorganisation took back."""

    __tablename__ = "orphaned_log"
    reorg_id: int = Field(primary_key=True, foreign_key="reorg.id", sa_column_kwargs=said("Reorganisation"))
    block_hash: str = Field(primary_key=True, sa_type=HashText, sa_column_kwargs=said("Replaced block"))
    log_index: int = Field(primary_key=True, sa_column_kwargs=said("Position in it"))
    block_number: int = Field(sa_type=BigInteger, sa_column_kwargs=said("Height"))
    tx_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Transaction"))
    address: str = Field(sa_type=AddressText, sa_column_kwargs=said("Contract"))
    topics: str = Field(sa_column_kwargs=said("Topics, joined by a comma"))
    data: str = Field(sa_column_kwargs=said("Data"))


class Metric(SQLModel, table=True):
    """One published number, append-only: a day of a segment under one method version is written once per as-of block."""

    __tablename__ = "metric"
    __table_args__ = (Index("metric_series", "segment_id", "name", "day"),)
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
