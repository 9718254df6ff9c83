"""Command: play the scenario; write its manifest, or with --record index it and write its recording.

`make record` calls it for the recording that ships.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from indexer.replay.scenario.artifacts import ScenarioError
from indexer.replay.scenario.capture import capture
from indexer.replay.scenario.play import SHIPPED_SEED, Played, play
from indexer.replay.scenario.timeline import STEPS


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line and plays."""
    options = _parse_options(arguments)
    console = Console(stderr=True)
    # A termination unwinds like Ctrl-C does, so that the node is ended with us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(options, console)
    except KeyboardInterrupt:
        console.print("ended")
    except ScenarioError as error:
        console.print(f"[red]scenario:[/red] {error}")
        raise SystemExit(1) from error


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m indexer.replay.scenario", description=__doc__.split("\n")[0] if __doc__ else None
    )
    parser.add_argument("--seed", type=int, default=SHIPPED_SEED, help="what is drawn by chance (default %(default)s)")
    parser.add_argument("--anvil", type=Path, required=True, help="the anvil binary")
    parser.add_argument("--node-modules", type=Path, required=True, help="folder with the contract packages")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="folder for manifest.json")
    what.add_argument("--record", type=Path, help="file for the recording: the play is indexed and what passed is kept")
    parser.add_argument("--port", type=int, default=0, help="port of the node (default: a free one)")
    parser.add_argument("--keep", action="store_true", help="leave the node running until Ctrl-C")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, console: Console) -> None:
    started = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        if options.record:
            _record(options, console, bar, started=started)
            return
        task = bar.add_task("playing", total=STEPS)
        with play(
            options.seed,
            anvil=options.anvil,
            node_modules=options.node_modules,
            port=options.port,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        ) as played:
            bar.stop()
            _report(played, options.out, console, seconds=time.monotonic() - started)
            if options.keep:
                console.print(f"node kept at {played.url}; Ctrl-C ends it")
                signal.pause()


def _record(options: argparse.Namespace, console: Console, bar: Progress, *, started: float) -> None:
    tasks: dict[str, TaskID] = {}

    def step(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    saved = capture(
        options.record, seed=options.seed, anvil=options.anvil, node_modules=options.node_modules, step=step
    )
    bar.stop()
    digest = hashlib.sha256(saved.path.read_bytes()).hexdigest()
    console.print(
        f"recorded in {time.monotonic() - started:.0f} s: {saved.path}, {saved.path.stat().st_size:,} bytes, "
        f"sha256 {digest}, {saved.metadata.records}"
    )


def _report(played: Played, folder: Path, console: Console, *, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.json"
    path.write_text(json.dumps(played.manifest, indent=1) + "\n", encoding="utf-8")
    head = played.manifest["head"]
    failed = len(played.manifest["failed_transactions"])
    console.print(
        f"played in {seconds:.0f} s: head {head['number']} {head['hash']}, {failed} failed transactions, {path}"
    )


if __name__ == "__main__":
    main()
