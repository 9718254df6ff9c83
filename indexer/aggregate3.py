"""The ABI of Multicall3.aggregate3, packed and unpacked by hand: a general codec costs fifty times as much.

aggregate3((address to, bool mayFail, bytes data)[]) returns ((bool succeeded, bytes data)[])
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

SELECTOR = bytes.fromhex("82ad56cb")
WORD = 32


class PackingError(ValueError):
    """Bytes are not the array of tuples that aggregate3 takes or gives."""


def word(number: int) -> bytes:
    """One ABI word."""
    return number.to_bytes(WORD, "big")


def pack_calls(calls: Sequence[tuple[str, bool, bytes]]) -> bytes:
    """(to, may fail, data) of each call as aggregate3's call data, selector included."""
    return SELECTOR + _pack(
        [bytes(12) + bytes.fromhex(to[2:]) + word(may_fail) + _pack_bytes(3, data) for to, may_fail, data in calls]
    )


def unpack_calls(data: bytes) -> list[tuple[str, bool, bytes]]:
    """The calls behind aggregate3's call data, addresses in lower case; raises PackingError."""
    if data[:4] != SELECTOR:
        raise PackingError("call data of another function")
    body = data[4:]
    return [
        ("0x" + _number(body, at).to_bytes(WORD, "big")[12:].hex(), _flag(body, at + WORD), _tail(body, at, 2))
        for at in _tuples(body)
    ]


def pack_answers(answers: Sequence[tuple[bool, bytes]]) -> bytes:
    """(succeeded, data) of each call as the contract returns it."""
    return _pack([word(succeeded) + _pack_bytes(2, data) for succeeded, data in answers])


def unpack_answers(data: bytes) -> list[tuple[bool, bytes]]:
    """The answers behind what aggregate3 returned; raises PackingError."""
    return [(_flag(data, at), _tail(data, at, 1)) for at in _tuples(data)]


def _pack(items: Sequence[bytes]) -> bytes:
    """A dynamic array of dynamic tuples: where it begins, its length, where each tuple begins, the tuples."""
    starts = accumulate((len(item) for item in items[:-1]), initial=WORD * len(items)) if items else ()
    return b"".join((word(WORD), word(len(items)), *map(word, starts), *items))


def _pack_bytes(head_words: int, data: bytes) -> bytes:
    """A tuple's last head word and the bytes it points to, padded to whole words."""
    return b"".join((word(WORD * head_words), word(len(data)), data, bytes(-len(data) % WORD)))


def _number(data: bytes, at: int) -> int:
    if not 0 <= at <= len(data) - WORD:
        raise PackingError(f"{len(data)} bytes end before byte {at + WORD}")
    return int.from_bytes(data[at : at + WORD], "big")


def _flag(data: bytes, at: int) -> bool:
    value = _number(data, at)
    if value > 1:
        raise PackingError(f"{value} is no bool")
    return bool(value)


def _tail(data: bytes, at: int, head_word: int) -> bytes:
    """The bytes of the tuple at `at` whose place stands in its head word `head_word`."""
    start = at + _number(data, at + WORD * head_word)
    length = _number(data, start)
    content = data[start + WORD : start + WORD + length]
    if len(content) != length:
        raise PackingError(f"{length} bytes are promised, {len(content)} are there")
    return content


def _tuples(data: bytes) -> Iterator[int]:
    """Where each tuple of the array begins."""
    start = _number(data, 0)
    count = _number(data, start)
    if count > len(data) // WORD:
        raise PackingError(f"an array of {count} does not fit into {len(data)} bytes")
    first = start + WORD
    return (first + _number(data, first + WORD * n) for n in range(count))
