"""web3 through the pool, against a real node."""

import re
from collections.abc import Callable

import pytest
from eth_utils.crypto import keccak
from web3.exceptions import ContractLogicError

from indexer.rpc.bridge import IMPLEMENTATION_SLOT, read_implementation, web3_on
from indexer.rpc.errors import UnavailableError
from indexer.rpc.pool import ProviderPool
from indexer.specs import ChainSpec
from tests.rigs.anvil import AnvilNode

PROXY, CODE = "0x" + "11" * 20, "0x" + "22" * 20
REVERTS = "0x60006000fd"  # PUSH1 0 PUSH1 0 REVERT


def terms() -> ChainSpec:
    return ChainSpec(id=31337, slug="local", name="Local")


def test_the_slot_is_the_standards() -> None:
    assert int.from_bytes(keccak(text="eip1967.proxy.implementation"), "big") - 1 == IMPLEMENTATION_SLOT


async def test_web3_reads_a_proxys_implementation_through_the_pool(start_node: Callable[..., AnvilNode]) -> None:
    node = start_node()
    async with ProviderPool(terms(), ["http://127.0.0.1:9/", node.url]) as pool:
        assert await read_implementation(pool, PROXY) is None
        slot, value = hex(IMPLEMENTATION_SLOT), "0x" + CODE[2:].rjust(64, "0")
        await pool.request("anvil_setStorageAt", [PROXY, slot, value])
        assert await read_implementation(pool, PROXY) == CODE


async def test_a_revert_reaches_web3_as_its_own_error(start_node: Callable[..., AnvilNode]) -> None:
    node = start_node()
    async with ProviderPool(terms(), [node.url]) as pool:
        await pool.request("anvil_setCode", [PROXY, REVERTS])
        web3 = web3_on(pool)
        with pytest.raises(ContractLogicError):
            await web3.eth.call({"to": web3.to_checksum_address(PROXY), "data": "0x"})  # type: ignore[typeddict-item]


async def test_no_provider_is_the_pools_error_not_web3s() -> None:
    async with ProviderPool(terms(), ["http://127.0.0.1:9/"]) as pool:
        with pytest.raises(UnavailableError, match=re.escape("127.0.0.1:9")):
            await web3_on(pool).eth.get_block("latest")
