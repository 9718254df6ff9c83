"""What is missing: not verified by us, not scanned, not explained, unknown; and what each fund's file warns of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from markupsafe import Markup

from ledger.coverage import AUDITED, BLOOM, COMPARED, RECONCILED
from ledger.kinds import DataStatus, Quality, SegmentStatus
from ledger.latest import Number
from ledger.layers import has_fund
from ledger.moments import is_made_up
from ledger.numbers import format_count
from ledger.pages import Place
from ledger.rungs import list_verifications
from ledger.tables import Coverage, Verification
from ledger.words import DATA_WORDS, chain_title, kind_words
from web.catalogue import describe
from web.contexts import Cell, Frame, Link, Table
from web.documents import load_document, render_markdown
from web.edition import Edition
from web.figures import FUND_METRICS, Figures, in_order
from web.frames import frame
from web.names import neat
from web.picking import place_title
from web.sources import by_segment, segment_holes
from web.words import NOT_COMPUTED

DOCUMENT = "coverage"
RUNGS = {
    BLOOM: "every log filter of a block",
    COMPARED: "a second provider",
    AUDITED: "the block's receipts",
    RECONCILED: "between two balances that flows explain",
}
"""What blocks of each rung were held against."""


@dataclass(frozen=True)
class UnknownPart:
    """What is not known of one segment."""

    title: Annotated[str, "segment"]
    href: Annotated[str, "its page"]
    reasons: Annotated[tuple[tuple[str, str], ...], "names of numbers, and why they are unknown, stale or partial"]


@dataclass(frozen=True)
class CoveragePage:
    """What is missing, by kind."""

    frame: Annotated[Frame, "around the page"]
    opening: Annotated[Markup, "what is not tracked at all, rendered from docs/coverage.md without raw HTML"]
    sources: Annotated[Table, "what each segment's numbers rest on, the weakest last"]
    behind: Annotated[Table | None, "sources that are not current"]
    unexplained: Annotated[Table | None, "segments whose indexed data cannot be relied on"]
    holes: Annotated[Table | None, "what was not scanned, by segment"]
    rungs: Annotated[Table | None, "how well scanned blocks are verified"]
    unknown: Annotated[tuple[UnknownPart, ...], "numbers that are not known, by segment and reason"]
    caveats: Annotated[tuple[tuple[Link, tuple[str, ...]], ...], "what each fund's file warns of"]


def coverage_page(edition: Edition) -> CoveragePage:
    """The page about what is missing."""
    return CoveragePage(
        frame=frame(
            edition,
            "/coverage",
            "What is missing",
            description="What is not tracked, what is self-reported, what was not read, and what is therefore unknown",
            json_path="/coverage.json",
            places=edition.places,
        ),
        opening=render_markdown(load_document(edition.config.docs, DOCUMENT).partition("\n")[2])[0],
        sources=_sources(edition),
        behind=_behind(edition),
        unexplained=_unexplained(edition),
        holes=_holes(edition),
        rungs=_rungs(edition),
        unknown=tuple(_unknown(edition)),
        caveats=tuple(_caveats(edition)),
    )


def _sources(edition: Edition) -> Table:
    """What is verified on chain by us, and all that is not: by data status, in the order of its words."""
    order = list(DATA_WORDS.values())
    rows = []
    for place in edition.places:
        status, reason = Figures(edition, place).data()
        kind = kind_words(place.chain.kind) or ("polls of an interface" if place.chain.is_venue else "live chain")
        rank = order.index(status) if status in order else len(order)
        cells = (
            _place_cell(edition, place),
            Cell(status),
            Cell(f"{chain_title(place.chain)}: {kind}"),
            Cell(reason or "–"),
        )
        rows.append((rank, place.segment.slug, cells))
    heads = (Cell("Segment"), Cell("Data"), Cell("Source"), Cell("Why not better"))
    verified = sum(rank == order.index(DATA_WORDS[DataStatus.VERIFIED]) for rank, _, _ in rows)
    note = f"{verified} of {format_count(len(rows), 'segment')} verified on chain by Backstop itself."
    return Table("What each segment's numbers rest on", heads, tuple(cells for *_, cells in sorted(rows)), note)


def _place_cell(edition: Edition, place: Place) -> Cell:
    return Cell(place_title(edition, place), href=f"/funds/{place.fund.slug}")


def _behind(edition: Edition) -> Table | None:
    rows = tuple(
        (
            Cell(chain_title(source.state.chain)),
            Cell(source.state.chain.status),
            Cell(source.state.chain.status_reason or "further behind than 30 minutes on its own clock"),
        )
        for source in edition.sources
        if not source.is_current
    )
    heads = (Cell("Source"), Cell("Status"), Cell("Why"))
    return Table("Chains, recordings and venues that are not current", heads, rows) if rows else None


def _unexplained(edition: Edition) -> Table | None:
    rows = tuple(
        (
            _place_cell(edition, place),
            Cell(place.segment.status),
            Cell(neat(place.segment.status_reason) or NOT_COMPUTED),
        )
        for place in edition.places
        if place.segment.status != SegmentStatus.OK
    )
    heads = (Cell("Segment"), Cell("Indexed data"), Cell("Why"))
    return (
        Table("Segments whose indexed data are new, unreconciled, unknown or unverified", heads, rows) if rows else None
    )


def _holes(edition: Edition) -> Table | None:
    found = segment_holes(edition)
    rows = tuple(
        (_place_cell(edition, place), Cell(_hole_words(place, found[place.segment.slug]), href="/status"))
        for place in edition.places
        if place.segment.slug in found
    )
    return (
        Table("Not scanned between a segment's first block and the tip", (Cell("Segment"), Cell("Missing")), rows)
        if rows
        else None
    )


def _hole_words(place: Place, holes: Sequence[tuple[int, int]]) -> str:
    if place.chain.is_venue:
        return f"{format_count(len(holes), 'hole')} in polling"
    return f"{format_count(sum(high - low + 1 for low, high in holes), 'block')} in {format_count(len(holes), 'hole')}"


def _rungs(edition: Edition) -> Table | None:
    """Blocks under each segment's newest filter, and how many of them passed each rung; polls have no blocks."""
    scanned, passed = by_segment(edition.coverage), by_segment(list_verifications(edition.session))
    rows = []
    for place in edition.places:
        own = scanned.get(place.segment_id, [])
        if own and not place.chain.is_venue and not is_made_up(place.chain):
            newest = max(own, key=lambda row: row.to_number).filter_digest
            counts = count_rungs(newest, own, passed.get(place.segment_id, []))
            rows.append((_place_cell(edition, place), *(Cell(f"{count:,}", is_number=True) for count in counts)))
    heads = (
        Cell("Segment"),
        Cell("Blocks scanned", is_number=True),
        *(Cell(word, is_number=True) for word in RUNGS.values()),
    )
    return Table("Blocks scanned, and how many of them were held against what", heads, tuple(rows)) if rows else None


def count_rungs(newest: str, scanned: Iterable[Coverage], passed: Iterable[Verification]) -> list[int]:
    """Blocks scanned under one filter, then of each rung; intervals of one rung do not overlap."""
    spans = {
        rung: [(row.from_number, row.to_number) for row in passed if row.level == rung and row.filter_digest == newest]
        for rung in RUNGS
    }
    whole = [(row.from_number, row.to_number) for row in scanned if row.filter_digest == newest]
    return [sum(high - low + 1 for low, high in group) for group in (whole, *spans.values())]


def _unknown(edition: Edition) -> Iterable[UnknownPart]:
    for place in edition.places:
        reasons = tuple((", ".join(names), reason) for reason, names in unknown_reasons(edition, place).items())
        if reasons:
            yield UnknownPart(place_title(edition, place), f"/funds/{place.fund.slug}", reasons)


def unknown_reasons(edition: Edition, place: Place) -> dict[str, list[str]]:
    """Why numbers of a segment are not fully known, each reason with the numbers that it stands behind."""
    metrics = edition.metrics_of(place)
    if not metrics:
        return {f"unknown: {neat(place.segment.status_reason) or NOT_COMPUTED}": ["Every number"]}
    found: dict[str, list[str]] = {}
    for metric in sorted(metrics.values(), key=lambda one: in_order(describe(one.name).title)):
        if is_missing(metric, place):
            reason = f"{metric.quality}: {neat(metric.reason) or NOT_COMPUTED}"
            found.setdefault(reason, []).append(describe(metric.name).title)
    return found


def is_missing(metric: Number, place: Place) -> bool:
    """True for a number that is not fully known; what only a fund has is not missing where there is none by design."""
    return metric.quality != Quality.OK and (has_fund(place) or metric.name not in FUND_METRICS)


def _caveats(edition: Edition) -> Iterable[tuple[Link, tuple[str, ...]]]:
    for slug, places in edition.funds().items():
        fund = places[0].fund
        yield Link(fund.name, f"/funds/{slug}"), tuple(str(caveat) for caveat in fund.caveats)


def coverage_json(edition: Edition) -> dict[str, Any]:
    """The same, by segment."""
    holes = segment_holes(edition)
    segments = [
        {
            "fund": place.fund.slug,
            "slug": place.segment.slug,
            "source_kind": place.chain.kind,
            "data_status": figures.data()[0],
            "data_reason": figures.data()[1],
            "indexed": place.segment.status,
            "indexed_reason": place.segment.status_reason,
            "holes": holes.get(place.segment.slug, []),
            "not_known": [
                {"metric": one.name, "quality": one.quality, "reason": one.reason or NOT_COMPUTED}
                for one in sorted(figures.metrics.values(), key=lambda one: one.name)
                if is_missing(one, place)
            ],
            "caveats": place.fund.caveats,
        }
        for place, figures in ((place, Figures(edition, place)) for place in edition.places)
    ]
    sources = [
        {
            "name": one.state.chain.name,
            "status": one.state.chain.status,
            "reason": one.state.chain.status_reason,
            "is_current": one.is_current,
        }
        for one in edition.sources
    ]
    return {
        "self": f"{edition.config.site_url}/coverage.json",
        "method_version": edition.method_version,
        "digest": edition.digest,
        "sources": sources,
        "segments": segments,
    }
