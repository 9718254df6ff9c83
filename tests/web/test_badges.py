"""Badges: what they say, what they never say, and that they may stand on other people's pages."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine, writing
from ledger.tables import Chain, Cursor, Platform
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.inventor import HOSTILE, LIVE, NOW, Inventor, perp_metrics
from web.badges import COLOURS, INK, OLDEST, PAPER, text_width
from web.edition import SiteConfig
from web.site import create_site

SVG = "{http://www.w3.org/2000/svg}"
SLUGS = (
    "perp-v2-large-simulated",
    "perp-v2-small-simulated",
    "reserve-simulated",
    "morpho-simulated",
    "drift-2022-third-party",
    "perp-v2-optimism",
    "hostile",
)


def told(reader: Reader, slug: str) -> dict[str, object]:
    answer = reader.get(f"/badges/{slug}.json")
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


def test_a_badge_says_status_coverage_and_their_date(reader: Reader) -> None:
    assert told(reader, "perp-v2-large-simulated")["message"] == "Thin, 1.42× on 24 May 2021"
    assert told(reader, "drift-2022-third-party")["message"] == "Short, 0.71× on 1 Feb 2023"
    assert told(reader, "perp-v2-small-simulated")["message"] == "Depleted on 24 May 2021"
    assert told(reader, "morpho-simulated")["message"] == "No fund"


def test_stale_and_unknown_are_not_computable_and_show_no_number(reader: Reader) -> None:
    for slug in ("perp-v2-optimism", "hostile", "reserve-simulated"):
        assert told(reader, slug)["message"] == "Not computable"


@pytest.mark.parametrize("slug", SLUGS)
def test_the_endpoint_keeps_to_what_shields_knows(reader: Reader, slug: str) -> None:
    found = told(reader, slug)
    assert set(found) == {"schemaVersion", "label", "message", "color", "isError", "cacheSeconds"}
    assert found["schemaVersion"] == 1
    assert f"#{found['color']}" in COLOURS.values()
    assert isinstance(found["isError"], bool)
    assert isinstance(found["cacheSeconds"], int)
    assert found["cacheSeconds"] >= 300


def test_the_colour_of_what_is_short_cannot_be_replaced(reader: Reader) -> None:
    assert told(reader, "drift-2022-third-party")["isError"] is True
    assert told(reader, "perp-v2-small-simulated")["isError"] is True
    assert told(reader, "perp-v2-large-simulated")["isError"] is False


def test_a_recording_says_what_it_is(reader: Reader) -> None:
    assert "simulated" in str(told(reader, "perp-v2-large-simulated")["label"])
    assert "recorded by a third party" in str(told(reader, "drift-2022-third-party")["label"])


@pytest.mark.parametrize("slug", SLUGS)
def test_the_picture_says_the_same_for_every_reader(reader: Reader, slug: str) -> None:
    answer = reader.get(f"/badges/{slug}.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.content)
    found = told(reader, slug)
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"{found['label']}: {found['message']}"
    assert (root.findtext(f"{SVG}title") or "").startswith(f"{found['label']}: {found['message']}. ")
    assert [text.text for text in root.iter(f"{SVG}text")] == [found["label"], found["message"]]
    assert "Not a promise that losses will be paid" in answer.text
    assert "<script" not in answer.text
    assert "style" not in answer.text


def test_text_is_ink_on_paper_and_the_glyph_alone_is_coloured(reader: Reader) -> None:
    root = ElementTree.fromstring(reader.get("/badges/perp-v2-large-simulated.svg").content)
    assert {text.get("fill") for text in root.iter(f"{SVG}text")} == {INK, PAPER}
    light, dark = _luminance(PAPER), _luminance(INK)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    for colour in COLOURS.values():
        red, green, blue = _channels(colour)
        assert green < max(red, blue), f"{colour} is a green"


def _channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))


def _luminance(colour: str) -> float:
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_within_its_half_and_says_its_own_width(reader: Reader) -> None:
    root = ElementTree.fromstring(reader.get("/badges/perp-v2-large-simulated.svg").content)
    whole = int(root.get("width") or 0)
    for text in root.iter(f"{SVG}text"):
        assert int(text.get("textLength") or 0) == text_width(text.text or "")
        assert int(text.get("x") or 0) + int(text.get("textLength") or 0) < whole


def test_badges_alone_may_stand_in_frames_of_others(reader: Reader) -> None:
    badge = reader.get("/badges/perp-v2-large-simulated.svg")
    assert "frame-ancestors *" in badge.headers["content-security-policy"]
    assert "default-src 'none'" in badge.headers["content-security-policy"]
    assert badge.headers["access-control-allow-origin"] == "*"
    again = reader.get("/badges/perp-v2-large-simulated.svg", {"If-None-Match": badge.headers["etag"]})
    assert again.status_code == 304
    assert "frame-ancestors *" in again.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in reader.get("/funds/perp-v2-large-simulated").headers["content-security-policy"]


def test_no_badge_says_what_it_must_not(reader: Reader) -> None:
    for slug in SLUGS:
        text = reader.get(f"/badges/{slug}.svg").text + reader.get(f"/badges/{slug}.json").text
        assert not re.search(r"\b(safe|solvent|insured|guaranteed|healthy|AAA|score|NaN|None|Infinity)\b", text)
    assert HOSTILE not in reader.get("/badges/hostile.svg").text


def test_a_badge_of_nobody_is_not_there(reader: Reader) -> None:
    assert reader.get("/badges/nobody.svg").status_code == 404
    assert reader.get("/badges/nobody.json").json()["status"] == 404


@pytest.fixture
def live(sqlite_ledger_url: str) -> Iterator[Engine]:
    """A fund on a live chain whose numbers are an hour old."""
    engine = open_engine(sqlite_ledger_url)
    upgrade(engine)
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        at = NOW - timedelta(hours=1)
        segment = inventor.fund("alpha", "Alpha fund", LIVE, "perp-v2", asset=inventor.asset(LIVE, "USDC", 6, 1.0, at))
        inventor.metrics(
            segment, at, perp_metrics("covered", 1, "10", "10", data_status=(None, "text", "verified_on_chain"))
        )
    yield engine
    engine.dispose()


def message(engine: Engine, now: datetime, tip: datetime) -> object:
    """What the badge says at that time, the chain being followed to a block of `tip`."""
    with writing(engine) as session:
        block = Inventor(session).block(LIVE, tip)
        cursor, chain = session.get_one(Cursor, LIVE), session.get_one(Chain, LIVE)
        cursor.number, cursor.hash, chain.head_time = block.number, block.hash, now
    return told(Reader(create_site(engine, lambda: now, SiteConfig())), "alpha")["message"]


def test_a_live_badge_shows_numbers_only_while_its_source_is_current(live: Engine) -> None:
    later = NOW + timedelta(hours=2)
    assert message(live, later, later - timedelta(minutes=29)) == "Covered, 1.42× on 22 Nov 2026"
    assert message(live, later, later - timedelta(minutes=31)) == "Not computable"


def test_a_live_badge_shows_no_numbers_that_nobody_computed_anew(live: Engine) -> None:
    computed = NOW - timedelta(hours=1)
    for age, said in ((OLDEST, "Covered, 1.42× on 22 Nov 2026"), (OLDEST + timedelta(minutes=1), "Not computable")):
        assert message(live, computed + age, computed + age) == said
