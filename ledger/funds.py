"""Chains, platforms, funds, assets and segments: what the files say is kept, what the indexer found out stays."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import func
from sqlmodel import Session, SQLModel, select

from ledger.tables import Asset, Chain, Fund, Platform, Segment

FOUND_OUT = frozenset({"status", "status_reason", "status_number", "start_number", "head_number", "head_time",
                       "finalized_number", "checked_at", "facts_written", "numbers_written"})  # fmt: skip
"""Columns that no file writes: a changed file leaves them as they are."""

REGISTRY_LOCK = 5_107_070_772
"""Any number that no other lock of ours has."""

Row = TypeVar("Row", bound=SQLModel)


def hold_registry(session: Session) -> None:
    """Nobody else writes the files' rows until this transaction ends; two that start at once would both add them."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway.
        session.execute(select(func.pg_advisory_xact_lock(REGISTRY_LOCK)))


def save_chains(session: Session, chains: Sequence[Chain]) -> None:
    """Adds or renews chains by id; what was found out about them stays."""
    for chain in chains:
        _renew(session, session.get(Chain, chain.chain_id), chain)


def save_funds(session: Session, platforms: Sequence[Platform], funds: Sequence[Fund]) -> None:
    """Adds or renews platforms and funds by slug."""
    for platform in sorted(platforms, key=lambda row: row.slug):
        _renew(session, session.get(Platform, platform.slug), platform)
    session.flush()
    for fund in sorted(funds, key=lambda row: row.slug):
        _renew(session, session.get(Fund, fund.slug), fund)
    session.flush()


def save_assets(session: Session, assets: Sequence[Asset]) -> None:
    """Adds or renews assets by chain and address; new ids follow the order of chain and address."""
    for asset in sorted(assets, key=lambda row: (row.chain_id, row.address)):
        found = session.exec(
            select(Asset).where(Asset.chain_id == asset.chain_id, Asset.address == asset.address)
        ).first()
        asset.id = found.id if found else _next_id(session, Asset)
        _renew(session, found, asset)
        session.flush()


def save_segments(session: Session, segments: Sequence[Segment]) -> None:
    """Adds or renews segments by slug; new ids follow the order of slugs; a start named by the file wins."""
    for segment in sorted(segments, key=lambda row: row.slug):
        found = session.exec(select(Segment).where(Segment.slug == segment.slug)).first()
        segment.id = found.id if found else _next_id(session, Segment)
        start = segment.start_number
        _renew(session, found, segment)
        if found and start is not None:
            found.start_number = start
        session.flush()


def _renew(session: Session, found: Row | None, row: Row) -> None:
    if found is None:
        session.add(row)
        return
    for name in type(row).model_fields:
        if name not in FOUND_OUT:
            setattr(found, name, getattr(row, name))


def _next_id(session: Session, model: type[Asset] | type[Segment]) -> int:
    # Ids are given here, not by a sequence: a transaction that was rolled back must leave no gap.
    return (session.exec(select(func.max(model.id))).one() or 0) + 1


def find_segment_ids(session: Session, chain_id: int) -> dict[str, int]:
    """Segment slug → id of one chain, by slug."""
    rows = session.exec(select(Segment.slug, Segment.id).where(Segment.chain_id == chain_id))
    return {slug: number for slug, number in sorted(rows) if number is not None}
