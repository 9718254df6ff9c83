"""`backstop demo`: recorded chains served from this process, indexed, computed and shown; no network needed."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from app.alerting import DELIVER, RULES, Ways, opened_alerts
from app.databases import opened_ledger
from app.demo_post import DemoPost, demo_post, enter_reader, kept_here
from app.failures import CommandError, Exit
from app.indexing import Follower, failure_line, index_until_stopped, opened_chains, register
from app.pipeline import compute, compute_with_bars, publish_to, show_published, site_config, site_up
from app.providers import Plan
from app.recordings import IMPORTS, ReplayOptions, list_recordings, load_replays, make_import
from app.schedule import Job, JobRunner, in_thread, stopped_by_signals
from app.screens import Stopwatch, chain_bars, play_bar, say, screen
from app.server import open_socket, serving
from app.settings import Settings, sqlite_url
from app.summary import show_segments
from indexer.registry import FUNDS, load_funds, merged
from indexer.replay.node import Replay, running_node
from indexer.replay.recording import SUFFIX
from indexer.sync import ChainOutcome, SyncOptions
from ledger.clock import system_clock
from ledger.pages import asking, list_chains
from ledger.writer import LedgerWriter, PhaseHook, no_phase
from web.edition import SiteConfig
from web.inbox import MAIL
from web.site import create_site

CRASH = "crash-2021-05-simulated"
CRASH_EVE = datetime(2021, 5, 17, tzinfo=UTC)
STEP_SECONDS = 0.5
POLL_SECONDS = 1.0
COMPUTE_SECONDS = 5.0
"""How often the week moves on, is looked at, and is computed while it plays."""


@dataclass(frozen=True)
class Stage:
    """A demo ready to be indexed: a ledger with its funds, and the recordings by slug."""

    engine: Engine
    plan: Plan
    replays: dict[str, Replay]


def play_once(settings: Settings, out: Path) -> None:
    """Everything at once: index, compute, publish, a table, and how long each took."""
    watch = Stopwatch()
    with stage(settings, "demo-once.sqlite", until=None) as ready:
        with watch.step("index"):
            outcomes = index_history(ready)
        with watch.step("compute"):
            compute_with_bars(ready.engine)
        with watch.step("alerts"):
            told = announce_once(ready.engine, settings)
        with watch.step("publish"):
            published = publish_to(ready.engine, settings, out)
        show_segments(ready.engine, "The funds at the end of their recordings")
        say(told)
        show_published(published, out)
        screen().print(watch.line())
        refuse_failed(outcomes, ready.plan)


def play_paced(settings: Settings) -> None:
    """History up to the eve of the crash at once, then the week in minutes while the site is up."""
    listening = open_socket(settings.host, settings.port)
    here = listening.getsockname()[:2]
    watch = Stopwatch()
    with stage(settings, "demo.sqlite", until=CRASH_EVE) as ready, demo_post(reached(here)) as post:
        with watch.step("index"):
            outcomes = index_history(ready)
        with watch.step("compute"):
            compute_with_bars(ready.engine)
        show_segments(ready.engine, f"The funds on the eve of the crash, {CRASH_EVE:%d %B %Y}")
        say(watch.line())
        refuse_failed(outcomes, ready.plan)
        enter_reader(ready.engine, system_clock())
        config = replace(site_config(settings), subscribe=post.subscribe, inbox=post)
        with site_up(ready.engine, settings, listening=listening, config=config) as address:
            screen().print(f"\nThe site is up: [bold]{address.url}[/]  (Ctrl-C stops it)")
            screen().print(f"What it announces: {address.url}/alerts/log   its mail: {address.url}{MAIL}\n")
            site_url = str(settings.public_url or address.url).rstrip("/")
            asyncio.run(play_week(ready, settings, post, site_url=site_url))
    say("stopped")


def reached(here: tuple[str, int]) -> tuple[str, int]:
    """Where this machine reaches a socket of its own that may listen everywhere."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(here[0], here[0]), here[1]


def announce_once(engine: Engine, settings: Settings) -> str:
    """Announces the week and sends it to the demo's own reader; what was sent, in words."""
    enter_reader(engine, system_clock())
    inbox = open_socket("127.0.0.1", 0)
    with demo_post(inbox.getsockname()[:2]) as post:
        config = SiteConfig(subscribe=post.subscribe, inbox=post)
        with serving(create_site(engine, system_clock, config), inbox) as address:
            asyncio.run(rule_and_send(engine, settings, post.ways, site_url=address.url))
        return f"Announced: {len(post.mails())} mails and {len(post.calls())} webhook calls were sent and caught"


async def rule_and_send(engine: Engine, settings: Settings, ways: Ways, *, site_url: str) -> None:
    """Asks the reader's webhook whether it is there, announces, and sends what was announced."""
    kept, since = kept_here(settings), {CRASH: CRASH_EVE}
    async with opened_alerts(engine, kept, ways, site_url=site_url, live_since=since) as jobs:
        work = {job.name: job.run for job in jobs}
        for name in (DELIVER, RULES, DELIVER):
            await work[name]()


@contextmanager
def stage(settings: Settings, file: str, *, until: datetime | None) -> Iterator[Stage]:
    """Recordings served in a thread and a fresh ledger that knows their funds; the crash stands at `until`."""
    paths = available_recordings(settings)
    replays = load_replays(paths, ReplayOptions(), starts=None if until is None else {CRASH: until})
    with fresh_ledger(settings, file) as engine, running_node(replays) as node:
        registry = merged(load_funds(FUNDS / replay.slug) for replay in replays)
        plan = Plan(registry, {chain.id: [node.url_of(chain.slug)] for chain in registry.chains})
        register(engine, plan)
        yield Stage(engine, plan, {replay.slug: replay for replay in replays})


def available_recordings(settings: Settings) -> list[Path]:
    """The shipped recordings and the imported ones; those of real data are made now where they can be and are not."""
    if settings.real_data is not None:
        for name, each in IMPORTS.items():
            if not each.target(settings.data_dir).is_file():
                make_import(settings, name)
    found = list_recordings(settings.data_dir)
    if not found:
        raise CommandError(
            f"there is no recording to play: {CRASH} is not shipped here; run `make record`", Exit.WRONG_FILE
        )
    say("Recordings: " + ", ".join(path.name.removesuffix(SUFFIX) for path in found))
    # What was imported once stays in the data directory and is played whether the setting is still there or not.
    if any(each.target(settings.data_dir) not in found for each in IMPORTS.values()):
        say("(BACKSTOP_REAL_DATA is not set: the real histories of Aave V2 and Drift are left out)")
    return found


def fresh_ledger(settings: Settings, file: str) -> AbstractContextManager[Engine]:
    """An empty ledger in the data directory, or the database that was asked for, brought to the newest tables."""
    url = settings.database_url
    if url is None:
        path = settings.data_dir / file
        url = sqlite_url(path)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return opened_ledger(settings.model_copy(update={"database_url": url}), may_upgrade=True)


def index_history(ready: Stage) -> list[ChainOutcome]:
    """Everything the recordings show so far, with a bar a chain."""
    options = SyncOptions(until_head=True, poll_seconds=POLL_SECONDS)
    with LedgerWriter(ready.engine) as writer, chain_bars() as bars:
        return asyncio.run(index_until_stopped(writer, ready.plan, options=options, progress=bars))


def refuse_failed(outcomes: list[ChainOutcome], plan: Plan) -> None:
    """A recording that could not be indexed ends the demo with its reason."""
    failed = [failure_line(outcome, plan) for outcome in outcomes if not outcome.is_ok]
    if failed:
        raise CommandError(" · ".join(failed), Exit.INCOMPLETE)


class Week:
    """Moves a head through the rest of its recording in a given time."""

    def __init__(self, replay: Replay, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.head = replay.head
        self.first, self.last = replay.head.time, replay.tape.times[-1]
        self._seconds = seconds
        self._clock = clock
        self._began = clock()

    def move(self) -> None:
        """Moves the head to where it should be by now."""
        share = min(1.0, (self._clock() - self._began) / self._seconds)
        self.head.advance_to_time(self.first + int((self.last - self.first) * share))


class Tips:
    """Computes when chains have moved on since the last time; a recording's clock stands still otherwise."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._computed: list[str | None] = []

    async def compute(self) -> None:
        """Works out what is new."""
        with asking(self._engine) as session:
            tips = [state.tip.hash if state.tip else None for state in list_chains(session)]
        if tips != self._computed:
            await in_thread(lambda heard: compute(self._engine, heard=heard))
            self._computed = tips


async def play_week(
    ready: Stage, settings: Settings, post: DemoPost, *, site_url: str, phase: PhaseHook = no_phase
) -> None:
    """Moves the crash on, follows, computes and announces, until a signal; at its end the site just stays up."""
    stop = asyncio.Event()
    runner = JobRunner()
    alerts = opened_alerts(
        ready.engine,
        kept_here(settings),
        post.ways,
        site_url=site_url,
        live_since={CRASH: CRASH_EVE},
        when_told=partial(runner.hurry, DELIVER),
    )
    with stopped_by_signals(stop.set), LedgerWriter(ready.engine, phase=phase) as writer, play_bar() as show:
        async with opened_chains(writer, ready.plan) as followers, alerts as alert_jobs:
            for job in alert_jobs:
                runner.add(job)
            if CRASH in ready.replays:
                week = Week(ready.replays[CRASH], settings.replay_seconds)
                runner.add(Job("play", partial(play_on, week, show), STEP_SECONDS))
            options = SyncOptions(until_head=False, poll_seconds=POLL_SECONDS)
            for follower in followers:
                runner.add(Job(f"index {follower.slug}", partial(follow_recording, follower, options), POLL_SECONDS))
            runner.add(Job("compute", Tips(ready.engine).compute, COMPUTE_SECONDS))
            await runner.run_until(stop, grace_seconds=10)


async def play_on(week: Week, show: Callable[[int, int, int], None]) -> None:
    """One step of the week, and how far it is."""
    week.move()
    show(week.first, week.head.time, week.last)


async def follow_recording(follower: Follower, options: SyncOptions) -> None:
    """Follows one recording for ever; one that is complete stands still."""
    await follower.follow(options, None)
