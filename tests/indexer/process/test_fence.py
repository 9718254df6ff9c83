"""A writer that stood still while another took over: whatever it goes on to write is refused as a whole."""

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from indexer.chain.reconcile import BlockRef
from indexer.commit import ChainLedger, HaltedError, HaltError, LostCursorError
from indexer.facts import prepare
from indexer.lanes import Tracked
from indexer.ready import ReadyRows
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched
from ledger.bulk import Bulk
from ledger.database import open_engine
from ledger.kinds import BlockStatus, SegmentStatus
from ledger.writer import BEFORE_COMMIT, BEFORE_INSERT, LedgerWriter
from tests.indexer.process.conftest import Dump, Ledgers, dump_of, run_of
from tests.rigs.sync_process import Moment, SyncProcess, sync
from tests.rigs.tables import assert_same_tables, dump_tables
from tests.rigs.transfer_chain import WALLET, AnvilChain, Terms, TransferAdapter, register

NOON = datetime(2023, 11, 14, 12, tzinfo=UTC)
TOKEN = "0x" + "5f" * 20
REFUSED = "another process moved the cursor"


@pytest.mark.scenario(31)
def test_a_writer_that_stood_still_while_another_took_over_is_refused_wherever_it_goes_on(
    ledgers: Ledgers, registered: str, chain: AnvilChain
) -> None:
    _, said = sync(run_of(chain, ledgers.fresh(registered)))
    times = said.count(BEFORE_INSERT)
    assert times >= 5
    for count in range(1, times + 1):
        database = ledgers.fresh(registered)
        with SyncProcess(run_of(chain, database), Moment(BEFORE_INSERT, count, signal.SIGSTOP)) as paused:
            assert paused.wait_stopped(), f"it ended before its commit {count}"
            chain.send((WALLET, count))  # The other one moves the cursor to a block that the first one never saw.
            assert sync(run_of(chain, database))[0] == 0
            truth = dump_of(database)
            paused.send(signal.SIGCONT)
            code, said = paused.finish()
            assert code == 1, f"it was let in at its commit {count}"
            assert REFUSED in said[-1]
            assert_same_tables(truth, dump_of(database))


@pytest.mark.scenario(31)
def test_a_writer_that_missed_a_reorg_is_refused_although_the_height_is_the_same(
    registered: str, chain: AnvilChain
) -> None:
    assert sync(run_of(chain, registered))[0] == 0
    chain.send((WALLET, 1))
    with SyncProcess(run_of(chain, registered), Moment(BEFORE_INSERT, 3, signal.SIGSTOP)) as paused:
        assert paused.wait_stopped()
        chain.reorganise(3, (WALLET, 424_242))
        assert sync(run_of(chain, registered))[0] == 0
        truth = dump_of(registered)
        assert len(truth["reorg"]) == 1
        paused.send(signal.SIGCONT)
        code, said = paused.finish()
        assert (code, REFUSED in said[-1]) == (1, True)
        assert_same_tables(truth, dump_of(registered))


@pytest.mark.scenario(31)
def test_a_writer_that_stands_still_inside_a_commit_keeps_others_out_until_it_goes_on(
    registered: str, chain: AnvilChain
) -> None:
    impatient = f"{registered}?timeout=1"
    if registered.startswith("postgresql"):
        impatient = f"{registered}&options=-c%20lock_timeout%3D1s"
    with SyncProcess(run_of(chain, registered), Moment(BEFORE_COMMIT, 3, signal.SIGSTOP)) as paused:
        assert paused.wait_stopped()
        code, said = sync(run_of(chain, impatient))
        assert code == 1
        assert said[-1].startswith("LedgerBusyError: the database at ")
        assert "end that process, or wait" in said[-1]
        paused.send(signal.SIGCONT)
        assert paused.finish()[0] == 0
        assert len(dump_of(registered)["fact"]) == 59


@pytest.mark.scenario(31)
def test_a_server_ends_a_transaction_that_stands_still_and_its_writer_finds_that_out(
    postgres_ledger_url: str, chain: AnvilChain
) -> None:
    engine = open_engine(postgres_ledger_url)
    register(engine, [chain.token])
    engine.dispose()
    short = f"{postgres_ledger_url}&options=-c%20idle_in_transaction_session_timeout%3D1s"
    with SyncProcess(run_of(chain, short), Moment(BEFORE_COMMIT, 3, signal.SIGSTOP)) as paused:
        assert paused.wait_stopped()
        assert sync(run_of(chain, postgres_ledger_url))[0] == 0  # It waited for the lock and got it after a second.
        truth = dump_of(postgres_ledger_url)
        paused.send(signal.SIGCONT)
        code, said = paused.finish()
        assert code == 1
        assert said[-1].startswith("LedgerUnreachableError: ")
        assert_same_tables(truth, dump_of(postgres_ledger_url))


def header(number: int, branch: str = "a") -> Header:
    """A block of a chain of its own."""
    digest = "0x" + f"{number:x}{branch}".rjust(64, "0")
    parent = "0x" + f"{number - 1:x}{branch}".rjust(64, "0")
    return Header(number=number, hash=digest, parent_hash=parent, timestamp=1_700_000_000 + number)


SEGMENT = prepare(Tracked(1, "fund-1", "address_fund", TransferAdapter(TOKEN, WALLET), (TOKEN,)), 0)
NEXT = Fetched(11, 11, [], {11: header(11)}, 2)
NO_ROWS = ReadyRows([], Bulk("raw_log", ""), {}, {})
CHANGED = HaltError("a final block changed", number=5)

WRITES: dict[str, Callable[[ChainLedger], Awaitable[object]]] = {
    "remember_start": lambda ledger: ledger.remember_start(1, 7),
    "forget_above_holes": lambda ledger: ledger.forget_above_holes([]),
    "note_head": lambda ledger: ledger.note_head(header(99)),
    "note_unreachable": lambda ledger: ledger.note_unreachable("nobody answers"),
    "halt": lambda ledger: ledger.halt(CHANGED),
    "finalize": lambda ledger: ledger.finalize(header(4)),
    "save": lambda ledger: ledger.save(NEXT, [SEGMENT], BlockStatus.UNFINALIZED),
    "commit": lambda ledger: ledger.commit(
        NEXT, ledger.readying.of_range(NEXT, [SEGMENT], BlockStatus.FINALIZED), [SEGMENT]
    ),
    "reach": lambda ledger: ledger.reach(header(12)),
    "roll_back": lambda ledger: ledger.roll_back(BlockRef(8, header(8).hash), header(9, "b")),
    "rewind": lambda ledger: ledger.rewind(BlockRef(8, header(8).hash)),
    "renew_segments": lambda ledger: ledger.renew_segments([1], old=SegmentStatus.NEW, new=SegmentStatus.OK),
    "fail_segment": lambda ledger: ledger.fail_segment(1, "its adapter is broken"),
}
"""Everything by which a chain's ledger is changed, with arguments that would change something."""
READS = {"open", "tail", "starts", "covered", "recall"}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A ledger with the fund, indexed to block 10, of which 5 is final."""
    engine = open_engine(database_url)
    register(engine, [TOKEN])
    with LedgerWriter(engine) as writer:
        asyncio.run(index_ten(writer))
    yield engine
    engine.dispose()


async def index_ten(writer: LedgerWriter) -> None:
    ledger = ChainLedger(Terms(), writer, lambda: NOON)
    await ledger.open()
    await ledger.finalize(header(5))
    fetched = Fetched(5, 10, [], {number: header(number) for number in range(5, 11)}, 2)
    await ledger.save(fetched, [SEGMENT], BlockStatus.UNFINALIZED)


async def write_late(
    engine: Engine, meanwhile: Callable[[ChainLedger], Awaitable[object]], name: str
) -> tuple[Exception | None, Dump]:
    """One opens the ledger, another does something, then the first one writes: its error, and the tables before."""
    with LedgerWriter(engine) as writer:
        late, other = (ChainLedger(Terms(), writer, lambda: NOON) for _ in range(2))
        await late.open()
        await other.open()
        await meanwhile(other)
        before = dump_tables(engine)
        try:
            await WRITES[name](late)
        except (LostCursorError, HaltedError) as error:
            return error, before
    return None, before


def test_every_way_to_write_is_among_those_that_are_tried_late() -> None:
    public = {name for name, _ in inspect.getmembers(ChainLedger, inspect.iscoroutinefunction) if name[0] != "_"}
    assert public == set(WRITES) | READS


@pytest.mark.scenario(31)
@pytest.mark.parametrize("name", sorted(set(WRITES) - {"forget_above_holes"}))
def test_nothing_is_written_by_one_whose_cursor_another_moved(engine: Engine, name: str) -> None:
    error, before = asyncio.run(write_late(engine, WRITES["save"], name))
    assert isinstance(error, LostCursorError), f"{name} was let in"
    assert REFUSED in str(error)
    assert_same_tables(before, dump_tables(engine))


@pytest.mark.scenario(31)
@pytest.mark.parametrize("name", sorted(set(WRITES) - {"forget_above_holes"}))
def test_nothing_is_written_on_a_chain_that_another_halted(engine: Engine, name: str) -> None:
    error, before = asyncio.run(write_late(engine, WRITES["halt"], name))
    assert isinstance(error, HaltedError), f"{name} was let in"
    assert_same_tables(before, dump_tables(engine))
