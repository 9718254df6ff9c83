"""Metric rows as words and as JSON, and what differs between two of one key."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from app.screens import UNKNOWN
from ledger.metrics import MetricRow
from ledger.numbers import finite, format_exact, format_exact_value

Differences = Mapping[str, tuple[Any, Any]]
"""Columns that differ: (published, recomputed)."""

# Part of the key, or said beside the numbers: whether the day was over then is no difference in a number.
UNCOMPARED = frozenset({"segment_id", "name", "day", "as_of_number", "method_version", "is_day_final"})
DIGEST_SHOWN = 12


def find_differences(published: MetricRow, now: MetricRow) -> Differences:
    """What differs between two rows of one key, by column: (published, recomputed)."""
    pairs = {name: (getattr(published, name), getattr(now, name)) for name in MetricRow.__dataclass_fields__}
    return {name: pair for name, pair in pairs.items() if name not in UNCOMPARED and pair[0] != pair[1]}


def value_text(row: MetricRow) -> str:
    """A value with every stored digit and its unit, its words, or both."""
    number = None if row.value is None else format_exact_value(row.value, row.unit)
    return f"{number} ({row.text})" if number and row.text else number or row.text or UNKNOWN


def interval_text(row: MetricRow) -> str:
    """The interval where the method defines one; an end that is not there is open."""
    if row.ci_low is None and row.ci_high is None:
        return ""
    low, high = (finite(end) for end in (row.ci_low, row.ci_high))
    return " to ".join("open" if end is None else format_exact(end) for end in (low, high))


def differences_text(differences: Differences) -> str:
    """`equal`, or each column that differs with both values."""
    if not differences:
        return "equal"
    told = (
        "its detail" if name == "detail" else f"{name.replace('_', ' ')} {shown(old)} published, {shown(new)} now"
        for name, (old, new) in differences.items()
    )
    return f"different: {'; '.join(told)}"


def shown(value: Any) -> str:
    """One side of a difference; digests and hashes are shortened."""
    if value is None or value == "":
        return "none"
    text = str(value)
    return shorten_digest(text) if len(text) >= 64 and " " not in text else text


def shorten_digest(digest: str) -> str:
    """The beginning of a digest or hash, enough to tell two apart."""
    return f"{digest[:DIGEST_SHOWN]}…"


def name_nearest(word: str, known: Collection[str]) -> str:
    """The known names that look like a word, else all of them."""
    near = get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"give one of {', '.join(sorted(known))}"


def row_document(row: MetricRow) -> dict[str, Any]:
    """A metric row for machines: exact numbers as text, times in ISO 8601."""
    return {name: plain(value) for name, value in asdict(row).items() if name != "segment_id"}


def differences_document(differences: Differences) -> dict[str, Any]:
    """What differs, for machines."""
    return {name: {"published": plain(old), "recomputed": plain(new)} for name, (old, new) in differences.items()}


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    number = None if isinstance(value, bool | int | float | str) else finite(value)
    return value if number is None else format(number, "f")
