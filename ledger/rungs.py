"""How well the scanned blocks of every segment are verified. Reads only."""

from sqlmodel import Session, col, select

from ledger.tables import Verification


def list_verifications(session: Session) -> list[Verification]:
    """Intervals of blocks that passed a rung of the ladder, by segment, filter, rung and height."""
    order = (Verification.segment_id, Verification.filter_digest, Verification.level, Verification.from_number)
    return list(session.exec(select(Verification).order_by(*map(col, order))).all())
