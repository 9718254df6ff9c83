"""Facts as evidence: exact sums by asset, grouping by day where they are many, and where each can be checked."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ledger.counts import Mark
from ledger.evidence import CHANGE_ROLES
from ledger.kinds import Role
from ledger.moments import MADE_UP_WORDS, evidence_href, evidence_text, is_made_up, shorten
from ledger.numbers import format_amount, format_count, format_date, format_exact, format_time, scale
from ledger.pages import EventRow, Place
from ledger.tables import Asset
from ledger.words import kind_words, role_words
from web.contexts import EventLine
from web.names import LONGEST_NAME, neat
from web.permalinks import Key, Named, event_anchor, event_path, key_of, name_facts

LOSS_ROLES = (Role.SHORTFALL, Role.PAYOUT, Role.SOCIALISED_LOSS, Role.ADL)
LEAVING_ROLES = (Role.WITHDRAWAL_REQUEST, Role.WITHDRAWAL, Role.SURPLUS_DISTRIBUTION, Role.SHORTFALL_COVERED)
FAMILIES = (LOSS_ROLES, LEAVING_ROLES, CHANGE_ROLES)
"""Roles whose facts have pages that others link to: losses, money that left, and who decides by which rule."""
MOST_PAGES = 500
"""So many pages of facts are linked and published of each segment and family."""
_FAMILY: Mapping[str, int] = {str(role): place for place, family in enumerate(FAMILIES) for role in family}
GROUP_FROM = 3
"""From this many facts of one role, segment and day on, a list shows the day as one line."""


@dataclass(frozen=True)
class Sum:
    """An exact sum of facts in one asset: `raw` in smallest units; how many facts, and the largest of them."""

    asset_id: int | None
    raw: int
    count: int
    largest: EventRow | None
    unknown: int = 0
    """So many of them have no amount: the sum is then a lower bound, or unknown where none has one."""


def sum_by_asset(rows: Iterable[EventRow]) -> list[Sum]:
    """Exact sums by asset, in order of assets; facts without an amount count but add nothing."""
    found: dict[int | None, list[EventRow]] = {}
    for row in rows:
        found.setdefault(row.asset_id, []).append(row)
    return [_sum(asset_id, found[asset_id]) for asset_id in sorted(found, key=lambda one: (one is None, one))]


def _sum(asset_id: int | None, rows: list[EventRow]) -> Sum:
    sized = [row for row in rows if row.amount_raw is not None]
    largest = max(sized, key=lambda row: abs(row.amount_raw or 0), default=None)
    return Sum(asset_id, sum(row.amount_raw or 0 for row in sized), len(rows), largest, len(rows) - len(sized))


def amount_text(raw: int | None, asset: Asset | None, *, exact: bool = False) -> str:
    """An amount with its symbol; unknown where no amount is stored, smallest units where the asset is not known."""
    if raw is None:
        return "unknown"
    if asset is None:
        return f"{raw:,} smallest units"
    value = scale(raw, asset.decimals)
    return f"{format_exact(value)}\N{NO-BREAK SPACE}{asset.symbol}" if exact else format_amount(value, asset.symbol)


def sums_text(sums: Sequence[Sum], assets: Mapping[int, Asset]) -> str:
    """All sums, one after the other: assets are never added up."""
    return " + ".join(sum_text(one, assets) for one in sums)


def sum_text(one: Sum, assets: Mapping[int, Asset], *, exact: bool = False) -> str:
    """One sum: unknown where no fact has an amount, at least so much where some have none."""
    text = amount_text(one.raw if one.largest else None, assets.get(one.asset_id or 0), exact=exact)
    return f"at least {text}" if one.largest and one.unknown else text


def paged_facts(rows: Sequence[Named]) -> set[Key]:
    """Those of these facts, in order of time, whose own pages are linked and published: the newest of each family.

    Every fact has a page on the server. What a published page leads to must be a file, and files must stay few.
    """
    found: set[Key] = set()
    counts: Counter[tuple[int, int]] = Counter()
    for row in reversed(rows):
        family = _FAMILY.get(row.role)
        if family is not None and counts[row.segment_id, family] < MOST_PAGES:
            counts[row.segment_id, family] += 1
            found.add(key_of(row))
    return found


def shared_day(row: EventRow | Mark) -> tuple[str, int, str, str]:
    """What facts that a list may show in one line have in common."""
    day = row.day if isinstance(row, Mark) else f"{row.block_time:%Y-%m-%d}"
    return day, row.segment_id, row.role, row.market or ""


def count_lines(facts: Iterable[EventRow | Mark]) -> int:
    """How many lines event_lines() makes of these facts."""
    return sum(1 if count >= GROUP_FROM else count for count in Counter(map(shared_day, facts)).values())


def newest_groups(groups: Sequence[Sequence[EventRow]], limit: int) -> list[Sequence[EventRow]]:
    """The groups of facts that the newest so many lines are made of, and all others of the second where that cuts."""
    ends = [max(row.block_time for row in group).replace(microsecond=0) for group in groups]
    since = sorted(ends, reverse=True)[:limit][-1:]
    return [group for group, end in zip(groups, ends, strict=True) if since and end >= since[0]]


def event_lines(
    rows: Sequence[EventRow],
    places: Mapping[int, Place],
    assets: Mapping[int, Asset],
    *,
    names: Mapping[str, str] | None = None,
    limit: int = sys.maxsize,
) -> list[EventLine]:
    """The newest so many events, newest first; GROUP_FROM or more that share a day are one line with their exact sum.

    `names` are those of markets and accounts; without them an asset's symbol stands for its address.
    """
    known = {asset.address: asset.symbol for asset in assets.values()} | dict(names or {})
    paged = paged_facts(rows)
    facts = name_facts(rows, places, paged)
    lines = []
    for group in newest_groups(_group(rows), limit):
        name = next((facts[key_of(row)] for row in group if key_of(row) in paged), "")
        lines.append(_line(group, places[group[0].segment_id], assets, names=known, name=name))
    return sorted(lines, key=lambda line: (line.iso, line.anchor), reverse=True)[:limit]


def _group(rows: Sequence[EventRow]) -> list[Sequence[EventRow]]:
    """Facts as they stand in lines: together those of a day where they are many, else each by itself."""
    found: list[Sequence[EventRow]] = []
    for _, group in groupby(sorted(rows, key=shared_day), key=shared_day):
        facts = list(group)
        found.extend([facts] if len(facts) >= GROUP_FROM else [[row] for row in facts])
    return found


def _line(
    rows: Sequence[EventRow], place: Place, assets: Mapping[int, Asset], *, names: Mapping[str, str], name: str
) -> EventLine:
    """`name` is that of one of them that has a linked page; empty: none has."""
    last = max(rows, key=lambda row: (row.block_time, row.log_index))
    is_group = len(rows) > 1
    anchor = event_anchor(last, place, is_group=is_group)
    return EventLine(
        anchor=anchor,
        when=format_date(last.block_time) if is_group else format_time(last.block_time),
        iso=f"{last.block_time:%Y-%m-%dT%H:%M:%SZ}",
        fund=place.fund.name,
        href=f"/funds/{place.fund.slug}#{anchor}",
        kind=kind_words(place.chain.kind),
        what=role_words(last.role),
        amount=sums_text(sum_by_asset(rows), assets),
        who=_concerned(rows, names),
        count=len(rows),
        evidence=_group_evidence(rows, place) if is_group else evidence_text(last, place.chain),
        evidence_href=f"/funds/{place.fund.slug}.json" if is_group else evidence_href(last, place.chain),
        permalink=event_path(anchor if is_group else name) if name else "",
    )


def _group_evidence(rows: Sequence[EventRow], place: Place) -> str:
    sources = "polls" if place.chain.is_venue else "logs"
    told = f"{format_count(len(rows), 'fact')} in {sources} of that day, one by one as JSON"
    return f"{told}; {MADE_UP_WORDS}" if is_made_up(place.chain) else told


def _concerned(rows: Sequence[EventRow], names: Mapping[str, str]) -> str:
    """The market or account of these facts, if they share one."""
    found = {row.market or row.account or "" for row in rows}
    if len(found) > 1:
        return "several"
    one = next(iter(found))
    return names.get(one) or neat(shorten(one), LONGEST_NAME)
