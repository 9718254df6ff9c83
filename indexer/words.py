"""Fixed-width ABI words cut out of hex text by generated slicing functions, twenty times as fast as a general decoder.

WordsError   topics or data do not have the layout that the signature says
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn, Protocol

from eth_utils.crypto import keccak

WORD = 64  # Hex digits of one ABI word.
PADDING = "0" * 24  # Of an address in its word.
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


def refuse_padding(*words: str) -> NoReturn:
    """Padding of an address that is not zero is garbage."""
    wrong = next(word for word in words if word[:24] != PADDING)
    raise WordsError(f"{wrong} is no address: its first 12 bytes are not zero")


@dataclass(frozen=True)
class Word:
    """Where a word stands: 64 hex digits of the text `source` from `start` on."""

    type: str
    source: str
    start: int

    def cut(self, first: int = 0, last: int = WORD) -> str:
        """Python that cuts these of its digits out."""
        return f"{self.source}[{self.start + first}:{self.start + last}]"

    @property
    def value(self) -> str:
        """Python that turns it into a value of its ABI type."""
        if self.type == "uint256":
            return f"int({self.cut()}, 16)"
        if self.type == "bytes32":
            return f"'0x' + {self.cut()}"
        if self.type == "address":
            return f"'0x' + {self.cut(24)}"
        if self.type == "bool":
            return f"checked_bool({self.cut()})"
        number = re.fullmatch(r"(u?)int(\d+)", self.type)
        if number is None:
            raise WordsError(
                f"{self.type} is not one fixed-width word; only ints, address, bool, bytes32 and static tuples are"
            )
        return f"checked_{number[1]}int({self.cut()}, {number[2]})"


def compile_words(
    words: Sequence[Word], arguments: str, *, layout: str = "", refuse_layout: Callable[..., NoReturn] | None = None
) -> Callable[..., tuple[Any, ...]]:
    """A function of `arguments` that answers one value per word; addresses are looked at together before any is cut.

    `layout`: Python that must be true first; else `refuse_layout` is called with the arguments.
    """
    text = f"({''.join(f'{word.value}, ' for word in words)})"
    addresses = [word for word in words if word.type == "address"]
    if addresses:
        paddings = " == ".join(["PADDING", *(word.cut(0, 24) for word in addresses)])
        text = f"({text} if {paddings} else refuse_padding({', '.join(word.cut() for word in addresses)}))"
    if layout:
        text = f"{text} if {layout} else refuse_layout({arguments})"
    names = {f.__name__: f for f in (checked_uint, checked_int, checked_bool, refuse_padding)}
    # The text is made from our own signatures only, never from chain data.
    compiled: Callable[..., tuple[Any, ...]] = eval(
        f"lambda {arguments}: {text}", {**names, "PADDING": PADDING, "refuse_layout": refuse_layout}
    )
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
    def values(self) -> Callable[[Emitted], tuple[Any, ...]]:
        """The parameters' values of a log in the signature's order; raises WordsError when it has another layout."""
        words, topic, start = [], 1, 2
        for parameter in self.parameters:
            if parameter.is_indexed:
                words.append(Word(parameter.type, f"t[{topic}]", 2))
                topic += 1
            else:
                words.append(Word(parameter.type, "d", start))
                start += WORD
        layout = f"len(t := log.topics) == {topic} and len(d := log.data) == {start}"
        return compile_words(words, "log", layout=layout, refuse_layout=self._refuse_layout)

    def _refuse_layout(self, log: Emitted) -> NoReturn:
        raise WordsError(
            f"{self.canonical}: {len(log.topics)} topics and {len(log.data) // 2 - 1} bytes of data, expected "
            f"{self.indexed_count + 1} and {self.data_length // 2 - 1}: another event of the same name?"
        )


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
