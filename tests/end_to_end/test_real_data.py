"""The histories of Aave V2 and Drift from the published tables to the pages, checked against the tables themselves."""

import csv
import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from app.demo import Stage, index_history
from app.indexing import register
from app.pipeline import compute
from app.providers import Plan
from app.recordings import ReplayOptions, load_replays
from indexer.registry import FUNDS, load_funds, merged
from indexer.replay.imports.aave_v2 import import_aave
from indexer.replay.imports.drift import import_drift
from indexer.replay.node import running_node
from ledger.clock import system_clock
from ledger.database import open_engine, reading
from ledger.kinds import Role
from ledger.numbers import format_date, format_exact
from ledger.tables import Fact, Fund, Segment
from web.edition import SiteConfig
from web.press import Press

AAVE, DRIFT = "aave-v2-2021-reconstructed", "drift-2022-third-party"
AAVE_TABLE = "aave_v2_liquidations_int_2020-12_2021-07.csv.zst"
FUND_TABLE = "drift_insurance_fund_2022-11_2023-02.csv.zst"
MARKET_TABLE = "drift_perp_markets_2022-11_2023-02.csv.zst"
VAULT_KNOWN_FROM = datetime(2022, 12, 9, tzinfo=UTC)
MADE_UP = "transaction hash, log index and block number are made up"
MILLION = 10**6
KEPT = Decimal("0.98") * Decimal("0.995")
"""What of a USDC counts by the fund's file: 2 % off for access, 0.5 % by policy."""


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """A published table, row by row."""
    with (folder / name).open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return list(csv.DictReader(io.StringIO(text)))


@dataclass(frozen=True)
class Market:
    """One row of a market's polls, money in smallest units."""

    time: int
    paid: int
    socialised: int
    cap: int
    open_interest: Decimal


def markets(folder: Path) -> dict[str, list[Market]]:
    """The polls of each market in order of time; before they were named, the dearer of two is BTC."""
    found: dict[str, list[Market]] = defaultdict(list)
    for row in table(folder, MARKET_TABLE):
        price = Decimal(row["oracle_price"])
        name = row["market"]
        if name == "Default Market Name":
            name = "BTC-PERP" if price > 5000 else "ETH-PERP"
        size = max(Decimal(row["base_long"]), -Decimal(row["base_short"])) * price
        paid = int(Decimal(row["quote_settled_insurance"]) * MILLION)
        cap = int(Decimal(row["quote_max_insurance"]) * MILLION)
        found[name].append(Market(int(row["observed_unix"]), paid, int(row["total_social_loss_raw"]), cap, size))
    return {name: sorted(rows, key=lambda row: row.time) for name, rows in found.items()}


@dataclass
class Site:
    """A ledger with both histories, and its pages by path, each made once."""

    engine: Engine
    press: Press
    made: dict[str, str] = field(default_factory=dict)

    def page(self, path: str) -> str:
        """A page or twin as it is served."""
        if path not in self.made:
            sheet = self.press.sheet(path)
            assert sheet is not None, path
            self.made[path] = sheet.body.decode()
        return self.made[path]

    def text(self, path: str) -> str:
        """What a reader reads: no tags, spaces single."""
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", self.page(path))))

    def twin(self, path: str) -> dict[str, Any]:
        """A JSON twin."""
        told: dict[str, Any] = json.loads(self.page(path))
        return told

    def segment(self, slug: str) -> dict[str, Any]:
        """The only segment of a fund's twin."""
        (told,) = self.twin(f"/funds/{slug}.json")["segments"]
        return dict(told)

    def metric(self, slug: str, name: str) -> dict[str, Any]:
        """A latest number of the twin."""
        return next(dict(row) for row in self.segment(slug)["metrics"] if row["name"] == name)


@pytest.fixture(scope="module")
def site(real_data: Path, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Site]:
    """Imported, replayed over HTTP, indexed, computed: the pages of it."""
    folder = tmp_path_factory.mktemp("real")
    replays = load_replays([import_aave(real_data, folder), import_drift(real_data, folder)], ReplayOptions())
    path = folder / "ledger.sqlite"
    path.write_bytes(migrated_sqlite.read_bytes())
    engine = open_engine(f"sqlite:///{path}")
    with running_node(replays) as node:
        registry = merged(load_funds(FUNDS / replay.slug) for replay in replays)
        plan = Plan(registry, {chain.id: [node.url_of(chain.slug)] for chain in registry.chains})
        register(engine, plan)
        outcomes = index_history(Stage(engine, plan, {replay.slug: replay for replay in replays}))
    assert [outcome for outcome in outcomes if not outcome.is_ok] == []
    compute(engine)
    yield Site(engine, Press(engine, system_clock, SiteConfig()))
    engine.dispose()


def drift_facts(site: Site, *roles: Role) -> list[Fact]:
    """Drift's facts of some roles in order of time."""
    with reading(site.engine) as session:
        return list(_drift_facts(session, roles))


def _drift_facts(session: Session, roles: tuple[Role, ...]) -> list[Fact]:
    query = (
        select(Fact)
        .join(Segment, col(Segment.id) == col(Fact.segment_id))
        .join(Fund, col(Fund.slug) == col(Segment.fund_slug))
        .where(col(Fund.slug) == DRIFT, col(Fact.role).in_([str(role) for role in roles]))
        .order_by(col(Fact.block_number), col(Fact.fact_no))
    )
    return list(session.exec(query).all())


def test_aave_shows_every_liquidation_of_the_table(site: Site, real_data: Path) -> None:
    rows = table(real_data, AAVE_TABLE)
    assert len(rows) == 6231
    assert "6,231 liquidations from 17 Dec 2020 to 27 Jul 2021" in site.text(f"/funds/{AAVE}")
    assert site.segment(AAVE)["liquidations"]["count"] == 6231
    assert site.metric(AAVE, "liquidations")["value"] == "6231"


def test_the_sum_of_each_debt_asset_equals_the_tables_to_the_last_unit(site: Site, real_data: Path) -> None:
    expected: dict[str, int] = defaultdict(int)
    for row in table(real_data, AAVE_TABLE):
        # The AMM pool's reserves are the same tokens under a name of their own.
        expected[row["principalReserve"].removeprefix("Amm").upper()] += int(row["principalAmount"])
    sums = [row for row in site.segment(AAVE)["liquidations"]["sums"] if row["side"] == "debt"]
    assert {row["asset"].upper(): int(row["sum_raw"]) for row in sums} == expected
    page = site.text(f"/funds/{AAVE}")
    for row in sums:
        assert f"{format_exact(Decimal(row['sum']))} {row['asset']}" in page, row["asset"]


def test_the_largest_count_of_liquidations_stands_first(site: Site) -> None:
    page = site.page(f"/funds/{AAVE}")
    table_of_assets = page[page.index("Liquidations by asset") : page.index("Liquidations by month")]
    counts = [
        int(count.replace(",", ""))
        for side, count in re.findall(
            r"<td[^>]*>(debt repaid|collateral seized)</td><td[^>]*>([\d,]+)</td>", table_of_assets
        )
        if side == "debt repaid"
    ]
    assert counts[0] == 2144
    assert counts == sorted(counts, reverse=True)


def test_aaves_page_says_what_is_reconstructed_and_prints_nothing_made_up(site: Site) -> None:
    page = site.text(f"/funds/{AAVE}")
    assert "Replay of Ethereum, Aave V2 liquidations 2020-12 to 2021-07 : reconstructed" in page
    assert MADE_UP in page
    assert "are genuine" in page
    with reading(site.engine) as session:
        hashes = set(session.exec(select(Fact.tx_hash).where(col(Fact.tx_hash).is_not(None))).all())
    assert len(hashes) > 4000
    assert not {one for one in hashes if one and one[:8] in page}
    assert not re.search(r"\bblock\s4,275|log \d", page)
    twin = site.twin(f"/funds/{AAVE}.json")
    assert "tx_hash" in twin["synthetic"]
    assert all(row["is_synthetic"] for row in twin["segments"][0]["metrics"])


def test_aave_is_not_computable_and_says_why_each_part_is_unknown(site: Site) -> None:
    page = site.text(f"/funds/{AAVE}")
    assert site.segment(AAVE)["status"] == "not_computable"
    assert "Coverage cannot be stated" in page
    assert "no fund stands behind" not in page
    for unknown in ("No balance is drawn, because none is known", "Inflows and outflows are unknown"):
        assert unknown in page


@pytest.mark.parametrize(
    ("role", "counter"),
    [(Role.PAYOUT, lambda row: row.paid), (Role.SOCIALISED_LOSS, lambda row: row.socialised)],
    ids=["payouts", "socialised losses"],
)
def test_what_a_market_lost_is_its_last_counter_less_its_first(
    site: Site, real_data: Path, role: Role, counter: Callable[[Market], int]
) -> None:
    twin = site.segment(DRIFT)["losses"]
    for name, rows in markets(real_data).items():
        expected = counter(rows[-1]) - counter(rows[0])
        facts = [fact for fact in drift_facts(site, role) if fact.market == name]
        assert sum(fact.amount_raw or 0 for fact in facts) == expected, name
        told = [row for row in twin if row["market"] == name and row["role"] == role]
        assert sum(int(row["amount_raw"]) for row in told) == expected, name
        by_time = {row.time: counter(row) for row in rows}
        for fact in facts:
            assert fact.since_number is not None
            assert fact.amount_raw == by_time[fact.block_number] - by_time[fact.since_number]


def test_every_payout_and_socialised_loss_stands_on_the_page_with_market_and_day(site: Site, real_data: Path) -> None:
    page = site.page(f"/funds/{DRIFT}")
    lines = re.findall(r'<tr id="([^"]+)">(.*?)</tr>', page, re.DOTALL)
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for fact in drift_facts(site, Role.PAYOUT, Role.SOCIALISED_LOSS):
        sums[fact.role, fact.market or "", format_date(fact.block_time)] += fact.amount_raw or 0
    assert len(sums) >= 8
    words = {Role.PAYOUT: "Paid by the fund", Role.SOCIALISED_LOSS: "Socialised loss"}
    for role, market, day in sums:
        found = [text for _, text in lines if words[Role(role)] in text and market in text and f">{day}" in text]
        assert found, (role, market, day)
    told = site.text(f"/funds/{DRIFT}")
    paid = sum(rows[-1].paid - rows[0].paid for rows in markets(real_data).values())
    assert f"{round(Decimal(paid) / MILLION):,} USDC" in told[told.index("Losses by market") :]


def test_no_unstake_counts_as_a_payout(site: Site, real_data: Path) -> None:
    polls = [row for row in table(real_data, FUND_TABLE) if row["vault_usdc"]]
    polls.sort(key=lambda row: int(row["observed_unix"]))
    fallen = {
        (int(one["observed_unix"]), int(two["observed_unix"])): int(one["user_shares"]) - int(two["user_shares"])
        for one, two in pairwise(polls)
        if int(two["user_shares"]) < int(one["user_shares"])
    }
    assert fallen
    left = [fact for fact in drift_facts(site, Role.WITHDRAWAL) if (fact.detail or {}).get("what") == "unstake"]
    assert {(fact.since_number, fact.block_number): int((fact.detail or {})["shares"]) for fact in left} == fallen
    # A payout names a market and has grown that market's counter (the test above); an unstake does neither.
    assert all(fact.market and not fact.detail for fact in drift_facts(site, Role.PAYOUT))
    assert not any(fact.market for fact in left)


def test_holes_in_polling_are_shown(site: Site, real_data: Path) -> None:
    times = {int(row["observed_unix"]) for row in table(real_data, FUND_TABLE) + table(real_data, MARKET_TABLE)}
    before, after = max(pairwise(sorted(times)), key=lambda pair: pair[1] - pair[0])
    page = site.text(f"/funds/{DRIFT}")
    shown = page[page.index("Holes in polling, the longest first") :]
    for moment in (before, after):
        assert f"{format_date(datetime.fromtimestamp(moment, UTC))}, " in shown[:300]
    (row,) = [one for one in site.twin("/status.json")["segments"] if one["slug"] == DRIFT]
    assert [before + 1, after - 1] in row["holes"]
    assert f"{len(row['holes'])} holes in polling" in site.text("/status")


def test_coverage_over_open_interest_is_the_vaults_over_the_tables(site: Site, real_data: Path) -> None:
    at = site.metric(DRIFT, "coverage_of_exposure")["block_number"]
    last = {name: [row for row in rows if row.time <= at][-1] for name, rows in markets(real_data).items()}
    vault = next(row for row in table(real_data, FUND_TABLE) if int(row["observed_unix"]) == at)["vault_usdc"]
    usable = Decimal(vault) / MILLION * KEPT
    open_interest = sum(row.open_interest for row in last.values())
    told = Decimal(site.metric(DRIFT, "coverage_of_exposure")["value"])
    assert told == (usable / open_interest).quantize(Decimal("0.0001"), ROUND_FLOOR)
    page = site.text(f"/funds/{DRIFT}")
    assert f"{told.quantize(Decimal('0.01'), ROUND_FLOOR)}×" in page
    rows = {row["market"]: row for row in site.metric(DRIFT, "market_cover")["detail"]["rows"]}
    assert set(rows) == set(last)
    for name, row in last.items():
        left = Decimal(max(0, row.cap - row.paid)) / MILLION
        expected = min(usable, left) / row.open_interest
        assert abs(Decimal(rows[name]["left"]) - left) <= Decimal("0.01"), name
        assert abs(Decimal(str(rows[name]["cover"])) - expected) <= Decimal("0.0001"), name


def test_a_vault_that_was_not_polled_is_unknown_and_never_zero(site: Site) -> None:
    rows = site.segment(DRIFT)["balance"]["rows"]
    early = [row for row in rows if datetime.fromisoformat(row[1]) < VAULT_KNOWN_FROM]
    assert len(early) > 1000
    assert all(row[2] is None and row[3] is None for row in early)
    assert all(row[2] is not None for row in rows[-10:])
    (part,) = site.twin(f"/funds/{DRIFT}/facts/gross_balance.json")["segments"]
    days = [row for row in part["history"] if row["day"] < "2022-12-09"]
    assert len(days) > 20
    assert all(row["value"] is None and row["quality"] == "unknown" and row["reason"] for row in days)
