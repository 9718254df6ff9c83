"""The chain as the players see it: contract calls by signature, one block a transaction, time set by the script."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from indexer.replay.scenario.artifacts import ScenarioError

_GAS = 6_000_000
_SMALL_GAS = 1_000_000
_DEPLOY_GAS = 15_000_000
_FEES = {"maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": "0x0"}


@dataclass(frozen=True)
class Call:
    """One contract call: target address, signature such as `transfer(address,uint256)`, arguments, result types."""

    to: str
    signature: str
    args: tuple[Any, ...] = ()  # Any: ABI values of every kind.
    returns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.signature.partition("(")[0]

    @property
    def data(self) -> str:
        selector, types = _parse_signature(self.signature)
        return "0x" + (selector + encode(types, self.args)).hex()

    def decode(self, answer: str) -> Any:
        values = decode(self.returns, bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True)
class Failure:
    """A mined transaction that reverted, with the contract's reason."""

    block: int
    time: int
    tx_hash: str
    to: str
    note: str
    reason: str


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction."""

    block: int
    time: int
    succeeded: bool
    contract: str | None


@dataclass
class Chain:
    """A JSON-RPC connection to the node plus the script's clock and the list of failed transactions."""

    port: int
    clock: int
    creation_code: dict[str, str]
    failures: list[Failure] = field(default_factory=list)
    head: int = 0
    _connection: http.client.HTTPConnection | None = None

    def rpc(self, method: str, *params: Any) -> Any:
        answer = self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        if "error" in answer:
            raise ScenarioError(f"{method}: {json.dumps(answer['error'])[:600]}")
        return answer["result"]

    def read(self, call: Call, block: str = "latest") -> Any:
        """The decoded answer of a view call."""
        return call.decode(self.rpc("eth_call", {"to": call.to, "data": call.data}, block))

    def read_many(self, calls: Sequence[Call]) -> list[Any]:
        """Decoded answers in one batch; a call that reverts answers None."""
        if not calls:
            return []
        batch = [
            {
                "jsonrpc": "2.0",
                "id": i,
                "method": "eth_call",
                "params": [{"to": call.to, "data": call.data}, "latest"],
            }
            for i, call in enumerate(calls)
        ]
        answers = {answer["id"]: answer.get("result") for answer in self._post(batch)}
        return [call.decode(answers[i]) if answers[i] not in (None, "0x") else None for i, call in enumerate(calls)]

    def wait_until(self, moment: int) -> None:
        """The next block comes at `moment`, or two seconds after the last one if that is later."""
        self.clock = max(self.clock, moment - 2)

    def send(
        self, call: Call, sender: str, *, note: str = "", may_fail: bool = False, gap: int = 2, gas: int = _GAS
    ) -> Receipt:
        """Mines the call in a block of its own, `gap` seconds after the last one."""
        transaction = {"from": sender, "to": call.to, "data": call.data, "gas": hex(gas)}
        return self._mine(transaction, note=note or call.name, may_fail=may_fail, gap=gap)

    def deploy(self, name: str, sender: str, types: Sequence[str] = (), args: Sequence[Any] = ()) -> str:
        """Deploys a contract and gives its checksummed address."""
        data = self.creation_code[name] + encode(list(types), list(args)).hex()
        receipt = self._mine({"from": sender, "data": data, "gas": hex(_DEPLOY_GAS)}, note=f"deploy {name}")
        if receipt.contract is None:
            raise ScenarioError(f"deploying {name} gave no address")
        return to_checksum_address(receipt.contract)

    def burn_nonce(self, sender: str) -> None:
        """Moves the sender's next contract address on by one, with an empty transaction to itself."""
        self._mine({"from": sender, "to": sender, "data": "0x", "gas": hex(21_000)}, note="burn nonce")

    def send_together(
        self,
        calls: Sequence[tuple[Call, str]],
        *,
        note: str = "",
        may_fail: bool = False,
        gap: int = 2,
        gas: int = _SMALL_GAS,
    ) -> None:
        """Mines several (call, sender) in one block, in their order; the limits must fit into one block's gas."""
        transactions = [{"from": who, "to": call.to, "data": call.data, "gas": hex(gas)} for call, who in calls]
        self.clock += gap
        self.rpc("evm_setAutomine", False)
        hashes = [self.rpc("eth_sendTransaction", transaction | _FEES) for transaction in transactions]
        self.rpc("evm_mine", self.clock)
        self.rpc("evm_setAutomine", True)
        for (call, _), transaction, tx_hash in zip(calls, transactions, hashes, strict=True):
            raw = self.rpc("eth_getTransactionReceipt", tx_hash)
            if raw is None:
                raise ScenarioError(f"{call.signature} was left out of its block: lower the gas or send fewer")
            self._conclude(transaction, raw, note=note or call.name, may_fail=may_fail)

    def _mine(self, transaction: dict[str, str], *, note: str, may_fail: bool = False, gap: int = 2) -> Receipt:
        self.clock += gap
        self.rpc("evm_setNextBlockTimestamp", self.clock)
        raw = self.rpc("eth_sendTransactionSync", transaction | _FEES)
        return self._conclude(transaction, raw, note=note, may_fail=may_fail)

    def _conclude(self, transaction: dict[str, str], raw: dict[str, Any], *, note: str, may_fail: bool) -> Receipt:
        self.head = int(raw["blockNumber"], 16)
        succeeded = raw["status"] == "0x1"
        if not succeeded:
            reason = self._revert_reason(transaction, raw)
            if not may_fail:
                raise ScenarioError(f"block {self.head}: {note} reverted: {reason}")
            to, tx_hash = to_checksum_address(raw["to"]), raw["transactionHash"]
            self.failures.append(Failure(self.head, self.clock, tx_hash, to, note=note, reason=reason))
        return Receipt(self.head, self.clock, succeeded, raw["contractAddress"])

    def _revert_reason(self, transaction: dict[str, str], raw: dict[str, Any]) -> str:
        # Replayed on the parent block at the failed block's own time: margin checks read time-weighted prices.
        if int(raw["gasUsed"], 16) > int(transaction["gas"], 16) * 0.98:
            return "out of gas"
        try:
            self.rpc("eth_call", transaction, hex(self.head - 1), {}, {"time": hex(self.clock)})
        except ScenarioError as error:
            return str(error).split("execution reverted: ")[-1].split('"')[0].split(",")[0]
        return "no revert when replayed on the parent block"

    def _post(self, body: Any) -> Any:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            self._connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
            return json.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException) as error:
            raise ScenarioError(f"the node on port {self.port} does not answer: {error}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@cache
def _parse_signature(signature: str) -> tuple[bytes, list[str]]:
    """Selector and argument types; a comma inside a tuple does not separate arguments."""
    types, depth, word = [], 0, ""
    for char in signature[signature.index("(") + 1 : -1]:
        if char == "," and depth == 0:
            types.append(word)
            word = ""
            continue
        depth += (char == "(") - (char == ")")
        word += char
    return keccak(text=signature)[:4], [*types, word] if word else types
