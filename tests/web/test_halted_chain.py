"""A chain that is halted: every page and the API say so at once, whatever was computed before."""

import html
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine, writing
from ledger.kinds import ChainStatus, Status
from ledger.standing import mark_unverified, set_chain_status
from ledger.upgrades import upgrade
from tests.web.conftest import Reader
from tests.web.invented import SIMULATED, invent_ledger
from tests.web.inventor import NOW
from web.edition import SiteConfig
from web.site import create_site

WHY = "unverified since block 1,234: block 1234 was final with hash 0xaa and now has 0xbb"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    upgrade(opened)
    invent_ledger(opened)
    yield opened
    opened.dispose()


def statuses(reader: Reader) -> dict[str, dict[str, str]]:
    """Segment → what the API says of it, of every fund on the simulated chain."""
    funds = reader.get("/funds.json").json()["funds"]
    return {s["slug"]: s for fund in funds if fund["chain"]["id"] == SIMULATED for s in fund["segments"]}


def test_no_segment_of_a_halted_chain_stays_rated(ledger: Engine, site_config: SiteConfig) -> None:
    reader = Reader(create_site(ledger, lambda: NOW, site_config))
    before = statuses(reader)
    rated = {str(Status.AMPLE), str(Status.COVERED), str(Status.THIN), str(Status.SHORT), str(Status.DEPLETED)}
    assert rated & {said["status"] for said in before.values()}, "some are rated while the chain is followed"
    with writing(ledger) as session:
        set_chain_status(session, SIMULATED, ChainStatus.HALTED, WHY.partition(": ")[2])
        mark_unverified(session, SIMULATED, number=1234, reason=WHY)
    for slug, said in statuses(reader).items():
        assert (said["status"], said["status_reason"]) == ("not_computable", WHY), slug
        assert (said["data_status"], said["data_reason"]) == ("unverified", WHY), slug
        assert WHY in html.unescape(reader.get(f"/funds/{slug.partition('/')[0]}").text), slug
    assert "unverified" in reader.get("/").text
    assert WHY.partition(": ")[2] in html.unescape(reader.get("/status").text)
