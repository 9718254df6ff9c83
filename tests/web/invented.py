"""An invented ledger that looks like the real one: thin, depleted, without a fund, not computable, hostile, stale."""

import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from ledger.database import writing
from ledger.kinds import Role
from ledger.tables import Asset, Coverage, Platform, Reorg
from tests.web.elsewhere import invent_live, invent_reconstructed, invent_venue
from tests.web.inventor import (
    COMPUTED_AT,
    CRASH_END,
    SIMULATED,
    Inventor,
    address,
    digest,
    hours,
    perp_metrics,
)


def invent_ledger(engine: Engine) -> None:
    """Fills an empty, migrated ledger."""
    with writing(engine) as session:
        inventor = Inventor(session)
        for slug, name in (("perp-v2", "Perp v2"), ("morpho", "Morpho"), ("aave", "Aave"), ("drift", "Drift")):
            inventor.add(Platform(slug=slug, name=name, url=f"https://{slug}.example"))
        _simulated(inventor)
        invent_reconstructed(inventor)
        invent_venue(inventor)
        invent_live(inventor)


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
