"""The stress of a segment as a curve: loss and usable value against a move of all prices, and one move marked on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any

from ledger.numbers import Rounding, finite, format_count, format_fraction, format_usd
from web.charts import Size, draw, import_altair, themed, value_axis
from web.contexts import Chart
from web.details import detail_of, rows_of
from web.figures import Figures

STRESS_SIZES = (Size(900, 280, 11), Size(300, 220, 5))
LINE_NAMES = {"loss": ("loss", Decimal("0.12")), "usable": ("usable value", Decimal("0.28"))}
"""What each line is called, and how wide that is on a narrow screen, as a move of prices."""


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


@dataclass(frozen=True)
class KnownShock(Shock):
    """A move of which both are known."""

    loss: Decimal
    usable: Decimal


def chart_stress(figures: Figures, chart_id: str, asked: KnownShock | None = None) -> Chart | None:
    """Loss and usable value against the move; None where fewer than two moves have a known loss.

    `asked` is marked; it need not be one of the published moves, which the curve is drawn from.
    """
    metric = figures.metric("gap_survived")
    rows = rows_of(detail_of(metric).get("grid"))
    moves = [(finite(row.get("shock")), row) for row in rows]
    grid = [Shock(move, finite(row.get("loss")), finite(row.get("usable"))) for move, row in moves if move is not None]
    grid.sort(key=lambda shock: shock.move)
    if sum(shock.loss is not None and shock.usable is not None for shock in grid) < 2:
        return None
    gap = finite(metric.value) if metric is not None else None
    # Two poles side by side could not both be named: where a move is asked for, the crossing of the lines must do.
    marks = {"gaps": _gaps(grid, gap)} if asked is None else _mark(asked)
    return draw(
        _stress_specification(is_asked=asked is not None),
        {"lines": _points(grid), "labels": _stress_labels(grid, asked), **marks},
        STRESS_SIZES,
        chart_id=chart_id,
        title="Loss and usable value against a move of all prices",
        caption=_stress_caption(figures, grid, asked),
    )


def _points(grid: Sequence[Shock]) -> list[dict[str, Any]]:
    """Points of both lines; an unknown point ends a run, so that no line is drawn across it."""
    found = []
    for kind in ("loss", "usable"):
        values = [(shock.move, getattr(shock, kind)) for shock in grid]
        for run, (is_known, points) in enumerate(groupby(values, key=lambda point: point[1] is not None)):
            if is_known:
                found += [{"x": float(x), "v": float(value), "kind": kind, "run": run} for x, value in points]
    return found


def _stress_labels(grid: Sequence[Shock], asked: KnownShock | None) -> list[dict[str, Any]]:
    """The loss is named where it is largest, the usable value at the other end: so they never meet.

    A name that the pole of a move would run through stands beside the pole.
    """
    known = [shock for shock in grid if shock.loss is not None and shock.usable is not None]
    first, last = known[0], known[-1]
    left, right = ("loss", "usable") if (first.loss or 0) >= (last.loss or 0) else ("usable", "loss")
    found = []
    for end, kind, side in ((first, left, "left"), (last, right, "right")):
        text, width = LINE_NAMES[kind]
        place = asked if asked is not None and abs(asked.move - end.move) < width else end
        found.append({"x": float(place.move), "v": float(getattr(place, kind)), "text": text, "side": side})
    return found


def _mark(asked: KnownShock) -> dict[str, Any]:
    """A pole at the move, named on its inner side, and a dot on each of its values."""
    text = f"{_move(asked.move)}: loss {format_usd(asked.loss, Rounding.UP)}"
    pole = {"x": float(asked.move), "text": text, "side": "left" if asked.move <= 0 else "right"}
    return {"poles": [pole], "dots": _points([asked])}


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


def _stress_caption(figures: Figures, grid: Sequence[Shock], asked: KnownShock | None) -> str:
    ends = f"{_move(grid[0].move)} to {_move(grid[-1].move)}"
    start = f"If all prices moved at once, {ends}, at {figures('gap_survived').as_of}: solid the loss, dashed what "
    start += "the fund could pay."
    unknown = sum(shock.loss is None or shock.usable is None for shock in grid)
    hole = f" {format_count(unknown, 'move')} unknown: the lines break there." if unknown else ""
    unpaid = _unpaid_words([shock.move for shock in grid if shock.is_unpaid], len(grid) - unknown)
    return f"{start} {unpaid}{hole}{_asked_words(asked)}"


def _unpaid_words(unpaid: Sequence[Decimal], known: int) -> str:
    """At which of the published moves the loss is larger than what could be paid; moves in rising order."""
    if not unpaid:
        return "At no known point is the loss larger than that."
    if len(unpaid) == known:
        return "The loss is larger than that at every known point."
    down, up = [move for move in unpaid if move < 0], [move for move in unpaid if move > 0]
    told = [f"from {_move(max(down))} down"] if down else []
    told += ["without any move"] if Decimal(0) in unpaid else []
    told += [f"from {_move(min(up))} up"] if up else []
    return f"Of the published points, the loss is larger than that {' and '.join(told)}."


def _asked_words(asked: KnownShock | None) -> str:
    if asked is None:
        return ""
    loss, usable = format_usd(asked.loss, Rounding.UP), format_usd(asked.usable, Rounding.DOWN)
    return (
        f" Dots: {_move(asked.move)}, loss {loss} and usable value {usable}, both computed for this move; the lines "
        "join the published points and may pass beside them."
    )


def _move(move: Decimal) -> str:
    return f"+{format_fraction(move)}" if move > 0 else format_fraction(move)


@cache
def _stress_specification(*, is_asked: bool) -> Mapping[str, Any]:
    altair = import_altair()
    kinds = ["loss", "usable"]
    colour = altair.Scale(domain=kinds, range=["var(--short)", "var(--accent)"])
    dash = altair.Scale(domain=kinds, range=[[1, 0], [6, 4]])
    percent = "(datum.value > 0 ? '+' : '') + format(datum.value, '.0%')"
    x = altair.X("x:Q", axis=altair.Axis(title=None, labelExpr=percent, grid=False), scale=altair.Scale(nice=False))
    y = altair.Y("v:Q", axis=value_axis(altair, "format(datum.value, '$~s')"))
    hue = altair.Color("kind:N", scale=colour, legend=None)
    lines = altair.Chart(altair.NamedData("lines")).mark_line(strokeWidth=1.75)
    lines = lines.encode(
        x=x, y=y, detail="run:N", color=hue, strokeDash=altair.StrokeDash("kind:N", scale=dash, legend=None)
    )
    drawing = lines + (_pole(altair, hue) if is_asked else _gap_rule(altair))
    drawing += _sided_text(altair, "labels", altair.Y("v:Q"), dy=-9)
    specification: dict[str, Any] = themed(drawing).to_dict()
    return specification


def _gap_rule(altair: Any) -> Any:
    gaps = altair.Chart(altair.NamedData("gaps"))
    rule = gaps.mark_rule(color="var(--muted)", strokeDash=[1, 3]).encode(x="x:Q")
    name = gaps.mark_text(color="var(--ink)", fontSize=12, align="left", dx=5, baseline="top")
    return rule + name.encode(x="x:Q", y=altair.value(2), text="text:N")


def _pole(altair: Any, hue: Any) -> Any:
    """It rises above the drawing, where its name meets neither line."""
    pole = altair.Chart(altair.NamedData("poles")).mark_rule(color="var(--ink)")
    dots = altair.Chart(altair.NamedData("dots")).mark_circle(size=56, opacity=1)
    drawing = pole.encode(x="x:Q", y=altair.value(-30), y2=altair.value("height"))
    drawing += dots.encode(x="x:Q", y="v:Q", color=hue)
    return drawing + _sided_text(altair, "poles", altair.value(-24), dy=0)


def _sided_text(altair: Any, data: str, y: Any, *, dy: int) -> Any:
    """Words on the right of a point at the left, and the other way round."""
    texts = altair.layer()
    for side, shift in (("left", 4), ("right", -4)):
        text = altair.Chart(altair.NamedData(data)).mark_text(
            color="var(--ink)", fontSize=12, align=side, dx=shift, dy=dy
        )
        texts += text.transform_filter(f"datum.side == '{side}'").encode(x="x:Q", y=y, text="text:N")
    return texts
