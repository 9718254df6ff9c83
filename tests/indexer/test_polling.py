"""Polls over HTTP into the ledger: resumed, repeated, refused, and the real history."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from indexer.polling import VenueWork, sync_venue
from indexer.registry import FUNDS, Registry, load_funds, write
from indexer.replay.imports.drift import import_drift
from indexer.replay.node import create_node, load_replay
from ledger.database import open_engine, reading, writing
from ledger.kinds import ChainStatus, ReadingName, Role
from ledger.tables import Asset, Chain, Coverage, Cursor, Fact, Reading, Segment, Snapshot
from ledger.writer import LedgerWriter
from tests.indexer.table_rows import all_rows

SLUG = "drift-2022-third-party"
MILLION = 10**6


def market(paid: str, lost: int = 0) -> dict[str, object]:
    """A market as the recording has it."""
    decimals = {
        "oracle_price": "31.5", "base_long": "10.0", "base_short": "-4.0", "total_fee": "1.0",
        "total_liquidation_fee": "1.0", "quote_max_insurance": "1000.0", "quote_settled_insurance": paid,
    }  # fmt: skip
    return {**decimals, "total_social_loss_raw": lost, "margin_ratio_maintenance": "0.05", "users": 3, "slot": 1}


def fund(vault: int | None, user: int) -> dict[str, object]:
    """The fund, with 1,000 shares."""
    return {"vault_raw": vault, "total_shares_raw": 1000, "user_shares_raw": user, "spot_social_loss_raw": 0}


POLLS = [
    {"time": 1000, "fund": fund(None, 500), "markets": {"SOL-PERP": market("1.0")}},
    {"time": 1600, "fund": fund(1000, 500), "markets": {"SOL-PERP": market("1.0")}},
    {"time": 2200, "fund": None, "markets": {"SOL-PERP": market("1.00002", 5)}},
    {"time": 2800, "fund": fund(880, 400), "markets": {}},
    {"time": 90_000, "fund": fund(881, 400), "markets": {"SOL-PERP": market("1.00002", 5)}},
]


def answering(polls: list[dict[str, object]], *, page: int = 2, **changed: object) -> httpx.MockTransport:
    """A venue over HTTP with a small page size."""

    def answer(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        left = [poll for poll in polls if int(str(poll["time"])) > after]
        known = {"slug": SLUG, "kind": "recorded_by_third_party", "chain_id": 420221107, "head": polls[-1]["time"]}
        return httpx.Response(200, json={**known, "has_more": len(left) > page, "polls": left[:page], **changed})

    return httpx.MockTransport(answer)


@pytest.fixture
def registry() -> Registry:
    """Drift's fund file."""
    return load_funds(FUNDS / SLUG)


@pytest.fixture
def make_ledger(registry: Registry, tmp_path: Path, migrated_sqlite: Path) -> Callable[[str], Engine]:
    """Ledgers that know the fund."""

    def made(name: str) -> Engine:
        path = tmp_path / f"{name}.sqlite"
        path.write_bytes(migrated_sqlite.read_bytes())
        engine = open_engine(f"sqlite:///{path}")
        with writing(engine) as session:
            write(session, registry)
        return engine

    return made


def run(engine: Engine, registry: Registry, transport: httpx.AsyncBaseTransport) -> ChainStatus:
    """Polls up to the head once."""

    async def work() -> ChainStatus:
        venue = VenueWork(registry.chains[0], registry.funds[0], f"http://venue/{SLUG}")
        with LedgerWriter(engine) as writer:
            async with httpx.AsyncClient(transport=transport) as client:
                clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # noqa: E731
                return (await sync_venue(writer, venue, clock, client=client)).status

    return asyncio.run(work())


def facts(session: Session) -> list[tuple[int, int | None, str, int | None]]:
    """(poll, since, role, amount) of all facts, in order."""
    rows = session.exec(select(Fact)).all()
    return [
        (row.block_number, row.since_number, row.role, row.amount_raw)
        for row in sorted(rows, key=lambda row: (row.block_number, row.fact_no))
    ]


def test_polls_become_blocks_readings_and_facts_between_them(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    assert run(engine, registry, answering(POLLS)) == ChainStatus.FOLLOWING
    with reading(engine) as session:
        # 1,000 → 880: 20 paid, 100 user shares of 1,000 unstaked at 1 a share; then 1 of revenue.
        assert facts(session) == [
            (2200, 1600, Role.SHORTFALL, 25),
            (2200, 1600, Role.PAYOUT, 20),
            (2200, 1600, Role.SOCIALISED_LOSS, 5),
            (2800, 1600, Role.WITHDRAWAL, 100),
            (90_000, 2800, Role.CONTRIBUTION, 1),
        ]
        vault = session.exec(
            select(Reading).where(Reading.name == ReadingName.BALANCE, Reading.block_number == 1000)
        ).one()
        assert vault.value_raw is None
        assert vault.error == "the vault's amount was not polled"
        chain = session.exec(select(Chain)).one()
        assert (chain.status, chain.head_number) == (ChainStatus.FOLLOWING, 90_000)
        assert session.exec(select(Segment)).one().status == "ok"
        snapshots = session.exec(select(Snapshot).order_by(col(Snapshot.block_number))).all()
        assert [(row.block_number, row.residual_raw, row.is_reconciled) for row in snapshots] == [
            (1000, None, None), (1600, None, None), (2800, 0, True), (90_000, 0, True),
        ]  # fmt: skip


def test_both_databases_hold_the_same_rows(
    make_ledger: Callable[[str], Engine], registry: Registry, postgres_ledger_url: str
) -> None:
    one, other = make_ledger("one"), open_engine(postgres_ledger_url)
    with writing(other) as session:
        write(session, registry)
    for engine in (one, other):
        run(engine, registry, answering(POLLS))
    assert all_rows(one) == all_rows(other)
    other.dispose()


def test_a_hole_in_polling_is_a_hole_in_coverage(make_ledger: Callable[[str], Engine], registry: Registry) -> None:
    engine = make_ledger("one")
    run(engine, registry, answering(POLLS))
    with reading(engine) as session:
        rows = session.exec(select(Coverage).order_by(col(Coverage.from_number))).all()
    assert [(row.from_number, row.to_number) for row in rows] == [(1000, 2800), (90_000, 90_000)]


def test_pages_and_restarts_leave_no_trace(make_ledger: Callable[[str], Engine], registry: Registry) -> None:
    whole, parts = make_ledger("whole"), make_ledger("parts")
    run(whole, registry, answering(POLLS, page=100))
    for end in (1, 2, 3, 3, 5, 5):
        run(parts, registry, answering(POLLS[:end], page=1))
    assert all_rows(whole) == all_rows(parts)


def test_another_recording_at_the_address_is_refused_with_both_names(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    assert run(engine, registry, answering(POLLS, slug="drift-2023")) == ChainStatus.UNREACHABLE
    with reading(engine) as session:
        chain = session.exec(select(Chain)).one()
        assert chain.status == ChainStatus.UNREACHABLE
        assert "drift-2023" in chain.status_reason
        assert session.exec(select(func.count()).select_from(Cursor)).one() == 0


def test_a_broken_poll_stores_nothing_of_its_page(make_ledger: Callable[[str], Engine], registry: Registry) -> None:
    engine = make_ledger("one")
    broken = {"time": 2000, "fund": {"vault_raw": "much"}, "markets": {}}
    assert run(engine, registry, answering([POLLS[0], broken])) == ChainStatus.UNREACHABLE
    with reading(engine) as session:
        assert "poll 2000" in session.exec(select(Chain)).one().status_reason
        assert facts(session) == []
        assert session.exec(select(func.count()).select_from(Reading)).one() == 0


def test_the_real_history_pays_exactly_what_its_counters_say(
    make_ledger: Callable[[str], Engine], registry: Registry, real_data: Path, tmp_path: Path
) -> None:
    engine = make_ledger("real")
    node = create_node([load_replay(import_drift(real_data, tmp_path))])
    assert run(engine, registry, httpx.ASGITransport(app=node)) == ChainStatus.FOLLOWING
    with reading(engine) as session:
        rows = session.exec(select(Fact)).all()
        used = session.exec(select(Reading).where(Reading.name == ReadingName.INSURANCE_USED)).all()
        lost = session.exec(select(Reading).where(Reading.name == ReadingName.SOCIALISED_LOSS_TOTAL)).all()
        status = session.exec(select(Segment)).one()
        unreconciled = session.exec(select(Snapshot).where(col(Snapshot.is_reconciled).is_(False))).all()
    for role, counters in ((Role.PAYOUT, used), (Role.SOCIALISED_LOSS, lost)):
        for name in {row.subject for row in counters}:
            series = sorted((row.block_number, row.value_raw or 0) for row in counters if row.subject == name)
            total = sum(row.amount_raw or 0 for row in rows if row.role == role and row.market == name)
            assert total == series[-1][1] - series[0][1], (role, name)
    # 3,242.91208 − 0.433938 USDC were paid for SOL-PERP; no fact that pays names shares.
    assert sum(row.amount_raw or 0 for row in rows if row.role == Role.PAYOUT) == 3_242_478_142
    assert all(row.detail is None for row in rows if row.role == Role.PAYOUT)
    assert (status.status, unreconciled) == ("ok", [])


def test_a_cap_and_its_use_are_usdc_and_open_interest_is_the_markets_coin(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    run(engine, registry, answering(POLLS))
    with reading(engine) as session:
        symbols = {asset.id: asset.symbol for asset in session.exec(select(Asset)).all()}
        named = {row.name: symbols.get(row.asset_id) for row in session.exec(select(Reading)).all()}
    for name in (ReadingName.BALANCE, ReadingName.INSURANCE_CAP, ReadingName.INSURANCE_USED, ReadingName.INDEX_PRICE):
        assert named[name] == "USDC", name
    assert named[ReadingName.OPEN_INTEREST_LONG] == named[ReadingName.OPEN_INTEREST_SHORT] == "SOL-PERP"
    assert named[ReadingName.USER_SHARES] is None
