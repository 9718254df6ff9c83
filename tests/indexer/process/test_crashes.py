"""SIGKILL at any moment and in each commit phase, then a rerun: the tables are those of an undisturbed run."""

import random
import time

import pytest

from ledger.writer import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_INSERT, DURING_ROLLBACK, PHASES
from tests.indexer.process.conftest import Ledgers, dump_of, run_of
from tests.rigs.sync_process import KILLED, sync
from tests.rigs.tables import assert_same_tables
from tests.rigs.transfer_chain import WALLET, AnvilChain

RANDOM_MOMENTS = 4  # Of each database. `--often` multiplies it; `backstop index` has 20 in tests/end_to_end.


@pytest.mark.scenario(29)
def test_a_kill_in_any_commit_phase_leaves_no_trace_after_a_rerun(
    ledgers: Ledgers, registered: str, chain: AnvilChain
) -> None:
    undisturbed = ledgers.fresh(registered)
    _, said = sync(run_of(chain, undisturbed))
    truth = dump_of(undisturbed)
    assert len(truth["fact"]) == 59
    for phase in (BEFORE_INSERT, BEFORE_COMMIT, AFTER_COMMIT):
        times = said.count(phase)
        assert times >= 5, f"{phase} came {times} times"
        for count in range(1, times + 1):
            database = ledgers.fresh(registered)
            assert sync(run_of(chain, database), kill=(phase, count))[0] == KILLED, f"{phase} {count} was never reached"
            assert sync(run_of(chain, database))[0] == 0
            assert_same_tables(truth, dump_of(database))


@pytest.mark.scenario(29)
def test_a_kill_during_a_rollback_leaves_no_trace_after_a_rerun(
    ledgers: Ledgers, registered: str, chain: AnvilChain
) -> None:
    assert sync(run_of(chain, registered))[0] == 0
    chain.reorganise(5, (WALLET, 424_242))
    chain.send((WALLET, 1))
    undisturbed = ledgers.fresh(registered)
    _, said = sync(run_of(chain, undisturbed))
    assert said.count(DURING_ROLLBACK) == 1
    truth = dump_of(undisturbed)
    assert len(truth["reorg"]) == 1
    assert len(truth["orphaned_log"]) == 5
    for phase in PHASES:
        for count in range(1, said.count(phase) + 1):
            database = ledgers.fresh(registered)
            assert sync(run_of(chain, database), kill=(phase, count))[0] == KILLED
            assert sync(run_of(chain, database))[0] == 0
            assert_same_tables(truth, dump_of(database))


@pytest.mark.scenario(29)
def test_kills_at_random_moments_leave_no_trace_after_a_rerun(
    ledgers: Ledgers, registered: str, chain: AnvilChain, *, seed: int, often: int
) -> None:
    undisturbed = ledgers.fresh(registered)
    sync(run_of(chain, ledgers.fresh(registered)))  # The first run is slower: it opens what later ones find.
    began = time.monotonic()
    assert sync(run_of(chain, undisturbed))[0] == 0
    duration = time.monotonic() - began
    truth = dump_of(undisturbed)
    print(f"seed {seed}, an undisturbed run takes {duration:.2f} s")
    dice = random.Random(seed)
    kills, wanted = 0, often * RANDOM_MOMENTS
    for _ in range(20 * wanted):
        database = ledgers.fresh(registered)
        moment = dice.uniform(0.0, duration)
        began = time.monotonic()
        code = sync(run_of(chain, database), after_seconds=moment)[0]
        if code == 0:
            # A run that was slow for its own reasons says nothing of the next: most kills would come too late.
            duration = min(duration, time.monotonic() - began)
        if code == KILLED:
            kills += 1
            print(f"killed after {moment:.3f} s")
            assert sync(run_of(chain, database))[0] == 0
            assert_same_tables(truth, dump_of(database))
        if kills == wanted:
            break
    assert kills == wanted
