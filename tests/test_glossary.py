"""The glossary is complete and well-formed: each published word has formula, unit, source, limits and a paragraph."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import get_type_hints

import pytest

from ledger.kinds import Band, DataStatus, Quality, SourceKind, Status
from web import contexts
from web.catalogue import METRICS

ROOT = Path(__file__).parents[1]
LABELS = ["Formula", "Unit", "Source", "Limits"]


def entries() -> dict[str, str]:
    """Term → its text, in the order of the file."""
    text = (ROOT / "docs" / "glossary.md").read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def published_names() -> dict[str, str]:
    """Metric name → the term that defines it (the optional line `Names:`)."""
    return {
        name: term
        for term, text in entries().items()
        for line in re.findall(r"^Names: (.+)$", text, re.M)
        for name in line.split(", ")
    }


@pytest.mark.parametrize("term", entries())
def test_each_entry_has_its_four_lines_and_a_paragraph(term: str) -> None:
    lines = entries()[term].strip().splitlines()
    labels = [line.partition(":")[0] for line in lines if re.match(r"(Names|Formula|Unit|Source|Limits): \S", line)]
    assert labels in (LABELS, ["Names", *LABELS])
    paragraph = "\n".join(lines[len(labels) :]).strip()
    assert len(paragraph) > 40, f"{term}: a paragraph in plain words follows the four lines"


def test_terms_are_in_alphabetical_order_and_unique() -> None:
    terms = re.findall(r"^## (.+)$", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    assert terms == sorted(terms, key=str.lower)
    assert len(set(map(str.lower, terms))) == len(terms)


@pytest.mark.parametrize("word", [*Status, *DataStatus, *Quality, *SourceKind, *(band.name.lower() for band in Band)])
def test_each_word_of_the_status_axes_is_explained(word: str) -> None:
    text = (ROOT / "docs" / "glossary.md").read_text().lower().replace("-", " ").replace(" a third", " third")
    assert re.search(rf"\b{word.replace('_', ' ')}\b", " ".join(text.split()))


def test_every_metric_that_pages_know_has_a_term() -> None:
    assert set(METRICS) - set(published_names()) == set(), "add the name to a `Names:` line of docs/glossary.md"


def test_the_glossary_names_no_metric_that_pages_do_not_know() -> None:
    assert set(published_names()) - set(METRICS) == set()


def page_contexts() -> list[type]:
    """The dataclasses that templates receive."""
    return [kind for kind in vars(contexts).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)]


@pytest.mark.parametrize("context", page_contexts(), ids=lambda kind: kind.__name__)
def test_every_field_of_a_page_says_what_it_is(context: type) -> None:
    hints = get_type_hints(context, include_extras=True)
    silent = [
        field.name
        for field in dataclasses.fields(context)
        if not any(isinstance(words, str) and words.strip() for words in getattr(hints[field.name], "__metadata__", ()))
    ]
    assert not silent, f"{context.__name__}: write Annotated[type, 'what it is']"


def computed_names() -> set[str]:
    """Metric names that the calculator writes, as they stand in its code."""
    return {
        node.args[0].value
        for path in (ROOT / "solvency").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Draft" and node.args
        if isinstance(node.args[0], ast.Constant)
    }


def test_every_metric_that_is_computed_has_a_term() -> None:
    assert len(computed_names()) > 20, "the calculator writes its metrics as Draft(name, …); this test reads them there"
    assert computed_names() <= set(published_names())
