"""SIGTERM in each phase of each kind of commit and at any moment: a clean end in time, and a ledger that goes on."""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from app.indexing import index_until_stopped, register
from app.providers import Plan
from indexer.registry import load_funds
from indexer.sync import SyncOptions
from ledger.database import open_engine
from ledger.writer import LedgerWriter
from tests.indexer.process.conftest import Ledgers, dump_of
from tests.rigs.commands import PATIENCE_SECONDS, Place, wait_for
from tests.rigs.killable_index import FUNDS, Moment, index_forked, name_of_work, served_recording
from tests.rigs.tables import assert_same_tables

PROCESSES = get_context("fork")
SOME_BLOCKS = 60
STOP_SECONDS = 20.0  # The setting's default.
MOMENTS = 2


@pytest.fixture(scope="module")
def recording() -> Iterator[str]:
    """The first blocks of the shipped recording, served."""
    with served_recording(SOME_BLOCKS) as url:
        yield url


def index_until_told(url: str, database: str, spare: Set[Moment], said: Connection) -> None:
    """Indexes and, at the first moment that is not spared, gets the signal that an operator would send."""
    told = None

    def phase(name: str) -> None:
        nonlocal told
        moment = Moment(name_of_work(), name)
        if told is None and moment not in spare:
            told = moment
            os.kill(os.getpid(), signal.SIGTERM)

    registry = load_funds(FUNDS)
    plan = Plan(registry, {chain.id: [url] for chain in registry.chains})
    engine = open_engine(database)
    register(engine, plan)
    with LedgerWriter(engine, phase=phase) as writer:
        asyncio.run(index_until_stopped(writer, plan, options=SyncOptions(), progress=lambda *_: None))
    engine.dispose()
    said.send(told)


def stop_forked(url: str, database: str, spare: Set[Moment]) -> tuple[int | None, Moment | None, float]:
    """Exit code, the moment at which it was told to stop (None: it came to its end), and how long it took in all."""
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=index_until_told, args=(url, database, spare, there))
    began = time.monotonic()
    process.start()
    there.close()
    with here:
        moment = here.recv()
    process.join()
    return process.exitcode, moment, time.monotonic() - began


@pytest.mark.scenario(29)
def test_a_sigterm_in_each_phase_of_each_kind_of_commit_ends_cleanly_and_the_next_run_goes_on(
    database_url: str, ledgers: Ledgers, recording: str
) -> None:
    undisturbed = ledgers.fresh(database_url)
    code, seen = index_forked(recording, undisturbed)
    assert code == 0
    spared: set[Moment] = set()
    while True:
        code, moment, seconds = stop_forked(recording, database_url, spared)
        assert code == 0, f"told to stop at {moment}"
        assert seconds < STOP_SECONDS, f"told to stop at {moment}"
        if moment is None:
            break
        spared.add(moment)
    assert {moment.phase for moment in spared} == {moment.phase for moment in seen}
    assert_same_tables(dump_of(undisturbed), dump_of(database_url))


@pytest.mark.scenario(29)
def test_a_sigterm_at_any_moment_of_run_ends_cleanly_in_time(
    recording: str, tmp_path: Path, seed: int, often: int
) -> None:
    (chain,) = load_funds(FUNDS).chains
    place = Place(
        tmp_path,
        {
            "BACKSTOP_FUNDS_DIR": str(FUNDS),
            "BACKSTOP_RPC_URLS": f'{{"{chain.id}": ["{recording}"]}}',
            "BACKSTOP_POLL_SECONDS": "0.1",
            "BACKSTOP_COMPUTE_SECONDS": "1",
            "BACKSTOP_PUBLISH_DIR": str(tmp_path / "site"),
            "BACKSTOP_PUBLISH_SECONDS": "1",
        },
    )
    dice = random.Random(seed)
    for _ in range(often * MOMENTS):
        with place.start("run") as process:
            wait_for(process, "Backstop is at")
            moment = dice.uniform(0.0, 4.0)
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=PATIENCE_SECONDS)  # It says itself what did not stop in time.
        assert process.returncode == 0, f"told to stop after {moment:.2f} s: {err}"
        assert "Traceback" not in err
        assert "did not stop" not in err
    assert place.finish("index", "--once").returncode == 0
