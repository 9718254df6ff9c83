"""All chains side by side, each followed on its own: one that fails says why and does not hurt the others."""

import asyncio
import gc
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from indexer.commit import ChainLedger, HaltedError, HaltError, SyncError
from indexer.follow import ChainFollower
from indexer.lanes import ChainWork, Progress
from indexer.memory import give_back_large_blocks
from indexer.rpc.errors import ChainError, UnavailableError
from indexer.rpc.provider import Pace
from ledger.clock import Clock
from ledger.kinds import ChainStatus
from ledger.writer import LedgerWriter

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.25
RARE_COLLECTIONS = 70_000
"""Objects made before the collector looks for cycles; 700 is Python's own number."""
HANDOVER_SECONDS = 0.0003
UNSETTLED_POLLS = 20
"""Polls that may end below the head (providers contradict each other, the head moves) before index-once gives up."""


@dataclass(frozen=True)
class SyncOptions:
    """How long to sync and how often to look: `until_head` ends each chain when its tip is its head."""

    until_head: bool = True
    poll_seconds: float = 2.0
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True)
class ChainOutcome:
    """How a chain's sync ended: following, or unreachable or halted with the reason."""

    slug: str
    status: ChainStatus
    reason: str = ""
    tip: int | None = None

    @property
    def is_ok(self) -> bool:
        """Whether nothing went wrong."""
        return self.status is ChainStatus.FOLLOWING


async def sync_chains(
    writer: LedgerWriter,
    works: Sequence[ChainWork],
    clock: Clock,
    *,
    options: SyncOptions | None = None,
    progress: Progress | None = None,
) -> list[ChainOutcome]:
    """Syncs all chains at once; each ends alone. Cancel it to stop: the commit under way is finished first.

    With `until_head` it returns when every chain reached its head or failed; else it follows for ever.
    """
    chosen = options or SyncOptions()
    give_back_large_blocks()
    try:
        with rare_collections(), quick_handover():
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_sync(writer, work, clock, options=chosen, progress=progress)) for work in works
                ]
    except BaseExceptionGroup as errors:
        # What is no chain's fault (the database, a mistake of ours) ends all; its own message says more than a group's.
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


@contextmanager
def rare_collections() -> Iterator[None]:
    """Logs and rows hold no reference cycles, but their number makes the collector look for some all the time.

    Until the end it looks more rarely, and never again at what was there before. One sync at a time sees to it: of
    several in a process the first.
    """
    thresholds = gc.get_threshold()
    if thresholds[0] >= RARE_COLLECTIONS:
        yield
        return
    gc.freeze()
    gc.set_threshold(RARE_COLLECTIONS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def quick_handover() -> Iterator[None]:
    """The writer's thread needs the interpreter for a moment between two statements, the reader's for long stretches.

    Python lets the first wait for five milliseconds each time.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, HANDOVER_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


async def _sync(
    writer: LedgerWriter, work: ChainWork, clock: Clock, *, options: SyncOptions, progress: Progress | None
) -> ChainOutcome:
    ledger = ChainLedger(work.terms, writer, clock)
    follower = ChainFollower(work, ledger, progress, pace=options.pace)
    try:
        return await _follow(follower, ledger, work, options)
    except HaltedError as error:
        return ChainOutcome(work.terms.slug, ChainStatus.HALTED, str(error))
    except SyncError as error:
        # Somebody else follows this chain, or it was never registered: its row is not ours to change.
        log.error("%s", error)
        return ChainOutcome(work.terms.slug, ChainStatus.UNREACHABLE, str(error))


async def _follow(follower: ChainFollower, ledger: ChainLedger, work: ChainWork, options: SyncOptions) -> ChainOutcome:
    slug = work.terms.slug
    try:
        if options.until_head:
            await _once(follower, options)
        else:
            await _forever(follower, ledger, work, options)
    except HaltError as error:
        log.error("%s is halted: %s", slug, error)
        await ledger.halt(error)
        return ChainOutcome(slug, ChainStatus.HALTED, str(error))
    except ChainError as error:
        await _note_unreachable(ledger, error)
        return ChainOutcome(slug, ChainStatus.UNREACHABLE, str(error))
    return ChainOutcome(slug, ChainStatus.FOLLOWING, tip=ledger.tip.number if ledger.tip else None)


async def _once(follower: ChainFollower, options: SyncOptions) -> None:
    for _ in range(UNSETTLED_POLLS):
        if await follower.poll():
            return
        await options.pace.sleep(min(options.poll_seconds, LOOK_AGAIN_SECONDS))
    raise UnavailableError(f"the head was not reached in {UNSETTLED_POLLS} polls: its providers disagree, or lag")


async def _forever(follower: ChainFollower, ledger: ChainLedger, work: ChainWork, options: SyncOptions) -> None:
    """Polls, and looks at once where a websocket announces a block; an outage is said once and ends by itself."""
    pause, is_out = options.poll_seconds, False
    while True:
        try:
            await follower.poll()
        except ChainError as error:
            await _note_unreachable(ledger, error, is_news=not is_out)
            is_out, pause = True, min(LONGEST_PAUSE_SECONDS, pause * 2)
            await options.pace.sleep(pause)
            continue
        if is_out:
            log.warning("%s answers again", ledger.terms.slug)
        is_out, pause = False, options.poll_seconds
        await work.reader.wait_for_head(pause)


async def _note_unreachable(ledger: ChainLedger, error: ChainError, *, is_news: bool = True) -> None:
    log.log(logging.ERROR if is_news else logging.DEBUG, "%s is unreachable: %s", ledger.terms.slug, error)
    await ledger.note_unreachable(str(error))
