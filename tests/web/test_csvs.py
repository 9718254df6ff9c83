"""CSV that any program reads back and no table program runs."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import Reader
from tests.web.inventor import HOSTILE
from web.csvs import FORMULA_SIGNS, plain_number, plain_time, write_csv

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Cn", "Zl", "Zp")), max_size=20)


def read(body: bytes) -> list[list[str]]:
    """The rows as a reader by RFC 4180 sees them."""
    return list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_whatever_text_goes_in_comes_out_and_is_no_formula(rows: list[list[str]]) -> None:
    header, *found = read(write_csv(("a", "b"), rows))
    assert header == ["a", "b"]
    for given_row, read_row in zip(rows, found, strict=True):
        for text, cell in zip(given_row, read_row, strict=True):
            assert not cell.startswith(FORMULA_SIGNS)
            assert cell.removeprefix("'") == text.removeprefix("'") if text.startswith(FORMULA_SIGNS) else cell == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@now", "\t=1", "\r=1"])
def test_text_that_would_be_a_formula_is_disarmed(text: str) -> None:
    assert read(write_csv(("a",), [[text]]))[1][0] == f"'{text}"


def test_numbers_keep_their_sign_and_every_digit() -> None:
    number = plain_number(Decimal("-0.000000000000000000000000000001"))
    rows = [[number, plain_number(Decimal("1E+30")), -5, True, None, plain_time(datetime(2026, 1, 2, tzinfo=UTC))]]
    line = write_csv(tuple("abcdef"), rows).decode().split("\r\n")[1]
    assert line == f"-0.{'0' * 29}1,1{'0' * 30},-5,true,,2026-01-02T00:00:00Z"


@pytest.mark.parametrize("value", [None, "words", float("nan"), float("inf"), Decimal("NaN")])
def test_what_is_no_finite_number_is_empty(value: object) -> None:
    assert plain_number(value) is None


def test_control_characters_of_a_contract_do_not_reach_the_file() -> None:
    assert "\x00" not in write_csv(("a",), [["a\x00b"]]).decode()


def test_the_table_of_funds_has_units_qualities_and_reasons(reader: Reader) -> None:
    answer = reader.get("/funds.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["access-control-allow-origin"] == "*"
    header, *rows = read(answer.content)
    found = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert rows[0][0] == "perp-v2-small-simulated"
    small = found["perp-v2-small-simulated"]
    assert (small["usable_value"], small["usable_value_unit"], small["status"]) == ("-17000", "usd", "depleted")
    reserve = found["reserve-simulated"]
    assert (reserve["coverage"], reserve["coverage_quality"]) == ("", "unknown")
    assert reserve["coverage_reason"] == "it covers no defined exposure"
    assert found["aave-v2-2021-reconstructed"]["synthetic"] == "block_hash block_number"
    hostile = found["hostile"]
    assert HOSTILE in hostile["name"]
    assert (hostile["block_number"], hostile["usable_value"], hostile["usable_value_quality"]) == ("", "", "unknown")
