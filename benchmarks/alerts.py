"""How soon after a fact is committed the first message about it leaves, while the demo plays its week.

    python -m benchmarks.alerts [--seconds 240]

Rules, sender, mail server and webhook are the demo's own. Measured from the commit of the block a fact is in to the
first attempt of any delivery about it. What a burst holds back until its window ends is left out: that wait is wanted.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from rich.console import Console

from app.demo import CRASH_EVE, Stage, index_history, play_week, stage
from app.demo_post import demo_post, enter_reader
from app.logs import start_logging
from app.pipeline import compute
from app.server import open_socket, serving
from app.settings import Settings
from benchmarks.results import RESULTS, Target, record
from ledger.clock import system_clock
from ledger.deliveries import list_first_attempts
from ledger.pages import asking, list_chains
from ledger.writer import AFTER_COMMIT
from web.edition import SiteConfig
from web.site import create_site

LAST_SECONDS = 8.0
"""After the week is over: what is on its way arrives."""
TARGETS = {"alerts.first_attempt_p95_s": Target("s", 2.0, is_most=True, meaning="committed fact to first attempt")}


class Commits:
    """When each height of each chain was first there for others to read."""

    def __init__(self, ready: Stage) -> None:
        self._engine = ready.engine
        self._seen: dict[int, list[tuple[int, datetime]]] = {}

    def hear(self, phase: str) -> None:
        """After each commit: the tips, with the time."""
        if phase != AFTER_COMMIT:
            return
        now = datetime.now(UTC)
        with asking(self._engine) as session:
            for state in list_chains(session):
                heights = self._seen.setdefault(state.chain.chain_id, [])
                if state.tip is not None and (not heights or state.tip.number > heights[-1][0]):
                    heights.append((state.tip.number, now))

    def time_of(self, chain_id: int, number: int) -> datetime | None:
        """When a block was committed; None where that was before we listened."""
        heights = self._seen.get(chain_id, [])
        if not heights or number <= heights[0][0]:
            return None
        return next((time for height, time in heights if height >= number), None)


def play(folder: Path, seconds: float) -> list[float]:
    """Seconds from commit to first attempt of each alert that is about one block's facts."""
    settings = Settings(data_dir=folder, replay_seconds=max(seconds, 10), port=0)
    listening = open_socket("127.0.0.1", 0)
    with (
        stage(settings, "alerts.sqlite", until=CRASH_EVE) as ready,
        demo_post(listening.getsockname()[:2]) as post,
    ):
        index_history(ready)
        compute(ready.engine)
        enter_reader(ready.engine, system_clock())
        commits = Commits(ready)
        commits.hear(AFTER_COMMIT)
        config = SiteConfig(subscribe=post.subscribe, inbox=post)
        with serving(create_site(ready.engine, system_clock, config), listening) as address:
            stop = threading.Timer(settings.replay_seconds + LAST_SECONDS, os.kill, (os.getpid(), signal.SIGTERM))
            stop.start()
            asyncio.run(play_week(ready, settings, post, site_url=address.url, phase=commits.hear))
            stop.cancel()
        with asking(ready.engine) as session:
            attempts = list_first_attempts(session)
    known = [(began, commits.time_of(chain_id, number)) for chain_id, number, began in attempts]
    return [(began - time).total_seconds() for began, time in known if time is not None]


def main() -> int:
    """Prints median, 95th percentile and worst; exit code 1 where the 95th percentile is over its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0, help="seconds for the week; the demo takes 240")
    chosen = parser.parse_args()
    start_logging("error", "plain")
    console = Console(width=140, highlight=False)
    with TemporaryDirectory() as folder:
        began = time.monotonic()
        waits = play(Path(folder), chosen.seconds)
    if len(waits) < 10:
        console.print(f"only {len(waits)} alerts were sent: too few to say anything")
        return 1
    p95 = quantiles(waits, n=20)[-1]
    record(RESULTS, {"alerts.first_attempt_p95_s": p95}, TARGETS)
    target = TARGETS["alerts.first_attempt_p95_s"]
    console.print(
        f"{len(waits)} alerts, from committed fact to first attempt: median {median(waits):.2f} s, "
        f"95 % within {p95:.2f} s (target {target.said()} s), worst {max(waits):.2f} s; "
        f"{time.monotonic() - began:.0f} s in all"
    )
    return 0 if target.is_met(p95) else 1


if __name__ == "__main__":
    sys.exit(main())
