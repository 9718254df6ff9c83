"""Segments side by side: what a question shows, and how one that cannot be answered is told."""

import html
import re

import pytest

from tests.web.conftest import Reader
from tests.web.inventor import HOSTILE
from web.compare import MOST, ROWS

LARGE, SMALL, RESERVE, NO_FUND, LIVE = (
    "perp-v2-large-simulated",
    "perp-v2-small-simulated",
    "reserve-simulated",
    "morpho-simulated",
    "perp-v2-optimism",
)


def ask(reader: Reader, *slugs: str) -> str:
    answer = reader.get("/compare?" + "&".join(f"f={slug}" for slug in slugs))
    assert answer.status_code == 200
    return answer.text


def rows_of(page: str) -> dict[str, list[str]]:
    """Cells by row, as they are read."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    found = {}
    for row in re.findall(r"<tr>(.+?)</tr>", body, re.S):
        title, *cells = re.findall(r"<t[hd][^>]*>(.+?)</t[hd]>", row, re.S)
        found[title] = [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in cells]
    return found


def test_each_row_says_the_same_of_every_segment_in_the_order_asked_for(reader: Reader) -> None:
    page = ask(reader, SMALL, LARGE)
    rows = rows_of(page)
    assert list(rows) == list(ROWS)
    assert {len(cells) for cells in rows.values()} == {2}
    assert [cell.split(" ")[0] for cell in rows["Status"]] == ["Depleted", "Thin"]
    assert "nothing is left to pay with" in rows["Status"][0]
    assert rows["Usable"] == ["−$17,000", "$512,300"]
    assert rows["Coverage"] == ["unknown nothing is left to compare", "1.42×"]
    assert page.index(f'<a href="/funds/{SMALL}">') < page.index(f'<a href="/funds/{LARGE}">')


def test_composition_waterfall_moment_and_source_stand_in_words(reader: Reader) -> None:
    rows = rows_of(ask(reader, LARGE, NO_FUND))
    assert rows["What it holds"][0].startswith("514,874 USDC policy haircut")
    assert "access 100 % counts $512,300" in rows["What it holds"][0]
    assert "2. Insurance fund 3. Winners and lenders" in rows["Who pays, in order"][0]
    assert re.fullmatch(r"block 1,\d{3},\d{3} \(24 May 2021, 00:00 UTC\)", rows["As of"][0])
    assert rows["Source"][0] == "Replay of Crash of May 2021: simulated"
    assert rows["Usable"][1].startswith("no fund")


def test_unknown_and_stale_numbers_say_why_and_are_never_zero(reader: Reader) -> None:
    rows = rows_of(ask(reader, RESERVE, LIVE, "hostile"))
    assert rows["Coverage"][0] == "unknown it covers no defined exposure"
    assert rows["Usable"][1] == "$1,010,000 stale the last balance is 6 hours old, older than 3 hours allowed"
    assert rows["Usable"][2] == "unknown not computed in this method version"
    assert rows["As of"][2].startswith("never: ")
    assert "$0" not in " ".join(cells[2] for cells in rows.values())


def test_numbers_lead_to_their_evidence_and_are_never_added_up(reader: Reader) -> None:
    page = ask(reader, LARGE, RESERVE)
    assert f'href="/funds/{LARGE}/facts/usable_value"' in page
    assert "512,300" in page
    assert "248,750" in page
    assert "761,050" not in page


def test_columns_that_hold_at_different_times_say_so(reader: Reader) -> None:
    assert "hold at different times" in ask(reader, LARGE, LIVE)
    assert "hold at different times" not in ask(reader, LARGE, SMALL)


def test_what_was_chosen_stays_ticked(reader: Reader) -> None:
    page = ask(reader, LARGE, SMALL)
    assert re.findall(r'value="([^"]+)" checked', page) == sorted([LARGE, SMALL])


def test_four_fit_and_five_do_not(reader: Reader) -> None:
    four = [LARGE, SMALL, RESERVE, NO_FUND]
    assert len(four) == MOST
    assert len(rows_of(ask(reader, *four))["Status"]) == MOST
    answer = reader.get("/compare?" + "&".join(f"f={slug}" for slug in [*four, LIVE]))
    assert answer.status_code == 400
    assert "5 segments are too many" in answer.text


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        (f"f={LARGE}&f={LARGE}", 400, "named twice"),
        ("f=nobody", 404, "“nobody” is no fund or segment here"),
        (f"f={LARGE}&f=nobody", 404, "“nobody” is no fund or segment here"),
        ("f=", 404, "is no fund or segment here"),
        ("g=1", 400, "Choose up to 4"),
        ("f=" + "x" * 5000, 404, "is no fund or segment here"),
        ("&".join(["f=a"] * 3000), 404, "“a” is no fund or segment here"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why(reader: Reader, query: str, code: int, said: str) -> None:
    answer = reader.get(f"/compare?{query}")
    assert answer.status_code == code
    assert said in html.unescape(answer.text)
    assert "<form" in answer.text
    assert "<tbody>" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_hostile_question_stays_text(reader: Reader) -> None:
    answer = reader.get(f"/compare?f={HOSTILE}%00%0a%ff")
    assert answer.status_code == 404
    assert "<script" not in answer.text


def test_the_address_that_counts_has_no_question(reader: Reader) -> None:
    assert '<link rel="canonical" href="https://backstop.example/compare">' in ask(reader, LARGE)
    form = reader.get("/compare").text
    assert "<tbody>" not in form
    assert form.count('type="checkbox"') == 8
