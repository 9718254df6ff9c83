"""Reads the played chain directly, beside the code under test: logs, accounts and stresses at a block."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from indexer.replay.scenario.chain import Call
from indexer.replay.scenario.play import Played

DAY = 86_400
MIDNIGHT_17_MAY = 1621209600


@dataclass(frozen=True)
class Event:
    """One log with its block's time; words are the data's 32-byte words."""

    block: int
    time: int
    tx_hash: str
    topics: tuple[str, ...]
    words: tuple[int, ...]


class History:
    """The chain after a play."""

    def __init__(self, played: Played) -> None:
        self.manifest = played.manifest
        self._http = httpx.Client(base_url=played.url, timeout=60)

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, *params: Any) -> Any:
        answer = self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        assert "error" not in answer, answer
        return answer["result"]

    @cached_property
    def block_times(self) -> list[int]:
        """Time of every block, by number."""
        numbers = range(self.manifest["head"]["number"] + 1)
        body = [
            {"jsonrpc": "2.0", "id": number, "method": "eth_getBlockByNumber", "params": [hex(number), False]}
            for number in numbers
        ]
        answers = {answer["id"]: answer["result"] for answer in self._http.post("/", json=body).json()}
        return [int(answers[number]["timestamp"], 16) for number in numbers]

    def last_block_before(self, moment: int) -> int:
        return max(number for number, time in enumerate(self.block_times) if time < moment)

    def day_end(self, may_day: int) -> int:
        """The last block of a day of May 2021."""
        return self.last_block_before(MIDNIGHT_17_MAY + (may_day - 16) * DAY)

    def events(self, address: str, signature: str) -> list[Event]:
        topic = "0x" + keccak(text=signature).hex()
        filters = {"address": address, "topics": [topic], "fromBlock": "0x0", "toBlock": "latest"}
        found = []
        for log in self.ask("eth_getLogs", filters):
            block, data = int(log["blockNumber"], 16), bytes.fromhex(log["data"][2:])
            words = tuple(int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32))
            topics = tuple(log["topics"])
            found.append(Event(block, self.block_times[block], log["transactionHash"], topics, words))
        return found

    def read(self, call: Call, block: int) -> Any:
        return call.decode(self.ask("eth_call", {"to": call.to, "data": call.data}, hex(block)))

    def read_many(self, calls: list[Call], block: int) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": i, "method": "eth_call", "params": [{"to": c.to, "data": c.data}, hex(block)]}
            for i, c in enumerate(calls)
        ]
        answers = {answer["id"]: answer["result"] for answer in self._http.post("/", json=body).json()}
        values = [decode(call.returns, bytes.fromhex(answers[i][2:])) for i, call in enumerate(calls)]
        return [value[0] if len(value) == 1 else value for value in values]


class PerpHistory:
    """One Perp v2 deployment in that history; USD as floats, for thresholds only."""

    def __init__(self, history: History, name: str) -> None:
        self.history, self.name = history, name
        self.contracts: dict[str, str] = history.manifest["perps"][name]["contracts"]
        self.markets: dict[str, dict[str, str]] = history.manifest["perps"][name]["markets"]

    @property
    def accounts(self) -> list[str]:
        actors = self.history.manifest["actors"]
        return [*actors["traders"][self.name], *actors["keepers"], actors["arbitrageur"], actors["maker"]]

    @cached_property
    def shortfalls(self) -> list[tuple[int, float]]:
        """(time, USD) of each BadDebtSettled."""
        events = self.history.events(self.contracts["Vault"], "BadDebtSettled(address,uint256)")
        return [(event.time, event.words[0] / 1e6) for event in events]

    def capacity(self, block: int) -> float:
        call = Call(self.contracts["InsuranceFund"], "getInsuranceFundCapacity()", (), ("int256",))
        return float(self.history.read(call, block) / 1e6)

    def account_values(self, block: int) -> dict[str, float]:
        house = self.contracts["ClearingHouse"]
        calls = [Call(house, "getAccountValue(address)", (account,), ("int256",)) for account in self.accounts]
        values = self.history.read_many(calls, block)
        return {account: value / 1e18 for account, value in zip(self.accounts, values, strict=True)}

    def bankrupt(self, block: int) -> dict[str, float]:
        """Accounts worth less than nothing (a cent of rounding aside), with their value."""
        return {account: value for account, value in self.account_values(block).items() if value < -0.01}

    def stressed_loss(self, block: int, shock: float) -> float:
        """L(s) of METHOD M6 at one shock: what all accounts together would be short of."""
        exposure = dict.fromkeys(self.accounts, 0.0)
        for market in self.markets.values():
            feed = self.history.manifest["aggregators"][market["asset"]]
            price = self.history.read(Call(feed, "latestAnswer()", (), ("int256",)), block) / 1e8
            signature = "getTotalPositionSize(address,address)"
            balance = self.contracts["AccountBalance"]
            calls = [Call(balance, signature, (account, market["base"]), ("int256",)) for account in self.accounts]
            for account, size in zip(self.accounts, self.history.read_many(calls, block), strict=True):
                exposure[account] += size / 1e18 * price
        values = self.account_values(block)
        return sum(max(0.0, -(value + exposure[account] * shock)) for account, value in values.items())
