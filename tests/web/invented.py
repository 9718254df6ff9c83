"""An invented ledger that looks like the real one: thin, depleted, without a fund, not computable, hostile, stale."""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from ledger.database import writing
from ledger.kinds import Role
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
    Reorg,
    Segment,
    Snapshot,
)

HOSTILE = "<script>alert('x')</script>"
NOW = datetime(2026, 11, 22, 17, 2, tzinfo=UTC)
CRASH_END = datetime(2021, 5, 24, tzinfo=UTC)
AAVE_END = datetime(2021, 7, 20, tzinfo=UTC)
DRIFT_END = datetime(2023, 2, 1, tzinfo=UTC)
SIMULATED, RECONSTRUCTED, VENUE, LIVE = 420210501, 420201217, 420221107, 10
COMPUTED_AT = datetime(2026, 11, 22, 17, 3, tzinfo=UTC)


def digest(*parts: object) -> str:
    """A hash made of its parts."""
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


def address(*parts: object) -> str:
    """An address made of its parts."""
    return digest(*parts)[:42]


class Inventor:
    """Writes rows that fit together: blocks before what hangs on them, ids from the session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.blocks: dict[tuple[int, int], Block] = {}

    def add(self, row: Any) -> Any:
        self.session.add(row)
        self.session.flush()
        return row

    def chain(self, chain_id: int, slug: str, name: str, kind: str, head: datetime, **more: Any) -> None:  # noqa: PLR0917  Read as rows of a table.
        more = {"status": "following", "checked_at": COMPUTED_AT, "provenance": ""} | more
        number = self.number(chain_id, head)
        self.add(
            Chain(
                chain_id=chain_id,
                slug=slug,
                name=name,
                kind=kind,
                head_number=number,
                head_time=head,
                finalized_number=number - 2,
                **more,
            )
        )
        block = self.block(chain_id, head)
        self.add(Cursor(chain_id=chain_id, number=block.number, hash=block.hash))

    def number(self, chain_id: int, time: datetime) -> int:
        """Blocks of 12 seconds; polls are numbered by their unix time."""
        seconds = int(time.timestamp())
        return seconds if chain_id == VENUE else (seconds - 1_600_000_000) // 12

    def block(self, chain_id: int, time: datetime) -> Block:
        number = self.number(chain_id, time)
        if (chain_id, number) not in self.blocks:
            self.blocks[chain_id, number] = self.add(
                Block(
                    chain_id=chain_id,
                    hash=digest(chain_id, number),
                    number=number,
                    parent_hash=digest(chain_id, number - 1),
                    timestamp=time,
                    status="finalized",
                )
            )
        return self.blocks[chain_id, number]

    def asset(self, chain_id: int, symbol: str, decimals: int, usd: float, at: datetime, **more: Any) -> Asset:  # noqa: PLR0917  Read as rows of a table.
        asset = self.add(
            Asset(
                chain_id=chain_id,
                address=address(chain_id, symbol),
                symbol=symbol,
                decimals=decimals,
                feed=address("feed", symbol),
                **more,
            )
        )
        block = self.block(chain_id, at)
        self.add(
            Price(
                chain_id=chain_id,
                block_hash=block.hash,
                asset_id=asset.id,
                block_number=block.number,
                block_time=at,
                answer_raw=int(usd * 10**8),
                decimals=8,
                updated_at=at - timedelta(minutes=4),
                feed=asset.feed or "",
            )
        )
        return asset

    def fund(self, slug: str, name: str, chain_id: int, platform: str, **more: Any) -> Segment:
        """A fund with one segment."""
        asset = more.pop("asset", None)
        status = more.pop("segment_status", "ok")
        reason = more.pop("segment_reason", "")
        told = {
            "kind": "perp_fund",
            "shape": "perp_v2_curie",
            "summary": "Pays the losses that liquidated traders leave behind.",
            "methodology": "The balance is the contract's own capacity, read at one block hash each hour.",
            "control": "A multisig of 3 of 5 may move the money at once; there is no timelock.",
            "contracts": {"insurance_fund": address(slug, "fund"), "vault": address(slug, "vault")},
            "waterfall": [
                {"layer": "Trader's margin", "owner": "the trader", "trigger": "first", "note": ""},
                {
                    "layer": "Insurance fund",
                    "owner": "the protocol",
                    "trigger": "equity below zero",
                    "note": "first loss",
                },
                {"layer": "Winners and lenders", "owner": "other users", "trigger": "the fund is empty", "note": ""},
            ],
            "sources": [{"title": "Contract source", "url": "https://example.org/source"}],
            "caveats": ["A liquidation that would cost more than the fund holds reverts and leaves no event."],
        } | more
        self.add(
            Fund(slug=slug, platform_slug=platform, name=name, chain_id=chain_id, file_digest=digest(slug), **told)
        )
        return self.add(
            Segment(
                fund_slug=slug,
                slug=slug,
                name=name,
                chain_id=chain_id,
                asset_id=asset.id if asset else None,
                start_number=1000,
                status=status,
                status_reason=reason,
            )
        )

    def balances(self, segment: Segment, asset: Asset, values: list[tuple[datetime, int | None]]) -> None:
        """Scheduled reads of the balance; None is a call that failed."""
        for time, raw in values:
            block = self.block(segment.chain_id, time)
            key = {
                "chain_id": segment.chain_id,
                "block_hash": block.hash,
                "segment_id": segment.id,
                "block_number": block.number,
                "block_time": time,
            }
            self.session.add(Snapshot(**key, kind="scheduled", residual_raw=0, is_reconciled=True))
            self.session.add(
                Reading(
                    **key,
                    name="balance",
                    value_raw=raw,
                    decimals=asset.decimals,
                    asset_id=asset.id,
                    contract=address(segment.slug, "fund"),
                    call="getInsuranceFundCapacity()",
                    error=None if raw is not None else "reverted without a reason",
                )
            )
        self.session.flush()

    def fact(self, segment: Segment, time: datetime, role: Role, raw: int | None, log: int = 0, **more: Any) -> None:  # noqa: PLR0917  Read as rows of a table.
        block = self.block(segment.chain_id, time)
        is_poll = segment.chain_id == VENUE
        told = {"fact_no": 0, "tx_hash": None if is_poll else digest("tx", segment.slug, time, log)} | more
        self.session.add(
            Fact(
                chain_id=segment.chain_id,
                block_hash=block.hash,
                log_index=log,
                segment_id=segment.id,
                block_number=block.number,
                block_time=time,
                role=role,
                amount_raw=raw,
                decoder="invented@1",
                **told,
            )
        )

    def metrics(self, segment: Segment, at: datetime, rows: dict[str, tuple[Any, ...]]) -> None:
        """name → (value, unit[, text[, quality[, reason[, detail]]]])."""
        block = self.block(segment.chain_id, at)
        for name, row in rows.items():
            value, unit, text, quality, reason, detail = (*row, *(None, "ok", "", None)[len(row) - 2 :])
            self.session.add(
                Metric(
                    segment_id=segment.id,
                    name=name,
                    day=f"{at - timedelta(seconds=1):%Y-%m-%d}",
                    as_of_number=block.number,
                    method_version="1",
                    as_of_hash=block.hash,
                    as_of_time=at,
                    is_day_final=True,
                    value=None if value is None else Decimal(str(value)),
                    unit=unit,
                    text=text,
                    quality=quality,
                    reason=reason,
                    inputs_digest=digest("inputs", segment.slug, name),
                    detail=detail,
                    computed_at=COMPUTED_AT,
                )
            )
        self.session.flush()


def hours(end: datetime, count: int, step: int = 1) -> list[datetime]:
    """`count` times, `step` hours apart, the last at `end`."""
    return [end - timedelta(hours=step * (count - 1 - place)) for place in range(count)]


GRID = [
    {"shock": sign * size / 100, "loss": str(4_000 * size), "usable": "512300.10", "ratio": round(128 / size, 4)}
    for sign in (-1, 1)
    for size in (10, 20, 30, 40, 50)
]


BANDS = {"gap_survived": 1, "past_shortfall": 2, "runway": None, "uncovered": 0}
CUTS = {
    "gap_survived": {"ample": 0.3, "covered": 0.2, "thin": 0.1, "unit": "fraction"},
    "worst_7d_coverage": {"ample": 3.0, "covered": 2.0, "thin": 1.0, "unit": "ratio"},
    "runway": {"ample": 730.0, "covered": 365.0, "thin": 180.0, "unit": "days"},
}


def perp_metrics(status: str, band: int, balance: str, usable: str, /, **more: tuple[Any, ...]) -> dict[str, Any]:
    """What the calculator writes for a fund of a perpetuals platform."""
    return {
        "gross_balance": (balance, "USDC", None, "ok", "", {"usd": usable}),
        "usable_value": (
            usable,
            "usd",
            None,
            "ok",
            "",
            {
                "assets": [
                    {
                        "symbol": "USDC",
                        "qty": balance,
                        "price": "1.0000",
                        "depth_haircut": 0.0,
                        "floor_haircut": 0.005,
                        "access": 1.0,
                        "counted": usable,
                    }
                ]
            },
        ),
        "exposure": ("2412903.44", "usd", None, "ok", "", {"markets": [{"market": "vETH", "usd": "1800000.00"}]}),
        "coverage": ("1.4213", "ratio"),
        "reference_loss": ("360441.09", "usd", "worst 7 days, scaled to the exposure now"),
        "worst_1d": (
            "118201.31",
            "usd",
            None,
            "ok",
            "",
            {"from": "2021-05-19T12:00:00Z", "to": "2021-05-19T18:00:00Z"},
        ),
        "worst_7d": ("130551.02", "usd"),
        "gap_survived": ("0.23", "fraction", None, "ok", "", {"grid": GRID, "positions": "public"}),
        "runway": (None, "days", "not shrinking"),
        "observed_days": ("112", "days"),
        "shortfall_day_bound": ("0.0263937", "fraction"),
        "episodes": ("3", "count"),
        "unbooked_loss": ("0", "usd", None, "ok", "", {"accounts": []}),
        "coverage_worst_7d": ("1.4213", "ratio"),
        "uncovered_loss_365d": (
            "0",
            "usd",
            None,
            "ok",
            "",
            {"adl": "0.00", "socialised": "0.00", "unresolved": "0.00"},
        ),
        "status_raw": (band, "band", None, "ok", "", {"bands": BANDS, "cut_points": CUTS, "at_best": band}),
        "status": (band, "band", status, "ok", "", {"at_best": None}),
        "data_status": (None, "text", "simulated", "ok", "played on genuine contract code"),
    } | more


def invent_ledger(engine: Engine) -> None:
    """Fills an empty, migrated ledger."""
    with writing(engine) as session:
        inventor = Inventor(session)
        for slug, name in (("perp-v2", "Perp v2"), ("morpho", "Morpho"), ("aave", "Aave"), ("drift", "Drift")):
            inventor.add(Platform(slug=slug, name=name, url=f"https://{slug}.example"))
        _simulated(inventor)
        _reconstructed(inventor)
        _venue(inventor)
        _live(inventor)


def _simulated(inventor: Inventor) -> None:
    inventor.chain(
        SIMULATED,
        "crash-2021-05-simulated",
        "Crash of May 2021",
        "simulated",
        CRASH_END,
        provenance="Genuine contract code played on a local chain against the real hourly prices of May 2021.",
    )
    usdc = inventor.asset(SIMULATED, "USDC", 6, 1.0, CRASH_END, beta=0.0, floor_haircut=0.005)
    weth = inventor.asset(SIMULATED, "WETH", 18, 2105.5, CRASH_END)
    _large(inventor, usdc)
    _small(inventor, usdc)
    _morpho(inventor, usdc, weth)
    reserve = inventor.fund(
        "reserve-simulated",
        "Plain reserve (simulated, May 2021)",
        SIMULATED,
        "perp-v2",
        asset=usdc,
        kind="reserve",
        shape="address_fund",
        waterfall=[],
    )
    inventor.balances(reserve, usdc, [(time, 250_000_000_000) for time in hours(CRASH_END, 40)])
    inventor.metrics(
        reserve,
        CRASH_END,
        {
            "gross_balance": ("250000", "USDC"),
            "usable_value": ("248750", "usd"),
            "exposure": (None, "usd", None, "unknown", "it covers no defined exposure"),
            "coverage": (None, "ratio", None, "unknown", "it covers no defined exposure"),
            "reference_loss": (None, "usd", None, "unknown", "it covers no defined exposure"),
            "status": (None, "band", "not_computable", "unknown", "it covers no defined exposure"),
            "data_status": (None, "text", "simulated"),
        },
    )


def _large(inventor: Inventor, usdc: Asset) -> None:
    large = inventor.fund(
        "perp-v2-large-simulated", "Perp v2, large fund (simulated, May 2021)", SIMULATED, "perp-v2", asset=usdc
    )
    dice = random.Random(7)
    balance, series = 600_000_000_000, []
    early = [CRASH_END - timedelta(days=112 - day) for day in range(105)]
    for time in [*early, *hours(CRASH_END, 168)]:
        balance += dice.randrange(0, 90_000_000)
        if time == datetime(2021, 5, 19, 14, tzinfo=UTC):
            balance -= 118_201_310_000
        is_hole = datetime(2021, 5, 21, tzinfo=UTC) < time < datetime(2021, 5, 21, 9, tzinfo=UTC)
        if not is_hole:
            series.append((time, balance))
    inventor.balances(large, usdc, series)
    crash = datetime(2021, 5, 19, 13, 30, tzinfo=UTC)
    for place in range(9):
        time = crash + timedelta(minutes=2 * place)
        raw = 13_133_478_889 + place
        who = {"asset_id": usdc.id, "account": address("trader", place), "market": None}
        inventor.fact(large, time, Role.SHORTFALL, raw, log=4, **who)
        inventor.fact(large, time, Role.PAYOUT, raw, log=4, **(who | {"fact_no": 1}))
        inventor.fact(large, time, Role.LIQUIDATION, 10 * raw, log=3, side="position", **who)
    for day in range(100):
        time = CRASH_END - timedelta(days=day, hours=5)
        source = ("liquidation_fee", "trading_fee", "top_up")[day % 3]
        inventor.fact(large, time, Role.CONTRIBUTION, 45_000_000 + day, log=1, asset_id=usdc.id, source=source)
    for day in range(3, 0, -1):
        inventor.metrics(large, CRASH_END - timedelta(days=day), perp_metrics("thin", 2, f"60{day}000", f"59{day}000"))
    inventor.metrics(large, CRASH_END, perp_metrics("thin", 2, "514874.472", "512300.10"))
    tip = inventor.number(SIMULATED, CRASH_END)
    for first, last in ((1000, 5000), (5101, tip)):
        inventor.add(
            Coverage(
                segment_id=large.id,
                filter_digest="f",
                from_number=first,
                to_number=last,
                level=2,
                verified_at=COMPUTED_AT,
            )
        )
    inventor.add(
        Reorg(
            chain_id=SIMULATED,
            fork_number=1_800_000,
            depth=2,
            old_hash=digest("old"),
            new_hash=digest("new"),
            detected_at=COMPUTED_AT,
        )
    )


def _small(inventor: Inventor, usdc: Asset) -> None:
    small = inventor.fund(
        "perp-v2-small-simulated", "Perp v2, small fund (simulated, May 2021)", SIMULATED, "perp-v2", asset=usdc
    )
    series = [
        (time, 60_000_000_000 - max(0, place - 90) * 1_000_000_000) for place, time in enumerate(hours(CRASH_END, 168))
    ]
    inventor.balances(small, usdc, series)
    inventor.fact(small, CRASH_END - timedelta(hours=30), Role.SHORTFALL, 79_000_000_001, asset_id=usdc.id)
    accounts = [
        {
            "account": address("refused", place),
            "value_usd": str(-20_100 - 1000 * place),
            "requirement_usd": "12000.00",
            "since": "2021-05-23T02:00:00Z",
            "since_block": 1_801_000,
            "is_refused": True,
            "loss_beyond_fund": str(20_100 + 1000 * place),
        }
        for place in range(4)
    ]
    changed = {
        "coverage": (None, "ratio", None, "unknown", "nothing is left to compare"),
        "unbooked_loss": ("86400.00", "usd", None, "ok", "", {"accounts": accounts}),
        "uncovered_loss_30d": ("103400.00", "usd"),
    }
    inventor.metrics(small, CRASH_END, perp_metrics("depleted", 4, "-17000", "-17000", **changed))


def _morpho(inventor: Inventor, usdc: Asset, weth: Asset) -> None:
    morpho = inventor.fund(
        "morpho-simulated",
        "Morpho Blue (simulated, May 2021)",
        SIMULATED,
        "morpho",
        kind="no_fund",
        shape="morpho_blue",
        waterfall=[
            {"layer": "Borrower's collateral", "owner": "the borrower", "trigger": "always", "note": ""},
            {"layer": "Lenders of that market", "owner": "lenders", "trigger": "collateral gone", "note": "pro rata"},
        ],
    )
    market = digest("market")
    detail = {"loan": usdc.address, "collateral": weth.address, "lltv": "860000000000000000"}
    start = CRASH_END - timedelta(days=20)
    inventor.fact(morpho, start, Role.MARKET_CREATED, None, market=market, detail=detail)
    lost = {"asset_id": usdc.id, "market": market}
    when = CRASH_END - timedelta(days=4)
    inventor.fact(morpho, when, Role.SHORTFALL, 42_424_242, log=7, **lost)
    inventor.fact(morpho, when, Role.SOCIALISED_LOSS, 42_424_242, log=7, **(lost | {"fact_no": 1}))
    inventor.metrics(
        morpho,
        CRASH_END,
        {
            "exposure": ("1250000.00", "usd"),
            "socialised_total": ("42.43", "usd", None, "ok", "", {"by_market": {market: "42.43"}}),
            "liquidations": ("1", "count"),
            "status": (None, "band", "no_fund"),
            "data_status": (None, "text", "simulated"),
        },
    )


def _reconstructed(inventor: Inventor) -> None:
    inventor.chain(
        RECONSTRUCTED,
        "aave-v2-2021-reconstructed",
        "Aave V2 liquidations of 2021",
        "reconstructed",
        AAVE_END,
        provenance="Logs rebuilt from a table of liquidations; block headers are made up by the replay.",
    )
    dai = inventor.asset(RECONSTRUCTED, "DAI", 18, 1.0001, AAVE_END)
    hostile = inventor.asset(RECONSTRUCTED, HOSTILE, 8, 31_000.0, AAVE_END)
    aave = inventor.fund(
        "aave-v2-2021-reconstructed",
        "Aave V2 (reconstructed, 2021)",
        RECONSTRUCTED,
        "aave",
        kind="no_fund",
        shape="aave_v2",
        waterfall=[{"layer": "Depositors of the reserve", "owner": "depositors", "trigger": "bad debt", "note": ""}],
    )
    dice = random.Random(11)
    for place in range(600):
        time = AAVE_END - timedelta(minutes=500 * place + 13)
        account = address("borrower", dice.randrange(200))
        debt = dai if place % 5 else hostile
        inventor.fact(aave, time, Role.LIQUIDATION, 10**21 + place, side="debt", asset_id=debt.id, account=account)
        inventor.fact(
            aave,
            time,
            Role.LIQUIDATION,
            10**8 + place,
            side="collateral",
            asset_id=hostile.id,
            account=account,
            fact_no=1,
        )
    inventor.metrics(
        aave,
        AAVE_END,
        {
            "liquidations": ("600", "count", None, "ok", "", {"by_asset": {"DAI": str(480 * 10**21)}}),
            "socialised_total": (None, "usd", None, "unknown", "this version of the protocol books no bad debt"),
            "status": (None, "band", "no_fund"),
            "data_status": (None, "text", "reconstructed", "partial", "headers are made up"),
        },
    )


def _venue(inventor: Inventor) -> None:
    inventor.chain(
        VENUE,
        "drift-2022-third-party",
        "Drift, November 2022",
        "recorded_by_third_party",
        DRIFT_END,
        is_venue=True,
        provenance="Polls of a public interface, kept by a third party.",
    )
    usdc = inventor.asset(VENUE, "USDC", 6, 1.0, DRIFT_END, access=0.9, access_reason="freezable")
    drift = inventor.fund(
        "drift-2022-third-party",
        "Drift insurance fund (recorded by a third party, 2022)",
        VENUE,
        "drift",
        asset=usdc,
        kind="venue_fund",
        shape="drift",
    )
    dice = random.Random(3)
    series: list[tuple[datetime, int | None]] = []
    for place, time in enumerate(hours(DRIFT_END, 1400)):
        if not 400 < place < 460:
            series.append((time, None if place == 900 else 800_000_000_000 + dice.randrange(10**9) * (1 + place // 90)))
    inventor.balances(drift, usdc, series)
    when = DRIFT_END - timedelta(days=60)
    since = inventor.number(VENUE, when - timedelta(hours=1))
    for role, raw in ((Role.SHORTFALL, 91_000_001), (Role.PAYOUT, 60_000_000), (Role.SOCIALISED_LOSS, 31_000_001)):
        inventor.fact(
            drift, when, role, raw, asset_id=usdc.id, market="SOL-PERP", since_number=since, log=len(role.value)
        )
    cover = {
        "rows": [
            {
                "market": "SOL-PERP",
                "cap": "500000.00",
                "used": "60.00",
                "left": "499940.00",
                "open_interest": "4100000.00",
                "cover": 0.1219,
            }
        ]
    }
    changed = {
        "coverage": ("0.7149", "ratio"),
        "reference_loss": ("1130220.47", "usd", "an instant move of −20 %"),
        "gap_survived": (
            "0.08",
            "fraction",
            None,
            "partial",
            "positions are not public",
            {"positions": "leverage mix", "grid": GRID},
        ),
        "market_cover": (None, "text", "see the table", "ok", "", cover),
        "data_status": (None, "text", "recorded_by_third_party"),
        "usable_value": ("808113.70", "usd", None, "partial", "at least: a token has no price"),
    }
    inventor.metrics(drift, DRIFT_END, perp_metrics("short", 3, "812410.33", "808113.70", **changed))


def _live(inventor: Inventor) -> None:
    inventor.chain(
        LIVE,
        "optimism",
        "Optimism",
        "live",
        NOW - timedelta(hours=5),
        explorer="https://explorer.example",
        status="unreachable",
        status_reason="no provider answered",
    )
    at = NOW - timedelta(hours=6)
    susd = inventor.asset(LIVE, "sUSD", 18, 0.998, at)
    live = inventor.fund("perp-v2-optimism", "Perp v2 on Optimism", LIVE, "perp-v2", asset=susd)
    inventor.balances(live, susd, [(time, 10**24 + 10**20 * place) for place, time in enumerate(hours(at, 200))])
    stale = "the last balance is 6 hours old, older than 3 hours allowed"
    changed = {
        "usable_value": ("1010000", "usd", None, "stale", stale),
        "coverage": (None, "ratio", None, "unknown", stale),
        "status": (None, "band", "not_computable", "unknown", stale, {"at_best": 1}),
        "data_status": (None, "text", "stale", "stale", stale),
    }
    inventor.metrics(live, at, perp_metrics("not_computable", 1, "1019900", "1010000", **changed))
    inventor.fund(
        "hostile",
        f"Fund {HOSTILE}",
        LIVE,
        "perp-v2",
        segment_status="unknown",
        segment_reason=f"the contract answered garbage: {HOSTILE}",
        caveats=[HOSTILE],
        sources=[{"title": HOSTILE, "url": "javascript:alert(1)"}],
    )
