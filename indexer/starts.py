"""The first block of a fund's contracts: what its file says, what was found before, or a bisection of eth_getCode."""

from collections.abc import Sequence

from indexer.adapter import AdapterError
from indexer.rpc.errors import RequestError, StateMissingError
from indexer.rpc.reader import ChainReader


class NotDeployedError(AdapterError):
    """No code by the last final block: a wrong address, or a contract so new that it may still vanish in a reorg."""


async def find_start(reader: ChainReader, contracts: Sequence[str], finalized: int) -> int:
    """The lowest block in which one of the contracts has code (some twenty questions each).

    Raises NotDeployedError when none has code by the finalized block, AdapterError when no provider keeps old state.
    """
    if not contracts:
        raise AdapterError("the fund file names no contract and no start_block: add one of them")
    try:
        found = [await first_block_with_code(reader, contract, finalized) for contract in contracts]
    except (StateMissingError, RequestError) as error:
        raise AdapterError(f"its first block cannot be found ({error}): add start_block to the fund file") from error
    deployed = [number for number in found if number is not None]
    if not deployed:
        raise NotDeployedError(
            f"no contract at {', '.join(contracts)} by block {finalized}: check addresses and chain in the fund file"
        )
    return min(deployed)


async def first_block_with_code(reader: ChainReader, address: str, last: int) -> int | None:
    """Bisection over blocks 0…last; None where the address has no code at `last` (a plain account)."""
    if not await reader.code(address, last):
        return None
    low, high = -1, last
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if await reader.code(address, middle) else (middle, high)
    return high
