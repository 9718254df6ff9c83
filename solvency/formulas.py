"""The formula of every metric in one line, with its section of docs/methodology.md and the input rows behind it."""

from typing import NamedTuple


class Formula(NamedTuple):
    """One metric: `inputs` name the streams of rows that its digest is made of, in the digest's order."""

    text: str
    section: str
    inputs: tuple[str, ...]


_FLOWS = ("facts",)
_MONEY = ("money", "prices")
_USAGE = ("facts", "money")
_RECORD = ("facts", "prices")
_ALL = ("facts", "money", "markets", "prices")
_EXPECTED_SHORTFALL = (
    "(Σ of the ⌊n(1 − {level})⌋ largest daily L + fraction · next) ÷ (n(1 − {level})); "
    "where a tail is fitted: VaR ÷ (1 − ξ) + (β − ξu) ÷ (1 − ξ)"
)
_VALUE_AT_RISK = (
    "the ⌈n · {level}⌉-th smallest daily L of n observed days; "
    "where a tail is fitted: u + β ÷ ξ · [((1 − {level}) ÷ (N_u ÷ n))^−ξ − 1]"
)
_BACKTEST = (
    "number of days whose loss exceeded the VaR {level} published the day before; (1 − {level}) · n are expected"
)
_DEPLETION = "P( U + c·t − Σ X_i ≤ 0 for some t within {days} days ), episodes X_i of a Poisson process, simulated"
_PROTECTION = (
    "Σ longs q · Put(K) + Σ shorts |q| · Call(K), {days} d, volatility 150 % · β a year, K = P − equity share ÷ q"
)
_WORST = "max over t of Σ L in (t − {days} d, t]"

FORMULAS: dict[str, Formula] = {
    "status": Formula("worst of the last three known raw daily bands; Depleted at once", "Status", _ALL),
    "status_raw": Formula(
        "worst band over all required graded metrics; unknown where one of them is unknown", "Status", _ALL
    ),
    "data_status": Formula(
        "the worst of what is wrong with the readings, else where the data come from", "Data status", _ALL
    ),
    "gross_balance": Formula("Σ quantity held, in the fund's own asset; in USD where it holds several", "M1", _MONEY),
    "usable_value": Formula(
        "U(0) = Σ quantity · price · access · min( 1 − h_liq, 1 − h_floor ) − liabilities", "M1", _MONEY
    ),
    "usable_value_min_7d": Formula("min of U(0) over all reads of the last 7 days", "M1", _MONEY),
    "exposure": Formula(
        "Σ over markets of max(Σ longs, Σ |shorts|) · index price; for lending Σ borrowed debt",
        "M2",
        ("facts", "markets", "prices"),
    ),
    "coverage_of_exposure": Formula("U(0) ÷ exposure", "M2", _ALL),
    "market_cover": Formula("min over capped markets of min(U, cap − used) ÷ open interest", "M2", _ALL),
    "worst_1d": Formula(_WORST.format(days=1), "M3", _RECORD),
    "worst_7d": Formula(_WORST.format(days=7), "M3", _RECORD),
    "worst_30d": Formula(_WORST.format(days=30), "M3", _RECORD),
    "worst_7d_scaled": Formula(
        "max over 7-day windows of Σ L · exposure now ÷ exposure then", "M3", ("facts", "prices", "markets")
    ),
    "coverage_worst_7d": Formula("U(0) ÷ scaled worst 7 days", "M3", _ALL),
    "expected_shortfall_975": Formula(_EXPECTED_SHORTFALL.format(level="0.975"), "M4", _RECORD),
    "expected_shortfall_99": Formula(_EXPECTED_SHORTFALL.format(level="0.99"), "M4", _RECORD),
    "value_at_risk_975": Formula(_VALUE_AT_RISK.format(level="0.975"), "M4", _RECORD),
    "value_at_risk_99": Formula(_VALUE_AT_RISK.format(level="0.99"), "M4", _RECORD),
    "coverage_expected_shortfall": Formula("U(0) ÷ ES 97.5 %; graded on U ÷ upper bound of ES", "M4", _ALL),
    "backtest_975": Formula(_BACKTEST.format(level="0.975"), "Backtest", _RECORD),
    "backtest_99": Formula(_BACKTEST.format(level="0.99"), "Backtest", _RECORD),
    "cover_1": Formula("max over scenarios of the largest group's loss beyond its own margin", "M5", _ALL),
    "cover_2": Formula(
        "max over scenarios of the two largest groups' losses beyond own margin, in that same scenario", "M5", _ALL
    ),
    "coverage_cover_2": Formula("U(scenario) ÷ Cover-2, in the scenario that sets Cover-2", "M5", _ALL),
    "gap_survived": Formula(
        "largest |s| in steps of 1 % with L(s) ≤ U(s), and L_m(s) ≤ cap − used in capped markets, in both directions, "
        "together with all smaller ones",
        "M6",
        _ALL,
    ),
    "stress_coverage_20": Formula("min( U(−20 %) ÷ L(−20 %), U(+20 %) ÷ L(+20 %) )", "M6", _ALL),
    "stress_loss_20": Formula(
        "Σ over loans with collateral · LLTV < debt of max(0, debt − collateral ÷ (1 + bonus)), after an instant move "
        "of ±20 %, the worse direction",
        "M6",
        ("facts", "markets", "prices"),
    ),
    "named_days": Formula(
        "min over named days of U ÷ L, both moved by that day's returns", "Scenarios of named days", _ALL
    ),
    "cascade_loss_20": Formula(
        "L of a ±20 % move, worse way, with forced sales: dp = −λ·q·p, fill at p + dp ÷ 2, repeated until none is hit",
        "M6",
        _ALL,
    ),
    "coverage": Formula("min( U(0) ÷ scaled worst 7 days, worse of U(±20 %) ÷ L(±20 %) )", "Coverage", _ALL),
    "reference_loss": Formula("the denominator of coverage: scaled worst 7 days or L(±20 %)", "Coverage", _ALL),
    "depletion_30d": Formula(_DEPLETION.format(days=30), "M7", _ALL),
    "depletion_90d": Formula(_DEPLETION.format(days=90), "M7", _ALL),
    "depletion_365d": Formula(_DEPLETION.format(days=365), "M7", _ALL),
    "runway": Formula("F ÷ (payouts − recurring inflow) a day, over the last 90 observed days", "M8", _USAGE),
    "max_drawdown": Formula("max over t of 1 − balance(t) ÷ highest balance before", "M8", _MONEY),
    "self_funding": Formula("recurring inflow ÷ gross shortfall, last 365 days", "M8", _RECORD),
    "inflow_total": Formula("Σ of everything paid into the fund", "M8", _FLOWS),
    "outflow_total": Formula("Σ of everything that left the fund", "M8", _FLOWS),
    "explained_share": Formula("1 − |Δ balance − Σ flows| ÷ max(|Δ balance|, |Σ flows|)", "M8", _USAGE),
    "uncovered_loss_365d": Formula("ADL + socialised loss + unresolved deficit, last 365 days", "M9", _ALL),
    "uncovered_loss_30d": Formula("ADL + socialised loss + unresolved deficit, last 30 days", "M9", _ALL),
    "unresolved_deficit": Formula(
        "max(0, −F) + Σ negative account values that count: after 24 h, or at once where liquidation is refused",
        "M9",
        _ALL,
    ),
    "unbooked_loss": Formula("Σ max(0, −account value) over accounts that no event has booked", "M9", _ALL),
    "shortfall_total": Formula("Σ L since observation began", "M9", _RECORD),
    "payout_total": Formula("Σ of what the fund paid for shortfalls since observation began", "M9", _RECORD),
    "socialised_total": Formula("Σ of losses taken from users since observation began", "M9", _RECORD),
    "liquidations": Formula("number of liquidations since observation began", "M9", _RECORD),
    "size_band": Formula(
        "F* with P(L > F*) = c ÷ k, for c ÷ k from 0.1 % to 1 %: a band, no single number", "M11", _RECORD
    ),
    "capital_efficiency": Formula("U ÷ F* over the size band", "M11", _ALL),
    "protection_cost_1d": Formula(_PROTECTION.format(days=1), "M10", _ALL),
    "protection_cost_7d": Formula(_PROTECTION.format(days=7), "M10", _ALL),
    "surcharge_adequacy": Formula("recurring inflow a day, last 90 observed days ÷ cost of a day", "M10", _ALL),
    "fund_return": Formula(
        "(recurring inflow − payouts) of the last 365 days ÷ gross balance, a year", "M11", ("facts", "money", "prices")
    ),
    "liquidation_delay": Formula(
        "median of (time of a liquidation − first snapshot of the spell below the margin requirement)",
        "M14",
        ("facts", "markets"),
    ),
    "bankrupt_share": Formula("liquidations with a shortfall in their block ÷ liquidations", "M14", _FLOWS),
    "penalty_share": Formula("Σ of penalties paid to the fund ÷ Σ of penalties", "M14", _FLOWS),
    "observed_days": Formula("number of days whose every block was scanned", "M12", _RECORD),
    "shortfall_day_bound": Formula(
        "Clopper–Pearson 95 % upper bound from k loss days in n observed days; 1 − 0.05^(1/n) for k = 0", "M12", _RECORD
    ),
    "episodes": Formula("number of runs of shortfalls less than 24 hours apart", "M12", _RECORD),
}
