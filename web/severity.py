"""Which segment stands first: the worst one, and when its worst day was."""

from collections.abc import Sequence

from ledger.kinds import Status
from ledger.numbers import finite, format_day
from ledger.pages import Place
from web.contexts import Figure
from web.details import detail_of
from web.edition import Edition
from web.figures import Figures, figures_of
from web.words import SEVERITY


def worst_first(edition: Edition, places: Sequence[Place]) -> list[Place]:
    """Segments by severity, then by reference loss, the larger first, then by slug."""
    return sorted(places, key=lambda place: _rank(figures_of(edition, place), place))


def _rank(figures: Figures, place: Place) -> tuple[int, float, str]:
    loss = figures.metric("reference_loss")
    size = finite(loss.value) if loss is not None else None
    return SEVERITY.index(Status(figures.badge().key)), -float(size or 0), place.segment.slug


def worst_day(figures: Figures, worst: Figure) -> str:
    """The date of the worst day, from its evidence; empty where it is unknown or nothing was lost."""
    metric = figures.metric(worst.name)
    if metric is None or not worst.is_known or not finite(metric.value):
        return ""
    found = detail_of(metric).get("to") or detail_of(metric).get("from")
    return format_day(str(found)[:10]) if found else ""
