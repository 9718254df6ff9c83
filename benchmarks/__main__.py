"""`make bench`: how fast the indexer is, beside the ceilings and a peer of the same minutes, and whether it was right.

    make bench                         the whole of it: 1,000,000 logs, three rounds, SQLite and Postgres
    make bench ROUNDS=1 SIZE=200000    a quick look
    python -m benchmarks --only sqlite --rounds 1 --size 200000

Every measured run is a process of its own, and after each the tables are compared with what the chain holds: a run
that is fast and wrong fails the benchmark. Targets are printed beside what was reached; missing one is no failure,
unless --strict is given. Figures go to build/bench.json (docs/benchmarks.md says how to read them).
"""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.chain import ChainFiles, generated
from benchmarks.least import Caps
from benchmarks.plan import Options, Outcome, Plan
from benchmarks.results import RESULTS, TARGETS, record
from benchmarks.runs import POSTGRES, SQLITE, Databases, Runner, WrongRunError, measured, postgres_server, serving
from benchmarks.show import show_runs, show_targets

CACHE = Path("build/bench")
SMALLEST = 10_000
WIDTH = 160
BUSY_LOAD = 1.0
STOPPED = 130
LIVE = "indexer.live_p95_ms"


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, Options]:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, default=1_000_000, help="logs of a full run, in thousands (default 1000000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each measurement is taken (default 3)")
    parser.add_argument("--only", choices=(SQLITE, POSTGRES), help="one database instead of both")
    parser.add_argument("--latency", type=int, default=50, help="milliseconds of the slow node (default 50)")
    parser.add_argument("--blocks", type=int, default=Caps.blocks, help="the node's cap: blocks of one eth_getLogs")
    parser.add_argument("--logs", type=int, default=Caps.logs, help="the node's cap: results of one eth_getLogs")
    parser.add_argument("--batch", type=int, default=Caps.batch, help="the node's cap: requests of one batch")
    parser.add_argument("--quick", action="store_true", help="only the ceiling and the indexer without latency")
    parser.add_argument("--without-live", action="store_true", help="leave out benchmarks.live (it needs anvil)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"where figures go (default {RESULTS})")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where chains are kept (default {CACHE})")
    parser.add_argument("--drop", type=int, metavar="BLOCK", help="let the node lie: it leaves out a log of this block")
    said = parser.parse_args(arguments)
    if said.size < SMALLEST or said.size % 5_000:
        parser.error(f"--size: at least {SMALLEST:,}, in steps of 5,000 logs")
    options = Options(
        size=said.size,
        rounds=said.rounds,
        stores=(said.only,) if said.only else (SQLITE, POSTGRES),
        latency=said.latency,
        caps=Caps(said.blocks, said.logs, said.batch),
        is_quick=said.quick,
        drop=said.drop,
    )
    return said, options


def progress_on(console: Console) -> Progress:
    """Bars with what is measured now and the time it has taken."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def make_chain(console: Console, cache: Path, logs: int) -> ChainFiles:
    """The chain of this size: made once, then found."""
    with progress_on(console) as bars:
        bar = bars.add_task("generating the chain (once)", total=None)
        return generated(cache, logs, lambda done, total: bars.update(bar, completed=done, total=total))


def measure(console: Console, cache: Path, options: Options) -> Outcome:
    """All runs of the plan; raises WrongRunError."""
    files = make_chain(console, cache, options.largest)
    with ExitStack() as stack:
        try:
            rig = stack.enter_context(postgres_server()) if POSTGRES in options.stores else None
        except ImportError as error:
            raise SystemExit(f"No PostgreSQL for this machine ({error}): measure with --only sqlite.") from error
        node = stack.enter_context(serving(files))
        databases = Databases(cache, rig)
        plan = Plan(options, Runner(files, node, databases, options.caps), databases)
        bars = stack.enter_context(progress_on(console))
        bar = bars.add_task("each part runs once, unmeasured", total=plan.steps)
        plan.prepare(files)
        return plan.run(
            lambda step, what: bars.update(bar, completed=step, description=what),
            lambda said: console.print(said, highlight=False),
        )


def is_busy() -> bool:
    """Whether the machine is at work already: rates are wall-clock, and what waits for a core is not slow."""
    return os.getloadavg()[0] > BUSY_LOAD


def measure_live(console: Console) -> dict[str, float]:
    """The live lane, which has a benchmark of its own where anvil is installed: its figure, or none and why."""
    with progress_on(console) as bars:
        bars.add_task("live lane: block to committed facts", total=None)
        try:
            return {LIVE: measured("live")[LIVE]}
        except WrongRunError as error:
            console.print(f"The live lane was not measured: {error}", highlight=False, soft_wrap=True)
            return {}


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, records; the exit code."""
    said, options = parse(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)  # A file has no width: lines of a table are not to be broken there.
    if is_busy():
        console.print("[bold]Other work is going on here[/]: trust CPU seconds now, and ratios only with care.")
    try:
        outcome = measure(console, said.cache, options)
    except WrongRunError as error:
        console.print(f"[bold red]WRONG[/]: {error}", highlight=False, soft_wrap=True)
        console.print("Nothing was recorded: the speed of a wrong run means nothing.")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; nothing was recorded.")
        return STOPPED
    show_runs(console, outcome)
    if not (options.is_quick or said.without_live):
        outcome.values |= measure_live(console)
    record(said.results, outcome.values)
    is_met = show_targets(console, outcome.values, TARGETS)
    console.print(f"Figures are in {said.results}.")
    return 0 if is_met or not said.strict else 1


if __name__ == "__main__":
    sys.exit(main())
