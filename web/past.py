"""One fund as it stood on one UTC day: the rows published for that day, without anything on the page that moves on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated, Any

from ledger.layers import after_fund, has_fund
from ledger.numbers import format_count, format_day
from ledger.pages import EventRow, Place
from ledger.published import PublishedDay
from ledger.tables import Asset, Metric
from ledger.words import DISCLAIMER, role_words
from web.api import event_row, metric_row
from web.bands import status_why
from web.contexts import Badge, Cell, Figure, Link, Replay, Table
from web.days import FundDays
from web.edition import Edition, replays_of
from web.evidence import amount_text, event_lines, sum_by_asset
from web.figures import Figures
from web.segments import NO_FUND_TILES, TILES, segment_answer
from web.words import answer_sentence

MOST_LINES = 20
"""So many of the newest losses are listed; all of them are in the exact sums above."""
STYLE, ICON = "/static/site.css", "/static/icon.svg"
"""Without a digest in the name: a page that is kept for ever must find its style sheet after that changed."""


@dataclass(frozen=True)
class PastPart:
    """What was published of one segment."""

    anchor: Annotated[str, "id of the part"]
    name: Annotated[str, "segment's name; empty where the fund has one only"]
    badge: Annotated[Badge, "status published that day"]
    data: Annotated[str, "data status of that day in words"]
    data_reason: Annotated[str, "why the data status is not the best; may be empty"]
    answer: Annotated[str, "the generated sentence, from that day's numbers"]
    as_of: Annotated[str, "block and UTC time of the numbers"]
    method_version: Annotated[str, "version of the method that made them"]
    tiles: Annotated[tuple[Figure, ...], "usable value, coverage, worst past shortfall"]
    next_title: Annotated[str, "what the next field is called"]
    next_layer: Annotated[str, "the layers behind the fund, by the fund's file"]
    next_owner: Annotated[str, "whose loss it is in the end; may be empty"]
    figures: Annotated[tuple[Figure, ...], "every number of that day; each leads to its fact page at that block"]
    sums: Annotated[Table | None, "losses and payouts up to that block: exact sums by role and asset"]
    losses: Annotated[Table | None, "the newest of them"]
    loss_note: Annotated[str, "how many there are, or what it means that there are none"]


@dataclass(frozen=True)
class PastPage:
    """One fund on one day."""

    title: Annotated[str, "title of the page"]
    path: Annotated[str, "its canonical path"]
    canonical: Annotated[str, "its canonical address"]
    style: Annotated[str, "path of the style sheet"]
    icon: Annotated[str, "path of the icon"]
    fund: Annotated[Link, "the fund as it stands now"]
    day: Annotated[str, "the day in words"]
    iso: Annotated[str, "the day, YYYY-MM-DD"]
    is_settled: Annotated[bool, "true: the page does not change any more"]
    finality: Annotated[str, "whether the day is final, in a sentence"]
    before: Annotated[Link | None, "the last day with numbers before it"]
    after: Annotated[Link | None, "the first day with numbers after it"]
    replays: Annotated[tuple[Replay, ...], "recordings whose data this page shows"]
    parts: Annotated[tuple[PastPart, ...], "segments with numbers of that day; they are never added up"]
    missing: Annotated[tuple[str, ...], "segments without numbers of that day"]
    method_version: Annotated[str, "versions of the method behind the numbers"]
    digest: Annotated[str, "sha256 of the numbers of this page"]


def days_of(edition: Edition, slug: str) -> FundDays | None:
    """The published days of a fund; None where there is no such fund."""
    places = edition.funds().get(slug)
    return FundDays(edition, places) if places else None


def day_path(slug: str, day: str) -> str:
    """Where the page of a day is."""
    return f"/funds/{slug}/at/{day}"


def past_page(days: FundDays, day: str) -> PastPage | None:
    """The page of one day; None where nothing was published of it."""
    standing = days.standing(day)
    if not standing:
        return None
    fund = days.places[0].fund
    numbers = {one.segment_id: days.metrics(one) for _, one in standing}
    path = day_path(fund.slug, day)
    open_reason = days.why_open(day)
    return PastPage(
        title=f"{fund.name} on {format_day(day)}",
        path=path,
        canonical=days.edition.config.site_url + path,
        style=STYLE,
        icon=ICON,
        fund=Link(fund.name, f"/funds/{fund.slug}"),
        day=format_day(day),
        iso=day,
        is_settled=not open_reason,
        finality=_finality(open_reason, standing),
        before=day_link(fund.slug, days.before(day)),
        after=day_link(fund.slug, days.after(day)),
        replays=replays_of([place for place, _ in standing]),
        parts=tuple(_part(days, place, one, numbers[one.segment_id]) for place, one in standing),
        missing=tuple(place.segment.name for place in days.places if place.segment_id not in numbers),
        method_version=_versions(standing),
        digest=_digest(standing, numbers),
    )


def _finality(open_reason: str, standing: Sequence[tuple[Place, PublishedDay]]) -> str:
    if open_reason:
        return f"Not final yet. {open_reason}"
    return f"Final. Under method version {_versions(standing)} this page does not change any more."


def _versions(standing: Sequence[tuple[Place, PublishedDay]]) -> str:
    return ", ".join(sorted({one.method_version for _, one in standing}))


def _digest(standing: Sequence[tuple[Place, PublishedDay]], numbers: Mapping[int, Mapping[str, Metric]]) -> str:
    rows = [
        [place.segment.slug, m.name, m.day, m.as_of_hash, m.method_version, str(m.value), m.text, m.inputs_digest]
        for place, one in standing
        for m in numbers[one.segment_id].values()
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def day_link(slug: str, day: str) -> Link | None:
    """The way to a day; None for none."""
    return Link(format_day(day), day_path(slug, day)) if day else None


def _part(days: FundDays, place: Place, one: PublishedDay, metrics: dict[str, Metric]) -> PastPart:
    figures = _figures(days.edition, place, metrics)
    behind = after_fund(place)
    data, data_reason = figures.data()
    rows = days.losses(place, one)
    return PastPart(
        anchor=place.segment.slug.replace("/", "-"),
        name="" if len(days.places) == 1 else place.segment.name,
        badge=figures.badge(),
        data=data,
        data_reason=data_reason,
        answer=answer_sentence(segment_answer(figures, behind)),
        as_of=figures.as_of(),
        method_version=one.method_version,
        tiles=tuple(_at_block(figures(name), one) for name in (TILES if has_fund(place) else NO_FUND_TILES)),
        next_title=behind.title,
        next_layer=behind.layers,
        next_owner=behind.losers,
        figures=tuple(_at_block(figure, one) for figure in figures.all()),
        sums=_sums(rows, days.edition.assets),
        losses=_losses(days, place, rows),
        loss_note=_loss_note(rows, figures.as_of()),
    )


def _figures(edition: Edition, place: Place, metrics: dict[str, Metric]) -> Figures:
    """The printed numbers of that day instead of the latest."""
    past = Edition(edition.session, edition.clock, edition.config)
    past.metrics = {place.segment_id: metrics}
    return Figures(past, place)


def _at_block(figure: Figure, one: PublishedDay) -> Figure:
    """The same number, leading to its evidence at that block."""
    return replace(figure, href=f"{figure.href}/{one.number}") if figure.href else figure


def _sums(rows: Sequence[EventRow], assets: Mapping[int, Asset]) -> Table | None:
    """Exact sums by role and asset."""
    if not rows:
        return None
    body = tuple(
        (
            Cell(role_words(role)),
            Cell(f"{one.count:,}", is_number=True),
            Cell(amount_text(one.raw, assets.get(one.asset_id or 0), exact=True), is_number=True),
        )
        for role, group in groupby(sorted(rows, key=lambda row: row.role), key=lambda row: row.role)
        for one in sum_by_asset(group)
    )
    heads = (Cell("What"), Cell("Facts", is_number=True), Cell("Exact sum", is_number=True))
    return Table("Losses and payouts up to that block", heads, body)


def _losses(days: FundDays, place: Place, rows: Sequence[EventRow]) -> Table | None:
    """The newest lines, made of the newest days only: there may be thousands before them."""
    lines, assets, places = [], days.edition.assets, {place.segment_id: place}
    for _, group in groupby(reversed(rows), key=lambda row: row.block_time.date()):
        lines += event_lines(list(group), places, assets, names=days.markets(place))
        if len(lines) >= MOST_LINES:
            break
    if not lines:
        return None
    heads = (Cell("When"), Cell("What"), Cell("Amount", is_number=True), Cell("Market or account"), Cell("Evidence"))
    body = tuple(
        (
            Cell(line.when),
            Cell(line.what),
            Cell(line.amount, is_number=True),
            Cell(line.who),
            Cell(line.evidence, href=line.evidence_href),
        )
        for line in lines[:MOST_LINES]
    )
    return Table("The newest of them", heads, body)


def _loss_note(rows: Sequence[EventRow], as_of: str) -> str:
    if not rows:
        return f"None recognised up to {as_of}. Not every platform books every loss, so this is not the same as none."
    return f"{format_count(len(rows), 'fact')} up to {as_of}."


def past_json(days: FundDays, day: str) -> dict[str, Any] | None:
    """The same day as JSON; intermediate values are on the fact pages. None where nothing was published of it."""
    standing = days.standing(day)
    if not standing:
        return None
    fund = days.places[0].fund
    numbers = {one.segment_id: days.metrics(one) for _, one in standing}
    return {
        "self": f"{days.edition.config.site_url}{day_path(fund.slug, day)}.json",
        "fund": fund.slug,
        "name": fund.name,
        "day": day,
        "is_final": not days.why_open(day),
        "why_not_final": days.why_open(day) or None,
        "before": days.before(day) or None,
        "after": days.after(day) or None,
        "method_version": _versions(standing),
        "digest": _digest(standing, numbers),
        "notice": DISCLAIMER,
        "segments": [_segment(days, place, one, numbers[one.segment_id]) for place, one in standing],
        "segments_without_numbers": [p.segment.slug for p in days.places if p.segment_id not in numbers],
    }


def _segment(days: FundDays, place: Place, one: PublishedDay, metrics: dict[str, Metric]) -> dict[str, Any]:
    figures = _figures(days.edition, place, metrics)
    badge = figures.badge()
    rows, assets = days.losses(place, one), days.edition.assets
    return {
        "slug": place.segment.slug,
        "name": place.segment.name,
        "source_kind": place.chain.kind,
        "status": badge.key,
        "status_words": badge.word,
        "at_best": badge.note or None,
        "status_reason": status_why(figures),
        "data_status": figures.data()[0],
        "data_reason": figures.data()[1],
        "metrics": [metric_row(metric, place.chain, with_detail=False) for metric in metrics.values()],
        "losses_count": len(rows),
        "newest_losses": [
            event_row(row, place, assets.get(row.asset_id or 0)) for row in list(reversed(rows))[:MOST_LINES]
        ],
    }
