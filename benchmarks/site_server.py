"""The site on a ledger in a process of its own, as `backstop serve` runs it, and the pinning of such processes.

    python -m benchmarks.site_server LEDGER

Prints its address and serves until its standard input ends. Its clock starts where the benchmark's ledger ends.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from app.logs import start_logging
from app.pipeline import site_config
from app.server import open_socket, serving
from app.settings import Settings
from benchmarks.site_plan import NOW
from ledger.clock import Clock
from ledger.database import open_engine
from web.site import create_site

STOP_SECONDS = 20


def clock_from_now() -> Clock:
    """NOW, and what has passed since this was called: pages are made anew each minute, as they are for readers."""
    began = time.monotonic()
    return lambda: NOW + timedelta(seconds=time.monotonic() - began)


def cores() -> tuple[int, int] | None:
    """A core for the server and another for its readers; None where there is only one, or no way to choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[-1]) if len(found) > 1 else None


@contextmanager
def running(command: Sequence[str], core: int | None, *, is_heard: bool = True) -> Iterator[subprocess.Popen[str]]:
    """A process on that core until the block ends. `is_heard`: it is ours and ends with its input."""
    output, errors = (subprocess.PIPE, None) if is_heard else (subprocess.DEVNULL, subprocess.DEVNULL)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=errors, text=True)
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})  # Threads that it starts from now on stay there too.
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        if not is_heard:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """This process on that core while the block runs."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def site_running(ledger: Path, core: int | None) -> Iterator[str]:
    """The address of the site on that ledger."""
    with running([sys.executable, "-m", "benchmarks.site_server", str(ledger)], core) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("the site did not start; its log above says why")
        yield line.strip()


def main() -> int:
    """Serves until nobody wants it any more."""
    start_logging("error", "plain")
    ledger = Path(sys.argv[1])
    settings = Settings(data_dir=ledger.parent, port=0)
    engine = open_engine(f"sqlite:///{ledger}")
    site = create_site(engine, clock_from_now(), site_config(settings))
    with serving(site, open_socket(settings.host, 0)) as address:
        sys.stdout.write(f"{address.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
