"""What others call themselves, made fit to print: contracts and venues choose their names, and pages repeat them."""

import re
import unicodedata
from functools import lru_cache
from typing import TypeVar

from sqlmodel import Session

from ledger.pages import Place, list_places
from ledger.tables import Asset, Chain, Fund, Platform, Segment

INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Controls, marks of direction and of no width, breaks of lines and paragraphs, tags: they change what a reader sees
around them and are not seen themselves."""
LONGEST_NAME, LONGEST_NAME_WORD = 80, 40
LONGEST_SYMBOL = 32
LONGEST_TEXT, LONGEST_WORD = 1200, 100
"""Room for reasons in words; a transaction's hash has 66 characters, the largest number with its commas 103."""
MOST_MARKS = 3
"""Accents on one letter; more of them climb over the lines above."""
UNNAMED_TOKEN, UNNAMED = "(unnamed token)", "(unnamed)"
UNITS = frozenset({"usd", "ratio", "fraction", "days", "count", "band", "text"})
"""Units of metrics: a token of such a name would have its amounts read as dollars or ratios."""
Row = TypeVar("Row", Asset, Chain, Fund, Platform, Segment)


def tame(text: str) -> str:
    """The text without what cannot be seen: controls and breaks part words, marks of direction say nothing."""
    if text.isascii() and text.isprintable():  # Nearly every text; thousands are printed on a page.
        return text
    return INVISIBLE.sub(lambda sign: _replaced(sign[0]), text)


def _replaced(sign: str) -> str:
    return " " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else ""


@lru_cache(maxsize=20_000)
def neat(text: str, most: int = LONGEST_TEXT, longest_word: int = LONGEST_WORD) -> str:
    """One line of bounded length, of bounded words, of letters with few accents."""
    if text.isascii() and text.isprintable() and len(text) <= longest_word:
        return text
    words = (_cut(word, longest_word) for word in re.split(r"[ \t\r\n]+", _few_marks(tame(text))) if word)
    return _cut(" ".join(words), most)


def _few_marks(text: str) -> str:
    signs: list[str] = []
    marks = 0
    for sign in text:
        marks = marks + 1 if unicodedata.category(sign) in ("Mn", "Me") else 0
        if marks <= MOST_MARKS:
            signs.append(sign)
    return "".join(signs)


def _cut(text: str, most: int) -> str:
    """Leaves out the middle: the name of a recording ends with its kind, a sentence with its numbers."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[len(text) - most // 3 + 1 :]}"


def neat_name(name: str) -> str:
    """The name of a fund, platform or chain."""
    return neat(name, LONGEST_NAME, LONGEST_NAME_WORD).strip() or UNNAMED


def neat_symbol(symbol: str) -> str:
    """The symbol of a token, which is never empty and never one of our own units."""
    short = neat(symbol, LONGEST_SYMBOL, LONGEST_SYMBOL).strip() or UNNAMED_TOKEN
    return f"“{short}”" if short.lower() in UNITS else short


def neat_asset(asset: Asset) -> Asset:
    """The asset under a symbol fit to print; the address says which it is."""
    return _renamed(asset, symbol=neat_symbol(asset.symbol))


def neat_chain(chain: Chain) -> Chain:
    """The chain under a name fit to print."""
    return _renamed(chain, name=neat_name(chain.name))


def neat_places(session: Session, fund_slug: str | None = None) -> list[Place]:
    """All segments, or those of one fund, under names fit to print."""
    return [neat_place(place) for place in list_places(session, fund_slug)]


def neat_place(place: Place) -> Place:
    """The same segment under names fit to print."""
    return Place(
        segment=_renamed(place.segment, name=neat_name(place.segment.name)),
        fund=_renamed(place.fund, name=neat_name(place.fund.name)),
        platform=_renamed(place.platform, name=neat_name(place.platform.name)),
        chain=neat_chain(place.chain),
        asset=neat_asset(place.asset) if place.asset else None,
    )


def _renamed(row: Row, **names: str) -> Row:
    """The row itself where its names are fit to print, as nearly all are; else a copy that no session writes."""
    is_same = all(getattr(row, field) == name for field, name in names.items())
    return row if is_same else type(row)(**row.model_dump() | names)
