"""Questions of pages that take one step into an index for each thing asked for, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import open_engine, reading, writing
from ledger.pages import last_snapshots, list_places, prices_behind
from ledger.tables import Asset, Platform, Price
from tests.web.inventor import LIVE, SIMULATED, Inventor

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Two chains with a fund each that is read three times, one that never was, and prices of three hours."""
    opened = open_engine(database_url)
    with writing(opened) as session:
        inventor = Inventor(session)
        inventor.add(Platform(slug="perp-v2", name="Perp v2"))
        for chain_id, slug in ((LIVE, "alpha"), (SIMULATED, "beta")):
            inventor.chain(chain_id, slug, slug, "live", START + 3 * HOUR)
            usdc = inventor.asset(chain_id, "USDC", 6, 1.0, START)
            for hour in (1, 2):
                add_price(inventor, usdc, START + hour * HOUR, hour)
            inventor.asset(chain_id, "WETH", 18, 2000.0, START + HOUR)
            segment = inventor.fund(slug, slug, chain_id, "perp-v2", asset=usdc)
            inventor.balances(segment, usdc, [(START + hour * HOUR, hour) for hour in range(3)])
        inventor.fund("gamma", "gamma", LIVE, "perp-v2")
    yield opened
    opened.dispose()


def add_price(inventor: Inventor, asset: Asset, time: datetime, raw: int) -> None:
    block = inventor.block(asset.chain_id, time)
    key = {"chain_id": asset.chain_id, "block_hash": block.hash, "block_number": block.number, "block_time": time}
    inventor.add(Price(**key, asset_id=asset.id, answer_raw=raw, decimals=8, feed="feed"))


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A look at it."""
    with reading(engine) as opened:
        yield opened


def test_the_last_snapshot_of_each_segment_is_found_and_none_where_nothing_was_read(session: Session) -> None:
    alpha, beta, _ = (place.segment_id for place in list_places(session))
    found = last_snapshots(session)
    assert {key: row.block_time for key, row in found.items()} == {
        alpha: START + 2 * HOUR,
        beta: START + 2 * HOUR,
    }


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (-1, []),
        (0, [("USDC", 10**8)]),
        (1, [("USDC", 1), ("WETH", 2000 * 10**8)]),
        (9, [("USDC", 2), ("WETH", 2000 * 10**8)]),
    ],
)
def test_prices_are_the_last_ones_not_above_the_block_and_of_its_chain_only(
    engine: Engine, session: Session, hours: int, expected: list[tuple[str, int]]
) -> None:
    number = Inventor(session).number(LIVE, START + hours * HOUR)
    found = prices_behind(session, LIVE, number)
    assert [(asset.symbol, price.answer_raw) for price, asset in found] == expected
    assert {asset.chain_id for _, asset in found} <= {LIVE}
