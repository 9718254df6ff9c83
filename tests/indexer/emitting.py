"""Makes logs as a chain would, for tests of adapters."""

from typing import Any

import eth_abi

from indexer.adapter import Log
from indexer.words import Event


def log_of(event: Event, address: str, *values: Any, tx: int = 1, index: int = 0, block: int = 7) -> Log:
    """The log of an event with these (flattened) values."""
    words = [
        eth_abi.encode([parameter.type], [bytes.fromhex(v[2:]) if parameter.type == "bytes32" else v]).hex()
        for parameter, v in zip(event.parameters, values, strict=True)
    ]
    flags = [parameter.is_indexed for parameter in event.parameters]
    return Log(
        address=address,
        topics=(event.topic0, *("0x" + word for word, flag in zip(words, flags, strict=True) if flag)),
        data="0x" + "".join(word for word, flag in zip(words, flags, strict=True) if not flag),
        block_number=hex(block),
        block_hash=f"0x{block:064x}",
        transaction_hash=f"0x{tx:064x}",
        log_index=hex(index),
    )


def account(number: int) -> str:
    """An address that is easy to tell from others."""
    return f"0x{number:040x}"
