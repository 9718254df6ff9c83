"""What every page must have, and what none may show; the same for served pages and for files of a published tree."""

import html
import re
from collections.abc import Mapping
from pathlib import Path

from web.manifest import file_name

NO_NUMBERS = re.compile(r"\b(NaN|None|Infinity|inf|null|undefined)\b")
AT_BLOCK = re.compile(r"/funds/[^/]+/facts/[^/]+/[0-9]+")
"""Fact pages at a block: day pages lead to all of them, a tree holds the last ones only and says so."""
SAID = re.compile(r"None recognised|None seen|None stated|None:|None at all|None known|undefined without")

ONE_OF_MANY = re.compile(
    r"(?<![\w.,:/×−–-])1[ \xa0](?:[a-z]+ ){0,2}?"
    r"(?:accounts|assets|balances|blocks|changes|days|episodes|events|facts|flows|funds|holes|hours|lines|liquidations"
    r"|losses|markets|moves|networks|paths|readings|rows|segments|shortfalls|subscriptions)\b"
)
"""A count of one before a word for several; "0 of 1 days", too."""


def text_of(page: str) -> str:
    """What a reader reads: no tags, entities resolved, words apart by one space."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def internal_links(text: str) -> list[str]:
    """Paths of this site that a page links to, without questions and fragments."""
    return sorted({html.unescape(link) for link in re.findall(r'(?:href|src)="(/[^"#?]*)', text)})


def find_faults(path: str, text: str, site_url: str = "") -> list[str]:
    """What is wrong with a page, in words; `site_url` is what canonical addresses begin with."""
    found = []
    for what, pattern in (
        ("language", r'<html lang="en">'),
        ("title", r"<title>[^<]*\w[^<]*</title>"),
        ("canonical address", rf'<link rel="canonical" href="{re.escape(site_url + path)}">'),
    ):
        if len(re.findall(pattern, text)) != 1:
            found.append(f"{path}: not one {what}")
    headings = re.findall(r"<h([1-6])\b[^>]*>(.*?)</h\1>", text, re.DOTALL)
    if [level for level, _ in headings].count("1") != 1:
        found.append(f"{path}: not one h1")
    found += [f"{path}: an empty heading" for _, inner in headings if not text_of(inner)]
    if path not in {"/methodology", "/glossary", "/data/dictionary"}:  # These explain the words.
        said = SAID.sub("", text_of(text))
        found += [f"{path}: prints {word}" for word in (*NO_NUMBERS.findall(said), *ONE_OF_MANY.findall(said))]
    return found


def files_of(directory: Path) -> dict[str, bytes]:
    """What a published tree holds, by name."""
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def crawl_tree(files: Mapping[str, bytes], site_url: str = "") -> tuple[set[str], list[str]]:
    """The paths that the home page of a published tree leads to, near or far, and what is wrong with them."""
    waiting, seen, faults = ["/"], {"/"}, list[str]()
    while waiting:
        path = waiting.pop()
        name = file_name(path, is_page=file_name(path, is_page=True) in files)
        if name not in files:
            faults += [] if AT_BLOCK.fullmatch(path.removesuffix(".json")) else [f"{path} is not there"]
        elif name.endswith("index.html"):
            text = files[name].decode()
            faults += find_faults(path, text, site_url)
            new = set(internal_links(text)) - seen
            seen |= new
            waiting += sorted(new)
    return seen, faults
