"""Ledger in, metrics out: the only file of this room that opens the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources

from sqlalchemy import Engine

from ledger.clock import Clock, chain_now
from ledger.database import reading, writing
from ledger.history import SegmentHistory, list_segments, load_history
from ledger.kinds import FundKind
from ledger.metrics import MetricRow, SettledDay, list_settled, write_metrics
from ledger.tables import Segment
from solvency.day import Day, PastDay
from solvency.draft import Draft, round_number
from solvency.loans import draft_loan_stress
from solvency.money import draft_money
from solvency.named_days import NamedDays, parse_named_days
from solvency.outlook import FORECASTS, read_outlook
from solvency.record import draft_record, read_record
from solvency.risk import draft_exposure, draft_market_cover, read_risk
from solvency.scenarios import draft_scenarios
from solvency.status import CUT_POINTS_VERSION
from solvency.timeline import DayPlan, join_digests, list_points, plan_days
from solvency.usage import draft_usage, read_runway
from solvency.verdict import Evidence, draft_verdict, find_halt, is_source_down, judge
from solvency.walk import Walk
from solvency.yardsticks import draft_yardsticks

METHOD_VERSION = "2"

Progress = Callable[[str, int, int], None]
"""Told after each day: segment, days done, days in all."""


@dataclass(frozen=True)
class ComputeSummary:
    """What one run did: segments looked at, days computed, rows written, and segments without anything to stand on."""

    n_segments: int = 0
    n_days: int = 0
    n_rows: int = 0
    skipped: tuple[tuple[str, str], ...] = ()


@cache
def load_named_days() -> NamedDays:
    """Load the historical days that are tried on every fund, from the package's configuration."""
    return parse_named_days(resources.files("solvency").joinpath("named_days.toml").read_text(encoding="utf-8"))


def compute_all(engine: Engine, clock: Clock, *, progress: Progress | None = None) -> ComputeSummary:
    """Compute every segment's metrics for each day that is not settled yet; one transaction a segment."""
    with reading(engine) as session:
        segments = list_segments(session)
    days, rows, skipped = 0, 0, []
    for segment in segments:
        done = compute_segment(engine, clock, segment, progress=progress)
        if isinstance(done, str):
            skipped.append((segment.slug, done))
            continue
        days, rows = days + done[0], rows + done[1]
    return ComputeSummary(len(segments), days, rows, tuple(skipped))


def compute_segment(
    engine: Engine, clock: Clock, segment: Segment, *, progress: Progress | None = None
) -> tuple[int, int] | str:
    """Compute one segment and return (days computed, rows written); text says why there was nothing to compute."""
    with reading(engine) as session:
        history = load_history(session, segment)
        settled = list_settled(session, segment.id or 0, METHOD_VERSION, FORECASTS.values())
    now = chain_now(history.chain, clock)
    if now is None:
        return "its chain has served no block yet"
    plans = plan_days(history, now)
    if not plans:
        return "no block of it was read yet"
    rows: list[MetricRow] = []
    n_days = 0
    for done, drafts in enumerate(compute_days(history, plans, settled), start=1):
        rows += drafts
        n_days += bool(drafts)
        if progress is not None:
            progress(segment.slug, done, len(plans))
    with writing(engine) as session:
        return n_days, write_metrics(session, rows, computed_at=clock())


def compute_days(
    history: SegmentHistory, plans: list[DayPlan], settled: Mapping[str, SettledDay]
) -> Iterator[list[MetricRow]]:
    """Walk the days in order and yield the rows of each; a settled day only hands down what later ones need of it.

    `plans` is what plan_days makes of the same history; `settled` is by day, for days that are final.
    """
    walk, points = Walk(history), iter(list_points(history))
    past, observed = list[PastDay](), list[int]()
    point = next(points, None)
    for index, plan in enumerate(plans):
        while point is not None and point.number <= plan.as_of.number:
            walk.advance(point)
            point = next(points, None)
        observed += [plan.number] if plan.is_observed else []
        if plan.name in settled:
            known = settled[plan.name]
            past.append(PastDay(plan.number, plan.name, plan.is_observed, known.band, known.forecasts))
            yield []
            continue
        is_running = plan is plans[-1]
        is_down = is_running and is_source_down(history.chain.status, history.segment.status)
        unverified = "" if plan.is_final else find_halt(history.segment)
        day = Day(walk, plan, observed, _count_history(plans, index), is_down, unverified)
        drafts = _compute_day(day, past)
        past.append(_keep(day, drafts))
        yield _make_rows(day, drafts)


def _keep(day: Day, drafts: Sequence[Draft]) -> PastDay:
    """What later days need of this one, as its rows have it: a day that is settled hands down the same."""
    values = {draft.name: _round(draft) for draft in drafts}
    band, forecasts = values["status_raw"], {name: values.get(name) for name in FORECASTS.values()}
    return PastDay(
        day.plan.number,
        day.plan.name,
        day.plan.is_observed,
        None if band is None else int(band),
        {name: None if value is None else float(value) for name, value in forecasts.items()},
    )


def _round(draft: Draft) -> Decimal | None:
    """The value as it is published."""
    number = draft.quantity
    if number.value is None:
        return None
    return round_number(draft.exact if draft.exact is not None else number.value, number.unit, draft.rounding)


def _count_history(plans: list[DayPlan], index: int) -> int:
    """Days that could have been observed: not the running one, nor a first one that a record began in the middle of."""
    begins_late = not plans[0].is_observed
    return max(0, index + plans[index].is_final - begins_late)


def _compute_day(day: Day, past: Sequence[PastDay]) -> list[Draft]:
    """Every metric that the kind of fund has; `past`: the days before."""
    drafts = [] if day.kind == FundKind.NO_FUND else draft_money(day.walk, day.money)
    record = risk = runway = outlook = None
    if day.kind != FundKind.NO_FUND:
        runway = read_runway(day)
        # A segment without a balance of its own has no flows either: nothing is said instead of 0.
        drafts += draft_usage(day, runway) if day.walk.find_asset(None) else []
    if day.kind != FundKind.RESERVE:
        record = read_record(day)
        drafts += draft_exposure(day) + draft_record(day, record) + draft_loan_stress(day)
    if record is not None and day.kind != FundKind.NO_FUND:
        risk = read_risk(day, record, load_named_days())
        outlook = read_outlook(day, record, past)
        drafts += risk.drafts + draft_market_cover(day) + outlook.drafts
        drafts += draft_scenarios(day, risk.stress, load_named_days())
        drafts += draft_yardsticks(day, risk.stress)
    verdict = judge(day, Evidence(record, risk, runway, outlook))
    bands = [*(before.band for before in past), None if verdict.raw is None else int(verdict.raw)]
    return drafts + draft_verdict(day, verdict, bands, positions=risk.positions if risk else "")


def _make_rows(day: Day, drafts: list[Draft]) -> list[MetricRow]:
    """Turn drafts into rows of the day, each with the digest of the rows it stands on."""
    versions = f"method {METHOD_VERSION}, cut points {CUT_POINTS_VERSION}, named days {load_named_days().version}"
    version = f"{versions}, {_describe_parameters(day)}"
    digests: dict[tuple[str, ...], str] = {}
    rows = []
    for draft in drafts:
        if draft.streams not in digests:
            parts = [(name, day.walk.digests[name].hexdigest()) for name in draft.streams]
            digests[draft.streams] = join_digests(version, parts)
        rows.append(_make_row(day, draft, digests[draft.streams]))
    return rows


def _describe_parameters(day: Day) -> str:
    """The configuration that a number depends on beside rows: kind, shape, haircuts and betas of the assets."""
    history = day.walk.history
    return f"{history.fund.kind} {history.fund.shape} {[tuple(asset)[1:] for asset in history.assets.values()]}"


def _make_row(day: Day, draft: Draft, digest: str) -> MetricRow:
    number = draft.quantity
    return MetricRow(
        segment_id=day.walk.history.segment.id or 0,
        name=draft.name,
        day=day.plan.name,
        as_of_number=day.plan.as_of.number,
        method_version=METHOD_VERSION,
        as_of_hash=day.plan.as_of.block_hash,
        as_of_time=day.plan.as_of.time,
        is_day_final=day.plan.is_final,
        value=_round(draft),
        unit=number.unit,
        text=number.words or None,
        quality=number.quality,
        reason=number.reason,
        window_days=number.window_days,
        n_obs=number.n_obs,
        n_events=number.n_events,
        ci_low=number.ci_low,
        ci_high=number.ci_high,
        inputs_digest=digest,
        detail={**draft.detail, **({"is_lower_bound": True} if number.is_lower_bound else {})} or None,
    )
