"""How chains and segments stand: status with its reason, heads, start blocks. Nothing here commits."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from ledger.kinds import ChainStatus, SegmentStatus
from ledger.tables import Chain, Segment


def find_chain(session: Session, chain_id: int) -> Chain | None:
    """The chain's row."""
    return session.get(Chain, chain_id)


def hold_chain(session: Session, chain_id: int) -> Chain | None:
    """The chain's row, which nobody else changes until this transaction ends."""
    return session.get(Chain, chain_id, with_for_update={"key_share": True})


def find_chain_by_slug(session: Session, slug: str) -> Chain | None:
    """The row of the chain with that short name."""
    return session.execute(select(Chain).where(col(Chain.slug) == slug)).scalar_one_or_none()


def list_segment_ids(session: Session, chain_id: int) -> list[int]:
    """Every segment of the chain."""
    rows = session.execute(select(col(Segment.id)).where(col(Segment.chain_id) == chain_id).order_by(col(Segment.id)))
    return [segment_id for (segment_id,) in rows if segment_id is not None]


def forget_starts_above(session: Session, chain_id: int, number: int) -> None:
    """First blocks above that height are looked for again."""
    session.execute(
        update(Segment)
        .where(col(Segment.chain_id) == chain_id, col(Segment.start_number) > number)
        .values(start_number=None)
        .execution_options(synchronize_session=False)
    )


def set_chain_status(session: Session, chain_id: int, status: ChainStatus, reason: str = "") -> None:
    """How the indexer stands with the chain; anything but following carries a reason."""
    session.execute(
        update(Chain)
        .where(col(Chain.chain_id) == chain_id)
        .values(status=str(status), status_reason=reason)
        .execution_options(synchronize_session=False)
    )


def set_chain_head(session: Session, chain_id: int, number: int, time: datetime, *, checked_at: datetime) -> None:
    """The newest block a provider named; for a recording its time is the chain's clock."""
    session.execute(
        update(Chain)
        .where(col(Chain.chain_id) == chain_id)
        .values(head_number=number, head_time=time, checked_at=checked_at)
        .execution_options(synchronize_session=False)
    )


def find_starts(session: Session, segment_ids: Iterable[int]) -> dict[int, int]:
    """Segment → first block of its contracts, for those where it is known."""
    rows = session.execute(
        select(col(Segment.id), col(Segment.start_number)).where(col(Segment.id).in_(list(segment_ids)))
    )
    return {segment: start for segment, start in rows if segment is not None and start is not None}


def set_start(session: Session, segment_id: int, number: int) -> None:
    """Remembers the first block of the segment's contracts."""
    session.execute(
        update(Segment)
        .where(col(Segment.id) == segment_id)
        .values(start_number=number)
        .execution_options(synchronize_session=False)
    )


def set_segment_status(
    session: Session, segment_id: int, status: SegmentStatus, reason: str = "", *, number: int | None = None
) -> None:
    """Whether the segment's data can be trusted, since which block, and why not."""
    session.execute(
        update(Segment)
        .where(col(Segment.id) == segment_id)
        .values(status=str(status), status_reason=reason, status_number=number)
        .execution_options(synchronize_session=False)
    )


def mark_unverified(session: Session, chain_id: int, *, number: int, reason: str) -> None:
    """No segment of the chain can be relied on from that block on."""
    session.execute(
        update(Segment)
        .where(col(Segment.chain_id) == chain_id)
        .values(status=str(SegmentStatus.UNVERIFIED), status_reason=reason, status_number=number)
        .execution_options(synchronize_session=False)
    )


def replace_segment_status(
    session: Session, segment_ids: Iterable[int], *, old: SegmentStatus, new: SegmentStatus
) -> None:
    """Moves segments that stand at `old` to `new`, without a reason: others keep what was found out about them."""
    session.execute(
        update(Segment)
        .where(col(Segment.id).in_(list(segment_ids)), col(Segment.status) == str(old))
        .values(status=str(new), status_reason="", status_number=None)
        .execution_options(synchronize_session=False)
    )
