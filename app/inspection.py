"""Looks through the ledger when numbers are in doubt: holes, a range against its chain, facts against their logs."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from app.databases import opened_ledger
from app.failures import CommandError, Exit
from app.providers import Plan, load_plan
from app.screens import Column, record_bars, say, screen, show_table
from app.settings import Settings
from indexer.adapter import AdapterError
from indexer.audit import Audit, AuditPlan, AuditReport
from indexer.facts import Prepared, prepare
from indexer.gaps import Interval, intervals_of, share_of
from indexer.rebuild import Rebuild
from indexer.registry import tracked
from indexer.resume import ResumeError, resume_chain
from indexer.rpc.pool import ProviderPool
from indexer.specs import ChainSpec
from ledger.blocks import find_cursor
from ledger.clock import system_clock
from ledger.coverage import list_levels, list_verified
from ledger.database import reading, writing
from ledger.funds import find_segment_ids
from ledger.standing import find_chain, find_starts
from ledger.writer import LedgerWriter

HIGHER_RUNGS = (2, 3, 4, 5)
FINDINGS_SHOWN = 40


@dataclass(frozen=True)
class Standing:
    """One segment's blocks from its first to the last one followed."""

    chain: str
    slug: str
    intervals: list[Interval]

    @property
    def holes(self) -> list[Interval]:
        """What nobody scanned."""
        return [interval for interval in self.intervals if interval.is_hole]


def segments_of(session: Session, plan: Plan, chain_id: int) -> list[Prepared]:
    """The segments of a chain that the ledger holds and whose first block is known; raises AdapterError."""
    held = find_segment_ids(session, chain_id)
    funds = tuple(fund for fund in plan.registry.funds if fund.slug in held)
    found = tracked(session, replace(plan.registry, funds=funds), chain_id)
    starts = find_starts(session, [each.segment_id for each in found])
    return [prepare(each, starts[each.segment_id]) for each in found if each.segment_id in starts]


def plan_of(settings: Settings, chain: str | None) -> Plan:
    """The funds of one chain, or of all."""
    return load_plan(settings, [] if chain is None else [chain])


def gaps_command(settings: Settings, chain: str | None, *, as_json: bool) -> None:
    """Shows holes and rungs; ends with Exit.DIFFERS where there are holes."""
    plan = plan_of(settings, chain)
    with opened_ledger(settings) as engine, reading(engine) as session:
        found = [each for spec in plan.registry.chains for each in standings_of(session, plan, spec)]
    if as_json:
        screen().print_json(json.dumps([standing_json(each) for each in found]))
    else:
        show_standings(found)
        if not found:
            say("Nothing has been indexed here yet: backstop index --once begins.")
    holes = sum(len(each.holes) for each in found)
    if holes:
        raise CommandError(f"{holes} holes: backstop index --once fills them", Exit.DIFFERS)


def standings_of(session: Session, plan: Plan, spec: ChainSpec) -> Iterator[Standing]:
    """Each segment of a chain up to the last block followed, or the last final one where that is higher."""
    chain, cursor = find_chain(session, spec.id), find_cursor(session, spec.id)
    if chain is None or cursor is None or spec.is_venue:
        return
    last = max(cursor.number, chain.finalized_number or 0)
    for segment in segments_of(session, plan, spec.id):
        covered, verified = (read(session, segment.id, segment.digest) for read in (list_levels, list_verified))
        if segment.start <= last:
            yield Standing(spec.slug, segment.tracked.slug, intervals_of((segment.start, last), covered, verified))


def standing_json(standing: Standing) -> dict[str, Any]:
    """One segment for machines."""
    return {
        "chain": standing.chain,
        "segment": standing.slug,
        "holes": len(standing.holes),
        "intervals": [
            {"from": each.first, "to": each.last, "level": each.level, "passed": list(each.passed)}
            for each in standing.intervals
        ],
    }


def show_standings(found: Sequence[Standing]) -> None:
    """A row a segment, then a row a hole."""
    columns = (
        Column("Segment", is_whole=True),
        Column("From", is_number=True),
        Column("To", is_number=True),
        Column("Holes", is_number=True),
        *(Column(f"Rung {rung}", is_number=True) for rung in HIGHER_RUNGS),
    )
    rows = [
        [
            each.slug,
            f"{each.intervals[0].first:,}",
            f"{each.intervals[-1].last:,}",
            f"{len(each.holes):,}",
            *(percent(share_of(each.intervals, rung)) for rung in HIGHER_RUNGS),
        ]
        for each in found
    ]
    show_table("Blocks scanned, and the share of them on each rung", columns, rows)
    holes = [[each.slug, f"{h.first:,}", f"{h.last:,}", f"{h.blocks:,}"] for each in found for h in each.holes]
    if holes:
        names = (Column("Segment", is_whole=True), Column("From", is_number=True), Column("To", is_number=True))
        show_table("Holes", (*names, Column("Blocks", is_number=True)), holes)


def percent(share: float) -> str:
    """A share, rounded down: 100 % means all."""
    return f"{int(share * 1000) / 10:g} %"


def audit_command(settings: Settings, chain: str, wanted: AuditPlan) -> None:
    """Audits with a bar and shows what it found; ends with Exit.DIFFERS where something still differs."""
    plan = plan_of(settings, chain)
    (spec,) = plan.registry.chains
    if spec.is_venue:
        raise CommandError(
            f"{spec.name} is a venue: its polls are on no chain, there is nothing to audit", Exit.WRONG_USE
        )
    if wanted.first > wanted.last:
        raise CommandError(f"FROM {wanted.first} is above TO {wanted.last}: swap them", Exit.WRONG_USE)
    with opened_ledger(settings) as engine, record_bars() as bars:
        bar = bars.of(f"audit {spec.slug}")
        report = asyncio.run(audit(engine, plan, spec, wanted=wanted, heard=bar))
    show_report(report)
    if not report.is_clean:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts().items()))
        fix = "" if wanted.repair else "; --repair puts back what is missing"
        raise CommandError(f"the ledger differs from {spec.name}: {counts}{fix}", Exit.DIFFERS)


async def audit(engine: Engine, plan: Plan, spec: ChainSpec, *, wanted: AuditPlan, heard: Any) -> AuditReport:
    """Audits one chain; refuses blocks that are not final."""
    async with ProviderPool(spec, plan.urls[spec.id]) as pool:
        with LedgerWriter(engine) as writer:
            chain = await writer.read(lambda session: find_chain(session, spec.id))
            final = None if chain is None else chain.finalized_number
            if final is None or wanted.last > final:
                said = "no block of it is known to be final" if final is None else f"its last final block is {final}"
                raise CommandError(f"TO {wanted.last}: {spec.name}: {said}; audit no more than that", Exit.WRONG_USE)
            segments = await writer.read(lambda session: segments_of(session, plan, spec.id))
            return await Audit(spec.id, pool, writer, segments=segments, clock=system_clock).run(wanted, heard)


def show_report(report: AuditReport) -> None:
    """What was looked at, then what differs."""
    columns = tuple(
        Column(name, is_number=True) for name in ("Blocks", "Logs", "Compared", "Proved", "Unproved", "Repaired")
    )
    numbers = (report.blocks, report.logs, report.compared, report.proved, report.unproved, report.repaired)
    show_table("Audit", columns, [[f"{number:,}" for number in numbers]])
    if report.findings:
        rows = [
            [each.kind, f"{each.number:,}", "" if each.log_index is None else f"{each.log_index}", each.text]
            for each in report.findings[:FINDINGS_SHOWN]
        ]
        heads = (Column("What"), Column("Block", is_number=True), Column("Log", is_number=True), Column("Why"))
        show_table("What differs", heads, rows)
    if len(report.findings) > FINDINGS_SHOWN:
        say(f"and {len(report.findings) - FINDINGS_SHOWN:,} more")


def rebuild_command(settings: Settings, *, chain: str | None, fund: str | None) -> None:
    """Decodes facts anew, a transaction a fund, with a bar each."""
    plan = plan_of(settings, chain)
    if fund is not None and fund not in {each.slug for each in plan.registry.funds}:
        choice = ", ".join(each.slug for each in plan.registry.funds)
        raise CommandError(f"there is no fund {fund}: give one of {choice}", Exit.WRONG_USE)
    rows = []
    failed = []
    with opened_ledger(settings) as engine, record_bars() as bars:
        for spec in plan.registry.chains:
            with reading(engine) as session:
                segments = [s for s in segments_of(session, plan, spec.id) if fund in (None, s.tracked.slug)]
            for segment in segments:
                try:
                    with writing(engine) as session:
                        done = Rebuild(session, spec.id).rebuild(segment, bars.of(segment.tracked.slug))
                except AdapterError as error:
                    failed.append(str(error))
                    continue
                rows.append([done.slug, f"{done.logs:,}", f"{done.facts_before:,}", f"{done.facts_after:,}"])
    names = ("Logs read", "Facts before", "Facts now")
    show_table("Rebuilt", (Column("Fund", is_whole=True), *(Column(name, is_number=True) for name in names)), rows)
    if failed:
        raise CommandError(" · ".join(failed), Exit.INCOMPLETE)
    say("Next: backstop compute works out metrics from the facts.")


def resume_command(settings: Settings, chain: str, rewind_to: int | None) -> None:
    """Lifts a halt."""
    with opened_ledger(settings) as engine, writing(engine) as session:
        try:
            done = resume_chain(session, chain, clock=system_clock, rewind_to=rewind_to)
        except ResumeError as error:
            raise CommandError(str(error), Exit.WRONG_USE) from error
    where = "its start" if done.tip is None else f"block {done.tip:,}"
    say(f"{done.slug} goes on from {where}; it had halted because: {done.reason}")
