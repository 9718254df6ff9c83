"""Serves a generated chain as a JSON-RPC node would, in a process of its own that costs as little as it can.

Bytes lie ready on disk: an answer to eth_getLogs is one slice of a file that holds the filter's logs in order (made
when a filter is first asked for, kept beside the chain). What a URL says decides how the node behaves:

    http://127.0.0.1:PORT/?head=9999&latency=50&blocks=2000&logs=10000&batch=100

head: its last block, final; latency: milliseconds before each answer; blocks, logs, batch: the most blocks and results
of one eth_getLogs, and requests of one batch; drop: a block whose first matching log it leaves out (a node that lies).
"""

import argparse
import hashlib
import mmap
import socketserver
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from benchmarks.workload import CHAIN_ID

Part = bytes | memoryview


class RpcError(Exception):
    """An answer that is an error; worded as a provider words it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.body = msgspec.json.encode({"code": code, "message": message})


@dataclass(frozen=True)
class Manner:
    """How the node behaves towards one URL."""

    head: int
    latency: float = 0
    blocks: int | None = None
    logs: int | None = None
    batch: int | None = None
    drop: int | None = None


class WireLog(msgspec.Struct, rename="camel"):
    """What a filter looks at."""

    address: str
    topics: list[str]
    transaction_hash: str


LOG = msgspec.json.Decoder(WireLog)


class Wanted(msgspec.Struct, frozen=True):
    """A filter in one form: lower case, sorted; addresses empty and a topic position None are anything."""

    addresses: list[str]
    topics: list[list[str] | None]

    @classmethod
    def of(cls, params: dict[str, Any]) -> "Wanted":
        """What eth_getLogs takes: one text, a list, or null at each place."""
        topics = [lowered(allowed) or None for allowed in params.get("topics") or ()]
        return cls(lowered(params.get("address")), topics)

    def matches(self, log: WireLog) -> bool:
        """Address and topics by position."""
        if self.addresses and log.address not in self.addresses:
            return False
        return all(
            allowed is None or (at < len(log.topics) and log.topics[at] in allowed)
            for at, allowed in enumerate(self.topics)
        )


def lowered(said: str | list[str] | None) -> list[str]:
    """One or several texts as a sorted list."""
    return sorted(text.lower() for text in ([said] if isinstance(said, str) else said or ()))


class Store:
    """Items of each block, one after the other: where the bytes of a block begin, and how many logs came before."""

    def __init__(self, folder: Path, name: str, counts: str | None = None) -> None:
        with (folder / f"{name}.bin").open("rb") as file:
            self.bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self.starts = numbers_of(folder / f"{name}.idx")
        self.counts = numbers_of(folder / f"{counts}.idx") if counts else self.starts

    def between(self, first: int, last: int) -> memoryview:
        """The bytes of blocks first…last."""
        return self.bytes[self.starts[first] : self.starts[last + 1]]

    def count(self, first: int, last: int) -> int:
        """How many logs blocks first…last hold."""
        return self.counts[last + 1] - self.counts[first]


def numbers_of(path: Path) -> "array[int]":
    """A file of 64-bit numbers."""
    numbers = array("q")
    numbers.frombytes(path.read_bytes())
    return numbers


def items_of(body: Part) -> Iterator[bytes]:
    """The logs in a slice, each as its own JSON; a log holds no object, so that `},` ends it."""
    for text in bytes(body).split(b"},")[:-1]:
        yield text + b"}"


class Chain:
    """The files of one chain, and a file more for each filter asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.headers = Store(folder, "headers")
        self.logs = Store(folder, "logs", "counts")
        self.blocks = len(self.headers.starts) - 1
        self._filtered: dict[str, Store] = {}
        self._making = threading.Lock()
        self._numbers: dict[str, int] = {}

    def header(self, number: int) -> Part:
        """A header's JSON."""
        return self.headers.between(number, number)

    def number_of(self, block_hash: str) -> int | None:
        """The height of a block."""
        with self._making:
            if not self._numbers:
                for number in range(self.blocks):
                    body = bytes(self.header(number))
                    at = body.index(b'"hash":"') + 8
                    self._numbers[body[at : at + 66].decode()] = number
        return self._numbers.get(block_hash)

    def matching(self, wanted: dict[str, Any]) -> Store:
        """The logs of one filter."""
        key = Wanted.of(wanted)
        if not key.addresses and not any(key.topics):
            return self.logs
        digest = hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]
        found = self._filtered.get(digest)
        if found is None:
            with self._making:
                found = self._filtered.get(digest) or self._filter(key, f"filter-{digest}")
                self._filtered[digest] = found
        return found

    def _filter(self, wanted: Wanted, name: str) -> Store:
        if not (self._folder / f"{name}-counts.idx").exists():
            with tempfile.TemporaryDirectory(dir=self._folder) as building:
                self._write(wanted, Path(building), name)
                for file in (f"{name}.bin", f"{name}.idx", f"{name}-counts.idx"):
                    (Path(building) / file).replace(self._folder / file)
        return Store(self._folder, name, f"{name}-counts")

    def _write(self, wanted: Wanted, folder: Path, name: str) -> None:
        starts, counts = array("q", [0]), array("q", [0])
        with (folder / f"{name}.bin").open("wb") as file:
            for number in range(self.blocks):
                logs = items_of(self.logs.between(number, number))
                kept = [item + b"," for item in logs if wanted.matches(LOG.decode(item))]
                file.writelines(kept)
                starts.append(starts[-1] + sum(len(item) for item in kept))
                counts.append(counts[-1] + len(kept))
            file.write(b" ")  # A file without a byte cannot be mapped.
        (folder / f"{name}.idx").write_bytes(starts.tobytes())
        (folder / f"{name}-counts.idx").write_bytes(counts.tobytes())


class Answers:
    """What the node says to one request, as parts of bytes."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def result(self, method: str, params: list[Any], manner: Manner) -> list[Part]:
        """The result's JSON; raises RpcError."""
        match method:
            case "eth_getBlockByNumber":
                return [self._block(self._height(params[0], manner), manner)]
            case "eth_getLogs":
                return self._logs(params[0], manner)
            case "eth_blockNumber":
                return [b'"%#x"' % manner.head]
            case "eth_getBlockByHash":
                return [self._block(self._chain.number_of(params[0]), manner)]
            case "eth_getBlockReceipts":
                return self._receipts(self._height(params[0], manner), manner)
            case "eth_chainId":
                return [b'"%#x"' % CHAIN_ID]
            case "web3_clientVersion":
                return [b'"backstop-bench-node"']
            case "net_version":
                return [b'"%d"' % CHAIN_ID]
        raise RpcError(-32601, f"the method {method} does not exist/is not available")

    def _height(self, said: str, manner: Manner) -> int:
        if said == "earliest":
            return 0
        return manner.head if said in ("latest", "finalized", "safe") else int(said, 16)

    def _block(self, number: int | None, manner: Manner) -> Part:
        return b"null" if number is None or number > manner.head else self._chain.header(number)

    def _logs(self, wanted: dict[str, Any], manner: Manner) -> list[Part]:
        if "blockHash" in wanted:
            number = self._chain.number_of(wanted["blockHash"])
            if number is None or number > manner.head:
                raise RpcError(-32000, "unknown block")
            first = last = number
        else:
            first = self._height(wanted.get("fromBlock", "latest"), manner)
            last = min(manner.head, self._height(wanted.get("toBlock", "latest"), manner))
            if manner.blocks is not None and last - first + 1 > manner.blocks:
                raise RpcError(-32000, f"eth_getLogs is limited to a {manner.blocks} blocks range")
        store = self._chain.matching(wanted)
        if manner.logs is not None and store.count(first, last) > manner.logs:
            raise RpcError(-32005, f"query returned more than {manner.logs} results")
        body: list[Part] = [b"[", *self._honest_or_not(store, first, last, manner)]
        if len(body[-1]) > 1:
            body[-1] = body[-1][:-1]
        return [*body, b"]"]

    def _honest_or_not(self, store: Store, first: int, last: int, manner: Manner) -> list[Part]:
        """The logs in between, without the one that this node was told to leave out."""
        drop = manner.drop
        if drop is None or not first <= drop <= last or not store.count(drop, drop):
            return [store.between(first, last)]
        cut = store.starts[drop] + len(next(items_of(store.between(drop, drop)))) + 1
        whole = [store.bytes[store.starts[first] : store.starts[drop]], store.bytes[cut : store.starts[last + 1]]]
        return [part for part in whole if len(part)] or [b""]

    def _receipts(self, number: int, manner: Manner) -> list[Part]:
        if number > manner.head:
            return [b"null"]
        by_transaction: dict[str, list[bytes]] = {}
        for item in items_of(b"".join([*self._honest_or_not(self._chain.logs, number, number, manner)])):
            by_transaction.setdefault(LOG.decode(item).transaction_hash, []).append(item)
        receipts = [
            b'{"transactionHash":"%s","status":"0x1","logs":[%s]}' % (tx.encode(), b",".join(logs))
            for tx, logs in by_transaction.items()
        ]
        return [b"[", b",".join(receipts), b"]"]


@lru_cache(maxsize=64)
def manner_of(target: str, blocks: int) -> Manner:
    """What the URL says."""
    said = {name: int(value) for name, value in parse_qsl(urlsplit(target).query)}
    return Manner(**{"head": blocks - 1, **said})


class Node(socketserver.ThreadingTCPServer):
    """Answers on a loopback port; a thread a connection, since a thread that sends or sleeps holds nobody up."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self.chain = Chain(folder)
        self.answers = Answers(self.chain)
        self.requests = 0
        self.asks = 0
        self.refused = 0
        self.counting = threading.Lock()

    def stats(self) -> bytes:
        """HTTP requests, JSON-RPC requests and refusals so far, and the CPU seconds all of it took."""
        said = {"requests": self.requests, "asks": self.asks, "refused": self.refused, "cpu": time.process_time()}
        return msgspec.json.encode(said)


class Connection(socketserver.StreamRequestHandler):
    """One connection, kept open."""

    server: Node
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def handle(self) -> None:
        """Requests one after the other."""
        try:
            while line := self.rfile.readline():
                length = 0
                while (header := self.rfile.readline()).strip():
                    if header[:15].lower() == b"content-length:":
                        length = int(header[15:])
                self._reply(line.split(b" ")[1].decode(), self.rfile.read(length))
        except (ConnectionError, TimeoutError):
            return  # The client is gone, perhaps killed.

    def _reply(self, target: str, body: bytes) -> None:
        if target == "/stats":
            self._send([self.server.stats()])
            return
        manner = manner_of(target, self.server.chain.blocks)
        if manner.latency:
            time.sleep(manner.latency / 1000)
        asked = msgspec.json.decode(body)
        requests = asked if isinstance(asked, list) else [asked]
        if manner.batch is not None and len(requests) > manner.batch:
            requests = [{"id": requests[0].get("id"), "method": "", "params": []}]
            answers = [self._failed(requests[0], RpcError(-32600, "batch too large"))]
        else:
            answers = [self._answer(request, manner) for request in requests]
        with self.server.counting:
            self.server.requests += 1
            self.server.asks += len(requests)
        parts: list[Part] = []
        for answer in answers:
            parts += [*(answer if not parts else [b",", *answer])]
        self._send([b"[", *parts, b"]"] if isinstance(asked, list) else parts)

    def _answer(self, request: dict[str, Any], manner: Manner) -> list[Part]:
        try:
            result = self.server.answers.result(request["method"], request.get("params", []), manner)
        except RpcError as error:
            return self._failed(request, error)
        return [b'{"jsonrpc":"2.0","id":%s,"result":' % msgspec.json.encode(request.get("id")), *result, b"}"]

    def _failed(self, request: dict[str, Any], error: RpcError) -> list[Part]:
        with self.server.counting:
            self.server.refused += 1
        return [b'{"jsonrpc":"2.0","id":%s,"error":%s}' % (msgspec.json.encode(request.get("id")), error.body)]

    def _send(self, parts: list[Part]) -> None:
        """Large slices go out as they lie; small ones are cheaper joined."""
        length = sum(len(part) for part in parts)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
        if length < 1 << 18:
            self.connection.sendall(b"".join([head, *parts]))
            return
        self.connection.sendall(head)
        for part in parts:
            self.connection.sendall(part)


def main() -> None:
    """Serves until it is ended; says its port on the first line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chain", type=Path, help="folder of a generated chain")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    options = parser.parse_args()
    with Node(options.chain, options.port) as node:
        sys.stdout.write(f"{node.server_address[1]}\n")
        sys.stdout.flush()
        node.serve_forever()


if __name__ == "__main__":
    main()
