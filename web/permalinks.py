"""How facts are named in addresses: the same after a rebuild, and after a reorganisation that only moves them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Protocol

from ledger.moments import is_made_up
from ledger.pages import Place
from ledger.tables import Chain

Key = tuple[int, int, int, int]
"""Segment, block, log and number within the log: one fact of one state of the ledger."""


class Named(Protocol):
    """What a fact's name is made of: rows of several queries have these columns."""

    @property
    def segment_id(self) -> int: ...
    @property
    def role(self) -> str: ...
    @property
    def market(self) -> str | None: ...
    @property
    def block_number(self) -> int: ...
    @property
    def block_time(self) -> datetime: ...
    @property
    def log_index(self) -> int: ...
    @property
    def fact_no(self) -> int: ...
    @property
    def tx_hash(self) -> str | None: ...


def key_of(row: Named) -> Key:
    """What tells a fact from all others of its chain."""
    return row.segment_id, row.block_number, row.log_index, row.fact_no


def stem(role: str, place: Place) -> str:
    """How the names of a segment's facts of one role begin."""
    return f"{role}-{place.segment.slug}".replace("/", "-").replace("_", "-")


def name_facts(
    rows: Iterable[Named], places: Mapping[int, Place], wanted: Collection[Key] | None = None
) -> dict[Key, str]:
    """Names of facts: role, segment, day, transaction, and the place among facts of that role in it.

    `rows` are all facts of their roles in each transaction, in order of blocks and logs; of them only those `wanted`
    are named, if said. A poll has no transaction and a reconstruction made its own up: there the second of the day
    stands for it.
    """
    seen: Counter[tuple[int, str, date, str]] = Counter()
    names = {}
    for row in rows:
        place = places[row.segment_id]
        within = (row.segment_id, row.role, row.block_time.date(), _mark(row, place.chain))
        if wanted is None or key_of(row) in wanted:
            names[key_of(row)] = f"{stem(row.role, place)}-{within[2]}-{within[3]}-{seen[within]}"
        seen[within] += 1
    return names


def _mark(row: Named, chain: Chain) -> str:
    if row.tx_hash and not is_made_up(chain):
        return row.tx_hash[2:14]
    return f"t{row.block_time:%H%M%S}"


def event_anchor(row: Named, place: Place, *, is_group: bool) -> str:
    """A stable id of a row on a page: the same fact or day has the same one after a rebuild."""
    market = "".join(letter for letter in (row.market or "")[:10].lower() if letter.isalnum() or letter == "-")
    own = f"-{market}" * bool(market) if is_group else f"-{row.block_number}-{row.log_index}-{row.fact_no}"
    return f"{stem(row.role, place)}-{row.block_time:%Y-%m-%d}{own}".replace("_", "-")


def event_path(name: str) -> str:
    """Address of a fact's own page, or of the page of a day's facts."""
    return f"/events/{name}"
