"""Merged filters match everything their parts match, and each segment still gets exactly its own logs."""

from hypothesis import given
from hypothesis import strategies as st

from indexer.adapter import Log, LogFilter
from indexer.scan.filters import LOUD_TOPICS, MOST_VALUES, digest_of, matching, merge_filters
from indexer.scan.verify import matches

TRANSFER = min(LOUD_TOPICS)
ADDRESSES = ["0x" + digit * 40 for digit in "123"]
TOPICS = ["0x" + digit * 64 for digit in "45"] + [TRANSFER]

positions = st.one_of(st.none(), st.frozensets(st.sampled_from(TOPICS), min_size=1))
filters = st.builds(LogFilter, st.frozensets(st.sampled_from(ADDRESSES)), st.lists(positions, max_size=3).map(tuple))
logs = st.builds(
    lambda address, topics: Log(address, tuple(topics), "0x", "0x1", "0x" + "0" * 64, "0x" + "0" * 64, "0x0"),
    st.sampled_from(ADDRESSES),
    st.lists(st.sampled_from(TOPICS), max_size=4),
)


@given(st.lists(filters, min_size=1, max_size=6), st.lists(logs, max_size=20))
def test_no_log_is_lost_by_merging(parts: list[LogFilter], seen: list[Log]) -> None:
    fetched = matching(merge_filters(parts), seen)
    for part in parts:
        assert matching([part], fetched) == [log for log in seen if matches(part, log)]


@given(st.lists(filters, min_size=1, max_size=6))
def test_the_order_in_which_funds_are_listed_changes_no_request_and_no_digest(parts: list[LogFilter]) -> None:
    assert merge_filters(parts) == merge_filters(reversed(parts))
    assert digest_of(parts) == digest_of(reversed(parts))


def test_filters_on_the_same_positions_share_a_request() -> None:
    parts = [LogFilter(frozenset({a}), (frozenset({TOPICS[0]}),)) for a in ADDRESSES]
    assert merge_filters(parts) == [LogFilter(frozenset(ADDRESSES), (frozenset({TOPICS[0]}),))]


def test_a_frequent_event_is_never_asked_of_contracts_that_nobody_asked_it_of() -> None:
    quiet = LogFilter(frozenset({ADDRESSES[0]}), (frozenset({TOPICS[0]}),))
    loud = LogFilter(frozenset({ADDRESSES[1]}), (frozenset({TRANSFER}),))
    assert len(merge_filters([quiet, loud])) == 2


def test_long_lists_are_packed_within_what_providers_take() -> None:
    many = frozenset(f"0x{n:040x}" for n in range(MOST_VALUES * 2 + 1))
    parts = merge_filters([LogFilter(many, (frozenset({TOPICS[0]}),))])
    assert [len(part.addresses) for part in parts] == [MOST_VALUES, MOST_VALUES, 1]
    assert frozenset().union(*(part.addresses for part in parts)) == many


def test_any_of_different_filters_has_another_digest() -> None:
    one = LogFilter(frozenset({ADDRESSES[0]}), (frozenset({TOPICS[0]}),))
    other = LogFilter(frozenset({ADDRESSES[0]}), (frozenset({TOPICS[0], TOPICS[1]}),))
    assert digest_of([one]) != digest_of([other]) != digest_of([one, other])
    assert digest_of([one]) == digest_of([LogFilter(one.addresses, (*one.topics, None))])
