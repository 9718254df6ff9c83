"""JSON-RPC parameters as clients write them, read into exact values; anything odd is a fault, never a guess."""

from __future__ import annotations

import re
from typing import Any

from indexer.replay.faults import RpcError, invalid, not_recorded
from indexer.replay.filters import CompleteFilter
from indexer.replay.recording import HeaderRecord
from indexer.replay.tape import Tape

_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")
_ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
_HASH = re.compile("0x[0-9a-fA-F]{64}")
_DATA = re.compile("0x([0-9a-fA-F]{2})*")


class Moment:
    """A recording as one request (or one whole batch) sees it: the head does not move in between."""

    def __init__(self, tape: Tape, head: int, finalized: int) -> None:
        self.tape = tape
        self.head = head
        self.finalized = finalized

    def resolve(self, block: Any) -> int:  # Any: whatever a client sent.
        """The block number a number or tag means; may lie beyond the head."""
        tags = {
            "earliest": self.tape.first,
            "latest": self.head,
            "pending": self.head,
            "safe": self.finalized,
            "finalized": self.finalized,
        }
        if isinstance(block, str) and block in tags:
            return tags[block]
        return parse_quantity(block, "block")

    def header(self, number: int) -> HeaderRecord | None:
        """A visible header, None beyond the head; below the recording the question was not recorded."""
        if number > self.head:
            return None
        if number < self.tape.first:
            raise not_recorded(f"block {number}: the recording begins at block {self.tape.first}")
        return self.tape.header(number)

    def header_by_hash(self, block_hash: str) -> HeaderRecord | None:
        """A visible header by its hash, None for one this chain doesn't have (yet)."""
        number = self.tape.number_of.get(block_hash)
        if number is not None:
            return self.header(number)
        if self.tape.first > 0 and block_hash == self.tape.headers[0].parent:
            raise not_recorded(f"block {block_hash}: the recording begins at block {self.tape.first}")
        return None

    def state_at(self, block: Any) -> int:
        """The block a state question is about: number, tag, {blockHash} or {blockNumber}; a fault if it has none."""
        if isinstance(block, dict):
            if "blockHash" in block:
                header = self.header_by_hash(parse_hash(block["blockHash"], "blockHash"))
            else:
                header = self.header(parse_quantity(block.get("blockNumber"), "blockNumber"))
        else:
            header = self.header(self.resolve(block))
        if header is None:
            raise RpcError(-32000, "header not found")
        return header.number


def parse_quantity(value: Any, name: str) -> int:
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise invalid(f"{name} must be 0x hex or a tag, not {value!r}")
    return int(value, 16)


def parse_hash(value: Any, name: str) -> str:
    return _parse(value, name, _HASH, "32 bytes of 0x hex")


def parse_address(value: Any, name: str) -> str:
    return _parse(value, name, _ADDRESS, "20 bytes of 0x hex")


def parse_slot(value: Any) -> str:
    """A storage slot, written short or long, as 32 bytes."""
    return f"0x{parse_quantity(value, 'slot'):064x}"


def parse_call(value: Any) -> tuple[str, str]:
    """Target and data of an eth_call. A sender or value could change the answer, so such a call was never recorded."""
    if not isinstance(value, dict):
        raise invalid("the call must be an object")
    extra = sorted(set(value) - {"to", "data", "input"})
    if extra:
        raise not_recorded(f"eth_call with {', '.join(extra)}: recordings hold calls made of to and data only")
    data = value.get("input", value.get("data", "0x"))
    return parse_address(value.get("to"), "to"), _parse(data, "data", _DATA, "0x hex")


def parse_filter(value: dict[str, Any]) -> CompleteFilter:
    """Address and topics of an eth_getLogs filter."""
    addresses = value.get("address")
    if isinstance(addresses, str):
        addresses = [addresses]
    topics = value.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4 or not isinstance(addresses, list | None):
        raise invalid("address must be one or a list, topics a list of at most 4")
    return CompleteFilter(
        # An empty list asks for any address, as in go-ethereum.
        tuple(parse_address(each, "address") for each in addresses) if addresses else None,
        tuple(_parse_topic(each) for each in topics),
    )


def _parse_topic(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    words = value if isinstance(value, list) else [value]
    # null inside a list, and an empty list, match anything, as in go-ethereum.
    return None if not words or None in words else tuple(parse_hash(word, "topic") for word in words)


def _parse(value: Any, name: str, shape: re.Pattern[str], wanted: str) -> str:
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise invalid(f"{name} must be {wanted}, not {value!r}")
    return value.lower()
