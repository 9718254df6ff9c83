"""docs/methodology.md and docs/glossary.md as pages, with an anchor for each heading; raw HTML in them stays text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from solvency.formulas import FORMULAS
from web.contexts import DocumentPage, Link
from web.edition import Edition
from web.frames import frame

MISSING = "This document is not part of this installation."
FIELDS = ("Names", "Formula", "Unit", "Source", "Limits")


@dataclass(frozen=True)
class Term:
    """One glossary entry."""

    title: str
    anchor: str
    fields: dict[str, str] = field(default_factory=dict)
    """Formula, Unit, Source, Limits and Names, as far as the entry has them."""


def slug(text: str) -> str:
    """The anchor of a heading: lower case, words joined by hyphens; of a numbered metric the number alone."""
    number = re.match(r"M\d+\b", text)
    return re.sub(r"[^a-z0-9]+", "-", (number[0] if number else text).lower()).strip("-")


def load_document(folder: Path, name: str) -> str:
    """A document's text; empty where the file is not there."""
    file = folder / f"{name}.md"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


@lru_cache(maxsize=8)  # Documents stay as they are while what stands around them changes with each block.
def render_markdown(text: str) -> tuple[Markup, tuple[Link, ...]]:
    """HTML of a document and its second-level headings; each heading gets an anchor, links between documents follow."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _open_table)
    parser.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    tokens = parser.parse(text)
    contents, heading = [], ""
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            heading = inline.content
            token.attrSet("id", slug(heading))
            if token.tag == "h2":
                contents.append(Link(heading, f"#{slug(heading)}"))
        elif token.type == "table_open":
            token.meta["label"] = heading
        for child in token.children or []:
            target = child.attrGet("href") if child.type == "link_open" else None
            if isinstance(target, str):
                child.attrSet("href", re.sub(r"^(?:docs/)?(methodology|glossary)\.md", r"/\1", target))
    return Markup(parser.renderer.render(tokens, parser.options, {})), tuple(contents)


def _open_table(_: object, tokens: Sequence[Token], index: int, *__: object) -> str:
    """A table in a box of its own, so that on a narrow screen the table scrolls and the page does not."""
    label = escape(tokens[index].meta["label"])
    return f'<div class="scroll" role="region" aria-label="Table: {label}" tabindex="0"><table>\n'


def list_terms(folder: Path) -> list[Term]:
    """The glossary's entries."""
    return list(_terms_of(load_document(folder, "glossary")))


@lru_cache(maxsize=4)
def _terms_of(glossary: str) -> tuple[Term, ...]:
    terms = []
    for section in re.split(r"^## ", glossary, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        found = dict(re.findall(rf"^({'|'.join(FIELDS)}): (.+)$", body, flags=re.MULTILINE))
        terms.append(Term(title.strip(), slug(title), found))
    return tuple(terms)


def find_term(folder: Path, metric: str) -> Term | None:
    """The entry that names a metric, by its Names line or by its title; None where there is none."""
    for term in list_terms(folder):
        names = re.split(r"[,\s]+", term.fields.get("Names", ""))
        if metric in names or slug(metric) == term.anchor:
            return term
    return None


def find_section(metric: str) -> str:
    """Address of the section of the methodology that defines a metric; of the whole page for one it does not know."""
    return f"/methodology#{slug(FORMULAS[metric].section)}" if metric in FORMULAS else "/methodology"


def document_page(edition: Edition, name: str, title: str) -> DocumentPage:
    """The page of one document, under the title that it has itself; `title` stands where it is not there."""
    text = load_document(edition.config.docs, name)
    heading = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    if heading is None:
        return _make_page(edition, f"/{name}", title, MISSING)
    return _make_page(edition, f"/{name}", heading[1], text[heading.end() :])


def changelog_page(edition: Edition) -> DocumentPage:
    """What changed between the versions of the method: the last section of the methodology as a page of its own."""
    section = load_document(edition.config.docs, "methodology").partition("\n## Changelog\n")[2]
    versions = section.replace("\n### ", "\n## ")
    return _make_page(edition, "/methodology/changelog", "Changelog of the method", versions or MISSING)


def _make_page(edition: Edition, path: str, title: str, text: str) -> DocumentPage:
    spaced = re.sub(rf"^({'|'.join(FIELDS)}): (.+)$", r"- **\1:** \2", text, flags=re.MULTILINE)
    body, contents = render_markdown(spaced)
    return DocumentPage(
        frame=frame(edition, path, title, description=f"{title} of Backstop"),
        title=title,
        anchor=slug(path),
        contents=contents,
        body=body,
    )
