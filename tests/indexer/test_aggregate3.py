"""aggregate3 by hand gives what the general codec gives, and garbage is refused."""

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from indexer.aggregate3 import SELECTOR, PackingError, pack_answers, pack_calls, unpack_answers, unpack_calls

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
CALLS = st.lists(st.tuples(ADDRESSES, st.booleans(), st.binary(max_size=140)), max_size=8)
ANSWERS = st.lists(st.tuples(st.booleans(), st.binary(max_size=140)), max_size=8)


def test_the_selector_is_the_functions() -> None:
    assert keccak(text="aggregate3((address,bool,bytes)[])")[:4] == SELECTOR


@given(CALLS)
def test_calls_are_packed_as_the_general_codec_packs_them(calls: list[tuple[str, bool, bytes]]) -> None:
    packed = pack_calls(calls)
    assert packed == SELECTOR + encode(["(address,bool,bytes)[]"], [calls])
    assert unpack_calls(packed) == calls


@given(ANSWERS)
def test_answers_are_packed_as_the_general_codec_packs_them(answers: list[tuple[bool, bytes]]) -> None:
    packed = pack_answers(answers)
    assert packed == encode(["(bool,bytes)[]"], [answers])
    assert unpack_answers(packed) == answers


@given(ANSWERS.filter(bool), st.data())
def test_a_cut_answer_is_refused(answers: list[tuple[bool, bytes]], data: st.DataObject) -> None:
    packed = pack_answers(answers)
    kept = data.draw(st.integers(0, len(packed) - 33))
    with pytest.raises(PackingError):
        unpack_answers(packed[:kept])


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read_as_the_general_codec_reads_them(noise: bytes) -> None:
    try:
        found = unpack_answers(noise)
    except PackingError:
        return
    assert list(decode(["(bool,bytes)[]"], noise, strict=False)[0]) == found


def test_a_promise_of_endless_entries_is_refused_at_once() -> None:
    with pytest.raises(PackingError, match="does not fit"):
        unpack_answers((32).to_bytes(32, "big") + (2**255).to_bytes(32, "big"))
