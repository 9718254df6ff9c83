"""View calls at exactly one block each: through Multicall3 where it is deployed by then, else one by one."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from indexer.adapter import ContractCall
from indexer.rpc.errors import AnswerTooLargeError, RequestError, RevertError, StateMissingError
from indexer.rpc.failover import Failover, Whom
from indexer.rpc.messages import ask_call
from indexer.rpc.multicall import CALLS_AT_ONCE, answer_of, decode_aggregate3, encode_aggregate3, encode_call
from indexer.rpc.provider import About, Keeps, Provider
from indexer.rpc.reader import CallAnswer, ChainTerms, Header

T = TypeVar("T")

AGGREGATES_AT_ONCE = 16  # Multicalls in one request: far below what providers allow a batch.
CALLS_SINGLY_AT_ONCE = 50


def parts_of(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The sequence in pieces of at most `size`."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def state_at(*headers: Header) -> About:
    """What calls at these blocks need."""
    return About(Keeps.STATE, min(header.number for header in headers))


class CallReader:
    """Calls of one chain; a call that fails alone never spoils the others."""

    def __init__(self, terms: ChainTerms, failover: Failover) -> None:
        self._terms = terms
        self._failover = failover

    async def read(self, wanted: Sequence[tuple[Sequence[ContractCall], Header]]) -> list[list[CallAnswer]]:
        """The answers of each block's calls, in the order given."""
        parts = [(n, part, at) for n, (calls, at) in enumerate(wanted) for part in parts_of(calls, CALLS_AT_ONCE)]
        answers: list[list[CallAnswer]] = [[] for _ in wanted]
        for group in parts_of(parts, AGGREGATES_AT_ONCE):
            aggregated = await self._aggregated([(part, at) for _, part, at in group])
            for (n, part, at), found in zip(group, aggregated, strict=True):
                answers[n] += found or await self._singly(part, at)
        return answers

    async def _aggregated(
        self, parts: Sequence[tuple[Sequence[ContractCall], Header]]
    ) -> list[list[CallAnswer] | None]:
        """Each part through Multicall3; None where it was not deployed by then, or where the whole call failed."""
        target, since = self._terms.multicall3, self._terms.multicall3_block or 0
        is_alone = len(parts) == 1 and len(parts[0][0]) == 1
        asked = [n for n, (_, at) in enumerate(parts) if target and at.number >= since and not is_alone]
        answers: list[list[CallAnswer] | None] = [None] * len(parts)
        if target is None or not asked:
            return answers
        asks = [ask_call(target, encode_aggregate3(parts[n][0]), parts[n][1]) for n in asked]

        async def work(provider: Provider) -> list[Any]:
            results = await provider.batch(asks)
            if all(isinstance(result, StateMissingError) for result in results):
                raise results[0]  # One that keeps no state that old is not asked call by call.
            return results

        try:
            results = await self._failover.ask(
                work, Whom(about=state_at(*(parts[n][1] for n in asked)), is_divisible=True)
            )
        except (RevertError, StateMissingError, AnswerTooLargeError, RequestError):
            return answers
        for n, result in zip(asked, results, strict=True):
            # One call that is too dear, or not recorded, fails its whole part: each call gets its own answer instead.
            with suppress(ValueError):
                answers[n] = (
                    decode_aggregate3(parts[n][0], bytes.fromhex(result[2:])) if isinstance(result, str) else None
                )
        return answers

    async def _singly(self, calls: Sequence[ContractCall], at: Header) -> list[CallAnswer]:
        asks = [ask_call(call.to, encode_call(call), at) for call in calls]
        answers: dict[int, CallAnswer] = {}

        async def work(provider: Provider) -> None:
            open_ones = [n for n in range(len(calls)) if n not in answers or answers[n].is_missing]
            for part in parts_of(open_ones, CALLS_SINGLY_AT_ONCE):
                for n, result in zip(part, await provider.batch([asks[n] for n in part]), strict=True):
                    answers[n] = answer_of(calls[n], result)
            if any(answer.is_missing for answer in answers.values()):
                raise StateMissingError(f"{provider.name}: state of block {at.number} is not complete here")

        with suppress(StateMissingError):  # Nobody has it: the answers say so one by one.
            await self._failover.ask(work, Whom(about=state_at(at)))
        return [answers[n] for n in range(len(calls))]
