"""Drawings beside a segment's tables: the stress, the flows by month, and the chance of running dry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Annotated, Any

from ledger.latest import Number
from ledger.numbers import finite, format_count, format_fraction, format_month, scale
from ledger.pages import EventRow, Place
from ledger.words import lowered
from web.charts import Size, render, sized, themed
from web.contexts import Chart, Figure
from web.details import detail_of, rows_of
from web.evidence import amount_text
from web.figures import Figures
from web.flows import month_sums

STRESS_SIZES = (Size(900, 280, 11), Size(300, 220, 5))
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


@dataclass(frozen=True)
class Shock:
    """One move of all prices with what it costs and what could be paid."""

    move: Decimal
    loss: Decimal | None
    usable: Decimal | None

    @property
    def is_unpaid(self) -> bool:
        """True where the loss is known to exceed what could be paid."""
        return self.loss is not None and self.usable is not None and self.loss > self.usable


def chart_stress(figures: Figures, chart_id: str) -> Chart | None:
    """Loss and usable value against the move; None where fewer than two moves have a known loss."""
    metric = figures.metric("gap_survived")
    rows = rows_of(detail_of(metric).get("grid"))
    moves = [(finite(row.get("shock")), row) for row in rows]
    grid = [Shock(move, finite(row.get("loss")), finite(row.get("usable"))) for move, row in moves if move is not None]
    grid.sort(key=lambda shock: shock.move)
    if sum(shock.loss is not None and shock.usable is not None for shock in grid) < 2:
        return None
    gap = finite(metric.value) if metric is not None else None
    data = {"lines": _stress_lines(grid), "labels": _stress_labels(grid), "gaps": _gaps(grid, gap)}
    return _chart(
        _stress_specification(),
        data,
        STRESS_SIZES,
        chart_id=chart_id,
        title="Loss and usable value against a move of all prices",
        caption=_stress_caption(figures, grid),
    )


def _stress_lines(grid: Sequence[Shock]) -> list[dict[str, Any]]:
    """Points of both lines; an unknown point ends a run, so that no line is drawn across it."""
    found = []
    for kind in ("loss", "usable"):
        values = [(shock.move, getattr(shock, kind)) for shock in grid]
        for run, (is_known, points) in enumerate(groupby(values, key=lambda point: point[1] is not None)):
            if is_known:
                found += [{"x": float(x), "v": float(value), "kind": kind, "run": run} for x, value in points]
    return found


def _stress_labels(grid: Sequence[Shock]) -> list[dict[str, Any]]:
    """The loss is named where it is largest, the usable value at the other end: so they never meet."""
    known = [shock for shock in grid if shock.loss is not None and shock.usable is not None]
    first, last = known[0], known[-1]
    left, right = ("loss", "usable") if (first.loss or 0) >= (last.loss or 0) else ("usable", "loss")
    words = {"loss": "loss", "usable": "usable value"}
    return [
        {"x": float(shock.move), "v": float(getattr(shock, kind)), "text": words[kind], "side": side}
        for shock, kind, side in ((first, left, "left"), (last, right, "right"))
    ]


def _gaps(grid: Sequence[Shock], gap: Decimal | None) -> list[dict[str, Any]]:
    """Where the lines cross: at the stored gap, on each side whose moves around it can and cannot be paid."""
    if not gap:
        return []
    found = []
    for sign in (-1, 1):
        side = sorted((shock for shock in grid if shock.move * sign > 0), key=lambda shock: abs(shock.move))
        unpaid = next((place for place, shock in enumerate(side) if shock.is_unpaid), None)
        paid = abs(side[unpaid - 1].move) if unpaid else Decimal(0)
        if unpaid is not None and paid <= gap <= abs(side[unpaid].move):
            found.append({"x": float(gap * sign), "text": f"gap survived: {_move(gap * sign)}"})
    return found


def _stress_caption(figures: Figures, grid: Sequence[Shock]) -> str:
    ends = f"{_move(grid[0].move)} to {_move(grid[-1].move)}"
    start = f"If all prices moved at once, {ends}, at {figures('gap_survived').as_of}: solid the loss, dashed what "
    start += "the fund could pay."
    unknown = sum(shock.loss is None or shock.usable is None for shock in grid)
    hole = f" {format_count(unknown, 'move')} unknown: the lines break there." if unknown else ""
    return f"{start} {_unpaid_words([shock.move for shock in grid if shock.is_unpaid], len(grid) - unknown)}{hole}"


def _unpaid_words(unpaid: Sequence[Decimal], known: int) -> str:
    """At which of the moves computed the loss is larger than what could be paid; moves in rising order."""
    if not unpaid:
        return "At no known move is the loss larger than that."
    if len(unpaid) == known:
        return "The loss is larger than that at every known move."
    down, up = [move for move in unpaid if move < 0], [move for move in unpaid if move > 0]
    told = [f"from {_move(max(down))} down"] if down else []
    told += ["without any move"] if Decimal(0) in unpaid else []
    told += [f"from {_move(min(up))} up"] if up else []
    return f"Of the moves computed, the loss is larger than that {' and '.join(told)}."


def _move(move: Decimal) -> str:
    return f"+{format_fraction(move)}" if move > 0 else format_fraction(move)


@cache
def _stress_specification() -> Mapping[str, Any]:
    altair = _altair()
    kinds = ["loss", "usable"]
    colour = altair.Scale(domain=kinds, range=["var(--short)", "var(--accent)"])
    dash = altair.Scale(domain=kinds, range=[[1, 0], [6, 4]])
    percent = "(datum.value > 0 ? '+' : '') + format(datum.value, '.0%')"
    x = altair.X("x:Q", axis=altair.Axis(title=None, labelExpr=percent, grid=False), scale=altair.Scale(nice=False))
    y = altair.Y("v:Q", axis=_value_axis(altair, "format(datum.value, '$~s')"))
    lines = altair.Chart(altair.NamedData("lines")).mark_line(strokeWidth=1.75)
    lines = lines.encode(
        x=x,
        y=y,
        detail="run:N",
        color=altair.Color("kind:N", scale=colour, legend=None),
        strokeDash=altair.StrokeDash("kind:N", scale=dash, legend=None),
    )
    gaps = altair.Chart(altair.NamedData("gaps"))
    rule = gaps.mark_rule(color="var(--muted)", strokeDash=[1, 3]).encode(x="x:Q")
    name = gaps.mark_text(color="var(--ink)", fontSize=12, align="left", dx=5, baseline="top")
    drawing = lines + rule + name.encode(x="x:Q", y=altair.value(2), text="text:N")
    for side, shift in (("left", 4), ("right", -4)):
        label = altair.Chart(altair.NamedData("labels")).mark_text(
            color="var(--ink)", fontSize=12, align=side, dx=shift, dy=-9
        )
        drawing += label.transform_filter(f"datum.side == '{side}'").encode(x="x:Q", y="v:Q", text="text:N")
    specification: dict[str, Any] = themed(drawing).to_dict()
    return specification


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
    return _chart(
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
    altair = _altair()
    month = altair.Axis(title=None, labelAngle=0, labelOverlap=True, ticks=False)
    y = altair.Y("v:Q", axis=_value_axis(altair, "format(datum.value, '~s')"), stack="zero")
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


def _altair() -> Any:
    import altair as imported  # noqa: PLC0415  Slow to import: only a chart pays for it.

    return imported  # Its generated classes are typed in part only.


def _value_axis(altair: Any, label: str) -> Any:
    return altair.Axis(title=None, tickCount=5, domain=False, ticks=False, labelExpr=label)


def _chart(
    specification: Mapping[str, Any],
    data: Mapping[str, Any],
    sizes: tuple[Size, Size],
    *,
    chart_id: str,
    title: str,
    caption: str,
) -> Chart:
    """The drawing in both sizes; `chart_id` is unique on a page."""
    datasets = {**specification.get("datasets", {}), **data}
    wide, narrow = (
        render({**sized(specification, size), "datasets": datasets}, f"{chart_id}{suffix}", title)
        for size, suffix in zip(sizes, ("", "-narrow"), strict=True)
    )
    return Chart(wide, narrow, caption)
