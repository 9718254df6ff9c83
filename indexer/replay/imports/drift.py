"""The recording drift-2022-third-party: polls of Drift's insurance fund and perp markets, 2022-11 to 2023-02."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from indexer.replay.imports.tables import Row, check_count, read_table
from indexer.replay.recording import SUFFIX, Metadata, PollRecord, write_recording
from ledger.kinds import SourceKind

SLUG = "drift-2022-third-party"
CHAIN_ID = 420221107
FUND_FILE = "drift_insurance_fund_2022-11_2023-02.csv.zst"
MARKETS_FILE = "drift_perp_markets_2022-11_2023-02.csv.zst"
FUND_ROWS = 3361
MARKET_ROWS = 6402

ImportProgress = Callable[[str], None]
"""Called with one line about each step."""

_UNNAMED = "Default Market Name"
_BTC_ABOVE_USDC = 5000
_DECIMALS = (
    "oracle_price",
    "base_long",
    "base_short",
    "total_fee",
    "total_liquidation_fee",
    "quote_max_insurance",
    "quote_settled_insurance",
    "margin_ratio_maintenance",
)
_WHOLE = ("total_social_loss_raw", "users", "slot")
_LIFETIME = ("total_liquidation_fee", "quote_settled_insurance", "total_social_loss_raw")
_FUND_COLUMNS = ("vault_usdc", "total_shares", "user_shares", "spot_social_loss_raw", "last_interest_unix")

_PROVENANCE = (
    "State of Drift v2 (Solana) as polled by a third party: repository ansatz-research/drift-v2-flat-data, commit "
    "7d0e5ebb, history of data/spot_markets.csv and data/perp_markets.csv, 2022-11-07 to 2023-02-28. Not read from the "
    "chain by Backstop. The vault's amount was polled from 2022-12-09 on; before that it is unknown. Polls stopped for "
    "days at several times. Until its markets were named, a market called 'Default Market Name' is BTC-PERP where its "
    "oracle price is above 5,000 USDC and ETH-PERP otherwise."
)


def import_drift(source_dir: Path, target_dir: Path, *, progress: ImportProgress | None = None) -> Path:
    """Builds the recording from the folder of real data and gives its path; raises RecordingError if data don't fit."""
    tell = progress or (lambda _: None)
    tell(f"reading {FUND_FILE}")
    funds = dict(_read_funds(source_dir / FUND_FILE))
    tell(f"reading {MARKETS_FILE}")
    markets = _read_markets(source_dir / MARKETS_FILE)
    polls = [
        PollRecord(time=moment, data={"fund": funds.get(moment), "markets": markets.get(moment, {})})
        for moment in sorted(funds.keys() | markets.keys())
    ]
    metadata = Metadata(
        slug=SLUG,
        kind=SourceKind.THIRD_PARTY,
        title="Drift v2 insurance fund, November 2022 to February 2023",
        chain_id=CHAIN_ID,
        is_venue=True,
        provenance=_PROVENANCE,
        created_by="backstop import drift",
    )
    path = target_dir / (SLUG + SUFFIX)
    write_recording(path, metadata, polls)
    tell(f"wrote {path}: {len(polls)} polls, {len(funds)} of the fund, {len(markets)} of the markets")
    return path


def _read_funds(path: Path) -> Iterator[tuple[int, dict[str, int | None]]]:
    count = before = 0
    for row in read_table(path, ("observed_unix", *_FUND_COLUMNS)):
        count += 1
        moment = row.whole("observed_unix")
        if moment <= before:
            raise row.error(f"observed_unix {moment} is not above {before}, the poll before")
        before = moment
        yield (
            moment,
            {
                "vault_raw": row.whole_or_unknown("vault_usdc"),
                "total_shares_raw": row.whole("total_shares"),
                "user_shares_raw": row.whole("user_shares"),
                "spot_social_loss_raw": row.whole("spot_social_loss_raw"),
                "last_interest_time": row.whole("last_interest_unix"),
            },
        )
    check_count(path, count, FUND_ROWS)


def _read_markets(path: Path) -> dict[int, dict[str, dict[str, Any]]]:
    polls: dict[int, dict[str, dict[str, Any]]] = {}
    latest: dict[str, dict[str, Any]] = {}
    count = before = 0
    for row in read_table(path, ("observed_unix", "market", *_DECIMALS, *_WHOLE)):
        count += 1
        moment, market = row.whole("observed_unix"), _find_market(row)
        if moment < before:
            raise row.error(f"observed_unix {moment} is below {before}, the row before")
        before = moment
        poll = polls.setdefault(moment, {})
        if market in poll:
            raise row.error(f"a second row of {market} at {moment}")
        poll[market] = _read_market(row)
        _check_lifetime(row, market, latest.get(market), poll[market])
        latest[market] = poll[market]
    check_count(path, count, MARKET_ROWS)
    return polls


def _find_market(row: Row) -> str:
    name = row.text("market")
    if name != _UNNAMED:
        return name
    return "BTC-PERP" if Decimal(row.decimal("oracle_price")) > _BTC_ABOVE_USDC else "ETH-PERP"


def _read_market(row: Row) -> dict[str, Any]:
    """A market's columns under their own names: decimals as the text that was published, whole numbers as such."""
    return {name: row.decimal(name) for name in _DECIMALS} | {name: row.whole(name) for name in _WHOLE}


def _check_lifetime(row: Row, market: str, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    for name in _LIFETIME:
        if before is not None and Decimal(now[name]) < Decimal(before[name]):
            raise row.error(f"{name} of {market} falls from {before[name]} to {now[name]}: a lifetime total cannot")
