"""What an address asks of the table of funds: read strictly, matched, ordered, and written back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import Session

from ledger.kinds import Status
from tests.web.inventor import NOW
from web.edition import Edition, SiteConfig
from web.figures import Figures
from web.filters import (
    ASCENDING,
    COLUMNS,
    DESCENDING,
    LONGEST_SEARCH,
    MOST_ASKED,
    PARAMETERS,
    Asked,
    Entry,
    choices_of,
    filter_form,
    read_asked,
    select_entries,
    table_heads,
)

NOTHING = {"kind": {}, "chain": {"optimism": "Optimism"}, "status": {}, "data": {}}


@pytest.fixture(scope="module")
def entries(engine: Engine) -> list[Entry]:
    """Each segment of the invented ledger."""
    with Session(engine) as session:
        edition = Edition(session, lambda: NOW, SiteConfig())
        found = [Entry(place, Figures(edition, place)) for place in edition.places]
        session.expunge_all()
    return found


def slugs(entries: list[Entry]) -> list[str]:
    return [entry.place.fund.slug for entry in entries]


def test_an_address_without_a_question_asks_nothing() -> None:
    assert read_asked([], NOTHING) == (Asked(), [])
    empty = [(name, "") for name in PARAMETERS]
    assert read_asked(empty, NOTHING) == (Asked(), [])


def test_names_that_are_not_ours_are_nobodys() -> None:
    assert read_asked([("utm_source", "letter"), ("f", "a")], NOTHING) == (Asked(), [])


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("q", "x" * (LONGEST_SEARCH + 1), "q"),
        ("q", "a\u202eb", "q"),
        ("q", "a\x00b", "q"),
        ("kind", "bank", "kind"),
        ("chain", "nowhere", "chain"),
        ("status", "excellent", "status"),
        ("data", "true", "data"),
        ("sort", "spark", "sort"),
        ("sort", "name; drop table fund", "sort"),
        ("dir", "sideways", "sort"),
    ],
)
def test_a_wrong_value_is_named_at_its_field_and_not_asked(name: str, value: str, field: str) -> None:
    asked, mistakes = read_asked([(name, value)], NOTHING)
    assert asked == Asked()
    assert [one for one, _ in mistakes] == [field]


def test_a_question_asked_twice_is_a_mistake_and_its_first_value_counts() -> None:
    asked, mistakes = read_asked([("status", "thin"), ("status", "short")], NOTHING)
    assert asked.status == "thin"
    assert len(mistakes) == 1
    assert read_asked([("status", "thin"), ("status", "thin")], NOTHING)[1] == []


def test_a_status_that_no_fund_has_now_can_still_be_asked_for_and_stays_chosen() -> None:
    asked, mistakes = read_asked([("status", "ample")], NOTHING)
    assert not mistakes
    form = filter_form(asked, NOTHING, mistakes, count=0, total=8)
    chosen = {name: [one.text for one in choices if one.is_chosen] for name, _, choices in form.fields}
    assert chosen["status"] == ["Ample"]
    assert form.found == "0 of 8 funds"


@given(st.lists(st.tuples(st.sampled_from((*PARAMETERS, "x")), st.text(max_size=80)), max_size=40))
def test_whatever_is_sent_gives_a_question_that_is_written_back_the_same(query: list[tuple[str, str]]) -> None:
    asked, mistakes = read_asked(query, NOTHING)
    assert len(asked.text) <= LONGEST_SEARCH
    assert len(mistakes) <= MOST_ASKED + len(PARAMETERS)
    again, none = read_asked([*asked.filters.items(), *asked.order.items()], NOTHING)
    assert (again, none) == (asked, [])


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.rank], ids=lambda column: column.key)
def test_unknown_stands_last_either_way(entries: list[Entry], column: object) -> None:
    one = next(known for known in COLUMNS if known is column)
    assert one.rank is not None
    for direction in (ASCENDING, DESCENDING):
        asked = Asked(sort=one.key, direction=direction)
        values = [one.rank(entry) for entry in select_entries(entries, asked)]
        known = [value for value in values if value is not None]
        if asked.order:
            assert values[: len(known)] == known
            assert known == sorted(known, reverse=direction == DESCENDING)  # type: ignore[type-var]
        assert len(values) == len(entries)


def test_filters_leave_what_is_like_that(entries: list[Entry]) -> None:
    thin = select_entries(entries, Asked(status=Status.THIN))
    assert slugs(thin) == ["perp-v2-large-simulated"]
    assert len(select_entries(entries, Asked(kind="no_fund"))) == 2
    assert set(slugs(select_entries(entries, Asked(chain="optimism")))) == {"hostile", "perp-v2-optimism"}
    stale = select_entries(entries, Asked(data="stale"))
    assert slugs(stale) == ["perp-v2-optimism"]
    assert select_entries(entries, Asked(kind="no_fund", status=Status.THIN)) == []


def test_a_search_finds_every_word_anywhere_in_names(entries: list[Entry]) -> None:
    assert slugs(select_entries(entries, Asked(text="DRIFT fund"))) == ["drift-2022-third-party"]
    assert set(slugs(select_entries(entries, Asked(text="optimism")))) == {"hostile", "perp-v2-optimism"}
    assert select_entries(entries, Asked(text="drift optimism")) == []


def test_what_can_be_chosen_is_what_some_fund_has(entries: list[Entry]) -> None:
    choices = choices_of(entries)
    for name, key in (("kind", "reserve"), ("status", "depleted"), ("data", "simulated"), ("chain", "optimism")):
        assert key in choices[name]
    assert "ample" not in choices["status"]
    for name, values in choices.items():
        for value in values:
            assert select_entries(entries, Asked(**{name: value})), (name, value)


def test_a_head_shows_first_what_one_wants_to_see_and_then_turns() -> None:
    heads = {head.title: head for head in table_heads(Asked(status="thin"))}
    assert heads["Coverage"].href == "?status=thin&sort=coverage&dir=asc"
    assert heads["Reference loss"].href == "?status=thin&sort=loss&dir=desc"
    assert heads["Status"].sorted == "descending"
    assert heads["90 days"].href == ""
    turned = {head.title: head for head in table_heads(Asked(sort="coverage", direction=ASCENDING))}
    assert turned["Coverage"].href == "?sort=coverage&dir=desc"
    assert turned["Coverage"].sorted == "ascending"
    assert turned["Status"].href == "/"
    assert [head.sorted for head in turned.values() if head.sorted] == ["ascending"]


def test_the_form_keeps_an_order_that_was_turned_and_forgets_none() -> None:
    turned = filter_form(Asked(sort="coverage", direction=DESCENDING), NOTHING, [], count=8, total=8)
    assert turned.direction == DESCENDING
    assert turned.found == ""
    assert turned.clear == "?sort=coverage&dir=desc"
    orders = {name: choices for name, _, choices in turned.fields}["sort"]
    assert [one.value for one in orders if one.is_chosen] == ["coverage"]
    assert filter_form(Asked(), NOTHING, [], count=8, total=8).direction == ""
