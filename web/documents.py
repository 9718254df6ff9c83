"""docs/methodology.md and docs/glossary.md as pages, with an anchor for each heading; raw HTML in them stays text."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from web.contexts import DocumentPage, Link
from web.edition import Edition
from web.frames import frame

FIELDS = ("Names", "Formula", "Unit", "Source", "Limits")


@dataclass(frozen=True)
class Term:
    """One glossary entry."""

    title: str
    anchor: str
    fields: dict[str, str] = field(default_factory=dict)
    """Formula, Unit, Source, Limits and Names, as far as the entry has them."""


def slug(text: str) -> str:
    """The anchor of a heading: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def load_document(folder: Path, name: str) -> str:
    """A document's text; empty where the file is not there."""
    file = folder / f"{name}.md"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def render_markdown(text: str) -> tuple[Markup, tuple[Link, ...]]:
    """HTML of a document and its second-level headings; each heading gets an anchor, links between documents follow."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    contents = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(inline.content))
            if token.tag == "h2":
                contents.append(Link(inline.content, f"#{slug(inline.content)}"))
        for child in token.children or []:
            target = child.attrGet("href") if child.type == "link_open" else None
            if isinstance(target, str):
                child.attrSet("href", re.sub(r"^(?:docs/)?(methodology|glossary)\.md", r"/\1", target))
    return Markup(parser.renderer.render(tokens, parser.options, {})), tuple(contents)


def list_terms(folder: Path) -> list[Term]:
    """The glossary's entries."""
    terms = []
    for section in re.split(r"^## ", load_document(folder, "glossary"), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        found = dict(re.findall(rf"^({'|'.join(FIELDS)}): (.+)$", body, flags=re.MULTILINE))
        terms.append(Term(title.strip(), slug(title), found))
    return terms


def find_term(folder: Path, metric: str) -> Term | None:
    """The entry that names a metric, by its Names line or by its title; None where there is none."""
    for term in list_terms(folder):
        names = re.split(r"[,\s]+", term.fields.get("Names", ""))
        if metric in names or slug(metric) == term.anchor:
            return term
    return None


def document_page(edition: Edition, name: str, title: str) -> DocumentPage:
    """The page of one document."""
    text = load_document(edition.config.docs, name) or f"# {title}\n\nThis document is not part of this installation."
    spaced = re.sub(rf"^({'|'.join(FIELDS)}): (.+)$", r"- **\1:** \2", text, flags=re.MULTILINE)
    # The title stands above the contents, so it is taken out of the text.
    body, contents = render_markdown(re.sub(r"\A# .+\n", "", spaced))
    return DocumentPage(
        frame=frame(edition, f"/{name}", title, description=f"{title} of Backstop"),
        title=title,
        anchor=slug(title),
        contents=contents,
        body=body,
    )
