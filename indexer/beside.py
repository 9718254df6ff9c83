"""Rows made in a process beside this one: making them takes the interpreter as long as everything else together.

The helper is a fork, so it knows segments, adapters and the ledger's ids without being told. It is given the verified
logs of one range at a time and answers with rows ready for the driver; it touches no database and no network, and ends
when this process does. What goes wrong there is done again here, so errors are the same as without it.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from indexer.adapter import AdapterError, Discovering, Log, Remembering
from indexer.facts import Prepared
from indexer.memory import keep_large_blocks
from indexer.ready import Readying, ReadyRows, Surroundings
from indexer.scan.fetch import Fetched
from indexer.scan.verify import portions
from ledger.kinds import BlockStatus

log = logging.getLogger(__name__)

MANY_BLOCKS = 1_000
"""Fewer are done before a helper is of use."""
MANY_LOGS = 1_000
"""In one range. With fewer, rows are made here before a helper has heard of them."""
NAME = "rows"
LENGTH = struct.Struct("!Q")
END = b""
"""After the last portion of logs."""


class Task(msgspec.Struct, frozen=True):
    """One range to make rows of, for some of the segments the helper was born with; portions of its logs follow."""

    around: Surroundings
    segments: list[int]


def text_of(value: Any) -> str:
    """Why a segment could not be decoded, as an answer carries it."""
    if isinstance(value, AdapterError):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def error_of(kind: type, text: Any) -> AdapterError:
    """The other way round."""
    if kind is AdapterError:
        return AdapterError(text)
    raise TypeError(f"{kind.__name__} has no place in an answer")


TASK, LOGS = msgspec.msgpack.Decoder(Task), msgspec.msgpack.Decoder(list[Log])
ANSWER: msgspec.msgpack.Decoder[ReadyRows | str] = msgspec.msgpack.Decoder(ReadyRows | str, dec_hook=error_of)
"""Rows, or why there are none."""
ENCODER = msgspec.msgpack.Encoder(enc_hook=text_of)


def is_stateless(segment: Prepared) -> bool:
    """Whether its logs may be decoded elsewhere: an adapter that learns from what it decodes has to be here."""
    return not isinstance(segment.tracked.adapter, Remembering | Discovering)


def may_help() -> bool:
    """Whether a helper gains anything here. Linux only: elsewhere a process of several threads cannot be forked."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


class RowMaking:
    """Makes rows of ranges in the order given; once started, a helper makes those of many logs."""

    def __init__(self, readying: Readying, segments: Sequence[Prepared]) -> None:
        self._readying = readying
        self._segments = {segment.id: segment for segment in segments}
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: socket.socket | None = None
        self._sending, self._receiving = asyncio.Lock(), asyncio.Lock()
        """Who comes first sends first, and receives first."""

    def start(self, blocks: int) -> None:
        """Lets a helper begin, where one is of use for so many blocks. The earlier, the less memory both have apart."""
        if blocks < MANY_BLOCKS or not may_help() or not all(map(is_stateless, self._segments.values())):
            return
        self._line, there = socket.socketpair()
        fork = multiprocessing.get_context("fork")
        process = fork.Process(target=serve, name=NAME, args=(there, self._readying, self._segments), daemon=True)
        with there, warnings.catch_warnings():
            # Python 3.12 warns of locks that other threads hold at a fork; the helper takes none that they might.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                process.start()
                self._process = process
            except OSError as error:
                log.warning("no second process can be started (%s): rows are made in this one", error)
                self.close()

    @property
    def at_once(self) -> int:
        """How many ranges to give it: with a helper, the logs of the next are on their way while it is busy."""
        return 1 if self._line is None else 2

    def order_of(self, fetched: Fetched, segments: Sequence[Prepared], status: BlockStatus) -> "Order":
        """What `ready_rows` takes. Of a range for a helper it holds half the memory that its logs do."""
        task = Task(Surroundings.of(fetched, status), [segment.id for segment in segments])
        if self._line is None or len(fetched.logs) < MANY_LOGS:
            return Order(task, fetched.logs)
        return Order(task, packed=packed(task, fetched.logs))

    async def ready_rows(self, order: "Order") -> ReadyRows:
        """What `commit` is to write of the range."""
        line = self._line
        if order.packed and line is not None:
            try:
                async with self._sending:
                    await asyncio.to_thread(line.sendall, order.packed)
                async with self._receiving:
                    answer = ANSWER.decode(await asyncio.to_thread(received, line))
            except (EOFError, OSError) as error:
                if self._line is not None:
                    log.warning("the process that makes rows is gone (%s): they are made here from now on", error)
                self.close()
            else:
                if isinstance(answer, ReadyRows):
                    return answer
                last = max(order.task.around.headers)
                log.warning("rows of the blocks up to %d failed beside (%s): they are made here", last, answer)
        segments = [self._segments[segment] for segment in order.task.segments]
        return self._readying.of_portions(order.portions(), order.task.around, segments)

    def close(self) -> None:
        """Ends the helper, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._line is not None:
            self._line.close()
        self._process = self._line = None


@dataclass(frozen=True)
class Order:
    """A range whose rows are wanted: with its logs, or packed for a helper."""

    task: Task
    logs: Sequence[Log] = ()
    packed: bytes = b""

    def portions(self) -> Iterator[Sequence[Log]]:
        """Its logs."""
        if not self.packed:
            yield from portions(self.logs)
            return
        _task, *packed, _end = unpacked(self.packed)
        yield from map(LOGS.decode, packed)


def packed(task: Task, logs: Sequence[Log]) -> bytes:
    """A task and its logs, portion by portion, as they go over the line."""
    messages = [ENCODER.encode(task), *map(ENCODER.encode, portions(logs)), END]
    return b"".join(part for message in messages for part in (LENGTH.pack(len(message)), message))


def unpacked(messages: bytes) -> Iterator[memoryview]:
    """Messages that were packed together."""
    rest = memoryview(messages)
    while rest:
        (length,) = LENGTH.unpack_from(rest)
        yield rest[LENGTH.size : LENGTH.size + length]
        rest = rest[LENGTH.size + length :]


def send(line: socket.socket, message: bytes) -> None:
    """A message with its length before it."""
    line.sendall(LENGTH.pack(len(message)))
    line.sendall(message)


def received(line: socket.socket) -> bytearray:
    """The other side's message; raises EOFError when it is gone."""
    (length,) = LENGTH.unpack(exactly(line, LENGTH.size))
    return exactly(line, length)


def exactly(line: socket.socket, length: int) -> bytearray:
    """So many bytes. The kernel waits for all of them: each wait of ours would end with one for the interpreter."""
    message = bytearray(length)
    missing = memoryview(message)
    while missing:  # Once, unless a signal comes in between.
        count = line.recv_into(missing, 0, socket.MSG_WAITALL)
        if not count:
            raise EOFError("it ended")
        missing = missing[count:]
    return message


def serve(line: socket.socket, readying: Readying, segments: Mapping[int, Prepared]) -> None:
    """The helper's life: it ends when nobody is at the other end of the line."""
    let_go(line.fileno())
    keep_large_blocks()  # All others wait for this process.
    gc.freeze()  # What was there before is left in the pages that both share.
    with suppress(EOFError, OSError):
        while True:
            answer_one(line, readying, segments)


def answer_one(line: socket.socket, readying: Readying, segments: Mapping[int, Prepared]) -> None:
    """Makes the rows of one range; raises EOFError or OSError when nobody wants them any more."""
    task = TASK.decode(received(line))
    given = iter(partial(received, line), END)
    try:
        wanted = [segments[segment] for segment in task.segments]
        answer = ENCODER.encode(readying.of_portions(map(LOGS.decode, given), task.around, wanted))
    except Exception as error:  # noqa: BLE001  Whatever it is: it happens again where somebody hears of it.
        answer = ENCODER.encode(f"{type(error).__name__}: {error}")
    for _ in given:
        """Whatever of this range nobody took."""
    send(line, answer)


def let_go(line: int) -> None:
    """Of the parent's files and signals. Its end is seen by all others only once nobody else holds its sockets."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.closerange(3, line)
    os.closerange(line + 1, os.sysconf("SC_OPEN_MAX"))
