"""Which runs, in which order, and what is computed from them: ratios of one round, the median of the rounds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.chain import LOGS_A_BLOCK, ChainFiles
from benchmarks.least import Caps, Least, least_requests
from benchmarks.node import Chain
from benchmarks.runs import SQLITE, Databases, Run, Runner
from benchmarks.workload import tracked
from indexer.rpc.messages import filter_of
from indexer.scan.filters import merge_filters

PARSE, DECODE, PEER = "ceiling: fetch + parse", "ceiling: + decode", "plain web3.py loop → sqlite"
RECORDED_LATENCY = 50
"""Milliseconds: what the recorded ratio is named after; another latency is shown, not recorded."""
PEER_SHARE, MOST_PEER_LOGS = 50, 20_000
"""The loop is slow and costs the same for each event: a fiftieth of the chain is enough, the rate is what counts."""

Step = Callable[[], dict[str, Run]]
"""One measurement, and what was measured along with it, by name."""
Begins = Callable[[int, str], None]
"""Hears which measurement begins, by number and name."""
Ended = Callable[[str], None]
"""Hears what one gave."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    size: int
    rounds: int
    stores: tuple[str, ...]
    latency: int = RECORDED_LATENCY
    caps: Caps = field(default_factory=Caps)
    is_quick: bool = False
    drop: int | None = None

    @property
    def largest(self) -> int:
        """Logs of the longest run."""
        return self.size if self.is_quick else 2 * self.size


@dataclass
class Outcome:
    """Every run by name, the least number of requests, and the figures that are recorded."""

    options: Options
    least: Least
    runs: dict[str, list[Run]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)


def indexed(store: str, latency: int, logs: int) -> str:
    """The name of an indexer run."""
    return f"indexer → {store}, {latency} ms, {size_of(logs)}"


def size_of(logs: int) -> str:
    """The end of such a name."""
    return f"{logs:,} logs"


def written(store: str, *, is_keyed: bool) -> str:
    """The name of a write ceiling."""
    how = "executemany" if store == SQLITE else "COPY"
    return f"ceiling: {how} of the rows → {store}, {'ledger' if is_keyed else 'bare'} tables"


class Plan:
    """The runs of one benchmark."""

    def __init__(self, options: Options, runner: Runner, databases: Databases) -> None:
        self._options = options
        self._runner = runner
        self._databases = databases
        self._least = Least(0, 0)
        self._rounds = [self._round(n) for n in range(options.rounds)]
        self._once = [] if options.is_quick else self._sizes()

    @property
    def steps(self) -> int:
        """How many measurements there will be."""
        return sum(len(steps) for steps in self._rounds) + len(self._once)

    def prepare(self, files: ChainFiles) -> None:
        """Counts the least requests, and lets every part run once, unmeasured, so that no run pays for caches."""
        served = Chain(files.folder)
        filters = merge_filters(part for segment in tracked() for part in segment.adapter.filters())
        counts = [served.matching(filter_of(wanted)).counts for wanted in filters]
        self._least = least_requests(counts, self._options.size // LOGS_A_BLOCK, self._options.caps)
        self._runner.warm()

    def run(self, begins: Begins, ended: Ended) -> Outcome:
        """Takes all measurements; raises WrongRunError at the first that is wrong."""
        outcome = Outcome(self._options, self._least)
        for number, (name, step) in enumerate(chain(*self._rounds, self._once)):
            begins(number, name)
            for what, run in step().items():
                outcome.runs.setdefault(what, []).append(run)
                ended(f"{what}: {run.rate:,.0f} events/s in {run.seconds:.1f} s")
        outcome.values = compute(outcome)
        return outcome

    def _round(self, number: int) -> list[tuple[str, Step]]:
        """One of each, turned by one place each round, so that nothing always comes first."""
        options, size = self._options, self._options.size
        steps = [self._parse(PARSE, "parse")]
        steps += [self._index(store, 0, size, rewrites=not options.is_quick) for store in options.stores]
        if not options.is_quick:
            steps.append(self._parse(DECODE, "decode"))
            steps += [self._index(store, options.latency, size) for store in options.stores]
            if SQLITE in options.stores:
                steps.append((PEER, lambda: {PEER: self._runner.peer(peer_logs(size))}))
        turn = number % len(steps)
        return [*steps[turn:], *steps[:turn]]

    def _sizes(self) -> list[tuple[str, Step]]:
        """A fifth and the double of the size: memory must not grow with the chain."""
        store = self._options.stores[0]
        return [self._index(store, 0, size) for size in (self._options.size // 5, self._options.size * 2)]

    def _parse(self, name: str, what: str) -> tuple[str, Step]:
        return name, lambda: {name: self._runner.parsed(what, self._options.size)}

    def _index(self, store: str, latency: int, logs: int, *, rewrites: bool = False) -> tuple[str, Step]:
        """One run of the indexer, and where wanted its rows written again by the driver alone."""
        name = indexed(store, latency, logs)

        def step() -> dict[str, Run]:
            with self._databases.new(store) as url:
                runs = {name: self._runner.indexed(url, logs, latency=latency, drop=self._options.drop)}
                for is_keyed in (False, True) if rewrites else ():
                    with self._databases.new(store) as target:
                        run = self._runner.written(url, target, logs, is_keyed=is_keyed)
                        runs[written(store, is_keyed=is_keyed)] = run
                return runs

        return name, step


def peer_logs(size: int) -> int:
    """Logs for the web3.py loop, in thousands."""
    return max(1_000, min(MOST_PEER_LOGS, size // PEER_SHARE // 1_000 * 1_000))


def compute(outcome: Outcome) -> dict[str, float]:
    """The figures that are recorded, as far as they were measured."""
    options, runs, values = outcome.options, outcome.runs, {}
    for store in options.stores:
        fast, slow = indexed(store, 0, options.size), indexed(store, options.latency, options.size)
        values[f"indexer.{store}.share"] = of_rounds(runs, fast, PARSE)
        if slow in runs and options.latency == RECORDED_LATENCY:
            values[f"indexer.{store}.ratio_50ms"] = of_rounds(runs, slow, fast)
    whole = [run for name, rounds in runs.items() if name.endswith(size_of(options.size)) for run in rounds]
    values["indexer.peak_rss_mb"] = max(run.peak_rss_mb for run in whole)
    values["indexer.requests_ratio"] = max(run.requests for run in whole) / outcome.least.requests
    small, large = (indexed(options.stores[0], 0, size) for size in (options.size // 5, options.size * 2))
    if large in runs:
        values["indexer.rss_growth"] = runs[large][0].peak_rss_mb / runs[small][0].peak_rss_mb
    if PEER in runs:
        values["indexer.vs_web3py"] = of_rounds(runs, indexed(SQLITE, 0, options.size), PEER)
    return values


def of_rounds(runs: Mapping[str, Sequence[Run]], name: str, beside: str) -> float:
    """The median of the rounds' ratios of rates: what the machine did meanwhile falls out of a ratio of one round."""
    return statistics.median(a.rate / b.rate for a, b in zip(runs[name], runs[beside], strict=True))
