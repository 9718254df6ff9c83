"""Which segment stands first: the worst one, and when its worst 24 hours were."""

from collections.abc import Sequence

from ledger.kinds import Status
from ledger.numbers import finite, format_days
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


def worst_days(figures: Figures, worst: Figure) -> str:
    """The dates of the worst 24 hours, from their evidence; empty where they are unknown or nothing was lost."""
    metric = figures.metric(worst.name)
    if metric is None or not worst.is_known or not finite(metric.value):
        return ""
    detail = detail_of(metric)
    last = detail.get("to") or detail.get("from")
    return format_days(str(detail.get("from") or last)[:10], str(last)[:10]) if last else ""
