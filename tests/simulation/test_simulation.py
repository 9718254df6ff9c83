"""Seeds of the simulator: whatever providers, crashes and reorgs do, the ledger ends as the true chain."""

from collections import Counter

from tests.simulation.fleet import play_all, report_lines

SEEDS = range(1000)
LEAST = {
    "crash: request": 400,
    "crash: before insert": 100,
    "crash: between insert and commit": 100,
    "crash: after commit": 100,
    "crash: during rollback": 20,
    "two processes": 300,
    "fund added later": 300,
    **{f"reorg of depth {depth}": 150 for depth in range(1, 7)},
    "reorg on record": 700,
    "stale branch": 1000,
    "invented branch": 1000,
    "lag": 4000,
    "outage": 2000,
    "throttled": 300,
    "null head": 10,
    "answer missing in a batch": 100,
    "range too wide": 500,
    "whole block left out": 300,
    "log repeated": 200,
    "log covered with a copy": 50,
    "log invented": 300,
    "log of another block": 150,
    "log marked removed": 150,
    "two logs at one place": 150,
    "one log left out": 30,
    "logs changed": 60,
    "log added": 60,
    "receipts asked for": 10,
    "rows compared": 20_000,
}
"""A simulator that does nothing to the indexer proves nothing: what the seeds must have done at least, all in all."""


def test_no_seed_ends_with_a_ledger_that_differs_from_the_chain() -> None:
    results = play_all(SEEDS)
    lines = report_lines(results)
    print("\n".join(lines))
    assert not any(result.errors for result in results), "\n".join(lines)
    counts: Counter[str] = Counter()
    for result in results:
        for kind, times in result.counts.items():
            counts[kind.partition(", by ")[0]] += times  # Lies are told by number and by hash.
    assert {kind: counts[kind] for kind, least in LEAST.items() if counts[kind] < least} == {}


def test_a_seed_tells_the_same_story_each_time() -> None:
    first, again = play_all([3, 3])
    assert first.counts == again.counts
    assert first.counts["rows compared"] > 0
