"""Stress and coverage of one day: the ladder of losses from accounts or the leverage mix, the gap, the headline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvency.coverage import (
    Coverage,
    StressLeg,
    compute_coverage,
    compute_exposure_coverage,
    compute_market_coverage,
)
from solvency.day import Day
from solvency.draft import Draft, render_usd
from solvency.largest import compute_covers, compute_ratios, draft_covers
from solvency.named_days import NamedDay, NamedDays, compute_usable_on
from solvency.positions import MarketExposure, read_book
from solvency.quantity import Quantity, inherit_quality, make_unknown
from solvency.record import ALL, Record
from solvency.stress import (
    GRID,
    LADDER,
    AccountBook,
    Floats,
    MarketLadder,
    compute_account_losses,
    compute_asset_losses,
    compute_gap_survived,
    compute_mix_losses,
    compute_stress_ratio,
)

DOWN: tuple[float, ...] = tuple(-step for step in LADDER)
REFERENCE_STEP = LADDER.index(0.20)


@dataclass(frozen=True)
class Stress:
    """Losses along the ladder in USD; `by_market` for the page, `capped` for the caps. `reason` where unknown."""

    positions: str
    down: Floats | None = None
    up: Floats | None = None
    capped: tuple[MarketLadder, ...] = ()
    by_market: tuple[tuple[str, Floats, Floats], ...] = ()
    book: AccountBook | None = None
    reason: str = ""


@dataclass(frozen=True)
class Risk:
    """The graded gap and cover ratios (on the 7-day minimum of U) and the drafts of a day."""

    gap_for_band: Quantity
    cover_1: Quantity
    cover_2: Quantity
    stress: Stress
    drafts: list[Draft]

    @property
    def positions(self) -> str:
        """Where the losses of the stress come from."""
        return self.stress.positions


def read_stress(day: Day) -> Stress:
    """Losses along the ladder: from accounts where positions are public, else from the published leverage mix."""
    exposure = day.exposure
    if exposure.total.value is None:
        return Stress("unknown", reason=exposure.total.reason)
    if not day.has_public_positions:
        return _stress_mix(exposure.markets)
    if not day.walk.markets and exposure.total.value > 0:
        return Stress("unknown", reason="accounts were not read at this block")
    book = read_book(day.walk)
    if isinstance(book, str):
        return Stress("unknown", reason=book)
    return _stress_book(book, {market.market: market.symbol for market in exposure.markets})


def _stress_book(book: AccountBook, symbols: dict[str, str]) -> Stress:
    down, up = compute_account_losses(book, DOWN), compute_account_losses(book, LADDER)
    alone = tuple(
        (symbols.get(name, name), compute_asset_losses(book, index, DOWN), compute_asset_losses(book, index, LADDER))
        for index, name in enumerate(book.markets)
    )
    return Stress("public", down, up, by_market=alone, book=book)


def _stress_mix(markets: Sequence[MarketExposure]) -> Stress:
    """The leverage mix market by market; a market with a cap is held against what its cap still pays."""
    down, up = np.zeros(len(LADDER)), np.zeros(len(LADDER))
    capped, alone = [], []
    for market in markets:
        interest = market.exposure.value or 0.0
        falls = compute_mix_losses(interest, DOWN, beta=market.beta)
        rises = compute_mix_losses(interest, LADDER, beta=market.beta)
        down, up = down + falls, up + rises
        alone.append((market.symbol, falls, rises))
        left = find_cap_left(market)
        if left is None:
            continue
        if left.value is None:
            return Stress("unknown", reason=left.reason)
        capped.append(MarketLadder(market.symbol, left.value, falls, rises))
    return Stress("leverage mix", down, up, tuple(capped), tuple(alone))


def find_cap_left(market: MarketExposure) -> Quantity | None:
    """Cap − used of a market in USD, not below 0; None where the platform caps nothing."""
    if market.cap is None:
        return None
    if market.cap.value is None or market.used is None or market.used.value is None:
        lacking = market.cap if market.cap.value is None else market.used
        return make_unknown("usd", lacking.reason if lacking else f"{market.symbol}: the use of its cap was not read")
    return Quantity(max(0.0, market.cap.value - market.used.value), "usd")


def read_risk(day: Day, record: Record, named: NamedDays) -> Risk:
    """Every metric of stress and coverage."""
    stress = read_stress(day)
    money = day.money
    gap = _find_gap(day, stress, money.usable, money.valuation.ladder)
    gap_for_band = _find_gap(day, stress, money.minimum, money.ladder_minimum)
    legs = _list_legs(day, stress)
    coverage = compute_coverage(
        money.usable, record.scaled.loss, legs, is_none_recognised=not record.episodes and not day.walk.losses
    )
    covers = compute_covers(day, stress.book, stress.reason, named)
    by_day = {scenario.date: find_usable_on(day, scenario) for scenario in named.days}
    ratios = compute_ratios(money.usable, money.valuation.ladder, by_day, covers)
    ratios_for_band = compute_ratios(money.minimum, money.ladder_minimum, by_day, covers)
    detail = {
        "positions": stress.positions,
        "grid": _list_grid(day, stress),
        "by_market": _list_markets(stress),
        "band_gap": gap_for_band.value,
        "capped_markets": [{"market": m.market, "cap_left_usd": render_usd(m.cap_left)} for m in stress.capped],
    }
    drafts = [
        Draft("gap_survived", gap, ALL, rounding="down", detail=detail),
        Draft("stress_coverage_20", _find_worse(legs), ALL, rounding="down", detail={"legs": _describe_legs(legs)}),
        *_draft_coverage(coverage),
        *draft_covers(covers, ratios),
    ]
    return Risk(gap_for_band, *ratios_for_band, stress, drafts)


def find_usable_on(day: Day, scenario: NamedDay) -> Quantity:
    """U under the moves of a named day, as well known as U itself."""
    usable = day.money.usable
    if usable.value is None:
        return usable
    return inherit_quality(compute_usable_on(scenario, day.money.valuation.holdings), [usable])


def _find_gap(day: Day, stress: Stress, usable: Quantity, ladder: Floats | None) -> Quantity:
    if stress.down is None or stress.up is None:
        return make_unknown("fraction", stress.reason)
    if ladder is None or usable.value is None:
        return make_unknown("fraction", usable.reason)
    gap = compute_gap_survived(ladder, stress.down, stress.up, markets=stress.capped)
    return inherit_quality(gap, [usable, day.exposure.total])


def _list_legs(day: Day, stress: Stress) -> list[StressLeg]:
    """U and L at −20 % and +20 %; a leg that is not known carries its reason."""
    usable, ladder = day.money.usable, day.money.valuation.ladder
    legs = []
    for sign, losses in ((-1, stress.down), (1, stress.up)):
        step = REFERENCE_STEP if sign < 0 else 0
        stressed = usable
        if ladder is not None and usable.value is not None:
            at_shock = Quantity(float(ladder[step]), "usd", is_lower_bound=usable.is_lower_bound)
            stressed = inherit_quality(at_shock, [usable])
        if losses is None:
            loss = make_unknown("usd", stress.reason)
        else:
            loss = inherit_quality(Quantity(float(losses[REFERENCE_STEP]), "usd"), [day.exposure.total])
        legs.append(StressLeg(sign * LADDER[REFERENCE_STEP], stressed, loss))
    return legs


def _find_worse(legs: Sequence[StressLeg]) -> Quantity:
    """U(±20 %) / L(±20 %) of the worse direction; one unknown direction makes it unknown."""
    ratios = [compute_stress_ratio(leg.usable, leg.loss) for leg in legs]
    unknown = next((ratio for ratio in ratios if ratio.quality == "unknown"), None)
    if unknown is not None:
        return unknown
    return min(ratios, key=lambda ratio: float("inf") if ratio.value is None else ratio.value)


def _describe_legs(legs: Sequence[StressLeg]) -> list[dict[str, Any]]:
    return [
        {"shock": leg.shock, "usable_usd": render_usd(leg.usable.value), "loss_usd": render_usd(leg.loss.value)}
        for leg in legs
    ]


def _list_grid(day: Day, stress: Stress) -> list[dict[str, Any]]:
    """Rows of ±10 … ±50 %, all assets together: loss, usable value and their ratio at the same shock."""
    ladder = day.money.valuation.ladder
    if stress.down is None or stress.up is None:
        return []
    rows = []
    for shock in GRID:
        step = round(abs(shock) * 100)
        loss = float((stress.down if shock < 0 else stress.up)[step])
        usable = None if ladder is None else float(ladder[step if shock < 0 else 0])
        ratio = None if usable is None else compute_stress_ratio(Quantity(usable, "usd"), Quantity(loss, "usd")).value
        rows.append(
            {
                "shock": shock,
                "loss": render_usd(loss),
                "usable": render_usd(usable),
                "ratio": None if ratio is None else round(ratio, 4),
            }
        )
    return rows


def _list_markets(stress: Stress) -> list[dict[str, Any]]:
    """Losses of each market moving alone at ±20 % and ±50 %."""
    steps = (REFERENCE_STEP, len(LADDER) - 1)
    return [
        {
            "market": name,
            **{f"-{round(LADDER[k] * 100)}": render_usd(float(down[k])) for k in steps},
            **{f"+{round(LADDER[k] * 100)}": render_usd(float(up[k])) for k in steps},
        }
        for name, down, up in stress.by_market
    ]


def _draft_coverage(coverage: Coverage) -> list[Draft]:
    """Coverage and its reference loss, whose words name the source."""
    loss = coverage.reference_loss
    if loss.value is not None:
        loss = Quantity(loss.value, "usd", loss.quality, loss.reason, words=coverage.source)
    detail = {"reference_loss_usd": render_usd(loss.value), "source": coverage.source}
    return [
        Draft("coverage", coverage.ratio, ALL, rounding="down", detail=detail),
        Draft("reference_loss", loss, ALL, rounding="up", detail={"source": coverage.source}),
    ]


def draft_exposure(day: Day) -> list[Draft]:
    """Exposure by market, coverage of it, and what each market's cap would still pay."""
    exposure, usable = day.exposure, day.money.usable
    rows = [
        {
            "market": market.market,
            "symbol": market.symbol,
            "exposure_usd": render_usd(market.exposure.value),
            "long_usd": render_usd(market.long_usd),
            "short_usd": render_usd(market.short_usd),
            "is_open": market.is_open,
        }
        for market in exposure.markets
    ]
    return [
        Draft("exposure", exposure.total, ("facts", "markets", "prices"), rounding="up", detail={"markets": rows})
    ] + ([] if usable.value is None and not day.money.valuation.is_read else [_draft_exposure_ratio(day)])


def _draft_exposure_ratio(day: Day) -> Draft:
    ratio = compute_exposure_coverage(day.money.usable, day.exposure.total)
    return Draft("coverage_of_exposure", ratio, ALL, rounding="down")


def draft_market_cover(day: Day) -> list[Draft]:
    """Cover of each capped market: min(U, cap left) / its open interest; nothing where no market has a cap."""
    rows: list[dict[str, Any]] = []
    known: list[float] = []
    for market in day.exposure.markets:
        left = find_cap_left(market)
        if left is None or market.cap is None:
            continue
        cover = compute_market_coverage(day.money.usable, left, market.exposure)
        known += [] if cover.value is None else [cover.value]
        rows.append(
            {
                "market": market.market,
                "symbol": market.symbol,
                "cap": render_usd(market.cap.value),
                "used": render_usd(market.used.value if market.used else None),
                "left": render_usd(left.value),
                "open_interest": render_usd(market.exposure.value),
                "cover": None if cover.value is None else round(cover.value, 4),
                "words": cover.words or cover.reason,
            }
        )
    if not rows:
        return []
    least = Quantity(min(known), "ratio", n_obs=len(rows)) if known else make_unknown("ratio", "no market is known")
    return [Draft("market_cover", least, ALL, rounding="down", detail={"rows": rows})]
