"""SIGKILL again and again while blocks come and are replaced: in the end the tables of a run that nothing disturbed."""

import random
from typing import Any

import pytest

from tests.indexer.process.conftest import Dump, Ledgers, dump_of, run_of
from tests.rigs.sync_process import KILLED, SyncProcess, sync
from tests.rigs.tables import assert_same_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain

ROUNDS = 6
MOST_ROUNDS = 60
LIFE_SECONDS = 0.6
DEEPEST = 5
"""Blocks that a reorganisation replaces at most; eight are not final."""

OF_THE_CHAIN = ("raw_log", "fact", "reading", "coverage", "segment", "chain")
"""Tables that say what the chain is now, whatever was seen on the way."""


def of_the_chain(dump: Dump) -> Dump:
    """What must be the same for one who saw every reorganisation and one who saw none."""
    kept: dict[str, list[dict[str, Any]]] = {name: dump[name] for name in OF_THE_CHAIN}
    kept["tip"] = [{"number": row["number"], "hash": row["hash"]} for row in dump["cursor"]]
    final = dump["chain"][0]["finalized_number"]
    kept["live"] = [row for row in dump["block"] if row["number"] > final]
    return kept


def live_a_moment(chain: AnvilChain, dice: random.Random) -> str:
    """A few blocks, or a reorganisation and the block after it."""
    if dice.random() < 0.4:
        depth = dice.randint(1, DEEPEST)
        chain.reorganise(depth, *[(WALLET, dice.randint(1, 10**9)) for _ in range(dice.randint(0, 2))])
        chain.send((WALLET, dice.randint(1, 10**9)))
        return f"-{depth}"
    blocks = dice.randint(1, 3)
    for _ in range(blocks):
        chain.send((WALLET, dice.randint(1, 10**9)), (STRANGER, 1))
    return f"+{blocks}"


@pytest.mark.scenario(29)
def test_kills_while_following_a_head_that_moves_and_is_replaced_leave_the_tables_of_an_undisturbed_run(
    ledgers: Ledgers, registered: str, chain: AnvilChain, *, seed: int, often: int
) -> None:
    undisturbed = ledgers.fresh(registered)
    assert sync(run_of(chain, registered))[0] == 0
    dice, kills, story, longest = random.Random(seed), 0, [], LIFE_SECONDS
    # Kills may come before any reorganisation is seen twice: then some more, for that is what this is about.
    while kills < often * ROUNDS or (kills < MOST_ROUNDS and not dump_of(registered)["reorg"]):
        with SyncProcess(run_of(chain, registered, until_head=False)) as follower:
            story += [live_a_moment(chain, dice) for _ in range(dice.randint(1, 4))]
            code, _ = follower.finish(after_seconds=dice.uniform(0.0, longest))
            assert code == KILLED, f"it ended by itself after {' '.join(story)}"
            kills += 1
        if kills >= often * ROUNDS:
            longest *= 1.2  # Whatever else the machine does, there comes a life that is long enough to see one.
    print(f"{kills} kills, {' '.join(story)}")
    assert sync(run_of(chain, registered))[0] == 0
    assert sync(run_of(chain, undisturbed))[0] == 0
    found, truth = dump_of(registered), dump_of(undisturbed)
    assert len(truth["fact"]) > 59
    assert found["reorg"], "no reorganisation was ever seen"
    assert_same_tables(of_the_chain(truth), of_the_chain(found))
    # What was seen on the way is on record once, and nothing of it is among the logs that count.
    there = {(row["block_hash"], row["log_index"]) for row in found["raw_log"]}
    gone = [(row["block_hash"], row["log_index"]) for row in found["orphaned_log"]]
    assert not there & set(gone)
    assert [row["epoch"] for row in found["cursor"]] == [len(found["reorg"])]
    heights = [row["number"] for row in found["block"] if row["number"] > found["chain"][0]["finalized_number"]]
    assert sorted(heights) == list(range(found["chain"][0]["finalized_number"] + 1, chain.head() + 1))
