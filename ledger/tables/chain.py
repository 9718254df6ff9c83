"""What the chains said and how far we listened: blocks, raw logs, coverage, the cursor, and reorgs on record."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from ledger.columns import AddressText, HashText, UtcTime
from ledger.tables.sentences import in_order, said


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


class RawLog(SQLModel, table=True):
    """A log as the chain gave it, kept so that a better decoder needs no provider. It goes with its block in a reorg."""

    __tablename__ = "raw_log"
    __table_args__ = in_order("chain_id", "block_number", "log_index")
    chain_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Chain"))
    block_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Block it is in"))
    log_index: int = Field(
        primary_key=True, sa_column_kwargs=said("Position in the block; for a venue the row of the poll")
    )
    block_number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=said("Height of that block"))
    tx_hash: str = Field(sa_type=HashText, sa_column_kwargs=said("Transaction that emitted it"))
    address: str = Field(sa_type=AddressText, sa_column_kwargs=said("Contract that emitted it"))
    topics: str = Field(sa_column_kwargs=said("Topics, 0x-prefixed, joined by a comma"))
    data: str = Field(sa_column_kwargs=said("Data, 0x-prefixed"))


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
