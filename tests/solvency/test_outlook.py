"""From rows of the ledger to tail, depletion, size and backtest of a day."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger.database import open_engine
from ledger.kinds import Role, SourceKind
from ledger.tables import Metric
from ledger.upgrades import upgrade
from solvency.gpd import GpdFit
from solvency.outlook import NO_TAIL, splice_tail
from solvency.tail import TailRisk
from tests.solvency.rows import DAY, ETH_ADDRESS, START, Rows, compute, find_metric, list_metrics, lossy, perp_days

NO_FIT = TailRisk(0.0, 5, None, ())


def fitted(shape: float) -> TailRisk:
    return TailRisk(2.5, 30, GpdFit(2.5, shape, 1.5, 1_000, 30, -100.0), ())


def lose(rows: Rows, day: float, amount: float) -> None:
    """A shortfall that the fund pays."""
    rows.fact(day, Role.SHORTFALL, amount, account="x", market=ETH_ADDRESS)
    rows.fact(day, Role.PAYOUT, amount, account="x", market=ETH_ADDRESS)
    rows.price(day)


def detail_of(metric: Metric) -> dict[str, object]:
    assert metric.detail is not None
    return metric.detail


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A ledger of 101 days with a loss of 10,000 on five of them, computed once."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('record') / 'ledger.sqlite'}")
    upgrade(engine)
    lossy(101).write(engine)
    compute(engine)
    yield engine
    engine.dispose()


def test_expected_shortfall_counts_the_days_without_a_loss(record: Engine) -> None:
    shortfall = find_metric(record, "expected_shortfall_975", 99)
    # 100 observed days (the first to the hundredth): the worst 2.5 of them lost 10,000 each.
    assert (shortfall.value, shortfall.n_obs, shortfall.n_events) == (Decimal("10000.00"), 100, 5)
    assert shortfall.ci_low is not None
    assert shortfall.ci_high is not None
    assert shortfall.ci_low <= 10_000.0 <= shortfall.ci_high
    assert shortfall.quality == "partial"
    assert "under 20" in shortfall.reason
    assert find_metric(record, "value_at_risk_99", 99).value == Decimal("10000.00")


def test_the_band_looks_at_the_upper_end_and_the_page_at_the_middle(record: Engine) -> None:
    ratio, upper = (
        find_metric(record, "coverage_expected_shortfall", 99),
        find_metric(record, "expected_shortfall_975", 99),
    )
    assert ratio.value == Decimal("60.0000")
    assert upper.ci_high is not None
    assert detail_of(ratio)["band_ratio"] == pytest.approx(600_000 / upper.ci_high, abs=1e-4)
    bands = detail_of(find_metric(record, "status_raw", 99))["bands"]
    assert isinstance(bands, dict)
    assert bands["expected_shortfall"] == 0
    assert bands["depletion_90d"] == 0
    graded = detail_of(find_metric(record, "status_raw", 99))["graded"]
    assert isinstance(graded, dict)
    assert graded["expected_shortfall"]["value"] == pytest.approx(600_000 / upper.ci_high, abs=1e-4)
    chance = find_metric(record, "depletion_90d", 99)
    assert graded["depletion_90d"]["value"] == pytest.approx(chance.ci_high)


def test_before_ninety_days_tail_and_depletion_are_unknown_and_not_required(record: Engine) -> None:
    for name in ("expected_shortfall_975", "coverage_expected_shortfall", "depletion_90d", "size_band"):
        early = find_metric(record, name, 80)
        assert (early.value, early.quality) == (None, "unknown"), name
        assert "81 observed days" in early.reason, name
    bands = detail_of(find_metric(record, "status_raw", 80))["bands"]
    assert isinstance(bands, dict)
    assert "expected_shortfall" not in bands


def test_a_fund_that_five_losses_cannot_touch_is_hardly_ever_depleted(record: Engine) -> None:
    chance = find_metric(record, "depletion_90d", 99)
    assert chance.text == "< 0.015 %" or (chance.value is not None and chance.value < Decimal("0.01"))
    assert chance.ci_high is not None
    detail = detail_of(chance)
    assert (detail["episodes"], detail["paths"], detail["tail"]) == (5, 20_000, "record alone")
    assert detail["seed"]


def test_a_fund_the_size_of_one_loss_is_soon_depleted_and_short(engine: Engine) -> None:
    rows = lossy(95)
    for row in rows.found:
        if getattr(row, "name", "") == "balance":
            row.value_raw = 11_000 * 10**6  # type: ignore[attr-defined]
    rows.write(engine)
    compute(engine)
    chance = find_metric(engine, "depletion_90d", 93)
    assert chance.value is not None
    assert chance.value > Decimal("0.5")
    month, year = find_metric(engine, "depletion_30d", 93).value, find_metric(engine, "depletion_365d", 93).value
    assert month is not None
    assert year is not None
    assert month < chance.value < year
    bands = detail_of(find_metric(engine, "status_raw", 93))["bands"]
    assert isinstance(bands, dict)
    assert bands["depletion_90d"] == 3


def test_a_loss_without_a_price_makes_every_number_of_the_outlook_unknown_and_the_band_with_it(engine: Engine) -> None:
    rows = lossy(95)
    rows.fact(92.2, Role.SHORTFALL, 1.0, account="x", market=ETH_ADDRESS, asset=2)
    rows.write(engine)
    compute(engine)
    for name in ("expected_shortfall_975", "value_at_risk_99", "depletion_90d", "size_band", "capital_efficiency"):
        assert find_metric(engine, name, 93).quality == "unknown", name
    status = find_metric(engine, "status", 93)
    assert (status.text, status.value) == ("not_computable", None)
    assert "expected shortfall" in status.reason


def test_the_backtest_holds_each_loss_against_the_forecast_of_the_day_before(engine: Engine) -> None:
    rows = perp_days(100)
    for day in (10, 20, 30, 40, 50):
        lose(rows, day + 0.2, 10_000.0)
    lose(rows, 95.2, 50_000.0)
    rows.scan()
    rows.write(engine)
    compute(engine)
    found = find_metric(engine, "backtest_99", 98)
    # Forecasts stand from the 90th day on; days 90 to 97 have one of the day before, and on one the loss was larger.
    assert (found.value, found.n_obs, found.n_events) == (Decimal(1), 8, 1)
    latest = detail_of(found)["latest"]
    assert isinstance(latest, list)
    assert [row for row in latest if row["loss_usd"] != "0.00"] == [
        {"day": "2021-05-07", "forecast_usd": "10000.00", "loss_usd": "50000.00"}
    ]
    assert found.text is not None
    assert "validated" not in found.text
    # That day's own forecast, made when its loss was known, is another one.
    assert find_metric(engine, "value_at_risk_99", 95).value == Decimal("50000.00")


def test_a_settled_forecast_is_never_made_again(engine: Engine) -> None:
    rows = perp_days(100)
    for day in (10, 20, 30, 40, 50, 94):
        lose(rows, day + 0.2, 10_000.0)
    rows.scan()
    rows.write(engine)
    compute(engine)
    before = list_metrics(engine)
    assert compute(engine).n_rows == 0
    assert list_metrics(engine) == before


def test_days_computed_one_by_one_are_the_same_as_all_at_once(engine: Engine, tmp_path: Path) -> None:
    rows = perp_days(96)
    for day in (10, 20, 30, 40, 50, 94):
        lose(rows, day + 0.2, 10_000.005)  # Published as 10,000.01: what a settled day hands down is rounded.
    rows.scan()
    rows.source = SourceKind.LIVE
    step_by_step = open_engine(f"sqlite:///{tmp_path / 'steps.sqlite'}")
    upgrade(step_by_step)
    for each in (engine, step_by_step):
        rows.write(each)
    for days in (92, 93, 94, 96):
        compute(step_by_step, now=START + DAY * days)
    compute(engine, now=START + DAY * 96)
    by_steps, at_once = (
        {(r["day"], r["name"]): r for r in list_metrics(e) if r["is_day_final"]} for e in (step_by_step, engine)
    )
    assert by_steps == at_once
    step_by_step.dispose()


def test_without_a_fit_the_record_stands_alone_and_says_so(record: Engine) -> None:
    assert splice_tail([1.0, 3.0, 2.0], NO_FIT) is None
    chance = find_metric(record, "depletion_365d", 99)
    assert (chance.quality, chance.reason) == ("partial", NO_TAIL)


def test_a_fitted_tail_takes_over_above_its_threshold() -> None:
    tail = splice_tail([1.0, 3.0, 2.0, 4.0], fitted(0.3))
    assert tail is not None
    assert (tail.threshold, tail.shape, tail.scale, tail.share) == (2.5, 0.3, 1.5, 0.5)
    assert splice_tail([1.0, 3.0], fitted(1.1)) is None  # No finite mean.
    assert splice_tail([1.0, 2.0], fitted(0.3)) is None  # Nothing beyond the threshold.
