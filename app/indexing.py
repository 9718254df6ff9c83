"""Follows the chains of a plan: opens providers, hands each chain its segments, says how each one ended."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx
from sqlalchemy import Engine
from sqlmodel import Session

from app.databases import opened_ledger
from app.failures import CommandError, Exit
from app.providers import Plan, load_plan
from app.schedule import stopped_by_signals
from app.screens import Stopwatch, chain_bars, clock_text, say
from app.settings import Settings
from app.summary import show_chains
from indexer.lanes import ChainWork, Progress
from indexer.polling import VenueWork, sync_venue
from indexer.registry import tracked, write
from indexer.rpc.pool import ProviderPool
from indexer.snapshot import create_snapshots
from indexer.specs import ChainSpec, FundSpec
from indexer.sync import ChainOutcome, SyncOptions, sync_chains
from ledger.clock import system_clock
from ledger.database import writing
from ledger.kinds import ChainStatus, SegmentStatus
from ledger.pages import asking, list_places
from ledger.writer import LedgerWriter

log = logging.getLogger(__name__)

LINE_EVERY_SECONDS = 10.0


class ProgressLines:
    """Progress for a log: a line now and then for each chain, and a call when a chain's history is complete."""

    def __init__(self, when_complete: Callable[[], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._when_complete = when_complete
        self._clock = clock
        self._said: dict[str, float] = {}

    def __call__(self, chain: str, done: int, total: int, rate: float) -> None:
        """Takes what the indexer says."""
        if done >= total:
            log.info("%s: history complete (%s blocks at %s a second)", chain, f"{done:,}", f"{rate:,.0f}")
            self._when_complete()
        elif self._clock() - self._said.get(chain, -LINE_EVERY_SECONDS) >= LINE_EVERY_SECONDS:
            self._said[chain] = self._clock()
            left = clock_text((total - done) / rate) if rate else "unknown time"
            log.info("%s: %s of %s blocks, %s left", chain, f"{done:,}", f"{total:,}", left)


def register(engine: Engine, plan: Plan) -> None:
    """Copies chains and funds of the plan into the ledger; safe to do at each start."""
    with writing(engine) as session:
        write(session, plan.registry)


@dataclass(frozen=True)
class Follower:
    """One chain or venue ready to be followed; `follow` never raises what the chain did, it says how it ended."""

    slug: str
    follow: Callable[[SyncOptions, Progress | None], Coroutine[None, None, ChainOutcome]]


@asynccontextmanager
async def opened_chains(writer: LedgerWriter, plan: Plan) -> AsyncIterator[list[Follower]]:
    """A follower for each chain of the plan; connections are closed at the end."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient())
        followers = []
        for chain in plan.registry.chains:
            if chain.is_venue:
                followers += [venue_follower(writer, plan, fund, client) for fund in plan.registry.funds_of(chain.id)]
                continue
            pool = await stack.enter_async_context(ProviderPool(chain, plan.urls[chain.id]))
            work = await writer.read(partial(chain_work, plan=plan, chain=chain, pool=pool, writer=writer))
            followers.append(chain_follower(writer, work))
        yield followers


def chain_work(
    session: Session, *, plan: Plan, chain: ChainSpec, pool: ProviderPool, writer: LedgerWriter
) -> ChainWork:
    """One chain with its segments and the lane that reads their balances and prices."""
    segments = tracked(session, plan.registry, chain.id)
    snapshots = create_snapshots(session, plan.registry, chain.id, tracked=segments, reader=pool, writer=writer)
    return ChainWork(chain, pool, segments, snapshots)


def chain_follower(writer: LedgerWriter, work: ChainWork) -> Follower:
    """Follows a chain by its logs, blocks and balances."""

    async def follow(options: SyncOptions, progress: Progress | None) -> ChainOutcome:
        (outcome,) = await sync_chains(writer, [work], system_clock, options=options, progress=progress)
        return outcome

    return Follower(work.terms.slug, follow)


def venue_follower(writer: LedgerWriter, plan: Plan, fund: FundSpec, client: httpx.AsyncClient) -> Follower:
    """Follows a venue by its polls; a venue has one address."""
    chain = plan.registry.chain(fund.chain)

    async def follow(options: SyncOptions, _progress: Progress | None) -> ChainOutcome:
        urls = plan.urls[chain.id]
        if not urls:
            return ChainOutcome(chain.slug, ChainStatus.UNREACHABLE, "no address of it is known")
        work = VenueWork(chain, fund, urls[0])
        return await sync_venue(
            writer,
            work,
            system_clock,
            client=client,
            until_head=options.until_head,
            poll_seconds=options.poll_seconds,
        )

    return Follower(chain.slug, follow)


async def index_chains(
    writer: LedgerWriter, plan: Plan, *, options: SyncOptions, progress: Progress | None = None
) -> list[ChainOutcome]:
    """Follows all chains of the plan side by side; one that fails hurts no other."""
    try:
        async with opened_chains(writer, plan) as followers, asyncio.TaskGroup() as group:
            tasks = [group.create_task(follower.follow(options, progress)) for follower in followers]
    except BaseExceptionGroup as errors:
        # What is no chain's fault (the database) ends all; its own message says more than a group's.
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


def failure_line(outcome: ChainOutcome, plan: Plan) -> str:
    """What a person reads about a chain that could not be followed, with the fix."""
    chain = next(chain for chain in plan.registry.chains if chain.slug == outcome.slug)
    if outcome.status is ChainStatus.HALTED:
        return f"{chain.name} is halted: {outcome.reason}; look into it, then backstop resume {chain.slug}"
    tried = len(plan.urls[chain.id])
    return (
        f"{chain.name}: {outcome.reason} (tried {tried}); set BACKSTOP_RPC_URLS to other addresses of chain {chain.id}"
    )


def unread_lines(engine: Engine, plan: Plan) -> list[str]:
    """What a person reads about each fund of the plan whose contracts are there and could not be read.

    One without a contract yet may only be newer than the last final block: the indexer warns of it by itself.
    """
    slugs = {fund.slug for fund in plan.registry.funds}
    with asking(engine) as session:
        segments = [place.segment for place in list_places(session) if place.fund.slug in slugs]
    return [
        f"{segment.slug}: {segment.status_reason}; check the addresses in its fund file (backstop check-fund)"
        for segment in segments
        if segment.status == SegmentStatus.UNKNOWN and segment.start_number is not None
    ]


def index_command(settings: Settings, *, chains: Sequence[str], until_head: bool) -> None:
    """Indexes with bars until the heads are reached, or follows them until SIGTERM or Ctrl-C."""
    plan = load_plan(settings, chains)
    options = SyncOptions(until_head=until_head, poll_seconds=settings.poll_seconds)
    watch = Stopwatch()
    with opened_ledger(settings) as engine:
        register(engine, plan)
        with watch.step("index"), LedgerWriter(engine) as writer, chain_bars() as bars:
            outcomes = asyncio.run(index_until_stopped(writer, plan, options=options, progress=bars))
        show_chains(engine, "Chains")
        unread = unread_lines(engine, plan) if outcomes else []
    say(watch.line())
    failed = [*(failure_line(outcome, plan) for outcome in outcomes if not outcome.is_ok), *unread]
    if failed:
        raise CommandError(" · ".join(failed), Exit.INCOMPLETE)
    say("Next: backstop compute works out what the ledger says.")


async def index_until_stopped(
    writer: LedgerWriter, plan: Plan, *, options: SyncOptions, progress: Progress
) -> list[ChainOutcome]:
    """The same as index_chains, ended early and cleanly by a signal: then nothing is said of how chains ended."""
    task = asyncio.ensure_future(index_chains(writer, plan, options=options, progress=progress))
    with stopped_by_signals(task.cancel):
        try:
            return await task
        except asyncio.CancelledError:
            return []
