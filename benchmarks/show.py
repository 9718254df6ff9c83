"""What a benchmark prints: every run with its cost, then each target beside what was reached."""

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.plan import Outcome
from benchmarks.results import Target
from benchmarks.runs import Run


def show_runs(console: Console, outcome: Outcome) -> None:
    """One line a measurement: the median of its rounds."""
    table = plain_table(f"Medians of {outcome.options.rounds} round(s)", "measured")
    for column in ("events/s", "CPU s", "CPU µs/event", "node CPU s", "peak MB", "requests"):
        table.add_column(column, justify="right")
    table.add_column("level")
    for name, runs in outcome.runs.items():
        table.add_row(name, *cells(runs))
    console.print(table)
    console.print(f"Least requests: {outcome.least.explained(outcome.options.caps)}.", highlight=False)
    console.print(
        "Level: the rung of the verification ladder that every block of the run passed (0 shape, 1 head, 2 blooms).\n"
        "Rows of every indexer run were compared with the chain's own count and digest. "
        "The web3.py loop ran over a part "
        "of the chain; its rate is of that part.",
        highlight=False,
    )


def plain_table(title: str, first: str) -> Table:
    """Without a frame, so that it can be read in a file too."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table


def cells(runs: Sequence[Run]) -> list[str]:
    """The numbers of one line; what was not measured stays empty."""

    def median(values: Sequence[float], form: str = ",.0f") -> str:
        middle = statistics.median(values)
        return format(middle, form) if middle else ""

    return [
        median([run.rate for run in runs]),
        median([run.cpu for run in runs], ",.1f"),
        median([run.cpu / run.logs * 1e6 for run in runs], ",.2f"),
        median([run.node_cpu for run in runs], ",.1f"),
        median([run.peak_rss_mb for run in runs]),
        median([run.requests for run in runs]),
        str(min(levels)) if (levels := [run.level for run in runs if run.level is not None]) else "",
    ]


def show_targets(console: Console, values: Mapping[str, float], targets: Mapping[str, Target]) -> bool:
    """Each target beside what was reached; whether all that were measured are met."""
    table = plain_table("Targets", "name")
    for column in ("reached", "target"):
        table.add_column(column, justify="right")
    table.add_column("")
    table.add_column("what it is", no_wrap=False)
    missed = []
    for name, target in targets.items():
        if name not in values:
            table.add_row(name, "", target.said(), "[dim]not measured[/]", target.meaning)
            continue
        is_met = target.is_met(values[name])
        missed += [] if is_met else [name]
        verdict = "[green]met[/]" if is_met else "[bold red]MISSED[/]"
        table.add_row(name, f"{values[name]:,.4g}", f"{target.said()} {target.unit}", verdict, target.meaning)
    console.print(table)
    if missed:
        console.print(f"[bold]Missed:[/] {', '.join(missed)}.")
    return not missed
