"""A node asked directly, with a decoder of its own: what the indexer found is held against this."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

BATCH = 200


@dataclass(frozen=True)
class Question:
    """A view call: contract, canonical signature, arguments, and the types it returns."""

    to: str
    signature: str
    args: tuple[Any, ...] = ()
    returns: tuple[str, ...] = ("uint256",)
    sender: str | None = None


@dataclass(frozen=True)
class Reverted:
    """A call's answer where the contract refused, with its reason."""

    reason: str


class Emission(NamedTuple):
    """One log: where it stands, and its values in the order of the signature."""

    block: int
    index: int
    tx: str
    values: tuple[Any, ...]


class DirectChain:
    """JSON-RPC by hand, beside the code under test."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=120, verify=False)

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one request; an error fails the test."""
        answer = self._post([(method, params)])[0]
        assert "error" not in answer, answer
        return answer["result"]

    def call(self, question: Question, block: int) -> Any:
        """One answer; see `calls`."""
        return self.calls([question], block)[0]

    def calls(self, questions: Sequence[Question], block: int) -> list[Any]:
        """The decoded answers at a block, a single value bare; Reverted where the contract refused."""
        return self.calls_at([(question, block) for question in questions])

    def calls_at(self, questions: Sequence[tuple[Question, int]]) -> list[Any]:
        """The same, each at a block of its own."""
        requests = []
        for question, block in questions:
            types = re.findall(r"[^(),]+", question.signature.partition("(")[2])
            data = "0x" + (keccak(text=question.signature)[:4] + encode(types, question.args)).hex()
            sender = {"from": question.sender} if question.sender else {}
            requests.append(("eth_call", ({"to": question.to, "data": data, **sender}, hex(block))))
        answers = self._post(requests)
        return [answer_of(question, answer) for (question, _), answer in zip(questions, answers, strict=True)]

    def logs(self, address: str, event: str, *, last: int) -> list[Emission]:
        """All logs of an event up to a block. `event`: canonical signature, `*` after each indexed type."""
        types = re.findall(r"[^(),]+", event.partition("(")[2])
        topic0 = "0x" + keccak(text=event.replace("*", "")).hex()
        asked = {"address": address, "topics": [topic0], "fromBlock": "0x0", "toBlock": hex(last)}
        return [emission_of(log, types) for log in self.ask("eth_getLogs", asked)]

    def _post(self, requests: Sequence[tuple[str, tuple[Any, ...]]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for start in range(0, len(requests), BATCH):
            body = [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
                for number, (method, params) in enumerate(requests[start : start + BATCH])
            ]
            got = self._http.post("", json=body).json()
            assert isinstance(got, list), got
            answers += sorted(got, key=lambda answer: answer["id"])
        return answers


def answer_of(question: Question, answer: dict[str, Any]) -> Any:
    """The decoded answer of a call, or why there is none."""
    if "error" in answer:
        return Reverted(str(answer["error"]["message"]).split("execution reverted: ")[-1].split(",")[0])
    values = decode(question.returns, bytes.fromhex(answer["result"][2:]))
    return values[0] if len(values) == 1 else values


def emission_of(log: dict[str, Any], types: Sequence[str]) -> Emission:
    """A raw log with its values decoded; `types` carry `*` where they are indexed."""
    plain = [kind for kind in types if not kind.endswith("*")]
    data = iter(decode(plain, bytes.fromhex(log["data"][2:])))
    topics = iter(log["topics"][1:])
    values = tuple(
        decode([kind[:-1]], bytes.fromhex(next(topics)[2:]))[0] if kind.endswith("*") else next(data) for kind in types
    )
    return Emission(int(log["blockNumber"], 16), int(log["logIndex"], 16), log["transactionHash"], values)


def by_tx(emissions: Iterable[Emission]) -> dict[str, list[Emission]]:
    """The emissions of each transaction."""
    groups: dict[str, list[Emission]] = {}
    for emission in emissions:
        groups.setdefault(emission.tx, []).append(emission)
    return groups
