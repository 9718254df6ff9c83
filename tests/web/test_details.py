"""Stored details in words: counts are numbers, names are texts, days are days."""

from typing import Any

import pytest

from ledger.numbers import NO_BREAK
from web.details import cell


@pytest.mark.parametrize(
    ("key", "value", "text", "is_number"),
    [
        ("accounts", 26, "26", True),
        ("accounts below zero", 0, "0", True),
        ("account", "0x" + "ab" * 20, "0xababab…abab", False),
        ("market", "12345", "12345", False),
        ("day", "2021-05-19", f"19{NO_BREAK}May{NO_BREAK}2021", False),
        ("day", "not yet", f"not{NO_BREAK}yet", False),
        ("accounts", float("nan"), "invalid", False),
        ("account", None, "unknown", False),
        ("is_refused", True, "yes", False),
    ],
)
def test_a_value_is_read_as_its_key_says(key: str, value: Any, text: str, is_number: bool) -> None:
    told = cell(key, value)
    assert (told.text, told.is_number) == (text, is_number)
