"""The recorder against a real node: what passed it is answered again, word for word, without that node."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from indexer.replay.filters import CompleteFilter
from indexer.replay.multicall import InnerCall, pack_calls, unpack_answers
from indexer.replay.node import load_replay, running_node
from indexer.replay.record import Recorder, create_recorder, running_recorder
from indexer.replay.recording import CodeRecord, Metadata, RecordingError, open_recording
from ledger.kinds import SourceKind
from tests.rigs.node_parts import find_part

TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
APPROVAL = "0x" + keccak(text="Approval(address,address,uint256)").hex()
SLUG = "tiny-simulated"
METADATA = Metadata(
    slug=SLUG,
    kind=SourceKind.SIMULATED,
    title="A tiny chain",
    chain_id=31337,
    provenance="played on anvil by a test",
    synthetic=("everything",),
    created_by="tests",
)


@dataclass
class Client:
    """A JSON-RPC client that counts nothing and hides nothing."""

    url: str
    http: httpx.Client

    def whole(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return self.http.post(self.url, json=body).json()

    def ask(self, method: str, *params: Any) -> Any:
        answer = self.whole(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def batch(self, *questions: tuple[Any, ...]) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
            for place, (method, *params) in enumerate(questions)
        ]
        answers = self.http.post(self.url, json=body).json()
        return sorted(answers, key=lambda answer: int(answer["id"]))


def call(signature: str, types: tuple[str, ...] = (), values: tuple[Any, ...] = ()) -> str:
    return "0x" + (keccak(text=signature)[:4] + encode(types, values)).hex()


def balance_of(account: str) -> str:
    return call("balanceOf(address)", ("address",), (account,))


NO_SUCH_MEMBER = call("getRoleMember(bytes32,uint256)", ("bytes32", "uint256"), (b"", 99))
"""A view call that reverts with a reason, whoever asks."""


@dataclass
class TinyChain:
    """A token, a multicall and a few transfers, approvals, a failed transaction and empty blocks."""

    node: Client
    code: dict[str, str]
    token: str = ""
    multicall: str = ""
    accounts: tuple[str, ...] = ()

    def play(self) -> None:
        self.accounts = tuple(self.node.ask("eth_accounts"))
        self.node.ask("anvil_mine", "0x3")
        self.token, self.multicall = self._deploy("ERC20Fake"), self._deploy("Multicall")
        types = ("uint256", "string", "string", "uint8")
        self.send(call(f"initializeERC20Fake({','.join(types)})", types, (10**12, "Tiny", "TNY", 6)))
        for place in range(1, 6):
            self.send(self.transfer(place, 1000 + place))
        self.send(call("approve(address,uint256)", ("address", "uint256"), (self.accounts[2], 5)))
        self.send(self.transfer(1, 10**30), gas="0x100000")  # More than there is: mined, and reverted.
        self.node.ask("anvil_mine", "0x2")
        self.mine_together([self.transfer(3, 7), self.transfer(4, 8)])

    def transfer(self, place: int, amount: int) -> str:
        return call("transfer(address,uint256)", ("address", "uint256"), (self.accounts[place], amount))

    def send(self, data: str, **fields: str) -> str:
        transaction = {"from": self.accounts[0], "to": self.token, "data": data, **fields}
        return str(self.node.ask("eth_sendTransactionSync", transaction)["transactionHash"])

    def mine_together(self, datas: list[str]) -> None:
        self.node.ask("evm_setAutomine", False)
        for data in datas:
            self.node.ask("eth_sendTransaction", {"from": self.accounts[0], "to": self.token, "data": data})
        self.node.ask("anvil_mine", "0x1")
        self.node.ask("evm_setAutomine", True)

    def _deploy(self, name: str) -> str:
        transaction = {"from": self.accounts[0], "data": self.code[name], "gas": "0x800000"}
        return str(self.node.ask("eth_sendTransactionSync", transaction)["contractAddress"]).lower()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


MULTICALL_SOURCE = """
pragma solidity 0.8.19;
contract Multicall {
    struct Call { address target; bool mayFail; bytes data; }
    struct Answer { bool success; bytes data; }
    function aggregate3(Call[] calldata calls) external payable returns (Answer[] memory answers) {
        answers = new Answer[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (answers[i].success, answers[i].data) = calls[i].target.call(calls[i].data);
            require(answers[i].success || calls[i].mayFail);
        }
    }
}
"""
COMPILE = """
const input = {language: 'Solidity', sources: {a: {content: require('fs').readFileSync(0, 'utf8')}},
    settings: {outputSelection: {a: {Multicall: ['evm.bytecode.object']}}}};
const done = JSON.parse(require(process.argv[1] + '/solc').compile(JSON.stringify(input)));
console.log('0x' + done.contracts.a.Multicall.evm.bytecode.object);
"""


@pytest.fixture(scope="session")
def creation_code(node_modules: Path) -> dict[str, str]:
    """Code of a genuine token, and of a multicall behind the published signature."""
    artifact = find_part("@perp", "contract", "build", "contracts", "src", "mock", "ERC20Fake.sol", "ERC20Fake.json")
    command = ["node", "-e", COMPILE, str(node_modules)]
    compiled = subprocess.run(command, input=MULTICALL_SOURCE, capture_output=True, text=True, check=True).stdout
    return {"ERC20Fake": json.loads(artifact.read_text())["bytecode"], "Multicall": compiled.strip()}


@pytest.fixture
def chain(anvil_node: Any, creation_code: dict[str, str], http: httpx.Client) -> TinyChain:
    tiny = TinyChain(Client(anvil_node.url, http), creation_code)
    tiny.play()
    return tiny


@pytest.fixture
def recorder(chain: TinyChain) -> Recorder:
    return create_recorder(chain.node.url, multicall3=chain.multicall)


@pytest.fixture
def proxy(recorder: Recorder, http: httpx.Client) -> Iterator[Client]:
    with running_recorder(recorder) as url:
        yield Client(url, http)


@pytest.fixture
def replayed(
    recorder: Recorder, tmp_path: Path, anvil_node: Any, http: httpx.Client
) -> Iterator[Callable[..., Client]]:
    """`replayed(**save_options)` saves, stops the real node, and gives a client of the replay."""
    managers = []

    def replay(**options: Any) -> Client:
        recorder.save(tmp_path / "tiny.jsonl.zst", METADATA, **options)
        anvil_node.stop()
        managers.append(running_node([load_replay(tmp_path / "tiny.jsonl.zst")]))
        return Client(managers[-1].__enter__().url_of(SLUG), http)

    yield replay
    for manager in managers:
        manager.__exit__(None, None, None)


def agree(answer: Any, truth: Any) -> None:
    """Each field the replay answers is what the real node said; it may leave fields out, never change one."""
    if isinstance(answer, dict):
        assert set(answer) <= set(truth)
        for name, value in answer.items():
            agree(value, truth[name])
    elif isinstance(answer, list):
        assert len(answer) == len(truth)
        for one, other in zip(answer, truth, strict=True):
            agree(one, other)
    else:
        assert str(answer).lower() == str(truth).lower()


def questions(tiny: TinyChain, block_hash: str) -> list[tuple[Any, ...]]:
    """What an indexer asks, in all the ways it may."""
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    named = {"blockHash": block_hash, "requireCanonical": True}
    supply = {"to": tiny.token, "data": call("totalSupply()")}
    padded = "0x" + "00" * 12 + tiny.accounts[0][2:]
    return [
        ("eth_chainId",),
        ("net_version",),
        ("eth_blockNumber",),
        *[("eth_getBlockByNumber", hex(number), False) for number in range(16)],
        ("eth_getBlockByNumber", "latest", False),
        ("eth_getBlockByNumber", "earliest", False),
        ("eth_getBlockByNumber", "0xffff", False),
        ("eth_getBlockByHash", block_hash, False),
        ("eth_getLogs", whole),
        ("eth_getLogs", {**whole, "address": tiny.token, "topics": [TRANSFER]}),
        ("eth_getLogs", {**whole, "address": [tiny.token, tiny.multicall], "topics": [[TRANSFER, APPROVAL], padded]}),
        ("eth_getLogs", {**whole, "topics": [None, None, padded]}),
        ("eth_getLogs", {"blockHash": block_hash}),
        ("eth_getLogs", {"fromBlock": "0x7", "toBlock": "0x8"}),
        ("eth_call", supply, "latest"),
        ("eth_call", supply, named),
        ("eth_call", supply, "0x7"),
        ("eth_call", {"to": tiny.accounts[5], "data": "0x"}, "0x7"),
        ("eth_getStorageAt", tiny.token, "0x0", "latest"),
        ("eth_getStorageAt", tiny.token, "0x1", "0x7"),
    ]


def test_the_replay_answers_what_the_real_node_answered(
    chain: TinyChain, proxy: Client, replayed: Callable[..., Client]
) -> None:
    head = proxy.ask("eth_getBlockByNumber", "latest", False)["hash"]
    asked = questions(chain, head)
    truths = proxy.batch(*asked)
    assert [answer for answer in truths if "error" in answer] == []
    assert truths == chain.node.batch(*asked), "the recorder changes nothing that passes"
    replay = replayed(filters=[CompleteFilter()])
    answers = replay.batch(*asked)
    assert len(answers) == len(truths)
    for answer, truth in zip(answers, truths, strict=True):
        agree(answer, truth)
    assert len(answers[asked.index(("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}))]["result"]) >= 9


def test_receipts_of_the_replay_agree_with_the_real_ones(
    chain: TinyChain, proxy: Client, replayed: Callable[..., Client]
) -> None:
    head = int(proxy.ask("eth_blockNumber"), 16)
    blocks = {number: chain.node.ask("eth_getBlockReceipts", hex(number)) for number in range(head + 1)}
    replay = replayed(first=0, last=head, filters=[CompleteFilter()])
    for number, receipts in blocks.items():
        logged = [receipt for receipt in receipts if receipt["logs"]]
        agree(replay.ask("eth_getBlockReceipts", hex(number)), logged)
        for receipt in logged:
            agree(replay.ask("eth_getTransactionReceipt", receipt["transactionHash"]), receipt)
        for receipt in receipts:
            if not receipt["logs"]:
                silent = replay.whole("eth_getTransactionReceipt", receipt["transactionHash"])
                assert silent["error"]["message"].startswith("not recorded")
    assert len(blocks[head]) == 2, "two transactions share the last block"


def test_another_batching_than_the_recorded_one_gives_the_same_answers(
    chain: TinyChain, proxy: Client, replayed: Callable[..., Client]
) -> None:
    calls = [InnerCall(chain.token, balance_of(account), True) for account in chain.accounts[:6]]
    broken = InnerCall(chain.token, NO_SUCH_MEMBER, True)
    halves = [[calls[0], broken, calls[1]], [*calls[2:5]]]
    recorded = [
        unpack_answers(proxy.ask("eth_call", {"to": chain.multicall, "data": pack_calls(half)}, "latest"))
        for half in halves
    ]
    proxy.ask("eth_call", {"to": chain.token, "data": calls[5].data}, "latest")  # Recorded without any multicall.
    again = [calls[5], calls[3], broken, calls[0], calls[4], calls[1]]
    truth = chain.node.ask("eth_call", {"to": chain.multicall, "data": pack_calls(again)}, "latest")
    truth_single = chain.node.whole("eth_call", {"to": chain.token, "data": broken.data}, "latest")["error"]
    replay = replayed()
    assert replay.ask("eth_call", {"to": chain.multicall, "data": pack_calls(again)}, "latest") == truth
    single = replay.whole("eth_call", {"to": chain.token, "data": broken.data}, "latest")["error"]
    assert single == {name: truth_single[name] for name in ("code", "message", "data")}
    assert recorded[0] is not None
    assert not recorded[0][1].succeeded
    missing = [*again, InnerCall(chain.token, balance_of(chain.accounts[7]), True)]
    refused = replay.whole("eth_call", {"to": chain.multicall, "data": pack_calls(missing)}, "latest")
    assert refused["error"]["message"].startswith("not recorded: eth_call to " + chain.token)


def test_a_revert_that_passed_singly_is_an_answer_within_many_calls(
    chain: TinyChain, proxy: Client, replayed: Callable[..., Client]
) -> None:
    broken = InnerCall(chain.token, NO_SUCH_MEMBER, True)
    assert proxy.whole("eth_call", {"to": chain.token, "data": broken.data}, "latest")["error"]["code"] == 3
    packed = {"to": chain.multicall, "data": pack_calls([broken])}
    truth = chain.node.ask("eth_call", packed, "latest")
    assert replayed().ask("eth_call", packed, "latest") == truth


def test_only_filters_that_were_asked_for_are_answered_and_those_completely(
    chain: TinyChain, proxy: Client, replayed: Callable[..., Client]
) -> None:
    part = {"address": chain.token, "topics": [TRANSFER], "fromBlock": "0x7", "toBlock": "0x7"}
    proxy.ask("eth_getLogs", part)
    whole = {**part, "fromBlock": "0x0", "toBlock": "latest"}
    truth = chain.node.ask("eth_getLogs", whole)
    replay = replayed(first=0, last=int(chain.node.ask("eth_blockNumber"), 16))
    agree(replay.ask("eth_getLogs", whole), truth)
    for other in ({**whole, "topics": [APPROVAL]}, {**whole, "address": chain.multicall}, {**whole, "topics": []}):
        assert replay.whole("eth_getLogs", other)["error"]["message"].startswith("not recorded: logs of this filter")


def test_whether_there_is_code_is_kept_for_every_block_but_never_the_code(
    chain: TinyChain, proxy: Client, recorder: Recorder, tmp_path: Path
) -> None:
    assert len(proxy.ask("eth_getCode", chain.token, "latest")) > 100
    proxy.ask("eth_getCode", chain.accounts[3], "latest")
    path = tmp_path / "tiny.jsonl.zst"
    recorder.save(path, METADATA, first=0, last=10)
    with open_recording(path) as recording:
        records = list(recording.records())
    code = {(each.address, each.first, each.last, each.has_code) for each in records if isinstance(each, CodeRecord)}
    assert code == {
        (chain.token, 0, 3, False),
        (chain.token, 4, 10, True),
        (chain.accounts[3].lower(), 0, 10, False),
    }
    assert chain.code["ERC20Fake"][100:400] not in json.dumps([str(record) for record in records])


def test_a_tag_is_recorded_as_the_block_it_meant_then(
    chain: TinyChain, proxy: Client, replayed: Callable[..., Client]
) -> None:
    asked = {"to": chain.token, "data": balance_of(chain.accounts[1])}
    then = int(proxy.ask("eth_blockNumber"), 16)
    before = proxy.ask("eth_call", asked, "latest")
    chain.send(chain.transfer(1, 500))
    after = proxy.ask("eth_call", asked, "latest")
    assert int(after, 16) == int(before, 16) + 500
    replay = replayed()
    assert [replay.ask("eth_call", asked, hex(then + add)) for add in (0, 1)] == [before, after]


def test_answers_of_a_block_that_was_reorganised_away_are_left_out(
    chain: TinyChain, proxy: Client, recorder: Recorder, tmp_path: Path
) -> None:
    asked = {"to": chain.token, "data": balance_of(chain.accounts[1])}
    chain.send(chain.transfer(1, 500))
    stale = proxy.ask("eth_call", asked, "latest")
    chain.node.ask("anvil_reorg", 1, [])
    kept = proxy.ask("eth_call", asked, "latest")
    assert stale != kept
    saved = recorder.save(tmp_path / "tiny.jsonl.zst", METADATA)
    assert saved.dropped_answers == 1
    assert saved.metadata.records["call"] == 1


def test_recording_the_same_chain_twice_gives_the_same_bytes(
    chain: TinyChain, proxy: Client, recorder: Recorder, tmp_path: Path
) -> None:
    head = proxy.ask("eth_getBlockByNumber", "latest", False)["hash"]
    asked = questions(chain, head)
    proxy.batch(*asked)
    recorder.save(tmp_path / "a", METADATA, filters=[CompleteFilter()])
    second = create_recorder(chain.node.url, multicall3=chain.multicall)
    with running_recorder(second) as url:
        for question in reversed(asked):
            Client(url, chain.node.http).ask(*question)
    second.save(tmp_path / "b", METADATA, filters=[CompleteFilter()])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_range_that_does_not_exist_is_refused(chain: TinyChain, recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot save blocks 0 to 9999: the chain has blocks 0 to"):
        recorder.save(tmp_path / "a", METADATA, first=0, last=9999)


def test_an_upstream_that_is_gone_is_said_to_both_sides(
    proxy: Client, recorder: Recorder, anvil_node: Any, tmp_path: Path
) -> None:
    anvil_node.stop()
    answer = proxy.whole("eth_blockNumber")
    assert "cannot be reached by the recorder" in answer["error"]["message"]
    with pytest.raises(RecordingError, match="does not answer as a JSON-RPC node"):
        recorder.save(tmp_path / "a", METADATA)
