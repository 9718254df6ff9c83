"""Makes the shipped recording: plays the scenario, indexes it through the recorder, saves what passed.

What the indexer asks is a function of the chain alone, so the same code on the same scenario gives the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace
from sqlalchemy import Engine

from indexer.lanes import ChainWork
from indexer.registry import FUNDS, Registry, load_funds, tracked, write
from indexer.replay.record import SavedRecording, create_recorder, running_recorder
from indexer.replay.recording import Metadata
from indexer.replay.scenario.artifacts import ScenarioError
from indexer.replay.scenario.play import Played, play
from indexer.rpc.pool import ProviderPool
from indexer.snapshot import create_snapshots
from indexer.specs import ChainSpec
from indexer.sync import ChainOutcome, sync_chains
from ledger.database import open_engine, writing
from ledger.kinds import SourceKind
from ledger.upgrades import upgrade
from ledger.writer import LedgerWriter

SLUG = "crash-2021-05-simulated"
SHIPPED = Path(__file__).parents[1] / "recordings" / f"{SLUG}.jsonl.zst"
MAX_BYTES = 4_000_000
_MADE_UP = (
    "the chain: blocks, hashes, transactions and gas are those of a local anvil node",
    "traders, keepers, suppliers, borrowers and every amount",
    "the vALT asset and its price",
    "all USDC prices",
)

Step = Callable[[str, int, int], None]


def hear_nothing(_what: str, _done: int, _total: int) -> None:
    """The default listener."""


def capture(path: Path, *, seed: int, anvil: Path, node_modules: Path, step: Step = hear_nothing) -> SavedRecording:
    """Plays the whole scenario and saves its recording; `step` hears (what, done, total).

    Raises ScenarioError when the indexer could not follow the chain or the file is larger than the project ships.
    """
    with play(
        seed, anvil=anvil, node_modules=node_modules, progress=lambda done, total: step("play", done, total)
    ) as played:
        registry = load_funds(FUNDS / SLUG)
        (chain,) = registry.chains
        recorder = create_recorder(played.url, multicall3=chain.multicall3 or "")
        with running_recorder(recorder) as url:
            outcome = index_played(url, registry, step=step)
        if not outcome.is_ok:
            raise ScenarioError(f"the played chain could not be indexed: {outcome.reason}")
        saved = recorder.save(path, describe(chain, played), first=0, progress=step)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ScenarioError(f"{path} has {size:,} bytes, more than the {MAX_BYTES:,} the project ships")
    return saved


def index_played(url: str, registry: Registry, *, step: Step) -> ChainOutcome:
    """Indexes the node behind `url` into a ledger that is thrown away: what counts is what was asked."""
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/ledger.sqlite")
        upgrade(engine)
        outcome = index_into(engine, url, registry, step=step)
        engine.dispose()
    return outcome


def index_into(engine: Engine, url: str, registry: Registry, *, step: Step = hear_nothing) -> ChainOutcome:
    """Indexes the playing node behind `url` up to its head into a ledger that has its tables."""
    # The node is asked directly here and is no replay of a recording yet.
    (chain,) = (replace(chain, kind=SourceKind.LIVE) for chain in registry.chains)

    async def index(writer: LedgerWriter) -> ChainOutcome:
        async with ProviderPool(chain, [url]) as pool:
            segments = await writer.read(lambda session: tracked(session, registry, chain.id))
            lane = await writer.read(
                lambda session: create_snapshots(
                    session, registry, chain.id, tracked=segments, reader=pool, writer=writer
                )
            )
            work = ChainWork(chain, pool, segments, lane)
            (outcome,) = await sync_chains(
                writer,
                [work],
                lambda: datetime.now(UTC),
                progress=lambda _, done, total, __: step("index", done, total),
            )
            return outcome

    with writing(engine) as session:
        write(session, registry)
    with LedgerWriter(engine) as writer:
        return asyncio.run(index(writer))


def describe(chain: ChainSpec, played: Played) -> Metadata:
    """The recording's first line; seed and head hash tell one making from another."""
    head = played.manifest["head"]
    return Metadata(
        slug=SLUG,
        kind=chain.kind,
        title=chain.name,
        chain_id=chain.id,
        provenance=f"{chain.provenance} Seed {played.manifest['seed']}, head {head['number']} {head['hash']}.",
        synthetic=_MADE_UP,
        created_by="make record",
    )
