"""A halted chain set going again by an operator who has looked into it, from an earlier block where it must be.

ResumeError   the chain is unknown or not halted, or there is nothing to go back to
"""

from dataclasses import dataclass

from sqlmodel import Session

from ledger.blocks import (
    delete_blocks_above,
    delete_cursor,
    find_block_at_or_below,
    find_cursor,
    lower_finalized,
    record_reorg,
    replace_cursor,
)
from ledger.clock import Clock
from ledger.coverage import cut_coverage
from ledger.kinds import ChainStatus, SegmentStatus
from ledger.metrics import delete_metrics_above
from ledger.standing import (
    find_chain_by_slug,
    forget_starts_above,
    list_segment_ids,
    replace_segment_status,
    set_chain_status,
)
from ledger.tables import Chain, Reorg

NO_BRANCH = "0x" + "00" * 32
"""Stands for the first block of a new branch that was not looked at: the chain itself says it when it is followed."""


class ResumeError(Exception):
    """This chain cannot be resumed so; the message says how."""


@dataclass(frozen=True)
class Resumed:
    """A chain that will be followed again: why it had stopped, and from which block it goes on (None: its start)."""

    slug: str
    reason: str
    tip: int | None


def resume_chain(session: Session, slug: str, *, clock: Clock, rewind_to: int | None = None) -> Resumed:
    """Clears the halt. `rewind_to`: the last block to keep; what hangs on those above is deleted, and fetched again.

    Without it a final block that changed halts the chain again at the next look. The logs taken back are on record
    as those of any reorganisation. Nothing is committed.
    """
    chain = find_chain_by_slug(session, slug)
    if chain is None:
        raise ResumeError(f"{slug} is no chain of this ledger: `backstop status` lists them")
    if chain.status != ChainStatus.HALTED:
        raise ResumeError(f"{slug} is not halted, it is {chain.status}: there is nothing to resume")
    reason = chain.status_reason
    if rewind_to is not None:
        _rewind(session, chain, rewind_to, clock)
    set_chain_status(session, chain.chain_id, ChainStatus.NEW)
    segments = list_segment_ids(session, chain.chain_id)
    replace_segment_status(session, segments, old=SegmentStatus.UNVERIFIED, new=SegmentStatus.NEW)
    cursor = find_cursor(session, chain.chain_id)
    return Resumed(slug, reason, None if cursor is None else cursor.number)


def _rewind(session: Session, chain: Chain, keep: int, clock: Clock) -> None:
    """Back to the highest stored block that is kept: final blocks are sparse, so it may lie below."""
    held = find_cursor(session, chain.chain_id)
    if held is None or not 0 <= keep < held.number:
        tip = "it follows no block yet" if held is None else f"its tip is {held.number}"
        raise ResumeError(f"{chain.slug} cannot go back to block {keep}: {tip}")
    record = Reorg(
        chain_id=chain.chain_id,
        fork_number=keep,
        depth=held.number - keep,
        old_hash=held.hash,
        new_hash=NO_BRANCH,
        detected_at=clock(),
    )
    record_reorg(session, record)
    delete_blocks_above(session, chain.chain_id, keep)
    cut_coverage(session, chain.chain_id, keep, now=clock())
    delete_metrics_above(session, chain.chain_id, keep)
    forget_starts_above(session, chain.chain_id, keep)
    block = find_block_at_or_below(session, chain.chain_id, keep)
    lower_finalized(session, chain.chain_id, None if block is None else block[0])
    if block is None:
        delete_cursor(session, chain.chain_id)
    else:
        replace_cursor(session, held, number=block[0], block_hash=block[1])
