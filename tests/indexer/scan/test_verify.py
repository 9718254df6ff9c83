"""Rungs 0 to 2: what cannot be true is refused, whatever form the lie or the mistake takes."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.adapter import Log, LogFilter
from indexer.replay.bloom import compute_bloom
from indexer.replay.words import ZERO_BLOOM
from indexer.rpc.errors import UntruthError
from indexer.rpc.reader import Header
from indexer.scan.blooms import BloomCheck
from indexer.scan.verify import PORTION, by_block, check_headers, ordered_logs, portions, quantity

TOKEN, STRANGER = "0x" + "ab" * 20, "0x" + "cd" * 20
EVENT, OTHER = "0x" + "11" * 32, "0x" + "22" * 32
WANTED = LogFilter(frozenset({TOKEN}), (frozenset({EVENT}),))


def log_at(number: int, index: int, **changes: object) -> Log:
    """A sound log of that place, with some fields changed."""
    log = Log(
        address=TOKEN,
        topics=(EVENT, "0x" + "0a" * 32),
        data="0x" + "00" * 32,
        block_number=hex(number),
        block_hash=f"0x{number:064x}",
        transaction_hash=f"0x{number * 1000 + index:064x}",
        log_index=hex(index),
    )
    return msgspec.structs.replace(log, **changes)


def header_of(number: int, *logs: Log) -> Header:
    """The header whose bloom holds exactly these logs."""
    values = [value for log in logs for value in (log.address, *log.topics)]
    bloom = compute_bloom(values) or ZERO_BLOOM
    return Header(number, f"0x{number:064x}", f"0x{number - 1:064x}", 1_700_000_000 + number, bloom)


@dataclass(frozen=True)
class Broken:
    """What is wrong with a log."""

    field: str
    value: object


GARBAGE = [
    Broken("address", "0x" + "ab" * 19),
    Broken("address", "ab" * 21),
    Broken("address", "0x" + "zz" * 20),
    Broken("topics", (EVENT + "00",)),
    Broken("topics", (EVENT[:-2], EVENT + "00")),
    Broken("topics", (EVENT,) * 5),
    Broken("topics", ("xx" + "11" * 31 + "0x",)),
    Broken("data", "0x0"),
    Broken("data", "00" * 32),
    Broken("data", ""),
    Broken("data", "0x" + "g0" * 32),
    Broken("data", "0x" + "é0" * 32),
    Broken("data", "0x00,0x00"),
    Broken("block_hash", "0x1"),
    Broken("transaction_hash", "0x" + "11" * 31 + "1_"),
    Broken("log_index", ""),
    Broken("log_index", "-0x1"),
    Broken("log_index", "0x1_0"),
    Broken("log_index", "0x" + "1" * 30),
    Broken("block_number", "7"),
    Broken("removed", True),
]


@pytest.mark.parametrize("broken", GARBAGE, ids=lambda broken: f"{broken.field}={broken.value!s:.20}")
def test_garbage_in_any_field_is_an_untruth_and_never_gets_on(broken: Broken) -> None:
    logs = [log_at(7, 0), log_at(7, 1, **{broken.field: broken.value}), log_at(8, 0)]
    with pytest.raises(UntruthError):
        ordered_logs([logs], 1, 9, "node")


def test_hex_in_upper_case_is_the_same_log() -> None:
    shouted = log_at(
        7, 10, address="0x" + "AB" * 20, topics=("0x" + "1A" * 32,), data="0x" + "FF" * 32, log_index="0xA"
    )
    (log,) = ordered_logs([[shouted]], 1, 9, "node")
    assert (log.address, log.topics, log.data) == (TOKEN, ("0x" + "1a" * 32,), "0x" + "ff" * 32)
    assert quantity(log.log_index) == 10


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 300)), unique=True), st.randoms())
def test_any_order_and_any_overlap_of_answers_give_the_same_list(places: list[tuple[int, int]], chance: object) -> None:
    logs = [log_at(number, index) for number, index in sorted(places)]
    answers = [list(logs), logs[: len(logs) // 2]]
    for answer in answers:
        chance.shuffle(answer)  # type: ignore[attr-defined]
    assert ordered_logs(answers, 1, 30, "node") == logs


def test_two_different_logs_at_one_place_are_a_lie() -> None:
    with pytest.raises(UntruthError, match="two different logs"):
        ordered_logs([[log_at(7, 1)], [log_at(7, 1, data="0x")]], 1, 9, "node")


@pytest.mark.parametrize("number", [4, 10])
def test_a_log_outside_the_range_asked_for_is_a_lie(number: int) -> None:
    with pytest.raises(UntruthError, match="5"):
        ordered_logs([[log_at(5, 0), log_at(number, 0)]], 5, 9, "logs of 5-9")


def test_one_answer_that_holds_a_log_twice_is_noticed() -> None:
    with pytest.raises(UntruthError, match="twice"):
        ordered_logs([[log_at(7, 2), log_at(7, 1), log_at(7, 2)]], 1, 9, "node")
    assert len(ordered_logs([[log_at(7, 1), log_at(7, 2), log_at(8, 1)]], 1, 9, "node")) == 3


def test_garbage_beyond_the_first_portion_is_found_too() -> None:
    logs = [log_at(1 + n // 50, n % 50) for n in range(3 * PORTION)]
    assert ordered_logs([logs], 1, 99, "node") == logs
    logs[-1] = log_at(90, 0, data="0xzz")
    with pytest.raises(UntruthError, match="malformed"):
        ordered_logs([logs], 1, 99, "node")


def test_portions_hold_whole_blocks_and_every_log() -> None:
    counts = (1, PORTION - 1, 2, PORTION, 3 * PORTION, 1)
    logs = [log_at(number, index) for number, count in enumerate(counts) for index in range(count)]
    parts = list(portions(logs))
    assert [log for part in parts for log in part] == logs
    assert [sorted(by_block(part)) for part in parts] == [[0, 1], [2, 3], [4], [5]]
    assert list(portions([])) == []


def test_one_log_of_another_block_hash_among_many_is_a_lie() -> None:
    logs = [log_at(7, 0), log_at(7, 1, block_hash="0x" + "99" * 32), log_at(8, 0)]
    headers = {7: header_of(7), 8: header_of(8)}
    with pytest.raises(UntruthError, match="block 7"):
        check_headers(by_block(logs), headers, "node")
    check_headers(by_block([logs[0], logs[2]]), headers, "node")


def test_logs_of_a_block_without_a_header_are_a_lie() -> None:
    with pytest.raises(UntruthError, match="no header"):
        check_headers(by_block([log_at(7, 0)]), {8: header_of(8)}, "node")


def suspects_of(
    check: BloomCheck, blocks: dict[int, list[Log]], headers: dict[int, Header], where: str
) -> tuple[list[Header], bool]:
    """Both halves of level 2, as a fetch takes them."""
    return check.unanswered(check.answered(blocks, headers, where), headers.values())


@pytest.mark.parametrize("changes", [{"address": STRANGER}, {"topics": (OTHER,)}])
def test_an_invented_log_is_not_in_the_bloom(changes: dict[str, object]) -> None:
    sound = log_at(7, 0)
    header = header_of(7, sound)
    check = BloomCheck([WANTED])
    suspects_of(check, {7: [sound]}, {7: header}, "node")
    with pytest.raises(UntruthError, match="block 7: its bloom"):
        suspects_of(check, {7: [sound, log_at(7, 1, **changes)]}, {7: header}, "node")


def test_an_invented_log_that_names_what_somebody_asked_for_is_not_in_the_bloom() -> None:
    asked = "0x" + "77" * 32
    sound, invented = log_at(7, 0), log_at(7, 1, topics=(*log_at(7, 0).topics[:1], asked))
    header = header_of(7, sound)
    blocks = {7: [sound, invented]}
    suspects_of(
        BloomCheck([WANTED]), blocks, {7: header}, "node"
    )  # One keccak a topic is too dear where nobody asked for it.
    naming = LogFilter(frozenset(), (None, frozenset({asked})))
    with pytest.raises(UntruthError, match=f"no log with {asked}"):
        suspects_of(BloomCheck([WANTED, naming]), blocks, {7: header}, "node")


def test_a_block_whose_bloom_promises_more_than_came_is_suspected() -> None:
    sound = log_at(7, 0)
    headers = [header_of(6), header_of(7, sound), header_of(8, log_at(8, 0, address=STRANGER))]
    check = BloomCheck([WANTED])
    assert suspects_of(check, {7: [sound]}, {h.number: h for h in headers}, "node") == ([], True)
    assert suspects_of(check, {}, {h.number: h for h in headers}, "node") == ([headers[1]], True)


def test_a_filter_that_further_topics_decide_is_not_answered_by_a_log_with_others() -> None:
    payer, other = "0x" + "0a" * 32, "0x" + "0b" * 32
    naming = LogFilter(frozenset({TOKEN}), (frozenset({EVENT}), frozenset({payer})))
    paid, foreign = log_at(7, 0), log_at(7, 1, topics=(EVENT, other))
    header = header_of(7, paid, foreign)
    check = BloomCheck([WANTED, naming])
    assert suspects_of(check, {7: [paid, foreign]}, {7: header}, "node") == ([], True)
    assert suspects_of(check, {7: [foreign]}, {7: header}, "node") == ([header], True)


def test_headers_without_blooms_leave_the_question_open() -> None:
    bare = msgspec.structs.replace(header_of(7), logs_bloom="")
    assert suspects_of(BloomCheck([WANTED]), {}, {7: bare}, "node") == ([], False)
    assert suspects_of(BloomCheck([]), {}, {7: bare}, "node") == ([], False)
