"""aggregate3 by hand: selectors, nested types, answers that reverted or are garbage, state that is missing."""

import pytest
from eth_abi.abi import encode

from indexer.adapter import AdapterError, ContractCall
from indexer.aggregate3 import SELECTOR
from indexer.rpc.errors import RequestError, RevertError, StateMissingError
from indexer.rpc.multicall import (
    answer_of,
    argument_types,
    decode_aggregate3,
    encode_aggregate3,
    encode_call,
)

TOKEN = "0x" + "11" * 20
BALANCE = ContractCall(TOKEN, "balanceOf(address)", ("0x" + "22" * 20,))
CH_IIC = bytes.fromhex("08c379a0") + encode(("string",), ("CH_IIC",))


def test_selectors_are_those_of_the_specification() -> None:
    assert SELECTOR.hex() == "82ad56cb"  # Multicall3's source
    assert encode_call(BALANCE).hex() == "70a08231" + ("22" * 20).rjust(64, "0")  # EIP-20


def test_types_inside_brackets_do_not_split() -> None:
    assert argument_types("f(uint256,(address,bool)[],bytes)") == ("uint256", "(address,bool)[]", "bytes")
    assert argument_types("latestRoundData()") == ()


def test_each_call_gets_its_own_answer() -> None:
    calls = [BALANCE] * 4
    results = [(True, encode(("uint256",), (42,))), (False, CH_IIC), (False, b""), (True, b"\x01")]
    answers = decode_aggregate3(calls, encode(("(bool,bytes)[]",), (results,)))
    assert answers[0].values == (42,)
    assert answers[1].error == "reverted: CH_IIC"
    assert answers[2].error == "reverted"
    assert answers[3].error is not None
    assert answers[3].error.startswith("garbage: balanceOf(address)")
    assert not any(answer.is_missing for answer in answers)


def test_an_address_without_code_is_garbage_with_a_question() -> None:
    (answer,) = decode_aggregate3([BALANCE], encode(("(bool,bytes)[]",), ([(True, b"")],)))
    assert answer.error is not None
    assert "is there a contract?" in answer.error


def test_an_answer_to_another_number_of_calls_is_refused() -> None:
    with pytest.raises(ValueError, match="answered 1 of 2"):
        decode_aggregate3([BALANCE] * 2, encode(("(bool,bytes)[]",), ([(True, b"")],)))
    with pytest.raises(ValueError, match="end before byte"):
        decode_aggregate3([BALANCE], b"\x00")


def test_a_single_call_tells_a_revert_from_missing_state_from_an_outage() -> None:
    assert answer_of(BALANCE, RevertError("execution reverted")).error == "reverted: execution reverted"
    missing = answer_of(BALANCE, StateMissingError("a.example: not recorded"))
    assert missing.is_missing
    assert missing.error == "missing: a.example: not recorded"
    assert answer_of(BALANCE, "0x" + "00" * 31 + "07").values == (7,)
    with pytest.raises(RequestError):
        answer_of(BALANCE, RequestError("no key"))


def test_arguments_that_do_not_fit_name_the_call() -> None:
    with pytest.raises(AdapterError, match=r"balanceOf\(address\)"):
        encode_call(ContractCall(TOKEN, "balanceOf(address)", (-1,)))


def test_the_whole_call_holds_every_target() -> None:
    data = encode_aggregate3([BALANCE, ContractCall("0x" + "33" * 20, "totalSupply()")])
    assert data[:4] == SELECTOR
    assert bytes.fromhex("11" * 20) in data
    assert bytes.fromhex("33" * 20) in data
