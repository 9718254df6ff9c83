"""One segment of a fund's page: the answer, the chart, and every table that tells how it got there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from ledger.kinds import FundKind, Role
from ledger.latest import Number
from ledger.layers import Behind, after_fund, has_fund
from ledger.numbers import Rounding, finite, format_usd, scale
from ledger.pages import EventRow, Place, balance_series, list_events, market_details
from web.absences import no_balance, no_composition, no_flows, no_liquidations, no_losses
from web.bands import band_table, decided_by
from web.bundle import bundle_path
from web.charts import BalanceLine, Marker, chart_balance, look_closer, reference_in_asset
from web.contexts import Chart, Choice, SegmentPart, Table
from web.details import detail_of, rows_of, table_of
from web.drawings import Drawings, segment_drawings
from web.edition import Edition
from web.evidence import LOSS_ROLES, event_lines
from web.figures import Figures
from web.flows import FLOW_ROLES, flow_table
from web.frames import static_path
from web.losses import liquidation_tables, loss_table, market_losses
from web.ranges import cut_line, range_choices
from web.severity import worst_days
from web.sources import polling_table
from web.words import Answer, answer_sentence

TILES = ("usable_value", "coverage", "worst_1d")
NO_FUND_TILES = ("exposure", "socialised_total", "liquidations")
TOO_FEW = "Too few balances were read to draw a line."
TOO_FEW_OF_RANGE = "Too few balances were read in this range to draw a line."
MARKER_ROLES = (Role.SHORTFALL, Role.SOCIALISED_LOSS, Role.ADL)


@dataclass(frozen=True)
class Closer:
    """A chart of the whole record that can be zoomed, for readers who ask for it."""

    words: Annotated[str, "what its link says"]
    href: Annotated[str, "its specification with its data"]
    bundle: Annotated[str, "the library that draws it in a browser"]
    script: Annotated[str, "what loads that library when it is asked for"]


@dataclass(frozen=True)
class DrawnPart(SegmentPart):
    """A segment's part of the page with what is drawn of it."""

    ranges: Annotated[tuple[Choice, ...], "how much of its record the chart can show; empty: all of it only"]
    segment: Annotated[str, "its slug, by which /stress computes another move"]
    drawings: Annotated[Drawings, "stress, flows, chance of running dry"]
    closer: Annotated[Closer | None, "the balance chart to zoom into; None where there is no chart"]


def segment_part(edition: Edition, place: Place, *, is_only: bool, days: str = "") -> DrawnPart:
    """Everything a fund's page says of one segment; its chart shows the range of `days` where its record has that."""
    figures = Figures(edition, place)
    losses, flow_facts, closures = _facts(edition, place)
    flows = flow_table(edition, place, flow_facts)
    names = market_names(edition, place)
    log, log_note = loss_table(edition, place, losses, names)
    closed = liquidation_tables(edition, place, closures)
    chart, chart_reason, ranges = _chart(place, figures, balance_line(edition, place, figures, losses), days)
    behind = after_fund(place)
    data, data_reason = figures.data()
    return DrawnPart(
        anchor=anchor_of(place),
        name="" if is_only else place.segment.name,
        badge=figures.badge(),
        data=data,
        data_reason=data_reason,
        answer=answer_sentence(segment_answer(figures, behind)),
        as_of=figures.as_of(),
        tiles=tuple(figures(name) for name in (TILES if has_fund(place) else NO_FUND_TILES)),
        next_title=behind.title,
        next_layer=behind.layers,
        next_owner=behind.losers,
        bands=band_table(figures),
        chart=chart,
        chart_reason=chart_reason,
        composition=_composition(figures),
        flows=flows,
        composition_reason=no_composition(figures),
        flow_note="" if flows else no_flows(place),
        losses=log,
        loss_note=log_note or no_losses(figures),
        loss_by_market=market_losses(losses, names, edition.assets),
        liquidations=closed[0] if closed else None,
        liquidation_months=closed[1] if closed else None,
        liquidation_note=closed[2] if closed else no_liquidations(figures),
        stress=_stress(figures),
        named_days=_named_days(figures),
        stress_note=_stress_note(figures),
        accounts=_accounts(figures),
        account_days=_account_days(edition, place),
        account_note=_account_note(figures),
        market_cover=_cover(edition, place, figures),
        polling=polling_table(edition, place),
        figures=figures.all(),
        drawings=segment_drawings(figures, flow_facts),
        ranges=ranges,
        segment=place.segment.slug,
        closer=_closer(place, ranges) if chart else None,
    )


def _closer(place: Place, ranges: Sequence[Choice]) -> Closer:
    is_cut = any(one.is_chosen and one.value for one in ranges)
    words = "Look closer at the whole record" if is_cut else "Look closer"
    return Closer(words, closer_path(place), bundle_path(), static_path("site.js"))


def _facts(edition: Edition, place: Place) -> tuple[list[EventRow], ...]:
    """Losses, flows and liquidations of a segment: one question for all of them."""
    groups = (LOSS_ROLES, FLOW_ROLES, (Role.LIQUIDATION,))
    facts = list_events(edition.session, [place.segment_id], [role for group in groups for role in group])
    return tuple([row for row in facts if row.role in group] for group in groups)


def anchor_of(place: Place) -> str:
    """Id of a segment's part on the page."""
    return place.segment.slug.replace("/", "-")


def closer_path(place: Place) -> str:
    """Where the balance chart lies as a specification that can be zoomed."""
    return f"/funds/{place.fund.slug}/balance/{anchor_of(place)}.json"


def closer_paths(edition: Edition) -> list[str]:
    """All of them: one for each segment that has a balance of its own."""
    return [closer_path(place) for place in edition.places if place.asset is not None]


def closer_json(edition: Edition, slug: str, anchor: str) -> dict[str, Any] | None:
    """That specification, or why there is none; None where the segment has no balance of its own."""
    place = next((one for one in edition.funds().get(slug, []) if anchor_of(one) == anchor), None)
    if place is None:
        return None
    losses = list_events(edition.session, [place.segment_id], LOSS_ROLES)
    line = balance_line(edition, place, Figures(edition, place), losses)
    return None if line is None else look_closer(line) or {"reason": TOO_FEW}


def segment_answer(figures: Figures, behind: Behind) -> Answer:
    """What the one generated sentence of a segment is made of."""
    worst = figures("worst_1d")
    loss = figures.metric("reference_loss")
    return Answer(
        badge=figures.badge(),
        reason=figures.status_reason(),
        decided_by=decided_by(figures),
        balance=figures("gross_balance"),
        usable=figures("usable_value"),
        coverage=figures("coverage"),
        reference_loss=figures("reference_loss"),
        reference_source=source_text(loss),
        gap=figures("gap_survived"),
        is_capped=bool(_cap_note(figures.metric("gap_survived"))),
        worst=worst,
        worst_days=worst_days(figures, worst),
        socialised=figures("socialised_total"),
        next_layers=behind.layers,
        losers=behind.losers,
    )


def source_text(loss: Number | None) -> str:
    """What the reference loss is, in the words stored with it."""
    return "" if loss is None else str(loss.text or detail_of(loss).get("source") or "")


def _chart(
    place: Place, figures: Figures, line: BalanceLine | None, days: str
) -> tuple[Chart | None, str, tuple[Choice, ...]]:
    """The balance, or why it is not drawn, and what else can be shown of it."""
    if line is None:
        return None, no_balance(figures), ()
    shown = cut_line(line, days)
    chart = chart_balance(shown, f"balance-{anchor_of(place)}")
    reason = "" if chart else TOO_FEW if shown is line else TOO_FEW_OF_RANGE
    return chart, reason, range_choices(line.points, days)


def balance_line(edition: Edition, place: Place, figures: Figures, losses: Sequence[EventRow]) -> BalanceLine | None:
    """What a segment's balance chart is drawn from; None where it has no balance of its own."""
    if place.asset is None:
        return None
    points = balance_series(edition.session, place)
    loss = figures.metric("reference_loss")
    price = _price(edition, place, loss.as_of_number) if loss is not None else None
    reference = reference_in_asset(finite(loss.value) if loss is not None else None, price)
    label = f"reference loss {figures('reference_loss').text}" if reference is not None else ""
    return BalanceLine(points, place.asset.symbol, reference, label, _markers(edition, place, losses))


def _price(edition: Edition, place: Place, number: int) -> Decimal | None:
    prices = edition.prices(place.chain.chain_id, number)
    own = next((price for price, asset in prices if place.asset and asset.id == place.asset.id), None)
    return None if own is None or own.answer_raw is None else scale(own.answer_raw, own.decimals)


def _markers(edition: Edition, place: Place, losses: Sequence[EventRow]) -> list[Marker]:
    """One marker a day, on the first line of the log that tells of it."""
    rows = [row for row in losses if row.role in MARKER_ROLES]
    times = {f"{row.block_time:%Y-%m-%dT%H:%M:%SZ}": row.block_time for row in rows}
    days: dict[str, Marker] = {}
    for line in event_lines(rows, {place.segment_id: place}, edition.assets):
        marker = Marker(times[line.iso], f"{line.what} {line.amount}, {line.when}", line.anchor)
        days.setdefault(line.iso[:10], marker)
    return list(days.values())


def _composition(figures: Figures) -> Table | None:
    rows = rows_of(detail_of(figures.metric("usable_value")).get("assets"))
    keys = ("symbol", "asset", "qty", "quantity", "price", "depth_haircut", "floor_haircut", "access", "counted")
    return table_of("What it holds, and what of it counts", rows, keys)


def _stress(figures: Figures) -> Table | None:
    rows = rows_of(detail_of(figures.metric("gap_survived")).get("grid"))
    rows = [row for row in rows if finite(row.get("shock")) != 0]  # No move, no loss: nothing to compare.
    rows.sort(key=lambda row: finite(row.get("shock")) or 0)
    return stress_table("An instant move of all prices", rows)


def stress_table(caption: str, rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """Published points of a stress; where nothing is lost there is no coverage, which is not unknown."""
    told = [row if finite(row.get("loss")) != 0 else {**row, "ratio": "no loss"} for row in rows]
    return table_of(caption, told, ("shock", "loss", "usable", "ratio"))


def _named_days(figures: Figures) -> Table | None:
    rows = rows_of(detail_of(figures.metric("named_days")).get("days"))
    return table_of("If that day's moves came now", rows, ("title", "day", "btc", "eth", "loss", "usable", "ratio"))


def _stress_note(figures: Figures) -> str:
    metric = figures.metric("gap_survived")
    shown = figures("gap_survived")
    if not has_fund(figures.place):
        return "There is no fund to hold against a stress, by design."
    if not shown.is_known:
        return f"The stress is unknown: {shown.reason}."
    basis = str(detail_of(metric).get("positions", ""))
    start = f"Gap survived: {shown.text}, at {shown.as_of}. {_cap_note(metric)}"
    if "mix" in basis:
        return (
            start + "Positions are not public: a published leverage mix stands in for them, the same for every venue."
        )
    return start + "From every open position at that block; the same move on the fund's assets and on the positions."


def _cap_note(metric: Number | None) -> str:
    """Caps bind before the fund does: which market's is the tightest."""
    rows = rows_of(detail_of(metric).get("capped_markets"))
    left = [(finite(row.get("cap_left_usd")), str(row.get("market"))) for row in rows]
    known = sorted((size, market) for size, market in left if size is not None)
    if not known:
        return ""
    size, market = known[0]
    return (
        "A move counts as survived only where each market's own cap suffices too, whatever the fund holds: "
        f"{market} has {format_usd(size, Rounding.DOWN)} left. "
    )


def _accounts(figures: Figures) -> Table | None:
    rows = rows_of(detail_of(figures.metric("unbooked_loss")).get("accounts"))
    keys = ("account", "value_usd", "requirement_usd", "is_refused", "since", "since_block", "loss_beyond_fund")
    return table_of("Accounts below zero, or whose liquidation the contract would refuse", rows, keys)


def _account_days(edition: Edition, place: Place) -> Table | None:
    """What was unbooked at the end of each day that had any: the record from before an event told of it."""
    rows = []
    for metric in edition.history(place.segment_id, "unbooked_loss"):
        accounts = rows_of(detail_of(metric).get("accounts"))
        if metric.value:
            below = [row for row in accounts if (finite(row.get("value_usd")) or 0) < 0]
            refused = sum(row.get("is_refused") is True for row in below)
            rows.append(
                {
                    "day": metric.day,
                    "unbooked loss": format_usd(metric.value, Rounding.UP),
                    "accounts below zero": len(below),
                    "of these refused": refused,
                    "read at block": metric.as_of_number,
                }
            )
    return table_of("Unbooked at the end of a day; a loss leaves this list when it is booked or made good", rows)


def _account_note(figures: Figures) -> str:
    loss = figures("unbooked_loss")
    covers = has_fund(figures.place) and figures.place.fund.kind != FundKind.RESERVE
    if not covers and figures.metric("unbooked_loss") is None:
        return ""
    if not loss.is_known:
        return f"Losses that no event has recorded are unknown: {loss.reason}."
    return (
        f"Unbooked loss: {loss.text}, at {loss.as_of}. Account values are read from the contract; a liquidation that "
        "would cost more than the fund holds is refused by it and leaves no event."
    )


def _cover(edition: Edition, place: Place, figures: Figures) -> Table | None:
    names = market_names(edition, place)
    rows = [
        {**row, "market": names.get(str(row.get("market")), row.get("market"))}
        for row in rows_of(detail_of(figures.metric("market_cover")).get("rows"))
    ]
    return table_of(
        "What each market's cap would still pay; cover = the smaller of usable value and cap left, over open interest",
        [
            {key: row.get(key) for key in COVER_KEYS} | ({"words": row["words"]} if row.get("words") else {})
            for row in rows
        ],
        COVER_KEYS,
    )


COVER_KEYS = ("market", "cap", "used", "left", "open_interest", "cover")


def market_names(edition: Edition, place: Place) -> dict[str, str]:
    """Readable names: a base token's symbol, or collateral / loan of a lending market."""
    symbols = {
        asset.address.lower(): asset.symbol
        for asset in edition.assets.values()
        if asset.chain_id == place.chain.chain_id
    }
    names = dict(symbols)
    for market, detail in market_details(edition.session, place.segment_id).items():
        pair = [symbols.get(str(detail.get(side, "")).lower(), "") for side in ("collateral", "loan")]
        if all(pair):
            names[market] = f"{pair[0]} / {pair[1]}"
    return names
