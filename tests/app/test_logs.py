"""Log lines: readable, parseable and bounded."""

import json
import logging
import sys

import pytest

from app.logs import LONGEST_LINE, SAME_PER_WINDOW, JsonLines, PlainLines, Repetitions, message_of


def record(message: str, *args: object, at: float = 0.0, level: int = logging.WARNING) -> logging.LogRecord:
    """A record of the indexer at a moment."""
    made = logging.LogRecord("indexer.sync", level, __file__, 1, message, args, None)
    made.created = at
    return made


def test_a_plain_line_has_utc_time_level_and_room() -> None:
    assert PlainLines().format(record("chain %s is down", "base", at=3661)) == (
        "01:01:01 warning indexer.sync: chain base is down"
    )


def test_a_json_line_is_one_object_even_with_a_traceback() -> None:
    made = record("first\nsecond")
    try:
        raise ValueError("deep inside")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = JsonLines().format(made)
    assert "\n" not in line
    row = json.loads(line)
    assert row["message"] == "first second"
    assert row["time"] == "1970-01-01T00:00:00.000+00:00"
    assert "deep inside" in row["traceback"]


def test_a_page_of_html_from_a_provider_is_cut() -> None:
    text = message_of(record("x" * 100_000))
    assert len(text) < LONGEST_LINE + 100
    assert "98000 characters cut" in text


def test_ten_minutes_of_the_same_failure_fill_no_disk() -> None:
    repetitions = Repetitions()
    written = [
        made
        for second in range(600)
        for made in [record("provider %s does not answer", second, at=float(second))]
        if repetitions.filter(made)
    ]
    assert len(written) == 10 * SAME_PER_WINDOW
    counted = [message_of(made) for made in written if "left out" in message_of(made)]
    assert len(counted) == 9
    assert counted[0] == "provider 60 does not answer (and 55 like it left out)"


@pytest.mark.parametrize("other", [record("other words"), record("same", level=logging.ERROR)])
def test_another_wording_or_level_is_counted_on_its_own(other: logging.LogRecord) -> None:
    repetitions = Repetitions()
    passed = [repetitions.filter(record("same")) for _ in range(SAME_PER_WINDOW + 3)]
    assert passed.count(True) == SAME_PER_WINDOW
    assert repetitions.filter(other)
