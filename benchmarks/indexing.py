"""One measured run of the indexer: the product's own pool, lanes, checks and ledger, in a process of its own.

    python -m benchmarks.indexing --rpc URL --database URL [--profile FILE]

The database must be migrated and empty. What is measured begins before the first connection and ends when the head is
reached and committed. Afterwards, and not measured, the tables are summed so that they can be compared with the truth.
"""

import argparse
import asyncio
import cProfile
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlmodel import col

from benchmarks.draws import NOTHING
from benchmarks.measure import Watch, report
from benchmarks.truth import Sum, Sums
from benchmarks.workload import Terms, register, tracked
from indexer.lanes import ChainWork
from indexer.rpc.pool import ProviderPool
from indexer.sync import ChainOutcome, sync_chains
from ledger.clock import system_clock
from ledger.database import open_engine
from ledger.tables import Asset, Block, Coverage, Fact, RawLog
from ledger.writer import LedgerWriter

ROWS_AT_ONCE = 10_000


async def index(engine: Engine, urls: Sequence[str], *, every_header: bool | None) -> tuple[ChainOutcome, int]:
    """One sync up to the head, as `backstop index --once` does it; the outcome and the pool's count of requests."""
    async with ProviderPool(Terms(), urls) as pool:
        with LedgerWriter(engine) as writer:
            work = ChainWork(Terms(), pool, tracked(), every_header=every_header)
            (outcome,) = await sync_chains(writer, [work], system_clock)
        return outcome, pool.requests


def sums_of(engine: Engine) -> dict[str, list[str]]:
    """Table → count and digest of what a run left in the ledger."""
    sums = Sums.empty()
    wanted = (
        (
            select(col(Block.number), col(Block.hash), col(Block.parent_hash), col(Block.timestamp)),
            add_block,
            sums.blocks,
        ),
        (LOGS, add_log, sums.logs),
        (FACTS, add_fact, sums.facts),
    )
    with engine.execution_options(read_only=True).connect() as connection:
        for statement, add, to in wanted:
            for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement):
                add(to, row)
    return sums.said()


LOGS: Select[Any] = select(
    RawLog.__table__.c["block_number", "block_hash", "log_index", "tx_hash", "address", "topics", "data"]  # type: ignore[attr-defined]
)
FACTS: Select[Any] = select(
    *Fact.__table__.c[  # type: ignore[attr-defined]
        "block_number",
        "block_hash",
        "log_index",
        "fact_no",
        "segment_id",
        "block_time",
        "tx_hash",
        "role",
        "amount_raw",
    ],
    col(Asset.address),
    *Fact.__table__.c["source", "side", "account", "market", "detail", "decoder"],  # type: ignore[attr-defined]
).outerjoin(Asset, col(Asset.id) == col(Fact.asset_id))


def unix(time: datetime) -> int:
    """Seconds since 1970."""
    return int(time.astimezone(UTC).timestamp())


def add_block(to: Sum, row: Any) -> None:
    """As the generator wrote it."""
    to.add(f"{row[0]} {row[1]} {row[2]} {unix(row[3])}")


def add_log(to: Sum, row: Any) -> None:
    """As the generator wrote it."""
    to.add(f"{row[0]} {row[1]} {row[2]} {row[3]} {row[4]} {row[5]} {row[6]}")


def add_fact(to: Sum, row: Any) -> None:
    """As the generator wrote it."""
    number, block_hash, index, fact_no, segment, time, tx, role, amount, asset, *others = row
    source, side, account, market = (NOTHING if word is None else word for word in others[:4])
    detail = NOTHING if others[4] is None else json.dumps(others[4], sort_keys=True)
    to.add(
        f"{number} {block_hash} {index} {fact_no} {segment} {unix(time)} {tx} {role} {source} {side} {amount} "
        f"{asset} {account} {market} {detail} {others[5]}"
    )


def coverage_of(engine: Engine) -> list[list[int]]:
    """Segment, first and last block, level: what the ledger says it scanned, and how well."""
    wanted = select(col(Coverage.segment_id), col(Coverage.from_number), col(Coverage.to_number), col(Coverage.level))
    with engine.execution_options(read_only=True).connect() as connection:
        return [list(row) for row in connection.execute(wanted.order_by(col(Coverage.segment_id)))]


def main() -> None:
    """Runs, measures, sums, reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rpc", action="append", required=True, help="URL of a node; several make a pool")
    parser.add_argument("--database", required=True, help="URL of a migrated database without rows")
    parser.add_argument(
        "--without-empty-blocks", action="store_true", help="headers only of blocks with logs (level 1)"
    )
    parser.add_argument("--profile", metavar="FILE", help="write a cProfile of the main thread there")
    options = parser.parse_args()
    engine = open_engine(options.database)
    register(engine)
    profile = cProfile.Profile()
    watch = Watch()
    if options.profile:
        profile.enable()
    outcome, requests = asyncio.run(index(engine, options.rpc, every_header=not options.without_empty_blocks))
    cost = watch.read()
    if options.profile:
        profile.disable()
        profile.dump_stats(options.profile)
    report(
        **cost,
        ok=outcome.is_ok,
        reason=outcome.reason,
        tip=outcome.tip,
        requests=requests,
        coverage=coverage_of(engine),
        sums=sums_of(engine),
    )
    engine.dispose()


if __name__ == "__main__":
    main()
