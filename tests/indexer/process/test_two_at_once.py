"""Two indexers on one chain, as real processes: one wins, the other says so and ends, and the tables are one's."""

from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from app.indexing import register
from app.providers import Plan
from indexer.registry import load_funds
from ledger.database import open_engine
from ledger.upgrades import upgrade
from tests.indexer.process.conftest import Ledgers, dump_of, run_of
from tests.rigs.killable_index import FUNDS, IndexCommand, served_recording
from tests.rigs.sync_process import SyncProcess, sync
from tests.rigs.tables import assert_same_tables
from tests.rigs.transfer_chain import WALLET, AnvilChain

PROCESSES = get_context("fork")
REFUSED = "another process moved the cursor; one indexer a chain is enough, this stops"
ROUNDS, MEETINGS = 10, 2
"""Rounds at most, until so many times one of the two lost."""
STARTS = 3
SOME_BLOCKS = 300


@pytest.mark.scenario(30)
def test_of_two_indexers_that_start_at_once_one_wins_and_nothing_is_doubled_or_missing(
    ledgers: Ledgers, registered: str, chain: AnvilChain, often: int
) -> None:
    undisturbed = ledgers.fresh(registered)
    assert sync(run_of(chain, undisturbed))[0] == 0
    truth = dump_of(undisturbed)
    losers, wanted = 0, often * MEETINGS
    for _ in range(often * ROUNDS):
        database = ledgers.fresh(registered)
        with SyncProcess(run_of(chain, database)) as one, SyncProcess(run_of(chain, database)) as other:
            ends = [one.finish(), other.finish()]
        assert 0 in [code for code, _ in ends], "nobody won"
        losers += sum(code == 1 and REFUSED in said[-1] for code, said in ends)
        assert all(code == 0 or REFUSED in said[-1] for code, said in ends)
        assert_same_tables(truth, dump_of(database))
        if losers >= wanted:
            break
    assert losers >= 1, "the two never met"


@pytest.mark.scenario(30)
def test_of_two_that_follow_the_same_head_one_goes_on_alone(registered: str, chain: AnvilChain) -> None:
    assert sync(run_of(chain, registered))[0] == 0
    run = run_of(chain, registered, until_head=False)
    with SyncProcess(run) as one, SyncProcess(run) as other:
        for amount in range(500):
            chain.send((WALLET, amount))
            if not (one.is_alive() and other.is_alive()):
                break
        loser, winner = (other, one) if one.is_alive() else (one, other)
        code, said = loser.finish()
        assert (code, REFUSED in said[-1]) == (1, True)
        assert winner.is_alive()
    assert sync(run_of(chain, registered))[0] == 0
    rows = dump_of(registered)
    assert [row["number"] for row in rows["cursor"]] == [chain.head()]
    assert len(rows["fact"]) == len({row["block_hash"] for row in rows["fact"]}) == chain.head() - 1


@pytest.fixture(scope="module")
def recording() -> Iterator[str]:
    """The first blocks of the shipped recording, served."""
    with served_recording(SOME_BLOCKS) as url:
        yield url


@pytest.mark.scenario(30)
def test_two_commands_on_an_empty_ledger_leave_the_tables_of_one(
    database_url: str, ledgers: Ledgers, recording: str, tmp_path: Path
) -> None:
    command, undisturbed = IndexCommand(recording, tmp_path), ledgers.fresh(database_url)
    assert command.run(undisturbed) == 0
    with command.start(database_url) as one, command.start(database_url) as other:
        codes = sorted([one.wait(300), other.wait(300)])
    assert codes[0] == 0
    assert codes[1] in (0, 5)  # 0: it came when the other had finished.
    assert_same_tables(dump_of(undisturbed), dump_of(database_url))


def register_at_once(url: str, gate: Barrier) -> None:
    """What each start does first, begun by all at the same moment."""
    engine = open_engine(url)
    upgrade(engine)
    plan = Plan(load_funds(FUNDS), {})
    gate.wait(30)
    register(engine, plan)
    engine.dispose()


@pytest.mark.scenario(30)
def test_the_fund_files_are_written_once_by_processes_that_start_at_once(database_url: str, ledgers: Ledgers) -> None:
    undisturbed = ledgers.fresh(database_url)
    register_at_once(undisturbed, PROCESSES.Barrier(1))
    for _ in range(STARTS):
        database, gate = ledgers.fresh(database_url), PROCESSES.Barrier(3)
        together = [PROCESSES.Process(target=register_at_once, args=(database, gate)) for _ in range(3)]
        for process in together:
            process.start()
        for process in together:
            process.join(60)
        assert [process.exitcode for process in together] == [0, 0, 0]
        assert_same_tables(dump_of(undisturbed), dump_of(database))
