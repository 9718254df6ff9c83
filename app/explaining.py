"""`backstop explain`: one published number with its formula, the rows behind it, and whether it comes out again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from app.asof import recompute_day, select_segments
from app.comparison import (
    differences_document,
    differences_text,
    find_differences,
    interval_text,
    name_nearest,
    plain,
    row_document,
    value_text,
)
from app.databases import opened_ledger
from app.evidence import Evidence, FactSum, count_rows, list_evidence, rank_evidence, sum_facts
from app.failures import CommandError, Exit
from app.screens import UNKNOWN, Column, record_bars, say, screen, show_table
from app.settings import Settings
from ledger.clock import Clock, chain_now, system_clock
from ledger.database import reading
from ledger.history import BlockRow, SegmentHistory, list_segments, load_history
from ledger.metrics import MetricRow
from ledger.numbers import Rounding, format_exact, format_time, format_value
from ledger.pages import latest_metrics, metric_history, prices_behind, readings_behind
from ledger.tables import Segment
from ledger.words import plain as plain_words
from ledger.words import role_words
from solvency.formulas import FORMULAS, Formula
from solvency.past import cut_at
from solvency.timeline import plan_days
from web.catalogue import describe
from web.details import split_detail

ROWS_SHOWN = 12
STREAMS = {
    "facts": "Facts",
    "money": "Readings of the fund's money",
    "markets": "Readings of markets and accounts",
    "prices": "Prices",
}
ROUNDINGS = {Rounding.UP: "rounded up", Rounding.DOWN: "rounded down", Rounding.NEAREST: "rounded to the nearest"}
PAIRS = (Column("What", is_whole=True), Column("Is"))


@dataclass(frozen=True)
class Explanation:
    """Everything behind one published number."""

    segment: Segment
    row: MetricRow
    formula: Formula
    counts: Sequence[tuple[str, int, int | None]]
    evidence: Sequence[Evidence]
    facts: Sequence[FactSum]
    now: MetricRow | None


def explain(engine: Engine, clock: Clock, slug: str, metric: str, *, day: str = "") -> Explanation:
    """Explain a metric of a segment's latest day, or of the one given, and work it out again from the ledger."""
    segment, row = find_published(engine, slug, metric, day)
    formula = FORMULAS[metric]
    with reading(engine) as session:
        history = load_history(session, segment)
        evidence = list_evidence(
            readings_behind(session, row.segment_id, row.as_of_number),
            prices_behind(session, segment.chain_id, row.as_of_number),
            formula.inputs,
        )
    past = cut_at(history, BlockRow(row.as_of_number, row.as_of_hash, row.as_of_time))
    return Explanation(
        segment=segment,
        row=row,
        formula=formula,
        counts=[(stream, *count_rows(past, stream)) for stream in formula.inputs],
        evidence=rank_evidence(evidence, metric),
        facts=sum_facts(past) if "facts" in formula.inputs else (),
        now=recompute(history, clock, row),
    )


def find_published(engine: Engine, slug: str, metric: str, day: str) -> tuple[Segment, MetricRow]:
    """The segment and its published row; raises CommandError with the names or days that there are."""
    with reading(engine) as session:
        found = select_segments(list_segments(session), [slug])
        found = [segment for segment in found if segment.slug == slug] or found
        if len(found) > 1:
            names = ", ".join(segment.slug for segment in found)
            raise CommandError(f"{slug} has several segments: give one of {names}", Exit.WRONG_USE)
        (segment,) = found
        rows = {row.day: row for row in metric_history(session, segment.id or 0, metric)}
        known = latest_metrics(session, [segment.id or 0]).get(segment.id or 0, {})
    if not known:
        raise CommandError(f"{segment.slug}: nothing was computed yet: run `backstop compute` first", Exit.WRONG_USE)
    if not rows:
        raise CommandError(f"{segment.slug} has no metric {metric}: {name_nearest(metric, known)}", Exit.WRONG_USE)
    chosen = rows.get(day or max(rows))
    if chosen is None:
        days = f"{min(rows)} to {max(rows)}, {len(rows):,} in all"
        raise CommandError(f"{segment.slug} has no {metric} on {day}: its days are {days}", Exit.WRONG_USE)
    return segment, MetricRow(**{name: getattr(chosen, name) for name in MetricRow.__dataclass_fields__})


def recompute(history: SegmentHistory, clock: Clock, row: MetricRow) -> MetricRow | None:
    """The same number worked out from all that the ledger holds now; None where its day or metric is no more."""
    now = chain_now(history.chain, clock)
    plans = [] if now is None else plan_days(history, now)
    index = next((index for index, plan in enumerate(plans) if plan.name == row.day), None)
    if index is None:
        return None
    with record_bars() as bars:
        rows = recompute_day(history, plans, index, bars.by_name)
    return next((found for found in rows if found.name == row.name), None)


def explain_command(settings: Settings, slug: str, metric: str, *, day: str, as_json: bool) -> None:
    """Shows what stands behind a number, as tables or as one JSON document."""
    with opened_ledger(settings) as engine:
        found = explain(engine, system_clock, slug, metric, day=day)
    if as_json:
        screen().print_json(json.dumps(document_of(found)))
    else:
        show_explanation(found)
        say(f"Next: backstop compute --as-of {found.row.day} --fund {slug} shows all numbers of that day.")


def show_explanation(found: Explanation) -> None:
    """What it is, the rows behind it, the values between, the result."""
    row, entry = found.row, describe(found.row.name)
    screen().print(Text(f"{entry.title} of {found.segment.slug} on {row.day}\n{entry.sentence}\n"))
    screen().print(Text(f"Formula (docs/methodology.md, {found.formula.section}): {found.formula.text}\n"))
    show_table(
        f"Input rows at or below block {row.as_of_number:,}",
        (Column("Stream"), Column("Rows", is_number=True), Column("Last block", is_number=True)),
        [[STREAMS[name], f"{count:,}", "none" if last is None else f"{last:,}"] for name, count, last in found.counts],
    )
    show_evidence(found.evidence)
    show_facts(found.facts)
    show_detail(row)
    show_table("Result", PAIRS, [[name, Text(words)] for name, words in list_results(found)])


def show_evidence(evidence: Sequence[Evidence]) -> None:
    """The readings and prices behind the number, the first of them."""
    if not evidence:
        return
    columns = (
        Column("Block", is_number=True), Column("Time"), Column("What"), Column("Contract"), Column("Call"),
        Column("Raw value", is_number=True),
    )  # fmt: skip
    rows: list[list[str | Text]] = [
        [
            f"{row.block:,}", format_time(row.time), Text(row.name), Text(row.contract), Text(row.call),
            Text(f"{UNKNOWN}: {row.error}" if row.value_raw is None else f"{row.value_raw} (÷ 10^{row.decimals})"),
        ]
        for row in evidence[:ROWS_SHOWN]
    ]  # fmt: skip
    show_table("Readings and prices", columns, rows)
    if len(evidence) > ROWS_SHOWN:
        screen().print(f"and {len(evidence) - ROWS_SHOWN:,} more; --json lists them all\n")


def show_facts(facts: Sequence[FactSum]) -> None:
    """Facts by role with their exact sums."""
    if facts:
        columns = (
            Column("Role"), Column("Facts", is_number=True), Column("Sum", is_number=True),
            Column("Last block", is_number=True), Column("Time"),
        )  # fmt: skip
        rows: list[list[str | Text]] = [
            [
                f"{role_words(fact.role)} {plain_words(fact.side)}".strip(), f"{fact.n_facts:,}",
                Text(f"{format_exact(fact.total)} {fact.unit}"), f"{fact.last_block:,}",
                format_time(fact.last_time),
            ]
            for fact in facts
        ]  # fmt: skip
        show_table("Facts by role", columns, rows)


def show_detail(row: MetricRow) -> None:
    """The intermediate values: single ones as pairs, nested ones as tables."""
    pairs, tables = split_detail(row.detail or {})
    if pairs:
        show_table("Intermediate values", PAIRS, [[name, Text(words)] for name, words in pairs])
    for table in tables:
        columns = [Column(head.text, is_number=head.is_number) for head in table.headers]
        rows = [[Text(cell.text) for cell in cells] for cells in table.rows[:ROWS_SHOWN]]
        show_table(f"Intermediate values: {table.caption}", columns, rows)
        if len(table.rows) > ROWS_SHOWN:
            screen().print(f"and {len(table.rows) - ROWS_SHOWN:,} more; --json lists them all\n")


def list_results(found: Explanation) -> Iterator[tuple[str, str]]:
    """The number, how it is rounded, how good it is, what it stands on, and whether it comes out again."""
    row, rounding = found.row, describe(found.row.name).rounding
    yield "Value", value_text(row)
    if row.value is not None:
        yield "On pages", f"{format_value(row.value, row.unit, rounding)}, {ROUNDINGS[rounding]}"
    yield "Interval", interval_text(row) or "none defined"
    yield "Quality", f"{row.quality}: {row.reason}" if row.reason else row.quality
    yield "Observations", ", ".join(list_counts(row)) or "not stated"
    yield "As of", f"block {row.as_of_number:,} of {format_time(row.as_of_time)}, {row.as_of_hash}"
    yield "Day", f"{row.day}, {'final' if row.is_day_final else 'still running when it was computed'}"
    yield "Method version", row.method_version
    yield "Inputs digest", row.inputs_digest
    yield "Recomputed now", recomputed_text(found)


def list_counts(row: MetricRow) -> Iterator[str]:
    """Window, observations and events where the number states them."""
    for words, count in (
        ("window of {:g} days", row.window_days),
        ("{:,} observed", row.n_obs),
        ("{:,} events", row.n_events),
    ):
        if count is not None:
            yield words.format(count)


def recomputed_text(found: Explanation) -> str:
    """Whether the same value and digest come out again; else what differs."""
    if found.now is None:
        return "not possible: the ledger no longer holds this day or metric"
    differences = find_differences(found.row, found.now)
    if found.row.as_of_number != found.now.as_of_number:
        return f"the day now stands on block {found.now.as_of_number:,}: {differences_text(differences)}"
    same = "the same value and the same digest"
    if {"value", "text", "inputs_digest"} & set(differences):
        return differences_text(differences)
    return f"{same}; {differences_text(differences)}" if differences else same


def document_of(found: Explanation) -> dict[str, Any]:
    """All of it as one JSON document."""
    row, entry = found.row, describe(found.row.name)
    differences = {} if found.now is None else find_differences(row, found.now)
    return {
        "segment": found.segment.slug,
        "title": entry.title,
        "sentence": entry.sentence,
        "formula": found.formula.text,
        "section": found.formula.section,
        "inputs": [{"stream": name, "rows": count, "last_block": last} for name, count, last in found.counts],
        "readings": [{name: plain(value) for name, value in one._asdict().items()} for one in found.evidence],
        "facts": [{name: plain(value) for name, value in one._asdict().items()} for one in found.facts],
        "result": {**row_document(row), "rounding": ROUNDINGS[entry.rounding]},
        "recomputed": {
            "as_of_number": None if found.now is None else found.now.as_of_number,
            "is_equal": found.now is not None and found.now.as_of_number == row.as_of_number and not differences,
            "differences": differences_document(differences),
        },
    }
