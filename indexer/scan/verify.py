"""Levels 0 to 2 of the verification ladder: here shape and consistency, blooms in `blooms`. Pure.

0  an answer agrees with itself and with the question: each log once, inside the range, not removed, well formed
1  the same provider's head had reached the range's end (checked by the pool, in the same batch)
2  every log is in its header's bloom, and no bloom of a block without logs says that one may be missing
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from operator import attrgetter

import msgspec

from indexer.adapter import Log, LogFilter
from indexer.rpc.errors import UntruthError, shorten
from indexer.rpc.reader import Header
from ledger.columns import HEX_DIGITS, is_hex

SHAPE, HEAD, BLOOM = 0, 1, 2

TOPIC = re.compile(r"0x[0-9a-f]{64}")
ADDRESS = re.compile(r"0x[0-9a-f]{40}")
BYTES = re.compile(r"0x(?:[0-9a-f]{2})*")
QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,16}")

PORTION = 256
"""Logs looked at together: so many stay in the processor's cache while one look after another is taken at them."""

BLOCK_NUMBER = attrgetter("block_number")

ByBlock = Mapping[int, Sequence[Log]]
"""Block → its logs."""


@lru_cache(maxsize=4096)
def quantity(text: str) -> int:
    """The number behind 0x text; raises UntruthError for anything else. Cached: log indexes repeat in every block."""
    if not QUANTITY.fullmatch(text):
        raise UntruthError(f"{shorten(text, 20)!r} is no number")
    return int(text, 16)


def by_block(logs: Iterable[Log]) -> dict[int, list[Log]]:
    """Block → its logs, in the order given."""
    blocks: dict[int, list[Log]] = {}
    for text, members in groupby(logs, BLOCK_NUMBER):
        blocks.setdefault(quantity(text), []).extend(members)
    return blocks


def ordered_logs(answers: Iterable[Sequence[Log]], first: int, last: int, where: str) -> list[Log]:
    """Logs of several answers as one list by (block, log index), each once; raises UntruthError.

    Merged filters may overlap, so two answers may hold the same log; one answer that holds it twice is a lie, and so
    are two different logs at one place.
    """
    given: list[Log] = []
    answered: list[list[int]] = []
    for answer in answers:
        own: list[int] = []
        for at in range(0, len(answer), PORTION):
            portion = well_formed(answer[at : at + PORTION], where)
            given += portion
            own += places_of(portion)
        answered.append(own)
    places = list(chain.from_iterable(answered))
    if places and not first <= min(places) >> 64 <= max(places) >> 64 <= last:
        raise UntruthError(f"{where}: logs of {min(places) >> 64}–{max(places) >> 64} in the answer")
    if len(set(places)) == len(places):
        return [given[at] for at in sorted(range(len(given)), key=places.__getitem__)]
    if any(len(set(own)) != len(own) for own in answered):
        raise UntruthError(f"{where}: the same log twice")
    placed = dict(zip(places, given, strict=True))
    for place, log in zip(places, given, strict=True):
        if placed[place] != log:
            raise UntruthError(f"{where}: two different logs have index {log.log_index} in {log.block_number}")
    return [placed[place] for place in sorted(placed)]


def places_of(logs: Sequence[Log]) -> list[int]:
    """Block and log index of each log as one number; raises UntruthError. Each text, of which many repeat, once."""
    blocks, indexes = [log.block_number for log in logs], [log.log_index for log in logs]
    high = {text: quantity(text) << 64 for text in set(blocks)}
    low = {text: quantity(text) for text in set(indexes)}
    return [high[block] | low[index] for block, index in zip(blocks, indexes, strict=True)]


def portions(logs: Sequence[Log]) -> Iterator[Sequence[Log]]:
    """Logs, ordered by block, in portions of whole blocks."""
    start = 0
    while start < len(logs):
        end = min(start + PORTION, len(logs))
        while end < len(logs) and logs[end].block_number == logs[end - 1].block_number:
            end += 1
        yield logs[start:end]
        start = end


def well_formed(logs: Sequence[Log], where: str) -> Sequence[Log]:
    """The logs in lower case; raises UntruthError where something is no address, hash, topic, data or number.

    All hex text is looked at together, in a few passes; only where that finds something is it asked which log it is.
    """
    topics, datas = [log.topics for log in logs], [log.data for log in logs]
    counts = list(map(len, topics))
    hashes = {log.block_hash for log in logs}
    words = [*map(",".join, filter(None, topics)), *[log.transaction_hash for log in logs], *hashes]
    if (
        is_hex(words, 32, words=sum(counts) + len(logs) + len(hashes))
        and is_hex({log.address for log in logs}, 20)
        and is_data(datas)
        and max(counts, default=0) <= 4
        and True not in [log.removed for log in logs]
    ):
        return logs
    return [lowered(log, where) for log in logs]


def is_data(texts: Sequence[str]) -> bool:
    """Whether each text is 0x and whole bytes of hex digits in lower case."""
    joined, others = ",".join(texts), len(texts) - 1
    return not texts or (
        not any(length % 2 for length in set(map(len, texts)))
        and {text[:2] for text in texts} == {"0x"}
        and joined.isascii()
        and joined.encode().translate(None, HEX_DIGITS) == b"x," * others + b"x"
    )


def lowered(log: Log, where: str) -> Log:
    """One log in lower case (a few nodes write checksums); raises UntruthError with what is wrong about it."""
    if log.removed:
        raise UntruthError(f"{where}: a log is marked removed")
    log = msgspec.structs.replace(
        log,
        address=log.address.lower(),
        topics=tuple(topic.lower() for topic in log.topics),
        data=log.data.lower(),
        block_hash=log.block_hash.lower(),
        transaction_hash=log.transaction_hash.lower(),
    )
    words = (*log.topics, log.block_hash, log.transaction_hash)
    is_sound = ADDRESS.fullmatch(log.address) and BYTES.fullmatch(log.data) and all(map(TOPIC.fullmatch, words))
    if not is_sound or len(log.topics) > 4:
        raise UntruthError(f"{where}: log {log.log_index} of block {log.block_number} is malformed")
    return log


def check_headers(blocks: ByBlock, headers: Mapping[int, Header], where: str) -> None:
    """Level 0 across requests: each log's block is the one whose header we hold; raises UntruthError."""
    for number, members in blocks.items():
        header = headers.get(number)
        if header is None:
            raise UntruthError(f"{where}: no header came for block {number}, which has logs")
        if others := {log.block_hash for log in members} - {header.hash}:
            raise UntruthError(f"{where}: a log of block {number} is of {min(others)}, not {header.hash}")


def matches(wanted: LogFilter, log: Log) -> bool:
    """Whether the log is one the filter asks for."""
    return is_of(wanted, log.address, log.topics)


def is_of(wanted: LogFilter, address: str, topics: Sequence[str]) -> bool:
    """Whether the filter asks for a log of that contract with these topics."""
    if wanted.addresses and address not in wanted.addresses:
        return False
    for at, allowed in enumerate(wanted.topics):
        if allowed is not None and (at >= len(topics) or topics[at] not in allowed):
            return False
    return True
