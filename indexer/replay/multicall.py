"""Multicall3.aggregate3, taken apart into single calls and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

SELECTOR = "0x82ad56cb"
MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
"""Where Multicall3 stands on most chains."""

_CALLS = ["(address,bool,bytes)[]"]
_RESULTS = ["(bool,bytes)[]"]


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
        (calls,) = decode(_CALLS, bytes.fromhex(data[10:]))
    except (DecodingError, ValueError, OverflowError):
        return None
    return [InnerCall(to.lower(), "0x" + inner.hex(), may_fail) for to, may_fail, inner in calls]


def pack_calls(calls: Sequence[InnerCall]) -> str:
    """Call data of an aggregate3."""
    packed = encode(_CALLS, [[(call.to, call.may_fail, bytes.fromhex(call.data[2:])) for call in calls]])
    return SELECTOR + packed.hex()


def unpack_answers(result: str) -> list[InnerAnswer] | None:
    """The inner answers of an aggregate3 result, None when it is something else."""
    try:
        (answers,) = decode(_RESULTS, bytes.fromhex(result[2:]))
    except (DecodingError, ValueError, OverflowError):
        return None
    return [InnerAnswer(succeeded, "0x" + data.hex()) for succeeded, data in answers]


def pack_answers(answers: Sequence[InnerAnswer]) -> str:
    """The result of an aggregate3, bit for bit as the contract gives it."""
    return "0x" + encode(_RESULTS, [[(each.succeeded, bytes.fromhex(each.data[2:])) for each in answers]]).hex()
