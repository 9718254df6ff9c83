"""The snapshot lane on a chain in memory: what is due, at which hash, what a failure leaves."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, delete
from sqlmodel import Session, col, select

from indexer.adapter import ContractCall
from indexer.registry import FUNDS, Registry, load_funds, tracked, write
from indexer.rpc.errors import UnavailableError
from indexer.rpc.reader import CallAnswer, Header
from indexer.snapshot import create_snapshots
from ledger.database import open_engine, reading, writing
from ledger.kinds import BlockStatus, Contribution, Role, SegmentStatus, SnapshotKind
from ledger.logs import insert_facts, list_asset_ids
from ledger.tables import Block, Chain, Fact, Price, Reading, Segment, Snapshot
from ledger.writer import LedgerWriter
from tests.indexer.chain_double import Answering, ChainDouble
from tests.indexer.table_rows import all_rows

SLUG = "crash-2021-05-simulated"
START = 1_612_137_600
HEADERS = [
    Header(number, f"0x{number:064x}", f"0x{max(number - 1, 0):064x}", START + seconds)
    for number, seconds in enumerate([0, 600, 1200, 3700, 3800, 7300, 90_000, 90_600])
]
HOUR_STARTS = [3, 5, 6]
OPENING, PAID_IN = 1000, 500


@pytest.fixture
def registry() -> Registry:
    """The wallet of the shipped recording alone."""
    loaded = load_funds(FUNDS / SLUG)
    return Registry(loaded.chains, tuple(fund for fund in loaded.funds if fund.slug == "reserve-simulated"))


@pytest.fixture
def make_ledger(registry: Registry, tmp_path: Path, migrated_sqlite: Path) -> Callable[[str], Engine]:
    """Ledgers that know the wallet and one payment of 500 in block 4; blocks from 6 on are not final."""

    def made(name: str) -> Engine:
        path = tmp_path / f"{name}.sqlite"
        path.write_bytes(migrated_sqlite.read_bytes())
        engine = open_engine(f"sqlite:///{path}")
        with writing(engine) as session:
            write(session, registry)
            session.flush()
            fill(session, registry)
        return engine

    return made


def fill(session: Session, registry: Registry) -> None:
    chain_id, fund = registry.chains[0].id, registry.funds[0]
    session.get_one(Chain, chain_id).finalized_number = 5
    segment = session.exec(select(Segment)).one()
    asset = list_asset_ids(session, chain_id)[fund.balance().address]
    for at in (HEADERS[4], *HEADERS[6:]):
        status = BlockStatus.FINALIZED if at.number <= 5 else BlockStatus.UNFINALIZED
        session.add(Block(chain_id=chain_id, hash=at.hash, number=at.number, parent_hash=at.parent_hash,
                          timestamp=at.time, status=status))  # fmt: skip
    session.flush()
    at = HEADERS[4]
    fact = (chain_id, at.hash, 0, 0, segment.id, 4, at.time, "0x" + "aa" * 32, Role.CONTRIBUTION,
            Contribution.TOP_UP, None, PAID_IN, asset, None, None, None, "wallet@1")  # fmt: skip
    insert_facts(session, chain_id, [[value] for value in fact])


def truthful(call: ContractCall, at: Header) -> CallAnswer:
    """The wallet and a feed at 1 USD."""
    if call.signature == "balanceOf(address)":
        return CallAnswer(values=(OPENING + (PAID_IN if at.number >= 4 else 0),))
    if call.signature == "decimals()":
        return CallAnswer(values=(8,))
    return CallAnswer(values=(1, 10**8, at.timestamp, at.timestamp, 1))


def run(engine: Engine, registry: Registry, reader: ChainDouble, up_to: int = 7) -> None:
    """One run of the lane."""

    async def work() -> None:
        chain_id = registry.chains[0].id
        with LedgerWriter(engine) as writer:
            segments = await writer.read(lambda session: tracked(session, registry, chain_id))
            lane = await writer.read(
                lambda session: create_snapshots(
                    session, registry, chain_id, tracked=segments, reader=reader, writer=writer
                )
            )
            await lane.run(HEADERS[up_to])

    asyncio.run(work())


def snapshots(engine: Engine) -> list[tuple[int, str, int | None, bool | None]]:
    with reading(engine) as session:
        rows = session.exec(select(Snapshot).order_by(col(Snapshot.block_number))).all()
        return [(row.block_number, row.kind, row.residual_raw, row.is_reconciled) for row in rows]


def standing(engine: Engine) -> tuple[str, str]:
    with reading(engine) as session:
        segment = session.exec(select(Segment)).one()
        return segment.status, segment.status_reason


def with_answer(name: str, answer: CallAnswer) -> Answering:
    """Everything as it is but for one call."""
    return lambda call, at: answer if call.signature == name else truthful(call, at)


def test_first_blocks_of_hours_and_blocks_with_flows_are_read_and_reconciled(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine, reader = make_ledger("one"), ChainDouble(HEADERS, truthful)
    run(engine, registry, reader)
    assert snapshots(engine) == [
        (3, SnapshotKind.SCHEDULED, None, None),
        (4, SnapshotKind.FLOW, 0, True),
        (5, SnapshotKind.SCHEDULED, 0, True),
        (6, SnapshotKind.SCHEDULED, 0, True),
    ]
    assert standing(engine) == (SegmentStatus.OK, "")
    with reading(engine) as session:
        prices = session.exec(select(Price).order_by(col(Price.block_number))).all()
        assert [(p.block_number, p.answer_raw, p.decimals) for p in prices] == [(n, 10**8, 8) for n in HOUR_STARTS]
        (first,) = session.exec(select(Reading).where(Reading.block_number == 3)).all()
        assert (first.value_raw, first.decimals, first.call) == (
            OPENING,
            6,
            f"balanceOf({registry.funds[0].contract('holder')})",
        )


def test_a_second_run_asks_nothing_and_changes_nothing(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    run(engine, registry, ChainDouble(HEADERS, truthful))
    before, again = all_rows(engine), ChainDouble(HEADERS, truthful)
    run(engine, registry, again)
    assert all_rows(engine) == before
    assert again.asked_at == []


def test_any_split_into_runs_gives_the_same_rows(make_ledger: Callable[[str], Engine], registry: Registry) -> None:
    whole, parts = make_ledger("whole"), make_ledger("parts")
    run(whole, registry, ChainDouble(HEADERS, truthful))
    for up_to in (2, 3, 5, 5, 6, 7):
        run(parts, registry, ChainDouble(HEADERS, truthful), up_to)
    assert all_rows(whole) == all_rows(parts)


def test_a_silent_provider_leaves_the_snapshot_undone_and_a_later_run_catches_up(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine, reader = make_ledger("one"), ChainDouble(HEADERS, truthful)
    reader.silent_from = 5
    with pytest.raises(UnavailableError):
        run(engine, registry, reader)
    assert [row[0] for row in snapshots(engine)] == [3]
    run(engine, registry, ChainDouble(HEADERS, truthful))
    undisturbed = make_ledger("other")
    run(undisturbed, registry, ChainDouble(HEADERS, truthful))
    assert all_rows(engine) == all_rows(undisturbed)


def test_a_contract_that_reverts_makes_the_fund_unknown_and_never_zero(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    run(engine, registry, ChainDouble(HEADERS, with_answer("balanceOf(address)", CallAnswer(error="reverted"))))
    status, reason = standing(engine)
    assert status == SegmentStatus.UNKNOWN
    assert reason == "the balance cannot be read at block 6: reverted"
    with reading(engine) as session:
        rows = session.exec(select(Reading)).all()
        assert {(row.value_raw, row.error) for row in rows} == {(None, "reverted")}
    assert {row[3] for row in snapshots(engine)} == {None}


def test_garbage_instead_of_a_number_is_an_error_with_its_reason(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    run(engine, registry, ChainDouble(HEADERS, with_answer("balanceOf(address)", CallAnswer(values=("0xabc",)))))
    with reading(engine) as session:
        assert all((row.error or "").startswith("garbage") for row in session.exec(select(Reading)).all())


def test_a_dropped_log_makes_reconciliation_fail_loudly(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")
    with writing(engine) as session:
        session.execute(delete(Fact).where(col(Fact.block_number) == 4))
    run(engine, registry, ChainDouble(HEADERS, truthful))
    assert (5, SnapshotKind.SCHEDULED, PAID_IN, False) in snapshots(engine)
    status, reason = standing(engine)
    assert status == SegmentStatus.UNRECONCILED
    assert "at 1 of 2 blocks" in reason


def test_a_block_replaced_while_it_was_read_leaves_no_row(
    make_ledger: Callable[[str], Engine], registry: Registry
) -> None:
    engine = make_ledger("one")

    def replacing(call: ContractCall, at: Header) -> CallAnswer:
        if at.number == 6:
            with writing(engine) as session:
                session.execute(delete(Block).where(col(Block.number) >= 6))
        return truthful(call, at)

    run(engine, registry, ChainDouble(HEADERS, replacing))
    assert [row[0] for row in snapshots(engine)] == [3, 4, 5]


def test_all_calls_of_a_snapshot_name_one_hash(make_ledger: Callable[[str], Engine], registry: Registry) -> None:
    engine, reader = make_ledger("one"), ChainDouble(HEADERS, truthful)
    run(engine, registry, reader)
    asked = {digest: [name for name, at in reader.asked_at if at == digest] for _, digest in reader.asked_at}
    assert {int(digest, 16) for digest in asked} == {3, 4, 5, 6}
    assert all(names.count("balanceOf(address)") == 1 for names in asked.values())


def test_the_schedule_of_a_day_reads_once_a_day(make_ledger: Callable[[str], Engine], registry: Registry) -> None:
    engine = make_ledger("one")
    daily = Registry(registry.chains, tuple(msgspec.structs.replace(f, snapshot_every="day") for f in registry.funds))
    run(engine, daily, ChainDouble(HEADERS, truthful))
    days = [
        datetime.fromtimestamp(HEADERS[row[0]].timestamp, UTC).day for row in snapshots(engine) if row[1] == "scheduled"
    ]
    assert days == [2]
