"""What the JSON twins of the pages answer, for the API's description; the twins themselves are made by the press."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from ledger.kinds import ReadingName, Role
from web.v1.models import (
    AtBlock,
    Belonging,
    ChainState,
    Digits,
    FundFile,
    FundName,
    Hash,
    Indexed,
    MadeUp,
    MetricRow,
    Raw,
    Standing,
)


class Twin(BaseModel):
    """What a twin begins with; its fields beyond those described are those of its page."""

    self: str = Field(description="Address of the twin.")
    method_version: str = Field(description="Version behind the latest numbers; empty before any was computed.")
    digest: str = Field(description="sha256 of every latest number and fund file.")
    notice: str = Field(description="What the numbers are not.")


class MetricWithDetail(MetricRow):
    """A number with its intermediate values."""

    detail: dict[str, Any] | None = Field(description="Intermediate values that a page shows as evidence.")


class TwinEvent(AtBlock, Belonging, MadeUp):
    """One fact."""

    role: Role = Field(description="What it does to the fund or to users.")
    amount_raw: Raw | None = Field(description="Amount in smallest units; null is unknown and never 0.")
    decimals: int | None = Field(description="amount = amount_raw ÷ 10^decimals; null where the asset is not known.")
    amount: Digits | None = Field(description="Amount as an exact decimal; null where it or the asset is not known.")
    asset: str | None = Field(description="Symbol of the asset; untrusted text.")
    account: str | None = Field(description="Account concerned, where the event names one.")
    market: str | None = Field(description="Market concerned, where the event names one.")
    since_number: int | None = Field(description="Of a polled counter: the poll before; it happened between the two.")
    tx_hash: Hash | None = Field(description="Transaction; null for polls.")
    log_index: int = Field(description="Position of the log in its block; for a poll the row.")
    fact_no: int = Field(description="0, 1, … where one log carries several facts.")


class SegmentNumbers(Standing):
    """A segment with its latest numbers."""

    metrics: list[MetricRow] = Field(description="Latest row of each metric.")


class FundNumbers(FundName):
    """A fund with the latest numbers of its segments."""

    segments: list[SegmentNumbers] = Field(description="Its segments, the worst first.")


class FundsTwin(Twin):
    """All funds."""

    funds: list[FundNumbers] = Field(description="Funds by slug.")


class Token(BaseModel):
    """An asset."""

    symbol: str = Field(description="Symbol; untrusted text where it was read from a contract.")
    decimals: int = Field(description="Smallest units of one token: 10 to the power of this.")


class SideSum(BaseModel):
    """What liquidations of one side took, in one asset."""

    side: str = Field(description="Side of the position or liquidation; empty where there is none.")
    asset: str | None = Field(description="Symbol of the asset; null where it is not known.")
    asset_address: str | None = Field(description="Its address; null where it is not known.")
    count: int = Field(description="Facts summed.")
    unknown: int = Field(description="Facts among them without an amount: the sum is a lower bound then.")
    sum_raw: Raw | None = Field(description="Exact sum in smallest units; null where no fact has an amount.")
    decimals: int | None = Field(description="sum = sum_raw ÷ 10^decimals.")
    sum: Digits | None = Field(description="The sum as an exact decimal; null where it or the asset is not known.")


class Liquidations(BaseModel):
    """The liquidations of a segment."""

    count: int = Field(description="How many.")
    sums: list[SideSum] = Field(description="What they took, by side and asset.")


class Balance(BaseModel):
    """The balance through time."""

    columns: list[str] = Field(description="Names of what each row holds, in order.")
    rows: list[tuple[int, datetime, Raw | None, Digits | None]] = Field(
        description="Block, its time, raw balance and exact balance; null is unknown and never 0."
    )


class SegmentFull(Standing):
    """A segment with all that its page shows."""

    asset: Token | None = Field(description="Asset its balance is counted in; null where it has no balance.")
    metrics: list[MetricWithDetail] = Field(description="Latest row of each metric.")
    losses: list[TwinEvent] = Field(description="Shortfalls, payouts, socialised losses and ADL, oldest first.")
    liquidations: Liquidations = Field(description="Liquidations, counted and summed.")
    balance: Balance = Field(description="Every balance that was read.")


class FundTwin(Twin, FundFile, FundName):
    """One fund."""

    segments: list[SegmentFull] = Field(description="Its segments, the worst first.")


class TwinReading(AtBlock):
    """One answer of a contract or a venue."""

    name: ReadingName = Field(description="What was read.")
    subject: str = Field(description="Account, market, account/market or asset; empty for the fund itself.")
    contract: str = Field(description="Contract or endpoint that was asked.")
    call: str = Field(description="Function with its arguments, or the field of the poll.")
    value_raw: Raw | None = Field(description="The answer as an integer; null is unknown and never 0.")
    decimals: int = Field(description="value = value_raw ÷ 10^decimals.")
    value: Digits | None = Field(description="The answer as an exact decimal.")
    error: str | None = Field(description="Why there is no value.")


class TwinPrice(BaseModel):
    """The price of an asset in USD."""

    asset: str = Field(description="Symbol of the asset; untrusted text.")
    asset_address: str = Field(description="Its token or base-token address, or a venue's symbol: which asset it is.")
    feed: str = Field(description="Feed contract or venue field.")
    block_number: int = Field(description="Block it was read at.")
    block_hash: Hash = Field(description="Hash of that block.")
    answer_raw: Raw | None = Field(description="The feed's answer; null is unknown and never 0.")
    decimals: int = Field(description="usd = answer_raw ÷ 10^decimals.")
    usd: Digits | None = Field(description="The price as an exact decimal.")
    updated_at: datetime | None = Field(description="The feed's own time of that answer; null: it does not say.")
    error: str | None = Field(description="Why there is no price.")


class NumberOfSegment(BaseModel):
    """One number of a segment with what is behind it."""

    slug: str = Field(description="Slug of the segment.")
    metric: MetricWithDetail = Field(description="The number.")
    readings_count: int = Field(description="Readings at or before its block that it rests on.")
    readings: list[TwinReading] = Field(description="The first of them.")
    prices: list[TwinPrice] = Field(description="Prices at or before its block.")
    history: list[MetricRow] = Field(description="The same number by day, oldest first.")


class NumberTwin(Twin, FundName):
    """Where one number comes from."""

    segments: list[NumberOfSegment] = Field(description="The segments that have it, the worst first.")


class EventsTwin(Twin):
    """The newest losses and payouts."""

    count: int = Field(description="How many there are in all.")
    events: list[TwinEvent] = Field(description="The newest, newest first.")


class StatusTwin(Twin):
    """How our own sources stand."""

    chains: list[ChainState] = Field(description="Chains, recordings and venues.")
    segments: list[Indexed] = Field(description="Segments, and what was not scanned of each.")


class Announced(BaseModel):
    """What was announced."""

    announcements: list[dict[str, Any]] = Field(description="The newest first, each with its whole message.")
    live_since: dict[str, str] = Field(description="By source the time after which things are announced.")


@dataclass(frozen=True)
class Described:
    """A twin in the API's description."""

    path: str
    model: type[BaseModel] | None
    """None: the object has the fields of its page."""
    sentence: str


TWINS = (
    Described("/funds.json", FundsTwin, "All funds with the latest numbers of each segment."),
    Described("/funds/{slug}.json", FundTwin, "One fund with everything its page shows."),
    Described("/funds/{slug}/facts/{metric}.json", NumberTwin, "Where one number comes from."),
    Described("/funds/{slug}/facts/{metric}/{block}.json", NumberTwin, "The same of the number at one block."),
    Described("/funds/{slug}/balance/{segment}.json", None, "The newest part of one segment's balance."),
    Described(
        "/funds/{slug}/at/{day}.json", None, "One fund as it stood on one day; for ever the same once that is final."
    ),
    Described("/funds/{slug}/history.json", None, "The published numbers of one fund by day."),
    Described("/funds/{slug}/events.json", None, "The events of one fund."),
    Described("/events.json", EventsTwin, "The newest losses and payouts of all funds."),
    Described("/events/{event}.json", None, "One event with its evidence."),
    Described("/changes.json", None, "Changes of owners, implementations and parameters."),
    Described("/status.json", StatusTwin, "How our own sources stand."),
    Described("/coverage.json", None, "What is not known, by segment."),
    Described("/alerts/log.json", Announced, "What was announced, as it was worded then."),
    Described("/badges/{slug}.json", None, "The status of one fund as an endpoint of shields.io."),
)
