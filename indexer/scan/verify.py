"""Levels 0 to 2 of the verification ladder: shape and consistency, head beyond the range, header blooms. Pure.

0  an answer agrees with itself and with the question: each log once, inside the range, not removed, well formed
1  the same provider's head had reached the range's end (checked by the pool, in the same batch)
2  every log is in its header's bloom, and no bloom of a block without logs says that one may be missing
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from operator import attrgetter

import msgspec
from eth_utils.crypto import keccak

from indexer.adapter import Log, LogFilter
from indexer.rpc.errors import UntruthError, shorten
from indexer.rpc.reader import Header
from ledger.columns import HEX_DIGITS, is_hex

SHAPE, HEAD, BLOOM = 0, 1, 2

TOPIC = re.compile(r"0x[0-9a-f]{64}")
ADDRESS = re.compile(r"0x[0-9a-f]{40}")
BYTES = re.compile(r"0x(?:[0-9a-f]{2})*")
QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,16}")

PLACE = attrgetter("block_number", "log_index")
BLOCK_NUMBER, BLOCK_HASH = attrgetter("block_number"), attrgetter("block_hash")
ADDRESS_OF, TOPICS, DATA = attrgetter("address"), attrgetter("topics"), attrgetter("data")
TRANSACTION, REMOVED = attrgetter("transaction_hash"), attrgetter("removed")


@lru_cache(maxsize=65_536)
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


def ordered_logs(logs: Iterable[Log], first: int, last: int, where: str) -> list[Log]:
    """Logs of several answers as one list by (block, log index), each once; raises UntruthError.

    Merged filters may overlap, so the same log may come twice; two different logs at one place are a lie.
    """
    given = well_formed(list(logs), where)
    if any(map(REMOVED, given)):
        raise UntruthError(f"{where}: a log is marked removed")
    places = [quantity(log.block_number) << 64 | quantity(log.log_index) for log in given]
    if places and not first <= min(places) >> 64 <= max(places) >> 64 <= last:
        raise UntruthError(f"{where}: logs of {min(places) >> 64}–{max(places) >> 64} in the answer")
    placed = dict(zip(places, given, strict=True))
    if len(placed) < len(given):
        for place, log in zip(places, given, strict=True):
            if placed[place] != log:
                raise UntruthError(f"{where}: two different logs have index {log.log_index} in {log.block_number}")
    return [placed[place] for place in sorted(placed)]


def logs_repeated(logs: Sequence[Log]) -> bool:
    """Whether one answer to one filter holds the same log twice (overlapping filters may, a single answer may not)."""
    return len(set(map(PLACE, logs))) != len(logs)


def well_formed(logs: Sequence[Log], where: str) -> Sequence[Log]:
    """The logs in lower case; raises UntruthError where something is no address, hash, topic, data or number.

    All hex text is looked at together, in a few passes; only where that finds something is it asked which log it is.
    """
    words = [*chain.from_iterable(map(TOPICS, logs)), *map(TRANSACTION, logs), *set(map(BLOCK_HASH, logs))]
    datas = list(map(DATA, logs))
    digits = "".join([data[2:] for data in datas])
    if (
        is_hex(words, 32)
        and is_hex(set(map(ADDRESS_OF, logs)), 20)
        and {data[:2] for data in datas} <= {"0x"}
        and not any(length % 2 for length in set(map(len, datas)))
        and digits.isascii()
        and not digits.encode().translate(None, HEX_DIGITS)
        and max(map(len, map(TOPICS, logs)), default=0) <= 4
    ):
        return logs
    return [lowered(log, where) for log in logs]


def lowered(log: Log, where: str) -> Log:
    """One log in lower case (a few nodes write checksums); raises UntruthError with what is wrong about it."""
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


def check_headers(logs: Iterable[Log], headers: Mapping[int, Header], where: str) -> None:
    """Level 0 across requests: each log's block is the one whose header we hold; raises UntruthError."""
    for number, members in by_block(logs).items():
        header = headers.get(number)
        if header is None:
            raise UntruthError(f"{where}: no header came for block {number}, which has logs")
        for log in members:
            if log.block_hash != header.hash:
                raise UntruthError(f"{where}: a log of block {number} is of {log.block_hash}, not {header.hash}")


@lru_cache(maxsize=65_536)
def bloom_bits(value: str) -> int:
    """The three bits that an address or topic (0x text) sets in a 2048-bit bloom, as a mask (Yellow Paper, 4.3.1)."""
    digest = keccak(bytes.fromhex(value[2:]))
    return sum({1 << (int.from_bytes(digest[at : at + 2], "big") & 2047) for at in (0, 2, 4)})


def bloom_of(header: Header) -> int | None:
    """The header's bloom as a number, or None where the node gives none."""
    return int(header.logs_bloom, 16) if len(header.logs_bloom) > 2 else None


def check_blooms(
    logs: Iterable[Log], headers: Mapping[int, Header], where: str, asked: frozenset[str] = frozenset()
) -> None:
    """Half of level 2: a log whose contract or event its header's bloom does not hold is invented; raises UntruthError.

    `asked`: further topics that somebody asked for; others are not looked at, for each costs a keccak.
    """
    for number, members in by_block(logs).items():
        bloom = bloom_of(headers[number])
        if bloom is None:
            continue
        values = {log.address for log in members}
        for topics in {log.topics for log in members}:
            values.update(topics[:1], asked.intersection(topics))
        for value in values:
            bits = bloom_bits(value)
            if bits & bloom != bits:
                raise UntruthError(f"{where}: logs with {value} are not in the bloom of block {number}")


def topics_asked(filters: Iterable[LogFilter]) -> frozenset[str]:
    """All topics that the filters name."""
    return frozenset(topic for wanted in filters for allowed in wanted.topics if allowed for topic in allowed)


@dataclass
class ChainBlooms:
    """Whether a chain's headers carry blooms: some layer-2 chains fill them with zeros. None: not known yet."""

    are_there: bool | None = None

    def see(self, headers: Iterable[Header]) -> None:
        """One bloom that is not zero settles it."""
        if not self.are_there and any(bloom_of(header) for header in headers):
            self.are_there = True


class BloomQuestion:
    """One filter asked of many blooms: may the block hold a log of it?"""

    def __init__(self, wanted: LogFilter) -> None:
        self._any_of = [
            tuple(bloom_bits(value) for value in sorted(allowed))
            for allowed in (wanted.addresses or None, *wanted.topics)
            if allowed is not None
        ]

    def may_hold(self, bloom: int) -> bool:
        """False means certainly not."""
        return all(any(bits & bloom == bits for bits in masks) for masks in self._any_of)


def matches(wanted: LogFilter, log: Log) -> bool:
    """Whether the log is one the filter asks for."""
    if wanted.addresses and log.address not in wanted.addresses:
        return False
    topics = log.topics
    for at, allowed in enumerate(wanted.topics):
        if allowed is not None and (at >= len(topics) or topics[at] not in allowed):
            return False
    return True


def suspicious_blocks(
    filters: Sequence[LogFilter], logs: Iterable[Log], headers: Iterable[Header]
) -> tuple[list[Header], bool]:
    """Blocks whose bloom says that a filter may match where no such log came, and whether all blooms were there.

    A false alarm is possible (blooms are saturated on busy chains); a silent omission of a filter's only log is not.
    """
    questions = [(wanted, BloomQuestion(wanted)) for wanted in filters]
    blocks = by_block(logs)
    suspects: list[Header] = []
    is_complete = True
    for header in headers:
        bloom = bloom_of(header)
        if bloom is None:
            is_complete = False
            continue
        found = blocks.get(header.number, ())
        for wanted, question in questions:
            if not any(matches(wanted, log) for log in found) and question.may_hold(bloom):
                suspects.append(header)
                break
    return suspects, is_complete
