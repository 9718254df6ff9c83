"""One live fund with a few published days: quick to publish, and its own to write to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from ledger.database import writing
from ledger.kinds import Role
from ledger.tables import Platform
from tests.web.inventor import LIVE, NOW, Inventor

SLUG, NAME = "small-fund", "Small fund"
FIRST = datetime(2026, 11, 18, tzinfo=UTC)
DAYS = ("2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21")
NUMBERS: Mapping[str, tuple[Any, ...]] = {
    "gross_balance": ("1000", "USDC"),
    "usable_value": ("990", "usd"),
    "coverage": ("1.5", "ratio"),
    "reference_loss": ("660", "usd", "worst 7 days"),
    "status": (2, "band", "thin"),
    "data_status": (None, "text", "verified"),
}


def invent_small(engine: Engine) -> None:
    """Fills an empty, migrated ledger."""
    with writing(engine) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="small", name="Small"))
        inventor.chain(LIVE, "optimism", "Optimism", "live", NOW)
        usdc = inventor.asset(LIVE, "USDC", 6, 1.0, NOW)
        fund = inventor.fund(SLUG, NAME, LIVE, "small", asset=usdc)
        for place, _ in enumerate(DAYS, start=1):
            at = FIRST + timedelta(days=place)
            inventor.fact(fund, at - timedelta(hours=3), Role.SHORTFALL, 10_000_000 + place, asset_id=usdc.id)
            inventor.metrics(fund, at, dict(NUMBERS))
