"""What is watched: chains, platforms, funds, the assets they hold, and the segments that metrics belong to."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from ledger.columns import UtcTime
from ledger.tables.sentences import Json, said


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
    facts_written: int = Field(
        default=0,
        sa_type=BigInteger,
        sa_column_kwargs=said("How often its facts were written or taken back; what is made of them holds until then"),
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
    numbers_written: int = Field(
        default=0,
        sa_type=BigInteger,
        sa_column_kwargs=said(
            "How often its numbers were written or taken back; what is made of them holds until then"
        ),
    )
