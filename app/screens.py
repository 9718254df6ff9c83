"""What a person sees in the terminal: progress bars on standard error, tables and addresses on standard output."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# Colours only where the word stands beside them: nothing is said by colour alone.
STATUS_STYLES = {
    "ample": "blue",
    "covered": "blue",
    "thin": "yellow",
    "short": "red",
    "depleted": "bold red",
    "not_computable": "dim",
    "no_fund": "dim",
}
UNKNOWN = "unknown"
WIDTH_OF_FILES = 140


def screen() -> Console:
    """Standard output, for results; what goes to a file or pipe is not squeezed into the 80 columns rich assumes."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_FILES)
    return console


def side_screen() -> Console:
    """Standard error, for what is under way."""
    return Console(stderr=True, highlight=False)


def say(line: str | Text) -> None:
    """One line of what is under way."""
    with suppress(OSError):  # The screen may be a file on a full disk: words that are lost stop no indexer.
        side_screen().print(line, soft_wrap=True)


class ChainBars:
    """One bar a chain: blocks done, rate and time left. Without a terminal nothing is drawn."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, chain: str, done: int, total: int, rate: float) -> None:
        """Takes what the indexer says; thread-safe, as rich is."""
        if chain not in self._tasks:
            self._tasks[chain] = self._progress.add_task(chain, total=total, speed="", left="")
        left = f"{clock_text((total - done) / rate)} left" if rate > 0 and done < total else ""
        self._progress.update(
            self._tasks[chain],
            completed=done,
            total=total,
            speed=f"{rate:,.0f} blocks/s" if rate > 0 else "",
            left="done" if done >= total else left,
        )


def clock_text(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


@contextmanager
def chain_bars() -> Iterator[ChainBars]:
    """Draws bars while chains are read."""
    columns = (
        TextColumn("{task.description}", style="bold"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}", style="dim"),
        TextColumn("{task.fields[left]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=side_screen(), transient=False) as progress:
        yield ChainBars(progress)


class RecordBars:
    """One bar a recording, or part of one, while it is read or written."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Callable[[int, int], None]] = {}

    def by_name(self, name: str, done: int, total: int) -> None:
        """The same for callers that name the bar each time."""
        if name not in self._tasks:
            self._tasks[name] = self.of(name)
        self._tasks[name](done, total)

    def of(self, name: str) -> Callable[[int, int], None]:
        """A callback for one recording: records read so far, records in all."""
        task = self._progress.add_task(name, total=None)
        return lambda done, total: self._progress.update(task, completed=done, total=total)


@contextmanager
def record_bars() -> Iterator[RecordBars]:
    """Draws bars while recordings are read or written; they go away afterwards."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, console=side_screen(), transient=True) as progress:
        yield RecordBars(progress)


@contextmanager
def play_bar() -> Iterator[Callable[[int, int, int], None]]:
    """Draws how far a replay is; the callback takes chain time at the start, now and at the end, in unix seconds."""
    columns = (
        TextColumn("{task.description}", style="bold"),
        BarColumn(bar_width=40),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=side_screen()) as progress:
        task = progress.add_task("replay", total=None, note="")

        def show(first: int, now: int, last: int) -> None:
            moment = datetime.fromtimestamp(now, UTC)
            note = "the week is over; the site stays up until Ctrl-C" if now >= last else "reload the page to follow"
            progress.update(
                task,
                description=f"{moment:%a %d %b %Y %H:%M} UTC",
                completed=now - first,
                total=last - first,
                note=note,
            )

        yield show


@dataclass
class Stopwatch:
    """How long each step took, for the lines at the end."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measures the block; a step that comes again adds up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def line(self) -> str:
        """`index 12.3 s · compute 4.5 s · publish 1.2 s · together 18.0 s`"""
        parts = [f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items()]
        return " · ".join([*parts, f"together {sum(self.seconds.values()):.1f} s"])


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand right, what is whole is never broken into lines."""

    title: str
    is_number: bool = False
    is_whole: bool = False


def show_table(title: str, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table with hairlines on standard output."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            overflow="fold",
            no_wrap=column.is_whole,
        )
    for row in rows:
        table.add_row(*row)
    screen().print(table)
