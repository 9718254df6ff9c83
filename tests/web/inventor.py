"""Rows that fit together: an inventor of chains, funds, balances, facts and metrics for tests."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlmodel import Session

from ledger.facts import note_facts_written
from ledger.kinds import Role
from ledger.tables import (
    Asset,
    Block,
    Chain,
    Cursor,
    Fact,
    Fund,
    Metric,
    Price,
    Reading,
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
        start = more.pop("start_number", 1000)
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
                start_number=start,
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
        note_facts_written(self.session, segment.chain_id)

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
GRADED = {
    "gap_survived": {"value": 0.21, "unit": "fraction", "words": ""},
    "past_shortfall": {"value": 1.39, "unit": "ratio", "words": ""},
    "uncovered": {"value": 0.0, "unit": "usd", "words": ""},
}
CUTS = {
    "gap_survived": {"ample": 0.3, "covered": 0.2, "thin": 0.1, "unit": "fraction"},
    "worst_7d_coverage": {"ample": 3.0, "covered": 2.0, "thin": 1.0, "unit": "ratio"},
    "runway": {"ample": 730.0, "covered": 365.0, "thin": 180.0, "unit": "days"},
}


def perp_metrics(status: str, band: int, balance: str, usable: str, /, **more: tuple[Any, ...]) -> dict[str, Any]:
    """What the calculator writes for a fund of a perpetuals platform."""
    told = {"bands": BANDS, "graded": GRADED, "cut_points": CUTS}
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
        "status_raw": (band, "band", None, "ok", "", told | {"at_best": band}),
        "status": (band, "band", status, "ok", "", told | {"at_best": None, "raw_last": [band]}),
        "data_status": (None, "text", "simulated", "ok", "played on genuine contract code"),
    } | more
