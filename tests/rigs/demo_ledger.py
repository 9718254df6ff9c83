"""The shipped recording indexed into a ledger, once for all tests that only read or copy it."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.indexing import index_chains, register
from app.providers import Plan
from indexer.facts import Prepared, prepare
from indexer.registry import FUNDS, Registry, load_funds, tracked
from indexer.replay.node import RunningNode, load_replay, running_node
from indexer.sync import ChainOutcome, SyncOptions
from ledger.database import open_engine, reading
from ledger.writer import LedgerWriter

SLUG = "crash-2021-05-simulated"
RECORDING = Path(__file__).parents[2] / "indexer" / "replay" / "recordings" / f"{SLUG}.jsonl.zst"


def demo_registry() -> Registry:
    """Its chain and its four funds."""
    return load_funds(FUNDS / SLUG)


def index_demo(engine: Engine, *urls: str) -> ChainOutcome:
    """Indexes the recording from these addresses up to its head."""
    registry = demo_registry()
    plan = Plan(registry, {chain.id: list(urls) for chain in registry.chains})
    register(engine, plan)
    with LedgerWriter(engine) as writer:
        (outcome,) = asyncio.run(index_chains(writer, plan, options=SyncOptions(until_head=True)))
    return outcome


def demo_segments(engine: Engine) -> list[Prepared]:
    """Its segments with adapters that have learned what the ledger holds."""
    registry = demo_registry()
    with reading(engine) as session:
        found = tracked(session, registry, registry.chains[0].id)
    return [prepare(each, each.start_block or 0) for each in found]


@pytest.fixture(scope="session")
def demo_node() -> Iterator[RunningNode]:
    """The recording served at its end."""
    with running_node([load_replay(RECORDING)]) as node:
        yield node


@pytest.fixture(scope="session")
def demo_url(demo_node: RunningNode) -> str:
    """Where the recording is served."""
    return demo_node.url_of(SLUG)


@pytest.fixture(scope="session")
def demo_file(demo_url: str, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger that holds the whole recording; copy it before you write."""
    path = tmp_path_factory.mktemp("demo") / "ledger.sqlite"
    shutil.copyfile(migrated_sqlite, path)
    engine = open_engine(f"sqlite:///{path}")
    outcome = index_demo(engine, demo_url)
    assert outcome.is_ok, outcome
    engine.dispose()  # The last connection moves what is in the log into the file.
    return path


@pytest.fixture
def copy_demo(demo_file: Path, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """`copy_demo()` opens a ledger of one's own that holds the whole recording."""
    engines: list[Engine] = []

    def copied() -> Engine:
        path = tmp_path / f"demo-{len(engines)}.sqlite"
        shutil.copyfile(demo_file, path)
        engines.append(open_engine(f"sqlite:///{path}"))
        return engines[-1]

    yield copied
    for engine in engines:
        engine.dispose()
