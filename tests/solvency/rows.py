"""A small ledger by hand: one chain, one fund, and its rows day by day."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import Engine, select
from sqlmodel import SQLModel, col

from ledger.bulk import insert_rows
from ledger.clock import Clock
from ledger.database import reading, writing
from ledger.kinds import FundKind, ReadingName, Role, Shape, SourceKind
from ledger.tables import (
    Asset,
    Block,
    Chain,
    Coverage,
    Cursor,
    Fact,
    Fund,
    Metric,
    Platform,
    Price,
    Reading,
    Segment,
    Snapshot,
)
from solvency.compute import ComputeSummary, compute_all

CHAIN, USDC, ETH = 42, 1, 2
START = datetime(2021, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
USDC_ADDRESS, ETH_ADDRESS = "0x" + "aa" * 20, "0x" + "bb" * 20
BLOCKS_A_DAY = 100


def hash_of(number: int) -> str:
    return "0x" + sha256(str(number).encode()).hexdigest()


@dataclass
class Rows:
    """Rows of one segment, handed to the ledger in any order wanted."""

    kind: FundKind = FundKind.PERP_FUND
    shape: Shape = Shape.PERP_V2_CURIE
    source: SourceKind = SourceKind.SIMULATED
    is_venue: bool = False
    asset: int | None = USDC
    found: list[SQLModel] = field(default_factory=list)
    blocks: dict[int, datetime] = field(default_factory=dict)
    head: int = 0
    _log: int = 0

    def at(self, day: float) -> tuple[int, datetime]:
        """The block of a moment, in days since the start."""
        time = START + timedelta(seconds=round(day * 86_400))
        number = int(time.timestamp()) if self.is_venue else 1 + round(day * BLOCKS_A_DAY)
        self.blocks[number] = time
        self.head = max(self.head, number)
        return number, time

    def _place(self, day: float) -> dict[str, object]:
        number, time = self.at(day)
        return {"chain_id": CHAIN, "block_hash": hash_of(number), "block_number": number, "block_time": time}

    def read(
        self, day: float, name: ReadingName, value: float | None, subject: str = "", *, decimals: int = 6,
        asset: int | None = None,
    ) -> None:  # fmt: skip
        raw = None if value is None else round(value * 10**decimals)
        self.found.append(
            Reading(
                **self._place(day), segment_id=1, name=name, subject=subject, value_raw=raw, decimals=decimals,
                asset_id=asset, contract="0x", call="read()", error="reverted" if raw is None else None,
            )
        )  # fmt: skip

    def price(self, day: float, usd: float | None = 1.0, *, asset: int = USDC) -> None:
        raw = None if usd is None else round(usd * 10**8)
        _, time = self.at(day)
        self.found.append(
            Price(**self._place(day), asset_id=asset, answer_raw=raw, decimals=8, updated_at=time, feed="0xfeed")
        )

    def fact(
        self, day: float, role: Role, amount: float = 0.0, *, source: str | None = None, side: str | None = None,
        account: str | None = None, market: str | None = None, asset: int = USDC,
    ) -> None:  # fmt: skip
        self._log += 1
        scale = 10 ** (18 if asset == ETH else 6)
        self.found.append(
            Fact(
                **self._place(day), log_index=self._log, fact_no=0, segment_id=1, tx_hash=hash_of(self._log), role=role,
                source=source, side=side, amount_raw=round(amount * scale), asset_id=asset, account=account,
                market=market, decoder="test@1",
            )
        )  # fmt: skip

    def snapshot(self, day: float, *, kind: str = "scheduled", is_reconciled: bool | None = True) -> None:
        self.found.append(Snapshot(**self._place(day), segment_id=1, kind=kind, is_reconciled=is_reconciled))

    def scan(self, first_day: float = 0.0, last_day: float | None = None) -> None:
        first, last = self.at(first_day)[0], self.head if last_day is None else self.at(last_day)[0]
        self.found = [row for row in self.found if not isinstance(row, Coverage) or row.from_number != first]
        self.found.append(
            Coverage(
                segment_id=1, filter_digest="f", from_number=first, to_number=last, level=2,
                verified_at=START,
            )
        )  # fmt: skip

    def money(self, day: float, balance: float | None, *, price: float | None = 1.0) -> None:
        """A complete snapshot: the balance and the price of its token."""
        self.snapshot(day)
        self.read(day, ReadingName.BALANCE, balance, asset=USDC)
        self.price(day, price)

    def market(self, day: float, price: float, *, is_open: bool = True) -> None:
        self.read(day, ReadingName.INDEX_PRICE, price, ETH_ADDRESS, decimals=18)
        self.read(day, ReadingName.IS_OPEN, float(is_open), ETH_ADDRESS, decimals=0)

    def account(self, day: float, name: str, value: float | None, size: float) -> None:
        """An account's value in USDC and its signed size in the market."""
        self.read(day, ReadingName.ACCOUNT_VALUE, value, name, decimals=18)
        self.read(day, ReadingName.MARGIN_REQUIREMENT, abs(size) * 100, name, decimals=18)
        self.read(day, ReadingName.POSITION_SIZE, size, f"{name}/{ETH_ADDRESS}", decimals=18)

    def take(self, day: float, name: str, size: float) -> None:
        """A taker's position changes."""
        self.fact(
            day, Role.EXPOSURE_CHANGE, size, side="position", account=name, market=ETH_ADDRESS, asset=ETH
        )  # fmt: skip

    def write(self, engine: Engine, *, is_reversed: bool = False) -> None:
        """Write everything, blocks first; the rest forwards or backwards."""
        last = self.blocks[self.head]
        with writing(engine) as session:
            session.add(
                Chain(
                    chain_id=CHAIN, slug="test", name="Test", kind=self.source, is_venue=self.is_venue,
                    head_number=self.head, head_time=last, finalized_number=self.head,
                )
            )  # fmt: skip
            session.add(Platform(slug="p", name="P"))
            session.flush()
            session.add_all(self._list_setup())
            session.flush()
            rows = self.found[::-1] if is_reversed else self.found
            numbers = sorted(self.blocks, reverse=is_reversed)
            columns = ("chain_id", "hash", "number", "parent_hash", "timestamp", "status")
            blocks = [(CHAIN, hash_of(n), n, hash_of(n - 1), self.blocks[n], "finalized") for n in numbers]
            insert_rows(session, Block, columns, blocks)
            for model in dict.fromkeys(type(row) for row in rows):
                names = tuple(model.model_fields)
                own = [row for row in rows if type(row) is model]
                insert_rows(session, model, names, [[getattr(row, name) for name in names] for row in own])

    def _list_setup(self) -> Iterable[SQLModel]:
        yield Fund(
            slug="f", platform_slug="p", name="F", kind=self.kind, shape=self.shape, chain_id=CHAIN, methodology="m",
            file_digest="d",
        )  # fmt: skip
        yield Asset(id=USDC, chain_id=CHAIN, address=USDC_ADDRESS, symbol="USDC", decimals=6, beta=0.0)
        yield Asset(id=ETH, chain_id=CHAIN, address=ETH_ADDRESS, symbol="vETH", decimals=18, beta=1.0)
        if not self.is_venue:
            yield Cursor(chain_id=CHAIN, number=self.head, hash=hash_of(self.head))
        yield Segment(id=1, fund_slug="f", slug="f", name="F", chain_id=CHAIN, asset_id=self.asset, start_number=1)


def clock_at(moment: datetime) -> Clock:
    return lambda: moment


def compute(engine: Engine, *, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> ComputeSummary:
    return compute_all(engine, clock_at(now))


def list_metrics(engine: Engine) -> list[dict[str, object]]:
    """Every metric row without its wall-clock time, in the order of its key."""
    with reading(engine) as session:
        rows = [row.model_dump(exclude={"computed_at"}) for row in session.execute(select(Metric)).scalars()]
    return sorted(rows, key=lambda row: (row["segment_id"], row["day"], row["as_of_number"], row["name"]))


def find_metric(engine: Engine, name: str, day: int) -> Metric:
    """The row of a metric on the n-th day."""
    wanted = (START + DAY * day).strftime("%Y-%m-%d")
    with reading(engine) as session:
        found = session.execute(select(Metric).where(col(Metric.name) == name, col(Metric.day) == wanted)).scalars()
        return max(found, key=lambda row: row.as_of_number)


def perp_days(n_days: int, *, balance: float = 600_000.0) -> Rows:
    """A fund at noon of each day: one long of 100 ETH at 2,000 USD with 40,000 of equity, its maker short."""
    rows = Rows()
    rows.take(0.1, "taker", 100.0)
    for day in range(n_days):
        noon = day + 0.5
        rows.money(noon, balance)
        rows.market(noon, 2_000.0)
        rows.account(noon, "taker", 40_000.0, 100.0)
        rows.account(noon, "maker", 500_000.0, -100.0)
    rows.scan()
    return rows


def lossy(n_days: int = 95) -> Rows:
    """Five shortfalls of 10,000 in the record, a day or more apart, each paid by the fund."""
    rows = perp_days(n_days)
    for day in (10, 20, 30, 40, 41):
        rows.fact(day + 0.2, Role.SHORTFALL, 10_000.0, account="x", market=ETH_ADDRESS)
        rows.fact(day + 0.2, Role.PAYOUT, 10_000.0, account="x", market=ETH_ADDRESS)
        rows.price(day + 0.2)
    rows.scan()
    return rows


def venue(n_days: int = 20) -> Rows:
    """A venue polled at noon: 100 long and 60 short at 20 USD, a market's cap of 1,000 of which 900 are used."""
    rows = Rows(FundKind.VENUE_FUND, Shape.DRIFT, SourceKind.THIRD_PARTY, is_venue=True)
    for day in range(n_days):
        noon = day + 0.5
        rows.money(noon, 5_000.0)
        for name, value in (
            (ReadingName.OPEN_INTEREST_LONG, 100.0),
            (ReadingName.OPEN_INTEREST_SHORT, 60.0),
            (ReadingName.INDEX_PRICE, 20.0),
        ):
            rows.read(noon, name, value, "SOL-PERP")
        rows.read(noon, ReadingName.INSURANCE_CAP, 1_000.0, "SOL-PERP", asset=1)
        rows.read(noon, ReadingName.INSURANCE_USED, 900.0, "SOL-PERP", asset=1)
    return rows
