"""Drawings beside the tables: where lines cross, where they break, what they are called, the same bytes each time."""

import json
import re
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.pages import Place, Point, latest_metrics, list_events
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.charts import BalanceLine, look_closer
from web.drawings import Chance, Drawings, chart_flows, months_between, segment_drawings, spread
from web.edition import Edition, SiteConfig
from web.evidence import LOSS_ROLES
from web.figures import Figures
from web.flows import FLOW_ROLES
from web.segments import balance_line

LARGE = "perp-v2-large-simulated"


def place_of(edition: Edition, slug: str) -> Place:
    return edition.funds()[slug][0]


def drawn(engine: Engine, grid: list[dict[str, Any]] | None = None, gap: str = "0.23") -> Drawings:
    """Drawings of the large fund, its stress grid replaced."""
    with Session(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        place = place_of(edition, LARGE)
        figures = Figures(edition, place)
        figures.metrics = latest_metrics(session, [place.segment_id])[place.segment_id]
        session.expunge_all()
        metric = figures.metrics["gap_survived"]
        if grid is not None:
            metric.detail, metric.value = {"grid": grid}, Decimal(gap)
        return segment_drawings(figures, [])


def row(shock: float, loss: float | None, usable: float | None = 100.0) -> dict[str, Any]:
    return {"shock": shock, "loss": loss, "usable": usable}


def lines_of(svg: str) -> list[str]:
    """Outlines that are lines of data: they are drawn in a colour of their own and not filled."""
    return re.findall(r'<path [^>]*stroke="var\(--(?:short|accent)\)"[^>]*>', svg)


def test_both_lines_are_drawn_and_differ_by_dash_as_well_as_hue(engine: Engine) -> None:
    chart = drawn(engine, [row(-0.2, 150), row(-0.1, 50), row(0.1, 0), row(0.2, 20)]).stress
    assert chart is not None
    found = lines_of(chart.wide)
    assert len(found) == 2
    assert len({re.search(r'stroke-dasharray="[^"]*"', one).group() for one in found}) == 2  # type: ignore[union-attr]
    for words in ("loss", "usable value"):
        assert f">{words}</text>" in chart.wide


def test_the_crossing_is_marked_at_the_stored_gap_on_its_side_only(engine: Engine) -> None:
    chart = drawn(engine, [row(-0.4, 150), row(-0.3, 90), row(0.3, 0), row(0.4, 20)], gap="0.32").stress
    assert chart is not None
    assert re.findall(r">(gap survived[^<]*)</text>", chart.wide) == ["gap survived: −32\N{NO-BREAK SPACE}%"]
    assert "the loss is larger than that from −40\N{NO-BREAK SPACE}% down" in chart.caption


def test_a_gap_that_something_else_ends_is_not_drawn_as_a_crossing(engine: Engine) -> None:
    chart = drawn(engine, [row(-0.4, 50), row(-0.2, 40), row(0.2, 0), row(0.4, 20)], gap="0.05").stress
    assert chart is not None
    assert "gap survived" not in chart.wide
    assert "At no known move is the loss larger than that." in chart.caption


def test_a_fund_that_can_pay_for_nothing_is_told_in_one_sentence(engine: Engine) -> None:
    chart = drawn(engine, [row(-0.1, 5, -10), row(0.0, 1, -10), row(0.1, 7, -10)], gap="0").stress
    assert chart is not None
    assert "larger than that at every known move" in chart.caption


def test_an_unknown_loss_breaks_the_line_and_is_said(engine: Engine) -> None:
    whole = drawn(engine, [row(step / 10, 10 + step) for step in range(-4, 5)]).stress
    broken = drawn(engine, [row(step / 10, None if step == 0 else 10 + step) for step in range(-4, 5)]).stress
    assert whole is not None
    assert broken is not None
    assert len(lines_of(broken.wide)) == len(lines_of(whole.wide)) + 1
    assert "1 move unknown: the lines break there." in broken.caption
    assert "unknown" not in whole.caption


@pytest.mark.parametrize(
    "grid", [[], [row(0.1, 5)], [row(-0.1, None), row(0.1, None)], [row(0.1, float("nan")), row(0.2, float("inf"))]]
)
def test_without_two_known_moves_there_is_no_curve(engine: Engine, grid: list[dict[str, Any]]) -> None:
    assert drawn(engine, grid).stress is None


def test_a_drawing_is_the_same_each_time_and_carries_no_style_or_script(engine: Engine) -> None:
    first, again = drawn(engine).stress, drawn(engine).stress
    assert first is not None
    assert first == again
    for svg in (first.wide, first.narrow):
        assert not re.findall(r"<style|<script|\sstyle=|NaN|undefined|null", svg)
        assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) <= {
            *(f"var(--{name})" for name in ("short", "accent", "ink", "muted", "line")),
            "none",
            "transparent",
        }


def test_ids_of_two_segments_on_a_page_never_meet(reader: Reader) -> None:
    text = reader.get(f"/funds/{LARGE}").text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    named = re.findall(r'data-chart="([^"]+)"', text)
    assert len(named) == len(set(named)) >= 4


@given(st.lists(st.floats(-1e9, 1e9), max_size=12), st.floats(0.001, 1e6))
def test_labels_are_never_nearer_than_their_height(wanted: list[float], gap: float) -> None:
    falling = sorted(wanted, reverse=True)
    placed = spread(falling, gap)
    assert len(placed) == len(wanted)
    for upper, lower in pairwise(placed):
        assert upper - lower >= gap * 0.999 - 1e-6
    assert all(place <= value for place, value in zip(placed, falling, strict=True))


def test_months_are_counted_through_the_turn_of_the_year() -> None:
    assert months_between("2021-11", "2022-02") == ["2021-11", "2021-12", "2022-01", "2022-02"]
    assert months_between("2021-05", "2021-05") == ["2021-05"]


def test_flows_are_named_beside_their_bars_and_summed_in_words(engine: Engine) -> None:
    with Session(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        for slug, places in edition.funds().items():
            rows = list_events(session, [places[0].segment_id], FLOW_ROLES)
            chart = chart_flows(places[0], rows, f"flows-{slug}")
            if chart is not None:
                break
        else:
            pytest.fail("no invented fund has flows in two months")
    names = re.findall(r"Together: (.*)\.$", chart.caption)[0].split("; ")
    texts = [text.lower() for text in re.findall(r">([^<>]+)</text>", chart.wide)]
    for name in names:
        assert any(name.lower().startswith(text) for text in texts), name
    assert not any("legend" in one for one in re.findall(r'class="([^"]+)"', chart.wide))


def test_a_chance_is_a_bar_between_0_and_100_with_its_number_beside_it(engine: Engine) -> None:
    with Session(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        place = place_of(edition, LARGE)
        figures = Figures(edition, place)
        figures.metrics = found = latest_metrics(session, [place.segment_id])[place.segment_id]
        session.expunge_all()
        metric = found["coverage"]
        metric.unit = "fraction"
        metric.value, metric.ci_low, metric.ci_high = Decimal("0.0105"), 0.0091, 0.0120
        found |= {"depletion_90d": metric, "depletion_365d": found["runway"]}
        chances = segment_drawings(figures, []).chances
    assert [chance.within for chance in chances] == ["90 days", "365 days"]
    assert (chances[0].point, chances[0].low) == (1.05, 0.91)
    assert chances[0].width == pytest.approx(0.29)
    assert chances[1].point is None, "words such as not shrinking are no point"
    assert isinstance(chances[1], Chance)
    assert chances[1].width == 0


def test_looking_closer_gets_the_same_readings_as_strict_json(engine: Engine, reader: Reader) -> None:
    page = reader.get(f"/funds/{LARGE}").text
    found = re.findall(r'href="(/funds/[^"]+/balance/[^"]+\.json)" data-bundle="/static/vega\.[\w.]+\.js"', page)
    assert len(found) == 1
    told = json.loads(reader.get(found[0]).content)
    with Session(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        place = place_of(edition, LARGE)
        losses = list_events(session, [place.segment_id], LOSS_ROLES)
        line = balance_line(edition, place, Figures(edition, place), losses)
    assert line is not None
    assert told == json.loads(json.dumps(look_closer(line)))
    known = [point for point in line.points if point.value_raw is not None]
    assert len(told["datasets"]["readings"]) == len(known)
    assert {param["name"] for layer in told["layer"] for param in layer.get("params", [])} == {"zoom", "near"}


@pytest.mark.parametrize("path", [f"/funds/{LARGE}/balance/nothing.json", "/funds/nobody/balance/nobody.json"])
def test_there_is_nothing_to_look_closer_at_where_there_is_no_balance(reader: Reader, path: str) -> None:
    assert reader.get(path).status_code == 404


def test_too_few_readings_make_no_drawing_to_look_closer_at() -> None:
    one = Point(1, NOW, 5_000_000, 6)
    assert look_closer(BalanceLine([one], "USDC", None, "", [])) is None
    assert look_closer(BalanceLine([], "USDC", None, "", [])) is None


def test_the_last_layer_of_the_waterfall_is_marked(reader: Reader) -> None:
    text = reader.get(f"/funds/{LARGE}").text
    picture = text[text.index('<svg class="steps"') :]
    picture = picture[: picture.index("</svg>")]
    boxes = re.findall(r"<rect[^>]*>", picture)
    assert len(boxes) == 3
    assert ['class="last"' in box for box in boxes] == [False, False, True]
    for words in ("1. Trader&#39;s margin", "2. Insurance fund", "other users"):
        assert words in picture
    reserve = reader.get("/funds/reserve-simulated").text
    assert 'class="last"' not in reserve
