"""What a header means for the blocks we hold: append, look further, roll back, nothing, or halt. Pure and total.

A lower head is no reorg, no height alone ever is: only another hash where we hold one, or a parent that is not ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from indexer.rpc.reader import Header


@dataclass(frozen=True)
class BlockRef:
    """A block by height and hash."""

    number: int
    hash: str


@dataclass(frozen=True)
class Append:
    """The header is the next block of our chain."""


@dataclass(frozen=True)
class Gap:
    """Nothing can be said before the header at this height is seen."""

    need: int


@dataclass(frozen=True)
class Rollback:
    """Our blocks above `to` were replaced; the header is the first of the new branch."""

    to: BlockRef


@dataclass(frozen=True)
class Same:
    """The header tells nothing new."""


@dataclass(frozen=True)
class Halt:
    """A final block changed: we no longer know what is true and delete nothing."""

    reason: str


Step = Append | Gap | Rollback | Same | Halt


class Tail:
    """The blocks we hold above the last final one, dense and ascending; the first is final and never rolled back."""

    def __init__(self, blocks: Sequence[BlockRef]) -> None:
        if not blocks or any(b.number != a.number + 1 for a, b in pairwise(blocks)):
            raise ValueError(f"a tail is dense and has at least its final block, got {[b.number for b in blocks]}")
        self.blocks = tuple(blocks)

    @property
    def anchor(self) -> BlockRef:
        """The final block everything hangs on."""
        return self.blocks[0]

    @property
    def tip(self) -> BlockRef:
        """The highest block we hold."""
        return self.blocks[-1]

    def at(self, number: int) -> BlockRef:
        """The block we hold at that height (anchor.number ≤ number ≤ tip.number)."""
        return self.blocks[number - self.anchor.number]

    def moved(self, to: BlockRef) -> "Tail | None":
        """The tail whose tip is `to`: one block longer, or cut back to a block it holds; None where neither holds."""
        if to.number == self.tip.number + 1:
            return Tail([*self.blocks, to])
        kept = self.blocks[: max(0, to.number - self.anchor.number + 1)]
        return Tail(kept) if kept and kept[-1] == to else None

    def anchored(self, at: BlockRef) -> "Tail | None":
        """The tail from `at` on, which is final now; None where it holds no such block."""
        rest = self.blocks[max(0, at.number - self.anchor.number) :]
        return Tail(rest) if rest and rest[0] == at else None


def links(parent_hash: str, header: Header) -> bool:
    """The parent-hash check: whether the header's block stands on the block with that hash."""
    return header.parent_hash == parent_hash


def reconcile(tail: Tail, header: Header) -> Step:
    """The one step, for any tail and any header."""
    above = header.number - tail.tip.number
    if above > 1:
        return Gap(tail.tip.number + 1)
    if above == 1:
        return Append() if links(tail.tip.hash, header) else Gap(tail.tip.number)
    if header.number < tail.anchor.number:
        return Same()
    held = tail.at(header.number)
    if held.hash == header.hash:
        return Same()
    if held == tail.anchor:
        return Halt(f"block {held.number} was final with hash {held.hash} and now has {header.hash}")
    parent = tail.at(header.number - 1)
    return Rollback(parent) if links(parent.hash, header) else Gap(header.number - 1)
