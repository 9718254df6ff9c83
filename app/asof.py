"""`backstop compute --as-of`: every metric as it can be worked out today for an earlier time. Writes nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from app.comparison import (
    differences_document,
    differences_text,
    find_differences,
    interval_text,
    name_nearest,
    plain,
    row_document,
    shorten_digest,
    value_text,
)
from app.databases import opened_ledger
from app.failures import CommandError, Exit
from app.screens import Column, record_bars, say, screen, show_table
from app.settings import Settings
from ledger.database import reading
from ledger.history import BlockRow, SegmentHistory, list_segments, load_history
from ledger.metrics import MetricRow
from ledger.numbers import format_time
from ledger.published import list_decoders, list_published
from ledger.tables import Segment
from solvency.compute import METHOD_VERSION, compute_days
from solvency.past import PastError, cut_history, describe_status, find_end, find_settlement
from solvency.timeline import DAY, DayPlan, list_points, plan_days
from web.catalogue import describe

Heard = Callable[[str, int, int], None]

TIMES = "give 2021-05-19 for that whole day, or 2021-05-19T12:00 with Z or +02:00 behind it"
KEPT = "Haircuts, betas and the kind of the fund are those of today's fund file."
REASONS_SHOWN = 3
METRIC_COLUMNS = (
    Column("Metric", is_whole=True),
    Column("Value", is_number=True),
    Column("Interval", is_number=True),
    Column("Quality"),
    Column("Inputs", is_whole=True),
    Column("Published"),
)


@dataclass(frozen=True)
class AsOf:
    """A time that was asked for; `day` where it is a whole UTC day, whose end `moment` then is."""

    moment: datetime
    day: str = ""
    is_zone_assumed: bool = False


@dataclass(frozen=True)
class SegmentPast:
    """A segment's day recomputed: the last block that was read, the rows, and those published with the same key."""

    segment: Segment
    last: BlockRow
    rows: Sequence[MetricRow]
    published: Mapping[str, MetricRow]
    decoders: Sequence[str]
    status: str

    @property
    def sentence(self) -> str:
        """What these numbers are, and what they are not."""
        decoders = ", ".join(self.decoders) or "none: no fact yet"
        return (
            f"Recomputed today from facts at or below block {self.rows[0].as_of_number:,} with today's decoders "
            f"({decoders}) and method version {METHOD_VERSION}; published numbers are not changed"
        )


@dataclass(frozen=True)
class Recomputed:
    """Every segment that has numbers at that time, and the others with the reason why not."""

    segments: Sequence[SegmentPast]
    left_out: Mapping[str, str]


def parse_time(text: str) -> AsOf:
    """A day or a time; without a zone it is UTC. Raises CommandError for anything else."""
    try:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            found = datetime.fromisoformat(text)
            return AsOf((found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC), "", not found.tzinfo)
        return AsOf(datetime.combine(day, time(), UTC) + DAY, day.isoformat())
    except (ValueError, OverflowError) as error:
        raise CommandError(f"--as-of is {text!r}, which is no time: {TIMES}", Exit.WRONG_USE) from error


def compute_as_of(engine: Engine, wanted: AsOf, *, slugs: Sequence[str] = (), heard: Heard | None = None) -> Recomputed:
    """Recompute the last day of each segment at that time; raises CommandError where none of them has any."""
    with reading(engine) as session:
        segments = select_segments(list_segments(session), slugs)
    done, left_out = [], {}
    for segment in segments:
        try:
            done.append(recompute_segment(engine, segment, wanted, heard))
        except PastError as error:
            left_out[segment.slug] = str(error)
    if not done:
        raise CommandError(join_reasons(list(left_out.values())), Exit.WRONG_USE)
    return Recomputed(done, left_out)


def join_reasons(reasons: Sequence[str]) -> str:
    """The first reasons in one line."""
    more = len(reasons) - REASONS_SHOWN
    return " · ".join(reasons[:REASONS_SHOWN]) + (f" · and {more:,} more" if more > 0 else "")


def select_segments(segments: Sequence[Segment], slugs: Sequence[str]) -> list[Segment]:
    """The segments of these funds (or of these slugs), all without any; raises CommandError for an unknown one."""
    if not segments:
        raise CommandError("there is no fund in the ledger: run `backstop index` first", Exit.WRONG_USE)
    known = {segment.slug for segment in segments} | {segment.fund_slug for segment in segments}
    for slug in slugs:
        if slug not in known:
            raise CommandError(f"there is no fund {slug}: {name_nearest(slug, known)}", Exit.WRONG_USE)
    return [s for s in segments if not slugs or s.slug in slugs or s.fund_slug in slugs]


def recompute_segment(engine: Engine, segment: Segment, wanted: AsOf, heard: Heard | None) -> SegmentPast:
    """Recompute one segment; raises PastError where the ledger has nothing of it at that time."""
    with reading(engine) as session:
        history = load_history(session, segment)
    moment = choose_cut(history, wanted)
    past = cut_history(history, moment)
    plans = plan_days(past, moment)
    index = find_day(plans, wanted)
    if index is None:
        raise PastError(describe_unread(history, wanted))
    rows = recompute_day(past, plans, index, heard)
    with reading(engine) as session:
        stored = list_published(session, segment.id or 0, rows[0].day)
        decoders = list_decoders(session, segment.id or 0, rows[0].as_of_number)
    key = (rows[0].as_of_number, METHOD_VERSION)
    published = {row.name: row for row in stored if (row.as_of_number, row.method_version) == key}
    return SegmentPast(segment, past.blocks[-1], rows, published, decoders, describe_status(past))


def choose_cut(history: SegmentHistory, wanted: AsOf) -> datetime:
    """Where the ledger is cut: at the time itself; for a day at the block that settled it, or where the ledger ends."""
    end = find_end(history)
    begins = wanted.moment - DAY if wanted.day else wanted.moment
    if begins > end:
        raise PastError(
            f"{history.segment.slug}: the ledger goes to {format_time(end)}: give a time up to then, "
            "or run `backstop index` first"
        )
    return (find_settlement(history, wanted.moment) or end) if wanted.day else wanted.moment


def find_day(plans: Sequence[DayPlan], wanted: AsOf) -> int | None:
    """Place of the day asked for: the last one, or the one that was named."""
    if not wanted.day:
        return len(plans) - 1 if plans else None
    return next((index for index, plan in enumerate(plans) if plan.name == wanted.day), None)


def describe_unread(history: SegmentHistory, wanted: AsOf) -> str:
    """Why a segment has no day at that time."""
    points = list_points(history)
    begins = f"; it was first read on {format_time(points[0].time)}" if points else ""
    asked = wanted.day or format_time(wanted.moment)
    return f"{history.segment.slug}: nothing of it was read by {asked}{begins}: give a later time"


def recompute_day(
    history: SegmentHistory, plans: list[DayPlan], index: int, heard: Heard | None = None
) -> list[MetricRow]:
    """The rows of one day, every day before it worked out anew."""
    rows: list[MetricRow] = []
    days = compute_days(history, plans, {})
    for done in range(index + 1):
        rows = next(days)
        if heard is not None:
            heard(history.segment.slug, done + 1, index + 1)
    return rows


def as_of_command(settings: Settings, text: str, *, slugs: Sequence[str], as_json: bool) -> None:
    """Recomputes with a bar a segment and shows the numbers beside those that were published."""
    wanted = parse_time(text)
    with opened_ledger(settings) as engine, record_bars() as bars:
        found = compute_as_of(engine, wanted, slugs=slugs, heard=bars.by_name)
    if wanted.is_zone_assumed:
        say(f"{text} names no zone and is read as UTC.")
    if as_json:
        screen().print_json(json.dumps(document_of(wanted, found)))
    else:
        for past in found.segments:
            show_past(past)
        say(KEPT)
    for reason in found.left_out.values():
        say(f"left out: {reason}")


def show_past(past: SegmentPast) -> None:
    """A segment's table with what it stands on above it and the sentence below."""
    first = past.rows[0]
    title = (
        f"{past.segment.slug} on {first.day}: block {first.as_of_number:,} of {format_time(first.as_of_time)}, "
        f"method {first.method_version}; ledger read up to block {past.last.number:,} of {format_time(past.last.time)}"
    )
    show_table(title, METRIC_COLUMNS, [metric_cells(row, past.published.get(row.name)) for row in past.rows])
    screen().print(Text(f"{past.sentence}. {past.status}\n"))


def metric_cells(row: MetricRow, published: MetricRow | None) -> list[str | Text]:
    """One metric as that table shows it."""
    quality = f"{row.quality}: {row.reason}" if row.reason else row.quality
    return [
        describe(row.name).title,
        Text(value_text(row)),
        interval_text(row),
        Text(quality),
        shorten_digest(row.inputs_digest),
        Text("not published" if published is None else differences_text(find_differences(published, row))),
    ]


def document_of(wanted: AsOf, found: Recomputed) -> dict[str, Any]:
    """Everything as one JSON document."""
    return {
        "as_of": wanted.day or plain(wanted.moment),
        "note": KEPT,
        "segments": [segment_document(past) for past in found.segments],
        "left_out": dict(found.left_out),
    }


def segment_document(past: SegmentPast) -> dict[str, Any]:
    """One segment of that document."""
    metrics = []
    for row in past.rows:
        published = past.published.get(row.name)
        differences = {} if published is None else find_differences(published, row)
        metrics.append(
            {
                **row_document(row),
                "is_published": published is not None,
                "is_equal": None if published is None else not differences,
                "differences": differences_document(differences),
            }
        )
    return {
        "segment": past.segment.slug,
        "sentence": past.sentence,
        "status": past.status,
        "last_block": past.last.number,
        "last_block_time": plain(past.last.time),
        "decoders": list(past.decoders),
        "metrics": metrics,
    }
