"""A thousand blocks are taken back in as many statements as ten, and in less time than they took to write."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import pytest
from sqlalchemy import Engine, event

from indexer.adapter import Log
from indexer.chain.reconcile import BlockRef
from indexer.commit import ChainLedger
from indexer.facts import Prepared, prepare
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched
from ledger.clock import system_clock
from ledger.kinds import BlockStatus
from ledger.writer import LedgerWriter
from tests.rigs.tables import dump_tables
from tests.rigs.transfer_chain import STRANGER, TRANSFER, WALLET, Terms, register

TOKEN = "0x" + "11" * 20
LOGS_A_BLOCK = 3
HISTORY = 5_000
LIVE = 1_000


def hash_of(number: int) -> str:
    return f"0x{number:064x}"


def fetched(first: int, last: int) -> Fetched:
    """Blocks full of transfers to the wallet."""
    headers = {n: Header(n, hash_of(n), hash_of(n - 1), 1_700_000_000 + n) for n in range(first, last + 1)}
    return Fetched(first, last, [log for n in headers for log in logs_in(n)], headers, 2)


def logs_in(number: int) -> Sequence[Log]:
    padded = tuple("0x" + account[2:].rjust(64, "0") for account in (STRANGER, WALLET))
    return [
        Log(
            address=TOKEN,
            topics=(TRANSFER, *padded),
            data=f"0x{number:064x}",
            block_number=hex(number),
            block_hash=hash_of(number),
            transaction_hash=f"0x{number * 10 + at:064x}",
            log_index=hex(at),
        )
        for at in range(LOGS_A_BLOCK)
    ]


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What the database is told meanwhile."""
    heard: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        heard.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", hear)


async def write(
    ledger: ChainLedger, segments: Sequence[Prepared], *, first: int, last: int, status: BlockStatus
) -> None:
    """These blocks in commits of fifty."""
    for at in range(first, last + 1, 50):
        await ledger.save(fetched(at, min(last, at + 49)), segments, status)


@pytest.mark.scenario(43)
async def test_a_thousand_unfinalized_blocks_roll_back_within_the_budget(engine: Engine) -> None:
    (tracked,) = register(engine, [TOKEN])
    segments = [prepare(tracked, 1)]
    told, took = {}, {}
    with LedgerWriter(engine) as writer:
        ledger = ChainLedger(Terms(), writer, system_clock)
        await ledger.open()
        await write(ledger, segments, first=1, last=HISTORY, status=BlockStatus.FINALIZED)
        await ledger.finalize(Header(HISTORY, hash_of(HISTORY), hash_of(HISTORY - 1), 1_700_000_000 + HISTORY))
        before = dump_tables(engine)
        to = BlockRef(HISTORY, hash_of(HISTORY))
        for depth in (10, LIVE):
            began = perf_counter()
            await write(ledger, segments, first=HISTORY + 1, last=HISTORY + depth, status=BlockStatus.UNFINALIZED)
            written = perf_counter()
            branch = Header(HISTORY + 1, "0x" + "bb" * 32, to.hash, 0)
            with statements(engine) as heard:
                await ledger.roll_back(to, branch)
            told[depth], took[depth] = heard, (perf_counter() - written) / (written - began)
    after = dump_tables(engine)
    for table in ("fact", "raw_log", "block", "coverage"):
        assert after[table] == before[table]
    assert len(after["orphaned_log"]) == (10 + LIVE) * LOGS_A_BLOCK
    assert told[LIVE] == told[10], "no statement a block"
    assert len(told[LIVE]) <= 20
    assert took[LIVE] < 0.5, "taking back is cheaper than writing"
