"""Up to four segments side by side: the same rows for each, never added up, what is unknown in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ledger.numbers import Rounding, finite, format_amount, format_fraction, format_usd
from ledger.pages import Place
from ledger.words import chain_title, kind_words
from web.bands import status_why
from web.contexts import Badge, Figure, Frame
from web.details import detail_of, rows_of
from web.edition import Edition
from web.figures import Figures
from web.frames import frame
from web.names import neat_symbol
from web.picking import LONGEST_SLUG, Groups, find_places, group_places, place_title, quoted
from web.segments import source_text
from web.severity import worst_days
from web.words import NOT_COMPUTED

MOST = 4
MOST_ASKED = 20
"""Values of a question that are looked at: more is no question of this form."""
Mistakes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ComparedCell:
    """What one row says of one segment."""

    badge: Annotated[Badge | None, "its status, in the first row only"] = None
    figure: Annotated[Figure | None, "its number, where the row is one"] = None
    lines: Annotated[tuple[str, ...], "words, one line each"] = ()


@dataclass(frozen=True)
class ComparedRow:
    """One aspect of every segment."""

    title: Annotated[str, "what is compared"]
    cells: Annotated[tuple[ComparedCell, ...], "one a segment, in the order of the columns"]


@dataclass(frozen=True)
class ComparePage:
    """Segments side by side, and the form that chooses them."""

    frame: Annotated[Frame, "around the page"]
    choices: Annotated[Groups, "segments to tick, by group"]
    mistakes: Annotated[Mistakes, "id of a field, and what is wrong with it"]
    columns: Annotated[tuple[tuple[str, str], ...], "name and page of each segment"]
    rows: Annotated[tuple[ComparedRow, ...], "aspects; empty where nothing is compared"]
    note: Annotated[str, "what to know before comparing; may be empty"]


def compare_page(edition: Edition) -> ComparePage:
    """The form with nothing chosen."""
    return _page(edition, (), [], ())


def compare_asked(edition: Edition, query: Sequence[tuple[str, str]]) -> tuple[ComparePage, int]:
    """The page of a question (f, once a segment), and its status code: 400 where it cannot be answered, 404 where
    a segment is not there."""
    asked = [value for name, value in query if name == "f"][:MOST_ASKED]
    places, mistakes, code = _find(edition, asked)
    return _page(edition, asked, [] if mistakes else places, mistakes), code


def _find(edition: Edition, asked: Sequence[str]) -> tuple[list[Place], Mistakes, int]:
    found = [(slug, find_places(edition, slug) if len(slug) <= LONGEST_SLUG else []) for slug in asked]
    unknown = [slug for slug, places in found if not places]
    if unknown:
        said = tuple(("f", f"{quoted(slug)} is no fund or segment here: choose from the list.") for slug in unknown)
        return [], said[:MOST], 404
    places = [place for _, group in found for place in group]
    slugs = [place.segment.slug for place in places]
    if not places:
        return [], (("f", f"Choose up to {MOST} segments."),), 400
    if len(set(slugs)) < len(slugs):
        return [], (("f", "A segment is named twice: choose each once."),), 400
    if len(places) > MOST:
        return [], (("f", f"{len(places)} segments are too many for one table: choose at most {MOST}."),), 400
    return places, (), 200


def _page(edition: Edition, asked: Sequence[str], places: Sequence[Place], mistakes: Mistakes) -> ComparePage:
    chosen = {place.segment.slug for slug in asked for place in find_places(edition, slug)}
    shown = [(place, Figures(edition, place)) for place in places]
    return ComparePage(
        frame=frame(
            edition,
            "/compare",
            "Compare funds",
            description=f"Up to {MOST} funds side by side: status, usable value, coverage, losses, order of payers",
            places=places,
        ),
        choices=group_places(edition, edition.places, chosen),
        mistakes=mistakes,
        columns=tuple((place_title(edition, place), f"/funds/{place.fund.slug}") for place in places),
        rows=tuple(
            ComparedRow(title, tuple(tell(figures) for _, figures in shown)) for title, tell in ROWS.items() if shown
        ),
        note=_note([figures for _, figures in shown]),
    )


def _note(shown: Sequence[Figures]) -> str:
    if len(shown) == 1:
        return "Choose another segment to hold beside it."
    times = {figures.as_of() for figures in shown}
    if len(times) < 2:
        return ""
    return (
        "These columns hold at different times: a crash lies between some, and not between others. See the last rows."
    )


def _status(figures: Figures) -> ComparedCell:
    badge = figures.badge()
    reason = status_why(figures)
    return ComparedCell(badge=badge, lines=(reason,) if reason else ())


def _data(figures: Figures) -> ComparedCell:
    return ComparedCell(lines=tuple(filter(None, figures.data())))


def _number(name: str, words: Callable[[Figures, Figure], str] = lambda *_: "") -> Callable[[Figures], ComparedCell]:
    """A row of one metric: the number with its interval, its reason where it is not ok, and words of its own."""

    def tell(figures: Figures) -> ComparedCell:
        shown = figures(name)
        return ComparedCell(
            figure=shown, lines=tuple(filter(None, (shown.interval, words(figures, shown), shown.reason)))
        )

    return tell


def _loss_words(figures: Figures, shown: Figure) -> str:
    return source_text(figures.metric(shown.name)) if shown.is_known else ""


def _composition(figures: Figures) -> ComparedCell:
    """Each asset with what is taken off it and what counts."""
    rows = rows_of(detail_of(figures.metric("usable_value")).get("assets"))
    if not rows:
        shown = figures("usable_value")
        return ComparedCell(lines=(shown.reason or "unknown: not stored by asset",))
    return ComparedCell(lines=tuple(line for row in rows for line in _asset(row)))


def _asset(row: Mapping[str, Any]) -> tuple[str, ...]:
    quantity, counted = finite(row.get("qty")), finite(row.get("counted"))
    symbol = neat_symbol(str(row.get("symbol", "")))
    held = format_amount(quantity, symbol, Rounding.DOWN) if quantity is not None else f"{symbol}: unknown"
    cuts = [(word, finite(row.get(key))) for word, key in CUTS]
    told = ", ".join(f"{word} {'unknown' if value is None else format_fraction(value)}" for word, value in cuts)
    counts = "unknown" if counted is None else format_usd(counted, Rounding.DOWN)
    return held, told, f"counts {counts}"


CUTS = (("policy haircut", "floor_haircut"), ("depth haircut", "depth_haircut"), ("access", "access"))


def _layers(figures: Figures) -> ComparedCell:
    layers = figures.place.fund.waterfall
    lines = tuple(f"{number}. {layer.get('layer', '')}" for number, layer in enumerate(layers, start=1))
    return ComparedCell(lines=lines or ("The fund's file names no layers.",))


def _as_of(figures: Figures) -> ComparedCell:
    return ComparedCell(lines=(figures.as_of() or f"never: {NOT_COMPUTED}",))


def _source(figures: Figures) -> ComparedCell:
    chain = figures.place.chain
    kind = kind_words(chain.kind)
    return ComparedCell(lines=(f"Replay of {chain_title(chain)}: {kind}" if kind else f"Live: {chain.name}",))


ROWS: Mapping[str, Callable[[Figures], ComparedCell]] = {
    "Status": _status,
    "Data": _data,
    "Usable": _number("usable_value"),
    "Coverage": _number("coverage"),
    "Reference loss": _number("reference_loss", _loss_words),
    "Open interest or borrows": _number("exposure"),
    "Gap survived": _number("gap_survived"),
    "Worst 24 hours of shortfalls": _number("worst_1d", worst_days),
    "What it holds": _composition,
    "Who pays, in order": _layers,
    "As of": _as_of,
    "Source": _source,
}
