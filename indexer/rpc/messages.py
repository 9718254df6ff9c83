"""JSON-RPC requests and answers as msgspec structs, and the shapes of what Ethereum nodes return."""

from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Generic, TypeVar

import msgspec

from indexer.adapter import Log, LogFilter
from indexer.rpc.reader import Header, Receipt

ResultT = TypeVar("ResultT")

HASH_LENGTH = 66  # Characters, 0x and all.
BLOOM_BYTES = 256
LAST_SECOND = 253_402_300_799  # The end of the year 9999, after which there is no date.


class Ask(msgspec.Struct, Generic[ResultT], frozen=True):
    """One request and the decoder of its result."""

    method: str
    params: tuple[Any, ...]
    result: msgspec.json.Decoder[ResultT]


class Envelope(msgspec.Struct, frozen=True):
    """One answer, its parts still undecoded."""

    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class Answer(msgspec.Struct, Generic[ResultT], frozen=True):
    """One answer whose result is read in the same pass as its envelope."""

    id: int | str | None = None
    result: ResultT | None = None
    error: msgspec.Raw = msgspec.Raw()


class WireHeader(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of eth_getBlockBy… that we keep; a pending block has no hash and fails here."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    logs_bloom: str = ""
    receipts_root: str = ""

    def to_header(self) -> Header:
        """With numbers as numbers; raises ValueError for what no block can have."""
        number, timestamp, bloom = height_of(self.number), int(self.timestamp, 16), bytes.fromhex(self.logs_bloom[2:])
        if not 0 <= timestamp <= LAST_SECOND:
            raise ValueError("a time that no block has")
        if not (len(self.hash) == len(self.parent_hash) == HASH_LENGTH and len(bloom) in (0, BLOOM_BYTES)):
            raise ValueError("a hash or bloom of another length")
        return Header(
            number=number,
            hash=self.hash.lower(),
            parent_hash=self.parent_hash.lower(),
            timestamp=timestamp,
            logs_bloom=self.logs_bloom,
            receipts_root=self.receipts_root.lower(),
        )


def height_of(text: str) -> int:
    """A block number; raises ValueError for what none can be."""
    number = int(text, 16)
    if not 0 <= number < 2**63:
        raise ValueError("a height that no block has")
    return number


class WireReceipt(msgspec.Struct, frozen=True):
    """Of a receipt we want the logs only."""

    logs: list[Log]


TEXT = msgspec.json.Decoder(str)
HEADER = msgspec.json.Decoder(WireHeader | None)
LOGS = msgspec.json.Decoder(list[Log])
WHOLE_RECEIPTS = msgspec.json.Decoder(list[Receipt] | None)
RECEIPTS = msgspec.json.Decoder(list[WireReceipt] | None)
ANYTHING = msgspec.json.Decoder(Any)
NO_ERROR = (b"", b"null")
PLAIN_TYPES = {str: str, LOGS.type: list, HEADER.type: WireHeader}
"""Types of results that come in great numbers, and what an answer of them is in Python."""


def ask_chain_id() -> Ask[str]:
    """eth_chainId."""
    return Ask("eth_chainId", (), TEXT)


def ask_head() -> Ask[str]:
    """eth_blockNumber."""
    return Ask("eth_blockNumber", (), TEXT)


def ask_header(block: int | str) -> Ask[WireHeader | None]:
    """The header by number, 66-character hash, or tag."""
    if isinstance(block, int):
        return Ask("eth_getBlockByNumber", (hex(block), False), HEADER)
    if len(block) == 66:
        return Ask("eth_getBlockByHash", (block, False), HEADER)
    return Ask("eth_getBlockByNumber", (block, False), HEADER)


def ask_logs(wanted: LogFilter, first: int, last: int) -> Ask[list[Log]]:
    """eth_getLogs by numbers."""
    return Ask("eth_getLogs", ({"fromBlock": hex(first), "toBlock": hex(last), **filter_of(wanted)},), LOGS)


def ask_logs_of(wanted: LogFilter, block_hash: str) -> Ask[list[Log]]:
    """eth_getLogs of one block by its hash."""
    return Ask("eth_getLogs", ({"blockHash": block_hash, **filter_of(wanted)},), LOGS)


def filter_of(wanted: LogFilter) -> dict[str, Any]:
    """Addresses and topics as JSON-RPC wants them, in a fixed order; trailing anything-goes is left out."""
    topics: list[list[str] | None] = [None if allowed is None else sorted(allowed) for allowed in wanted.topics]
    while topics and topics[-1] is None:
        topics.pop()
    fields: dict[str, Any] = {"topics": topics} if topics else {}
    return {"address": sorted(wanted.addresses), **fields} if wanted.addresses else fields


def ask_receipts(number: int) -> Ask[list[WireReceipt] | None]:
    """eth_getBlockReceipts."""
    return Ask("eth_getBlockReceipts", (hex(number),), RECEIPTS)


def ask_whole_receipts(block: int | str) -> Ask[list[Receipt] | None]:
    """eth_getBlockReceipts with all that a receiptsRoot is made from; by number or hash."""
    return Ask("eth_getBlockReceipts", (hex(block) if isinstance(block, int) else block,), WHOLE_RECEIPTS)


def ask_call(to: str, data: bytes, at: Header) -> Ask[str]:
    """eth_call at exactly that block."""
    return Ask(
        "eth_call",
        ({"to": to, "data": "0x" + data.hex()}, {"blockHash": at.hash, "requireCanonical": True}),
        TEXT,
    )


def ask_code(address: str, number: int) -> Ask[str]:
    """eth_getCode by number."""
    return Ask("eth_getCode", (address, hex(number)), TEXT)


def plain_results(body: bytes, asks: Sequence[Ask[Any]]) -> list[Any] | None:
    """Results in the order asked where each ask got one, read in a single pass: what comes by the megabyte nearly
    always is like that. None for any other body: it takes a look at each answer to say what is wrong.
    """
    types = tuple(ask.result.type for ask in asks)
    try:
        answers = batch_decoder(frozenset(types)).decode(body)
        by_id = {answer.id: answer.result for answer in answers if bytes(answer.error) in NO_ERROR}
        results = [by_id[n] for n in range(len(asks))]
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError):
        return None
    is_plain = len(answers) == len(asks) and all(map(is_result_of, results, types))
    return results if is_plain else None


@lru_cache(maxsize=64)
def batch_decoder(types: frozenset[Any]) -> msgspec.json.Decoder[list[Answer[Any]]]:
    """For answers whose results are of these types; raises TypeError for types that cannot be told apart."""
    return msgspec.json.Decoder(list[Answer[reduce(or_, types)]])  # type: ignore[misc]


def is_result_of(result: Any, type_: Any) -> bool:
    """Whether a decoded result is of the type of its own ask, among those of the batch; null is left to others."""
    return type(result) is PLAIN_TYPES.get(type_)


def encode_asks(asks: Sequence[Ask[Any]]) -> bytes:
    """The body of the request: one object, or a batch."""
    parts = [{"jsonrpc": "2.0", "id": n, "method": ask.method, "params": ask.params} for n, ask in enumerate(asks)]
    return msgspec.json.encode(parts[0] if len(parts) == 1 else parts)
