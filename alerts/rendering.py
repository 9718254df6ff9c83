"""Templates of mails to text and HTML; whatever is printed is made harmless first, so no template can forget it."""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ledger.words import DISCLAIMER

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_TEXT = 1200
"""Characters of one printed text: room for a waterfall in words."""
LONGEST_WORD = 100
"""Characters of one word: a transaction's hash has 66."""
LONGEST_HREF = 2000
MOST_MARKS = 3
"""Accents on one letter; more of them climb over the lines above."""


class Href(str):
    """Where a link leads: checked, and printed whole."""

    __slots__ = ()


def find_href(href: str, site: str) -> Href | None:
    """An absolute address of our site, which a path from the root is one of, or of https; None for anything else."""
    whole = site + href if href.startswith("/") else href
    is_known = whole.startswith("https://") or (site != "" and whole.startswith(f"{site}/"))
    is_plain = re.fullmatch(r"https?://[!#-;=?-~]+", whole) is not None and len(whole) <= LONGEST_HREF
    return Href(whole) if is_known and is_plain else None


def neutralise(text: str, most: int = LONGEST_TEXT) -> str:
    """One line in the reading direction of the mail: no control signs, no invisible ones, nothing endless."""
    signs: list[str] = []
    marks = 0
    for sign in text:
        kind = unicodedata.category(sign)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks <= MOST_MARKS:
            signs.append(_replace(sign, kind))
    words = (_cut(word, LONGEST_WORD) for word in "".join(signs).split(" ") if word)
    return _cut(" ".join(words), most)


def _replace(sign: str, kind: str) -> str:
    """Line breaks and controls part words; marks of direction and of no width say nothing; others have no picture."""
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    if kind == "Cf":
        return ""
    return "\N{REPLACEMENT CHARACTER}" if kind in ("Cs", "Co", "Cn") else sign


def _cut(text: str, most: int) -> str:
    """Leaves out the middle: a sentence says its numbers at the end."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[len(text) - most // 3 + 1 :]}"


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup | Href) else neutralise(str(value))


@cache
def _environment(is_html: bool) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=is_html,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(disclaimer=DISCLAIMER)
    return made


def render_html(template: str, **context: Any) -> str:
    """The HTML of a mail."""
    return _environment(True).get_template(f"{template}.html").render(**context)


def render_text(template: str, **context: Any) -> str:
    """The same words as plain text."""
    rendered = _environment(False).get_template(f"{template}.txt").render(**context)
    return re.sub(r"\n{3,}", "\n\n", rendered).strip() + "\n"
