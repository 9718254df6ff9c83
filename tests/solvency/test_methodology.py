"""The methodology says what the code does: each number that a constant decides comes from that constant."""

import re
from pathlib import Path

import pytest

from app.methodology import list_further, render_document
from solvency.compute import METHOD_VERSION
from solvency.formulas import FORMULAS
from solvency.methodology import format_cut, list_slots, render_methodology, render_named_days, render_required
from solvency.named_days import NamedDay
from solvency.status import CUT_POINTS, CUT_POINTS_VERSION, REQUIRED
from solvency.stress import PUBLISHED_MIX

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "solvency" / "methodology.md").read_text()


def render(text: str = TEXT) -> str:
    return render_methodology(text, list_further())


def section(anchor: str) -> str:
    """The text under the second-level heading that begins with these words."""
    return re.split(rf"^## {anchor}\b.*$", render_document(), maxsplit=1, flags=re.M)[1].partition("\n## ")[0]


def test_the_published_methodology_is_as_new_as_the_code() -> None:
    published = (ROOT / "docs" / "methodology.md").read_text()
    assert published == render_document(), "run: python -m app.methodology > docs/methodology.md"


def test_it_names_the_versions_of_the_code() -> None:
    assert f"# Methodology, version {METHOD_VERSION}\n" in render_document()
    assert f"These are version {CUT_POINTS_VERSION} of the cut points." in section("Status")


def test_the_file_says_first_how_it_is_made() -> None:
    assert render_document().splitlines()[0].startswith("[//]: # (Made by python -m app.methodology from ")


def test_no_slot_is_left_unfilled() -> None:
    assert len(list_slots()) > 40
    assert "{{" not in render_document()
    assert "}}" not in render_document()


def test_a_slot_that_no_constant_gives_is_named() -> None:
    with pytest.raises(ValueError, match=r"names \['half_life'\] that no constant gives"):
        render(TEXT + "{{ half_life }}")


def test_a_constant_that_the_text_leaves_out_is_named() -> None:
    with pytest.raises(ValueError, match=r"leaves out \['paths'\]"):
        render(TEXT.replace("{{ paths }}", "20,000"))


def test_every_cut_point_stands_in_the_table_with_its_number_and_its_sign() -> None:
    rows = [line for line in section("Status").splitlines() if line.startswith("| ")]
    for metric, cut in CUT_POINTS.items():
        sign = "≤" if cut.is_smaller_better else "≥"
        wanted = [f"{sign} {format_cut(value, cut.unit)}" for value in (cut.ample, cut.covered, cut.thin)]
        matching = [row for row in rows if all(number in row for number in wanted)]
        assert matching, f"no row of the table has {wanted} of {metric}"


def test_the_table_has_a_row_for_each_of_the_eight_graded_metrics() -> None:
    rows = [line for line in section("Status").splitlines() if line.startswith("| ") and "graded metric" not in line]
    assert [re.search(r"\(M(\d+)\)", row)[1] for row in rows] == ["6", "4", "3", "12", "5", "7", "8", "9"]  # type: ignore[index]
    assert {row.count("|") for row in rows} == {6}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.3, "fraction", "30 %"),
        (0.001, "fraction", "0.1 %"),
        (1.5, "ratio", "1.5"),
        (5.0, "ratio", "5"),
        (730.0, "days", "2 years"),
        (365.0, "days", "1 year"),
        (180.0, "days", "180 days"),
        (0.0, "days", "0 days"),
    ],
)
def test_a_cut_point_is_printed_as_people_say_it(value: float, unit: str, text: str) -> None:
    assert format_cut(value, unit) == text


def test_what_each_kind_of_fund_must_show_is_listed() -> None:
    lines = render_required(REQUIRED).splitlines()
    assert len(lines) == len(REQUIRED)
    assert lines[-1].endswith(".")
    assert "runway (M8)" not in next(line for line in lines if "lending" in line)
    assert render_required({"reserve": ("usable_value",), "no_fund": ()}) == (
        "- for a reserve without a defined exposure: usable value (M1);\n"
        "- for a platform without a fund: nothing, since nothing is graded."
    )


def test_the_leverage_mix_is_printed_whole_with_what_it_costs() -> None:
    text = section("M6")
    assert "3×, 5×, 10×, 20×, 50×: 10, 25, 35, 20, 10 %" in text
    assert len(PUBLISHED_MIX) == 5
    assert "1.8 % of open interest at 10 %, 8.3 % at\n20 %" in text


def test_the_bound_of_a_record_without_a_loss_is_the_one_of_the_code() -> None:
    assert "0.81739 % for `n` = 365" in section("M12")  # METHOD M12: .0081739.


def test_a_named_day_is_printed_with_the_return_of_each_asset() -> None:
    day = NamedDay("2020-03-12", "A fall", {"ETH": -0.45, "BTC": -0.4}, "a venue")
    assert render_named_days([day]).splitlines()[2:] == ["| 2020-03-12 | A fall | BTC −40 %, ETH −45 % |"]
    assert "| 2020-03-12 | Black Thursday |" in section("Scenarios of named days")


@pytest.mark.parametrize("anchor", ["M10", "M14"])
def test_a_section_says_that_nothing_of_it_is_published_until_something_is(anchor: str) -> None:
    is_published = any(formula.section == anchor for formula in FORMULAS.values())
    assert is_published != ("is published yet" in " ".join(section(anchor).split()))


@pytest.mark.parametrize("number", range(1, 15))
def test_each_metric_of_the_method_has_its_section(number: int) -> None:
    assert len(section(f"M{number}").split()) > 40


def test_the_changelog_tells_of_every_version_up_to_this_one() -> None:
    told = re.findall(r"^### Version (\d+)$", section("Changelog"), re.M)
    assert told == [str(number) for number in range(int(METHOD_VERSION), 0, -1)]


def test_the_changelog_is_the_last_section() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.M)[-1] == "Changelog"
