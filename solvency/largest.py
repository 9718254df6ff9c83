"""M5 of one day: what the one or two largest losers of each scenario cost beyond their margin, against U."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from solvency.cover import Cover, compute_cover, compute_cover_ratio, compute_group_losses, describe_shock
from solvency.day import Day
from solvency.draft import Draft, render_usd
from solvency.named_days import NamedDays, list_moves
from solvency.quantity import Quantity, inherit_quality, make_unknown
from solvency.record import ALL
from solvency.stress import GRID, LADDER, AccountBook, Floats

SCENARIOS = tuple(shock for shock in GRID if 0 < abs(shock) <= 0.30)
"""Extreme but plausible (CPMI-IOSCO, principle 4): common moves up to 30 %, and beside them the named days."""
NOT_PUBLIC = "positions are not public"


def compute_covers(day: Day, book: AccountBook | None, reason: str, named: NamedDays) -> tuple[Cover, Cover]:
    """Cover-1 and Cover-2 over all scenarios, every account a group of its own: nobody says who controls several.

    Without a book both are unknown for that reason, or because positions are not public.
    """
    if book is None:
        unknown = Cover(make_unknown("usd", reason or NOT_PUBLIC))
        return unknown, unknown
    losses = dict(compute_group_losses(book, book.names, SCENARIOS))
    for scenario in named.days:
        moved = replace(book, betas=-list_moves(book, day.exposure.markets, scenario))
        (losses[scenario.date],) = compute_group_losses(moved, book.names, [-1.0]).values()
    one, two = (_inherit(compute_cover(losses, n), day.exposure.total) for n in (1, 2))
    return one, two


def _inherit(cover: Cover, exposure: Quantity) -> Cover:
    """A cover is no better known than the exposure it is read with."""
    return cover if cover.amount.value is None else replace(cover, amount=inherit_quality(cover.amount, [exposure]))


def compute_ratios(
    usable: Quantity, ladder: Floats | None, by_day: Mapping[str, Quantity], covers: tuple[Cover, Cover]
) -> tuple[Quantity, Quantity]:
    """U(scenario) / Cover-1 and / Cover-2, ×, each in the scenario that sets it. `by_day`: U on the named days."""
    scenarios = {describe_shock(shock): _shock(usable, ladder, shock) for shock in SCENARIOS}
    scenarios |= {name: _take_lower(usable, found) for name, found in by_day.items()}
    one, two = (compute_cover_ratio(scenarios, cover) for cover in covers)
    return one, two


def _shock(usable: Quantity, ladder: Floats | None, shock: float) -> Quantity:
    """U at a shock; a rise is never credited."""
    if usable.value is None or ladder is None:
        return make_unknown("usd", usable.reason)
    step = LADDER.index(abs(shock)) if shock < 0 else 0
    return replace(usable, value=float(ladder[step]))


def _take_lower(usable: Quantity, on_day: Quantity) -> Quantity:
    """U on a named day comes from what is held now: where U was lower within the week, that one counts."""
    if usable.value is None or on_day.value is None:
        return usable if usable.value is None else on_day
    return inherit_quality(replace(on_day, value=min(usable.value, on_day.value)), [usable])


def draft_covers(covers: tuple[Cover, Cover], ratios: tuple[Quantity, Quantity]) -> list[Draft]:
    """Cover-1, Cover-2 and U over Cover-2; `ratios` with U at the as-of block."""
    one, two = ratios
    detail = {**_describe(covers[1]), "cover_1_ratio": None if one.value is None else round(one.value, 4)}
    return [
        *(
            Draft(f"cover_{n}", cover.amount, ALL, rounding="up", detail=_describe(cover))
            for n, cover in enumerate(covers, start=1)
        ),
        Draft("coverage_cover_2", two, ALL, rounding="down", detail=detail),
    ]


def _describe(cover: Cover) -> dict[str, Any]:
    return {
        "scenario": cover.scenario,
        "accounts": list(cover.groups),
        "amount_usd": render_usd(cover.amount.value),
        "groups": "each account alone: nobody says who controls several",
    }
