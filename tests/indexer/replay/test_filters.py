"""For which filters a recording is complete: never more than the recorded filters together hold."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from indexer.replay.filters import CompleteFilter, is_complete, merge_filters

A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
S, T = "0x" + "11" * 32, "0x" + "22" * 32
EVERYTHING = CompleteFilter()


def test_a_recording_of_everything_answers_every_filter() -> None:
    assert EVERYTHING.is_everything()
    assert is_complete([EVERYTHING], CompleteFilter((A,), ((S,), None, (T,))))


def test_a_recording_of_one_event_does_not_answer_for_another() -> None:
    claim = CompleteFilter((A,), ((S,),))
    assert is_complete([claim], CompleteFilter((A,), ((S,), (T,))))
    assert not is_complete([claim], CompleteFilter((A,), ((T,),)))
    assert not is_complete([claim], CompleteFilter((A,), ((S, T),)))
    assert not is_complete([claim], CompleteFilter((A, B), ((S,),)))


def test_a_question_without_topics_reaches_beyond_a_filter_with_topics() -> None:
    claim = CompleteFilter((A,), ((S,),))
    assert not is_complete([claim], CompleteFilter((A,)))
    assert not is_complete([claim], CompleteFilter((A,), (None, (T,))))
    assert not is_complete([claim], EVERYTHING)


def test_filters_recorded_apart_answer_a_merged_question() -> None:
    claims = [CompleteFilter((A,), ((S,),)), CompleteFilter((B,), ((S, T),))]
    assert is_complete(claims, CompleteFilter((A, B), ((S,),)))
    assert not is_complete(claims, CompleteFilter((A, B), ((S, T),)))


def test_a_question_with_millions_of_parts_is_not_counted_out() -> None:
    words = tuple(f"0x{number:064x}" for number in range(1000))
    claims = [CompleteFilter((A,)), CompleteFilter((B,))]
    assert not is_complete(claims, CompleteFilter((A, B), (words, words)))


def test_filters_inside_others_are_left_out() -> None:
    wide, narrow = CompleteFilter((A, B), ((S,),)), CompleteFilter((B, B), ((S,), None))
    assert merge_filters([narrow, wide, narrow]) == (wide,)
    assert merge_filters([wide, EVERYTHING, CompleteFilter(None, (None, None))]) == (EVERYTHING,)


ADDRESSES = st.none() | st.lists(st.sampled_from([A, B]), min_size=1, unique=True).map(tuple)
TOPIC = st.none() | st.lists(st.sampled_from([S, T]), min_size=1, unique=True).map(tuple)
FILTERS = st.builds(CompleteFilter, ADDRESSES, st.lists(TOPIC, max_size=3).map(tuple))


def matches(asked: CompleteFilter, address: str, topics: tuple[str, ...]) -> bool:
    return (asked.addresses is None or address in asked.addresses) and all(
        words is None or topic in words for words, topic in zip(asked.topics, topics, strict=False)
    )


@given(st.lists(FILTERS, max_size=4), FILTERS)
def test_no_log_outside_of_the_claims_is_ever_promised(claims: list[CompleteFilter], asked: CompleteFilter) -> None:
    if not is_complete(claims, asked):
        return
    third = "0x" + "cc" * 20, "0x" + "33" * 32  # A stranger stands for all the words the filters don't name.
    for address, *topics in product((A, B, third[0]), *[(S, T, third[1])] * 3):
        if matches(asked, address, tuple(topics)):
            assert any(matches(claim, address, tuple(topics)) for claim in claims)


@given(st.lists(FILTERS, min_size=1, max_size=4))
def test_each_recorded_filter_and_their_merger_can_be_asked(claims: list[CompleteFilter]) -> None:
    merged = merge_filters(claims)
    assert all(is_complete(merged, claim) for claim in claims)
    assert all(is_complete(claims, claim) for claim in merged)
