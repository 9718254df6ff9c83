"""From rows of the ledger to metric rows: a perp fund, a venue, a market without a fund, a plain reserve."""

from decimal import Decimal

from sqlalchemy import Engine

from ledger.kinds import FundKind, ReadingName, Role, Shape
from tests.solvency.rows import DAY, START, Rows, compute, find_metric, list_metrics, lossy, perp_days, venue


def test_a_perp_fund_gets_every_metric_of_its_kind_for_every_day(engine: Engine) -> None:
    perp_days(3).write(engine)
    summary = compute(engine)
    assert (summary.n_segments, summary.n_days) == (1, 3)
    names = {row["name"] for row in list_metrics(engine) if row["day"] == "2021-02-02"}
    assert names == {
        "gross_balance", "usable_value", "usable_value_min_7d", "exposure", "coverage_of_exposure", "worst_1d",
        "worst_7d", "worst_30d", "worst_7d_scaled", "coverage_worst_7d", "gap_survived", "stress_coverage_20",
        "coverage", "reference_loss", "observed_days", "shortfall_day_bound", "episodes", "shortfall_total",
        "payout_total", "runway", "max_drawdown", "self_funding", "inflow_total", "outflow_total", "explained_share",
        "uncovered_loss_365d", "uncovered_loss_30d", "unresolved_deficit", "unbooked_loss", "liquidations",
        "socialised_total", "status_raw", "status", "data_status", "expected_shortfall_975", "expected_shortfall_99",
        "value_at_risk_975", "value_at_risk_99", "coverage_expected_shortfall", "depletion_30d", "depletion_90d",
        "depletion_365d", "size_band", "capital_efficiency", "backtest_975", "backtest_99", "cover_1", "cover_2",
        "coverage_cover_2", "named_days", "cascade_loss_20", "protection_cost_1d", "protection_cost_7d",
        "surcharge_adequacy", "fund_return", "liquidation_delay", "bankrupt_share", "penalty_share",
    }  # fmt: skip


def test_balance_exposure_and_stress_of_a_day_are_what_the_rows_say(engine: Engine) -> None:
    perp_days(3).write(engine)
    compute(engine)
    gross, usable = find_metric(engine, "gross_balance", 1), find_metric(engine, "usable_value", 1)
    assert (gross.value, gross.unit, gross.as_of_time) == (Decimal(600_000), "USDC", START + DAY * 1.5)
    assert (usable.value, usable.quality) == (Decimal("600000.00"), "ok")
    assert find_metric(engine, "exposure", 1).value == Decimal("200000.00")
    assert find_metric(engine, "coverage_of_exposure", 1).value == Decimal("3.0000")
    gap = find_metric(engine, "gap_survived", 1)
    assert (gap.value, gap.text) == (Decimal("0.5"), "≥ 50 %")
    assert gap.detail is not None
    # At −50 % the long loses 100,000 of which its margin pays 40,000.
    assert gap.detail["grid"][0] == {"shock": -0.5, "loss": "60000.00", "usable": "600000.00", "ratio": 10.0}
    assert gap.detail["positions"] == "public"


def test_a_fund_below_zero_covers_nothing_of_any_move_however_small_the_loss(engine: Engine) -> None:
    perp_days(3, balance=-50_000.0).write(engine)
    compute(engine)
    gap = find_metric(engine, "gap_survived", 1)
    assert gap.detail is not None
    losing = [row for row in gap.detail["grid"] if Decimal(row["loss"]) > 0]
    assert [row["ratio"] for row in losing] == [0.0] * len(losing) != []
    assert {row["usable"] for row in losing} == {"-50000.00"}


def test_a_fund_without_shortfalls_is_covered_by_stress_alone_and_graded_by_its_days(engine: Engine) -> None:
    rows = perp_days(100, balance=50_000.0)
    rows.write(engine)
    compute(engine)
    status = find_metric(engine, "status", 98)
    # −50 % costs 60,000, above 50,000: survived to −45 %, Ample; 99 observed days without a shortfall: Thin. The
    # worst named day (ETH −45 %) costs the one account 90,000 − 40,000, just what the fund has: Covered.
    assert (status.text, status.value) == ("thin", Decimal(2))
    assert status.detail is not None
    assert status.detail["bands"] == {
        "cover_2": 1,
        "gap_survived": 0,
        "past_shortfall": 2,
        "runway": 0,
        "uncovered": 0,
    }
    # What each band was made of: no loss fills no window, so observed days were graded.
    graded = {name: (looked["value"], looked["unit"]) for name, looked in status.detail["graded"].items()}
    assert graded["past_shortfall"] == (99.0, "observed days")
    assert (graded["cover_2"], graded["gap_survived"]) == ((1.0, "ratio"), (0.45, "fraction"))
    assert status.detail["graded"]["runway"]["words"] == "not shrinking"
    assert find_metric(engine, "gap_survived", 98).value == Decimal("0.45")
    coverage = find_metric(engine, "coverage", 98)
    assert (coverage.value, coverage.text) == (None, "no modelled loss")
    early = find_metric(engine, "status", 50)
    assert (early.text, early.value) == ("not_computable", None)
    assert early.reason == "past shortfall: 51 observed days, under 90"


def test_observed_days_leave_out_the_day_with_a_hole(engine: Engine) -> None:
    rows = perp_days(4)
    rows.found = [row for row in rows.found if row.__tablename__ != "coverage"]
    rows.scan(0.0, 1.2)
    rows.scan(1.3, 3.5)
    rows.write(engine)
    compute(engine)
    days = find_metric(engine, "observed_days", 3)
    assert days.value == Decimal("2.0")  # The first and the third; the fourth is still running.
    worst = find_metric(engine, "episodes", 3)
    assert worst.quality == "partial"
    assert "1 of 3 days is not completely observed" in worst.reason


def test_shortfalls_make_windows_episodes_runway_and_totals(engine: Engine) -> None:
    lossy().write(engine)
    compute(engine)
    week, month = find_metric(engine, "worst_7d", 93), find_metric(engine, "worst_30d", 93)
    assert (week.value, week.n_events) == (Decimal("20000.00"), 2)
    assert (month.value, month.detail and month.detail["from"]) == (Decimal("40000.00"), "2021-02-21T04:48:00Z")
    assert find_metric(engine, "episodes", 93).value == Decimal(5)
    assert find_metric(engine, "shortfall_total", 93).value == Decimal("50000.00")
    assert find_metric(engine, "payout_total", 93).value == Decimal("50000.00")
    assert find_metric(engine, "coverage_worst_7d", 93).value == Decimal("30.0000")
    # 50,000 paid in the 90 days before the as-of block: 600,000 / (50,000 / 90) = 1,080 days.
    assert find_metric(engine, "runway", 93).value == Decimal("1080.0")
    assert find_metric(engine, "self_funding", 93).value == Decimal(0)
    status = find_metric(engine, "status", 93)
    assert (status.text, status.detail and status.detail["bands"]["past_shortfall"]) == ("ample", 0)


def test_a_past_window_is_scaled_to_todays_exposure(engine: Engine) -> None:
    rows = lossy()
    rows.take(60.0, "whale", 900.0)
    for day in range(60, 95):
        rows.account(day + 0.5, "whale", 10_000_000.0, 900.0)
    rows.write(engine)
    compute(engine)
    scaled = find_metric(engine, "worst_7d_scaled", 93)
    assert scaled.value == Decimal("200000.00")  # 20,000 at 100 ETH open is 200,000 at 1,000.
    assert scaled.detail is not None
    assert scaled.detail["exposure_then_usd"] == "200000.00"


def test_an_account_below_zero_is_listed_with_since_and_whether_the_contract_would_refuse(engine: Engine) -> None:
    rows = perp_days(5, balance=1_000.0)
    rows.take(1.0, "broke", 10.0)
    for day in (1, 2, 3, 4):
        rows.account(day + 0.5, "broke", -5_000.0, 10.0)
    rows.write(engine)
    compute(engine)
    unbooked = find_metric(engine, "unbooked_loss", 3)
    assert unbooked.value == Decimal("5000.00")
    assert unbooked.detail == {
        "accounts": [
            {
                "account": "broke",
                "value_usd": "-5000.00",
                "requirement_usd": "1000.00",
                "since": "2021-02-02T12:00:00Z",
                "since_block": 151,
                "is_refused": True,
                "loss_beyond_fund": "4000.00",
            }
        ]
    }
    # Refused at once, so it counts as unresolved on its first day, exceeds U, and that is a fact.
    assert find_metric(engine, "unresolved_deficit", 1).value == Decimal("5000.00")
    assert find_metric(engine, "status", 1).text == "depleted"
    assert find_metric(engine, "uncovered_loss_30d", 1).value == Decimal("5000.00")


def test_an_account_below_zero_that_the_fund_could_pay_counts_after_a_day(engine: Engine) -> None:
    rows = perp_days(5)
    rows.take(1.0, "broke", 10.0)
    for day in (1, 2, 3, 4):
        rows.account(day + 0.5, "broke", -5_000.0, 10.0)
    rows.write(engine)
    compute(engine)
    assert find_metric(engine, "unbooked_loss", 1).value == Decimal("5000.00")
    assert find_metric(engine, "unresolved_deficit", 1).value == Decimal(0)
    assert find_metric(engine, "unresolved_deficit", 2).value == Decimal("5000.00")


def test_a_position_whose_account_was_not_answered_makes_stress_unknown(engine: Engine) -> None:
    rows = perp_days(3)
    rows.take(0.2, "ghost", 5.0)
    rows.write(engine)
    compute(engine)
    gap = find_metric(engine, "gap_survived", 1)
    assert (gap.value, gap.quality) == (None, "unknown")
    assert "ghost" in gap.reason
    assert find_metric(engine, "coverage", 1).quality == "unknown"
    assert find_metric(engine, "unresolved_deficit", 1).quality == "unknown"


def test_capacity_below_zero_is_depleted_at_once_and_ends_at_once(engine: Engine) -> None:
    rows = perp_days(6)
    for row in rows.found:
        if row.__tablename__ == "reading" and row.name == "balance" and row.block_number in (251, 351):  # type: ignore[attr-defined]
            row.value_raw = -3_000_000_000  # type: ignore[attr-defined]
    rows.write(engine)
    compute(engine)
    assert [find_metric(engine, "status", day).text for day in range(5)] == [
        "not_computable", "not_computable", "depleted", "depleted", "not_computable",
    ]  # fmt: skip
    assert find_metric(engine, "usable_value", 2).value == Decimal("-3000.00")
    assert find_metric(engine, "unresolved_deficit", 2).value == Decimal("3000.00")


def test_the_band_uses_the_lowest_usable_value_of_seven_days(engine: Engine) -> None:
    rows = perp_days(12)
    for row in rows.found:
        if row.__tablename__ == "reading" and row.name == "balance" and row.block_number == 251:  # type: ignore[attr-defined]
            row.value_raw = 7_000_000_000  # type: ignore[attr-defined]
    rows.write(engine)
    compute(engine)
    assert find_metric(engine, "usable_value", 8).value == Decimal("600000.00")
    assert find_metric(engine, "usable_value_min_7d", 8).value == Decimal("7000.00")
    assert find_metric(engine, "usable_value_min_7d", 9).value == Decimal("600000.00")
    gap = find_metric(engine, "gap_survived", 8)
    assert gap.detail is not None
    assert (gap.value, gap.detail["band_gap"]) == (Decimal("0.5"), 0.23)


def test_a_day_without_a_snapshot_is_stale_and_keeps_the_last_value_in_sight(engine: Engine) -> None:
    rows = perp_days(3)
    for day in (9, 10):
        rows.money(day + 0.5, 600_000.0)
        rows.market(day + 0.5, 2_000.0)
        rows.account(day + 0.5, "taker", 40_000.0, 100.0)
    rows.scan(0.0, 10.5)
    rows.write(engine)
    compute(engine)
    hole = find_metric(engine, "usable_value", 8)
    assert (hole.value, hole.quality, hole.as_of_time) == (Decimal("600000.00"), "stale", START + DAY * 2.5)
    assert "old" in hole.reason
    assert find_metric(engine, "status", 8).text == "not_computable"
    assert find_metric(engine, "data_status", 8).text == "stale"
    assert find_metric(engine, "usable_value", 9).quality == "ok"


def test_a_missing_price_makes_usd_unknown_and_leaves_the_token_balance(engine: Engine) -> None:
    rows = Rows(kind=FundKind.RESERVE, shape=Shape.ADDRESS_FUND)
    rows.money(0.5, 100.0, price=None)
    rows.scan()
    rows.write(engine)
    compute(engine)
    assert find_metric(engine, "usable_value", 0).quality == "unknown"
    assert find_metric(engine, "gross_balance", 0).value == Decimal(100)


def test_a_negative_balance_of_a_wallet_is_an_invalid_reading(engine: Engine) -> None:
    rows = Rows(kind=FundKind.RESERVE, shape=Shape.ADDRESS_FUND)
    rows.money(0.5, -1.0)
    rows.scan()
    rows.write(engine)
    compute(engine)
    usable = find_metric(engine, "usable_value", 0)
    assert usable.quality == "unknown"
    assert "impossible" in usable.reason


def test_a_reserve_shows_its_flows_and_covers_no_defined_exposure(engine: Engine) -> None:
    rows = Rows(kind=FundKind.RESERVE, shape=Shape.ADDRESS_FUND)
    for day, balance in enumerate([100.0, 150.0, 120.0]):
        rows.money(day + 0.5, balance)
    rows.fact(1.2, Role.CONTRIBUTION, 50.0, source="top_up")
    rows.fact(2.2, Role.WITHDRAWAL, 30.0)
    rows.scan()
    rows.write(engine)
    compute(engine)
    status = find_metric(engine, "status", 2)
    assert (status.text, status.reason) == ("not_computable", "it covers no defined exposure")
    inflow, outflow = find_metric(engine, "inflow_total", 2), find_metric(engine, "outflow_total", 2)
    assert (inflow.value, inflow.detail and inflow.detail["by_source"]) == (Decimal(50), {"top_up": "50.000000"})
    assert (outflow.value, outflow.detail and outflow.detail["by_role"]) == (Decimal(30), {"withdrawal": "30.000000"})
    assert find_metric(engine, "explained_share", 2).value == Decimal(1)
    assert find_metric(engine, "max_drawdown", 2).value == Decimal("0.2")
    # Nobody says what the 30 were paid for: "not shrinking" would be an invention.
    assert find_metric(engine, "runway", 1).text == "not shrinking"
    assert find_metric(engine, "runway", 2).quality == "unknown"
    assert find_metric(engine, "self_funding", 1).text == "no shortfall to fund"
    assert find_metric(engine, "self_funding", 2).quality == "unknown"
    assert not [row for row in list_metrics(engine) if row["name"] == "exposure"]


def test_a_market_without_a_fund_lists_what_its_users_lost(engine: Engine) -> None:
    rows = Rows(kind=FundKind.NO_FUND, shape=Shape.MORPHO_BLUE)
    for day in range(3):
        rows.snapshot(day + 0.5)
        rows.price(day + 0.5)
        rows.read(day + 0.5, ReadingName.TOTAL_BORROW, 1_000.0, "0xmarket", asset=1)
    rows.fact(1.6, Role.SHORTFALL, 70.0, market="0xmarket")
    rows.fact(1.6, Role.SOCIALISED_LOSS, 70.0, market="0xmarket")
    rows.scan()
    rows.write(engine)
    compute(engine)
    status = find_metric(engine, "status", 2)
    assert (status.text, status.value) == ("no_fund", None)
    assert find_metric(engine, "exposure", 2).value == Decimal("1000.00")
    lost = find_metric(engine, "socialised_total", 2)
    assert (lost.value, lost.detail) == (Decimal("70.00"), {"by_market": {"0xmarket": "70.00"}})
    assert find_metric(engine, "shortfall_total", 2).value == Decimal("70.00")


def test_a_protocol_that_books_no_bad_debt_never_shows_a_loss_of_zero(engine: Engine) -> None:
    rows = Rows(kind=FundKind.LENDING_BACKSTOP, shape=Shape.AAVE_V2, asset=None)
    for day in range(3):
        rows.snapshot(day + 0.01)
        rows.fact(day + 0.6, Role.LIQUIDATION, 70.0, side="debt")
    rows.scan()
    rows.write(engine)
    compute(engine)
    # The last day's liquidation comes after its snapshot, at which nothing was read: the day stands on the later block.
    seen = find_metric(engine, "liquidations", 2)
    assert (seen.value, seen.detail) == (Decimal(3), {"by_asset": {"debt": {"USDC": "210000000"}}})
    for name in ("shortfall_total", "payout_total", "uncovered_loss_365d", "exposure", "usable_value"):
        assert find_metric(engine, name, 2).quality == "unknown", name
    for name in ("episodes", "shortfall_day_bound", "worst_1d", "worst_7d_scaled", "bankrupt_share"):
        assert "books no bad debt" in find_metric(engine, name, 2).reason, name
        assert find_metric(engine, name, 2).value is None, name
    status = find_metric(engine, "status", 2)
    assert (status.text, status.value) == ("not_computable", None)
    assert "books no bad debt" in status.reason
    assert not [row for row in list_metrics(engine) if row["name"] == "inflow_total"]


def test_where_no_loss_is_booked_years_without_one_earn_no_band(engine: Engine) -> None:
    rows = Rows(kind=FundKind.LENDING_BACKSTOP, shape=Shape.AAVE_V2, asset=None)
    for day in range(100):
        rows.snapshot(day + 0.01)
    rows.scan()
    rows.write(engine)
    compute(engine)
    status = find_metric(engine, "status", 98)
    assert find_metric(engine, "observed_days", 98).value == Decimal(99)
    assert status.detail is not None
    assert (status.value, status.detail["at_best"], status.detail["bands"]["past_shortfall"]) == (None, None, None)
    assert "books no bad debt" in status.detail["reasons"]["past_shortfall"]


def test_a_venue_that_tells_of_no_single_liquidation_has_an_unknown_number_of_them(engine: Engine) -> None:
    venue().write(engine)
    compute(engine)
    for name in ("liquidations", "bankrupt_share", "penalty_share"):
        number = find_metric(engine, name, 18)
        assert (number.value, number.quality) == (None, "unknown"), name
        assert number.reason == "polls tell what was lost and paid, not each liquidation"


def test_a_venue_is_stressed_by_the_leverage_mix_and_held_to_its_caps(engine: Engine) -> None:
    venue().write(engine)
    compute(engine)
    assert find_metric(engine, "exposure", 18).value == Decimal("2000.00")
    gap = find_metric(engine, "gap_survived", 18)
    # 100 are left under the cap: −14 % costs 2,000 · 4.40 % = 88, −15 % costs 2,000 · 5.05 % = 101.
    assert gap.value == Decimal("0.14")
    assert gap.detail is not None
    assert gap.detail["positions"] == "leverage mix"
    cover = find_metric(engine, "market_cover", 18)
    assert cover.detail is not None
    assert cover.detail["rows"][0]["cover"] == 0.05
    assert cover.detail["rows"][0]["left"] == "100.00"
    assert find_metric(engine, "data_status", 18).text == "recorded_by_third_party"
    # The record began at noon of the first day: that day is not observed, but it is no hole either.
    days = find_metric(engine, "observed_days", 18)
    assert (days.value, days.detail and days.detail["history_days"]) == (Decimal(18), 18)


def test_socialised_loss_while_the_fund_is_far_from_empty_is_short(engine: Engine) -> None:
    rows = venue(100)
    rows.fact(95.5, Role.PAYOUT, 100.0, market="SOL-PERP")
    rows.fact(95.5, Role.SOCIALISED_LOSS, 40.0, market="SOL-PERP")
    rows.write(engine)
    compute(engine)
    assert find_metric(engine, "worst_1d", 98).value == Decimal("140.00")
    assert find_metric(engine, "uncovered_loss_30d", 98).value == Decimal("40.00")
    status = find_metric(engine, "status", 98)
    assert (status.text, status.detail and status.detail["bands"]["uncovered"]) == ("short", 3)


def test_a_balance_that_was_not_published_is_unknown_and_not_zero(engine: Engine) -> None:
    rows = venue(3)
    for row in rows.found:
        if row.__tablename__ == "reading" and row.name == "balance":  # type: ignore[attr-defined]
            row.value_raw, row.error = None, "empty in the source"  # type: ignore[attr-defined]
    rows.write(engine)
    compute(engine)
    gross = find_metric(engine, "gross_balance", 1)
    assert (gross.value, gross.quality) == (None, "unknown")
    assert find_metric(engine, "status", 1).text == "not_computable"
    for name in ("unresolved_deficit", "uncovered_loss_30d", "uncovered_loss_365d"):
        owed = find_metric(engine, name, 1)
        assert (owed.value, owed.quality) == (None, "unknown"), name


def test_without_the_balance_nobody_says_that_a_liquidation_would_be_refused(engine: Engine) -> None:
    rows = perp_days(3)
    rows.take(1.0, "broke", 10.0)
    for day in (1, 2):
        rows.account(day + 0.5, "broke", -5_000.0, 10.0)
    for row in rows.found:
        if row.__tablename__ == "reading" and row.name == "balance":  # type: ignore[attr-defined]
            row.value_raw, row.error = None, "reverted"  # type: ignore[attr-defined]
    rows.write(engine)
    compute(engine)
    unbooked = find_metric(engine, "unbooked_loss", 2)
    assert unbooked.value == Decimal("5000.00")
    (account,) = unbooked.detail["accounts"]
    assert (account["is_refused"], account["loss_beyond_fund"]) == (None, None)
    assert find_metric(engine, "unresolved_deficit", 2).quality == "unknown"
