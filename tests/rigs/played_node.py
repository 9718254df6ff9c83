"""A provider made of arithmetic: any height has its header, any call answers the height."""

from typing import Any

from eth_abi.abi import encode

from indexer.rpc.reader import Header
from tests.rigs.rpc_faults import Raw, Twist, played

BLOCK_SECONDS, HEAD = 12, 1_000_000
MULTICALL = "0x" + "ca" * 20


def hash_at(number: int, branch: str = "a") -> str:
    return "0x" + branch * 4 + f"{number:060x}"


def header_at(number: int, branch: str = "a") -> dict[str, Any]:
    return {
        "number": hex(number),
        "hash": hash_at(number, branch),
        "parentHash": hash_at(number - 1, branch),
        "timestamp": hex(number * BLOCK_SECONDS),
        "logsBloom": "0x" + "00" * 256,
        "receiptsRoot": "0x" + "56" * 32,
    }


class Node:
    """A provider: head, branch, final block (None: it has no such tag), and from where on it keeps state."""

    def __init__(self, *, head: int = HEAD, branch: str = "a", final: int | None = None, state_from: int = 0) -> None:
        self.head, self.branch, self.final, self.state_from = head, branch, final, state_from
        self.chain_id = 31337
        self.is_down = False
        self.calls: list[str] = []

    def twist(self) -> Twist:
        answering = played(self.answer)
        return lambda requests, answers: Raw(503, b"down") if self.is_down else answering(requests, answers)

    def answer(self, method: str, params: list[Any]) -> Any:
        self.calls.append(method)
        match method, params:
            case "eth_chainId", _:
                return hex(self.chain_id)
            case "eth_blockNumber", _:
                return hex(self.head)
            case "eth_getBlockByNumber", ["latest", _]:
                return header_at(self.head, self.branch)
            case "eth_getBlockByNumber", ["finalized", _]:
                return (
                    {"code": -32602, "message": "invalid argument 0"} if self.final is None else header_at(self.final)
                )
            case "eth_getBlockByNumber", [number, _]:
                return header_at(int(number, 16), self.branch) if int(number, 16) <= self.head else None
            case "eth_getLogs", _:
                return []
            case "eth_call", [call, at]:
                return self.call(call, int(at["blockHash"][6:], 16))
        return "played"

    def call(self, call: dict[str, str], number: int) -> Any:
        if number < self.state_from:
            return {"code": -32000, "message": "missing trie node 7a8d (path ) <nil>"}
        value = encode(("uint256",), (number,))
        if call["to"] != MULTICALL:
            return "0x" + value.hex()
        count = int(call["data"][10 + 64 : 10 + 128], 16)
        return "0x" + encode(("(bool,bytes)[]",), ([(True, value)] * count,)).hex()


def read(header: dict[str, Any]) -> Header:
    return Header(int(header["number"], 16), header["hash"], header["parentHash"], int(header["timestamp"], 16))
