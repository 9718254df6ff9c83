"""Calls are encoded by signature."""

import pytest

from indexer.replay.scenario.artifacts import ScenarioError
from indexer.replay.scenario.chain import Call, Chain

HOLDER = "0x" + "11" * 20


def test_a_call_is_its_selector_and_padded_arguments() -> None:
    # transfer(address,uint256) has the well-known selector a9059cbb.
    call = Call(HOLDER, "transfer(address,uint256)", (HOLDER, 255))
    assert call.data == "0xa9059cbb" + "00" * 12 + "11" * 20 + "00" * 31 + "ff"


def test_a_comma_inside_a_tuple_does_not_separate_arguments() -> None:
    # aggregate3((address,bool,bytes)[]) has the published selector 82ad56cb.
    call = Call(HOLDER, "aggregate3((address,bool,bytes)[])", ([(HOLDER, True, b"\x01")],))
    assert call.data.startswith("0x82ad56cb")


def test_one_value_is_given_bare_and_several_as_a_tuple() -> None:
    word = "00" * 31 + "07"
    assert Call(HOLDER, "f()", (), ("uint256",)).decode("0x" + word) == 7
    assert Call(HOLDER, "f()", (), ("uint256", "uint256")).decode("0x" + word + word) == (7, 7)


def test_a_silent_node_is_named_with_its_port() -> None:
    with pytest.raises(ScenarioError, match="the node on port 1 does not answer"):
        Chain(port=1, clock=0, creation_code={}).rpc("eth_chainId")
