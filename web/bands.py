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
OBSERVED = "observed days"


def band_table(figures: Figures) -> Table | None:
    """Each graded metric with its number, what of it was graded, its band and our cut points."""
    detail = _detail(figures)
    bands, cuts = detail.get("bands"), detail.get("cut_points")
    if not isinstance(bands, Mapping) or not bands:
        return None
    rows = tuple(_row(figures, str(name), band, cuts) for name, band in bands.items())
    heads = ("Graded", "Value", "Looked at", "Band", "Our cut points")
    note = (
        "Looked at: the lowest usable value of seven days and the worse end of an interval go into a band; a record of "
        "few shortfalls is graded by its observed days."
    )
    caption = "Each graded metric; the worst of them is the band"
    return Table(caption, tuple(Cell(head, is_number=head in ("Value", "Looked at")) for head in heads), rows, note)


def decided_by(figures: Figures) -> str:
    """What made the published band: the metrics of the worst band; or that an earlier day did. Empty where neither can
    be said, and for Ample, which every metric shares.
    """
    metric, detail = figures.metric("status"), _detail(figures)
    bands = detail.get("bands")
    raw = figures.metric("status_raw")
    if metric is None or raw is None or not isinstance(bands, Mapping) or metric.text == Status.AMPLE:
        return ""
    published, today = finite(metric.value), finite(raw.value)
    if published is None or today is None:
        return ""
    word = band_word(published)
    if published != today:
        return f"It stays {word} while one of the last three daily bands is: this day alone would be {band_word(today)}"
    names = [str(name) for name, band in bands.items() if finite(band) == published]
    told = [_told(figures, name) for name in names]
    if not told:
        return ""
    return f"What makes it {word}: {', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}"


def _told(figures: Figures, name: str) -> str:
    """One metric of the worst band; few shortfalls are graded by how long there were so few."""
    looked_at = _looked_at(figures, name)
    if looked_at.endswith(OBSERVED):
        return f"a record of {looked_at}"
    return f"{lowered(_title(figures, name))} ({looked_at})"


def _detail(figures: Figures) -> Mapping[str, Any]:
    return detail_of(figures.metric("status_raw")) or detail_of(figures.metric("status"))


def _row(figures: Figures, name: str, band: object, cuts: object) -> tuple[Cell, ...]:
    shown = figures(BAND_METRICS.get(name, name))
    value = Cell(shown.text, href=shown.href, is_number=True)
    grade = Cell(f"unknown: {shown.reason or 'see the number'}" if band is None else band_word(band))
    own = cuts.get({"past_shortfall": "worst_7d_coverage"}.get(name, name)) if isinstance(cuts, Mapping) else None
    words = cut_words(own) if isinstance(own, Mapping) else "stated in the methodology"
    if name == "cover_2":
        words += " of Cover-1"  # Who could pay the largest account alone is Thin (methodology M5).
    looked_at = "–" if band is None else _looked_at(figures, name)
    return Cell(_title(figures, name)), value, Cell(looked_at, is_number=True), grade, Cell(words)


def _title(figures: Figures, name: str) -> str:
    return figures(BAND_METRICS[name]).title if name in BAND_METRICS else plain(name).capitalize()


def _looked_at(figures: Figures, name: str) -> str:
    """The number a band was made of; the published one where none is stored beside the band."""
    metric = BAND_METRICS.get(name, name)
    graded = _detail(figures).get("graded")
    found = graded.get(name) if isinstance(graded, Mapping) else None
    if not isinstance(found, Mapping):
        return figures(metric).text
    value = finite(found.get("value"))
    if value is None or str(found.get("words") or "").startswith("≥"):
        return neat(str(found.get("words") or "")) or figures(metric).text
    if found.get("unit") == OBSERVED:
        return f"{format_decimal(value, 0)} {OBSERVED}"
    return format_value(value, str(found.get("unit", "")), describe(metric).rounding)


def cut_words(cut: Mapping[str, Any]) -> str:
    """Ample from 30 %, Covered from 20 %, Thin from 10 %; "up to" where less is better."""
    found, word = [], "up to" if cut.get("is_smaller_better") else "from"
    for name in ("ample", "covered", "thin"):
        value = finite(cut.get(name))
        if value is not None:
            found.append(f"{band_word(name)} {word} {format_value(value, str(cut.get('unit', '')))}")
    return ", ".join(found)
