"""What the ledger must hold once everything is settled, and what of it does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from ledger.database import reading
from tests.simulation.world import WALLET, Block, World, padded, wanted_emissions

Row = dict[str, Any]
Dump = dict[str, list[Row]]
WALLET_TOPIC = padded(WALLET)
LOG_COLUMNS = ("block_hash", "log_index", "block_number", "tx_hash", "address", "topics", "data")
TABLES = ("chain", "segment", "block", "raw_log", "fact", "coverage", "cursor", "reorg", "orphaned_log")


@dataclass(frozen=True)
class Fund:
    """One fund of a seed: its segment's id, its token, its first block, and since which commit it is watched."""

    segment_id: int
    token: str
    start: int


def read_tables(engine: Engine) -> Dump:
    """The tables of the indexer, as they are."""
    dump: Dump = {}
    with reading(engine) as session:
        for name in TABLES:
            table = SQLModel.metadata.tables[name]
            rows = session.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            dump[name] = [dict(row) for row in rows]
    return dump


def errors_of(dump: Dump, world: World, funds: Sequence[Fund], *, is_tagged: bool) -> list[str]:
    """Every way in which the ledger differs from the true chain; empty when it does not."""
    return [
        *_standing_errors(dump, world, is_tagged=is_tagged),
        *_block_errors(dump, world, funds),
        *_log_errors(dump, world, funds),
        *_fact_errors(dump, world, funds),
        *_coverage_errors(dump, world, funds),
        *_reorg_errors(dump, world, funds),
    ]


def _standing_errors(dump: Dump, world: World, *, is_tagged: bool) -> Iterator[str]:
    (chain,), head = dump["chain"], world.view.head
    finalized = chain["finalized_number"]
    cursors = [(row["number"], row["hash"]) for row in dump["cursor"]]
    if chain["status"] != "following":
        yield f"chain: {chain['status']} ({chain['status_reason']})"
    if cursors != [(head.number, head.hash)]:
        yield f"cursor: {cursors}, the head is {(head.number, head.hash)}"
    if finalized is None or finalized > world.view.finalized or (is_tagged and finalized < world.view.finalized):
        yield f"chain: finalized {finalized}, true is {world.view.finalized}"


def _block_errors(dump: Dump, world: World, funds: Sequence[Fund]) -> Iterator[str]:
    """Dense above finality; below it those that rows hang on; canonical all of them."""
    finalized = dump["chain"][0]["finalized_number"] or 0
    held = {row["number"]: row for row in dump["block"]}
    with_logs = {log["block_number"] for log in dump["raw_log"]}
    for block in world.view.blocks:
        row = held.pop(block.number, None)
        if row is None:
            if block.number >= finalized or block.number in with_logs:
                yield f"block {block.number}: missing"
            continue
        status = "finalized" if block.number <= finalized else "unfinalized"
        found = (row["hash"], row["parent_hash"], int(row["timestamp"].timestamp()), row["status"])
        if found != (block.hash, block.parent_hash, block.timestamp, status):
            yield f"block {block.number}: {found}, true is {(block.hash, status)}"
        if block.number < finalized and block.number not in with_logs:
            yield f"block {block.number}: final, and nothing hangs on it"
    yield from (f"block {number}: above the head" for number in held)


def log_row(block: Block, log: Row) -> tuple[Any, ...]:
    """A log as the ledger writes it."""
    index = int(log["logIndex"], 16)
    return block.hash, index, block.number, log["transactionHash"], log["address"], ",".join(log["topics"]), log["data"]


def _true_logs(blocks: Sequence[Block], funds: Sequence[Fund]) -> set[tuple[Any, ...]]:
    return {
        log_row(block, block.wire_log(emission))
        for fund in funds
        for block, emission in wanted_emissions(blocks, fund.token, fund.start)
    }


def _log_errors(dump: Dump, world: World, funds: Sequence[Fund]) -> Iterator[str]:
    held = {tuple(row[name] for name in LOG_COLUMNS) for row in dump["raw_log"]}
    true = _true_logs(world.view.blocks, funds)
    yield from _differences("raw_log", held, true, key=2)


def _fact_errors(dump: Dump, world: World, funds: Sequence[Fund]) -> Iterator[str]:
    columns = ("segment_id", "block_hash", "block_number", "log_index", "fact_no", "tx_hash", "role", "amount_raw")
    held = {(*(row[name] for name in columns), int(row["block_time"].timestamp())) for row in dump["fact"]}
    true = set()
    for fund in funds:
        for block, emission in wanted_emissions(world.view.blocks, fund.token, fund.start):
            transfer = emission.transfer
            role = "contribution" if transfer.topics[2] == WALLET_TOPIC else "withdrawal"
            place = (fund.segment_id, block.hash, block.number, emission.index, 0, emission.tx_hash)
            true.add((*place, role, transfer.amount, block.timestamp))
    yield from _differences("fact", held, true, key=2)


def _differences(table: str, held: set[tuple[Any, ...]], true: set[tuple[Any, ...]], *, key: int) -> Iterator[str]:
    for name, rows in (("missing", true - held), ("too many", held - true)):
        if rows:
            numbers = sorted(row[key] for row in rows)
            yield f"{table}: {len(rows)} of {len(true)} {name}, in blocks {numbers}"


def _coverage_errors(dump: Dump, world: World, funds: Sequence[Fund]) -> Iterator[str]:
    """One interval a fund, from its first block to the head: no hole is claimed to be covered, and none is left."""
    held = sorted((row["segment_id"], row["from_number"], row["to_number"]) for row in dump["coverage"])
    true = sorted((fund.segment_id, fund.start, world.view.head.number) for fund in funds)
    if held != true:
        yield f"coverage: {held}, true is {true}"
    yield from (f"segment {row['id']}: {row['status']}" for row in dump["segment"] if row["status"] != "ok")


def _reorg_errors(dump: Dump, world: World, funds: Sequence[Fund]) -> Iterator[str]:
    """Each rollback is on record once, and with it the true logs of the blocks it took back."""
    epoch = dump["cursor"][0]["epoch"] if dump["cursor"] else 0
    if len(dump["reorg"]) != epoch:
        yield f"reorg: {len(dump['reorg'])} on record, the cursor says {epoch}"
    for reorg in dump["reorg"]:
        blocks = _replaced_blocks(world, reorg["old_hash"], reorg["depth"])
        if world.find(reorg["new_hash"]) is None:
            yield f"reorg {reorg['id']}: to a branch that never was"
        if reorg["depth"] < 1 or (blocks and blocks[0].number != reorg["fork_number"] + 1):
            yield f"reorg {reorg['id']}: depth {reorg['depth']} above block {reorg['fork_number']}"
        held = {tuple(o[name] for name in LOG_COLUMNS) for o in dump["orphaned_log"] if o["reorg_id"] == reorg["id"]}
        # A fund that came later, or was not found yet, had no logs in blocks that were replaced before.
        by_fund = [logs for fund in funds if (logs := _true_logs(blocks, [fund])) & held]
        if blocks and held != set().union(*by_fund):
            yield f"orphaned_log: reorg {reorg['id']} took back other logs than its blocks had"


def _replaced_blocks(world: World, tip: str, depth: int) -> list[Block]:
    """The blocks that were held and replaced, ascending; none where a liar had invented the last."""
    blocks: list[Block] = []
    block = world.find(tip)
    while block is not None and len(blocks) < depth:
        blocks.insert(0, block)
        block = world.find(block.parent_hash)
    return blocks
