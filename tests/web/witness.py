"""Facts to be checked: a live fund, one of a reconstruction and one of polls, and whoever writes down what happened."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ledger.database import writing
from ledger.kinds import Role
from ledger.tables import Alert, AlertEvidence, Asset, Platform, RawLog, Segment
from tests.web.conftest import Reader
from tests.web.inventor import LIVE, NOW, RECONSTRUCTED, VENUE, Inventor, address, digest
from web.edition import SiteConfig
from web.site import create_site

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
TX = digest("the transaction")
MARK = TX[2:14]
EXPLORER = "https://explorer.example"
SITE = "https://backstop.example"
FUNDS = {LIVE: "alpha", RECONSTRUCTED: "past-reconstructed", VENUE: "drift-third-party"}


@dataclass
class Witness:
    """Writes down what happened, in one transaction."""

    inventor: Inventor
    segments: dict[int, Segment]
    asset: Asset

    def tell(self, time: datetime, role: Role, raw: int | None = None, *, chain_id: int = LIVE, **more: Any) -> None:
        """One fact; an amount is in the fund's token."""
        told = {"asset_id": None if raw is None else self.asset.id} | more
        self.inventor.fact(self.segments[chain_id], time, role, raw, **told)

    def log(self, time: datetime, *, chain_id: int = LIVE) -> None:
        """The raw log of the block's first facts."""
        block = self.inventor.block(chain_id, time)
        self.inventor.add(
            RawLog(
                chain_id=chain_id,
                block_hash=block.hash,
                log_index=0,
                block_number=block.number,
                tx_hash=TX,
                address=address("emitter"),
                topics=f"{digest('topic 0')},{digest('topic 1')}",
                data="0xda7a",
            )
        )

    def announce(self, time: datetime, key: str, sentence: str, *, retracts: int | None = None) -> int:
        """An announcement that stands on the live chain's block of that time; its id."""
        block = self.inventor.block(LIVE, time)
        alert = self.inventor.add(
            Alert(
                key=sentence,
                event="fund.shortfall.recorded",
                severity="critical",
                subject="alpha",
                fund_slug="alpha",
                chain_id=LIVE,
                happened_at=time,
                title=sentence,
                message={"sentence": sentence},
                retracts=retracts,
                created_at=NOW,
            )
        )
        self.inventor.add(
            AlertEvidence(
                alert_id=alert.id, fact_key=key, chain_id=LIVE, block_number=block.number, block_hash=block.hash
            )
        )
        return int(alert.id)


@contextmanager
def witnessing(engine: Engine) -> Iterator[Witness]:
    """Three funds in an empty, migrated ledger, and whoever tells what happened to them."""
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW, explorer=EXPLORER)
        inventor.chain(RECONSTRUCTED, "past-reconstructed", "The past", "reconstructed", NOW, explorer=EXPLORER)
        inventor.chain(VENUE, "drift-third-party", "Drift", "recorded_by_third_party", NOW, is_venue=True)
        usdc = inventor.asset(LIVE, "USDC", 6, 1.0, NOW)
        funds = {
            chain_id: inventor.fund(slug, f"Fund {slug}", chain_id, "perp-v2", asset=usdc)
            for chain_id, slug in FUNDS.items()
        }
        yield Witness(inventor, funds, usdc)


def reader_of(engine: Engine) -> Reader:
    """A reader of a site over that ledger."""
    return Reader(create_site(engine, lambda: NOW, SiteConfig(site_url=SITE, docs=Path("docs").resolve())))


def said(text: str) -> str:
    """What a reader reads."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def rows_of(text: str) -> list[list[str]]:
    """Cells of the page's table."""
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    return [[said(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in body.split("<tr")[1:]]
