"""What a reader asks of the table of funds: words to find, four filters, an order; all of it stands in the address."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlencode

from ledger.kinds import DataStatus, FundKind, Status
from ledger.numbers import finite, format_count
from ledger.pages import Place
from ledger.words import STATUSES, chain_title, data_words, fund_kind_words
from web.contexts import Choice
from web.figures import UNKNOWN, Figures
from web.words import SEVERITY

LONGEST_SEARCH = 60
MOST_ASKED = 20
"""Values of an address that are looked at: the form sends seven."""
ASCENDING, DESCENDING = "asc", "desc"


@dataclass(frozen=True)
class Entry:
    """One fund as it is filtered and ordered: the segment that stands for it."""

    place: Place
    figures: Figures

    def value(self, metric: str) -> Decimal | None:
        """A stored number, None where it is unknown."""
        row = self.figures.metric(metric)
        return None if row is None or row.quality == UNKNOWN else finite(row.value)


Rank = Callable[[Entry], Decimal | str | None]


@dataclass(frozen=True)
class Column:
    """A column of the table. `first`: which end a reader wants to see first; without `rank` it has no order."""

    key: str
    title: str
    is_number: bool = False
    first: str = DESCENDING
    rank: Rank | None = None


def _by(metric: str) -> Rank:
    return lambda entry: entry.value(metric)


def _severity(entry: Entry) -> Decimal:
    return Decimal(-SEVERITY.index(Status(entry.figures.badge().key)))


def _time(entry: Entry) -> str | None:
    return next((f"{row.as_of_time:%Y-%m-%dT%H:%M:%S}" for row in entry.figures.metrics.values()), None)


COLUMNS = (
    Column("fund", "Fund", first=ASCENDING, rank=lambda entry: entry.place.fund.name.casefold()),
    Column("status", "Status", rank=_severity),
    Column("usable", "Usable", is_number=True, rank=_by("usable_value")),
    Column("coverage", "Coverage", is_number=True, first=ASCENDING, rank=_by("coverage")),
    Column("loss", "Reference loss", is_number=True, rank=_by("reference_loss")),
    Column("exposure", "Open interest or borrows", is_number=True, rank=_by("exposure")),
    Column("worst", "Worst 24 hours of shortfalls", is_number=True, rank=_by("worst_1d")),
    Column("spark", "90 days"),
    Column("as_of", "As of", rank=_time),
)
DEFAULT = "status"
Choices = Mapping[str, Mapping[str, str]]
"""By field the values that can be chosen, with their words."""
Mistakes = list[tuple[str, str]]
FIELDS = {"kind": "Type", "chain": "Chain", "status": "Status", "data": "Data"}
PARAMETERS = ("q", *FIELDS, "sort", "dir")


@dataclass(frozen=True)
class Asked:
    """What was asked; empty is not asked."""

    text: str = ""
    kind: str = ""
    chain: str = ""
    status: str = ""
    data: str = ""
    sort: str = DEFAULT
    direction: str = DESCENDING

    @property
    def filters(self) -> dict[str, str]:
        """Parameters that leave funds out, as the address carries them."""
        given = {"q": self.text, "kind": self.kind, "chain": self.chain, "status": self.status, "data": self.data}
        return {name: value for name, value in given.items() if value}

    @property
    def order(self) -> dict[str, str]:
        """Parameters of the order; none for the order of the page itself."""
        is_plain = (self.sort, self.direction) == (DEFAULT, DESCENDING)
        return {} if is_plain else {"sort": self.sort, "dir": self.direction}

    @property
    def is_turned(self) -> bool:
        """True where the column's other end stands first."""
        return self.direction != next(column.first for column in COLUMNS if column.key == self.sort)


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    title: Annotated[str, "what stands below"]
    is_number: Annotated[bool, "right-aligned"]
    href: Annotated[str, "puts the table in this column's order, or turns it; empty: it has none"]
    sorted: Annotated[str, "ascending or descending where the table stands in this order, else empty"]


@dataclass(frozen=True)
class FilterForm:
    """The row above the table."""

    text: Annotated[str, "what was searched for"]
    longest: Annotated[int, "characters that a search may have"]
    fields: Annotated[tuple[tuple[str, str, tuple[Choice, ...]], ...], "name, label, and what can be chosen"]
    direction: Annotated[str, "kept where the order was turned, else empty"]
    mistakes: Annotated[tuple[tuple[str, str], ...], "id of a field, and what is wrong with it"]
    found: Annotated[str, "how many funds are shown of how many; empty where nothing was asked"]
    clear: Annotated[str, "address without filters, in the same order"]


KNOWN: Choices = {
    "kind": {str(kind): fund_kind_words(kind) for kind in FundKind},
    "status": {str(status): STATUSES[status][0] for status in SEVERITY},
    "data": {str(status): data_words(status) for status in DataStatus} | {UNKNOWN: UNKNOWN},
}
"""What may be asked for whether or not a fund has it now: a link to a status may be older than a recovery."""


def choices_of(entries: Sequence[Entry]) -> Choices:
    """What can be chosen: what some fund has."""
    kinds = {entry.place.fund.kind for entry in entries}
    statuses = {entry.figures.badge().key for entry in entries}
    data = {entry.figures.data()[0] for entry in entries}
    chains = {entry.place.chain.slug: chain_title(entry.place.chain) for entry in entries}
    return {
        "kind": {key: words for key, words in KNOWN["kind"].items() if key in kinds},
        "chain": dict(sorted(chains.items(), key=lambda pair: pair[1].casefold())),
        "status": {key: words for key, words in KNOWN["status"].items() if key in statuses},
        "data": {key: words for key, words in KNOWN["data"].items() if words in data},
    }


def read_asked(query: Sequence[tuple[str, str]], choices: Choices) -> tuple[Asked, Mistakes]:
    """What an address asks, and by field what is wrong with it: that is not asked then. Other names are nobody's."""
    given: dict[str, str] = {}
    mistakes: Mistakes = []
    for name, value in query[:MOST_ASKED]:
        if name in PARAMETERS and given.setdefault(name, value) != value:
            mistakes.append(("q", f"“{name}” is asked for twice: only the first value counts."))
    text = " ".join(given.get("q", "").split())
    if len(text) > LONGEST_SEARCH or not text.isprintable():
        mistakes.append(("q", f"Search for at most {LONGEST_SEARCH} letters, digits and signs."))
        text = ""
    chosen = {name: _chosen(name, given.get(name, ""), choices[name], mistakes) for name in FIELDS}
    sort, direction = _order(given.get("sort", ""), given.get("dir", ""), mistakes)
    return Asked(text, **chosen, sort=sort, direction=direction), mistakes


def _chosen(name: str, value: str, listed: Mapping[str, str], mistakes: Mistakes) -> str:
    if not value or value in listed or value in KNOWN.get(name, {}):
        return value
    mistakes.append((name, f"{FIELDS[name]}: nothing has that name. Choose one from the list."))
    return ""


def _order(sort: str, direction: str, mistakes: Mistakes) -> tuple[str, str]:
    column = next((one for one in COLUMNS if one.rank and one.key == (sort or DEFAULT)), None)
    if column is None:
        mistakes.append(("sort", "The table has no such order: choose the head of a column."))
        return DEFAULT, DESCENDING
    if direction not in ("", ASCENDING, DESCENDING):
        mistakes.append(("sort", "An order goes up (asc) or down (desc)."))
        direction = ""
    return column.key, direction or column.first


def select_entries(entries: Sequence[Entry], asked: Asked) -> list[Entry]:
    """The entries that were asked for, in the order asked for; unknown numbers stand last either way."""
    words = asked.text.casefold().split()
    found = [entry for entry in entries if _matches(entry, asked) and all(word in _said(entry) for word in words)]
    if not asked.order:
        return found  # The page's own order: severity, then reference loss.
    rank = next(column.rank for column in COLUMNS if column.key == asked.sort and column.rank)
    ranked = [(rank(entry), entry) for entry in found]
    known = [(value, entry) for value, entry in ranked if value is not None]
    known.sort(key=lambda pair: pair[0], reverse=asked.direction == DESCENDING)
    return [entry for _, entry in known] + [entry for value, entry in ranked if value is None]


def _matches(entry: Entry, asked: Asked) -> bool:
    return (
        asked.kind in ("", entry.place.fund.kind)
        and asked.chain in ("", entry.place.chain.slug)
        and asked.status in ("", entry.figures.badge().key)
        and (not asked.data or KNOWN["data"][asked.data] == entry.figures.data()[0])
    )


def _said(entry: Entry) -> str:
    """What a search looks through."""
    place = entry.place
    symbol = place.asset.symbol if place.asset else ""
    parts = (place.fund.name, place.segment.name, place.platform.name, place.chain.name, place.fund.slug, symbol)
    return " ".join(parts).casefold()


def table_heads(asked: Asked) -> tuple[Head, ...]:
    """Heads that are links: the first press shows the end one wants to see, the next one turns the order."""
    return tuple(_head(column, asked) for column in COLUMNS)


def _head(column: Column, asked: Asked) -> Head:
    if column.rank is None:
        return Head(column.title, column.is_number, "", "")
    is_sorted = column.key == asked.sort
    turned = ASCENDING if asked.direction == DESCENDING else DESCENDING
    order = Asked(sort=column.key, direction=turned if is_sorted else column.first).order
    words = {ASCENDING: "ascending", DESCENDING: "descending"}[asked.direction]
    return Head(column.title, column.is_number, address(asked.filters | order), words if is_sorted else "")


def address(parameters: Mapping[str, str]) -> str:
    """The table with these parameters."""
    return f"?{urlencode(parameters)}" if parameters else "/"


def filter_form(asked: Asked, choices: Choices, mistakes: Mistakes, *, count: int, total: int) -> FilterForm:
    """The row of filters as it was sent; `count` funds of `total` are shown."""
    fields = []
    for name, label in FIELDS.items():
        value = getattr(asked, name)
        words = dict(choices[name])
        if value:
            words.setdefault(value, KNOWN.get(name, {}).get(value, value))
        options = (Choice("", "all", not value), *(Choice(key, text, key == value) for key, text in words.items()))
        fields.append((name, label, options))
    found = f"{count:,} of {format_count(total, 'fund')}" if asked.filters else ""
    return FilterForm(
        text=asked.text,
        longest=LONGEST_SEARCH,
        fields=(*fields, ("sort", "Order", _orders(asked))),
        direction=asked.direction if asked.is_turned else "",
        mistakes=tuple(mistakes),
        found=found,
        clear=address(asked.order),
    )


def _orders(asked: Asked) -> tuple[Choice, ...]:
    """The heads' orders once more: a narrow screen shows no heads."""
    return tuple(
        Choice("" if column.key == DEFAULT else column.key, column.title, column.key == asked.sort)
        for column in COLUMNS
        if column.rank
    )
