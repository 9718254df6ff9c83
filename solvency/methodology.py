"""The methodology's slots: every number of its text that code decides, taken from the constants that decide it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from solvency import (
    account_cascade,
    backtest,
    bootstrap,
    few,
    flows,
    gpd,
    losses,
    named_days,
    quality,
    ruin_paths,
    sharing,
    sizing,
    status,
    stress,
    tail,
)
from solvency.named_days import NamedDay

SLOT = re.compile(r"\{\{ (\w+) \}\}")

_KINDS = {
    "perp_fund": "the fund of a perpetuals platform",
    "venue_fund": "the fund of a polled venue",
    "lending_backstop": "a lending reserve or a staked backstop",
    "reserve": "a reserve without a defined exposure",
    "no_fund": "a platform without a fund",
}
_REQUIRED = {
    "usable_value": "usable value (M1)",
    "exposure": "exposure",
    "gap_survived": "gap survived (M6)",
    "past_shortfall": "past shortfall (M3 or M12)",
    "runway": "runway (M8)",
    "uncovered": "uncovered loss (M9)",
}


def render_methodology(text: str, further: Mapping[str, str]) -> str:
    """Fill the slots `{{ name }}` of the text; one without a value, or a value without a slot, is a ValueError.

    `further`: slots beside those of list_slots(), from modules that read the ledger.
    """
    slots = {**list_slots(), **further}
    named = set(SLOT.findall(text))
    if named != set(slots):
        raise ValueError(
            f"the methodology names {sorted(named - set(slots))} that no constant gives, and leaves out "
            f"{sorted(set(slots) - named)}: bring solvency/methodology.md and the slots together"
        )
    return SLOT.sub(lambda slot: slots[slot[1]], text)


def list_slots() -> dict[str, str]:
    """Every number of the text that a constant of the calculator decides, as it is printed."""
    return {**_list_cut_points(), **_list_tail(), **_list_stress(), **_list_record(), **_list_quality()}


def format_cut(value: float, unit: str) -> str:
    """Render a cut point: "30 %", "1.5", "2 years", "180 days"."""
    if unit == "fraction":
        return format_percent(value)
    if unit == "days":
        years, rest = divmod(value, 365)
        return f"{value:g} days" if rest or not years else f"{years:g} year{'s' if years > 1 else ''}"
    return f"{value:g}"


def format_percent(share: float) -> str:
    """Render a share: "0.1 %", "30 %"."""
    return f"{share * 100:g} %"


def _list_cut_points() -> dict[str, str]:
    """The bands of every graded metric, and what is required of each kind of fund."""
    cuts = {
        f"cut_{metric}_{band}": format_cut(getattr(cut, band), cut.unit)
        for metric, cut in status.CUT_POINTS.items()
        for band in ("ample", "covered", "thin")
    }
    return cuts | {
        "cut_points_version": status.CUT_POINTS_VERSION,
        "few_covered_days": str(status.FEW_COVERED_DAYS),
        "tail_loss_days": str(status.TAIL_LOSS_DAYS),
        "required": render_required(status.REQUIRED),
    }


def render_required(required: Mapping[str, Iterable[str]]) -> str:
    """One line of a list for each kind of fund: what its band needs."""
    lines = []
    for kind, metrics in required.items():
        words = ", ".join(_REQUIRED[metric] for metric in metrics) or "nothing, since nothing is graded"
        lines.append(f"- for {_KINDS[kind]}: {words}{';' if kind != list(required)[-1] else '.'}")
    return "\n".join(lines)


def render_named_days(days: Iterable[NamedDay]) -> str:
    """A table of the named days with the return of each asset they name."""
    lines = ["| day | known as | returns |", "|---|---|---|"]
    for day in days:
        moves = ", ".join(f"{name} −{format_percent(-move)}" for name, move in sorted(day.moves.items()))
        lines.append(f"| {day.date} | {day.title} | {moves} |")
    return "\n".join(lines)


def _list_tail() -> dict[str, str]:
    """M4, M7, M11 and the backtest."""
    low, high = min(sizing.BAND_RATIOS), max(sizing.BAND_RATIOS)
    return {
        "es_levels": _join(map(format_percent, tail.LEVELS)),
        "threshold_levels": _join(map(format_percent, tail.THRESHOLD_LEVELS)),
        "enough_excesses": str(tail.ENOUGH_EXCESSES),
        "last_few_excesses": str(tail.ENOUGH_EXCESSES - 1),
        "min_excesses": str(tail.MIN_EXCESSES),
        "fit_confidence": format_percent(gpd.CONFIDENCE),
        "bootstrap_confidence": format_percent(bootstrap.CONFIDENCE),
        "replicates": f"{bootstrap.REPLICATES:,}",
        "mean_block": f"{bootstrap.MEAN_BLOCK_DAYS:g}",
        "horizons": f"{_join(f'{days:g}' for days in ruin_paths.HORIZONS_DAYS)} days",
        "paths": f"{ruin_paths.PATHS:,}",
        "size_ratios": f"{format_percent(low)} to {format_percent(high)}",
        "significance": format_percent(backtest.SIGNIFICANCE),
        "telling_days": f"{backtest.MIN_TELLING_DAYS:,}",
    }


def _list_stress() -> dict[str, str]:
    """M6: the ladder of moves, and the mix that stands in for positions with what it costs."""
    mix = sorted(stress.PUBLISHED_MIX.items())
    cost_10, cost_20 = stress.compute_mix_losses(1.0, (-0.10, -0.20))
    return {
        "ladder_step": f"{stress.STEP_PERCENT} %",
        "ladder_end": f"{stress.MAX_PERCENT} %",
        "grid": _join(f"±{move * 100:g} %" for move in stress.GRID if move > 0),
        "mix_leverages": ", ".join(f"{leverage}×" for leverage, _ in mix),
        "mix_shares": ", ".join(f"{share * 100:g}" for _, share in mix) + " %",
        "mix_cost_10": format_percent(float(cost_10)),
        "mix_cost_20": format_percent(float(cost_20)),
        "depth_move": format_percent(0.1 / account_cascade.DEPTH_OF_INTEREST),
        "named_reference": named_days.REFERENCE,
    }


def _list_record() -> dict[str, str]:
    """Episodes, M8, M9 and M12."""
    bound = few.compute_daily_chance_bound(0, 365).value or 0.0
    return {
        "episode_gap_hours": f"{losses.EPISODE_GAP_SECONDS / 3600:g}",
        "runway_days": str(flows.RUNWAY_DAYS),
        "unbooked_grace_hours": f"{sharing.UNBOOKED_GRACE_SECONDS / 3600:g}",
        "min_episodes": str(few.MIN_EPISODES),
        "min_observed_days": str(few.MIN_OBSERVED_DAYS),
        "no_loss_bound": f"{bound * 100:.5f} %",
    }


def _list_quality() -> dict[str, str]:
    """M13: from when on a number is stale, and sources disagree."""
    return {
        "stale_periods": str(quality.STALE_PERIODS),
        "stale_minutes": f"{quality.MIN_STALE_SECONDS / 60:g}",
        "feed_hours": f"{quality.FEED_MAX_AGE_SECONDS / 3600:g}",
        "period_days": f"{quality.PERIOD_WINDOW_SECONDS / 86_400:g}",
        "disagreement": format_percent(quality.MAX_DISAGREEMENT),
    }


def _join(words: Iterable[str]) -> str:
    """ "30, 90 and 365"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
