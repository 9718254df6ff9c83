"""Every metric that pages know: its title, its sentence, which way it is rounded, and the readings behind it."""

from dataclasses import dataclass

from ledger.kinds import ReadingName as R
from ledger.numbers import Rounding


@dataclass(frozen=True)
class Entry:
    """One metric in words."""

    title: str
    sentence: str
    rounding: Rounding = Rounding.NEAREST
    readings: tuple[R, ...] = ()


_BALANCE = (R.BALANCE, R.WALLET_BALANCE, R.VAULT_BALANCE)
_POSITIONS = (R.ACCOUNT_VALUE, R.MARGIN_REQUIREMENT, R.TAKER_SIZE, R.POSITION_SIZE, R.INDEX_PRICE)
_EXPOSURE = (
    R.TAKER_SIZE,
    R.INDEX_PRICE,
    R.TOTAL_BORROW,
    R.TOTAL_SUPPLY,
    R.OPEN_INTEREST_LONG,
    R.OPEN_INTEREST_SHORT,
)
_COUNTERS = (R.INSURANCE_USED, R.SOCIALISED_LOSS_TOTAL)
UP, DOWN = Rounding.UP, Rounding.DOWN

METRICS: dict[str, Entry] = {
    "status": Entry("Published status", "Worst of the last three known daily bands."),
    "status_raw": Entry("Raw daily band", "Worst band of all graded metrics at this block."),
    "data_status": Entry("Data status", "How far the readings behind the numbers can be relied on."),
    "gross_balance": Entry(
        "Gross balance", "What the fund holds, before any haircut, in its own asset.", DOWN, _BALANCE
    ),
    "usable_value": Entry(
        "Usable value", "What could really be paid out in a stress, after haircuts and access limits.", DOWN, _BALANCE
    ),
    "usable_value_min_7d": Entry(
        "Lowest usable value in 7 days", "The band is decided on this, so that a top-up for a day lifts nothing.", DOWN
    ),
    "exposure": Entry("Open interest or borrows", "What the fund stands behind.", UP, _EXPOSURE),
    "coverage_of_exposure": Entry(
        "Usable value ÷ exposure", "How much of the exposure the fund could pay; shown, never graded alone.", DOWN
    ),
    "coverage": Entry("Coverage", "Usable value divided by the reference loss.", DOWN, _BALANCE),
    "reference_loss": Entry("Reference loss", "The loss that coverage is held against: the harder of two.", UP),
    "worst_1d": Entry("Worst 24 hours", "Largest sum of gross shortfalls within 24 hours.", UP, _COUNTERS),
    "worst_7d": Entry("Worst 7 days", "Largest sum of gross shortfalls within 7 days.", UP, _COUNTERS),
    "worst_30d": Entry("Worst 30 days", "Largest sum of gross shortfalls within 30 days.", UP, _COUNTERS),
    "worst_7d_scaled": Entry(
        "Worst 7 days, scaled", "The worst 7 days as they would be at today's exposure.", UP, _COUNTERS
    ),
    "coverage_worst_7d": Entry(
        "Coverage of the scaled worst 7 days", "Lowest usable value of 7 days over the scaled worst 7 days.", DOWN
    ),
    "gap_survived": Entry(
        "Gap survived", "Largest instant move of all prices, either way, that the fund could pay for.", DOWN, _POSITIONS
    ),
    "stress_coverage_20": Entry(
        "Coverage of a 20 % move",
        "Usable value over the loss of an instant 20 % move, worse direction.",
        DOWN,
        _POSITIONS,
    ),
    "observed_days": Entry("Observed days", "Days whose every block was scanned.", DOWN),
    "shortfall_day_bound": Entry(
        "Upper bound of a shortfall day", "Highest daily chance of a shortfall that the record does not refute.", UP
    ),
    "episodes": Entry("Episodes", "Runs of shortfalls less than 24 hours apart.", UP),
    "shortfall_total": Entry("Shortfalls recognised", "Sum of gross shortfalls since observation began.", UP),
    "payout_total": Entry("Paid out", "Sum of what the fund paid for shortfalls.", UP, _COUNTERS),
    "runway": Entry("Runway", "Days until the fund is empty at the pace of the last 90 days.", DOWN, _BALANCE),
    "max_drawdown": Entry(
        "Largest drawdown", "Deepest fall of the balance from an earlier peak, in its own asset.", UP, _BALANCE
    ),
    "self_funding": Entry("Self-funding", "Recurring inflow over gross shortfall.", DOWN),
    "inflow_total": Entry("Inflows", "Everything paid into the fund.", DOWN),
    "outflow_total": Entry("Outflows", "Everything that left the fund.", UP),
    "explained_share": Entry(
        "Explained by facts", "Share of the balance's change that indexed facts explain.", DOWN, _BALANCE
    ),
    "uncovered_loss_365d": Entry(
        "Uncovered loss, 365 days", "Losses that the fund did not pay: ADL, socialised, unresolved.", UP, _COUNTERS
    ),
    "uncovered_loss_30d": Entry("Uncovered loss, 30 days", "The same within the last 30 days.", UP, _COUNTERS),
    "unresolved_deficit": Entry("Unresolved deficit", "Shortfall that nobody has paid yet.", UP),
    "unbooked_loss": Entry(
        "Unbooked loss",
        "Sum of negative account values that no event has recorded yet.",
        UP,
        (R.ACCOUNT_VALUE, R.MARGIN_REQUIREMENT),
    ),
    "liquidations": Entry("Liquidations", "Forced closures observed.", UP),
    "socialised_total": Entry("Socialised losses", "Losses taken from users who had no part in them.", UP, _COUNTERS),
    "expected_shortfall_975": Entry(
        "Expected shortfall, 97.5 %", "Mean gross shortfall of the worst 2.5 % of days, with its interval.", UP
    ),
    "expected_shortfall_99": Entry(
        "Expected shortfall, 99 %", "Mean gross shortfall of the worst 1 % of days, with its interval.", UP
    ),
    "value_at_risk_975": Entry("Value at risk, 97.5 %", "Loss that 97.5 % of days did not exceed.", UP),
    "value_at_risk_99": Entry("Value at risk, 99 %", "Loss that 99 % of days did not exceed.", UP),
    "coverage_expected_shortfall": Entry(
        "Coverage of expected shortfall",
        "Usable value over expected shortfall at 97.5 %; graded on the upper end of its interval.",
        DOWN,
    ),
    "depletion_30d": Entry("Depletion in 30 days", "Share of simulated paths on which the fund runs dry.", UP),
    "depletion_90d": Entry(
        "Depletion in 90 days", "Share of simulated paths on which the fund runs dry; graded on its upper bound.", UP
    ),
    "depletion_365d": Entry("Depletion in 365 days", "Share of simulated paths on which the fund runs dry.", UP),
    "size_band": Entry("Size band", "Sizes that balance the cost of capital against uncovered losses.", UP),
    "capital_efficiency": Entry("Usable value ÷ size band", "Above 1 more is held than the band asks for.", DOWN),
    "backtest_975": Entry("Failures of the 97.5 % forecast", "Days whose loss exceeded the value at risk before.", UP),
    "backtest_99": Entry("Failures of the 99 % forecast", "Days whose loss exceeded the value at risk before.", UP),
    "cover_1": Entry(
        "Cover-1", "Largest loss of one account beyond its margin, in the worst scenario.", UP, _POSITIONS
    ),
    "cover_2": Entry(
        "Cover-2", "Largest losses of two accounts beyond their margin, in the same scenario.", UP, _POSITIONS
    ),
    "coverage_cover_2": Entry(
        "Coverage of Cover-2", "Usable value over the two largest losses in the same scenario.", DOWN, _POSITIONS
    ),
    "named_days": Entry(
        "Coverage of the hardest named day",
        "Usable value over the loss if that day's moves came now.",
        DOWN,
        _POSITIONS,
    ),
    "stress_loss_20": Entry(
        "Loss of a 20 % move",
        "What borrowers would leave unpaid if all prices moved by 20 % at once, the worse direction.",
        UP,
        (R.TOTAL_BORROW, R.TOTAL_BORROW_SHARES, R.ORACLE_PRICE),
    ),
    "cascade_loss_20": Entry(
        "Loss of a 20 % move with its cascade",
        "What a 20 % move costs when forced closures push the price, at an assumed depth.",
        UP,
        _POSITIONS,
    ),
    "protection_cost_1d": Entry(
        "Price of the protection, 1 day",
        "What an option market would ask for a day of the fund's promise, at an assumed volatility.",
        UP,
        _POSITIONS,
    ),
    "protection_cost_7d": Entry(
        "Price of the protection, 7 days",
        "What an option market would ask for a week of the fund's promise, at an assumed volatility.",
        UP,
        _POSITIONS,
    ),
    "surcharge_adequacy": Entry(
        "Surcharge ÷ fair premium", "Recurring inflow of a day over the price of a day's protection.", DOWN, _POSITIONS
    ),
    "fund_return": Entry("Return on the fund", "Recurring inflow less payouts of a year over the balance.", DOWN),
    "liquidation_delay": Entry(
        "Liquidation delay",
        "Median time from liquidatable to liquidated, as far as snapshots saw it.",
        UP,
        (R.ACCOUNT_VALUE, R.MARGIN_REQUIREMENT),
    ),
    "bankrupt_share": Entry(
        "Liquidations beyond bankruptcy", "Share of liquidations that left a shortfall in their block.", UP
    ),
    "penalty_share": Entry("Penalties paid to the fund", "Share of liquidation penalties that reaches the fund.", DOWN),
    "market_cover": Entry(
        "Least cover of a market",
        "What a market's cap would still pay, over its open interest; the number is that of the least covered market.",
        DOWN,
        (R.INSURANCE_CAP, R.INSURANCE_USED, R.OPEN_INTEREST_LONG, R.OPEN_INTEREST_SHORT),
    ),
}


def describe(name: str) -> Entry:
    """The words of a metric; one that pages do not know yet is shown under its own name."""
    return METRICS.get(name, Entry(name.replace("_", " ").capitalize(), ""))


def readings_of(name: str) -> tuple[str, ...]:
    """Names of the readings that a metric's fact page shows as evidence."""
    found = describe(name).readings or _BALANCE + _EXPOSURE
    return tuple(dict.fromkeys(str(reading) for reading in found))
