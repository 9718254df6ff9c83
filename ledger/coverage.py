"""Which blocks are completely scanned for a segment's filters, and how well that is verified. Nothing here commits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlmodel import Session, SQLModel, col

from ledger.tables import Coverage, Segment, Snapshot, Verification

BLOOM, COMPARED, AUDITED, RECONCILED = 2, 3, 4, 5
"""The rungs that `verification` records."""


class Verified(NamedTuple):
    """Blocks first…last passed that rung."""

    level: int
    first: int
    last: int


def list_coverage(session: Session, segment_id: int, filter_digest: str) -> list[tuple[int, int]]:
    """Covered intervals of a segment under one filter, ascending, apart from each other."""
    rows = session.execute(
        select(col(Coverage.from_number), col(Coverage.to_number))
        .where(col(Coverage.segment_id) == segment_id, col(Coverage.filter_digest) == filter_digest)
        .order_by(col(Coverage.from_number))
    )
    return [(first, last) for first, last in rows]


def list_covered(session: Session, segment_id: int) -> list[tuple[int, int]]:
    """Covered intervals of a segment under whatever filters, ascending, apart from each other."""
    rows = session.execute(
        select(col(Coverage.from_number), col(Coverage.to_number)).where(col(Coverage.segment_id) == segment_id)
    )
    return merged_spans((first, last) for first, last in rows)


def list_levels(session: Session, segment_id: int, filter_digest: str) -> list[Verified]:
    """Covered intervals under one filter with the lowest rung all their blocks passed, by height."""
    rows = session.execute(
        select(col(Coverage.level), col(Coverage.from_number), col(Coverage.to_number))
        .where(col(Coverage.segment_id) == segment_id, col(Coverage.filter_digest) == filter_digest)
        .order_by(col(Coverage.from_number))
    )
    return [Verified(*row) for row in rows]


def extend_coverage(session: Session, added: Coverage, passed: Iterable[Verified] = ()) -> None:
    """Adds an interval and merges it with those it touches; the merged one has the lowest level of its parts.

    One interval remains of any split of the same blocks, so that how a scan was cut or interrupted leaves no trace.
    `passed`: higher rungs that blocks in it passed.
    """
    extend_coverages(session, [added], passed)


def extend_coverages(session: Session, added: Sequence[Coverage], passed: Iterable[Verified] = ()) -> None:
    """The same for several segments."""
    rungs, intervals = list(passed), list[Verification]()
    for one in added:
        dense = [Verified(BLOOM, one.from_number, one.to_number)] if one.level >= BLOOM else []
        for rung in (*dense, *rungs):
            first, last = max(rung.first, one.from_number), min(rung.last, one.to_number)
            if first <= last:
                interval = {"level": rung.level, "from_number": first, "to_number": last}
                intervals.append(Verification(**{**one.model_dump(), **interval}))
    _merge_all(session, Coverage, added)
    _merge_all(session, Verification, intervals)


def extend_verification(session: Session, added: Verification) -> None:
    """Blocks passed a rung: merges the interval with those of the same rung that it touches."""
    _merge(session, added)


def _merge_all(session: Session, model: type[SQLModel], added: Sequence[Any]) -> None:
    """Merges each interval. A scan that goes on makes one row of each segment longer: two statements for all."""
    if not _prolong(session, model, added):
        for one in added:
            _merge(session, one)


def _prolong(session: Session, model: type[SQLModel], added: Sequence[Any]) -> bool:
    """Makes one row for each interval longer; False, and nothing done, where that is not all there is to do."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    key = [column.name for column in table.primary_key if column.name != "from_number"]
    given = {tuple(getattr(one, name) for name in key): one for one in added}
    if len(given) < 2 or len(given) < len(added):
        return False
    first, last = min(one.from_number for one in added), max(one.to_number for one in added)
    near = session.execute(
        select(table).where(
            table.c.segment_id.in_(sorted({one.segment_id for one in added})),
            table.c.to_number >= first - 1,
            table.c.from_number <= last + 1,
        )
    ).all()
    held = {tuple(getattr(row, name) for name in key): row for row in near}
    if len(held) < len(near) or held.keys() != given.keys():
        return False
    longer = []
    for place, one in given.items():
        row = held[place]
        if not row.from_number <= one.from_number <= row.to_number + 1:
            return False
        values = {"to": max(row.to_number, one.to_number), "at": one.verified_at, "rung": min(row.level, one.level)}
        longer.append({**{f"old_{name}": getattr(row, name) for name in (*key, "from_number")}, **values})
    where = [table.c[name] == bindparam(f"old_{name}") for name in (*key, "from_number")]
    to: dict[str, Any] = {"to_number": bindparam("to"), "level": bindparam("rung"), "verified_at": bindparam("at")}
    session.connection().execute(update(table).where(*where).values(to), longer)
    return True


def _merge(session: Session, added: Coverage | Verification) -> None:
    """Writes the interval as one with those it touches. A scan that goes on mostly makes one row longer."""
    table: Any = type(added)
    ours = [table.segment_id == added.segment_id, table.filter_digest == added.filter_digest]
    if isinstance(added, Verification):
        ours.append(table.level == added.level)
    touched = (table.to_number >= added.from_number - 1, table.from_number <= added.to_number + 1)
    found = list(session.execute(select(table.from_number, table.to_number, table.level).where(*ours, *touched)))
    spans = [(added.from_number, added.to_number, added.level), *found]
    values = {
        "from_number": min(first for first, _, _ in spans),
        "to_number": max(last for _, last, _ in spans),
        "level": min(level for _, _, level in spans),
        "verified_at": added.verified_at,
    }
    silently = {"synchronize_session": False}
    if len(found) == 1:
        session.execute(update(table).where(*ours, *touched).values(values).execution_options(**silently))
        return
    if found:
        session.execute(delete(table).where(*ours, *touched).execution_options(**silently))
    session.execute(insert(table).values({**added.model_dump(), **values}))


def list_verified(session: Session, segment_id: int, filter_digest: str) -> list[Verified]:
    """What passed which rung under one filter, by rung and height."""
    rows = session.execute(
        select(col(Verification.level), col(Verification.from_number), col(Verification.to_number))
        .where(col(Verification.segment_id) == segment_id, col(Verification.filter_digest) == filter_digest)
        .order_by(col(Verification.level), col(Verification.from_number))
    )
    return [Verified(*row) for row in rows]


def cut_coverage(session: Session, chain_id: int, above: int, *, now: datetime, segment_id: int | None = None) -> None:
    """Blocks above that height are no longer covered, nor verified, for any segment of the chain (or for one)."""
    of_chain = select(col(Segment.id)).where(col(Segment.chain_id) == chain_id)
    if segment_id is not None:
        of_chain = of_chain.where(col(Segment.id) == segment_id)
    for table in (Coverage, Verification):
        in_chain = col(table.segment_id).in_(of_chain)
        session.execute(
            delete(table).where(in_chain, col(table.from_number) > above).execution_options(synchronize_session=False)
        )
        session.execute(
            update(table)
            .where(in_chain, col(table.to_number) > above)
            .values(to_number=above, verified_at=now)
            .execution_options(synchronize_session=False)
        )


def replace_reconciled(
    session: Session, filters: tuple[int, str], *, above: int, spans: Iterable[tuple[int, int]]
) -> None:
    """Above that height exactly these blocks have flows that explain the balances at both ends.

    `filters`: segment and digest. Each interval bears the time of the balance that ends it.
    """
    segment_id, digest = filters
    ours = (
        col(Verification.segment_id) == segment_id,
        col(Verification.filter_digest) == digest,
        col(Verification.level) == RECONCILED,
    )
    found = session.execute(select(col(Verification.from_number), col(Verification.to_number)).where(*ours))
    kept = [(first, min(last, above)) for first, last in found if first <= above]
    session.execute(delete(Verification).where(*ours))
    for first, last in merged_spans([*kept, *spans]):
        session.add(
            Verification(
                segment_id=segment_id,
                filter_digest=digest,
                level=RECONCILED,
                from_number=first,
                to_number=last,
                verified_at=find_time_of(session, segment_id, last),
            )
        )
    session.flush()


def find_time_of(session: Session, segment_id: int, number: int) -> datetime:
    """The time of the segment's snapshot at that height."""
    query = select(col(Snapshot.block_time)).where(
        col(Snapshot.segment_id) == segment_id, col(Snapshot.block_number) == number
    )
    time: datetime = session.execute(query).scalar_one()
    return time


def merged_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Intervals that touch or overlap as one, ascending."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
