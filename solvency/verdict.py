"""The status of one day: raw band, published band in words, and the data axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.kinds import ChainStatus, DataStatus, FundKind, SegmentStatus, SourceKind, Status
from ledger.tables import Segment
from solvency.day import Day
from solvency.draft import Draft
from solvency.few import MIN_OBSERVED_DAYS
from solvency.outlook import Outlook
from solvency.quantity import Quantity, render_count
from solvency.record import ALL, Record, compute_week_ratio
from solvency.risk import Risk
from solvency.status import (
    CUT_POINTS,
    CUT_POINTS_VERSION,
    FEW_COVERED_DAYS,
    Band,
    Decision,
    decide_band,
    find_required,
    grade_cover,
    grade_depletion,
    grade_expected_shortfall,
    grade_gap,
    grade_past_shortfall,
    grade_runway,
    grade_uncovered,
    grade_worst_week,
    is_depleted,
    publish_bands,
)

_NO_EXPOSURE = "it covers no defined exposure"
_STATUS = {
    Band.AMPLE: Status.AMPLE,
    Band.COVERED: Status.COVERED,
    Band.THIN: Status.THIN,
    Band.SHORT: Status.SHORT,
    Band.DEPLETED: Status.DEPLETED,
}
_SOURCES = {
    SourceKind.THIRD_PARTY: DataStatus.THIRD_PARTY,
    SourceKind.RECONSTRUCTED: DataStatus.RECONSTRUCTED,
    SourceKind.SIMULATED: DataStatus.SIMULATED,
}


@dataclass(frozen=True)
class Verdict:
    """The raw band of a day, and what stands behind it."""

    raw: Band | None
    decision: Decision
    bands: dict[str, int | None]
    graded: dict[str, Quantity]
    """The number each band was made of: the lowest usable value of 7 days or an interval's end went into it."""
    reasons: dict[str, str]


@dataclass(frozen=True)
class Evidence:
    """What a day is judged by; None where the kind of fund has no such thing."""

    record: Record | None = None
    risk: Risk | None = None
    runway: Quantity | None = None
    outlook: Outlook | None = None


def judge(day: Day, evidence: Evidence) -> Verdict:
    """Grade a day by the rules of its kind; Depleted is a fact and comes before everything else."""
    if day.kind == FundKind.NO_FUND or day.unverified:
        return Verdict(None, Decision(None, None, ()), {}, {}, {})
    graded, numbers = _grade(day, evidence)
    required = _find_required(day, evidence.record)
    # Only what is required is graded, so that leaving out a number can never better a band.
    bands = {name: band for name, band in graded.items() if name in required}
    known = [name for name, number in numbers.items() if name not in graded and number.is_known]
    decision = decide_band(bands, required, known=known)
    reasons = {name: _explain(day, name, numbers[name]) for name in decision.missing if name in numbers}
    unresolved = evidence.record.unresolved if evidence.record else Quantity(0.0, "usd")
    raw = decision.grade if day.kind != FundKind.RESERVE else None
    if is_depleted(_find_balance(day), unresolved, day.money.usable):
        raw = Band.DEPLETED
    graded_on = {name: numbers[name] for name in sorted(bands)}
    return Verdict(raw, decision, {name: bands[name] for name in graded_on}, graded_on, reasons)


def _explain(day: Day, name: str, number: Quantity) -> str:
    """Why a required metric has no band; a past that is known in USD may still be too short to grade."""
    if name == "past_shortfall" and day.observed_days < MIN_OBSERVED_DAYS:
        return f"{render_count(day.observed_days, 'observed day')}, under {MIN_OBSERVED_DAYS}"
    return number.reason or "unknown"


def _find_required(day: Day, record: Record | None) -> tuple[str, ...]:
    return find_required(
        day.kind,
        n_loss_days=record.n_loss_days if record else 0,
        n_episodes=len(record.episodes) if record else 0,
        observed_days=day.observed_days,
        has_public_positions=day.has_public_positions,
    )


def _grade(day: Day, evidence: Evidence) -> tuple[dict[str, int | None], dict[str, Quantity]]:
    """Bands of the graded metrics, and the numbers behind graded and ungraded ones."""
    record, risk, runway, outlook = evidence.record, evidence.risk, evidence.runway, evidence.outlook
    numbers = {"usable_value": _worse_of(day.money.usable, day.money.minimum)}
    bands: dict[str, int | None] = {}
    if runway is not None:
        numbers["runway"], bands["runway"] = runway, grade_runway(runway)
    if record is not None and risk is not None:
        week = compute_week_ratio(day.money.minimum, record)
        numbers |= {
            "exposure": day.exposure.total,
            "gap_survived": risk.gap_for_band,
            "past_shortfall": week,
            "uncovered": record.uncovered_year,
        }
        bands["gap_survived"] = grade_gap(risk.gap_for_band)
        n_episodes = len(record.episodes) or (1 if day.walk.losses else 0)
        past = grade_past_shortfall(week, n_episodes=n_episodes, observed_days=day.observed_days)
        past = bands["past_shortfall"] = None if day.never_booked else past
        if past is not None and past != grade_worst_week(week):
            numbers["past_shortfall"] = Quantity(float(day.observed_days), "observed days")
        bands["uncovered"] = grade_uncovered(record.uncovered_year, record.uncovered_month)
        numbers["cover_2"], bands["cover_2"] = risk.cover_2, grade_cover(risk.cover_2, risk.cover_1)
    if outlook is not None:
        tail, depletion = outlook.tail_for_band, outlook.depletion_for_band
        numbers |= {"expected_shortfall": tail, "depletion_90d": depletion}
        bands |= {"expected_shortfall": grade_expected_shortfall(tail), "depletion_90d": grade_depletion(depletion)}
    return bands, numbers


def _worse_of(first: Quantity, second: Quantity) -> Quantity:
    return first if not first.is_known else second


def _find_balance(day: Day) -> Quantity:
    """The balance that can be depleted: in tokens where the fund holds one asset, since that needs no price."""
    native = day.money.valuation.native
    if native is None:
        return day.money.gross
    stale = day.money.gross.quality == "stale"
    return Quantity(float(native), "tokens", "stale" if stale else "ok", day.money.gross.reason if stale else "")


def draft_verdict(day: Day, verdict: Verdict, history: Sequence[int | None], *, positions: str) -> list[Draft]:
    """Rows status_raw, status and data_status; `history` holds the raw bands of every day, this one last."""
    band = publish_bands(history)[-1]
    detail = _describe(verdict)
    raw_words = "not computable" if verdict.raw is None else verdict.raw.name.lower()
    raw = Quantity(None if verdict.raw is None else float(verdict.raw), "band", words=raw_words)
    status, reason = _name_status(day, verdict, band)
    words = Quantity(None if band is None else float(band), "band", reason=reason, words=status)
    data, why, flags = _judge_data(day, positions)
    return [
        Draft("status_raw", raw, ALL, detail=detail),
        Draft("status", words, ALL, detail={**detail, "raw_last": list(history[-3:])}),
        Draft("data_status", Quantity(None, "text", reason=why, words=data), ALL, detail={"flags": flags}),
    ]


def _describe(verdict: Verdict) -> dict[str, Any]:
    """Bands with the cut points that made them."""
    cuts: dict[str, dict[str, Any]] = {
        name: {
            "ample": c.ample,
            "covered": c.covered,
            "thin": c.thin,
            "unit": c.unit,
            "is_smaller_better": c.is_smaller_better,
        }
        for name, c in CUT_POINTS.items()
    }
    cuts["observed_days"] = {"covered": FEW_COVERED_DAYS, "thin": MIN_OBSERVED_DAYS, "unit": "days"}
    best = verdict.decision.at_best
    return {
        "bands": verdict.bands,
        "graded": {name: _describe_number(number) for name, number in verdict.graded.items()},
        "cut_points": cuts,
        "cut_points_version": CUT_POINTS_VERSION,
        "missing": list(verdict.decision.missing),
        "reasons": verdict.reasons,
        "at_best": None if best is None else int(best),
    }


def _describe_number(number: Quantity) -> dict[str, Any]:
    value = None if number.value is None else round(number.value, 6)
    return {"value": value, "unit": number.unit, "words": number.words}


def _name_status(day: Day, verdict: Verdict, band: int | None) -> tuple[Status, str]:
    """The published word and the sentence why it is no band."""
    if day.kind == FundKind.NO_FUND:
        return Status.NO_FUND, "by design: users carry the loss"
    if day.unverified:
        return Status.NOT_COMPUTABLE, day.unverified
    if band is not None:
        return _STATUS[Band(band)], ""
    if day.kind == FundKind.RESERVE:
        return Status.NOT_COMPUTABLE, _NO_EXPOSURE
    causes = [f"{name.replace('_', ' ')}: {verdict.reasons.get(name, 'unknown')}" for name in verdict.decision.missing]
    return Status.NOT_COMPUTABLE, "; ".join(causes)


def _judge_data(day: Day, positions: str) -> tuple[DataStatus, str, list[str]]:
    """The data axis: what is wrong comes before where the data come from."""
    history, gross = day.walk.history, day.money.gross
    usable = day.money.usable
    base = _SOURCES.get(SourceKind(history.chain.kind), DataStatus.VERIFIED)
    found: list[tuple[DataStatus, str]] = []
    if day.unverified:
        found.append((DataStatus.UNVERIFIED, day.unverified))
    if day.is_source_down:
        found.append((DataStatus.SOURCE_DOWN, history.chain.status_reason or history.chain.status))
    if "stale" in (usable.quality, day.exposure.total.quality):
        found.append((DataStatus.STALE, usable.reason or day.exposure.total.reason))
    if day.plan.as_of.is_reconciled is False:
        found.append((DataStatus.UNRECONCILED, gross.reason or "flows do not explain the balance"))
    if gone := day.describe_unobserved():
        found.append((DataStatus.PARTIAL, gone))
    if positions == "leverage mix":
        found.append((DataStatus.ESTIMATED, "positions are not public: a published leverage mix stands for them"))
    found.append((base, ""))
    worst = [DataStatus.UNVERIFIED, DataStatus.SOURCE_DOWN, DataStatus.STALE, DataStatus.UNRECONCILED]
    shown = next(((status, why) for status, why in found if status in worst), (base, ""))
    return shown[0], shown[1], [status.value for status, _ in found]


def find_halt(segment: Segment) -> str:
    """Since which block the segment is unverified, and why; empty unless its chain is halted."""
    return segment.status_reason if segment.status == SegmentStatus.UNVERIFIED else ""


def is_source_down(history_status: str, segment_status: str) -> bool:
    """True when the chain cannot be asked or the segment's data are not trusted: the running day says so."""
    return history_status in (ChainStatus.UNREACHABLE, ChainStatus.HALTED) or segment_status == SegmentStatus.UNKNOWN
