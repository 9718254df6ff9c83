"""Generates the benchmark's chain: the same bytes for the same size, a prefix of every larger one.

Real: parent hashes link, blooms hold every address and topic of the block, words have the widths of their types, logs
of one transaction are neighbours. Made up: hashes (sha3-256 of the number and the parent) and the roots of receipts,
state and transactions. In every hundred blocks: 1,000 logs that the funds watch, three blocks without any, one with a
hundred (a cascade); and on top some logs of the same events from a contract that nobody watches.
"""

import contextlib
import hashlib
import json
import random
import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from eth_utils.crypto import keccak

from benchmarks import truth, workload
from benchmarks.draws import Drawn, draw_event

LOGS_A_BLOCK = 10
COUNTS = (*[0] * 3, *[8] * 59, *[11] * 30, *[15] * 6, 100)
"""Logs of 99 of a hundred blocks, shuffled; the hundredth has eight, so that a chain can end in a block with logs."""
FOREIGN_SHARE = 0.2  # of blocks hold one log of a contract that nobody watches.
BEGAN = 1_700_000_000
BLOCK_SECONDS = 2
GENESIS_PARENT = "0x" + "00" * 32
SOURCES = (Path(__file__), Path(workload.__file__), Path(truth.__file__), Path(__file__).with_name("draws.py"))

Progress = Callable[[int, int], None]
"""Hears blocks done, of how many."""


@dataclass(frozen=True)
class ChainFiles:
    """Where a generated chain lies: the node serves from there, nothing else reads it whole."""

    folder: Path

    @property
    def blocks(self) -> int:
        """How many there are."""
        return int(self.folder.name.rpartition("-")[2])

    def truth_at(self, head: int) -> dict[str, list[str]]:
        """Table → count and digest that an index of blocks 0…head must have; head is the last of a hundred."""
        found: dict[str, list[str]] = json.loads((self.folder / "truth.json").read_text())[str(head)]
        return found


def generated(cache_folder: Path, logs: int, progress: Progress | None = None) -> ChainFiles:
    """A chain of at least that many logs, from the cache or made now (half a minute a million logs).

    The cache is keyed by what makes the chain: another generator, workload or way to sum makes another one.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()[:12]
    blocks = -(-logs // (LOGS_A_BLOCK * 100)) * 100
    folder = cache_folder / f"chain-{digest}-{blocks}"
    held = [ChainFiles(path) for path in cache_folder.glob(f"chain-{digest}-*")]
    if enough := [files for files in held if files.blocks >= blocks]:
        return min(enough, key=lambda files: files.blocks)
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=cache_folder) as building:
        _Writer(Path(building) / "chain", blocks).write(progress or (lambda _done, _total: None))
        with contextlib.suppress(OSError):  # Somebody else was faster: their files are the same.
            (Path(building) / "chain").rename(folder)
    return ChainFiles(folder)


@cache
def bloom_bits(value: str) -> int:
    """The bits of one address or topic in a block's bloom (Yellow Paper, 4.3.1), not shared with what is measured."""
    digest = keccak(bytes.fromhex(value[2:]))
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def sha3(text: str) -> str:
    """A hash that looks like a block's or a transaction's."""
    return "0x" + hashlib.sha3_256(text.encode()).hexdigest()


@dataclass
class _Block:
    """One block while it is made."""

    number: int
    hash: str
    parent: str
    timestamp: int
    bloom: int = 0
    transactions: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    watched: int = 0


class _Writer:
    """Writes a chain's files: logs and headers as JSON beside each other, where each block begins, and the truth."""

    def __init__(self, folder: Path, blocks: int) -> None:
        self._folder = folder
        self._blocks = blocks
        self._sums = truth.Sums.empty()

    def write(self, progress: Progress) -> None:
        self._folder.mkdir()
        sums: dict[str, dict[str, list[str]]] = {}
        starts, counts, header_starts = array("q", [0]), array("q", [0]), array("q", [0])
        with (self._folder / "logs.bin").open("wb") as logs, (self._folder / "headers.bin").open("wb") as headers:
            for block in self._made():
                body = "".join(f"{log}," for log in block.logs).encode()
                logs.write(body)
                starts.append(starts[-1] + len(body))
                counts.append(counts[-1] + len(block.logs))
                header = header_json(block).encode()
                headers.write(header)
                header_starts.append(header_starts[-1] + len(header))
                if block.number % 100 == 99:
                    sums[str(block.number)] = self._sums.said()
                    progress(block.number + 1, self._blocks)
        for name, numbers in (("logs", starts), ("counts", counts), ("headers", header_starts)):
            (self._folder / f"{name}.idx").write_bytes(numbers.tobytes())
        (self._folder / "truth.json").write_text(json.dumps(sums))

    def _made(self) -> Iterator[_Block]:
        parent = GENESIS_PARENT
        counts: list[int] = []
        for number in range(self._blocks):
            rng = random.Random(number)
            if number % 100 == 0:
                counts = [*rng.sample(COUNTS, 99), 8]
            block = _Block(number, sha3(f"{number}{parent}"), parent, BEGAN + BLOCK_SECONDS * number)
            self._fill(block, rng, counts[number % 100])
            parent = block.hash
            yield block

    def _fill(self, block: _Block, rng: random.Random, count: int) -> None:
        foreign_at = rng.randrange(count + 1) if rng.random() < FOREIGN_SHARE else -1
        for n in range(count):
            if n == foreign_at:
                self._add(block, rng, draw_event(rng, is_foreign=True))
            self._add(block, rng, draw_event(rng))
        if foreign_at == count:
            self._add(block, rng, draw_event(rng, is_foreign=True))
        if block.watched:
            self._sums.blocks.add(f"{block.number} {block.hash} {block.parent} {block.timestamp}")

    def _add(self, block: _Block, rng: random.Random, drawn: Drawn) -> None:
        """One log into the block, and into the truth where somebody watches it."""
        if not block.transactions or rng.random() < 0.5:
            block.transactions.append(sha3(f"{block.number} {len(block.transactions)}"))
        index, tx = len(block.logs), block.transactions[-1]
        block.bloom |= bloom_bits(drawn.address)
        for topic in drawn.topics:
            block.bloom |= bloom_bits(topic)
        topics = '","'.join(drawn.topics)
        block.logs.append(
            f'{{"address":"{drawn.address}","topics":["{topics}"],"data":"{drawn.data}",'
            f'"blockNumber":"{block.number:#x}","transactionHash":"{tx}",'
            f'"transactionIndex":"{len(block.transactions) - 1:#x}","blockHash":"{block.hash}",'
            f'"logIndex":"{index:#x}","removed":false}}'
        )
        if drawn.segment is None:
            return
        block.watched += 1
        place = f"{block.number} {block.hash} {index}"
        self._sums.logs.add(f"{place} {tx} {drawn.address} {','.join(drawn.topics)} {drawn.data}")
        for fact_no, said in enumerate(drawn.facts):
            decoder = workload.decoder_of(drawn.segment)
            self._sums.facts.add(f"{place} {fact_no} {drawn.segment} {block.timestamp} {tx} {said} {decoder}")


def header_json(block: _Block) -> str:
    """A header with the fields that a node gives; roots are made up, the bloom is not."""
    root = sha3(f"root {block.number}")
    transactions = ",".join(f'"{tx}"' for tx in block.transactions)
    return (
        f'{{"baseFeePerGas":"0x5f5e100","difficulty":"0x0","extraData":"0x","gasLimit":"0x1c9c380",'
        f'"gasUsed":"0x{block.timestamp % 30_000_000:x}","hash":"{block.hash}","logsBloom":"0x{block.bloom:0512x}",'
        f'"miner":"{workload.FOREIGN}","mixHash":"{root}","nonce":"0x0000000000000000",'
        f'"number":"{block.number:#x}","parentHash":"{block.parent}","receiptsRoot":"{root}",'
        f'"sha3Uncles":"0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347","size":"0x2710",'
        f'"stateRoot":"{root}","timestamp":"{block.timestamp:#x}","transactions":[{transactions}],'
        f'"transactionsRoot":"{root}","uncles":[],"withdrawals":[],"withdrawalsRoot":"{root}"}}'
    )
