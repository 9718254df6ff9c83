"""What each template receives: one frozen dataclass a page, every field with its definition; plain text, never HTML."""

from dataclasses import dataclass
from typing import Annotated

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """One printed number with everything a reader needs to judge it."""

    name: Annotated[str, "metric name, as in the glossary"]
    title: Annotated[str, "what it is called on pages"]
    text: Annotated[str, "rounded as tables print it, or unknown, or words such as not shrinking"]
    exact: Annotated[str, "every stored digit with its unit; equal to text where there is no number"]
    unit: Annotated[str, "usd, ratio, fraction, days, count, or an asset's symbol"]
    as_of: Annotated[str, "block and UTC time it holds at; empty where it was never computed"]
    quality: Annotated[str, "ok, partial, stale, unknown"]
    reason: Annotated[str, "why it is not ok, in one sentence; empty otherwise"]
    interval: Annotated[str, "interval where the method defines one, else empty"]
    href: Annotated[str, "its fact page; empty where there is none"]

    @property
    def is_known(self) -> bool:
        """False for unknown: then reason says why."""
        return self.quality != "unknown"


@dataclass(frozen=True)
class Badge:
    """A status: always a word and a glyph."""

    key: Annotated[str, "ample … no_fund: names the glyph and its colour"]
    word: Annotated[str, "the status in words"]
    glyph: Annotated[str, "the glyph as a character, for feeds and JSON"]
    note: Annotated[str, "for Not computable: at best …; else empty"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: Annotated[str, "what it says"]
    href: Annotated[str, "where it leads; empty: nowhere"] = ""
    is_number: Annotated[bool, "right-aligned in tabular figures"] = False
    title: Annotated[str, "all digits, or the full address"] = ""


@dataclass(frozen=True)
class Table:
    """A table that any template can print."""

    caption: Annotated[str, "what the table shows, for every reader"]
    headers: Annotated[tuple[Cell, ...], "column heads; is_number aligns the column"]
    rows: Annotated[tuple[tuple[Cell, ...], ...], "cells by row; as many as heads"]
    note: Annotated[str, "what was left out, or empty"] = ""
    anchors: Annotated[tuple[str, ...], "id of each row, or empty"] = ()


@dataclass(frozen=True)
class Link:
    """A link with words."""

    text: Annotated[str, "what it says"]
    href: Annotated[str, "where it leads; empty: plain text"]


@dataclass(frozen=True)
class Replay:
    """A recording whose data a page shows."""

    name: Annotated[str, "name of the recording"]
    kind: Annotated[str, "recorded, recorded by a third party, reconstructed or simulated"]
    provenance: Annotated[str, "what was played or recorded, by whom, what is made up"]


@dataclass(frozen=True)
class Frame:
    """What stands around every page."""

    title: Annotated[str, "title of the page"]
    path: Annotated[str, "its canonical path"]
    canonical: Annotated[str, "its canonical address"]
    description: Annotated[str, "one sentence for search engines and previews"]
    json_path: Annotated[str, "its JSON twin, or empty"]
    style: Annotated[str, "path of the style sheet"]
    icon: Annotated[str, "path of the icon"]
    as_of: Annotated[str, "time of the newest numbers, as the slim bar prints it"]
    sources: Annotated[str, "n of m sources current"]
    is_late: Annotated[bool, "true when a source is not current"]
    method_version: Annotated[str, "version of the method behind the numbers"]
    digest: Annotated[str, "sha256 of the numbers and fund files shown: two sites with one digest show the same"]
    replays: Annotated[tuple[Replay, ...], "recordings whose data this page shows"]
    picture: Annotated[str, "full address of a preview picture, 1200 × 630; empty: none"] = ""


@dataclass(frozen=True)
class Spark:
    """A small line: one point a day, a break where a day is unknown."""

    paths: Annotated[tuple[str, ...], "SVG points of each unbroken run, in a box of 96 × 24"]
    label: Annotated[str, "what it shows, in words"]


@dataclass(frozen=True)
class HomeRow:
    """One fund in the table of the home page: its worst segment."""

    name: Annotated[str, "fund, or fund and segment"]
    href: Annotated[str, "its page"]
    platform: Annotated[str, "who runs it"]
    chain: Annotated[str, "where it lives"]
    kind: Annotated[str, "kind of the recording, empty for a live chain"]
    badge: Annotated[Badge, "published status"]
    data: Annotated[str, "data status in words"]
    why: Annotated[str, "what made the status; empty for those with no reason to look closer"]
    usable: Annotated[Figure, "usable value"]
    coverage: Annotated[Figure, "coverage"]
    reference_loss: Annotated[Figure, "reference loss"]
    exposure: Annotated[Figure, "open interest or borrows"]
    worst: Annotated[Figure, "worst 24 hours of shortfalls"]
    worst_days: Annotated[str, "their dates, or empty"]
    spark: Annotated[Spark | None, "gross balance of 90 days; None where too little is known"]
    spark_reason: Annotated[str, "why there is no line"]
    as_of_day: Annotated[str, "day of the numbers, or never"]
    as_of_time: Annotated[str, "UTC time and block of the numbers"]


@dataclass(frozen=True)
class Count:
    """One of the four counts of the home page."""

    number: Annotated[int, "how many"]
    word: Annotated[str, "of what"]


@dataclass(frozen=True)
class EventLine:
    """Events of one segment, role and day; one event stands for itself."""

    anchor: Annotated[str, "stable id"]
    when: Annotated[str, "time, or day where several are grouped"]
    iso: Annotated[str, "time of the last one, ISO 8601"]
    fund: Annotated[str, "name of the fund"]
    href: Annotated[str, "its row on the fund's page"]
    kind: Annotated[str, "recording's kind, empty for a live chain"]
    what: Annotated[str, "role in words"]
    amount: Annotated[str, "exact sum by asset"]
    who: Annotated[str, "market or account concerned; several where they differ, else empty"]
    count: Annotated[int, "how many facts"]
    evidence: Annotated[str, "transaction, block and log index, the polls it lies between, or what is genuine"]
    evidence_href: Annotated[str, "on a block explorer, or the facts as JSON where several are grouped; else empty"]
    permalink: Annotated[str, "its own page, or that of the day's facts; empty: not linked"] = ""


@dataclass(frozen=True)
class Chart:
    """A drawing with its words."""

    wide: Annotated[Markup, "inline SVG; colours follow the theme"]
    narrow: Annotated[Markup, "the same for narrow screens, so that its words stay readable"]
    caption: Annotated[str, "what it shows"]


@dataclass(frozen=True)
class Layer:
    """One step of the waterfall."""

    number: Annotated[int, "place in the order"]
    name: Annotated[str, "what pays"]
    owner: Annotated[str, "whose money"]
    trigger: Annotated[str, "when it is used"]
    note: Annotated[str, "what a reader must know"]
    amount: Annotated[str, "what it holds, where Backstop reads it; else empty"]
    is_last: Annotated[bool, "true for the one that loses when nothing else is left"]


@dataclass(frozen=True)
class SegmentPart:
    """Everything a fund's page says of one segment."""

    anchor: Annotated[str, "id of the part"]
    name: Annotated[str, "segment's name; empty where the fund has one only"]
    badge: Annotated[Badge, "published status"]
    data: Annotated[str, "data status in words"]
    data_reason: Annotated[str, "why the data status is not the best; may be empty"]
    answer: Annotated[str, "one generated sentence"]
    as_of: Annotated[str, "block and UTC time of the numbers"]
    tiles: Annotated[tuple[Figure, ...], "usable value, coverage, worst past shortfall"]
    next_title: Annotated[str, "what the next field is called"]
    next_layer: Annotated[str, "the layers behind the fund, in order; without a fund who carries the loss"]
    next_owner: Annotated[str, "whose loss it is in the end; may be empty"]
    bands: Annotated[Table | None, "what the status rests on: metric, value, band, cut points"]
    chart: Annotated[Chart | None, "balance with reference loss and event markers"]
    chart_reason: Annotated[str, "why there is no chart"]
    composition: Annotated[Table | None, "assets with haircuts"]
    composition_reason: Annotated[str, "why there is no composition"]
    flows: Annotated[Table | None, "inflows and outflows by source and month"]
    flow_note: Annotated[str, "what the flows mean, or why there are none"]
    losses: Annotated[Table | None, "shortfalls, payouts, ADL and socialised losses with evidence"]
    loss_note: Annotated[str, "count, or why there are none"]
    loss_by_market: Annotated[Table | None, "who lost what, by market"]
    liquidations: Annotated[Table | None, "liquidations by asset: exact sums, counts, the largest"]
    liquidation_months: Annotated[Table | None, "liquidations by month"]
    liquidation_note: Annotated[str, "count and span"]
    stress: Annotated[Table | None, "loss and usable value by shock"]
    named_days: Annotated[Table | None, "loss and usable value if the moves of a historical day came now"]
    stress_note: Annotated[str, "what the shocks rest on, or why they are unknown"]
    accounts: Annotated[Table | None, "accounts below zero or whose liquidation the contract would refuse"]
    account_note: Annotated[str, "what those accounts mean"]
    account_days: Annotated[Table | None, "days on which a loss stood in no event, until it was booked or made good"]
    market_cover: Annotated[Table | None, "cap, use and cover by market"]
    polling: Annotated[Table | None, "holes in the polling of a venue"]
    figures: Annotated[tuple[Figure, ...], "every number of the segment"]


@dataclass(frozen=True)
class FundPage:
    """One fund."""

    frame: Annotated[Frame, "around the page"]
    name: Annotated[str, "fund"]
    platform: Annotated[Link, "who runs it"]
    chain: Annotated[str, "where it lives"]
    kind: Annotated[str, "what sort of fund it is, in words"]
    summary: Annotated[str, "one sentence: what it covers"]
    segments: Annotated[tuple[SegmentPart, ...], "its segments; they are never added up"]
    layers: Annotated[tuple[Layer, ...], "the waterfall"]
    control: Annotated[str, "who can move the money"]
    changes: Annotated[Table | None, "changes of owners, implementations, parameters and markets; None: none seen"]
    methodology: Annotated[str, "how Backstop reads this fund"]
    contracts: Annotated[tuple[tuple[str, Link], ...], "contract names and addresses"]
    caveats: Annotated[tuple[str, ...], "what to know before using a number"]
    sources: Annotated[tuple[Link, ...], "where the file's facts come from"]
    at: Annotated[Link | None, "the newest day's own page; None before any was computed"] = None


@dataclass(frozen=True)
class NumberPart:
    """Where one number of one segment comes from."""

    segment: Annotated[str, "segment's name; empty where the fund has one only"]
    figure: Annotated[Figure, "the number"]
    facts: Annotated[tuple[tuple[str, str], ...], "as of, hash, window, observations, digest, version: word and value"]
    tables: Annotated[tuple[Table, ...], "intermediate values"]
    readings: Annotated[Table | None, "contract, call, block, raw, decimals"]
    prices: Annotated[Table | None, "prices at that block"]
    history: Annotated[Table | None, "the number through time"]
    spark: Annotated[Spark | None, "its line"]


@dataclass(frozen=True)
class NumberPage:
    """Where a number comes from."""

    frame: Annotated[Frame, "around the page"]
    fund: Annotated[Link, "fund it belongs to"]
    title: Annotated[str, "the metric"]
    sentence: Annotated[str, "what it says"]
    formula: Annotated[str, "its formula from the glossary; empty where that has none"]
    limits: Annotated[str, "its limits from the glossary; may be empty"]
    term_href: Annotated[str, "its glossary entry"]
    method_href: Annotated[str, "its section of the methodology"]
    parts: Annotated[tuple[NumberPart, ...], "one a segment"]
    latest: Annotated[str, "page of the latest number where this one is that of a block; else empty"] = ""
    own: Annotated[str, "how a row of the history is reached: this address with its block behind it"] = ""


@dataclass(frozen=True)
class EventsPage:
    """Shortfalls, payouts, ADL and socialised losses of all funds, and liquidations by month."""

    frame: Annotated[Frame, "around the page"]
    events: Annotated[tuple[EventLine, ...], "newest first"]
    total: Annotated[int, "how many lines there are in all"]
    liquidations: Annotated[Table | None, "by fund and month"]


@dataclass(frozen=True)
class DocumentPage:
    """A document of the project: methodology or glossary."""

    frame: Annotated[Frame, "around the page"]
    title: Annotated[str, "its title"]
    anchor: Annotated[str, "id of the title"]
    contents: Annotated[tuple[Link, ...], "its sections"]
    body: Annotated[Markup, "rendered without raw HTML"]


@dataclass(frozen=True)
class StatusPage:
    """How our own sources stand."""

    frame: Annotated[Frame, "around the page"]
    chains: Annotated[Table, "head, finalized, lag, status"]
    segments: Annotated[Table, "indexed state of each segment"]
    holes: Annotated[Table | None, "blocks not scanned yet"]
    reorgs: Annotated[Table | None, "reorganisations seen"]


@dataclass(frozen=True)
class ErrorPage:
    """What is shown when there is no page."""

    style: Annotated[str, "path of the style sheet"]
    icon: Annotated[str, "path of the icon"]
    title: Annotated[str, "what happened"]
    message: Annotated[str, "what it means and what to do"]


@dataclass(frozen=True)
class Choice:
    """One thing to tick or to choose."""

    value: Annotated[str, "what the form sends"]
    text: Annotated[str, "what it is, in words"]
    is_chosen: Annotated[bool, "ticked already"]
    note: Annotated[str, "what it means; may be empty"] = ""


@dataclass(frozen=True)
class WishForm:
    """What somebody wants to hear, to be filled in."""

    address: Annotated[str, "what was typed as e-mail address"]
    funds: Annotated[tuple[tuple[str, tuple[Choice, ...]], ...], "groups of funds; none ticked is all"]
    events: Annotated[tuple[tuple[str, tuple[Choice, ...]], ...], "groups of events; none ticked is all"]
    least: Annotated[tuple[Choice, ...], "least severity, one of them"]
    digest: Annotated[tuple[Choice, ...], "how often a digest comes, one of them"]


@dataclass(frozen=True)
class AlertsPage:
    """What can be had: feeds, mails, webhooks."""

    frame: Annotated[Frame, "around the page"]
    form: Annotated[WishForm | None, "None where nobody can subscribe"]
    mistakes: Annotated[tuple[tuple[str, str], ...], "id of a field, and what is wrong with it"] = ()


@dataclass(frozen=True)
class Button:
    """A form of one button."""

    text: Annotated[str, "what it does"]
    action: Annotated[str, "where it posts to"]
    fields: Annotated[tuple[tuple[str, str], ...], "what it posts: names and values"]


@dataclass(frozen=True)
class StepPage:
    """One step on a link's way: what it would do, or what was done."""

    frame: Annotated[Frame, "around the page"]
    sentences: Annotated[tuple[str, ...], "what it means"]
    facts: Annotated[tuple[tuple[str, str], ...], "what it is about: word and value"] = ()
    buttons: Annotated[tuple[Button, ...], "what can be done now, the main thing first"] = ()
    link: Annotated[Link | None, "where to go on"] = None
    typed: Annotated[str | None, "what was typed to order a new link; None where none can be ordered"] = None
    mistakes: Annotated[tuple[tuple[str, str], ...], "id of a field, and what is wrong with it"] = ()


@dataclass(frozen=True)
class OwnLine:
    """One line of a table on somebody's own page."""

    cells: Annotated[tuple[str, ...], "texts in the order of the table's heads"]
    buttons: Annotated[tuple[Button, ...], "what can be done with it"]


@dataclass(frozen=True)
class ManagePage:
    """Somebody's own page."""

    frame: Annotated[Frame, "around the page"]
    token: Annotated[str, "what lets the reader act"]
    address: Annotated[str, "e-mail address"]
    notice: Annotated[str, "what was just done; may be empty"]
    secret: Annotated[str, "a webhook's new secret, shown once; else empty"]
    mistakes: Annotated[tuple[tuple[str, str], ...], "id of a field, and what is wrong with it"]
    state: Annotated[str, "whether messages come, in words"]
    buttons: Annotated[tuple[Button, ...], "what can be done with the address"]
    form: Annotated[WishForm, "what they want to hear"]
    mutes: Annotated[tuple[OwnLine, ...], "what is muted, until when"]
    webhooks: Annotated[tuple[OwnLine, ...], "address and state"]
    url: Annotated[str, "what was typed as address of a new webhook"]
    has_room: Annotated[bool, "true while webhooks can be added here"]
    log: Annotated[tuple[OwnLine, ...], "last messages, the newest first: time, message, address, state"]
    export: Annotated[Button, "everything that is kept of them"]
    delete: Annotated[Button, "deletes it all"]
