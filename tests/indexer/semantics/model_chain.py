"""A small chain in memory with real hashes and blooms, read as providers are: with caps on ranges and on results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from indexer.adapter import Log, LogFilter
from indexer.replay.bloom import compute_bloom
from indexer.replay.words import ZERO_BLOOM
from indexer.rpc.errors import AnswerTooLargeError, NobodyElseError, RangeTooWideError
from indexer.rpc.reader import Header, LogBatch
from indexer.scan.filters import matching
from tests.indexer.chain_double import ChainDouble


@dataclass(frozen=True)
class Emission:
    """What a contract emits."""

    address: str
    topics: tuple[str, ...]
    data: str = "0x"


@dataclass
class ModelChain:
    """Blocks 0, 1, … and their logs; each block is one hash away from its parent."""

    headers: list[Header] = field(default_factory=list, repr=False)
    logs: list[list[Log]] = field(default_factory=list)

    def mine(self, *emissions: Emission, branch: str = "") -> Header:
        """The next block; each emission is a transaction of its own."""
        number = len(self.headers)
        parent = self.headers[-1].hash if self.headers else "0x" + "0" * 64
        block_hash = "0x" + keccak(text=f"{parent} {emissions} {branch}").hex()
        words = [word for emission in emissions for word in (emission.address, *emission.topics)]
        header = Header(number, block_hash, parent, 1_700_000_000 + 12 * number, compute_bloom(words) or ZERO_BLOOM)
        self.headers.append(header)
        self.logs.append([self._log(header, at, emission) for at, emission in enumerate(emissions)])
        return header

    def drop(self, depth: int) -> None:
        """Takes the last blocks away; what is mined next is another branch."""
        kept = len(self.headers) - depth
        del self.headers[kept:], self.logs[kept:]

    @staticmethod
    def _log(header: Header, at: int, emission: Emission) -> Log:
        return Log(
            address=emission.address,
            topics=emission.topics,
            data=emission.data,
            block_number=hex(header.number),
            block_hash=header.hash,
            transaction_hash="0x" + keccak(text=f"{header.hash} {at}").hex(),
            log_index=hex(at),
        )


class ModelReader(ChainDouble):
    """Reads a ModelChain as a provider with these caps would; the last `unfinal` blocks are not final."""

    def __init__(
        self, chain: ModelChain, *, unfinal: int = 0, most_blocks: int = 10**6, most_logs: int = 10**6
    ) -> None:
        super().__init__([])
        self.chain = chain
        self.unfinal = unfinal
        self.most_blocks = most_blocks
        self.most_logs = most_logs
        self.asked: list[tuple[int, int, tuple[LogFilter, ...]]] = []
        """First block, last block and filters of each question for logs."""

    async def header(self, block: int | str) -> Header | None:
        if isinstance(block, int):
            return self.chain.headers[block] if block < len(self.chain.headers) else None
        if len(block) == 66:
            return next((header for header in self.chain.headers if header.hash == block), None)
        return self.chain.headers[-1 - (self.unfinal if block == "finalized" else 0)]

    async def heads(self) -> tuple[Header, Header | None]:
        return self.chain.headers[-1], self.chain.headers[-1 - self.unfinal]

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        return [self.chain.headers[number] for number in numbers]

    async def logs(
        self,
        filters: Sequence[LogFilter],
        first: int,
        last: int,
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> LogBatch:
        self._require_me(without)
        self.asked.append((first, last, tuple(filters)))
        if last - first + 1 > self.most_blocks:
            raise RangeTooWideError("too wide", limit=self.most_blocks)
        found = matching(filters, [log for block in self.chain.logs[first : last + 1] for log in block])
        if len(found) > self.most_logs:
            raise AnswerTooLargeError("too many logs")
        return LogBatch(found, "model", 1)

    async def logs_of(
        self,
        filters: Sequence[LogFilter],
        block_hashes: Sequence[str],
        *,
        avoid: frozenset[str] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> list[LogBatch]:
        self._require_me(without)
        at = {header.hash: header.number for header in self.chain.headers}
        numbers = [at[block_hash] for block_hash in block_hashes]
        self.asked += [(number, number, tuple(filters)) for number in numbers]
        return [LogBatch(matching(filters, self.chain.logs[number]), "model", 1) for number in numbers]

    @staticmethod
    def _require_me(without: frozenset[str]) -> None:
        if "model" in without:
            raise NobodyElseError("there is one provider only")

    async def logs_from_receipts(self, number: int) -> LogBatch:
        return LogBatch(list(self.chain.logs[number]), "model", 0)

    async def code(self, address: str, number: int) -> bytes:
        has = any(log.address == address for block in self.chain.logs[: number + 1] for log in block)
        return b"\x01" if has else b""


def asked_addresses(reader: ModelReader, where: Callable[[int], bool]) -> set[str]:
    """Contracts named in any question that touches a block for which `where` holds."""
    return {
        address
        for first, last, filters in reader.asked
        if any(where(number) for number in range(first, last + 1))
        for wanted in filters
        for address in wanted.addresses
    }
