"""Fixed-width ABI words cut out of hex text by generated slicing functions, twenty times as fast as a general decoder.

WordsError   topics or data do not have the layout that the signature says
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from eth_utils.crypto import keccak

WORD = 64  # Hex digits of one ABI word.
SIGN_BIT = 1 << 255


class WordsError(ValueError):
    """Data of another length, a number outside its type, or another count of topics."""


class Emitted(Protocol):
    """What a log carries that an event is decoded from."""

    @property
    def topics(self) -> tuple[str, ...]: ...

    @property
    def data(self) -> str: ...


@dataclass(frozen=True)
class Parameter:
    """One parameter of an event; a static tuple has been flattened into its members."""

    type: str
    name: str
    is_indexed: bool


def split_types(text: str) -> list[str]:
    """`a,(b,c),d` → [`a`, `(b,c)`, `d`]: commas outside brackets."""
    parts, depth, start = [], 0, 0
    for position, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def topic0_of(canonical: str) -> str:
    """keccak256 of a canonical signature such as `Transfer(address,address,uint256)`."""
    return "0x" + keccak(text=canonical).hex()


def checked_uint(word: str, bits: int) -> int:
    """An unsigned number that fits its type."""
    value = int(word, 16)
    if value >> bits:
        raise WordsError(f"{value} does not fit uint{bits}")
    return value


def checked_int(word: str, bits: int) -> int:
    """A signed number that fits its type (two's complement over the whole word)."""
    value = int(word, 16)
    value = value - (1 << 256) if value & SIGN_BIT else value
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise WordsError(f"{value} does not fit int{bits}")
    return value


def checked_bool(word: str) -> bool:
    """True or False; any other word is garbage."""
    value = int(word, 16)
    if value > 1:
        raise WordsError(f"{value} is no bool")
    return bool(value)


def checked_address(word: str) -> str:
    """An address in lower case; padding that is not zero is garbage."""
    if word[:24] != "0" * 24:
        raise WordsError(f"{word} is no address: its first 12 bytes are not zero")
    return "0x" + word[24:]


def word_expression(kind: str, source: str) -> str:
    """Python that turns the 64 hex digits `source` into a value of the ABI type `kind`."""
    if kind == "uint256":
        return f"int({source}, 16)"
    if kind == "bytes32":
        return f"'0x' + {source}"
    if kind == "address":
        return f"checked_address({source})"
    if kind == "bool":
        return f"checked_bool({source})"
    number = re.fullmatch(r"(u?)int(\d+)", kind)
    if number is None:
        raise WordsError(f"{kind} is not one fixed-width word; only ints, address, bool, bytes32 and static tuples are")
    return f"checked_{number[1]}int({source}, {number[2]})"


def compile_words(sources: Sequence[tuple[str, str]], arguments: str) -> Callable[..., tuple[Any, ...]]:
    """A function of `arguments` that answers one value per (type, expression of its 64 hex digits)."""
    body = "".join(f"{word_expression(kind, source)}, " for kind, source in sources)
    names = {f.__name__: f for f in (checked_uint, checked_int, checked_bool, checked_address)}
    # The text is made from our own signatures only, never from chain data.
    compiled: Callable[..., tuple[Any, ...]] = eval(f"lambda {arguments}: ({body})", names)
    return compiled


class Event:
    """An event by its full signature, e.g. `Transfer(address indexed from, address indexed to, uint256 value)`."""

    def __init__(self, signature: str) -> None:
        self.name, rest = signature.split("(", 1)
        members = split_types(rest.rsplit(")", 1)[0])
        self.canonical = f"{self.name}({','.join(member.split(' ')[0] for member in members)})"
        self.parameters = tuple(flat for member in members for flat in flattened(member))
        self.topic0 = topic0_of(self.canonical)
        self.indexed_count = sum(parameter.is_indexed for parameter in self.parameters)
        self.data_length = 2 + WORD * (len(self.parameters) - self.indexed_count)

    @cached_property
    def _cut(self) -> Callable[..., tuple[Any, ...]]:
        sources, topic, word = [], 1, 0
        for parameter in self.parameters:
            if parameter.is_indexed:
                sources.append((parameter.type, f"t[{topic}][2:]"))
                topic += 1
            else:
                start = 2 + WORD * word
                sources.append((parameter.type, f"d[{start}:{start + WORD}]"))
                word += 1
        return compile_words(sources, "t, d")

    def values(self, log: Emitted) -> tuple[Any, ...]:
        """The parameters' values in the signature's order; raises WordsError when the log has another layout."""
        topics, data = log.topics, log.data
        if len(topics) != self.indexed_count + 1 or len(data) != self.data_length:
            raise WordsError(
                f"{self.canonical}: {len(topics)} topics and {len(data) // 2 - 1} bytes of data, expected "
                f"{self.indexed_count + 1} and {self.data_length // 2 - 1}: another event of the same name?"
            )
        return self._cut(topics, data)


def flattened(member: str) -> list[Parameter]:
    """`address indexed to` → one parameter; `(address,uint256) p` → its members."""
    words = member.split(" ")
    kind, is_indexed = words[0], "indexed" in words[1:]
    if not kind.startswith("("):
        return [Parameter(kind, words[-1], is_indexed)]
    return [flat for inner in split_types(kind[1:-1]) for flat in flattened(inner)]


def address_topic(address: str) -> str:
    """An address as an indexed topic."""
    return "0x" + address.removeprefix("0x").lower().rjust(WORD, "0")
