"""The rows of the API, field by field; a field that is described here is always there, null where it says so."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ledger.kinds import (
    AlertEvent,
    ChainStatus,
    Contribution,
    FundKind,
    Quality,
    ReadingName,
    Role,
    SegmentStatus,
    Severity,
    Side,
    SourceKind,
    Status,
)

Raw = Annotated[str, Field(pattern="^-?[0-9]+$")]
Digits = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
Hash = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class Belonging(BaseModel):
    """Whose row it is."""

    fund: str = Field(description="Slug of the fund.")
    segment: str = Field(description="Slug of the segment: one pool of money that may only pay its own losses.")
    source_kind: SourceKind = Field(description="Where the chain's data come from; anything but live is a recording.")


class MadeUp(BaseModel):
    """What of a row no chain ever said."""

    is_synthetic: bool = Field(
        description="True where a reconstruction had to make up fields of this row; amounts, times and accounts are "
        "genuine even then."
    )
    synthetic: list[str] = Field(description="Names of the fields that are made up; empty everywhere else.")


class AtBlock(BaseModel):
    """Where and when a row holds."""

    block_number: int = Field(description="Height of the block; for a polled venue the poll's time in unix seconds.")
    block_hash: Hash = Field(description="Hash of that block; for a poll the digest of its content.")
    block_time: datetime = Field(description="Time of that block or poll, UTC.")


class Standing(BaseModel):
    """How a segment stands."""

    slug: str = Field(description="Slug of the segment.")
    name: str = Field(description="Its name.")
    status: Status = Field(description="Published status on the coverage axis.")
    status_words: str = Field(description="The same in words.")
    at_best: str | None = Field(description="The best it could be on what is known, where it is not computable.")
    status_reason: str = Field(
        description="What made it: the metrics of the worst band, an earlier day, or what is unknown."
    )
    data_status: str = Field(description="How far the readings behind its numbers can be relied on, in words.")
    data_reason: str = Field(description="Why that is so; empty where nothing is wrong.")


class AsOf(MadeUp):
    """The block of a segment's numbers."""

    block_number: int | None = Field(description="Block its latest numbers hold at; null before any was computed.")
    block_hash: Hash | None = Field(description="Hash of that block.")
    block_time: datetime | None = Field(description="Time of that block, UTC.")
    is_source_current: bool = Field(
        description="False where we do not follow its chain or are more than 30 minutes behind it, by its own clock: "
        "what is said here is then the last known and no more."
    )
    method_version: str | None = Field(description="Version of the method behind its latest numbers.")


class SegmentBrief(AsOf, Standing):
    """A segment in the list of funds."""


class ChainName(BaseModel):
    """A chain, recording or venue."""

    id: int = Field(description="Chain id; recordings have ids of their own, starting with 42.")
    slug: str = Field(description="Short name.")
    name: str = Field(description="Name.")


class FundName(BaseModel):
    """A fund, and where its data come from."""

    slug: str = Field(description="Name in addresses; never changes.")
    name: str = Field(description="Its name.")
    kind: FundKind = Field(description="What it is for; decides which metrics its status requires.")
    platform: str = Field(description="Platform that runs it.")
    chain: ChainName = Field(description="Chain it lives on.")
    source_kind: SourceKind = Field(description="Where the chain's data come from; anything but live is a recording.")
    replay_of: str | None = Field(description="What is replayed, and its kind; null for a live chain.")
    provenance: str | None = Field(description="Of a recording: who recorded or played what, and what is made up.")
    synthetic: list[str] = Field(description="Fields of its events that a reconstruction made up; empty elsewhere.")
    page: str = Field(description="Path of its page.")


class FundBrief(FundName):
    """A fund in the list."""

    segments: list[SegmentBrief] = Field(description="How each of its segments stands.")


class FundFile(BaseModel):
    """What a fund's file says."""

    summary: str = Field(description="What it covers.")
    methodology: str = Field(description="How Backstop reads it.")
    control: str = Field(description="Who can move the money.")
    contracts: dict[str, str] = Field(description="Address of each contract by its name.")
    waterfall: list[dict[str, Any]] = Field(
        description="Layers that absorb a loss, in order: layer, owner, trigger, note."
    )
    sources: list[dict[str, Any]] = Field(description="Where these statements come from: title, url.")
    caveats: list[str] = Field(description="What a reader must know before using a number.")
    file_digest: str = Field(description="sha256 of the fund's file.")


class FundFull(FundFile, FundBrief):
    """A fund with all that its file says."""


class AssetName(BaseModel):
    """An asset."""

    symbol: str = Field(description="Symbol; untrusted text where it was read from a contract.")
    decimals: int = Field(description="Smallest units of one token: 10 to the power of this.")
    address: str = Field(description="Token contract, or a venue's symbol.")


class Indexed(Standing):
    """A segment with what was and was not indexed of it."""

    indexed: SegmentStatus = Field(description="Whether its indexed data can be trusted.")
    indexed_reason: str = Field(description="Why not; empty where they can.")
    holes: list[tuple[int, int]] = Field(description="First and last block of each stretch that was not scanned.")


class SegmentRow(AsOf, Indexed):
    """A segment of one fund."""

    fund: str = Field(description="Slug of the fund.")
    source_kind: SourceKind = Field(description="Where the chain's data come from; anything but live is a recording.")
    asset: AssetName | None = Field(description="Asset its balance is counted in; null where it has no balance.")
    start_number: int | None = Field(description="First block of its contracts; null until found.")


class MetricRow(AtBlock, MadeUp):
    """One published number."""

    name: str = Field(description="Name of the metric, as in /api/v1/methodology.")
    title: str = Field(description="The same in words.")
    value: Digits | None = Field(description="The number in `unit`, every digit; null is unknown and never 0.")
    unit: str = Field(description="usd, ratio, days, fraction, count, band, text, or the symbol of an asset.")
    text: str | None = Field(description="A value in words where it is no number, or a bound of it; else null.")
    quality: Quality = Field(description="How far it can be relied on.")
    reason: str = Field(description="Why it is not ok; empty where it is.")
    day: date = Field(description="UTC day of chain time that it belongs to.")
    is_day_final: bool = Field(description="True once that day is over: the row never changes again.")
    window_days: float | None = Field(description="Length of the window looked at, where there is one.")
    observations: int | None = Field(description="How many days, readings or accounts it rests on.")
    events: int | None = Field(description="Events in the window.")
    interval: tuple[float | None, float | None] | None = Field(
        description="Lower and upper end of its interval, null where that end is open; null where none is defined."
    )
    method_version: str = Field(description="Version of the method that computed it.")
    inputs_digest: str = Field(description="sha256 of the exact rows it was computed from.")


class MetricDay(MetricRow, Belonging):
    """A metric of one day."""

    observed_at: datetime = Field(description="Wall-clock time at which it was computed, UTC.")


class MetricLatest(MetricDay):
    """The latest row of a metric."""

    data_status: str = Field(description="How far the segment's readings can be relied on now, in words.")
    data_reason: str = Field(description="Why that is so; empty where nothing is wrong.")
    is_source_current: bool = Field(
        description="False where we do not follow its chain or are more than 30 minutes behind it: an old number then."
    )
    evidence: str = Field(description="Path of the readings, prices and intermediate values behind it.")


class ReadingRow(AtBlock, Belonging, MadeUp):
    """One answer of a contract or a venue."""

    name: ReadingName = Field(description="What was read.")
    subject: str = Field(description="Account, market, account/market or asset; empty for the fund itself.")
    contract: str = Field(description="Contract or endpoint that was asked.")
    call: str = Field(description="Function with its arguments, or the field of the poll.")
    value_raw: Raw | None = Field(description="The answer as an integer; null is unknown and never 0.")
    decimals: int = Field(description="value = value_raw ÷ 10^decimals.")
    value: Digits | None = Field(description="The answer as an exact decimal.")
    unit: str | None = Field(description="Symbol of the asset it is an amount of; null where it is no such amount.")
    quality: Quality = Field(description="ok, or unknown.")
    reason: str = Field(description="Why there is no value: reverted, garbage, not recorded; else empty.")


class EventRow(AtBlock, Belonging, MadeUp):
    """One fact that a log, or a pair of polls, says."""

    role: Role = Field(description="What it does to the fund or to users.")
    value_raw: Raw | None = Field(description="Amount in smallest units; null is unknown and never 0.")
    decimals: int | None = Field(description="value = value_raw ÷ 10^decimals; null where the asset is not known.")
    value: Digits | None = Field(description="Amount as an exact decimal; null where it or the asset is not known.")
    unit: str | None = Field(description="Symbol of the asset; untrusted text. Null where the asset is not known.")
    reason: str = Field(description="Why there is no value; empty where there is one.")
    contribution: Contribution | None = Field(description="Of an inflow: where it comes from.")
    side: Side | None = Field(description="Which side of a position or liquidation the amount belongs to.")
    account: str | None = Field(description="Account concerned, where the event names one.")
    market: str | None = Field(description="Market concerned, where the event names one.")
    since_number: int | None = Field(description="Of a polled counter: the poll before; it happened between the two.")
    tx_hash: Hash | None = Field(description="Transaction; null for polls.")
    log_index: int = Field(description="Position of the log in its block; for a poll the row.")
    fact_no: int = Field(description="0, 1, … where one log carries several facts.")
    is_final: bool | None = Field(
        description="True once its block is finalized; null where the chain names no finalized block."
    )


class AlertRow(BaseModel):
    """An announcement as it was worded then."""

    id: int = Field(description="Its number.")
    key: str = Field(description="What happened, named so that it is announced once only.")
    event: AlertEvent = Field(description="What it says has happened.")
    severity: Severity = Field(description="How urgent it is; docs/alerts.md says what each means.")
    subject: str = Field(description="Slug of the segment or chain it is about.")
    fund: str | None = Field(description="Slug of the fund; null where it is about a source or all funds.")
    chain_id: int | None = Field(description="Chain it happened on; null for a digest of all.")
    source_kind: SourceKind | None = Field(description="Where that chain's data come from; null without a chain.")
    block_number: int | None = Field(description="Block it happened in or was read at; null where it names none.")
    block_time: datetime = Field(description="Chain time of what happened, UTC.")
    title: str = Field(description="Subject line.")
    message: dict[str, Any] = Field(description="The whole message as it was sent; docs/alerts.md describes it.")
    retracts: int | None = Field(description="Number of the announcement that this one takes back.")
    is_retracted: bool = Field(description="True where a later one takes this one back.")
    observed_at: datetime = Field(description="Wall-clock time of the announcement, UTC.")


class ChainState(BaseModel):
    """How one source stands."""

    id: int = Field(description="Chain id; recordings have ids of their own, starting with 42.")
    name: str = Field(description="Name; a recording's says its kind.")
    source_kind: SourceKind = Field(description="Where its data come from; anything but live is a recording.")
    status: ChainStatus = Field(description="How the indexer stands with it.")
    reason: str = Field(description="Why it is unreachable or halted; else empty.")
    is_current: bool = Field(description="Followed, and not more than 30 minutes behind, by its own clock.")
    head_number: int | None = Field(description="Latest head that a provider named; null before any.")
    head_time: datetime | None = Field(description="Time of that head, UTC; the clock of a recorded chain.")
    finalized_number: int | None = Field(description="Latest finalized block; null where none is named.")
    followed_to: int | None = Field(description="Block we followed it to; null before any.")
    lag_seconds: int | None = Field(description="From that block's time to now, by its own clock; null: unknown.")


class ChainRow(ChainState):
    """A chain, recording or venue with how far it was followed."""

    slug: str = Field(description="Short name.")
    provenance: str = Field(description="Of a recording: who recorded or played what, and what is made up; else empty.")
    is_venue: bool = Field(description="True where rows come from polls of an API and heights are times of polls.")
    followed_hash: Hash | None = Field(description="Hash of the block we followed it to.")
    followed_time: datetime | None = Field(description="Time of that block, UTC; null before any.")
    observed_at: datetime | None = Field(description="Wall-clock time of the last answer of any provider, UTC.")
    is_synthetic: bool = Field(description="True for a reconstruction: its heights and hashes are made up.")


class ReorgRow(BaseModel):
    """A reorganisation that replaced blocks we had stored."""

    id: int = Field(description="Its number.")
    chain_id: int = Field(description="Chain.")
    source_kind: SourceKind | None = Field(description="Where its data come from; null where no fund is on it now.")
    fork_number: int = Field(description="Last block that both branches share.")
    depth: int = Field(description="Stored blocks that were replaced.")
    old_hash: Hash = Field(description="Our tip before.")
    new_hash: Hash = Field(description="First block of the new branch.")
    observed_at: datetime = Field(description="Wall-clock time at which we saw it, UTC.")


class MethodVersion(BaseModel):
    """One version of the method."""

    version: str = Field(description="Its name.")
    changes: str = Field(description="What changed with it.")


class Definition(BaseModel):
    """What a metric means."""

    name: str = Field(description="Name in rows and addresses.")
    title: str = Field(description="Name in words.")
    sentence: str = Field(description="What it says.")
    formula: str = Field(description="How it is computed; empty where this installation has no glossary.")
    unit: str = Field(description="In which unit.")
    source: str = Field(description="From which data.")
    limits: str = Field(description="What it does not say.")
    readings: list[ReadingName] = Field(description="Readings that it rests on directly.")
    rounding: str = Field(description="Which way pages round it: down, up or nearest. Values here are not rounded.")
    glossary: str = Field(description="Path of its entry in the glossary.")
    section: str = Field(description="Path of the methodology's section that defines it.")
