"""Flows by month: exact sums, and what they do not hold is said."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine

from ledger.clock import system_clock
from ledger.pages import EventRow, asking
from web.edition import Edition, SiteConfig
from web.flows import flow_table


def test_a_flow_without_an_amount_or_in_another_asset_is_named_and_not_summed(engine: Engine) -> None:
    with asking(engine) as session:
        edition = Edition(session, system_clock, SiteConfig())
        place = next(place for place in edition.places if place.asset is not None)
        known = EventRow(
            segment_id=place.segment_id, role="contribution", source="trading_fee", side=None, amount_raw=5,
            asset_id=place.segment.asset_id, account=None, market=None, block_number=1,
            block_time=datetime(2026, 1, 5, tzinfo=UTC), block_hash="0x" + "0" * 64, log_index=0, fact_no=0,
            tx_hash=None, since_number=None,
        )  # fmt: skip
        rows = [known, replace(known, amount_raw=None), replace(known, asset_id=10**6)]
        alone, told = flow_table(edition, place, [known]), flow_table(edition, place, rows)
    assert alone is not None
    assert told is not None
    assert told.rows == alone.rows
    assert alone.note == "1 flow; sums are exact and rounded only to be printed."
    assert told.note == f"{alone.note} 1 flow without a known amount not counted. 1 flow in other assets not counted."
