"""receiptsRoot from receipts: against headers that a real node hashed, a real old block, the OP stack's own rule."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from indexer.receipts import proved_logs, receipts_root
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header, Receipt
from tests.rigs.anvil import AnvilNode
from tests.rigs.transfer_chain import SENDER, WALLET, AnvilChain

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Anvil's first account, the one that sends: published with anvil, worth nothing."""
DATA = "0x" + WALLET[2:].rjust(64, "0") + f"{5:064x}"
NO_LOGS = "0x" + "00" * 256


def mined(chain: AnvilChain) -> tuple[Header, list[Receipt], list[Any]]:
    """The next block: its header, its receipts, and what eth_getLogs says of it."""
    chain.mine()
    block = chain.ask("eth_getBlockByNumber", "latest", False)
    receipts = msgspec.convert(chain.ask("eth_getBlockReceipts", block["number"]), list[Receipt])
    header = Header(int(block["number"], 16), block["hash"], block["parentHash"], int(block["timestamp"], 16),
                    receipts_root=block["receiptsRoot"])  # fmt: skip
    return header, receipts, chain.ask("eth_getLogs", {"blockHash": block["hash"]})


def send(chain: AnvilChain, **fields: Any) -> None:
    body = {"from": SENDER, "to": chain.token, "data": DATA, "gas": "0x20000", **fields}
    chain.ask("eth_sendTransaction", body)


def send_with_authorization(chain: AnvilChain) -> None:
    account, nonce = Account.from_key(KEY), int(chain.ask("eth_getTransactionCount", SENDER, "latest"), 16)
    token = to_checksum_address(chain.token)
    permit = account.sign_authorization({"chainId": 31337, "address": token, "nonce": nonce + 1})
    signed = account.sign_transaction(
        {"type": 4, "chainId": 31337, "to": token, "data": DATA, "gas": 0x40000, "maxFeePerGas": 2 * 10**9,
         "maxPriorityFeePerGas": 1, "value": 0, "nonce": nonce, "authorizationList": [permit]}
    )  # fmt: skip
    chain.ask("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())


@pytest.fixture
def chain(start_node: Callable[..., AnvilNode]) -> AnvilChain:
    """A node that mines when told to and knows the OP stack's deposits."""
    made = AnvilChain(start_node("--no-mining", "--optimism").url)
    made.deploy()
    return made


def test_receipts_of_every_type_hash_to_the_root_that_a_node_put_into_its_header(chain: AnvilChain) -> None:
    send(chain, type="0x0", gasPrice="0x77359400")
    send(chain, type="0x1", gasPrice="0x77359400", accessList=[])
    send(chain, type="0x2", maxFeePerGas="0x77359400", maxPriorityFeePerGas="0x1")
    header, receipts, logs = mined(chain)
    assert sorted(receipt.type for receipt in receipts) == ["0x0", "0x1", "0x2"]
    proved = proved_logs(reversed(receipts), header, "node")
    assert [log.log_index for log in proved] == [log["logIndex"] for log in logs] == ["0x0", "0x1", "0x2"]
    send_with_authorization(chain)
    header, receipts, _ = mined(chain)
    assert [receipt.type for receipt in receipts] == ["0x4"]
    assert len(proved_logs(receipts, header, "node")) == 1
    chain.close()


def test_a_deposit_of_the_op_stack_hashes_with_its_nonce_since_canyon_and_without_before(chain: AnvilChain) -> None:
    send(chain, type="0x7e", sourceHash="0x" + "11" * 32, mint="0x0", isSystemTx=False, value="0x0")
    header, (receipt,), _ = mined(chain)
    chain.close()
    assert (receipt.type, receipt.deposit_receipt_version) == ("0x7E", "0x1")
    assert receipts_root([receipt]) == header.receipts_root
    unversioned = msgspec.structs.replace(receipt, deposit_receipt_version=None)
    without = msgspec.structs.replace(unversioned, deposit_nonce=None)
    assert receipts_root([unversioned]) == receipts_root([without]) != header.receipts_root


def test_the_first_transaction_of_ethereum_hashes_with_its_state_root() -> None:
    # Block 46147: one transfer, before Byzantium; both hashes are on every explorer.
    root = "0x96a8e009d2b88b1483e6941e6812e32263b05683fac202abc622a3e31aed1957"
    receipt = Receipt([], "0x0", "0x5208", NO_LOGS, root=root)
    assert receipts_root([receipt]) == "0xfe2bf2a941abf41d72637e5b91750332a30283efd40c424dc522b77e6f0ed8c4"


def test_an_empty_block_has_the_root_of_the_empty_trie() -> None:
    assert receipts_root([]) == "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


def test_more_receipts_than_one_byte_can_number_are_still_in_their_place(chain: AnvilChain) -> None:
    chain.ask("evm_setBlockGasLimit", hex(10**9))
    for _ in range(130):
        send(chain)
    header, receipts, logs = mined(chain)
    chain.close()
    assert len(receipts) == len(logs) == 130
    assert receipts_root(receipts) == header.receipts_root


@pytest.mark.parametrize("lie", ["left out", "other amount", "other place", "other block", "no outcome"])
def test_receipts_that_are_not_the_headers_are_refused(chain: AnvilChain, lie: str) -> None:
    send(chain)
    send(chain)
    header, (first, second), _ = mined(chain)
    chain.close()
    (log,) = second.logs
    replace = msgspec.structs.replace
    told = {
        "left out": replace(second, logs=[]),
        "other amount": replace(second, logs=[replace(log, data="0x" + f"{6:064x}")]),
        "other place": replace(second, logs=[replace(log, log_index="0x7")]),
        "other block": replace(second, logs=[replace(log, block_hash="0x" + "ee" * 32)]),
        "no outcome": replace(second, status=None),
    }[lie]
    assert len(proved_logs([first, second], header, "node")) == 2
    with pytest.raises(UntruthError, match="receipt"):
        proved_logs([first, told], header, "node")
