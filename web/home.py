"""The home page: one row a fund, its worst segment first in the eye, and the last events."""

from collections.abc import Sequence
from datetime import timedelta

from ledger.kinds import Status
from ledger.layers import has_fund
from ledger.moments import is_made_up
from ledger.numbers import finite, format_block, format_date, format_day
from ledger.pages import Place, daily_values, list_events
from ledger.tables import Metric
from ledger.words import chain_title, kind_words
from web.contexts import Count, EventLine, Figure, HomePage, HomeRow, Spark
from web.details import detail_of
from web.edition import Edition
from web.evidence import LOSS_ROLES, event_lines
from web.figures import Figures
from web.frames import frame
from web.sparks import spark
from web.words import PURPOSE, SEVERITY

LAST_EVENTS = 12
SPARK_DAYS = 90


def home_page(edition: Edition) -> HomePage:
    """The table of funds, ordered by severity, then by reference loss."""
    worst: dict[str, Place] = {}
    for place in worst_first(edition, edition.places):
        worst.setdefault(place.fund.slug, place)
    return HomePage(
        frame=frame(edition, "/", "Backstop", description=PURPOSE, json_path="/funds.json", places=edition.places),
        counts=_counts(edition),
        rows=tuple(_row(edition, place) for place in worst.values()),
        events=tuple(last_events(edition)[:LAST_EVENTS]),
    )


def last_events(edition: Edition) -> list[EventLine]:
    """Shortfalls, payouts, ADL and socialised losses of all funds, newest first."""
    rows = list_events(edition.session, [place.segment_id for place in edition.places], LOSS_ROLES)
    return event_lines(rows, {place.segment_id: place for place in edition.places}, edition.assets)


def worst_first(edition: Edition, places: Sequence[Place]) -> list[Place]:
    """Segments by severity, then by reference loss, the larger first, then by slug."""
    return sorted(places, key=lambda place: _rank(edition, place))


def _rank(edition: Edition, place: Place) -> tuple[int, float, str]:
    figures = Figures(edition, place)
    loss = figures.metric("reference_loss")
    size = finite(loss.value) if loss is not None else None
    return SEVERITY.index(Status(figures.badge().key)), -float(size or 0), place.segment.slug


def _counts(edition: Edition) -> tuple[Count, ...]:
    keys = [Figures(edition, place).badge().key for place in edition.places]
    short = sum(key in (Status.SHORT, Status.DEPLETED) for key in keys)
    return (
        Count(len(edition.funds()), "fund" if len(edition.funds()) == 1 else "funds"),
        Count(len(keys), "segment" if len(keys) == 1 else "segments"),
        Count(short, "Short or Depleted"),
        Count(keys.count(Status.NOT_COMPUTABLE), "Not computable"),
    )


def _row(edition: Edition, place: Place) -> HomeRow:
    figures = Figures(edition, place)
    is_one_of_many = len(edition.funds()[place.fund.slug]) > 1
    metric = next(iter(figures.metrics.values()), None)
    worst = figures("worst_1d")
    badge = figures.badge()
    return HomeRow(
        name=f"{place.fund.name}: {place.segment.name}" if is_one_of_many else place.fund.name,
        href=f"/funds/{place.fund.slug}",
        platform=place.platform.name,
        chain=chain_title(place.chain),
        kind=kind_words(place.chain.kind),
        badge=badge,
        data=figures.data()[0],
        why=figures.status_reason() if badge.key == Status.NOT_COMPUTABLE else "",
        usable=figures("usable_value"),
        coverage=figures("coverage"),
        reference_loss=figures("reference_loss"),
        exposure=figures("exposure"),
        worst=worst,
        worst_day=worst_day(figures, worst),
        spark=_spark(edition, place, figures) if has_fund(place) else None,
        spark_reason=_no_spark(place),
        as_of_day=format_date(metric.as_of_time) if metric else "never",
        as_of_time=_moment(metric, place) if metric else "",
    )


def _no_spark(place: Place) -> str:
    if not has_fund(place):
        return "no fund"
    return "too few days" if place.asset else "not read"


def _moment(metric: Metric, place: Place) -> str:
    """00:00 UTC, block 12,345; a poll's number is its time, and made-up numbers say nothing."""
    has_block = not (place.chain.is_venue or is_made_up(place.chain))
    return f"{metric.as_of_time:%H:%M} UTC" + (f", {format_block(metric.as_of_number)}" if has_block else "")


def worst_day(figures: Figures, worst: Figure) -> str:
    """The date of the worst day, from its evidence; empty where it is unknown or nothing was lost."""
    metric = figures.metric(worst.name)
    if metric is None or not worst.is_known or not finite(metric.value):
        return ""
    found = detail_of(metric).get("to") or detail_of(metric).get("from")
    return format_day(str(found)[:10]) if found else ""


def _spark(edition: Edition, place: Place, figures: Figures) -> Spark | None:
    metric = next(iter(figures.metrics.values()), None)
    if metric is None:
        return None
    since = f"{metric.as_of_time - timedelta(days=SPARK_DAYS):%Y-%m-%d}"
    values = daily_values(edition.session, "gross_balance", [place.segment_id], since)
    return spark(values.get(place.segment_id, {}), "Gross balance a day")
