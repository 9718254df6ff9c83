"""Zero, unknown and stale are three different answers, on the page and in the JSON."""

import html
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.database import open_engine
from ledger.kinds import FundKind, ReadingName, Shape, SourceKind
from ledger.tables import Reading
from ledger.upgrades import upgrade
from tests.solvency.rows import DAY, START, Rows, compute, venue
from tests.web.conftest import Reader
from web.edition import SiteConfig
from web.site import create_site

SOON, LATE = START + DAY * 3.5 + timedelta(minutes=10), START + DAY * 8
MOMENTS = {"zero": SOON, "unknown": SOON, "stale": LATE}


@pytest.fixture(params=list(MOMENTS))
def case(request: pytest.FixtureRequest, tmp_path: Path, site_config: SiteConfig) -> Iterator[tuple[str, Reader]]:
    """A venue whose last balance was nothing, was not answered, or was read days ago."""
    name, moment = request.param, MOMENTS[request.param]
    rows = venue(4)
    rows.source = SourceKind.LIVE
    last = [row for row in rows.found if isinstance(row, Reading) and row.name == ReadingName.BALANCE][-1]
    if name != "stale":
        last.value_raw, last.error = (0, None) if name == "zero" else (None, "timeout")
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    upgrade(engine)
    rows.write(engine)
    compute(engine, now=moment)
    yield name, Reader(create_site(engine, clock_of(moment), site_config))
    engine.dispose()


def test_a_reason_that_several_numbers_share_is_said_once(tmp_path: Path, site_config: SiteConfig) -> None:
    rows = Rows(kind=FundKind.LENDING_BACKSTOP, shape=Shape.AAVE_V2, asset=None)
    for day in range(100):
        rows.snapshot(day + 0.01)
    rows.scan()
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    upgrade(engine)
    rows.write(engine)
    compute(engine)
    page = Reader(create_site(engine, clock_of(START + DAY * 100), site_config)).get("/funds/f").text
    engine.dispose()
    said = re.search(r'<p class="said">(.*?)</p>', page, re.DOTALL)
    assert said
    assert said[1].count("books no bad debt") == 1


def clock_of(moment: datetime) -> Any:
    return lambda: moment


def test_the_json_tells_zero_from_unknown_from_stale(case: tuple[str, Reader]) -> None:
    name, reader = case
    (segment,) = reader.get("/funds/f.json").json()["segments"]
    (balance,) = [metric for metric in segment["metrics"] if metric["name"] == "gross_balance"]
    said = (balance["value"], balance["quality"], bool(balance["reason"]), segment["status"])
    assert (
        said
        == {
            "zero": ("0.000000", "ok", False, "depleted"),
            "unknown": (None, "unknown", True, "not_computable"),
            "stale": ("5000.000000", "stale", True, "not_computable"),
        }[name]
    )


def test_the_page_tells_zero_from_unknown_from_stale(case: tuple[str, Reader]) -> None:
    name, reader = case
    text = html.unescape(re.sub(r"<[^>]+>", " ", reader.get("/funds/f").text)).replace("\N{NO-BREAK SPACE}", " ")
    text = " ".join(text.split())
    words = {"zero": "Depleted", "unknown": "unknown", "stale": "stale"}
    assert words[name] in text
    shown = re.search(r"Gross balance (\S+)", text)
    assert shown is not None
    assert shown[1] == {"zero": "0", "unknown": "unknown", "stale": "5,000"}[name]
