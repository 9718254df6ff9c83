"""What a benchmark prints: every run with its cost, then each target beside what was reached."""

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.plan import Outcome
from benchmarks.results import Target
from benchmarks.runs import Run

LEVELS = {0: "0 shape", 1: "1 head", 2: "2 blooms"}


def show_runs(console: Console, outcome: Outcome) -> None:
    """One line a measurement: the median of its rounds."""
    table = Table(title=f"Medians of {outcome.options.rounds} round(s)", title_justify="left")
    table.add_column("measured")
    for column in ("events/s", "CPU s", "µs CPU an event", "node's CPU s", "peak MB", "requests"):
        table.add_column(column, justify="right")
    table.add_column("verified to level")
    for name, runs in outcome.runs.items():
        table.add_row(name, *cells(runs))
    console.print(table)
    console.print(f"Least requests: {outcome.least.explained(outcome.options.caps)}.", highlight=False)
    console.print(
        "Rows of every indexer run were compared with the chain's own count and digest. "
        "A loop's rate is that of the part it was given.",
        highlight=False,
    )


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
        LEVELS.get(level, str(level)) if (level := runs[0].level) is not None else "",
    ]


def show_targets(console: Console, values: Mapping[str, float], targets: Mapping[str, Target]) -> bool:
    """Each target beside what was reached; whether all that were measured are met."""
    table = Table(title="Targets", title_justify="left")
    for column in ("name", "reached", "target", "", "what it is"):
        table.add_column(column, justify="right" if column in ("reached", "target") else "left")
    missed = []
    for name, target in targets.items():
        if name not in values:
            table.add_row(name, "", target.said(), "[dim]not measured[/]", target.meaning)
            continue
        is_met = target.is_met(values[name])
        missed += [] if is_met else [name]
        verdict = "[green]met[/]" if is_met else "[bold red]MISSED[/]"
        table.add_row(
            name, f"{values[name]:,.3g} {target.unit}", f"{target.said()} {target.unit}", verdict, target.meaning
        )
    console.print(table)
    if missed:
        console.print(f"[bold]Missed:[/] {', '.join(missed)}.")
    return not missed
