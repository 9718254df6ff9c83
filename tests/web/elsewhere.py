"""Invented funds outside the simulated crash: reconstructed, recorded by a third party, live and stale, hostile."""

import random
from datetime import datetime, timedelta

from ledger.kinds import Role
from ledger.tables import Coverage
from tests.web.inventor import (
    AAVE_END,
    COMPUTED_AT,
    DRIFT_END,
    GRID,
    HOSTILE,
    LIVE,
    NOW,
    RECONSTRUCTED,
    VENUE,
    Inventor,
    address,
    hours,
    perp_metrics,
)


def invent_reconstructed(inventor: Inventor) -> None:
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


def invent_venue(inventor: Inventor) -> None:
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
        start_number=None,
        shape="drift",
    )
    end = inventor.number(VENUE, DRIFT_END)
    for first, last in ((end - 4_000_000, end - 500_000), (end - 400_000, end - 90_000), (end - 80_000, end)):
        inventor.add(
            Coverage(
                segment_id=drift.id,
                filter_digest="polls",
                from_number=first,
                to_number=last,
                level=1,
                verified_at=COMPUTED_AT,
            )
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


def invent_live(inventor: Inventor) -> None:
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
