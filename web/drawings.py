"""Drawings beside a segment's tables: the flows by month and the chance of running dry, with the stress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from ledger.latest import Number
from ledger.numbers import finite, format_count, format_month, scale
from ledger.pages import EventRow, Place
from ledger.words import lowered
from web.charts import Size, draw, import_altair, themed, value_axis
from web.contexts import Chart, Figure
from web.curve import chart_stress
from web.details import detail_of
from web.evidence import amount_text
from web.figures import Figures
from web.flows import month_sums

FLOW_SIZES = (Size(740, 260, 12), Size(180, 240, 3))
MOST_MONTHS = 24
LABEL_SHARE = 0.085
"""Room for one label, as a share of the height of a drawing."""
PROTECTION = ("protection_cost_1d", "protection_cost_7d", "size_band", "capital_efficiency")
HORIZONS = {"depletion_30d": "30 days", "depletion_90d": "90 days", "depletion_365d": "365 days"}


@dataclass(frozen=True)
class Chance:
    """How likely the fund runs dry within some days, as a bar from 0 to 100 %."""

    within: Annotated[str, "the days"]
    figure: Annotated[Figure, "the number with its interval"]
    point: Annotated[float | None, "0 to 100; None where the method states no point"]
    low: Annotated[float, "lower end of the interval, 0 to 100"]
    width: Annotated[float, "width of the interval; 0 where there is none"]


@dataclass(frozen=True)
class Drawings:
    """What is drawn of a segment besides its balance, with the numbers that belong to it."""

    stress: Annotated[Chart | None, "loss and usable value against a move of all prices"]
    flows: Annotated[Chart | None, "inflows and outflows by month and source, stacked"]
    chances: Annotated[tuple[Chance, ...], "chance of running dry by horizon; empty where none was computed"]
    chance_note: Annotated[str, "what the chances rest on"]
    protection: Annotated[tuple[Figure, ...], "price of the protection and size band"]


def segment_drawings(figures: Figures, flows: Sequence[EventRow]) -> Drawings:
    """The drawings of one segment; `flows` are its facts of flow."""
    slug = figures.place.segment.slug.replace("/", "-")
    chances = tuple(_chance(figures, name) for name in HORIZONS if figures.metric(name) is not None)
    return Drawings(
        stress=chart_stress(figures, f"stress-{slug}"),
        flows=chart_flows(figures.place, flows, f"flows-{slug}"),
        chances=chances,
        chance_note=_chance_note([figures.metric(name) for name in HORIZONS]),
        protection=tuple(figures(name) for name in PROTECTION if figures.metric(name) is not None),
    )


def _chance(figures: Figures, name: str) -> Chance:
    metric = figures.metric(name)
    point, low, high = (_percent(getattr(metric, end)) for end in ("value", "ci_low", "ci_high"))
    has_interval = low is not None and high is not None
    return Chance(HORIZONS[name], figures(name), point, low or 0.0, (high or 0) - (low or 0) if has_interval else 0.0)


def _percent(value: Any) -> float | None:
    known = finite(value)
    return None if known is None else round(float(min(max(known, Decimal(0)), Decimal(1)) * 100), 2)


def _chance_note(metrics: Sequence[Number | None]) -> str:
    detail = detail_of(next((metric for metric in metrics if metric is not None and metric.detail), None))
    paths, episodes, days = (finite(detail.get(key)) for key in ("paths", "episodes", "observed_days"))
    if paths is None or episodes is None or days is None:
        return "Line: the share of simulated paths on which the fund runs dry; bar: its interval."
    return (
        f"Line: the share of {format_count(int(paths), 'simulated path')} on which the fund runs dry; bar: its "
        f"interval. Drawn from {format_count(int(episodes), 'episode')} of {format_count(int(days), 'observed day')}."
    )


FILLS = {
    True: ("var(--covered)", "var(--thin)", "var(--unknown)", "var(--page)"),
    False: ("var(--short)", "var(--depleted)", "var(--unknown)", "var(--page)"),
}
"""Fills by whether money came in; each bar has a border and its name beside it, so that no hue is needed."""


def chart_flows(place: Place, rows: Sequence[EventRow], chart_id: str) -> Chart | None:
    """What came in above the line, what left below it, by month and name; None without two months of flows."""
    asset = place.asset
    sums = month_sums(place, rows)
    if asset is None or len(sums) < 2:
        return None
    months = months_between(min(sums), max(sums))[-MOST_MONTHS:]
    totals: dict[str, int] = {}
    for month in months:
        for name, raw in sums.get(month, {}).items():
            totals[name] = totals.get(name, 0) + raw
    names = sorted(totals, key=lambda name: (totals[name] < 0, -abs(totals[name]), name))
    values = {
        month: {name: float(scale(raw, asset.decimals)) for name, raw in sums.get(month, {}).items()}
        for month in months
    }
    data = _flow_data(values, _fills(names, totals))
    told = "; ".join(f"{lowered(name)} {_signed(amount_text(totals[name], asset))}" for name in names)
    caption = (
        f"{format_month(months[0])} to {format_month(months[-1])}, in {asset.symbol}: above the line what came in, "
        f"below what left. Together: {told}."
    )
    return draw(
        _flow_specification(), data, FLOW_SIZES, chart_id=chart_id, title="Inflows and outflows", caption=caption
    )


def _flow_data(values: Mapping[str, Mapping[str, float]], fills: Mapping[str, str]) -> dict[str, Any]:
    """A bar for each month and name; one of no height where a month has none, so that it keeps its place."""
    names = list(fills)
    bars = [
        {"month": format_month(month), "v": value, "place": names.index(name), "fill": fills[name]}
        for month, found in values.items()
        for name, value in (found or {names[0]: 0.0}).items()
    ]
    ends = [
        sum(value for value in month.values() if (value > 0) is is_in) for month in values.values() for is_in in FILLS
    ]
    span = max(0.0, *ends) - min(0.0, *ends)
    return {"bars": bars, "labels": _flow_labels(names, fills, values[max(values)], span)}


def _signed(text: str) -> str:
    return text if text.startswith("−") else f"+{text}"


def _fills(names: Sequence[str], totals: Mapping[str, int]) -> dict[str, str]:
    """A fill for each name; where there are more names than fills, the later ones are hollow."""
    sides = {is_in: [name for name in names if (totals[name] >= 0) is is_in] for is_in in FILLS}
    return {
        name: FILLS[is_in][min(place, len(FILLS[is_in]) - 1)]
        for is_in, side in sides.items()
        for place, name in enumerate(side)
    }


def months_between(first: str, last: str) -> list[str]:
    """Every month from YYYY-MM to YYYY-MM."""
    start, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(start, end + 1)]


def _flow_labels(
    names: Sequence[str], fills: Mapping[str, str], last: Mapping[str, float], span: float
) -> list[dict[str, Any]]:
    """Names beside the last month, each as near to its part of the bar as the others leave it."""
    wanted: dict[str, float] = {}
    ends = {True: 0.0, False: 0.0}
    for name in names:
        value = last.get(name, 0.0)
        is_in = value > 0 if value else fills[name] in FILLS[True][:2]
        wanted[name] = ends[is_in] + value / 2
        ends[is_in] += value
    order = sorted(names, key=lambda name: -wanted[name])
    places = spread([wanted[name] for name in order], span * LABEL_SHARE)
    return [{"v": place, "text": name, "fill": fills[name]} for name, place in zip(order, places, strict=True)]


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Falling positions moved down until they are `gap` apart."""
    placed: list[float] = []
    for value in wanted:
        placed.append(min(value, placed[-1] - gap) if placed else value)
    return placed


@cache
def _flow_specification() -> Mapping[str, Any]:
    altair = import_altair()
    month = altair.Axis(title=None, labelAngle=0, labelOverlap=True, ticks=False)
    y = altair.Y("v:Q", axis=value_axis(altair, "format(datum.value, '~s')"), stack="zero")
    bars = altair.Chart(altair.NamedData("bars")).mark_bar(stroke="var(--ink)", strokeWidth=1)
    bars = bars.encode(
        x=altair.X("month:O", axis=month, sort=None, scale=altair.Scale(paddingInner=0.4, paddingOuter=0.2)),
        y=y,
        order="place:Q",
        detail="place:N",
        fill=altair.Fill("fill:N", scale=None, legend=None),
    )
    labels = altair.Chart(altair.NamedData("labels")).encode(x=altair.value("width"), y=altair.Y("v:Q"))
    square = labels.mark_point(shape="square", size=72, stroke="var(--ink)", strokeWidth=1, opacity=1, xOffset=14)
    square = square.encode(fill=altair.Fill("fill:N", scale=None, legend=None))
    name = labels.mark_text(align="left", baseline="middle", dx=24, color="var(--ink)", fontSize=12)
    line = altair.Chart(altair.Data(values=[{}])).mark_rule(color="var(--ink)").encode(y=altair.datum(0))
    specification: dict[str, Any] = themed(bars + line + square + name.encode(text="text:N")).to_dict()
    return specification
