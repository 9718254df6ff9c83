"""Seeds of the simulator: whatever providers, crashes and reorgs do, the ledger ends as the true chain."""

from tests.simulation.fleet import play_all


def test_a_seed_tells_the_same_story_each_time() -> None:
    first, again = play_all([3, 3])
    assert first.counts == again.counts
    assert first.counts["rows compared"] > 0
