"""Charts by Vega-Lite: how they look and become SVG; and the balance, decimated without hiding a spike."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from itertools import pairwise
from math import inf
from statistics import median
from typing import Any, Literal

from markupsafe import Markup, escape

from ledger.numbers import Rounding, finite, format_amount, format_count, format_date, format_time, scale
from ledger.pages import Point
from web.contexts import Chart


@dataclass(frozen=True)
class Size:
    """A drawing's box, with as many labels on its time axis as fit."""

    width: int | Literal["container"]
    height: int
    ticks: int


CLOSE = Size("container", 400, 8)
WIDE, NARROW, MAIL = Size(900, 280, 6), Size(340, 240, 3), Size(560, 220, 4)
PLAIN = {"accent": "#0b6aa8", "short": "#b3360a", "ink": "#1b1c1f", "muted": "#5a5f68", "line": "#dedbd4"}
"""The light theme's colours for pictures, which no style sheet reaches."""
MOST_POINTS = 1000
KEPT_DRAWINGS = 512
"""So many drawings are kept beside what they were made of; one of a thousand points takes 80 KB with that."""
LONG = 400 * 86_400_000
"""A line of more milliseconds than this has years on its axis."""
HOLE_PERIODS = 3
"""A pause longer than this many periods of reading breaks the line."""
NEIGHBOURS = 9
"""Reads on either side that say how often the fund was read around a moment."""


@dataclass(frozen=True)
class Marker:
    """An event on the chart that leads to its row."""

    time: datetime
    label: str
    anchor: str


@dataclass(frozen=True)
class BalanceLine:
    """What a balance chart is drawn from. `reference` is in the balance's own asset; None draws no line.

    `since`: nothing read earlier is drawn; None: the whole record.
    """

    points: Sequence[Point]
    symbol: str
    reference: Decimal | None
    reference_label: str
    markers: Sequence[Marker]
    since: datetime | None = None


def chart_balance(line: BalanceLine, chart_id: str) -> Chart | None:
    """The balance through time with its caption, for wide and for narrow screens; None with fewer than two readings.

    `chart_id`: prefix of the ids inside, unique on a page, so that the bytes are the same on every render.
    """
    whole = split_runs(line.points)
    runs = _cut(whole, line.since)
    known = [point for run in runs for point in run]
    if len(known) < 2:
        return None
    title = f"Balance in {line.symbol} through time"
    caption = _caption(line, known, len(runs), late=_late_start(whole, known[0], line.since))
    specification = _specification(line, _decimated(runs, MOST_POINTS / len(known)))
    return draw(specification, {}, (WIDE, NARROW), chart_id=chart_id, title=title, caption=caption)


def look_closer(line: BalanceLine) -> dict[str, Any] | None:
    """The same drawing as a specification to zoom into, in the page's colours; None with fewer than two readings."""
    runs = split_runs(line.points)
    n_known = sum(map(len, runs))
    if n_known < 2:
        return None
    specification = _specification(line, _decimated(runs, MOST_POINTS / n_known))
    zoom = {"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}
    near = {
        "name": "near",
        "select": {"type": "point", "nearest": True, "on": "pointerover", "fields": ["t"], "clear": "pointerout"},
    }
    told = [
        {
            "field": "t",
            "type": "temporal",
            "format": "%-d %b %Y, %H:%M UTC",
            "title": "read at",
            "scale": {"type": "utc"},
        },
        {"field": "v", "type": "quantitative", "format": ",.6~f", "title": line.symbol},
    ]
    place = {
        "x": {"field": "t", "type": "temporal", "scale": {"type": "utc"}},
        "y": {"field": "v", "type": "quantitative"},
    }
    shown = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    first, *others = specification["layer"]
    dots = {
        "data": {"name": "readings"},
        "mark": {"type": "circle", "color": "var(--accent)", "size": 60},
        "params": [near],
        "encoding": {**place, "opacity": shown, "tooltip": told},
    }
    return sized({**specification, "layer": [{**first, "params": [zoom]}, *others, dots]}, CLOSE)


def picture_balance(line: BalanceLine) -> bytes | None:
    """The same drawing as a PNG for mails, in plain colours on white; None with fewer than two readings."""
    runs = split_runs(line.points)
    n_known = sum(map(len, runs))
    if n_known < 2:
        return None
    import vl_convert  # noqa: PLC0415  225 MB: loaded by the first chart only.

    text = json.dumps(sized(_specification(line, _decimated(runs, MOST_POINTS / n_known)), MAIL))
    for name, colour in PLAIN.items():
        text = text.replace(f"var(--{name})", colour)
    text = text.replace('"background": "transparent"', '"background": "#ffffff"').replace('"inherit"', '"sans-serif"')
    picture: bytes = vl_convert.vegalite_to_png(text, scale=2, format_locale=_LOCALE)
    return picture


def _cut(runs: list[list[Point]], since: datetime | None) -> list[list[Point]]:
    """Runs without what was read before; they break where the whole record does."""
    if since is None:
        return runs
    cut = ([point for point in run if point.time >= since] for run in runs)
    return [run for run in cut if run]


def _decimated(runs: Sequence[list[Point]], share: float) -> list[list[Point]]:
    """Runs with that share of their points, where it is below 1."""
    return [decimate(run, max(4, int(len(run) * share))) if share < 1 else run for run in runs]


def split_runs(points: Sequence[Point]) -> list[list[Point]]:
    """Runs of known readings; an unknown reading or a pause over three periods of reading ends a run."""
    period = reading_period([point.time.timestamp() for point in points if point.is_scheduled])
    runs: list[list[Point]] = [[]]
    before: float | None = None
    for point in points:
        time = point.time.timestamp()
        is_after_hole = before is not None and time - before > HOLE_PERIODS * period(before)
        if (point.value_raw is None or is_after_hole) and runs[-1]:
            runs.append([])
        if point.value_raw is not None:
            runs[-1].append(point)
        before = time
    return [run for run in runs if run]


def reading_period(times: Sequence[float]) -> Callable[[float], float]:
    """Seconds between two scheduled reads around a moment: the longer of the medians before and after it.

    Local, since a chain may be read daily for months and hourly in a crash. Infinite where too few reads tell.
    """
    gaps = [later - earlier for earlier, later in pairwise(times)]

    def period(moment: float) -> float:
        place = bisect_right(times, moment) - 1
        sides = (gaps[max(0, place - NEIGHBOURS) : max(0, place)], gaps[place + 1 : place + 1 + NEIGHBOURS])
        return max((median(side) for side in sides if side), default=inf)

    return period


def decimate(run: list[Point], wanted: int) -> list[Point]:
    """At most `wanted` points of a run, the lowest and highest of every stretch among them, ends kept."""
    if len(run) <= wanted:
        return run
    import numpy  # noqa: PLC0415  Only long series need it.
    from tsdownsample import NaNMinMaxDownsampler  # noqa: PLC0415

    values = numpy.array([_value(point) for point in run], dtype=numpy.float64)
    sampler: Any = NaNMinMaxDownsampler  # Ships no types.
    kept = sampler().downsample(values, n_out=wanted - wanted % 2)
    return [run[place] for place in sorted({0, len(run) - 1, *(int(place) for place in kept)})]


def _value(point: Point) -> float:
    return float(scale(point.value_raw or 0, point.decimals))


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _specification(line: BalanceLine, runs: Sequence[Sequence[Point]]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"t": _milliseconds(point.time), "v": _value(point), "run": place}
        for place, run in enumerate(runs)
        for point in run
    ]
    first, last = min(row["t"] for row in rows), max(row["t"] for row in rows)
    data = {
        "readings": rows,
        "singles": [{"t": _milliseconds(run[0].time), "v": _value(run[0])} for run in runs if len(run) == 1],
        "reference": [{"t": last, "v": float(line.reference), "label": line.reference_label}]
        if line.reference is not None
        else [],
        "markers": [_marker(one, rows) for one in line.markers],
    }
    present = tuple(name for name, found in data.items() if found)
    # Data are put in afterwards: Altair would check every reading against its schema.
    return {**_layers("%-d %b %Y" if last - first > LONG else "%-d %b", present), "datasets": data}


@cache
def _layers(date_format: str, present: tuple[str, ...]) -> Mapping[str, Any]:
    """The drawing without its data: made once for each kind, since checking it takes longer than drawing it."""
    altair = import_altair()
    axis = altair.Axis(title=None, format=date_format, grid=False, labelFlush=True)
    x = altair.X("t:T", axis=axis, scale=altair.Scale(type="utc"))
    y = altair.Y(
        "v:Q",
        axis=value_axis(altair, "format(datum.value, '~s')"),
    )
    charts = {name: altair.Chart(altair.NamedData(name)) for name in present}
    line = charts["readings"].mark_line(color="var(--accent)", strokeWidth=1.75)
    drawing = altair.layer(line.encode(x=x, y=y, detail="run:N"))
    if "singles" in charts:
        drawing += charts["singles"].mark_circle(color="var(--accent)", size=12).encode(x=x, y=y)
    if "reference" in charts:
        rule = charts["reference"].mark_rule(color="var(--short)", strokeDash=[6, 4], strokeWidth=1.25)
        label = charts["reference"].mark_text(align="right", baseline="bottom", dy=-4, color="var(--ink)", fontSize=12)
        drawing += rule.encode(y="v:Q") + label.encode(x="t:T", y="v:Q", text="label:N")
    if "markers" in charts:
        shape = charts["markers"].mark_point(
            shape="triangle-down", filled=True, color="var(--short)", opacity=1, size=90, yOffset=-9
        )
        drawing += shape.encode(x="t:T", y="v:Q", href="to:N", tooltip="label:N")
    specification: dict[str, Any] = themed(drawing).to_dict()
    return specification


def _marker(marker: Marker, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    time = _milliseconds(marker.time)
    return {"t": time, "v": _at(rows, time), "label": marker.label, "to": f"#{marker.anchor}"}


def sized(specification: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """The same drawing in a box."""
    config = specification["config"] | {"axisX": {"tickCount": size.ticks}}
    return {**specification, "width": size.width, "height": size.height, "config": config}


def _at(rows: Sequence[Mapping[str, Any]], time: int) -> float:
    """The balance last read before an event, where its marker stands."""
    before = [row["v"] for row in rows if row["t"] <= time]
    return float(before[-1] if before else rows[0]["v"])


def import_altair() -> Any:
    """Altair, whose generated classes are typed in part only."""
    import altair  # noqa: PLC0415  Slow to import: only a chart pays for it.

    return altair


def value_axis(altair: Any, label: str) -> Any:
    """The upright axis of a drawing; `label`: an expression of what stands at a line of it."""
    return altair.Axis(title=None, tickCount=5, domain=False, ticks=False, labelExpr=label)


def draw(
    specification: Mapping[str, Any],
    data: Mapping[str, Any],
    sizes: tuple[Size, Size],
    *,
    chart_id: str,
    title: str,
    caption: str,
) -> Chart:
    """A drawing with its data for wide and for narrow screens; `chart_id` is unique on a page."""
    datasets = {**specification.get("datasets", {}), **data}
    wide, narrow = (
        render({**sized(specification, size), "datasets": datasets}, f"{chart_id}{suffix}", title)
        for size, suffix in zip(sizes, ("", "-narrow"), strict=True)
    )
    return Chart(wide, narrow, caption)


def themed(drawing: Any) -> Any:
    """The drawing in the site's colours and type."""
    return (
        drawing.configure(background="transparent", font="inherit", padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--muted)",
            labelFontSize=12,
            gridColor="var(--line)",
            domainColor="var(--line)",
            tickColor="var(--line)",
            labelPadding=6,
        )
    )


def render(specification: Mapping[str, Any], chart_id: str, title: str) -> Markup:
    """The specification as inline SVG: same bytes each time, no styles, links that stay on the page."""
    return tidy(drawn_svg(json.dumps(specification)), chart_id, title)


@lru_cache(maxsize=KEPT_DRAWINGS)
def drawn_svg(specification: str) -> str:
    """What vl-convert makes of it; kept, since that takes longer than all else on a page and few blocks change it."""
    import vl_convert  # noqa: PLC0415  225 MB: loaded by the first chart only.

    drawn: str = vl_convert.vegalite_to_svg(specification, format_locale=_LOCALE)
    return drawn


# The digits' locale: a real minus and k, M, G as people write them.
_LOCALE = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""], "minus": "−"}
_LINK = re.compile(r'<a xlink:href="[^"#]*#([\w-]+)"([^>]*)><path aria-label="(?:[^"]*?label: )?([^";]*)[^"]*"')
_SAID = re.compile(r' (?:role|aria-roledescription|aria-hidden|aria-label|xmlns:xlink|style)="[^"]*"')


def tidy(svg: str, chart_id: str, title: str) -> Markup:
    """vl-convert's SVG made fit for a page.

    Clip and gradient ids are counted per process there: they get numbers of this chart. Marks carry generated speech
    that repeats the data: the caption says it once, and each link keeps a name of its own.
    """
    names = {name: f"{chart_id}-{place}" for place, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', svg)))}
    for name, better in names.items():
        svg = svg.replace(f'id="{name}"', f'id="{better}"').replace(f"url(#{name})", f"url(#{better})")
    svg = re.sub(r'<path aria-label="[^"]*"', '<path aria-label=""', svg) if "<a " not in svg else svg
    svg = _LINK.sub(r'<a href="#\1" data-name="\3"\2><path', svg)
    svg = _SAID.sub("", svg).replace('data-name="', 'aria-label="')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="group" aria-label="{escape(title)}" data-chart="{chart_id}"'
    svg = re.sub(r'^<svg xmlns="[^"]*"', head, svg, count=1)
    svg = re.sub(r' version="1.1" class="marks" width="[^"]*" height="[^"]*"', ' class="chart"', svg, count=1)
    return Markup(svg)  # Made by the renderer; all text in it was escaped there.


def _late_start(whole: Sequence[Sequence[Point]], first: Point, since: datetime | None) -> str:
    """Said where the drawing was to begin in a hole, and so begins after it; else empty."""
    if since is None or first.time == since or all(run[0] is not first for run in whole):
        return ""
    return f"From {format_time(since)} to {format_time(first.time)} no balance is known."


def _caption(line: BalanceLine, known: Sequence[Point], runs: int, *, late: str) -> str:
    low = min(known, key=lambda point: (_value(point), point.time))
    last = known[-1]
    parts = [
        f"Balance in {line.symbol}, {format_date(known[0].time)} to {format_time(last.time)}: "
        f"{format_count(len(known), 'reading')}.",
        f"Lowest {_amount(low, line.symbol)} on {format_date(low.time)}; last {_amount(last, line.symbol)}.",
    ]
    if line.reference is not None:
        parts.append(f"Dashed: {line.reference_label}.")
    if line.markers:
        parts.append("Triangles: days with a shortfall or a socialised loss; each leads to its row.")
    if late:
        parts.append(late)
    if runs > 1:
        parts.append(f"The line breaks {runs - 1} {'time' if runs == 2 else 'times'}, where no balance is known.")
    return " ".join(parts)


def _amount(point: Point, symbol: str) -> str:
    return format_amount(scale(point.value_raw or 0, point.decimals), symbol, Rounding.DOWN)


def reference_in_asset(reference_usd: Decimal | None, price: Decimal | None) -> Decimal | None:
    """A loss in USD as an amount of the fund's asset; None where either is unknown."""
    loss, rate = finite(reference_usd), finite(price)
    return loss / rate if loss is not None and rate else None
