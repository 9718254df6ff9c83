"""Command: play the scenario, write its manifest, and with --keep leave the node running until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from indexer.replay.scenario.artifacts import ScenarioError
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
    parser = argparse.ArgumentParser(prog="python -m indexer.replay.scenario", description=__doc__)
    parser.add_argument("--seed", type=int, default=SHIPPED_SEED, help="what is drawn by chance (default %(default)s)")
    parser.add_argument("--anvil", type=Path, required=True, help="the anvil binary")
    parser.add_argument("--node-modules", type=Path, required=True, help="folder with the contract packages")
    parser.add_argument("--out", type=Path, required=True, help="folder for manifest.json")
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
