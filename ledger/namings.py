"""What names and describes each segment, as the database holds it: what is made of it holds as long as it reads so."""

from typing import Any, NamedTuple

from sqlalchemy import JSON, Table, Text, cast, select
from sqlmodel import Session, SQLModel, col

from ledger.tables import Asset, Chain, Fund, Platform, Segment

MOVING = {
    "segment": {"numbers_written"},
    "chain": {"head_number", "head_time", "finalized_number", "checked_at", "facts_written"},
}
"""Columns that change with each block or computation: they name nothing."""


class Naming(NamedTuple):
    """One segment with its fund, platform, chain and asset."""

    written: int
    """How often its numbers were written."""
    told: tuple[object, ...]
    """All other columns, but for those of MOVING."""


def _named(table: type[SQLModel]) -> list[Any]:
    named: Table = table.__table__  # type: ignore[attr-defined]
    kept = [column for column in named.columns if column.name not in MOVING.get(named.name, ())]
    # JSON as its text: it is compared, not read.
    return [cast(column, Text) if isinstance(column.type, JSON) else column for column in kept]


_NAMINGS = (
    select(
        col(Segment.id),
        col(Segment.numbers_written),
        *(column for table in (Segment, Fund, Platform, Chain, Asset) for column in _named(table)),
    )
    .join(Fund, col(Fund.slug) == col(Segment.fund_slug))
    .join(Platform, col(Platform.slug) == col(Fund.platform_slug))
    .join(Chain, col(Chain.chain_id) == col(Segment.chain_id))
    .outerjoin(Asset, col(Asset.id) == col(Segment.asset_id))
)


def list_namings(session: Session) -> dict[int, Naming]:
    """By segment."""
    rows = session.connection().execute(_NAMINGS).all()
    return {key: Naming(written, tuple(told)) for key, written, *told in rows}


_TOKENS = select(col(Asset.id), col(Asset.address), col(Asset.symbol), col(Asset.decimals)).order_by(col(Asset.id))


def list_tokens(session: Session) -> list[tuple[object, ...]]:
    """What amounts in each asset are printed with: key, address, symbol, decimals."""
    return [tuple(row) for row in session.connection().execute(_TOKENS)]
