"""What was read of a segment at one block. Reads only."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from ledger.kinds import ReadingName
from ledger.pages import Place
from ledger.tables import Reading


def list_readings(session: Session, place: Place, block_hash: str, names: Sequence[ReadingName]) -> list[Reading]:
    """Readings of these names at that block, by name and subject."""
    query = (
        select(Reading)
        .where(
            col(Reading.chain_id) == place.chain.chain_id,
            col(Reading.block_hash) == block_hash,
            col(Reading.segment_id) == place.segment_id,
            col(Reading.name).in_([str(name) for name in names]),
        )
        .order_by(col(Reading.name), col(Reading.subject))
    )
    return list(session.exec(query).all())
