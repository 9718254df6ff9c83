"""What is missing: each kind of gap of the invented ledger is told, and nothing is told that is not missing."""

import html
import json
import re

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine, writing
from ledger.tables import Coverage, Platform, Verification
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.inventor import HOSTILE, NOW, SIMULATED, Inventor
from web.edition import SiteConfig
from web.gaps import count_rungs
from web.site import create_site


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.fixture(scope="module")
def sections(reader: Reader) -> dict[str, str]:
    """What a reader reads below each heading, by the section's id."""
    page = reader.get("/coverage").text
    return {name: text_of(body) for name, body in re.findall(r'<section id="([^"]+)">(.+?)</section>', page, re.S)}


def test_what_is_not_tracked_stands_first_as_the_document_has_it(reader: Reader) -> None:
    page = reader.get("/coverage").text
    assert page.index('id="what-backstop-does-not-track"') < page.index('id="sources"')
    assert "Customers' deposits." in text_of(page)
    assert page.count("<h1") == 1


def test_self_reported_reconstructed_and_stale_data_are_told_with_their_reason(sections: dict[str, str]) -> None:
    said = sections["sources"]
    assert "recorded by a third party Drift, November 2022: recorded by a third party" in said
    assert "reconstructed Aave V2 liquidations of 2021: reconstructed headers are made up" in said
    assert "stale Optimism: live chain the last balance is 6 hours old" in said
    assert "0 of 8 segments verified on chain by Backstop itself." in said


def test_sources_that_are_behind_and_data_that_cannot_be_relied_on_are_told(sections: dict[str, str]) -> None:
    assert "Optimism unreachable no provider answered" in sections["behind"]
    assert f"unknown the contract answered garbage: {HOSTILE}" in sections["unexplained"]
    assert "Perp v2, large fund" not in sections["unexplained"]


def test_blocks_and_polls_that_were_not_read_are_counted(sections: dict[str, str]) -> None:
    assert "Perp v2, large fund (simulated, May 2021) 100 blocks in 1 hole" in sections["holes"]
    assert "2 holes in polling" in sections["holes"]
    assert "small fund" not in sections["holes"]


def test_unknown_numbers_stand_by_their_reason_with_the_numbers_that_share_it(sections: dict[str, str]) -> None:
    said = sections["unknown"]
    assert "Coverage, Open interest or borrows, Published status, Reference loss unknown: it covers no defined" in said
    assert "Coverage unknown: nothing is left to compare" in said
    assert "Every number unknown: the contract answered garbage" in said
    assert "Usable value stale: the last balance is 6 hours old" in said


def test_what_a_platform_without_a_fund_has_not_is_not_missing(sections: dict[str, str]) -> None:
    assert "Morpho" not in sections["unknown"]
    assert "Socialised losses unknown: this version of the protocol books no bad debt" in sections["unknown"]


def test_every_file_warns_in_its_own_words(sections: dict[str, str], reader: Reader) -> None:
    assert sections["caveats"].count("A liquidation that would cost more than the fund holds reverts") == 7
    assert HOSTILE in sections["caveats"]
    assert "<script" not in reader.get("/coverage").text


def test_the_twin_says_the_same(reader: Reader) -> None:
    told = json.loads(reader.get("/coverage.json").content, parse_constant=pytest.fail)
    found = {row["slug"]: row for row in told["segments"]}
    assert found["perp-v2-large-simulated"]["holes"] == [[5001, 5100]]
    assert {"metric": "coverage", "quality": "unknown", "reason": "nothing is left to compare"} in found[
        "perp-v2-small-simulated"
    ]["not_known"]
    assert found["morpho-simulated"]["not_known"] == []
    assert found["hostile"]["caveats"] == [HOSTILE]
    assert [row["name"] for row in told["sources"] if not row["is_current"]] == ["Optimism"]


def test_rungs_count_blocks_of_the_newest_filter_alone() -> None:
    scanned = [_scanned("new", 1, 100), _scanned("new", 151, 200), _scanned("old", 1, 150)]
    passed = [
        _passed("new", 2, 1, 100),
        _passed("new", 2, 151, 160),
        _passed("new", 5, 10, 19),
        _passed("old", 3, 1, 9),
    ]
    assert count_rungs("new", scanned, passed) == [150, 110, 0, 0, 10]


def _scanned(digest: str, first: int, last: int) -> Coverage:
    return Coverage(segment_id=1, filter_digest=digest, from_number=first, to_number=last, level=2, verified_at=NOW)


def _passed(digest: str, level: int, first: int, last: int) -> Verification:
    return Verification(
        segment_id=1, filter_digest=digest, level=level, from_number=first, to_number=last, verified_at=NOW
    )


def test_verified_blocks_are_shown_by_what_they_were_held_against(database_url: str) -> None:
    engine: Engine = open_engine(database_url)
    upgrade(engine)
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(SIMULATED, "crash", "Crash", "simulated", NOW)
        segment = inventor.fund("alpha-simulated", "Alpha (simulated)", SIMULATED, "perp-v2")
        assert segment.id == 1
        inventor.add(Coverage(segment_id=1, filter_digest="f", from_number=1, to_number=90, level=2, verified_at=NOW))
        for level, last in ((2, 90), (3, 40), (5, 7)):
            inventor.add(_passed("f", level, 1, last))
    page = text_of(Reader(create_site(engine, lambda: NOW, SiteConfig())).get("/coverage").text)
    assert "Alpha (simulated) 90 90 40 0 7" in page
    engine.dispose()


def test_an_empty_ledger_misses_nothing_and_says_so(sqlite_ledger_url: str) -> None:
    engine = open_engine(sqlite_ledger_url)
    upgrade(engine)
    reader = Reader(create_site(engine, lambda: NOW, SiteConfig()))
    assert "No fund is in the ledger yet." in reader.get("/coverage").text
    assert reader.get("/coverage.json").json()["segments"] == []
    engine.dispose()
