"""A log that was left out is found by what it moved and put back; or its fund is unreconciled, loudly."""

import asyncio
import logging
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, delete, select
from sqlmodel import Session, col

from indexer.adapter import ContractCall, Log, LogFilter
from indexer.adapters import address_fund, morpho_blue, perp_v2_curie
from indexer.facts import block_row, prepare
from indexer.heal import Healer
from indexer.rebuild import Rebuild
from indexer.reconcile import Suspect
from indexer.registry import tracked, write
from indexer.rpc.pool import ProviderPool
from indexer.rpc.reader import CallAnswer, Header, LogBatch
from indexer.snapshot import create_snapshots
from indexer.words import Event
from ledger.blocks import insert_blocks
from ledger.database import open_engine, reading, writing
from ledger.kinds import FLOW_SIGN, BlockStatus, ReadingName, Role, SegmentStatus, Side
from ledger.tables import Chain, Coverage, Fact, RawLog, Reading, Segment, Snapshot
from ledger.writer import LedgerWriter
from tests.indexer.chain_double import ChainDouble
from tests.rigs.demo_ledger import demo_registry, demo_segments, index_demo
from tests.rigs.rpc_faults import FaultyNode
from tests.rigs.tables import assert_same_tables, dump_tables

CHAIN, HEAD = 420210501, 1612
SHAPES = (address_fund, morpho_blue, perp_v2_curie)
NAMES = {e.topic0: e.name for shape in SHAPES for e in vars(shape).values() if isinstance(e, Event)}

NOTICED = frozenset(
    {
        "AccrueInterest", "BadDebtSettled", "Borrow", "CollateralLiquidated", "Deposited", "Liquidate", "PnlRealized",
        "PositionChanged", "Repay", "Supply", "Transfer", "Withdraw", "Withdrawn",
    }
)  # fmt: skip
"""Events that move a balance, a position or a total that is read."""
SILENT = frozenset(
    {
        "CLInsuranceFundFeeRatioChanged", "CreateMarket", "DistributionThresholdChanged", "FeeDistributed",
        "FeeRatioChanged", "InsuranceFundFeeRatioChanged", "LiquidityChanged", "OwnershipTransferred", "PoolAdded",
        "PositionClosed", "PositionLiquidated", "Repaid", "SetFee", "SetOwner", "StatusUpdated", "SupplyCollateral",
        "SurplusBeneficiaryChanged",
    }
)  # fmt: skip
"""Events that move nothing that is read (of PositionClosed: nothing that the recording can be asked for). Missing ones
are caught by the bloom where they are alone in their block, by a second provider, and by an audit; not here."""

POCKET_MOVES = ("Deposited", "Withdrawn", "to vault", "from vault")
"""Moves between a fund's two pockets: of one whose other end is missing, money seems to come or go."""

OF_THE_CHAIN = ("raw_log", "fact", "segment", "block")
"""Tables that are the same again once a log is back."""

Place = tuple[int, int]
Truth = dict[str, list[dict[str, Any]]]


def places_by_event(engine: Engine) -> dict[str, list[Place]]:
    """Event → (block, log index) of its logs."""
    found: dict[str, list[Place]] = {}
    with reading(engine) as session:
        for number, at, topics in session.execute(select(RawLog.block_number, RawLog.log_index, RawLog.topics)):  # type: ignore[call-overload]
            found.setdefault(NAMES[topics.split(",")[0]], []).append((number, at))
    return {name: sorted(places) for name, places in found.items()}


def is_read_again(session: Session, fact: Fact) -> bool:
    """Whether something that the fact moves is read below its block and, later, at or above it."""
    is_flow = fact.role in FLOW_SIGN or (fact.detail or {}).get("event") in POCKET_MOVES
    if is_flow:
        name, subject = ReadingName.BALANCE, ""
    elif fact.side == Side.POSITION and fact.role == Role.EXPOSURE_CHANGE:
        name, subject = ReadingName.TAKER_SIZE, f"{fact.account}/{fact.market}"
    elif fact.side in (Side.SUPPLY, Side.DEBT) or fact.role == Role.INTEREST_ACCRUED:
        name, subject = ReadingName.TOTAL_SUPPLY, fact.market or ""
    else:
        return False
    query = select(col(Reading.block_number)).where(
        col(Reading.segment_id) == fact.segment_id, col(Reading.name) == name, col(Reading.subject) == subject
    )
    heights = session.execute(query.where(col(Reading.value_raw).is_not(None))).scalars().all()
    return any(n >= fact.block_number for n in heights) and (not is_flow or any(n < fact.block_number for n in heights))


def noticeable(engine: Engine, places: Sequence[Place]) -> Iterator[Place]:
    """Those of the logs that move something which is read before and after, one by one."""
    for number, at in places:
        here = (col(Fact.block_number) == number, col(Fact.log_index) == at)
        with reading(engine) as session:
            is_seen = any(is_read_again(session, fact) for fact in session.scalars(select(Fact).where(*here)).all())
        if is_seen:
            yield number, at


def flow_facts(session: Session, segment_id: int, number: int) -> int:
    query = select(Fact).where(
        col(Fact.segment_id) == segment_id, col(Fact.block_number) == number, col(Fact.role).in_(sorted(FLOW_SIGN))
    )
    return len(session.scalars(query).all())


def lose(engine: Engine, *places: Place) -> None:
    """The ledger as if these logs had never come: no facts of them, and no balance read because of them."""
    with writing(engine) as session:
        for number, at in places:
            here = (col(RawLog.block_number) == number, col(RawLog.log_index) == at)
            assert session.execute(delete(RawLog).where(*here)).rowcount == 1  # type: ignore[attr-defined]
            for segment in demo_segments(engine):
                before = flow_facts(session, segment.id, number)
                session.execute(
                    delete(Fact).where(
                        col(Fact.segment_id) == segment.id,
                        col(Fact.block_number) == number,
                        col(Fact.log_index) == at,
                    )
                )
                Rebuild(session, CHAIN).redecode(segment, number, number)
                if before and not flow_facts(session, segment.id, number):
                    forget_flow_snapshot(session, segment.id, number)


def forget_flow_snapshot(session: Session, segment_id: int, number: int) -> None:
    ours = (col(Snapshot.segment_id) == segment_id, col(Snapshot.block_number) == number, col(Snapshot.kind) == "flow")
    if session.scalars(select(Snapshot).where(*ours)).first() is not None:
        session.execute(delete(Snapshot).where(*ours))
        session.execute(
            delete(Reading).where(col(Reading.segment_id) == segment_id, col(Reading.block_number) == number)
        )


async def look_again(engine: Engine, *urls: str) -> None:
    """One run of the snapshot lane, as the next start of the program makes it."""
    registry = demo_registry()
    async with ProviderPool(registry.chains[0], list(urls)) as pool:
        with LedgerWriter(engine) as writer:
            segments = await writer.read(lambda session: tracked(session, registry, CHAIN))
            lane = await writer.read(
                lambda session: create_snapshots(session, registry, CHAIN, tracked=segments, reader=pool, writer=writer)
            )
            head = await pool.header(HEAD)
            assert head is not None
            await lane.run(head)


@pytest.fixture(scope="module")
def truth(demo_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """What the ledger holds when nothing was lost."""
    path = shutil.copyfile(demo_file, tmp_path_factory.mktemp("truth") / "ledger.sqlite")
    engine = open_engine(f"sqlite:///{path}")
    dump = dump_tables(engine, *OF_THE_CHAIN, "snapshot")
    engine.dispose()
    return dump


def statuses(engine: Engine) -> dict[str, tuple[str, str]]:
    return {row["slug"]: (row["status"], row["status_reason"]) for row in dump_tables(engine, "segment")["segment"]}


def assert_whole_again(engine: Engine, truth: Truth) -> None:
    """Every log and fact is there, every segment is ok, and no reading is lost (one more may have been taken)."""
    after = dump_tables(engine, *OF_THE_CHAIN, "snapshot")
    assert_same_tables({name: truth[name] for name in OF_THE_CHAIN}, after)
    assert len(after["snapshot"]) >= len(truth["snapshot"])


def test_every_event_of_the_recording_is_said_to_be_noticed_or_silent(copy_demo: Callable[[], Engine]) -> None:
    assert places_by_event(copy_demo()).keys() == NOTICED | SILENT


@pytest.mark.scenario(42)
@pytest.mark.parametrize("event", sorted(NOTICED))
def test_a_log_that_moves_what_is_read_is_found_fetched_again_and_put_back(
    copy_demo: Callable[[], Engine], demo_url: str, truth: Truth, *, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = copy_demo()
    places = places_by_event(engine)[event]
    place = next(noticeable(engine, random.Random(event).sample(places, len(places))))
    lose(engine, place)
    asyncio.run(look_again(engine, demo_url))
    assert_whole_again(engine, truth)
    assert any(f"logs of block {place[0]} were missing and are back" in line for line in caplog.messages)


@pytest.mark.scenario(42)
def test_any_log_that_moves_what_is_read_comes_back(
    copy_demo: Callable[[], Engine], demo_url: str, truth: Truth, seed: int
) -> None:
    engine, places = copy_demo(), places_by_event(copy_demo())
    everything = [place for name in sorted(NOTICED) for place in places[name]]
    for place in list(noticeable(engine, random.Random(seed).sample(everything, 4))):
        lose(engine, place)
        asyncio.run(look_again(engine, demo_url))
        assert_whole_again(engine, truth)


def test_logs_that_move_nothing_that_is_read_are_not_missed_here(
    copy_demo: Callable[[], Engine], demo_url: str
) -> None:
    engine = copy_demo()
    places = places_by_event(engine)
    chosen = [random.Random(name).choice(places[name]) for name in sorted(SILENT)]
    lose(engine, *chosen)
    asyncio.run(look_again(engine, demo_url))
    left = {place for places in places_by_event(engine).values() for place in places}
    assert left.isdisjoint(chosen)
    assert {status for status, _ in statuses(engine).values()} == {SegmentStatus.OK}


def leaving_out(place: Place) -> Callable[[list[Any], list[Any]], list[Any]]:
    """Every eth_getLogs, by range or by hash, lacks this log."""
    wanted = (hex(place[0]), hex(place[1]))

    def twist(requests: list[Any], answers: list[Any]) -> list[Any]:
        for request, answer in zip(requests, answers, strict=True):
            if request["method"] == "eth_getLogs" and "result" in answer:
                answer["result"] = [e for e in answer["result"] if (e["blockNumber"], e["logIndex"]) != wanted]
        return answers

    return twist


def crowded_payment(engine: Engine) -> Place:
    """A share of fees paid in a block that holds another one of the same fund: its bloom misses neither."""
    places = noticeable(engine, places_by_event(engine)["PnlRealized"])
    with reading(engine) as session:
        for number, at in places:
            rows = session.scalars(select(RawLog).where(col(RawLog.block_number) == number)).all()
            own = next(row for row in rows if row.log_index == at)
            if sum((row.address, row.topics) == (own.address, own.topics) for row in rows) > 1:
                return number, at
    raise AssertionError("the recording has no such block")


@pytest.fixture
def empty_and_full(sqlite_ledger_url: str, copy_demo: Callable[[], Engine]) -> Iterator[tuple[Engine, Engine]]:
    """A ledger to fill, and one that holds the recording."""
    engine = open_engine(sqlite_ledger_url)
    yield engine, copy_demo()
    engine.dispose()


@pytest.mark.scenario(42)
def test_a_dropped_log_marks_its_fund_unreconciled_until_somebody_else_gives_it(
    empty_and_full: tuple[Engine, Engine],
    demo_url: str,
    truth: Truth,
    *,
    faulty_node: Callable[..., FaultyNode],
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, full = empty_and_full
    number, at = crowded_payment(full)
    liar = faulty_node(demo_url, leaving_out((number, at)))
    assert index_demo(engine, liar.url).is_ok
    (bad,) = [reason for status, reason in statuses(engine).values() if status == SegmentStatus.UNRECONCILED]
    assert f"first at block {number} by " in bad
    parts = [line for line in caplog.messages if "nobody gives a missing log" in line]
    assert len(parts) == 1
    assert f"block {number} " in parts[0]
    with reading(engine) as session:
        spans = session.execute(select(Snapshot.block_number).where(col(Snapshot.is_reconciled).is_(False)))  # type: ignore[call-overload]
        assert spans.scalars().all() == [number]
    # The next start has another provider beside it: the log comes back, and the fund is well again.
    asyncio.run(look_again(engine, liar.url, demo_url))
    after = dump_tables(engine, *OF_THE_CHAIN)
    assert_same_tables({name: truth[name] for name in OF_THE_CHAIN}, after)


class ShortOfOne(ChainDouble):
    """A chain whose wallet is paid in one block; it gives that log when it is asked for the block by its hash."""

    def __init__(self, headers: Sequence[Header], payment: Log, opening: int) -> None:
        super().__init__(headers, self.balance)
        self.payment, self.opening = payment, opening
        self.hashes: list[str] = []

    def balance(self, call: ContractCall, at: Header) -> CallAnswer:
        is_paid = at.number >= int(self.payment.block_number, 16)
        return CallAnswer(values=(self.opening + is_paid * int(self.payment.data, 16),))

    def voices(self) -> int:
        return 1

    async def logs_of(
        self,
        filters: Sequence[LogFilter],
        block_hashes: Sequence[str],
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> list[LogBatch]:
        await super().logs_of(filters, block_hashes, avoid=avoid, without=without)
        self.hashes += block_hashes
        return [LogBatch([self.payment] if h == self.payment.block_hash else [], "double", 1) for h in block_hashes]


PAID_IN, LAST, OPENING = 613, 1000, 10**12


@pytest.fixture
def wallet(database_url: str) -> Iterator[Engine]:
    """The recording's reserve in a ledger that holds 1,000 final blocks, all scanned, and the balance before them."""
    engine = open_engine(database_url)
    registry = demo_registry()
    with writing(engine) as session:
        write(session, registry)
        session.flush()
        session.get_one(Chain, CHAIN).finalized_number = LAST
        segment = next(each for each in session.scalars(select(Segment)).all() if each.slug == "reserve-simulated")
        segment.start_number = 0
        insert_blocks(session, [block_row(CHAIN, header, BlockStatus.FINALIZED) for header in blocks()])
        own = next(each for each in tracked(session, registry, CHAIN) if each.segment_id == segment.id)
        session.add(Coverage(segment_id=segment.id, filter_digest=prepare(own, 0).digest, from_number=0,
                             to_number=LAST, level=1, verified_at=blocks()[0].time))  # fmt: skip
        at = blocks()[0]
        session.add(Reading(chain_id=CHAIN, block_hash=at.hash, segment_id=segment.id, name=ReadingName.BALANCE,
                            block_number=0, block_time=at.time, value_raw=OPENING, decimals=6,
                            asset_id=segment.asset_id, contract="", call=""))  # fmt: skip
    yield engine
    engine.dispose()


def blocks() -> list[Header]:
    return [Header(n, f"0x{n:064x}", f"0x{max(n - 1, 0):064x}", 1_612_137_600 + 12 * n) for n in range(LAST + 1)]


def payment_to(engine: Engine, amount: int) -> Log:
    """A transfer to the reserve in block 613."""
    (holder,) = [fund.contract("holder") for fund in demo_registry().funds if fund.slug == "reserve-simulated"]
    (token,) = [fund.balance().address for fund in demo_registry().funds if fund.slug == "reserve-simulated"]
    words = ("0x" + "00" * 12 + "11" * 20, "0x" + "00" * 12 + holder[2:])
    topics = (address_fund.TRANSFER.topic0, *words)
    return Log(token, topics, f"0x{amount:064x}", hex(PAID_IN), f"0x{PAID_IN:064x}", "0x" + "ab" * 32, "0x0")


async def heal(engine: Engine, reader: ChainDouble) -> list[int | None]:
    """Looks twice into a balance that is off by one payment."""
    with LedgerWriter(engine) as writer:
        found = await writer.read(lambda session: tracked(session, demo_registry(), CHAIN))
        segments = [prepare(each, 0) for each in found if each.slug == "reserve-simulated"]
        healer = Healer(CHAIN, reader, writer)
        suspect = Suspect(0, LAST, "", 7)
        return [await healer.heal(segments[0], [suspect], segments) for _ in range(2)]


def test_a_balance_is_bisected_to_the_block_and_only_that_block_is_asked_for_again(wallet: Engine) -> None:
    reader = ShortOfOne(blocks(), payment_to(wallet, 7), OPENING)
    assert asyncio.run(heal(wallet, reader)) == [PAID_IN, None]
    assert set(reader.hashes) == {f"0x{PAID_IN:064x}"}
    assert len(reader.asked_at) <= 10  # log2(1000) balances
    (fact,) = dump_tables(wallet)["fact"]
    assert (fact["role"], fact["amount_raw"], fact["block_number"]) == (Role.CONTRIBUTION, 7, PAID_IN)
    assert len(dump_tables(wallet)["raw_log"]) == 1


def test_what_nobody_gives_is_named_once_and_not_looked_for_again(
    wallet: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    reader = ShortOfOne(blocks(), payment_to(wallet, 7), OPENING)
    reader.payment = replace(reader.payment, block_hash="0x" + "ee" * 32)
    assert asyncio.run(heal(wallet, reader)) == [None, None]
    assert [line for line in caplog.messages if "part ways" in line] == [
        f"reserve-simulated: indexed logs and the chain part ways in block {PAID_IN} (7 smallest units), "
        "and nobody gives a missing log"
    ]
    asked = reader.requests
    assert asked < 40


def test_a_balance_that_grows_by_itself_within_tolerance_is_looked_into_a_few_times_and_then_left(
    wallet: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    reader = ShortOfOne(blocks(), replace(payment_to(wallet, 7), block_hash="0x" + "ee" * 32), OPENING)

    async def look() -> list[int]:
        requests = []
        with LedgerWriter(wallet) as writer:
            found = await writer.read(lambda session: tracked(session, demo_registry(), CHAIN))
            segments = [prepare(each, 0) for each in found if each.slug == "reserve-simulated"]
            healer = Healer(CHAIN, reader, writer)
            for until in range(LAST, LAST - 6, -1):
                before = reader.requests
                assert await healer.heal(segments[0], [Suspect(0, until, "", 7, is_tolerated=True)], segments) is None
                requests.append(reader.requests - before)
        return requests

    assert [asked > 0 for asked in asyncio.run(look())] == [True] * 3 + [False] * 3
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
