"""The balance chart: one Vega-Lite specification, decimated without hiding a spike, broken where data are missing."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from math import inf
from statistics import median
from typing import Any

from markupsafe import Markup, escape

from ledger.numbers import Rounding, finite, format_amount, format_date, format_time, scale
from ledger.pages import Point
from web.contexts import Chart


@dataclass(frozen=True)
class Size:
    """A drawing's box, with as many labels on its time axis as fit."""

    width: int
    height: int
    ticks: int


WIDE, NARROW, MAIL = Size(900, 280, 6), Size(340, 240, 3), Size(560, 220, 4)
PLAIN = {"accent": "#0b6aa8", "short": "#b3360a", "ink": "#1b1c1f", "muted": "#5a5f68", "line": "#dedbd4"}
"""The light theme's colours for pictures, which no style sheet reaches."""
MOST_POINTS = 1000
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
    """What a balance chart is drawn from. `reference` is in the balance's own asset; None draws no line."""

    points: Sequence[Point]
    symbol: str
    reference: Decimal | None
    reference_label: str
    markers: Sequence[Marker]


def chart_balance(line: BalanceLine, chart_id: str) -> Chart | None:
    """The balance through time with its caption, for wide and for narrow screens; None with fewer than two readings.

    `chart_id`: prefix of the ids inside, unique on a page, so that the bytes are the same on every render.
    """
    runs = split_runs(line.points)
    known = [point for run in runs for point in run]
    if len(known) < 2:
        return None
    title = f"Balance in {line.symbol} through time"
    specification = _specification(line, _decimated(runs, MOST_POINTS / len(known)))
    wide = render(_sized(specification, WIDE), chart_id, title)
    narrow = render(_sized(specification, NARROW), f"{chart_id}-narrow", title)
    return Chart(wide, narrow, _caption(line, known, len(runs)))


def picture_balance(line: BalanceLine) -> bytes | None:
    """The same drawing as a PNG for mails, in plain colours on white; None with fewer than two readings."""
    runs = split_runs(line.points)
    n_known = sum(map(len, runs))
    if n_known < 2:
        return None
    import vl_convert  # noqa: PLC0415  225 MB: loaded by the first chart only.

    text = json.dumps(_sized(_specification(line, _decimated(runs, MOST_POINTS / n_known)), MAIL))
    for name, colour in PLAIN.items():
        text = text.replace(f"var(--{name})", colour)
    text = text.replace('"background": "transparent"', '"background": "#ffffff"').replace('"inherit"', '"sans-serif"')
    picture: bytes = vl_convert.vegalite_to_png(text, scale=2, format_locale=_LOCALE)
    return picture


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
    import altair as imported  # noqa: PLC0415  Slow to import: only a chart pays for it.

    altair: Any = imported  # Its generated classes are typed in part only.

    rows: list[dict[str, Any]] = [
        {"t": _milliseconds(point.time), "v": _value(point), "run": place}
        for place, run in enumerate(runs)
        for point in run
    ]
    span = max(row["t"] for row in rows) - min(row["t"] for row in rows)
    axis = altair.Axis(
        title=None,
        format="%-d %b %Y" if span > 400 * 86_400_000 else "%-d %b",
        grid=False,
        labelFlush=True,
    )
    x = altair.X("t:T", axis=axis, scale=altair.Scale(type="utc"))
    y = altair.Y(
        "v:Q",
        axis=altair.Axis(title=None, tickCount=5, domain=False, ticks=False, labelExpr="format(datum.value, '~s')"),
    )
    drawing = altair.layer(
        altair.Chart(altair.NamedData("readings"))
        .mark_line(color="var(--accent)", strokeWidth=1.75)
        .encode(x=x, y=y, detail="run:N")
    )
    singles = [{"t": _milliseconds(run[0].time), "v": _value(run[0])} for run in runs if len(run) == 1]
    if singles:
        dots = altair.Chart(altair.Data(values=singles)).mark_circle(color="var(--accent)", size=12)
        drawing += dots.encode(x=x, y=y)
    if line.reference is not None:
        drawing += _reference(altair, line, max(row["t"] for row in rows))
    if line.markers:
        drawing += _markers(altair, line.markers, rows)
    specification: dict[str, Any] = _themed(drawing).to_dict()
    # Named data are put in afterwards: Altair would check every reading against its schema.
    return specification | {"datasets": specification.get("datasets", {}) | {"readings": rows}}


def _sized(specification: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """The same drawing in a box: made once, since checking a specification takes longer than drawing it."""
    config = specification["config"] | {"axisX": {"tickCount": size.ticks}}
    return {**specification, "width": size.width, "height": size.height, "config": config}


def _reference(altair: Any, line: BalanceLine, last: int) -> Any:
    data = altair.Data(values=[{"v": float(line.reference or 0), "t": last}])
    rule = altair.Chart(data).mark_rule(color="var(--short)", strokeDash=[6, 4], strokeWidth=1.25).encode(y="v:Q")
    label = altair.Chart(data).mark_text(
        text=line.reference_label, align="right", baseline="bottom", dy=-4, color="var(--ink)", fontSize=12
    )
    return rule + label.encode(x="t:T", y="v:Q")


def _markers(altair: Any, markers: Sequence[Marker], rows: Sequence[Mapping[str, Any]]) -> Any:
    values = [
        {
            "t": _milliseconds(one.time),
            "v": _at(rows, _milliseconds(one.time)),
            "label": one.label,
            "to": "#" + one.anchor,
        }
        for one in markers
    ]
    shape = altair.Chart(altair.Data(values=values)).mark_point(
        shape="triangle-down", filled=True, color="var(--short)", opacity=1, size=90, yOffset=-9
    )
    return shape.encode(x="t:T", y="v:Q", href="to:N", tooltip="label:N")


def _at(rows: Sequence[Mapping[str, Any]], time: int) -> float:
    """The balance last read before an event, where its marker stands."""
    before = [row["v"] for row in rows if row["t"] <= time]
    return float(before[-1] if before else rows[0]["v"])


def _themed(drawing: Any) -> Any:
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
    import vl_convert  # noqa: PLC0415  225 MB: loaded by the first chart only.

    svg = vl_convert.vegalite_to_svg(json.dumps(specification), format_locale=_LOCALE)
    return tidy(svg, chart_id, title)


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


def _caption(line: BalanceLine, known: Sequence[Point], runs: int) -> str:
    low = min(known, key=lambda point: (_value(point), point.time))
    last = known[-1]
    parts = [
        f"Balance in {line.symbol}, {format_date(known[0].time)} to {format_time(last.time)}: {len(known):,} readings.",
        f"Lowest {_amount(low, line.symbol)} on {format_date(low.time)}; last {_amount(last, line.symbol)}.",
    ]
    if line.reference is not None:
        parts.append(f"Dashed: {line.reference_label}.")
    if line.markers:
        parts.append("Triangles: days with a shortfall or a socialised loss; each leads to its row.")
    if runs > 1:
        parts.append(f"The line breaks {runs - 1} {'time' if runs == 2 else 'times'}, where no balance is known.")
    return " ".join(parts)


def _amount(point: Point, symbol: str) -> str:
    return format_amount(scale(point.value_raw or 0, point.decimals), symbol, Rounding.DOWN)


def reference_in_asset(reference_usd: Decimal | None, price: Decimal | None) -> Decimal | None:
    """A loss in USD as an amount of the fund's asset; None where either is unknown."""
    loss, rate = finite(reference_usd), finite(price)
    return loss / rate if loss is not None and rate else None
