"""The data dictionary in docs is the one the tables give."""

from pathlib import Path

from ledger.dictionary import render_dictionary


def test_the_published_dictionary_is_as_new_as_the_tables() -> None:
    published = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
    assert published.read_text() == render_dictionary(), "run: python -m ledger.dictionary > docs/data-dictionary.md"
