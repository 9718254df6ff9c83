"""The step (tail, header) → Append | Gap | Rollback | Same | Halt: each case, and walks on random forks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.reconcile import Append, BlockRef, Gap, Halt, Rollback, Same, Tail, reconcile
from indexer.rpc.reader import Header


def block(number: int, branch: str = "a") -> str:
    return f"{branch}{number}"


TAIL = Tail([BlockRef(n, block(n)) for n in range(10, 15)])


def header(number: int, branch: str = "a", parent: str = "a") -> Header:
    return Header(number, block(number, branch), block(number - 1, parent), 0)


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (header(15), Append()),
        (header(15, "b", "b"), Gap(14)),
        (header(16), Gap(15)),
        (header(100, "b", "b"), Gap(15)),
        (header(14), Same()),
        (header(12), Same()),
        (header(10), Same()),
        (header(14, "b"), Rollback(BlockRef(13, "a13"))),
        (header(11, "b"), Rollback(BlockRef(10, "a10"))),
        (header(13, "b", "b"), Gap(12)),
        (header(9), Same()),
        (header(3, "b", "b"), Same()),
    ],
)
def test_each_case(seen: Header, step: object) -> None:
    assert reconcile(TAIL, seen) == step


def test_another_hash_at_the_final_block_halts() -> None:
    step = reconcile(TAIL, header(10, "b", "b"))
    assert isinstance(step, Halt)
    assert "block 10 was final with hash a10 and now has b10" in step.reason


def test_a_tail_with_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="dense"):
        Tail([BlockRef(1, "a"), BlockRef(3, "b")])


@given(held=st.integers(1, 12), fork=st.integers(0, 15), length=st.integers(1, 20), start=st.integers(0, 25))
def test_walking_any_fork_ends_at_its_head_or_halts_and_never_loses_common_blocks(
    held: int, fork: int, length: int, start: int
) -> None:
    """We hold 100…100+held of branch a; the chain leaves a after block 95+fork and goes on for `length` blocks."""
    tail = Tail([BlockRef(n, block(n)) for n in range(100, 101 + held)])
    last_common, head = 95 + fork, 95 + fork + length

    def on_chain(number: int) -> Header:
        branch = "a" if number <= last_common else "b"
        return header(number, branch, "a" if number - 1 <= last_common else "b")

    seen = on_chain(min(head, 100 + start) if head >= 100 else head)
    for _ in range(200):
        step = reconcile(tail, seen)
        if isinstance(step, Halt):
            assert last_common < 100, "halted although the final block is common"
            return
        if isinstance(step, Same):
            break
        if isinstance(step, Gap):
            assert step.need <= head
            seen = on_chain(step.need)
        elif isinstance(step, Rollback):
            assert step.to.number == max(100, last_common), "rolled back to another block than the fork"
            tail = Tail([b for b in tail.blocks if b.number <= step.to.number])
        else:
            tail = Tail([*tail.blocks, BlockRef(seen.number, seen.hash)])
            seen = on_chain(min(head, seen.number + 1))
    else:
        raise AssertionError("no end")
    for held_block in tail.blocks:
        if held_block.number <= min(head, seen.number):
            assert held_block.hash == on_chain(held_block.number).hash
