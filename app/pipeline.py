"""The steps after indexing, each as a command of its own: compute, serve, publish."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from app.alerting import Ways, subscribe_config
from app.databases import opened_ledger, shown_ledger
from app.schedule import wait_until_stopped
from app.screens import Column, Stopwatch, record_bars, say, show_table
from app.server import Address, open_socket, serving
from app.settings import Settings
from app.summary import show_segments
from ledger.clock import system_clock
from ledger.numbers import format_count
from solvency.compute import ComputeSummary, compute_all
from web.edition import SiteConfig
from web.manifest import find_published
from web.publish import PublishSummary, publish
from web.site import create_site

TITLE = "What the ledger says now"


def compute(engine: Engine, *, heard: Callable[[str, int, int], None] | None = None) -> ComputeSummary:
    """Works out all metrics that are not settled; `heard` is told segment, days done and days in all."""
    return compute_all(engine, system_clock, progress=heard)


def compute_with_bars(engine: Engine) -> ComputeSummary:
    """The same, with a bar a segment while it runs."""
    with record_bars() as bars:
        return compute(engine, heard=bars.by_name)


def site_config(settings: Settings, ways: Ways | None = None) -> SiteConfig:
    """What the site must know of where it stands; without a public address links stay relative to the host."""
    subscribe = subscribe_config(ways or Ways(settings.smtp_url))
    url = str(settings.public_url or "").rstrip("/")
    return SiteConfig(site_url=url, subscribe=subscribe, published=settings.publish_dir)


@contextmanager
def site_up(
    engine: Engine, settings: Settings, *, listening: socket.socket | None = None, config: SiteConfig | None = None
) -> Iterator[Address]:
    """The site on its port (or on a socket that listens already) while the block runs; raises PortError."""
    taken = listening or open_socket(settings.host, settings.port)
    with serving(create_site(engine, system_clock, config or site_config(settings)), taken) as address:
        yield address


def compute_command(settings: Settings) -> None:
    """Computes and shows what came out."""
    watch = Stopwatch()
    with opened_ledger(settings) as engine:
        with watch.step("compute"):
            done = compute_with_bars(engine)
        show_segments(engine, TITLE)
    for segment, reason in done.skipped:
        say(f"{segment}: not computed, {reason}")
    segments, days, rows = (
        format_count(count, word)
        for count, word in ((done.n_segments, "segment"), (done.n_days, "day"), (done.n_rows, "row"))
    )
    say(f"{segments}, {days} and {rows} new · {watch.line()}")
    say("Next: backstop serve shows the pages.")


def serve_command(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C; published pages while the database is away."""
    with shown_ledger(settings, find_published(settings.publish_dir)) as engine, site_up(engine, settings) as address:
        say(f"Backstop is at {address.url} until Ctrl-C")
        wait_until_stopped()


def publish_command(settings: Settings, directory: Path) -> None:
    """Writes the static tree and says what it holds."""
    watch = Stopwatch()
    with opened_ledger(settings) as engine, watch.step("publish"):
        done = publish_to(engine, settings, directory)
    show_published(done, directory)
    say(watch.line())


def publish_to(
    engine: Engine, settings: Settings, directory: Path, *, heard: Callable[[str, int, int], None] | None = None
) -> PublishSummary:
    """The static tree of what the ledger says now; `heard` is told fund, days written and days in all."""
    # Nobody answers the forms of a static copy.
    return publish(engine, system_clock, directory, replace(site_config(settings), subscribe=None), heard=heard)


def show_published(done: PublishSummary, directory: Path) -> None:
    """How many files, how many of them final and not made again, how large, where."""
    names = ("Files", "Kept as final", "Bytes")
    columns = (Column("Static site"), *(Column(name, is_number=True) for name in names))
    show_table("Published", columns, [[str(directory), f"{done.files:,}", f"{done.kept:,}", f"{done.bytes:,}"]])
