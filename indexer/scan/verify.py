"""Levels 0 to 2 of the verification ladder: shape and consistency, head beyond the range, header blooms. Pure.

0  an answer agrees with itself and with the question: each log once, inside the range, not removed, well formed
1  the same provider's head had reached the range's end (checked by the pool, in the same batch)
2  every log is in its header's bloom, and no bloom of a block without logs says that one may be missing
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec
from eth_utils.crypto import keccak

from indexer.adapter import Log, LogFilter
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header

SHAPE, HEAD, BLOOM = 0, 1, 2


def ordered_logs(logs: Iterable[Log], first: int, last: int, where: str) -> list[Log]:
    """Logs of several answers as one list by (block, log index), each once; raises UntruthError.

    Merged filters may overlap, so the same log may come twice; two different logs at one place are a lie.
    """
    placed: dict[tuple[int, int], Log] = {}
    for log in logs:
        place = (int(log.block_number, 16), int(log.log_index, 16))
        if not first <= place[0] <= last:
            raise UntruthError(f"{where}: a log of block {place[0]} in the answer for {first}–{last}")
        if log.removed:
            raise UntruthError(f"{where}: log {place[1]} of block {place[0]} is marked removed")
        if len(log.block_hash) != 66 or len(log.topics) > 4:
            raise UntruthError(f"{where}: log {place[1]} of block {place[0]} is malformed")
        if not log.address.islower():
            log = msgspec.structs.replace(log, address=log.address.lower())  # noqa: PLW2901  A few nodes checksum it.
        known = placed.setdefault(place, log)
        if known is not log and known != log:
            raise UntruthError(f"{where}: two different logs have index {place[1]} in block {place[0]}")
    return [placed[place] for place in sorted(placed)]


def logs_repeated(logs: Sequence[Log]) -> bool:
    """Whether one answer to one filter holds the same log twice (overlapping filters may, a single answer may not)."""
    return len({(log.block_number, log.log_index) for log in logs}) != len(logs)


def check_headers(logs: Iterable[Log], headers: Mapping[int, Header], where: str) -> None:
    """Level 0 across requests: each log's block is the one whose header we hold; raises UntruthError."""
    for log in logs:
        number = int(log.block_number, 16)
        header = headers.get(number)
        if header is None:
            raise UntruthError(f"{where}: no header came for block {number}, which has logs")
        if header.hash != log.block_hash:
            raise UntruthError(f"{where}: logs of block {number} are of {log.block_hash}, its header is {header.hash}")


@lru_cache(maxsize=65_536)
def bloom_bits(value: str) -> int:
    """The three bits that an address or topic (0x text) sets in a 2048-bit bloom, as a mask (Yellow Paper, 4.3.1)."""
    digest = keccak(bytes.fromhex(value[2:]))
    return sum({1 << (int.from_bytes(digest[at : at + 2], "big") & 2047) for at in (0, 2, 4)})


def bloom_of(header: Header) -> int | None:
    """The header's bloom as a number, or None where the node gives none."""
    return int(header.logs_bloom, 16) if len(header.logs_bloom) > 2 else None


def check_blooms(logs: Iterable[Log], headers: Mapping[int, Header], where: str) -> None:
    """Half of level 2: a log whose address or first topic is not in the bloom is invented; raises UntruthError."""
    blooms: dict[int, int | None] = {}
    for log in logs:
        number = int(log.block_number, 16)
        if number not in blooms:
            blooms[number] = bloom_of(headers[number])
        bloom = blooms[number]
        bits = bloom_bits(log.address) | (bloom_bits(log.topics[0]) if log.topics else 0)
        if bloom is not None and bits & bloom != bits:
            raise UntruthError(f"{where}: log {int(log.log_index, 16)} of block {number} is not in that block's bloom")


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
    questions = [BloomQuestion(wanted) for wanted in filters]
    by_block: dict[int, list[Log]] = {}
    for log in logs:
        by_block.setdefault(int(log.block_number, 16), []).append(log)
    suspects: list[Header] = []
    is_complete = True
    for header in headers:
        bloom = bloom_of(header)
        if bloom is None:
            is_complete = False
            continue
        found = by_block.get(header.number, ())
        for wanted, question in zip(filters, questions, strict=True):
            if question.may_hold(bloom) and not any(matches(wanted, log) for log in found):
                suspects.append(header)
                break
    return suspects, is_complete
