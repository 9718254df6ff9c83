"""A chain of transfers followed poll by poll, and its ledger held against what the node itself says."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from indexer.commit import ChainLedger
from indexer.follow import ChainFollower
from indexer.lanes import ChainWork, Tracked
from indexer.rpc.pool import ProviderPool
from ledger.clock import Clock, system_clock
from ledger.writer import LedgerWriter
from tests.rigs.fast_time import FastTime
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import STRANGER, WALLET, AnvilChain, Terms

FINALITY = 8
"""How far the final block lies below the head with --slots-in-an-epoch 4."""
LIVE_NODE = ("--no-mining", "--slots-in-an-epoch", "4", "--timestamp", "1700000000")


@dataclass
class Followed:
    """One follower on a ledger; `phases` are the commit phases it came through."""

    follower: ChainFollower
    pool: ProviderPool
    time: FastTime
    phases: list[str]

    async def settle(self, most: int = 6) -> int:
        """Polls until the tip is the head; how many polls that took."""
        for n in range(1, most + 1):
            if await self.follower.poll():
                return n
        raise AssertionError(f"the head was not reached in {most} polls")


@asynccontextmanager
async def following(
    engine: Engine,
    urls: list[str],
    tracked: list[Tracked],
    *,
    clock: Clock = system_clock,
    heard: Callable[[str], None] | None = None,
) -> AsyncIterator[Followed]:
    """A follower whose waiting costs no time. `heard` is told each commit phase, on the writer's thread."""
    time, phases = FastTime(), list[str]()
    pace = time.pace()

    def phase(name: str) -> None:
        phases.append(name)
        if heard is not None:
            heard(name)

    async with ProviderPool(Terms(), urls, pace=pace) as pool:
        with LedgerWriter(engine, phase=phase) as writer:
            ledger = ChainLedger(Terms(), writer, clock)
            work = ChainWork(Terms(), pool, tracked, every_header=True)
            yield Followed(ChainFollower(work, ledger, pace=pace), pool, time, phases)


def fill(chain: AnvilChain, blocks: int) -> None:
    """Blocks with transfers to the wallet and to a stranger, every third one empty."""
    for n in range(blocks):
        if n % 3 == 2:
            chain.mine()
        else:
            chain.send((WALLET, 1000 + n), (STRANGER, 5), (WALLET, 7))


def logs_on_chain(chain: AnvilChain) -> list[tuple[Any, ...]]:
    """(block, hash, transaction, log index, amount) of every transfer to the wallet, asked of the node itself."""
    padded = "0x" + WALLET[2:].rjust(64, "0")
    logs = chain.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "topics": [None, None, padded]})
    return sorted(map(row_of, logs))


def row_of(log: dict[str, Any]) -> tuple[Any, ...]:
    """A node's log as the row that the ledger should hold."""
    number, index, amount = (int(log[name], 16) for name in ("blockNumber", "logIndex", "data"))
    return number, log["blockHash"], log["transactionHash"], index, amount


def facts_in(dump: dict[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    """The same of the ledger's facts."""
    names = ("block_number", "block_hash", "tx_hash", "log_index", "amount_raw")
    return sorted(tuple(row[name] for name in names) for row in dump["fact"])


def assert_is_the_chain(engine: Engine, chain: AnvilChain) -> None:
    """Facts, raw logs, blocks, coverage and cursor are the node's, and nothing else is there."""
    dump = dump_tables(engine)
    head = chain.head()
    truth = logs_on_chain(chain)
    assert facts_in(dump) == truth
    raw = sorted((r["block_number"], r["block_hash"], r["tx_hash"], r["log_index"]) for r in dump["raw_log"])
    assert raw == [row[:4] for row in truth]
    assert (dump["cursor"][0]["number"], dump["cursor"][0]["hash"]) == (head, chain.hash_of(head))
    assert [(c["from_number"], c["to_number"]) for c in dump["coverage"]] == [(1, head)]
    (row,) = dump["chain"]
    live = {b["number"]: b["hash"] for b in dump["block"] if b["number"] >= row["finalized_number"]}
    assert live == {number: chain.hash_of(number) for number in range(row["finalized_number"], head + 1)}
    assert {b["status"] for b in dump["block"] if b["number"] > row["finalized_number"]} <= {"unfinalized"}
