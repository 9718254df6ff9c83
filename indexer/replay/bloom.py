"""The 2048-bit bloom of a header, from the addresses and topics of its logs (Ethereum yellow paper, 4.3.1)."""

from collections.abc import Iterable
from functools import lru_cache

from eth_utils.crypto import keccak

from indexer.replay.words import ZERO_BLOOM


@lru_cache(maxsize=65_536)
def bloom_bits(word: str) -> int:
    """The three bits one address or topic sets; `word` is 0x hex."""
    digest = keccak(hexstr=word)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def compute_bloom(words: Iterable[str]) -> str | None:
    """The bloom of all addresses and topics of a block as 0x hex, None when there are none."""
    bits = 0
    for word in words:
        bits |= bloom_bits(word)
    return "0x" + bits.to_bytes(256, "big").hex() if bits else None


def may_contain(bloom: str | None, word: str) -> bool:
    """False when the bloom proves that no log of the block has this address or topic."""
    bits = bloom_bits(word)
    return int(bloom or ZERO_BLOOM, 16) & bits == bits
