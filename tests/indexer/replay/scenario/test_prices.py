"""The price path ships with its provenance and is what the liquidation table says."""

import json
from pathlib import Path

import pytest

from indexer.replay.scenario.artifacts import ScenarioError
from indexer.replay.scenario.prices import DAYS, HOURS, SHIPPED, derive_prices, load_prices, render_prices


def test_the_shipped_path_is_what_the_liquidation_table_says(real_data: Path) -> None:
    assert render_prices(derive_prices(real_data)) == SHIPPED.read_text(encoding="utf-8")


def test_the_shipped_path_is_complete_and_names_its_source() -> None:
    prices = load_prices()
    assert {asset: len(series) for asset, series in prices.daily.items()} == {"ETH": DAYS, "BTC": DAYS}
    assert {asset: len(series) for asset, series in prices.hourly.items()} == {"ETH": HOURS, "BTC": HOURS}
    assert "55d5dac0" in json.loads(SHIPPED.read_text(encoding="utf-8"))["provenance"]


def test_the_worst_hour_is_that_of_19_may() -> None:
    eth = load_prices().hourly["ETH"]
    worst = min(range(1, HOURS), key=lambda hour: eth[hour] / eth[hour - 1])
    # 19 May 13:00 UTC is hour 61 from 17 May: ETH's median fell from 2,533.37 to 2,152.39 USD.
    assert (worst, eth[60], eth[61]) == (61, 2533.37, 2152.39)


def test_a_path_with_a_missing_hour_is_refused(tmp_path: Path) -> None:
    raw = json.loads(SHIPPED.read_text(encoding="utf-8"))
    raw["hourly"]["ETH"].pop()
    short = tmp_path / "prices.json"
    short.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ScenarioError, match="each hourly series needs 192 prices"):
        load_prices(short)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"aave_v2_liquidations.* is missing"):
        derive_prices(tmp_path)
