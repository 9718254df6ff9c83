"""The benchmark of the live lane: it measures a true run, and counts what a block costs."""

from pathlib import Path

from benchmarks.live import NEW_HEADS, POLLING, Measured, measure
from benchmarks.runs import SQLITE


def test_the_figures_are_the_delays_nineteen_of_twenty_blocks_keep() -> None:
    found = Measured("any", [n / 1000 for n in range(101)], 4.0, 9.0)
    assert (round(found.p50_ms), round(found.p95_ms)) == (50, 95)
    assert "p95   95.0 ms" in found.line()


def test_a_block_costs_at_most_six_requests_by_polling_and_by_announcements(anvil: Path) -> None:
    """One a poll, one for its logs, and one more where the bloom cannot tell that a log is missing."""
    found = measure(6, kinds=(SQLITE,))
    assert [one.name for one in found] == [f"{SQLITE}, {POLLING}", f"{SQLITE}, {NEW_HEADS}"]
    for one in found:
        assert len(one.delays) == 6
        assert min(one.delays) > -0.1, "no block is committed before it is announced"
        assert one.http_requests <= 6.5, "a poll more or less falls into six blocks"
    assert anvil.exists()
