"""Rows made in a process beside: the same rows, whatever becomes of that process, and nothing left of it."""

import asyncio
import errno
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from indexer import beside
from indexer.adapter import FactDraft, Log
from indexer.adapters.address_fund import TRANSFER
from indexer.beside import MANY_BLOCKS, MANY_LOGS, RowMaking
from indexer.facts import Prepared, RowMaker
from indexer.ready import Readying, ReadyRows
from indexer.rpc.reader import Header
from indexer.scan.fetch import Fetched
from ledger.bulk import insert_bulk
from ledger.columns import UINT256_MAX
from ledger.database import open_engine, writing
from ledger.kinds import BlockStatus, Contribution, Role
from ledger.logs import insert_made_facts
from ledger.upgrades import upgrade
from tests.indexer import emitting
from tests.indexer.test_facts import CHAIN, OTHER, TOKEN, Wallet, segment
from tests.rigs.tables import dump_tables

pytestmark = pytest.mark.skipif(not beside.may_help(), reason="needs Linux and a second processor core")

FINAL = BlockStatus.FINALIZED
PATIENCE_SECONDS = 20.0
LOGS_A_BLOCK = 100


def drafts() -> list[FactDraft]:
    """Facts with all that a row may hold: no number too large, no sign that a text may not have."""
    odd = {"word": 'a "quoted" \\ µ\n\t', "amount": UINT256_MAX, "none": None}
    return [
        FactDraft(Role.CONTRIBUTION, UINT256_MAX, TOKEN, Contribution.DONATION, account="0xa", market="", detail=odd),
        FactDraft(Role.EXPOSURE_CHANGE, -(2**255), OTHER),
    ]


class Drafting(Wallet):
    """Says the same of each log."""

    def decode(self, log: Log) -> Sequence[FactDraft]:
        return drafts()


class Failing(Wallet):
    """Has a mistake of ours in it."""

    def decode(self, log: Log) -> Sequence[FactDraft]:
        raise RuntimeError("a mistake of ours")


class Sleepy(Wallet):
    """Takes its time."""

    def decode(self, log: Log) -> Sequence[FactDraft]:
        time.sleep(PATIENCE_SECONDS)
        return []


class Learning(Wallet):
    """Whoever learns from logs has to be where the next ones are decoded."""

    def remember(self, markets: object) -> None:
        """Nothing to remember at first."""


def range_of(count: int, *, token: str = TOKEN, amount: int = 5) -> Fetched:
    """So many transfers, a hundred a block; every tenth is another token's."""
    parties = (emitting.account(2), emitting.account(3))
    logs = [
        emitting.log_of(
            TRANSFER, OTHER if n % 10 == 0 else token, *parties, amount, block=n // LOGS_A_BLOCK, index=n % LOGS_A_BLOCK
        )
        for n in range(count)
    ]
    last = count // LOGS_A_BLOCK
    headers = {
        n: Header(n, f"0x{n:064x}", f"0x{n - 1:064x}" if n else "0x", 1_700_000_000 + n) for n in range(last + 1)
    }
    return Fetched(0, last, logs, headers, 2)


def readying_for(engine: Engine) -> Readying:
    """Makes rows for this kind of database; TOKEN is asset 4."""
    return Readying(RowMaker(CHAIN, {TOKEN: 4}), engine)


def started(readying: Readying, segments: Sequence[Prepared]) -> RowMaking:
    """With a helper, where one is of use."""
    making = RowMaking(readying, segments)
    making.start(MANY_BLOCKS)
    return making


async def rows_by(making: RowMaking, view: Fetched, segments: Sequence[Prepared]) -> ReadyRows:
    """The rows of a range."""
    return await making.ready_rows(making.order_of(view, segments, FINAL))


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """An empty ledger of either kind."""
    engine = open_engine(empty_database_url)
    upgrade(engine)
    yield engine
    engine.dispose()


def written(engine: Engine, rows: ReadyRows) -> dict[str, list[dict[str, object]]]:
    """The tables after these rows were written."""
    with writing(engine) as session:
        insert_bulk(session, rows.logs)
        insert_made_facts(session, CHAIN, rows.facts.values())
    return dump_tables(engine)


def helpers() -> list[int]:
    """The processes that make rows."""
    return [child.pid or 0 for child in multiprocessing.active_children() if child.name == beside.NAME]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only its name until somebody asks for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def files_of(pid: int) -> list[str]:
    """What a process holds open, beside its standard streams."""
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if int(path.name) > 2]


def await_end(pid: int) -> None:
    """Waits until a process is gone."""
    until = time.monotonic() + PATIENCE_SECONDS
    while is_alive(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        time.sleep(0.01)


async def test_the_rows_are_those_that_are_made_here(engine: Engine) -> None:
    segments = [segment(1, Wallet(TOKEN)), segment(2, Drafting(OTHER)), segment(3, Wallet(emitting.account(7)))]
    view = range_of(3 * MANY_LOGS + 7)
    readying = readying_for(engine)
    with closing(started(readying, segments)) as making:
        rows = await rows_by(making, view, segments)
        fewer = await rows_by(making, view, segments[:1])
        assert len(helpers()) == 1
    assert rows == readying.of_range(view, segments, FINAL)
    assert fewer == readying.of_range(view, segments[:1], FINAL)
    tables = written(engine, rows)
    assert len(tables["raw_log"]) == len(view.logs)
    others = len(view.logs) // 10 + 1
    assert len(tables["fact"]) == len(view.logs) - others + 2 * others


async def test_a_fund_that_cannot_be_decoded_is_named_with_its_reason_and_its_logs_are_kept(engine: Engine) -> None:
    view = range_of(MANY_LOGS, amount=0)  # Which that adapter does not read.
    segments = [segment(1, Wallet(TOKEN)), segment(2, Drafting(OTHER))]
    readying = readying_for(engine)
    with closing(started(readying, segments)) as making:
        rows = await rows_by(making, view, segments)
        assert helpers()
    here = readying.of_range(view, segments, FINAL)
    assert [(segment_id, str(error)) for segment_id, error in rows.broken.items()] == [(1, str(here.broken[1]))]
    assert (rows.logs, rows.facts, rows.blocks) == (here.logs, here.facts, here.blocks)


async def test_a_mistake_over_there_is_named_and_raised_here_as_it_always_was(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    segments = [segment(1, Failing(TOKEN))]
    with closing(started(readying_for(engine), segments)) as making:
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            await rows_by(making, range_of(MANY_LOGS), segments)
        assert helpers()
    assert [line for line in caplog.messages if "(RuntimeError: a mistake of ours)" in line] == caplog.messages


class Interrupted(socket.socket):
    """A socket that gives two bytes at a time, as one does when signals come in between."""

    def recv_into(self, buffer: memoryview, *_terms: int) -> int:  # type: ignore[override]
        return super().recv_into(buffer[:2])


@pytest.mark.parametrize("sent", [b"whole", b"half"])
def test_a_message_is_whole_or_none_however_many_pieces_it_comes_in(sent: bytes) -> None:
    here, there = socket.socketpair()
    with there, Interrupted(fileno=here.detach()) as line:
        there.sendall(sent)
        there.shutdown(socket.SHUT_WR)
        if sent == b"whole":
            assert beside.exactly(line, 5) == sent
        else:
            with pytest.raises(EOFError):
                beside.exactly(line, 5)


async def test_rows_are_made_here_once_the_helper_is_gone_and_that_is_said_once(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    segments, view, readying = [segment(1, Wallet(TOKEN))], range_of(MANY_LOGS), readying_for(engine)
    with closing(started(readying, segments)) as making:
        await rows_by(making, view, segments)
        (pid,) = helpers()
        os.kill(pid, signal.SIGKILL)
        for _ in range(2):
            assert await rows_by(making, view, segments) == readying.of_range(view, segments, FINAL)
        assert not helpers()
    assert [line for line in caplog.messages if "made here from now on" in line] == caplog.messages


async def test_where_no_process_can_be_started_rows_are_made_here(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    segments, view, readying = [segment(1, Wallet(TOKEN))], range_of(MANY_LOGS), readying_for(engine)
    with closing(started(readying, segments)) as making:
        assert await rows_by(making, view, segments) == readying.of_range(view, segments, FINAL)
    assert [line for line in caplog.messages if "temporarily unavailable" in line] == caplog.messages


async def test_a_stop_ends_the_helper_in_the_midst_of_its_work(engine: Engine) -> None:
    segments = [segment(1, Sleepy(TOKEN))]
    with closing(started(readying_for(engine), segments)) as making:
        running = asyncio.create_task(rows_by(making, range_of(MANY_LOGS), segments))
        await asyncio.sleep(0)  # It starts, and waits for the answer.
        (pid,) = helpers()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        making.close()
    await_end(pid)


async def test_who_learns_from_logs_stays_here(engine: Engine) -> None:
    segments = [segment(1, Wallet(OTHER)), segment(2, Learning(TOKEN))]
    with closing(started(readying_for(engine), segments)) as making:
        assert (await rows_by(making, range_of(MANY_LOGS), segments)).facts
        assert not helpers()


async def test_what_is_quickly_done_is_not_sent_away(engine: Engine) -> None:
    segments = [segment(1, Wallet(TOKEN))]
    with closing(started(readying_for(engine), segments)) as making:
        assert making.order_of(range_of(MANY_LOGS), segments, FINAL).packed
        assert not making.order_of(range_of(MANY_LOGS - 1), segments, FINAL).packed
    with closing(RowMaking(readying_for(engine), segments)) as making:
        making.start(MANY_BLOCKS - 1)
        assert not helpers()


async def test_the_helper_holds_nothing_of_ours(engine: Engine, tmp_path: Path) -> None:
    """A connection that it kept open would outlive us; a signal that it passed on would be taken for ours."""
    segments = [segment(1, Wallet(TOKEN))]
    heard: list[int] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, 1)
    with (
        (tmp_path / "held").open("w"),
        engine.connect(),
        closing(started(readying_for(engine), segments)) as making,
    ):
        await rows_by(making, range_of(MANY_LOGS), segments)
        (pid,) = helpers()
        (held,) = files_of(pid)
        assert held.startswith("socket:")
        os.kill(pid, signal.SIGINT)
        assert await rows_by(making, range_of(MANY_LOGS), segments)  # Ctrl-C is for us to hear.
        os.kill(pid, signal.SIGTERM)
        await_end(pid)
        await asyncio.sleep(0.05)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert not heard


PARENT = """
import asyncio, multiprocessing, os, signal
from indexer.beside import MANY_LOGS
from ledger.database import open_engine
from tests.indexer.test_beside import range_of, readying_for, rows_by, started
from tests.indexer.test_facts import TOKEN, Wallet, segment

async def main():
    segments = [segment(1, Wallet(TOKEN))]
    making = started(readying_for(open_engine("sqlite://")), segments)
    await rows_by(making, range_of(MANY_LOGS), segments)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_the_helper_ends_with_a_process_that_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    await_end(int(done.stdout))
