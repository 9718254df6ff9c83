"""What a snapshot knows of markets and positions: carried forward it equals the sum from the first fact."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from indexer.known import Ahead, Key, Knowledge
from indexer.rpc.reader import Header
from ledger.blocks import delete_blocks_above, insert_blocks
from ledger.database import open_engine, reading, writing
from ledger.facts import Exposure
from ledger.kinds import Role, Side
from ledger.logs import insert_facts
from tests.rigs.transfer_chain import register

SIDES = frozenset({Side.POSITION, Side.LIQUIDITY})
CHAIN = 31337
TOKEN = "0x" + "11" * 20

changes = st.builds(
    Exposure,
    number=st.integers(0, 9),
    account=st.sampled_from(["a", "b"]),
    market=st.sampled_from(["m", "n"]),
    side=st.sampled_from(sorted(SIDES)),
    amount_raw=st.integers(-2, 2),
)


def header(number: int, branch: str = "0") -> Header:
    """A block of a branch."""
    return Header(number, "0x" + branch * 32 + f"{number:032x}", "0x" + "0" * 64, 1_700_000_000 + number)


@given(exposures=st.lists(changes, max_size=20), steps=st.lists(st.integers(0, 9), max_size=5))
def test_sums_carried_forward_in_any_steps_are_the_sums_of_all(exposures: list[Exposure], steps: list[int]) -> None:
    in_order = sorted(exposures, key=lambda change: change.number)
    knowledge, ahead = Knowledge(1, SIDES), Ahead([], in_order)
    for number in [*sorted(steps), 9]:
        known = knowledge.advance(ahead, header(number))
        sums: Counter[Key] = Counter()
        for change in in_order:
            if change.number <= number:
                sums[change.account, change.market, change.side] += change.amount_raw
        assert known.sums == {key: total for key, total in sums.items() if total}, "zeros are left out"


def test_an_answer_is_not_changed_by_what_is_learned_later() -> None:
    ahead = Ahead([(1, "m", {}), (5, "n", {})], [Exposure(1, "a", "m", Side.POSITION, 3)])
    knowledge = Knowledge(1, SIDES)
    first = knowledge.advance(ahead, header(2))
    knowledge.advance(ahead, header(9))
    assert (set(first.markets), dict(first.sums)) == ({"m"}, {("a", "m", Side.POSITION): 3})


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url)
    register(opened, [TOKEN])
    yield opened
    opened.dispose()


def write(engine: Engine, *blocks: tuple[Header, int]) -> None:
    """Blocks with one exposure change and one market each."""
    with writing(engine) as session:
        insert_blocks(session, [(CHAIN, b.hash, b.number, b.parent_hash, b.time, "unfinalized") for b, _ in blocks])
        for block, amount in blocks:
            place = (CHAIN, block.hash, 0)
            rest = (1, block.number, datetime.fromtimestamp(0, UTC), None)
            market = f"m{block.number}"
            facts = [
                (*place, 0, *rest, str(Role.EXPOSURE_CHANGE), None, "position", amount, None, "a", "m", None, "d"),
                (*place, 1, *rest, str(Role.MARKET_CREATED), None, None, None, None, None, market, {"k": 1}, "d"),
            ]
            insert_facts(session, CHAIN, list(zip(*facts, strict=True)))


def test_what_was_read_is_not_read_again(engine: Engine) -> None:
    write(engine, (header(1), 5), (header(2), 7))
    knowledge = Knowledge(1, SIDES)
    with reading(engine) as session:
        knowledge.advance(knowledge.load(session, CHAIN, 2), header(2))
        again = knowledge.load(session, CHAIN, 9)
    assert (again.markets, again.exposures) == ([], [])
    assert knowledge.known().sums == {("a", "m", Side.POSITION): 12}
    assert set(knowledge.known().markets) == {"m1", "m2"}


def test_a_replaced_block_makes_it_start_over(engine: Engine) -> None:
    write(engine, (header(1), 5), (header(2), 7))
    knowledge = Knowledge(1, SIDES)
    with reading(engine) as session:
        knowledge.advance(knowledge.load(session, CHAIN, 2), header(2))
    with writing(engine) as session:
        delete_blocks_above(session, CHAIN, 1)
    write(engine, (header(2, "f"), 100))
    with reading(engine) as session:
        known = knowledge.advance(knowledge.load(session, CHAIN, 2), header(2, "f"))
    assert known.sums == {("a", "m", Side.POSITION): 105}


def test_an_adapter_that_tracks_no_side_has_no_sums(engine: Engine) -> None:
    write(engine, (header(1), 5))
    knowledge = Knowledge(1, frozenset())
    with reading(engine) as session:
        known = knowledge.advance(knowledge.load(session, CHAIN, 9), header(9))
    assert (known.sums, set(known.markets)) == ({}, {"m1"})
