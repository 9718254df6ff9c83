"""History whose rows a helper makes is the history whose rows are made here, whatever breaks on the way."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer import beside
from indexer.adapter import FactDraft, Known, Log, LogFilter, Read
from indexer.scan.ranges import FIRST_BLOCKS
from ledger.kinds import Role, Side
from tests.indexer.semantics.conftest import FreshLedger
from tests.indexer.semantics.factory_fund import FACTORY, FORGER, LOSS, child, index, loss, track
from tests.indexer.semantics.model_chain import ModelChain, ModelReader
from tests.rigs.tables import assert_same_tables, dump_tables

pytestmark = pytest.mark.skipif(not beside.may_help(), reason="needs Linux and a second processor core")

BLOCKS = 5 * FIRST_BLOCKS + 100
GARBAGE_AT = FIRST_BLOCKS + 40
Tables = dict[str, list[dict[str, Any]]]


class LossAdapter:
    """Losses of one contract."""

    version = 1
    rounding_per_flow_raw = 0
    tracked_sides: frozenset[Side] = frozenset()

    def __init__(self, contract: str, *, garbage: int | None = None) -> None:
        self.contract = contract
        self.garbage = garbage

    def filters(self) -> Sequence[LogFilter]:
        return [LogFilter(frozenset({self.contract}), (frozenset({LOSS.topic0}),))]

    def decode(self, log: Log) -> Sequence[FactDraft]:
        account, amount = LOSS.values(log)
        if amount == self.garbage:
            raise ValueError("an amount that is none")
        return [FactDraft(Role.SHORTFALL, amount, account=account, market=log.address)]

    def scheduled_reads(self, known: Known) -> Sequence[Read]:
        return []

    def flow_reads(self, known: Known) -> Sequence[Read]:
        return []


class KillingReader(ModelReader):
    """Kills the helper when the third range is asked for."""

    killed = 0

    async def logs(self, filters: Sequence[LogFilter], first: int, last: int, **whom: frozenset[str]) -> Any:
        if len(self.asked) == 2:
            for helper in multiprocessing.active_children():
                if helper.name == beside.NAME:
                    os.kill(helper.pid or 0, signal.SIGKILL)
                    self.killed += 1
        return await super().logs(filters, first, last, **whom)


@pytest.fixture
def chain() -> ModelChain:
    """Two contracts, one with a loss in every block and one in every third; three ranges, the last of them long."""
    made = ModelChain()
    for number in range(BLOCKS):
        made.mine(loss(1, number + 1), *([] if number % 3 else [loss(2, number + 1)]))
    return made


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helpers for ranges of any size."""
    monkeypatch.setattr(beside, "MANY_LOGS", 1)


async def tables_of(engine: Engine, reader: ModelReader, *, garbage: int | None = None) -> Tables:
    """All tables after both contracts' history was indexed; the second one's adapter chokes on `garbage`."""
    first, second = track(engine, FACTORY, FORGER)
    adapters = LossAdapter(child(1)), LossAdapter(child(2), garbage=garbage)
    tracked = [replace(one, adapter=adapter) for one, adapter in zip((first, second), adapters, strict=True)]
    outcome = await index(engine, reader, tracked)
    assert outcome.is_ok, outcome.reason
    return dump_tables(engine)


async def made_here(
    fresh_ledger: FreshLedger, chain: ModelChain, monkeypatch: pytest.MonkeyPatch, *, garbage: int | None = None
) -> Tables:
    """The same without a helper."""
    with monkeypatch.context() as patch, fresh_ledger() as engine:
        patch.setattr(beside, "may_help", lambda: False)
        return await tables_of(engine, ModelReader(chain), garbage=garbage)


@pytest.mark.usefixtures("helped")
async def test_history_is_the_same_with_a_helper(
    engine: Engine, chain: ModelChain, fresh_ledger: FreshLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = await tables_of(engine, ModelReader(chain))
    assert len(tables["fact"]) == BLOCKS + (BLOCKS + 2) // 3
    assert_same_tables(tables, await made_here(fresh_ledger, chain, monkeypatch))


@pytest.mark.usefixtures("helped")
async def test_history_is_the_same_when_the_helper_is_killed_in_the_midst_of_it(
    engine: Engine, chain: ModelChain, fresh_ledger: FreshLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = KillingReader(chain)
    tables = await tables_of(engine, reader)
    assert reader.killed == 1
    assert_same_tables(tables, await made_here(fresh_ledger, chain, monkeypatch))


@pytest.mark.usefixtures("helped")
async def test_a_fund_that_breaks_while_the_next_range_is_under_way_has_nothing_from_there_on(
    engine: Engine, chain: ModelChain, fresh_ledger: FreshLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logs may be there from the range that was under way: they are what a better decoder would ask for."""
    garbage = GARBAGE_AT - GARBAGE_AT % 3 + 1
    tables = await tables_of(engine, ModelReader(chain), garbage=garbage)
    here = await made_here(fresh_ledger, chain, monkeypatch, garbage=garbage)
    for table in ("fact", "coverage", "segment", "cursor"):
        assert_same_tables({table: tables[table]}, {table: here[table]})
    broken = [row["block_number"] for row in tables["fact"] if row["market"] == child(2)]
    assert broken
    assert max(broken) < GARBAGE_AT
