"""How our own sources stand: heads and lag on each chain's own clock, segments, blocks not scanned, reorganisations."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from ledger.moments import is_made_up
from ledger.numbers import format_count, format_duration, format_time
from ledger.pages import Place, last_snapshots, list_reorgs
from ledger.tables import Chain, Coverage, Verification
from ledger.words import chain_title, kind_words
from web.contexts import Cell, StatusPage, Table
from web.edition import Edition, SourceState
from web.figures import Figures
from web.frames import frame

Row = TypeVar("Row", Coverage, Verification)
MOST_HOLES = 100
MOST_REORGS = 50
MOST_POLLING_HOLES = 12


def status_page(edition: Edition) -> StatusPage:
    """The page about ourselves."""
    return StatusPage(
        frame=frame(
            edition,
            "/status",
            "Status of our sources",
            description="How far each source was followed, and what is missing",
            json_path="/status.json",
            places=edition.places,
        ),
        chains=_chains(edition),
        segments=_segments(edition),
        holes=_holes(edition),
        reorgs=_reorgs(edition),
    )


def _chains(edition: Edition) -> Table:
    heads = (
        Cell("Source"),
        Cell("Kind"),
        Cell("Head", is_number=True),
        Cell("Finalized", is_number=True),
        Cell("Followed to", is_number=True),
        Cell("Lag on its own clock", is_number=True),
        Cell("Status"),
    )
    return Table("Chains, recordings and venues", heads, tuple(_chain(source) for source in edition.sources))


def _chain(source: SourceState) -> tuple[Cell, ...]:
    chain, tip = source.state.chain, source.state.tip
    lag = format_duration(source.lag.total_seconds()) if source.lag is not None else "unknown"
    reason = f": {chain.status_reason}" if chain.status_reason else ""
    state = "current" if source.is_current else f"not current ({chain.status}{reason})"
    return (
        Cell(chain_title(chain)),
        Cell(kind_words(chain.kind) or "live"),
        _height(chain, chain.head_number, chain.head_time),
        _height(chain, chain.finalized_number, None),
        _height(chain, tip.number if tip else None, source.state.tip_time),
        Cell(lag, is_number=True),
        Cell(state),
    )


def _height(chain: Chain, number: int | None, time: datetime | None) -> Cell:
    """A block's number; a time where numbers are unix times or made up, and nothing is ever finalized there."""
    if chain.is_venue or is_made_up(chain):
        return Cell(format_time(time) if time else "does not apply", is_number=True)
    return Cell("unknown" if number is None else f"{number:,}", is_number=True)


def _segments(edition: Edition) -> Table:
    snapshots = last_snapshots(edition.session)
    body = []
    for place in edition.places:
        snapshot = snapshots.get(place.segment_id)
        reconciled = {True: "yes", False: "no", None: "not decidable"}[snapshot.is_reconciled if snapshot else None]
        segment = place.segment
        reason = f": {segment.status_reason}" if segment.status_reason else ""
        body.append(
            (
                Cell(place.segment.name, href=f"/funds/{place.fund.slug}"),
                Cell(Figures(edition, place).data()[0]),
                Cell(segment.status + reason),
                Cell(format_time(snapshot.block_time) if snapshot else "never read"),
                Cell(reconciled),
            )
        )
    heads = (Cell("Segment"), Cell("Data"), Cell("Indexed"), Cell("Last complete read"), Cell("Balance explained"))
    return Table(
        "Each segment: what its numbers rest on, and how far its balance is explained by facts", heads, tuple(body)
    )


def find_holes(intervals: Iterable[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    """Blocks of [first, last] in none of the intervals, as intervals."""
    holes, expected = [], first
    for low, high in sorted(intervals):
        if low > expected:
            holes.append((expected, min(low - 1, last)))
        expected = max(expected, high + 1)
        if expected > last:
            break
    if expected <= last:
        holes.append((expected, last))
    return [hole for hole in holes if hole[0] <= hole[1]]


def holes_of(place: Place, rows: Iterable[Coverage], last: int | None) -> list[tuple[int, int]]:
    """What is not scanned of one segment between its first block and the tip, under its newest filter."""
    by_filter: dict[str, list[Coverage]] = {}
    for row in rows:
        by_filter.setdefault(row.filter_digest, []).append(row)
    if not by_filter or last is None:
        return []
    newest = max(by_filter.values(), key=lambda group: max(row.to_number for row in group))
    spans = [(row.from_number, row.to_number) for row in newest]
    first = place.segment.start_number if place.segment.start_number is not None else min(span[0] for span in spans)
    return find_holes(spans, first, last)


def by_segment(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Intervals of each segment, in their order."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.segment_id, []).append(row)
    return found


def segment_holes(edition: Edition) -> Mapping[str, list[tuple[int, int]]]:
    """Holes by segment slug; segments without holes are absent."""
    tips = {one.state.chain.chain_id: one.state.tip for one in edition.sources}
    scanned = by_segment(edition.coverage)
    found = {}
    for place in edition.places:
        tip = tips.get(place.chain.chain_id)
        holes = holes_of(place, scanned.get(place.segment_id, []), tip.number if tip else None)
        if holes:
            found[place.segment.slug] = holes
    return found


def _holes(edition: Edition) -> Table | None:
    places = {place.segment.slug: place for place in edition.places}
    body = []
    for slug, holes in segment_holes(edition).items():
        place = places[slug]
        if place.chain.is_venue:
            body.append(_polling_holes(place, holes))
        else:
            body.extend(_block_hole(place, low, high) for low, high in holes)
    if not body:
        return None
    heads = (Cell("Segment"), Cell("From", is_number=True), Cell("To", is_number=True), Cell("Missing", is_number=True))
    note = f"The first {MOST_HOLES} of {len(body):,} holes." if len(body) > MOST_HOLES else ""
    return Table("Blocks not scanned, and polls that are missing", heads, tuple(body[:MOST_HOLES]), note)


def _block_hole(place: Place, low: int, high: int) -> tuple[Cell, ...]:
    return (
        Cell(place.segment.name),
        Cell(f"{low:,}", is_number=True),
        Cell(f"{high:,}", is_number=True),
        Cell(format_count(high - low + 1, "block"), is_number=True),
    )


def _polling_holes(place: Place, holes: Sequence[tuple[int, int]]) -> tuple[Cell, ...]:
    """All holes of a venue in one line; its page lists the longest."""
    return (
        Cell(place.segment.name, href=f"/funds/{place.fund.slug}#polling"),
        Cell(format_time(_time(holes[0][0] - 1)), is_number=True),
        Cell(format_time(_time(holes[-1][1] + 1)), is_number=True),
        Cell(f"{format_count(len(holes), 'hole')} in polling, {_together(holes)} together", is_number=True),
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _together(holes: Iterable[tuple[int, int]]) -> str:
    """From the poll before each hole to the one after it."""
    return format_duration(sum(high - low + 2 for low, high in holes))


def polling_table(edition: Edition, place: Place) -> Table | None:
    """The longest holes in the polling of a venue, by length; None where there are none, or where blocks are read."""
    holes = segment_holes(edition).get(place.segment.slug, []) if place.chain.is_venue else []
    if not holes:
        return None
    longest = sorted(holes, key=lambda hole: (hole[0] - hole[1], hole[0]))[:MOST_POLLING_HOLES]
    body = tuple(
        (
            Cell(format_time(_time(low - 1))),
            Cell(format_time(_time(high + 1))),
            Cell(_together([(low, high)]), is_number=True),
        )
        for low, high in longest
    )
    heads = (Cell("Last poll before"), Cell("Next poll"), Cell("Without any", is_number=True))
    note = (
        f"{format_count(len(holes), 'hole')}, {_together(holes)} together; a hole is a gap of more than three "
        "usual gaps and 30 minutes. What happened in one is known as a sum only, dated at the poll after it."
    )
    return Table("Holes in polling, the longest first", heads, body, note)


def _reorgs(edition: Edition) -> Table | None:
    rows = list_reorgs(edition.session, MOST_REORGS)
    if not rows:
        return None
    names = {source.state.chain.chain_id: source.state.chain.name for source in edition.sources}
    heads = (Cell("Source"), Cell("Last common block", is_number=True), Cell("Depth", is_number=True), Cell("Detected"))
    body = tuple(
        (
            Cell(names.get(row.chain_id, str(row.chain_id))),
            Cell(f"{row.fork_number:,}", is_number=True),
            Cell(f"{row.depth:,}", is_number=True),
            Cell(format_time(row.detected_at)),
        )
        for row in rows
    )
    return Table("Reorganisations that replaced stored blocks", heads, body)
