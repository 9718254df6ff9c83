"""Badges for other people's pages: status word, coverage and their date; never a colour alone."""

from dataclasses import dataclass
from datetime import timedelta

from ledger.clock import chain_now
from ledger.kinds import SourceKind, Status
from ledger.numbers import format_date
from ledger.pages import Place
from ledger.words import DISCLAIMER, kind_words
from web.edition import Edition
from web.figures import Figures
from web.picking import find_places, place_title
from web.severity import worst_first
from web.templating import render
from web.words import badge

INK, PAPER = "#1b1c1f", "#fdfcfa"
COLOURS: dict[Status, str] = {
    Status.AMPLE: "#0b6aa8",
    Status.COVERED: "#0b6aa8",
    Status.THIN: "#e8a100",
    Status.SHORT: "#b3360a",
    Status.DEPLETED: "#1c1c1e",
    Status.NOT_COMPUTABLE: "#8a9099",
    Status.NO_FUND: "#8a9099",
}
FIXED = (Status.NOT_COMPUTABLE, Status.SHORT, Status.DEPLETED)
"""Statuses whose colour nobody who shows the badge may replace."""
OLDEST = timedelta(hours=26)
"""Age of the numbers of a live chain from which a badge shows none: a day's read, and time to compute it."""
CACHE_SECONDS = 300
LONGEST_LABEL = 60
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors *",
}
"""Badges may stand in any frame: there is nothing to click on."""
NARROW, WIDE = frozenset(" .,:;'|!()[]ijlftrI"), frozenset("MWmw@%—×")


@dataclass(frozen=True)
class Told:
    """What a badge says."""

    label: str
    message: str
    note: str
    """What it means, or why there is no more."""
    key: Status
    colour: str


def tell_badge(edition: Edition, slug: str) -> Told | None:
    """The badge of a segment, or of a fund's worst segment; None where there is neither."""
    places = worst_first(edition, find_places(edition, slug))
    if not places:
        return None
    place = places[0]
    figures = Figures(edition, place)
    late = why_late(edition, place)
    key = Status.NOT_COMPUTABLE if late else Status(figures.badge().key)
    coverage = figures("coverage")
    message = badge(key).word
    if key not in (Status.NOT_COMPUTABLE, Status.NO_FUND):
        if coverage.is_known and coverage.text.endswith("×"):
            message += f", {coverage.text}"
        message += f" on {format_date(figures.metrics['status'].as_of_time)}"
    note = late or (figures.status_reason() if key == Status.NOT_COMPUTABLE else "")
    return Told(
        _label(edition, place), message, f"{note.rstrip('.')}. {DISCLAIMER}" if note else DISCLAIMER, key, COLOURS[key]
    )


def why_late(edition: Edition, place: Place) -> str:
    """Why a segment's numbers are too old to leave these pages; empty where they are not, or were recorded."""
    if place.chain.kind != SourceKind.LIVE:
        return ""
    source = next((one for one in edition.sources if one.state.chain.chain_id == place.chain.chain_id), None)
    if source is None or not source.is_current:
        return "its source is not current"
    metric = next(iter(edition.metrics_of(place).values()), None)
    now = chain_now(place.chain, edition.clock)
    if metric is not None and now is not None and now - metric.as_of_time > OLDEST:
        return f"its last numbers are of {format_date(metric.as_of_time)}"
    return ""


def _label(edition: Edition, place: Place) -> str:
    """The name, which always says that it is a recording's."""
    name, kind = place_title(edition, place), kind_words(place.chain.kind)
    name = name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"
    return name if kind in name else f"{name} ({kind})"


def badge_svg(edition: Edition, slug: str) -> bytes | None:
    """The badge as a picture."""
    told = tell_badge(edition, slug)
    if told is None:
        return None
    left, right = text_width(told.label) + 12, text_width(told.message) + 29
    return render("badge.svg", told=told, left=left, right=right, ink=INK, paper=PAPER)


def text_width(text: str) -> int:
    """About how many pixels a text takes at 11 px; the picture says this width itself, so any font fits into it."""
    return round(sum(4.2 if sign in NARROW else 10 if sign in WIDE else 6.9 for sign in text))


def badge_json(edition: Edition, slug: str) -> dict[str, object] | None:
    """The same as a shields.io endpoint; that knows these names and no others."""
    told = tell_badge(edition, slug)
    if told is None:
        return None
    return {
        "schemaVersion": 1,
        "label": told.label,
        "message": told.message,
        "color": told.colour.removeprefix("#"),
        "isError": told.key in FIXED,
        "cacheSeconds": CACHE_SECONDS,
    }
