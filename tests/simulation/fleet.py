"""Many seeds side by side, a process for each core, and the account of what was really done to the indexer."""

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.simulation.story import Result, play
from tests.simulation.weather import Season

MEMORY = Path("/dev/shm")
SHOWN_ERRORS = 3


@contextmanager
def template() -> Iterator[Path]:
    """A migrated SQLite file in a directory of its own, in memory where the machine has a place for that."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as directory:
        path = Path(directory) / "template.sqlite"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        engine.dispose()
        yield path


def play_all(seeds: Sequence[int], season: Season | None = None) -> list[Result]:
    """All seeds, in their order."""
    logging.getLogger("indexer").setLevel(logging.CRITICAL)
    with template() as migrated, get_context("fork").Pool(os.cpu_count()) as pool:
        return pool.map(partial(play, template=migrated, season=season), seeds, chunksize=4)


def report_lines(results: Sequence[Result]) -> list[str]:
    """What was injected, how often; then every wrong seed with the command that repeats it."""
    counts = sum((result.counts for result in results), Counter())
    wrong = [result for result in results if result.errors]
    lines = [f"{counts[kind]:9,}  {kind}" for kind in sorted(counts)]
    for result in wrong:
        lines.append(f"python -m tests.simulation --seed {result.seed} --verbose")
        lines += [f"    {error}" for error in result.errors[:SHOWN_ERRORS]]
    return [*lines, f"{len(wrong)} wrong of {len(results)}"]
