"""The scenario played on anvil with another seed than the recording's, indexed while a recorder listens."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from app.indexing import index_chains, register
from app.providers import Plan
from indexer.registry import FUNDS, load_funds
from indexer.replay.node import load_replay, running_node
from indexer.replay.record import create_recorder, running_recorder
from indexer.replay.scenario.capture import SLUG, describe, index_into
from indexer.replay.scenario.play import SHIPPED_SEED, Played, play
from indexer.sync import SyncOptions
from ledger.clock import system_clock
from ledger.database import open_engine
from ledger.kinds import FLOW_SIGN, Role
from ledger.writer import LedgerWriter
from solvency.compute import compute_all
from tests.rigs.direct_chain import DirectChain
from tests.rigs.tables import dump_tables

OTHER_SEED = SHIPPED_SEED + 1

Row = dict[str, Any]


@dataclass
class PlayedScenario:
    """The node that still holds the play, what the ledger made of it, and the recording of what was asked."""

    chain: DirectChain
    manifest: dict[str, Any]
    recording: Path
    tables: dict[str, list[Row]]
    head: int = field(init=False)

    def __post_init__(self) -> None:
        self.head = self.manifest["head"]["number"]

    def segment(self, slug: str) -> int:
        """The id of a segment."""
        return next(row["id"] for row in self.tables["segment"] if row["slug"] == slug)

    def facts(self, slug: str, *roles: Role, last: int | None = None) -> list[Row]:
        """A segment's facts of these roles (all without any), up to a block."""
        segment = self.segment(slug)
        return [
            row
            for row in self.tables["fact"]
            if row["segment_id"] == segment
            and (not roles or row["role"] in roles)
            and (last is None or row["block_number"] <= last)
        ]

    def flow_sum(self, slug: str, last: int) -> int:
        """Σ signed flows up to a block, smallest units."""
        return sum(FLOW_SIGN[Role(row["role"])] * row["amount_raw"] for row in self.facts(slug, *FLOW_SIGN, last=last))

    def readings(self, slug: str, name: str) -> list[Row]:
        """A segment's readings of one name, by height."""
        segment = self.segment(slug)
        found = [row for row in self.tables["reading"] if row["segment_id"] == segment and row["name"] == name]
        return sorted(found, key=lambda row: row["block_number"])

    def metrics(self, slug: str, name: str) -> dict[str, Row]:
        """The rows of a metric by day."""
        segment = self.segment(slug)
        found = (row for row in self.tables["metric"] if row["segment_id"] == segment and row["name"] == name)
        return {row["day"]: row for row in sorted(found, key=lambda row: row["as_of_number"])}

    @cached_property
    def perps(self) -> dict[str, "Deployment"]:
        """The Perp v2 deployments by the slug of their fund."""
        return {
            f"perp-v2-{name}-simulated": Deployment(
                {part: address.lower() for part, address in perp["contracts"].items()},
                {label: market["base"].lower() for label, market in perp["markets"].items()},
            )
            for name, perp in self.manifest["perps"].items()
        }


@dataclass(frozen=True)
class Deployment:
    """One Perp v2 system: contract name → address, market label → base token, in lower case."""

    contracts: dict[str, str]
    markets: dict[str, str]


@contextmanager
def played_scenario(folder: Path, ledger_url: str, *, anvil: Path, node_modules: Path) -> Iterator[PlayedScenario]:
    """Plays, indexes into the ledger at `ledger_url`, computes, records; the node runs until the block is left."""
    with play(OTHER_SEED, anvil=anvil, node_modules=node_modules) as played:
        recording = folder / "played.jsonl.zst"
        tables = fill(ledger_url, lambda engine: index_recorded(engine, played, recording))
        direct = DirectChain(played.url)
        yield PlayedScenario(direct, played.manifest, recording, tables)
        direct.close()


def index_recorded(engine: Engine, played: Played, recording: Path) -> None:
    """Indexes the node through the recorder and saves what passed."""
    registry = load_funds(FUNDS / SLUG)
    (chain,) = registry.chains
    recorder = create_recorder(played.url, multicall3=chain.multicall3 or "")
    with running_recorder(recorder) as url:
        outcome = index_into(engine, url, registry)
    assert outcome.is_ok, outcome
    recorder.save(recording, describe(chain, played), first=0)


def index_replayed(engine: Engine, recording: Path) -> None:
    """Indexes a recording of the scenario from a replay node, as the commands do."""
    registry = load_funds(FUNDS / SLUG)
    with running_node([load_replay(recording)]) as node:
        plan = Plan(registry, {chain.id: [node.url_of(SLUG)] for chain in registry.chains})
        register(engine, plan)
        with LedgerWriter(engine) as writer:
            (outcome,) = asyncio.run(index_chains(writer, plan, options=SyncOptions(until_head=True)))
    assert outcome.is_ok, outcome


def fill(url: str, index: Callable[[Engine], None]) -> dict[str, list[Row]]:
    """Indexes into a ledger, computes its metrics and gives all its rows."""
    engine = open_engine(url)
    try:
        index(engine)
        summary = compute_all(engine, system_clock)
        assert not summary.skipped, summary
        return dump_tables(engine)
    finally:
        engine.dispose()
