"""Which blocks are completely scanned for a segment's filters, and how well that is verified. Nothing here commits."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from ledger.tables import Coverage, Segment


def list_coverage(session: Session, segment_id: int, filter_digest: str) -> list[tuple[int, int]]:
    """Covered intervals of a segment under one filter, ascending, apart from each other."""
    rows = session.execute(
        select(col(Coverage.from_number), col(Coverage.to_number))
        .where(col(Coverage.segment_id) == segment_id, col(Coverage.filter_digest) == filter_digest)
        .order_by(col(Coverage.from_number))
    )
    return [(first, last) for first, last in rows]


def extend_coverage(session: Session, added: Coverage) -> None:
    """Adds an interval and merges it with those it touches; the merged one has the lowest level of its parts.

    One interval remains of any split of the same blocks, so that how a scan was cut or interrupted leaves no trace.
    """
    neighbours = session.scalars(
        select(Coverage).where(
            col(Coverage.segment_id) == added.segment_id,
            col(Coverage.filter_digest) == added.filter_digest,
            col(Coverage.to_number) >= added.from_number - 1,
            col(Coverage.from_number) <= added.to_number + 1,
        )
    ).all()
    merged = Coverage(
        segment_id=added.segment_id,
        filter_digest=added.filter_digest,
        from_number=min([added.from_number, *(row.from_number for row in neighbours)]),
        to_number=max([added.to_number, *(row.to_number for row in neighbours)]),
        level=min([added.level, *(row.level for row in neighbours)]),
        verified_at=added.verified_at,
    )
    for row in neighbours:
        session.delete(row)
    session.flush()
    session.add(merged)
    session.flush()


def cut_coverage(session: Session, chain_id: int, above: int, *, now: datetime) -> None:
    """Blocks above that height are no longer covered, for any segment of the chain."""
    of_chain = select(col(Segment.id)).where(col(Segment.chain_id) == chain_id)
    in_chain = col(Coverage.segment_id).in_(of_chain)
    session.execute(
        delete(Coverage).where(in_chain, col(Coverage.from_number) > above).execution_options(synchronize_session=False)
    )
    session.execute(
        update(Coverage)
        .where(in_chain, col(Coverage.to_number) > above)
        .values(to_number=above, verified_at=now)
        .execution_options(synchronize_session=False)
    )
