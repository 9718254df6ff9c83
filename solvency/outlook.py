"""What the record says of days to come: tail (M4), depletion (M7), size (M11), and how earlier forecasts held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from solvency.backtest import Backtest, RatioTest, compute_backtest
from solvency.coverage import NO_MODELLED_LOSS
from solvency.day import Day, PastDay
from solvency.draft import Draft, render_usd
from solvency.flows import RUNWAY_DAYS
from solvency.losses import DAY_SECONDS
from solvency.quantity import Quantity, divide_usable, inherit_quality, make_unknown
from solvency.record import ALL, STREAMS, Record, describe_unpriced
from solvency.ruin_paths import (
    HORIZONS_DAYS,
    Depletion,
    HorizonDepletion,
    ParetoTail,
    RatePosterior,
    RecordSeverities,
    compute_depletion,
)
from solvency.sizing import BAND_RATIOS, compute_overcapitalisation, compute_size_band
from solvency.stress import Floats
from solvency.tail import LEVELS, LevelRisk, TailRisk, compute_tail_risk

NAMES = {0.975: "975", 0.99: "99"}
FORECASTS = {level: f"value_at_risk_{name}" for level, name in NAMES.items()}
"""Level → the metric that is a day's forecast for the next one."""
NO_TAIL = "no tail is fitted: no episode larger than the largest so far is drawn"
GRADED_DAYS = 90
SHOWN_DAYS = 30
"""Of the backtest: so many of the latest days stand in the row."""


@dataclass(frozen=True)
class Outlook:
    """The two graded numbers, both on the 7-day minimum of U, and the drafts of a day."""

    tail_for_band: Quantity
    depletion_for_band: Quantity
    drafts: list[Draft]


def read_outlook(day: Day, record: Record, past: Sequence[PastDay]) -> Outlook:
    """Every metric of the outlook. `past`: the days before this one, in order."""
    usable, minimum = day.money.usable, day.money.minimum
    daily = _sum_daily(day)
    tail = _read_tail(day, daily)
    now = _read_depletion(day, record, tail, usable)
    lowest = now if minimum == usable else _read_depletion(day, record, tail, minimum)
    drafts = [
        *_draft_tail(day, tail),
        *_draft_depletion(day, record, tail, now),
        *_draft_size(day, daily, tail),
        *(_draft_backtest(day, daily, past, level) for level in LEVELS),
    ]
    upper = _find_upper(lowest)
    return Outlook(_hold_against_upper(minimum, tail.levels[0].es), upper, drafts)


def _find_seed(day: Day) -> int:
    """The same facts give the same numbers on any machine."""
    return int(day.walk.digests["facts"].hexdigest()[:12], 16)


def _sum_daily(day: Day) -> dict[int, Decimal] | str:
    """Gross shortfall of each day that had one, USD by days since 1970; text where one has no price."""
    if unpriced := day.walk.count_unpriced_losses():
        return describe_unpriced(unpriced)
    sums: dict[int, Decimal] = {}
    for loss in day.walk.losses:
        number = loss.row.seconds // DAY_SECONDS
        sums[number] = sums.get(number, Decimal(0)) + (loss.usd or Decimal(0))
    return sums


def _list_sample(day: Day, daily: dict[int, Decimal]) -> Floats:
    """Gross shortfall of every observed day, zero days included, in order."""
    return np.array([float(daily.get(number, 0)) for number in day.observed], dtype=np.float64)


def _read_tail(day: Day, daily: dict[int, Decimal] | str) -> TailRisk:
    if isinstance(daily, str):
        unknown = make_unknown("usd", daily)
        return TailRisk(None, 0, None, tuple(LevelRisk(level, "", unknown, unknown) for level in LEVELS))
    found = compute_tail_risk(_list_sample(day, daily), seed=_find_seed(day))
    return replace(
        found,
        levels=tuple(
            replace(risk, var=day.mark_unobserved(risk.var), es=day.mark_unobserved(risk.es)) for risk in found.levels
        ),
    )


def _draft_tail(day: Day, tail: TailRisk) -> list[Draft]:
    """VaR and ES at both levels, and U over ES 97.5 with its interval."""
    drafts = []
    for risk in tail.levels:
        detail = _describe_tail(tail, risk)
        drafts.append(Draft(f"expected_shortfall_{NAMES[risk.level]}", risk.es, STREAMS, rounding="up", detail=detail))
        drafts.append(Draft(FORECASTS[risk.level], risk.var, STREAMS, rounding="up", detail=detail))
    es, usable = tail.levels[0].es, day.money.usable
    ratio = divide_usable(usable, es, when_zero=NO_MODELLED_LOSS)
    band = _hold_against_upper(day.money.minimum, es)
    if ratio.value is not None and usable.value is not None and es.ci_low is not None and es.ci_high:
        # A lower end of 0 leaves the ratio without an upper one.
        held = max(usable.value, 0.0)
        ratio = replace(ratio, ci_low=held / es.ci_high, ci_high=held / es.ci_low if es.ci_low > 0 else None)
    detail = {
        "usable_usd": render_usd(usable.value),
        "usable_min_7d_usd": render_usd(day.money.minimum.value),
        "expected_shortfall_upper_usd": render_usd(es.ci_high),
        "band_ratio": None if band.value is None else round(band.value, 4),
    }
    return [*drafts, Draft("coverage_expected_shortfall", ratio, ALL, rounding="down", detail=detail)]


def _describe_tail(tail: TailRisk, risk: LevelRisk) -> dict[str, Any]:
    return {
        "level": risk.level,
        "method": risk.method,
        "threshold_usd": render_usd(tail.threshold),
        "days_above_threshold": tail.n_excess,
        "shape": _round(tail.fit.shape) if tail.fit else None,
        "scale_usd": render_usd(tail.fit.scale) if tail.fit else None,
    }


def _hold_against_upper(usable: Quantity, es: Quantity) -> Quantity:
    """U / upper bound of ES: less data, wider interval, lower grade."""
    if es.value is None or es.ci_high is None:
        return make_unknown("ratio", es.reason or "expected shortfall has no upper bound")
    upper = inherit_quality(Quantity(es.ci_high, "usd"), [es])
    return divide_usable(usable, upper, when_zero=NO_MODELLED_LOSS)


def _read_depletion(day: Day, record: Record, tail: TailRisk, reserve: Quantity) -> Depletion:
    """The simulation from this reserve; where an input is unknown, so is every horizon."""
    inflow, amounts = _find_inflow(day), [float(episode.amount) for episode in record.episodes]
    if reserve.value is None:
        return _make_unknown_depletion(reserve.reason)
    if inflow is None or day.walk.count_unpriced_losses():
        return _make_unknown_depletion("an inflow or a shortfall has no price in USD")
    spliced = splice_tail(amounts, tail) if amounts else None
    found = compute_depletion(
        reserve.value,
        inflow=inflow,
        severities=RecordSeverities(tuple(amounts), spliced) if amounts else None,
        rate=RatePosterior(len(amounts), float(day.observed_days)),
        horizons=HORIZONS_DAYS,
        seed=_find_seed(day),
    )
    stands_on = [reserve] if spliced else [reserve, Quantity(0.0, "usd", "partial", NO_TAIL)]
    horizons = (replace(each, probability=_mark(day, each.probability, stands_on)) for each in found.horizons)
    return replace(found, horizons=tuple(horizons))


def _make_unknown_depletion(reason: str) -> Depletion:
    chance = make_unknown("fraction", reason)
    return Depletion(tuple(HorizonDepletion(days, chance, None) for days in HORIZONS_DAYS), 0, 0, None)


def _mark(day: Day, chance: Quantity, stands_on: Sequence[Quantity]) -> Quantity:
    """A chance is no better known than reserve, tail and days that it stands on."""
    if chance.quality == "unknown":
        return chance
    return day.mark_unobserved(inherit_quality(chance, stands_on))


def _find_inflow(day: Day) -> float | None:
    """Recurring inflow in USD a day over the last 90 days, or the observed ones if fewer."""
    window = max(min(day.observed_days, RUNWAY_DAYS), 1)
    end = day.as_of_seconds
    total = day.walk.flows.recurring_usd.sum_between(end - window * DAY_SECONDS, end)
    return None if total is None else float(total) / window


def splice_tail(episodes: Sequence[float], tail: TailRisk) -> ParetoTail | None:
    """The fitted tail, which takes over above its threshold (USD); None where the record has to do without.

    That is where none was fitted, its mean is not finite, or no episode, or every one, lies beyond the threshold.
    """
    fit = tail.fit
    if fit is None or fit.shape >= 1:
        return None
    share = sum(amount > fit.threshold for amount in episodes) / len(episodes)
    return ParetoTail(fit.threshold, fit.shape, fit.scale, share) if 0 < share < 1 else None


def _find_upper(found: Depletion) -> Quantity:
    """Upper bound of the chance of depletion within 90 days."""
    chance = found.horizons[HORIZONS_DAYS.index(GRADED_DAYS)].probability
    if chance.quality == "unknown" or chance.ci_high is None:
        return make_unknown("fraction", chance.reason)
    return inherit_quality(Quantity(chance.ci_high, "fraction"), [chance])


def _draft_depletion(day: Day, record: Record, tail: TailRisk, found: Depletion) -> list[Draft]:
    detail: dict[str, Any] = {
        "reserve_usd": render_usd(day.money.usable.value),
        "inflow_per_day_usd": render_usd(_find_inflow(day)),
        "episodes": len(record.episodes),
        "observed_days": day.observed_days,
        "paths": found.paths or None,
        "seed": found.seed or None,
        "is_certain_in_the_end": found.is_certain_in_the_end,
        "tail": "record alone" if tail.fit is None else "fitted above the threshold",
    }
    return [
        Draft(
            f"depletion_{each.days:g}d",
            each.probability,
            ALL,
            rounding="up",
            detail={**detail, "standard_error": _round(each.standard_error)},
        )
        for each in found.horizons
    ]


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, 7)


def _draft_size(day: Day, daily: dict[int, Decimal] | str, tail: TailRisk) -> list[Draft]:
    """M11: the size band over c/k, and U beside it."""
    if isinstance(daily, str):
        band = make_unknown("usd", daily)
    elif tail.levels[0].es.value is None:
        band = make_unknown("usd", tail.levels[0].es.reason)
    else:
        band = compute_size_band(fit=tail.fit, losses=_list_sample(day, daily))
        band = day.mark_unobserved(band)
    detail = {
        "cost_ratios": list(BAND_RATIOS),
        "low_usd": render_usd(band.ci_low),
        "high_usd": render_usd(band.ci_high),
    }
    over = compute_overcapitalisation(day.money.usable, band)
    return [
        Draft("size_band", band, STREAMS, rounding="up", detail=detail),
        Draft("capital_efficiency", over, ALL, rounding="down"),
    ]


def _draft_backtest(day: Day, daily: dict[int, Decimal] | str, past: Sequence[PastDay], level: float) -> Draft:
    """Each earlier day's loss against the VaR that was published the day before."""
    name = FORECASTS[level]
    forecasts = [before.forecasts.get(name) for before in past[:-1]]
    losses = [_find_loss(daily, later) for later in past[1:]]
    found = compute_backtest(forecasts, losses, level=level)
    rows = [
        {"day": later.name, "forecast_usd": render_usd(forecast), "loss_usd": render_usd(loss)}
        for later, forecast, loss in zip(past[1:], forecasts, losses, strict=True)
        if forecast is not None and loss is not None
    ]
    if found.n == 0:
        count = make_unknown("count", "no day had a forecast the day before and a loss that is known", n_obs=0)
    else:
        count = Quantity(float(found.failures), "count", words=found.words, n_obs=found.n, n_events=found.failures)
    return Draft(f"backtest_{NAMES[level]}", count, STREAMS, detail=_describe_backtest(found, level, rows))


def _find_loss(daily: dict[int, Decimal] | str, day: PastDay) -> float | None:
    if isinstance(daily, str) or not day.is_observed:
        return None
    return float(daily.get(day.number, 0))


def _describe_backtest(found: Backtest, level: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "level": level,
        "expected": round(found.expected, 4),
        "days_left_out": found.n_unknown,
        "kupiec": _describe_test(found.kupiec),
        "christoffersen": _describe_test(found.christoffersen),
        "joint": _describe_test(found.joint),
        "latest": rows[-SHOWN_DAYS:],
    }


def _describe_test(test: RatioTest | None) -> dict[str, float] | None:
    return None if test is None else {"statistic": round(test.statistic, 6), "p_value": round(test.p_value, 6)}
