"""What a status rests on: each graded metric with the number its band was made of, and which of them decided."""

from collections.abc import Mapping
from typing import Any

from ledger.kinds import Status
from ledger.numbers import finite, format_decimal, format_value
from ledger.words import lowered, plain
from web.catalogue import describe
from web.contexts import Cell, Table
from web.details import detail_of
from web.figures import Figures, band_word
from web.names import neat
from web.words import emptied

BAND_METRICS = {
    "gap_survived": "gap_survived",
    "past_shortfall": "coverage_worst_7d",
    "runway": "runway",
    "uncovered": "uncovered_loss_365d",
    "expected_shortfall": "coverage_expected_shortfall",
    "cover_2": "coverage_cover_2",
    "depletion_90d": "depletion_90d",
}
"""The number that each graded metric of the status looks at."""
CUT_BY = {"past_shortfall": "worst_7d_coverage"}
CUT_AFTER = {"cover_2": " of Cover-1"}
"""Who could pay the largest account alone is Thin (methodology M5)."""
UNCOVERED = "Ample none, Thin any, Short any in 30 days"
OBSERVED, NOT_STORED = "observed days", "not stored"


def status_why(figures: Figures) -> str:
    """Why the published status is what it is, as a part of a sentence; empty where nothing can be said."""
    if figures.badge().key == Status.DEPLETED:
        return lowered(emptied(figures("gross_balance")))
    return figures.status_reason() or decided_by(figures)


def band_table(figures: Figures) -> Table | None:
    """Each graded metric with its number, what of it was graded, its band and our cut points."""
    detail = detail_of(figures.metric("status"))
    bands = detail.get("bands")
    if not isinstance(bands, Mapping) or not bands:
        return None
    rows = tuple(_row(figures, str(name), band, detail) for name, band in bands.items())
    heads = ("Graded", "Value", "Looked at", "Band", "Our cut points")
    note = (
        "Looked at: the lowest usable value of seven days and the worse end of an interval go into a band; a record of "
        "few shortfalls is graded by its observed days."
    )
    caption = "Each graded metric; the worst of them is the band"
    return Table(caption, tuple(Cell(head, is_number=head in ("Value", "Looked at")) for head in heads), rows, note)


def decided_by(figures: Figures) -> str:
    """What made the published band, as part of a sentence: the metrics of the worst band, or that an earlier day did.

    Empty where neither can be said, and for Ample, which every metric shares.
    """
    metric = figures.metric("status")
    detail = detail_of(metric)
    bands, days = detail.get("bands"), detail.get("raw_last")
    if metric is None or metric.text == Status.AMPLE or not isinstance(bands, Mapping) or not isinstance(days, list):
        return ""
    published, today = finite(metric.value), finite(days[-1]) if days else None
    if published is None or today is None:
        return ""
    if published != today:
        return f"one of the last three daily bands; this day alone would be {band_word(today)}"
    told = [_told(detail, str(name)) for name, band in bands.items() if finite(band) == published]
    return f"{', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}" if told else ""


def _told(detail: Mapping[str, Any], name: str) -> str:
    """One metric of the worst band; few shortfalls are graded by how long there were so few."""
    graded = _graded(detail, name)
    if graded.endswith(OBSERVED):
        return f"a record of {graded}"
    return lowered(_title(name)) + (f" ({graded})" if graded else "")


def _row(figures: Figures, name: str, band: object, detail: Mapping[str, Any]) -> tuple[Cell, ...]:
    shown, cuts = figures(BAND_METRICS.get(name, name)), detail.get("cut_points")
    value = Cell(shown.text, href=shown.href, is_number=True)
    grade = Cell(f"unknown: {shown.reason or 'see the number'}" if band is None else band_word(band))
    graded = _graded(detail, name) or NOT_STORED if band is not None else "–"
    cut_by = "observed_days" if graded.endswith(OBSERVED) else CUT_BY.get(name, name)
    own = cuts.get(cut_by) if isinstance(cuts, Mapping) else None
    words = cut_words(own) + CUT_AFTER.get(name, "") if isinstance(own, Mapping) else "stated in the methodology"
    words = UNCOVERED if name == "uncovered" else words
    return Cell(_title(name)), value, Cell(graded, is_number=True), grade, Cell(words)


def _title(name: str) -> str:
    return describe(BAND_METRICS[name]).title if name in BAND_METRICS else plain(name).capitalize()


def _graded(detail: Mapping[str, Any], name: str) -> str:
    """The number a band was made of; empty where none is stored with it."""
    graded = detail.get("graded")
    found = graded.get(name) if isinstance(graded, Mapping) else None
    if not isinstance(found, Mapping):
        return ""
    value, words = finite(found.get("value")), neat(str(found.get("words") or ""))
    if value is None or words.startswith("≥"):
        return words
    if found.get("unit") == OBSERVED:
        return f"{format_decimal(value, 0)} {OBSERVED}"
    return format_value(value, str(found.get("unit", "")), describe(BAND_METRICS.get(name, name)).rounding)


def cut_words(cut: Mapping[str, Any]) -> str:
    """Ample from 30 %, Covered from 20 %, Thin from 10 %; "up to" where less is better."""
    found, word = [], "up to" if cut.get("is_smaller_better") else "from"
    for name in ("ample", "covered", "thin"):
        value = finite(cut.get(name))
        if value is not None:
            found.append(f"{band_word(name)} {word} {format_value(value, str(cut.get('unit', '')))}")
    return ", ".join(found)
