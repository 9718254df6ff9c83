"""Multicall3.aggregate3: many view calls in one eth_call. Encoding and decoding only; the pool sends."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from indexer.adapter import AdapterError, ContractCall
from indexer.aggregate3 import pack_calls, unpack_answers
from indexer.rpc.client import revert_reason
from indexer.rpc.errors import ChainError, RevertError, StateMissingError, shorten
from indexer.rpc.reader import CallAnswer
from indexer.words import WORD, Word, WordsError, compile_words

CALLS_AT_ONCE = 100
PLAIN = re.compile(r"u?int\d+|address|bool")


@lru_cache(maxsize=4096)
def selector(signature: str) -> bytes:
    """The first four bytes of the signature's keccak-256."""
    return keccak(text=signature)[:4]


@lru_cache(maxsize=4096)
def argument_types(signature: str) -> tuple[str, ...]:
    """The outer argument types of `name(a,(b,c)[],d)`: commas inside brackets do not split."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    parts, depth = [""], 0
    for sign in inside:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return tuple(part.strip() for part in parts if part.strip())


@lru_cache(maxsize=65_536)
def encode_call(call: ContractCall) -> bytes:
    """Selector and arguments; raises AdapterError when the arguments do not fit the signature.

    Kept, because the same calls are made again at every snapshot.
    """
    try:
        return selector(call.signature) + encode(argument_types(call.signature), call.args)
    except (EncodingError, ValueError, TypeError) as error:
        raise AdapterError(f"{call.signature} at {call.to} cannot be called with {call.args!r}: {error}") from error


def encode_aggregate3(calls: Sequence[ContractCall]) -> bytes:
    """One call that makes all of these, each allowed to fail alone."""
    return pack_calls([(call.to, True, encode_call(call)) for call in calls])


def decode_aggregate3(calls: Sequence[ContractCall], answer: bytes) -> list[CallAnswer]:
    """The answer of each call; raises ValueError when the whole is no aggregate3 answer for that many calls."""
    results = unpack_answers(answer)
    if len(results) != len(calls):
        raise ValueError(f"aggregate3 answered {len(results)} of {len(calls)} calls")
    return [
        decode_answer(call, data) if is_success else CallAnswer(error=reverted(data))
        for call, (is_success, data) in zip(calls, results, strict=True)
    ]


def decode_answer(call: ContractCall, data: bytes) -> CallAnswer:
    """The values, or "garbage": an address without code answers nothing at all and counts so."""
    if not data and call.returns:
        return CallAnswer(error=f"garbage: {call.to} returned nothing for {call.signature} (is there a contract?)")
    try:
        return CallAnswer(values=decode_values(call.returns, data))
    except (DecodingError, WordsError, UnicodeDecodeError, OverflowError) as error:
        return CallAnswer(error=f"garbage: {call.signature} returned 0x{data[:64].hex()}: {shorten(str(error), 100)}")


def decode_values(returns: tuple[str, ...], data: bytes) -> tuple[Any, ...]:
    """Plain numbers, addresses and flags are cut out word by word; anything else goes through the general decoder."""
    cut = words_decoder(returns)
    if cut is None or len(data) < len(returns) * WORD // 2:
        return tuple(decode(returns, data))
    values: tuple[Any, ...] = cut(data.hex())
    return values


@lru_cache(maxsize=1024)
def words_decoder(returns: tuple[str, ...]) -> Callable[[str], tuple[Any, ...]] | None:
    """A slicing decoder of hex text for these types, or None where one of them is not one plain word."""
    if not all(PLAIN.fullmatch(kind) for kind in returns):
        return None
    return compile_words([Word(kind, "d", n * WORD) for n, kind in enumerate(returns)], "d")


def reverted(data: bytes) -> str:
    """The error text of a reverted call, with its reason where the contract gave one."""
    text = "0x" + data.hex()
    reason = revert_reason(text)
    return f"reverted: {reason}" if reason else f"reverted: {text[:74]}" if data else "reverted"


def answer_of(call: ContractCall, result: str | ChainError) -> CallAnswer:
    """The answer of a single eth_call; raises what is neither an answer nor missing state."""
    if isinstance(result, RevertError):
        return CallAnswer(error=f"reverted: {result}")
    if isinstance(result, StateMissingError):
        return CallAnswer(error=f"missing: {result}", is_missing=True)
    if isinstance(result, ChainError):
        raise result
    try:
        return decode_answer(call, bytes.fromhex(result[2:]))
    except ValueError:
        return CallAnswer(error=f"garbage: {call.signature} returned {shorten(result, 80)}")
