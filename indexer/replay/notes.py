"""What a recorder writes down while answers pass, by the block hash they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from indexer.replay.filters import CompleteFilter
from indexer.replay.multicall import InnerAnswer, unpack_answers, unpack_calls
from indexer.replay.recording import CallRecord, Record, StorageRecord

_HALTS = ("invalid opcode", "EVM error InvalidFEOpcode")


class Notes:
    """Answers by (question, block hash), log filters that were asked for, addresses whose code was, blocks seen."""

    def __init__(self, multicall3: str) -> None:
        self._multicall3 = multicall3
        self._calls: dict[tuple[str, str, str], InnerAnswer] = {}
        self._storage: dict[tuple[str, str, str], str] = {}
        self.filters: set[CompleteFilter] = set()
        self.code: set[str] = set()
        self.blocks: set[int] = set()

    def note_call(self, to: str, data: str, block_hash: str, answer: InnerAnswer) -> None:
        """A call's answer; an aggregate3 becomes its single calls, so that a later batching may differ."""
        inner = unpack_calls(data) if to == self._multicall3 else None
        answers = unpack_answers(answer.data) if inner is not None and answer.succeeded else None
        if inner is None:
            self._calls[to, data, block_hash] = answer
        elif answers is not None and len(answers) == len(inner):
            for call, single in zip(inner, answers, strict=True):
                self.note_call(call.to, call.data, block_hash, single)

    def note_storage(self, address: str, slot: str, block_hash: str, value: str) -> None:
        self._storage[address, slot, block_hash] = f"0x{int(value, 16):064x}"

    def find_records(self, numbers: Mapping[str, int]) -> Iterator[Record | None]:
        """A record for each answer; None for one whose block is not among the saved ones (reorged or out of range)."""
        for (to, data, block_hash), answer in self._calls.items():
            block = numbers.get(block_hash)
            if block is None:
                yield None
            elif answer.succeeded:
                yield CallRecord(to=to, data=data, block=block, result=answer.data)
            else:
                yield CallRecord(to=to, data=data, block=block, revert=answer.data)
        for (address, slot, block_hash), value in self._storage.items():
            block = numbers.get(block_hash)
            yield None if block is None else StorageRecord(address=address, slot=slot, block=block, value=value)


def read_answer(sent: Mapping[str, Any]) -> InnerAnswer | None:
    """What an eth_call's JSON-RPC answer says of the contract; None when it says something of the node."""
    error = sent.get("error")
    if error is None:
        result = sent.get("result")
        return InnerAnswer(True, result.lower()) if isinstance(result, str) else None
    if not isinstance(error, dict):
        return None
    message, data = str(error.get("message", "")), error.get("data")
    if isinstance(data, str) and data.startswith("0x") and "revert" in message:
        return InnerAnswer(False, data.lower())
    # Without data a revert is only known in full when there was no reason, or the machine halted.
    if message == "execution reverted" or message.startswith(_HALTS):
        return InnerAnswer(False, "0x")
    return None
