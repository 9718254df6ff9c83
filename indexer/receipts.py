"""Rung 4: all logs of a block proved by its header, since the receipts holding them hash to its receiptsRoot. Pure."""

from collections.abc import Iterable, Sequence

import rlp
from trie.hexary import HexaryTrie

from indexer.adapter import Log
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header, Receipt

OP_DEPOSIT = 0x7E


def receipts_root(receipts: Sequence[Receipt]) -> str:
    """The root of the trie index → receipt, as a header carries it (Yellow Paper, 4.3.2; EIP-2718)."""
    trie = HexaryTrie({})
    for at, receipt in enumerate(receipts):
        trie[rlp.encode(at)] = encoded(receipt)
    return "0x" + trie.root_hash.hex()


def encoded(receipt: Receipt) -> bytes:
    """The receipt as consensus hashes it: the type's byte, unless legacy, then the list of its fields."""
    # A receipt of any type has the same fields; only the OP stack's deposits add theirs, and only since Canyon.
    fields = [
        outcome(receipt),
        int(receipt.cumulative_gas_used, 16),
        bytes_of(receipt.logs_bloom),
        [
            [bytes_of(log.address), [bytes_of(topic) for topic in log.topics], bytes_of(log.data)]
            for log in receipt.logs
        ],
    ]
    kind = int(receipt.type, 16)
    if kind == OP_DEPOSIT and receipt.deposit_receipt_version is not None:
        fields += [int(receipt.deposit_nonce or "0x0", 16), int(receipt.deposit_receipt_version, 16)]
    payload: bytes = rlp.encode(fields)
    return bytes([kind]) + payload if kind else payload


def outcome(receipt: Receipt) -> int | bytes:
    """Its first field: the status, or the state root of old blocks."""
    if receipt.status is not None:
        return int(receipt.status, 16)
    if receipt.root is not None:
        return bytes_of(receipt.root)
    raise UntruthError(f"receipt {int(receipt.transaction_index, 16)} has neither status nor root")


def bytes_of(text: str) -> bytes:
    """The bytes of 0x text."""
    return bytes.fromhex(text[2:])


def proved_logs(receipts: Iterable[Receipt], header: Header, where: str) -> list[Log]:
    """All logs of the block in order; raises UntruthError when they are not the ones the header was made from.

    Proved are contract, topics, data and place of each; its transaction's hash stands in no receipt.
    """
    ordered = sorted(receipts, key=lambda receipt: int(receipt.transaction_index, 16))
    found = receipts_root(ordered)
    if found != header.receipts_root:
        raise UntruthError(
            f"{where}: receipts of block {header.number} hash to {found}, its header says {header.receipts_root}"
        )
    logs = [log for receipt in ordered for log in receipt.logs]
    if any(log.block_hash != header.hash or int(log.log_index, 16) != at for at, log in enumerate(logs)):
        raise UntruthError(f"{where}: logs in the receipts of block {header.number} name another block or place")
    return logs
