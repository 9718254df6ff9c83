"""Multicall3.aggregate3, taken apart into single calls and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer import aggregate3

SELECTOR = "0x" + aggregate3.SELECTOR.hex()
MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
"""Where Multicall3 stands on most chains."""


@dataclass(frozen=True)
class InnerCall:
    """One call of an aggregate3; hex in lower case."""

    to: str
    data: str
    may_fail: bool


@dataclass(frozen=True)
class InnerAnswer:
    """What an inner call gave back: its result, or its revert data when it failed."""

    succeeded: bool
    data: str


def unpack_calls(data: str) -> list[InnerCall] | None:
    """The inner calls of aggregate3 call data, None when it is something else."""
    if not data.startswith(SELECTOR):
        return None
    try:
        calls = aggregate3.unpack_calls(bytes.fromhex(data[2:]))
    except ValueError:
        return None
    return [InnerCall(to, "0x" + inner.hex(), may_fail) for to, may_fail, inner in calls]


def pack_calls(calls: Sequence[InnerCall]) -> str:
    """Call data of an aggregate3."""
    return "0x" + aggregate3.pack_calls([(c.to, c.may_fail, bytes.fromhex(c.data[2:])) for c in calls]).hex()


def unpack_answers(result: str) -> list[InnerAnswer] | None:
    """The inner answers of an aggregate3 result, None when it is something else."""
    try:
        answers = aggregate3.unpack_answers(bytes.fromhex(result[2:]))
    except ValueError:
        return None
    return [InnerAnswer(succeeded, "0x" + data.hex()) for succeeded, data in answers]


def pack_answers(answers: Sequence[InnerAnswer]) -> str:
    """The result of an aggregate3, bit for bit as the contract gives it."""
    return "0x" + aggregate3.pack_answers([(a.succeeded, bytes.fromhex(a.data[2:])) for a in answers]).hex()
