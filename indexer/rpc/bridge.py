"""web3 on the pool: contract work by hand or in a notebook shares providers, pace and failover with the indexer.

Not for the hot path: web3 parses a log two hundred times as slowly as the pool's own structs.
"""

from typing import Any

from web3 import AsyncWeb3
from web3.providers.async_base import AsyncBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from indexer.rpc.errors import RevertError
from indexer.rpc.pool import ProviderPool

EXECUTION_REVERTED = 3

# EIP-1967: keccak256("eip1967.proxy.implementation") - 1, where a proxy keeps the code it runs.
IMPLEMENTATION_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC


class PoolProvider(AsyncBaseProvider):
    """A web3 provider whose requests the pool answers; it never retries by itself, the pool does."""

    def __init__(self, pool: ProviderPool) -> None:
        super().__init__()
        self._pool = pool

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request; a revert is an answer for web3 to raise, everything else is the pool's ChainError."""
        try:
            return {"jsonrpc": "2.0", "id": 0, "result": await self._pool.request(method, params)}
        except RevertError as error:
            return {"jsonrpc": "2.0", "id": 0, "error": {"code": EXECUTION_REVERTED, "message": str(error)}}


def web3_on(pool: ProviderPool) -> AsyncWeb3[PoolProvider]:
    """web3 whose every request goes through the pool."""
    return AsyncWeb3(PoolProvider(pool))


async def read_implementation(pool: ProviderPool, address: str) -> str | None:
    """The implementation an EIP-1967 proxy points to at the head, None where the slot is empty; raises ChainError."""
    web3 = web3_on(pool)
    slot = await web3.eth.get_storage_at(web3.to_checksum_address(address), IMPLEMENTATION_SLOT)
    return None if int.from_bytes(slot, "big") == 0 else "0x" + bytes(slot)[-20:].hex()
