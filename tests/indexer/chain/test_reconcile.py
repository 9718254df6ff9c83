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


HASHES = st.sampled_from([block(number, branch) for number in range(98, 112) for branch in "ab"])


@given(
    length=st.integers(1, 8),
    number=st.integers(95, 112),
    own=HASHES,
    parent=HASHES,
)
def test_any_header_whatever_gets_a_step_that_its_own_words_justify(
    length: int, number: int, own: str, parent: str
) -> None:
    """Total: no header, however false, raises; and nothing is given up that the header does not contradict."""
    tail = Tail([BlockRef(n, block(n)) for n in range(100, 100 + length)])
    step = reconcile(tail, Header(number, own, parent, 0))
    held = {ref.number: ref.hash for ref in tail.blocks}
    match step:
        case Append():
            assert (number, parent) == (tail.tip.number + 1, tail.tip.hash)
        case Rollback(to=to):
            assert to.number == number - 1 >= tail.anchor.number
            assert held[to.number] == to.hash == parent
            assert held[number] != own, "the block we hold there is the one that was replaced"
        case Halt():
            assert number == tail.anchor.number
            assert own != tail.anchor.hash
        case Gap(need=need):
            assert tail.anchor.number <= need <= tail.tip.number + 1
            assert need != number
        case Same():
            assert number < tail.anchor.number or held[number] == own


@given(length=st.integers(1, 8), number=st.integers(95, 112), own=HASHES)
def test_a_tail_moves_only_to_what_it_holds_or_one_block_on(length: int, number: int, own: str) -> None:
    tail = Tail([BlockRef(n, block(n)) for n in range(100, 100 + length)])
    to = BlockRef(number, own)
    moved = tail.moved(to)
    if moved is not None:
        assert moved.tip == to
        assert moved.anchor == tail.anchor
        assert to in tail.blocks or number == tail.tip.number + 1
    else:
        assert to not in tail.blocks
    anchored = tail.anchored(to)
    assert (anchored is not None) == (to in tail.blocks)
    if anchored is not None:
        assert (anchored.anchor, anchored.tip) == (to, tail.tip)
