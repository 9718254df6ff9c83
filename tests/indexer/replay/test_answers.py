"""A replayed chain answers what was recorded, as a node would, and refuses everything else."""

from collections.abc import Callable
from typing import Any

import pytest

from indexer.replay.caps import Caps
from indexer.replay.filters import CompleteFilter
from indexer.replay.multicall import InnerAnswer, InnerCall, pack_calls, unpack_answers
from indexer.replay.node import Replay
from indexer.replay.recording import CallRecord, CodeRecord, Record, StorageRecord

MULTICALL = "0xca11bde05977b3631167028862be2a173976ca11"
SUPPLY, BROKEN, UNKNOWN = "0x18160ddd", "0xdeadbeef", "0x70a08231"
REASON = "0x08c379a0" + f"{32:064x}{4:064x}" + b"CH_E".hex().ljust(64, "0")


@pytest.fixture
def records(small: Any) -> list[Record]:
    logs = [
        small.log(2, 0, topics=(small.transfer, small.word(1), small.word(2))),
        small.log(2, 1, address=small.other),
        small.log(5, 0, topics=(small.approval, small.word(1))),
        small.log(9, 0),
    ]
    return [
        *small.headers(logs),
        *logs,
        CallRecord(to=small.token, data=SUPPLY, block=4, result=small.word(5)),
        CallRecord(to=small.token, data=SUPPLY, block=9, result=small.word(6)),
        CallRecord(to=small.other, data=BROKEN, block=4, revert=REASON),
        CallRecord(to=small.other, data="0x", block=4, revert="0x"),
        CodeRecord(address=small.token, first=0, last=1, has_code=False),
        CodeRecord(address=small.token, first=2, last=9, has_code=True),
        StorageRecord(address=small.token, slot=small.word(5), block=3, value=small.word(77)),
    ]


@pytest.fixture
def replay(small: Any, records: list[Record], make_replay: Callable[..., Replay]) -> Replay:
    return make_replay(records, small.metadata(multicall3=MULTICALL))


def refusal(answer: dict[str, Any]) -> str:
    assert answer["error"]["code"] == -32000
    message: str = answer["error"]["message"]
    assert message.startswith("not recorded: ")
    return message


async def test_a_replay_never_passes_for_a_chain_of_its_own(small: Any, replay: Replay, ask: Any) -> None:
    assert (await ask(replay, "eth_chainId"))["result"] == hex(420999001)
    assert (await ask(replay, "net_version"))["result"] == "420999001"
    assert (await ask(replay, "web3_clientVersion"))["result"].startswith("backstop-replay/")
    said = (await ask(replay, "backstop_recording"))["result"]
    assert (said["slug"], said["kind"], said["synthetic"]) == (replay.slug, "simulated", ["everything"])


async def test_headers_are_found_by_number_tag_and_hash(small: Any, replay: Replay, ask: Any) -> None:
    block = (await ask(replay, "eth_getBlockByNumber", "0x2", False))["result"]
    assert block["hash"] == small.hash(2)
    assert block["parentHash"] == small.hash(1)
    assert int(block["timestamp"], 16) == 1_600_000_120
    assert block == (await ask(replay, "eth_getBlockByHash", small.hash(2), False))["result"]
    for tag, number in (("earliest", 0), ("latest", 9), ("safe", 9), ("finalized", 9)):
        assert (await ask(replay, "eth_getBlockByNumber", tag, False))["result"]["number"] == hex(number)


async def test_an_empty_block_has_an_empty_bloom(small: Any, replay: Replay, ask: Any) -> None:
    block = (await ask(replay, "eth_getBlockByNumber", "0x1", False))["result"]
    assert block["logsBloom"] == "0x" + "00" * 256


async def test_a_block_that_does_not_exist_is_null(small: Any, replay: Replay, ask: Any) -> None:
    assert (await ask(replay, "eth_getBlockByNumber", "0xa", False))["result"] is None
    assert (await ask(replay, "eth_getBlockByHash", small.hash(77), False))["result"] is None


async def test_transactions_of_a_block_are_not_recorded(replay: Replay, ask: Any) -> None:
    refusal(await ask(replay, "eth_getBlockByNumber", "0x1", True))
    assert "transactions" not in (await ask(replay, "eth_getBlockByNumber", "0x1", False))["result"]


async def test_blocks_before_the_recording_are_refused_not_denied(
    small: Any, make_replay: Callable[..., Replay], ask: Any
) -> None:
    late = make_replay(small.headers(first=5))
    for question in (
        ("eth_getBlockByNumber", "0x4", False),
        ("eth_getBlockByHash", small.hash(4), False),
        ("eth_getLogs", {"fromBlock": "0x4", "toBlock": "0x6"}),
        ("eth_call", {"to": small.token, "data": "0x"}, "0x4"),
    ):
        assert "begins at block 5" in refusal(await ask(late, *question))
    assert (await ask(late, "eth_getBlockByNumber", "earliest", False))["result"]["number"] == "0x5"


async def test_logs_are_found_by_range_address_and_topics(small: Any, replay: Replay, ask: Any) -> None:
    async def places(**query: Any) -> list[tuple[int, int]]:
        answer = await ask(replay, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", **query})
        return [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in answer["result"]]

    assert await places() == [(2, 0), (2, 1), (5, 0), (9, 0)]
    assert await places(toBlock="0x4") == [(2, 0), (2, 1)]
    assert await places(address=small.other.upper().replace("X", "x")) == [(2, 1)]
    assert await places(address=[small.token, small.other], topics=[small.transfer]) == [(2, 0), (2, 1), (9, 0)]
    assert await places(topics=[[small.transfer, small.approval], small.word(1)]) == [(2, 0), (5, 0)]
    assert await places(topics=[None, None, small.word(2)]) == [(2, 0)]
    assert await places(topics=[None, None]) == [(2, 0), (5, 0)]
    assert await places(topics=[small.word(99)]) == []


async def test_logs_of_one_block_are_found_by_its_hash(small: Any, replay: Replay, ask: Any) -> None:
    answer = await ask(replay, "eth_getLogs", {"blockHash": small.hash(2)})
    assert [log["logIndex"] for log in answer["result"]] == ["0x0", "0x1"]
    assert {log["blockHash"] for log in answer["result"]} == {small.hash(2)}
    unknown = await ask(replay, "eth_getLogs", {"blockHash": small.hash(77)})
    assert unknown["error"] == {"code": -32000, "message": "header not found"}
    both = await ask(replay, "eth_getLogs", {"blockHash": small.hash(2), "fromBlock": "0x1"})
    assert both["error"]["code"] == -32602


async def test_logs_beyond_the_head_are_not_shown(
    small: Any, records: list[Record], make_replay: Callable[..., Replay], ask: Any
) -> None:
    replay = make_replay(records, start=4)
    everything = {"fromBlock": "0x0", "toBlock": "0x63"}
    assert len((await ask(replay, "eth_getLogs", everything))["result"]) == 2
    assert (await ask(replay, "eth_getLogs", {"blockHash": small.hash(5)}))["error"]["message"] == "header not found"
    replay.head.advance_to(5)
    assert len((await ask(replay, "eth_getLogs", everything))["result"]) == 3
    assert len((await ask(replay, "eth_getLogs", {"blockHash": small.hash(5)}))["result"]) == 1


async def test_logs_of_filters_that_were_not_recorded_in_full_are_refused(
    small: Any, records: list[Record], make_replay: Callable[..., Replay], ask: Any
) -> None:
    replay = make_replay(records, small.metadata(filters=(CompleteFilter((small.token,), ((small.transfer,),)),)))
    inside = {"fromBlock": "0x0", "toBlock": "0x9", "address": small.token, "topics": [small.transfer, small.word(1)]}
    assert len((await ask(replay, "eth_getLogs", inside))["result"]) == 1
    for change in ({"topics": []}, {"topics": [small.approval]}, {"address": small.other}, {"address": []}):
        assert "backstop_recording" in refusal(await ask(replay, "eth_getLogs", {**inside, **change}))
    refusal(await ask(replay, "eth_getBlockReceipts", "0x2"))
    refusal(await ask(replay, "eth_getTransactionReceipt", small.word(0x7A0000 + 200)))


async def test_a_range_that_is_too_wide_is_refused_like_a_provider_does(
    records: list[Record], make_replay: Callable[..., Replay], ask: Any
) -> None:
    replay = make_replay(records, caps=Caps(blocks=4))
    wide = await ask(replay, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x4"})
    assert wide["error"] == {"code": -32000, "message": "block range is too wide: at most 4 blocks"}
    assert len((await ask(replay, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x3"}))["result"]) == 2


async def test_too_many_results_are_refused_like_a_provider_does(
    small: Any, records: list[Record], make_replay: Callable[..., Replay], ask: Any
) -> None:
    replay = make_replay(records, caps=Caps(logs=1))
    many = await ask(replay, "eth_getLogs", {"blockHash": small.hash(2)})
    assert many["error"] == {"code": -32005, "message": "query returned more than 1 results"}
    receipts = (await ask(replay, "eth_getBlockReceipts", small.hash(2)))["result"]
    assert [log["logIndex"] for receipt in receipts for log in receipt["logs"]] == ["0x0", "0x1"]


async def test_receipts_come_from_complete_logs_only(small: Any, replay: Replay, ask: Any) -> None:
    tx = small.word(0x7A0000 + 201)
    receipt = (await ask(replay, "eth_getTransactionReceipt", tx))["result"]
    assert (receipt["blockNumber"], receipt["status"], len(receipt["logs"])) == ("0x2", "0x1", 1)
    assert "gasUsed" not in receipt
    refusal(await ask(replay, "eth_getTransactionReceipt", small.word(0x7A0000 + 999)))


async def test_a_call_is_answered_at_the_block_it_was_recorded_at(small: Any, replay: Replay, ask: Any) -> None:
    call = {"to": small.token, "data": SUPPLY}
    named = {"blockHash": small.hash(4), "requireCanonical": True}
    for block in ("0x4", named, {"blockNumber": "0x4"}):
        assert (await ask(replay, "eth_call", call, block))["result"] == small.word(5)
    assert (await ask(replay, "eth_call", call))["result"] == small.word(6)
    assert (await ask(replay, "eth_call", {"to": small.token, "input": SUPPLY}, "latest"))["result"] == small.word(6)
    assert "at block 5" in refusal(await ask(replay, "eth_call", call, "0x5"))


async def test_a_call_with_a_sender_or_overrides_is_refused(small: Any, replay: Replay, ask: Any) -> None:
    call = {"to": small.token, "data": SUPPLY}
    assert "with from" in refusal(await ask(replay, "eth_call", {**call, "from": small.other}, "0x4"))
    assert "overrides" in refusal(await ask(replay, "eth_call", call, "0x4", {}))


async def test_a_call_at_a_block_that_does_not_exist_is_an_error(small: Any, replay: Replay, ask: Any) -> None:
    for block in ("0xa", {"blockHash": small.hash(77)}):
        answer = await ask(replay, "eth_call", {"to": small.token, "data": SUPPLY}, block)
        assert answer["error"] == {"code": -32000, "message": "header not found"}


async def test_a_recorded_revert_is_an_answer(small: Any, replay: Replay, ask: Any) -> None:
    answer = await ask(replay, "eth_call", {"to": small.other, "data": BROKEN}, "0x4")
    assert answer["error"] == {"code": 3, "message": "execution reverted: CH_E", "data": REASON}
    silent = await ask(replay, "eth_call", {"to": small.other, "data": "0x"}, "0x4")
    assert silent["error"] == {"code": 3, "message": "execution reverted", "data": "0x"}


async def test_many_calls_in_one_are_put_together_from_single_answers(small: Any, replay: Replay, ask: Any) -> None:
    calls = [
        InnerCall(small.other, BROKEN, True),
        InnerCall(small.token, SUPPLY, False),
        InnerCall(MULTICALL, pack_calls([InnerCall(small.token, SUPPLY, True)]), True),
    ]
    answer = await ask(replay, "eth_call", {"to": MULTICALL, "data": pack_calls(calls)}, "0x4")
    outer = unpack_answers(answer["result"])
    assert outer is not None
    assert outer[:2] == [InnerAnswer(False, REASON), InnerAnswer(True, small.word(5))]
    assert unpack_answers(outer[2].data) == [InnerAnswer(True, small.word(5))]


async def test_one_unrecorded_call_among_many_refuses_them_all(small: Any, replay: Replay, ask: Any) -> None:
    calls = pack_calls([InnerCall(small.token, SUPPLY, True), InnerCall(small.token, UNKNOWN, True)])
    assert UNKNOWN in refusal(await ask(replay, "eth_call", {"to": MULTICALL, "data": calls}, "0x4"))
    strict = pack_calls([InnerCall(small.other, BROKEN, False)])
    assert "must not" in refusal(await ask(replay, "eth_call", {"to": MULTICALL, "data": strict}, "0x4"))
    elsewhere = await ask(replay, "eth_call", {"to": small.other, "data": calls}, "0x4")
    assert "eth_call to 0xbbbb" in refusal(elsewhere)


async def test_storage_and_code_are_answered_where_they_were_recorded(small: Any, replay: Replay, ask: Any) -> None:
    for slot in ("0x5", small.word(5)):
        assert (await ask(replay, "eth_getStorageAt", small.token, slot, "0x3"))["result"] == small.word(77)
    refusal(await ask(replay, "eth_getStorageAt", small.token, "0x5", "0x4"))
    assert (await ask(replay, "eth_getCode", small.token, "0x1"))["result"] == "0x"
    assert (await ask(replay, "eth_getCode", small.token, "0x2"))["result"] == "0xfe"
    refusal(await ask(replay, "eth_getCode", small.other, "0x2"))


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (("eth_getBalance", "0x" + "aa" * 20, "latest"), -32601),
        (("eth_getLogs",), -32602),
        (("eth_getLogs", {"topics": ["0x12"]}), -32602),
        (("eth_getLogs", {"topics": [None] * 5}), -32602),
        (("eth_getLogs", {"address": 5}), -32602),
        (("eth_getLogs", {"fromBlock": "0x3", "toBlock": "0x2"}), -32602),
        (("eth_getBlockByNumber", 3, False), -32602),
        (("eth_getBlockByNumber", "three", False), -32602),
        (("eth_getBlockByHash", "0x12", False), -32602),
        (("eth_call", "0x", "latest"), -32602),
        (("eth_call", {"to": "0x12"}, "latest"), -32602),
        (("eth_call", {"to": "0x" + "aa" * 20, "data": "0x1"}, "latest"), -32602),
    ],
)
async def test_a_question_that_makes_no_sense_gets_a_json_rpc_error(
    replay: Replay, ask: Any, question: tuple[Any, ...], code: int
) -> None:
    answer = await ask(replay, *question)
    assert answer["id"] == 7
    assert answer["error"]["code"] == code
