"""The JSON-RPC methods of a replayed chain: each answer is read from the recording, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from indexer.replay.bloom import compute_bloom
from indexer.replay.caps import Caps
from indexer.replay.faults import RpcError, invalid, not_recorded, reverted
from indexer.replay.filters import CompleteFilter, is_complete
from indexer.replay.multicall import InnerAnswer, InnerCall, pack_answers, unpack_calls
from indexer.replay.questions import (
    Moment,
    parse_address,
    parse_call,
    parse_filter,
    parse_hash,
    parse_slot,
)
from indexer.replay.recording import HeaderRecord
from indexer.replay.tape import Tape
from indexer.replay.words import ZERO_BLOOM

CLIENT_VERSION = "backstop-replay/1"
CODE_PLACEHOLDER = "0xfe"
"""Stands for contract code in eth_getCode: recordings keep only whether there is any. 0xfe is the invalid opcode."""

Params = list[Any]  # Any: whatever a client sent.


class Answers:
    """Answers single questions about one tape."""

    def __init__(self, tape: Tape, caps: Caps) -> None:
        self._tape = tape
        self._caps = caps
        self._complete: dict[CompleteFilter, bool] = {}
        self._methods: dict[str, Callable[[Params, Moment], Any]] = {
            "eth_chainId": lambda _, __: hex(tape.metadata.chain_id),
            "net_version": lambda _, __: str(tape.metadata.chain_id),
            "web3_clientVersion": lambda _, __: f"{CLIENT_VERSION}/{tape.metadata.slug}",
            "backstop_recording": lambda _, __: tape.metadata,
            "eth_syncing": lambda _, __: False,
            "eth_blockNumber": lambda _, moment: hex(moment.head),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._logs,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionReceipt": self._transaction_receipt,
            "eth_call": self._call,
            "eth_getStorageAt": self._storage,
            "eth_getCode": self._code,
        }

    def answer(self, method: str, params: Params, moment: Moment) -> Any:
        """The result of one request; raises RpcError for an error of any kind."""
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(-32601, f"the method {method} does not exist or is not recorded")
        return handler(params, moment)

    def _block_by_number(self, params: Params, moment: Moment) -> Any:
        header = moment.header(moment.resolve(_param(params, 0)))
        return self._send_block(header, params)

    def _block_by_hash(self, params: Params, moment: Moment) -> Any:
        header = moment.header_by_hash(parse_hash(_param(params, 0), "hash"))
        return self._send_block(header, params)

    def _send_block(self, header: HeaderRecord | None, params: Params) -> dict[str, str] | None:
        if len(params) > 1 and params[1] is True:
            raise not_recorded("full transactions: recordings keep headers without transactions")
        if header is None:
            return None
        block = {
            "number": hex(header.number),
            "hash": header.hash,
            "parentHash": header.parent,
            "timestamp": hex(header.time),
            "logsBloom": header.bloom or ZERO_BLOOM,
        }
        return block if header.source_number is None else block | {"sourceNumber": hex(header.source_number)}

    def _logs(self, params: Params, moment: Moment) -> msgspec.Raw:
        query = _param(params, 0)
        if not isinstance(query, dict):
            raise invalid("the filter must be an object")
        asked = parse_filter(query)
        first, last = self._range(query, moment)
        self._caps.check_range(first, last)
        if first < self._tape.first:
            raise not_recorded(f"logs from block {first}: the recording begins at block {self._tape.first}")
        self._check_complete(asked)
        # Blocks beyond the head do not exist yet: like every node, this one gives what there is so far.
        places = self._tape.logs.find(asked, first, min(last, moment.head))
        self._caps.check_count(len(places))
        return self._tape.logs.render(places)

    def _range(self, query: dict[str, Any], moment: Moment) -> tuple[int, int]:
        if query.get("blockHash") is None:
            first, last = (moment.resolve(query.get(name) or "latest") for name in ("fromBlock", "toBlock"))
            if first > last:
                raise invalid(f"fromBlock {first} is above toBlock {last}")
            return first, last
        if "fromBlock" in query or "toBlock" in query:
            raise invalid("blockHash excludes fromBlock and toBlock")
        number = moment.state_at({"blockHash": query["blockHash"]})
        return number, number

    def _check_complete(self, asked: CompleteFilter) -> None:
        question = asked.canonical()
        if question not in self._complete:
            if len(self._complete) > 1000:
                self._complete.clear()
            self._complete[question] = is_complete(self._tape.metadata.filters, question)
        if not self._complete[question]:
            raise not_recorded(
                "logs of this filter: ask backstop_recording for the filters whose logs are complete "
                f"(asked: {_shorten(msgspec.json.encode(question).decode())})"
            )

    def _block_receipts(self, params: Params, moment: Moment) -> list[dict[str, Any]]:
        number = moment.state_at(_param(params, 0) if not _is_hash(params) else {"blockHash": params[0]})
        self._check_receipts()
        return [self._receipt(tx, places) for tx, places in self._tape.logs.transactions_of(number)]

    def _transaction_receipt(self, params: Params, moment: Moment) -> dict[str, Any] | None:
        tx = parse_hash(_param(params, 0), "hash")
        self._check_receipts()
        places = self._tape.logs.transaction(tx)
        if not len(places):
            raise not_recorded(f"transaction {tx}: only transactions that logged are known")
        if self._tape.logs.block_of(int(places[0])) > moment.head:
            return None
        return self._receipt(tx, places)

    def _check_receipts(self) -> None:
        if not any(claim.is_everything() for claim in self._tape.metadata.filters):
            raise not_recorded(
                "receipts: this recording keeps the logs of some filters only, so no receipt is complete"
            )

    def _receipt(self, tx: str, places: NDArray[np.int64]) -> dict[str, Any]:
        logs = self._tape.logs.read(places)
        words = (word for log in logs for word in (log["address"], *log["topics"]))
        return {
            "transactionHash": tx,
            "transactionIndex": logs[0]["transactionIndex"],
            "blockHash": logs[0]["blockHash"],
            "blockNumber": logs[0]["blockNumber"],
            "status": "0x1",  # Only a transaction that succeeded leaves logs.
            "logs": logs,
            "logsBloom": compute_bloom(words) or ZERO_BLOOM,
        }

    def _call(self, params: Params, moment: Moment) -> str:
        if len(params) > 2:
            raise not_recorded("eth_call with state or block overrides")
        to, data = parse_call(_param(params, 0))
        number = moment.state_at(params[1] if len(params) > 1 else "latest")
        answer = self._answer_call(to, data, number)
        if not answer.succeeded:
            raise reverted(answer.data)
        return answer.data

    def _answer_call(self, to: str, data: str, number: int) -> InnerAnswer:
        inner = unpack_calls(data) if to == self._tape.metadata.multicall3 else None
        if inner is not None:
            return self._answer_aggregate(inner, number)
        found = self._tape.call(to, data, number)
        if found is None:
            raise not_recorded(f"eth_call to {to} with data {_shorten(data)} at block {number}")
        return found

    def _answer_aggregate(self, calls: list[InnerCall], number: int) -> InnerAnswer:
        answers = [self._answer_call(call.to, call.data, number) for call in calls]
        for call, answer in zip(calls, answers, strict=True):
            if not answer.succeeded and not call.may_fail:
                # What the whole call would answer depends on the contract; only its parts were recorded.
                raise not_recorded(f"aggregate3 in which {call.to} reverts and must not: allow each call to fail")
        return InnerAnswer(True, pack_answers(answers))

    def _storage(self, params: Params, moment: Moment) -> str:
        address, slot = parse_address(_param(params, 0), "address"), parse_slot(_param(params, 1))
        number = moment.state_at(params[2] if len(params) > 2 else "latest")
        found = self._tape.storage(address, slot, number)
        if found is None:
            raise not_recorded(f"storage slot {slot} of {address} at block {number}")
        return found

    def _code(self, params: Params, moment: Moment) -> str:
        address = parse_address(_param(params, 0), "address")
        number = moment.state_at(params[1] if len(params) > 1 else "latest")
        found = self._tape.code(address, number)
        if found is None:
            raise not_recorded(f"whether {address} has code at block {number}")
        return CODE_PLACEHOLDER if found.has_code else "0x"


def _param(params: Params, place: int) -> Any:
    if len(params) <= place:
        raise invalid(f"parameter {place + 1} is missing")
    return params[place]


def _is_hash(params: Params) -> bool:
    return bool(params) and isinstance(params[0], str) and len(params[0]) == 66


def _shorten(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + f"… ({len(text)} characters)"
