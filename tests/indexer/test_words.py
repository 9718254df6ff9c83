"""Generated slicing decoders against eth_abi, and signatures against topics known from outside."""

from dataclasses import dataclass
from typing import Any

import eth_abi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.adapters import aave_v2, address_fund, morpho_blue, perp_v2_curie
from indexer.words import Event, WordsError, address_topic, split_types

ADDRESS = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "address": ADDRESS,
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    **{f"uint{bits}": st.integers(0, 2**bits - 1) for bits in (8, 24, 128, 256)},
    **{f"int{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (24, 128, 256)},
}

TOPICS = {
    perp_v2_curie: {
        "BAD_DEBT_SETTLED": "0x73bac9d49ae6f49cdba3f7381211c12a239898097e5dfdfefcbb904f8b669238",
        "PNL_REALIZED": "0xebf4e69d81451d269fc4d9551b06d58bea2ed426d2c528919ce45f6070946efb",
        "COLLATERAL_LIQUIDATED": "0xbd3320c61b99a54ed3537dce8a75020f70b61d6dd124b6aa28738d1bab9bf77d",
        "POSITION_LIQUIDATED": "0xd9aced30440caca81570436bc942f816cfd95a3f08f700a2aeb6334c7cb5b497",
        "POSITION_CHANGED": "0x968bc4f738eae0486dc6736c4b427dbafa4acfdf6eaf223337791ddeb3a56247",
        "POSITION_CLOSED": "0x90195cdfd4796e4ab1175fced26945fa837ef5989e372fcd306856d8ad0ff23b",
        "LIQUIDITY_CHANGED": "0xcb47d8bf351d355bdd5497973533eada41777b4509f2585a62ae246336ebaa94",
        "REPAID": "0x81472a96709c8315c82af40d41ef624a642ad53864b097e53af675593bb4e035",
        "FEE_DISTRIBUTED": "0x5b3735d487e9342fbcf11df79c2146f60ffabadb4d2e31ced107fe4346cd21ef",
        "THRESHOLD_CHANGED": "0x826e0631e894a92cd7dee323bccc25ed3a6bee87e9bd0cbc957767dc44ad4a65",
        "BENEFICIARY_CHANGED": "0x6d932b1f34b8232aeb85a714eecbab101e949e9df57611b94a68ccc68df23fa8",
        "OWNERSHIP_TRANSFERRED": "0x8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0",
        "DEPOSITED": "0x8752a472e571a816aea92eec8dae9baf628e840f4929fbcc2d155e6233ff68a7",
        "WITHDRAWN": "0xd1c19fbcd4551a5edfb66d43d2e337c04837afda3482b42bdf569a8fccdae5fb",
        "POOL_ADDED": "0x8b17db32f8ec22477a8f9475d5b92052ef2ce8c6c73ad79be1eb297a8fdd2ff1",
        "FUND_FEE_RATIO_CHANGED": "0x4f2c8571cf1c1d45fa37ea4bd4ae08b528b6db54a9409cce6eb0023fb87d5e88",
        "FEE_RATIO_CHANGED": "0x8129297a1a8d252870739804c1d9cdbc86121230ce172c23ec11a940ccab01ef",
        "PENALTY_RATIO_CHANGED": "0xf95b3e2798060899824a0bebdd89ff5df3d51c51c5d30f5184bd30d7a6b01708",
        "COLLATERAL_FEE_RATIO_CHANGED": "0x202cd03b2f9dc14bd41e38a741fa7f1fad98599419089f660e6b0692dd99b645",
        "STATUS_UPDATED": "0x7101a660456a4e2f94e6b0ccd3d6a034724e26130a817471aaf5a3de8fba384a",
        "TRANSFER": "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    },
    morpho_blue: {
        "LIQUIDATE": "0xa4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41",
        "CREATE_MARKET": "0xac4b2400f169220b0c0afdde7a0b32e775ba727ea1cb30b35f935cdaab8683ac",
        "ACCRUE_INTEREST": "0x9d9bd501d0657d7dfe415f779a620a62b78bc508ddc0891fbbd8b7ac0f8fce87",
        "BORROW": "0x570954540bed6b1304a87dfe815a5eda4a648f7097a16240dcd85c9b5fd42a43",
        "REPAY": "0x52acb05cebbd3cd39715469f22afbf5a17496295ef3bc9bb5944056c63ccaa09",
        "SUPPLY": "0xedf8870433c83823eb071d3df1caa8d008f12f6440918c20d75a3602cda30fe0",
        "WITHDRAW": "0xa56fc0ad5702ec05ce63666221f796fb62437c32db1aa1aa075fc6484cf58fbf",
        "SET_FEE": "0x139d6f58e9a127229667c8e3b36e88890a66cfc8ab1024ddc513e189e125b75b",
    },
    aave_v2: {"LIQUIDATION_CALL": "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"},
    address_fund: {"TRANSFER": "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"},
}


@dataclass(frozen=True)
class Emission:
    """Topics and data of a log."""

    topics: tuple[str, ...]
    data: str


def emission(event: Event, kinds: list[str], values: list[Any]) -> Emission:
    """The log that eth_abi says the event with these values is."""
    words = ["0x" + eth_abi.encode([kind], [value]).hex() for kind, value in zip(kinds, values, strict=True)]
    flags = [parameter.is_indexed for parameter in event.parameters]
    topics = [word for word, flag in zip(words, flags, strict=True) if flag]
    data = [word[2:] for word, flag in zip(words, flags, strict=True) if not flag]
    return Emission((event.topic0, *topics), "0x" + "".join(data))


@pytest.mark.parametrize(
    ("module", "name", "topic0"), [(m, name, topic) for m, names in TOPICS.items() for name, topic in names.items()]
)
def test_a_signature_hashes_to_the_topic_the_contracts_emit(module: Any, name: str, topic0: str) -> None:
    assert getattr(module, name).topic0 == topic0


@settings(max_examples=60)
@given(st.data())
def test_every_fixed_width_word_decodes_as_eth_abi_says(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=9))
    indexed = data.draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    marks = [flag and sum(indexed[: k + 1]) <= 3 for k, flag in enumerate(indexed)]
    members = [
        f"{kind} {'indexed ' if mark else ''}p{k}" for k, (kind, mark) in enumerate(zip(kinds, marks, strict=True))
    ]
    event = Event(f"Thing({', '.join(members)})")
    values = [data.draw(WORDS[kind]) for kind in kinds]
    found = event.values(emission(event, kinds, values))
    expected = ["0x" + value.hex() if isinstance(value, bytes) else value for value in values]
    assert list(found) == expected


def test_a_static_tuple_is_flattened_and_kept_in_the_signature() -> None:
    event = Event("CreateMarket(bytes32 indexed id, (address,address,address,address,uint256) marketParams)")
    assert event.canonical == "CreateMarket(bytes32,(address,address,address,address,uint256))"
    tokens = [f"0x{k:040x}" for k in range(1, 5)]
    data = eth_abi.encode(["(address,address,address,address,uint256)"], [(*tokens, 86 * 10**16)])
    found = event.values(Emission((event.topic0, "0x" + "ab" * 32), "0x" + data.hex()))
    assert found == ("0x" + "ab" * 32, *tokens, 86 * 10**16)


def test_commas_inside_brackets_do_not_split() -> None:
    assert split_types("a,(b,(c,d)),e") == ["a", "(b,(c,d))", "e"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [("uint24", 2**24), ("int24", 2**23), ("bool", 2), ("address", 2**160), ("uint128", 2**255), ("int128", 2**255)],
)
def test_a_word_outside_its_type_is_refused(kind: str, word: int) -> None:
    event = Event(f"Thing({kind} value)")
    with pytest.raises(WordsError):
        event.values(Emission((event.topic0,), f"0x{word:064x}"))


def test_an_event_of_the_same_name_with_other_indexing_is_refused_with_both_layouts() -> None:
    # An ERC-721 Transfer has the topic0 of ERC-20's but four topics and no data.
    word = address_topic("0x" + "11" * 20)
    with pytest.raises(WordsError, match="4 topics and 0 bytes of data, expected 3 and 32"):
        address_fund.TRANSFER.values(Emission((address_fund.TRANSFER.topic0, word, word, word), "0x"))


def test_a_type_without_fixed_width_is_refused() -> None:
    with pytest.raises(WordsError, match="string"):
        Event("Named(string name)").values(Emission((Event("Named(string name)").topic0,), "0x" + "0" * 64))
