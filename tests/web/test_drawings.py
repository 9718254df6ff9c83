"""Drawings beside the tables: what their parts are called and add up to, and looking closer at the balance."""

import json
import re
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.pages import Place, Point, latest_metrics, list_events
from tests.web.conftest import Reader
from tests.web.inventor import NOW
from web.charts import BalanceLine, look_closer
from web.drawings import Chance, chart_flows, months_between, segment_drawings, spread
from web.edition import Edition, SiteConfig
from web.evidence import LOSS_ROLES
from web.figures import Figures
from web.flows import FLOW_ROLES
from web.segments import balance_line

LARGE = "perp-v2-large-simulated"


def place_of(edition: Edition, slug: str) -> Place:
    return edition.funds()[slug][0]


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
