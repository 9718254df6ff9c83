"""The stress as a curve: where lines cross, where they break, what they are called, and one move marked on it."""

import re
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.pages import latest_metrics
from tests.web.inventor import NOW
from web.contexts import Chart
from web.curve import KnownShock, chart_stress
from web.edition import Edition, SiteConfig
from web.figures import Figures

LARGE = "perp-v2-large-simulated"


def curve(
    engine: Engine, grid: list[dict[str, Any]] | None = None, gap: str = "0.23", asked: KnownShock | None = None
) -> Chart | None:
    """The curve of the large fund, its points replaced."""
    with Session(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        place = edition.funds()[LARGE][0]
        figures = Figures(edition, place)
        figures.metrics = latest_metrics(session, [place.segment_id])[place.segment_id]
        session.expunge_all()
        metric = figures.metrics["gap_survived"]
        if grid is not None:
            metric.detail, metric.value = {"grid": grid}, Decimal(gap)
        return chart_stress(figures, "stress", asked)


def row(shock: float, loss: float | None, usable: float | None = 100.0) -> dict[str, Any]:
    return {"shock": shock, "loss": loss, "usable": usable}


def lines_of(svg: str) -> list[str]:
    """Outlines that are lines of data: they are drawn in a colour of their own and not filled."""
    return re.findall(r'<path [^>]*stroke="var\(--(?:short|accent)\)"[^>]*>', svg)


def test_both_lines_are_drawn_and_differ_by_dash_as_well_as_hue(engine: Engine) -> None:
    chart = curve(engine, [row(-0.2, 150), row(-0.1, 50), row(0.1, 0), row(0.2, 20)])
    assert chart is not None
    found = lines_of(chart.wide)
    assert len(found) == 2
    assert len({re.search(r'stroke-dasharray="[^"]*"', one).group() for one in found}) == 2  # type: ignore[union-attr]
    for words in ("loss", "usable value"):
        assert f">{words}</text>" in chart.wide


def test_the_crossing_is_marked_at_the_stored_gap_on_its_side_only(engine: Engine) -> None:
    chart = curve(engine, [row(-0.4, 150), row(-0.3, 90), row(0.3, 0), row(0.4, 20)], gap="0.32")
    assert chart is not None
    assert re.findall(r">(gap survived[^<]*)</text>", chart.wide) == ["gap survived: −32\N{NO-BREAK SPACE}%"]
    assert "the loss is larger than that from −40\N{NO-BREAK SPACE}% down" in chart.caption


def test_a_gap_that_something_else_ends_is_not_drawn_as_a_crossing(engine: Engine) -> None:
    chart = curve(engine, [row(-0.4, 50), row(-0.2, 40), row(0.2, 0), row(0.4, 20)], gap="0.05")
    assert chart is not None
    assert "gap survived" not in chart.wide
    assert "At no known point is the loss larger than that." in chart.caption


def test_a_fund_that_can_pay_for_nothing_is_told_in_one_sentence(engine: Engine) -> None:
    chart = curve(engine, [row(-0.1, 5, -10), row(0.0, 1, -10), row(0.1, 7, -10)], gap="0")
    assert chart is not None
    assert "larger than that at every known point" in chart.caption


def test_an_unknown_loss_breaks_the_line_and_is_said(engine: Engine) -> None:
    whole = curve(engine, [row(step / 10, 10 + step) for step in range(-4, 5)])
    broken = curve(engine, [row(step / 10, None if step == 0 else 10 + step) for step in range(-4, 5)])
    assert whole is not None
    assert broken is not None
    assert len(lines_of(broken.wide)) == len(lines_of(whole.wide)) + 1
    assert "1 move unknown: the lines break there." in broken.caption
    assert "unknown" not in whole.caption


@pytest.mark.parametrize(
    "grid", [[], [row(0.1, 5)], [row(-0.1, None), row(0.1, None)], [row(0.1, float("nan")), row(0.2, float("inf"))]]
)
def test_without_two_known_moves_there_is_no_curve(engine: Engine, grid: list[dict[str, Any]]) -> None:
    assert curve(engine, grid) is None


def test_a_drawing_is_the_same_each_time_and_carries_no_style_or_script(engine: Engine) -> None:
    first, again = curve(engine), curve(engine)
    assert first is not None
    assert first == again
    for svg in (first.wide, first.narrow):
        assert not re.findall(r"<style|<script|\sstyle=|NaN|undefined|null", svg)
        assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) <= {
            *(f"var(--{name})" for name in ("short", "accent", "ink", "muted", "line")),
            "none",
            "transparent",
        }


V_SHAPE = [row(step / 10, 100 * abs(step), 250) for step in range(-5, 6)]
"""The larger the move, the larger the loss; the fund could pay for 25 %."""


def shock(move: str, loss: str, usable: str = "250") -> KnownShock:
    return KnownShock(Decimal(move), Decimal(loss), Decimal(usable))


def words_of(svg: str) -> dict[str, tuple[float, str]]:
    """Where on the move's axis a word of the drawing begins or ends, and which of the two."""
    found = re.findall(r'<text text-anchor="(\w+)" transform="translate\(([-\d.]+),[-\d.]+\)"[^>]*>([^<]+)</text>', svg)
    return {text: (float(x), anchor) for anchor, x, text in found}


def test_the_move_that_is_asked_for_is_marked_named_and_told(engine: Engine) -> None:
    chart = curve(engine, V_SHAPE, "0.25", shock("-0.275", "271.5"))
    assert chart is not None
    for svg in (chart.wide, chart.narrow):
        assert len(re.findall(r'<path [^>]*fill="var\(--(?:short|accent)\)"', svg)) == 2, "a dot on each line"
        name = "−27.5\N{NO-BREAK SPACE}%: loss $272"
        assert words_of(svg)[name][1] == "start"
        assert "gap survived" not in svg
    assert "Of the published points, the loss is larger than that from −30\N{NO-BREAK SPACE}% down" in chart.caption
    assert "Dots: −27.5\N{NO-BREAK SPACE}%, loss $272 and usable value $250, both computed" in chart.caption
    assert "the lines join the published points and may pass beside them." in chart.caption


def test_a_rise_is_named_on_its_left_so_that_its_words_stay_in_the_drawing(engine: Engine) -> None:
    chart = curve(engine, V_SHAPE, "0.25", shock("0.5", "500"))
    assert chart is not None
    assert words_of(chart.narrow)["+50\N{NO-BREAK SPACE}%: loss $500"][1] == "end"


@pytest.mark.parametrize("move", [percent / 200 for percent in range(-100, 101, 5)])
def test_the_pole_runs_through_the_name_of_no_line(engine: Engine, move: float) -> None:
    chart = curve(engine, V_SHAPE, "0.25", shock(str(move), str(abs(move) * 1000)))
    assert chart is not None
    pole = (move + 0.5) * 300
    words = words_of(chart.narrow)
    for name, width in (("loss", 26), ("usable value", 74)):
        x, anchor = words[name]
        first, last = (x, x + width) if anchor == "start" else (x - width, x)
        assert not first < pole < last, name


def test_the_curve_goes_through_the_published_points_only(engine: Engine) -> None:
    plain, marked = curve(engine, V_SHAPE), curve(engine, V_SHAPE, asked=shock("-0.275", "400"))
    assert plain is not None
    assert marked is not None
    assert lines_of(marked.wide) == lines_of(plain.wide)


def test_a_move_is_drawn_the_same_each_time(engine: Engine) -> None:
    asked = shock("0.125", "40")
    assert curve(engine, V_SHAPE, asked=asked) == curve(engine, V_SHAPE, asked=asked)
