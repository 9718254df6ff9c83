"""Templates to bytes: everything is escaped, and a name that a context does not have is an error."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ledger.words import DISCLAIMER
from web.names import tame
from web.words import PURPOSE

TEMPLATES = Path(__file__).parent / "templates"
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Signs that XML forbids even when they are escaped; a contract may put them into a name."""


@cache
def environment() -> Environment:
    """The templates; escaping is on whatever a file is called."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(disclaimer=DISCLAIMER, purpose=PURPOSE)
    return made


def _finalize(value: Any) -> Any:
    """Whatever is printed is without what cannot be seen, so no template can forget it."""
    return tame(value) if type(value) is str else value


def render(template: str, **context: Any) -> bytes:
    """One page or feed."""
    text = environment().get_template(template).render(**context).strip()
    return (NO_XML.sub("\ufffd", text) if template.endswith((".atom", ".svg", ".xml")) else text).encode() + b"\n"


def macro(template: str, name: str) -> Callable[..., Markup]:
    """A part of a page by itself: what it prints is escaped."""
    found: Callable[..., Markup] = getattr(environment().get_template(template).module, name)
    return found
