"""The price path of the scenario: hourly medians of the May 2021 crash, daily medians from February before it.

`python -m indexer.replay.scenario.prices FOLDER` derives prices.json anew from the Aave V2 liquidation table in the
folder that BACKSTOP_REAL_DATA names. The table itself never ships; the few hundred medians do.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import zstandard

from indexer.replay.scenario.artifacts import ScenarioError

TABLE = "aave_v2_liquidations_int_2020-12_2021-07.csv.zst"
SHIPPED = Path(__file__).with_name("prices.json")
FIRST_DAY = date(2021, 2, 1)
DAYS = 105  # 1 February to 16 May.
DAILY_START = 1612137600  # 2021-02-01 00:00 UTC
HOURS = 192  # 17 to 24 May.
HOURLY_START = 1621209600  # 2021-05-17 00:00 UTC
_DAY, _HOUR = 86_400, 3_600
# A thin bucket (one or two rows) further than this from its neighbours' median is a bad row, not a price.
_THIN_ROWS = 2
_HOURLY_TOLERANCE = 0.08
_DAILY_TOLERANCE = 0.18
_PROVENANCE = (
    "Medians per hour (UTC) from 2021-05-17 and per day before, of the USD prices that the table of Aave V2 "
    "liquidations on Ethereum records beside each liquidation: ETH = 1e18 / priceUSDTCollateral (USDT priced in wei), "
    "BTC = reservePriceUSDCollateral of WBTC rows. A bucket of one or two rows that lies more than 8 % (hours) or "
    "18 % (days) from the median of its four nearest neighbours is dropped. A bucket without a row holds the last "
    "price; before the first row the first price. Source: TheRensselaerIDEA/IDEA-Blockchain, "
    "app/Data/liquidations.csv, commit 55d5dac0, read as " + TABLE + "."
)


@dataclass(frozen=True)
class PricePath:
    """USD prices by asset: one a day from DAILY_START, then one an hour from HOURLY_START."""

    daily: dict[str, tuple[float, ...]]
    hourly: dict[str, tuple[float, ...]]


def load_prices(path: Path = SHIPPED) -> PricePath:
    """The shipped path; both series must be complete."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    prices = PricePath(
        {asset: tuple(values) for asset, values in raw["daily"].items()},
        {asset: tuple(values) for asset, values in raw["hourly"].items()},
    )
    if any(len(values) != DAYS for values in prices.daily.values()):
        raise ScenarioError(f"{path}: each daily series needs {DAYS} prices")
    if any(len(values) != HOURS for values in prices.hourly.values()):
        raise ScenarioError(f"{path}: each hourly series needs {HOURS} prices")
    return prices


def derive_prices(folder: Path) -> dict[str, object]:
    """What prices.json must hold, from the liquidation table in `folder`."""
    observations = list(_read_observations(folder / TABLE))
    return {
        "provenance": _PROVENANCE,
        "daily_start": FIRST_DAY.isoformat(),
        "hourly_start": (FIRST_DAY + timedelta(days=DAYS)).isoformat(),
        "daily": _derive_series(observations, DAILY_START, _DAY),
        "hourly": _derive_series(observations, HOURLY_START, _HOUR),
    }


def render_prices(derived: dict[str, object]) -> str:
    """The file's text: one line a series keeps its diffs readable."""
    lines = [
        f' "{key}": ' + ("{\n" + _render_series(value) + "\n }" if isinstance(value, dict) else json.dumps(value))
        for key, value in derived.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _render_series(series: dict[str, list[float]]) -> str:
    return ",\n".join(f'  "{asset}": {json.dumps(values)}' for asset, values in series.items())


def _read_observations(table: Path) -> Iterator[tuple[str, int, float]]:
    """Asset, unix time and USD price of each row that states one."""
    if not table.is_file():
        raise ScenarioError(f"{table} is missing: name the folder of real data that holds it")
    with table.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
        for row in csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8")):
            moment = int(row["timestamp"])
            if row["priceUSDTCollateral"]:
                yield "ETH", moment, 1e18 / float(row["priceUSDTCollateral"])
            if row["collateralReserve"] == "WBTC" and row["reservePriceUSDCollateral"]:
                yield "BTC", moment, float(row["reservePriceUSDCollateral"])


def _derive_series(observations: list[tuple[str, int, float]], start: int, step: int) -> dict[str, list[float]]:
    count, tolerance = (DAYS, _DAILY_TOLERANCE) if step == _DAY else (HOURS, _HOURLY_TOLERANCE)
    buckets: dict[str, dict[int, list[float]]] = {"ETH": defaultdict(list), "BTC": defaultdict(list)}
    for asset, moment, price in observations:
        index = (moment - start) // step
        if 0 <= index < count:
            buckets[asset][index].append(price)
    return {asset: _hold(_drop_bad_rows(found, tolerance), count) for asset, found in buckets.items()}


def _drop_bad_rows(buckets: dict[int, list[float]], tolerance: float) -> dict[int, float]:
    """Medians by index. Judged in order, so that a dropped bucket no longer counts as a neighbour."""
    medians = {index: statistics.median(prices) for index, prices in buckets.items()}
    order = sorted(medians)
    for place, index in enumerate(order):
        near = [*order[max(0, place - 2) : place], *order[place + 1 : place + 3]]
        around = [medians[other] for other in near if other in medians]
        is_thin = len(buckets[index]) <= _THIN_ROWS
        if is_thin and around and abs(medians[index] / statistics.median(around) - 1) > tolerance:
            del medians[index]
    return medians


def _hold(medians: dict[int, float], count: int) -> list[float]:
    last = medians[min(medians)]
    series = []
    for index in range(count):
        last = medians.get(index, last)
        series.append(round(last, 2))
    return series


def main(arguments: list[str]) -> None:
    """Derives the shipped file anew from the table in the named folder."""
    if len(arguments) != 1:
        raise SystemExit("usage: python -m indexer.replay.scenario.prices FOLDER (the one BACKSTOP_REAL_DATA names)")
    SHIPPED.write_text(render_prices(derive_prices(Path(arguments[0]))), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
