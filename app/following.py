"""`backstop run`: index, snapshot, compute, publish and serve as one command that stops cleanly."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Engine

from app.alerting import DELIVER, Ways, check_settings, opened_alerts
from app.databases import opened_ledger
from app.indexing import Follower, ProgressLines, failure_line, opened_chains, register
from app.pipeline import compute, publish_to, site_up
from app.providers import Plan, load_plan
from app.schedule import Job, JobRunner, in_thread, stopped_by_signals
from app.screens import say
from app.settings import Settings
from indexer.lanes import Progress
from indexer.sync import SyncOptions
from ledger.numbers import format_count
from ledger.writer import LedgerWriter

log = logging.getLogger(__name__)

COMPUTE = "compute"


def run_everything(settings: Settings, *, chains: Sequence[str], may_upgrade: bool) -> None:
    """Starts on an empty machine, goes on where it stopped elsewhere; returns after SIGTERM or Ctrl-C."""
    check_settings(settings)
    plan = load_plan(settings, chains)
    with opened_ledger(settings, may_upgrade=may_upgrade) as engine:
        register(engine, plan)
        with site_up(engine, settings) as address:
            names = ", ".join(chain.name for chain in plan.registry.chains)
            funds = format_count(len(plan.registry.funds), "fund")
            line = f"Backstop is at {address.url}, following {funds} on {names}. Ctrl-C stops it."
            site_url = str(settings.public_url or address.url).rstrip("/")
            asyncio.run(follow(engine, plan, settings, greeting=line, site_url=site_url))
    say("stopped; the next start goes on from here")


async def follow(engine: Engine, plan: Plan, settings: Settings, *, greeting: str, site_url: str) -> None:
    """All jobs until a signal: a chain each, compute, publish, alerts. Says `greeting` once it can be stopped."""
    stop = asyncio.Event()
    with stopped_by_signals(stop.set), LedgerWriter(engine) as writer:
        say(greeting)  # Not before signals are heard: whoever reads it may stop us at once.
        runner = JobRunner()
        alerts = opened_alerts(
            engine, settings, Ways(settings.smtp_url), site_url=site_url, when_told=partial(runner.hurry, DELIVER)
        )
        async with opened_chains(writer, plan) as followers, alerts as alert_jobs:
            progress = ProgressLines(when_complete=partial(runner.hurry, COMPUTE))
            for follower in followers:
                run = partial(follow_chain, follower, plan, settings=settings, progress=progress)
                runner.add(Job(f"index {follower.slug}", run, settings.retry_seconds))
            for job in (*later_jobs(engine, settings), *alert_jobs):
                runner.add(job)
            await runner.run_until(stop, grace_seconds=settings.stop_seconds)


async def follow_chain(follower: Follower, plan: Plan, *, settings: Settings, progress: Progress) -> None:
    """One chain for ever; it returns only when the chain is halted or is followed by somebody else."""
    options = SyncOptions(until_head=False, poll_seconds=settings.poll_seconds)
    outcome = await follower.follow(options, progress)
    log.error("%s", failure_line(outcome, plan))


def later_jobs(engine: Engine, settings: Settings) -> list[Job]:
    """What follows on indexing: metrics, and the static tree where one is wanted."""
    jobs = [Job(COMPUTE, partial(compute_now, engine), settings.compute_seconds)]
    if settings.publish_dir is not None:
        jobs.append(Job("publish", partial(publish_now, engine, settings), settings.publish_seconds))
    return jobs


async def compute_now(engine: Engine) -> None:
    """Works out what is new; stops between two days when told to."""
    done = await in_thread(lambda heard: compute(engine, heard=heard))
    log.info("computed %d segments: %d days, %d rows new", done.n_segments, done.n_days, done.n_rows)


async def publish_now(engine: Engine, settings: Settings) -> None:
    """Writes the static tree; stops between two days when told to."""
    directory = settings.publish_dir
    if directory is not None:
        await in_thread(lambda heard: publish_to(engine, settings, directory, heard=heard))
        log.info("published to %s", directory)
