"""Who decides, and by which rule: changes of owners, implementations, parameters and markets, before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated
from uuid import NAMESPACE_URL, uuid5

from ledger.evidence import ChangeRow, list_changes
from ledger.kinds import Role
from ledger.moments import MADE_UP_FACT, evidence_href, evidence_text, is_made_up, shorten
from ledger.numbers import format_count, format_setting, format_time
from ledger.pages import Place
from ledger.words import kind_words
from web.announced import iso_time
from web.api import Json, envelope
from web.contexts import Cell, Frame, Table
from web.edition import Edition
from web.evidence import paged_facts
from web.feeds import NEVER
from web.frames import frame
from web.names import LONGEST_NAME, neat, neat_name
from web.permalinks import event_path, key_of, name_facts
from web.segments import market_names
from web.templating import render

MOST_LINES = 200
MOST_ENTRIES = 100
MOST_ROWS = 2000
"""So many changes, the newest, are in the JSON twin."""
MOST_OF_FUND = 20
NOBODY = "0x" + 40 * "0"
NOT_KNOWN = "not known"
AS_STORED = "a value without a unit is as the contract stores it"
OWNER, IMPLEMENTATION = "Owner", "Implementation"
EVENTS = {
    "OwnershipTransferred": OWNER,
    "SetOwner": OWNER,
    "RoleGranted": "Role granted",
    "RoleRevoked": "Role revoked",
    "Upgraded": IMPLEMENTATION,
    "ImplementationChanged": IMPLEMENTATION,
    "Paused": "Paused",
    "Unpaused": "Unpaused",
    "MarketPaused": "Market paused",
}
"""Events of control in words; one that is not here is shown under its own name."""


@dataclass(frozen=True)
class ChangeLine:
    """One change."""

    name: Annotated[str, "the fact's name, stable when it is moved"]
    permalink: Annotated[str, "its own page; empty: not linked"]
    iso: Annotated[str, "chain time, ISO 8601"]
    when: Annotated[str, "the same in words"]
    fund: Annotated[str, "fund it concerns"]
    href: Annotated[str, "page of the fund"]
    kind: Annotated[str, "recording's kind, empty for a live chain"]
    what: Annotated[str, "owner, implementation, or the parameter's name"]
    market: Annotated[str, "market it is set for; empty: all"]
    before: Annotated[str, "value before, by its unit if it has one; not known where no earlier fact says so"]
    after: Annotated[str, "value after"]
    evidence: Annotated[str, "transaction, block and log index, or what is genuine"]
    evidence_href: Annotated[str, "on a block explorer; else empty"]


@dataclass(frozen=True)
class ChangesPage:
    """Changes of all funds."""

    frame: Annotated[Frame, "around the page"]
    table: Annotated[Table | None, "newest first; None before any"]


def changes_page(edition: Edition) -> ChangesPage:
    """The newest changes."""
    return ChangesPage(
        frame=frame(
            edition,
            "/changes",
            "Changes",
            description="Who may decide over the funds' contracts, by which rule, and which markets were shut down",
            json_path="/changes.json",
            places=edition.places,
        ),
        table=newest_changes(edition, edition.places, f"Newest first; {AS_STORED}", limit=MOST_LINES),
    )


def fund_changes(edition: Edition, places: Sequence[Place]) -> Table | None:
    """The newest changes of one fund; None where none was seen."""
    caption = f"Changes, newest first; {AS_STORED}"
    return newest_changes(edition, places, caption, limit=MOST_OF_FUND, of="")


def last_changes(edition: Edition, limit: int) -> Table | None:
    """The newest of all funds, kept for the home page while nothing in them changes."""
    caption = f"Owners, implementations and parameters; {AS_STORED}"
    make = partial(newest_changes, edition, edition.places, caption, limit=limit)
    return edition.latest.others.made_of("newest changes", (limit, edition.told_of_facts), make)


def newest_changes(
    edition: Edition, places: Sequence[Place], caption: str, *, limit: int, of: str = "Fund"
) -> Table | None:
    """A table of the newest; `of` heads the column of funds, empty: there is none. None where no change was seen."""
    rows = list_changes(edition.session, [place.segment_id for place in places])
    if not rows:
        return None
    shown = _lines(edition, places, rows, limit)
    fund = (Cell(of),) if of else ()
    heads = (Cell("When"), *fund, Cell("What"), Cell("Before"), Cell("After"), Cell("Evidence"))
    body = tuple(
        (
            Cell(line.when, href=line.permalink),
            *((Cell(line.fund, href=line.href),) if of else ()),
            Cell(f"{line.what}, {line.market}" if line.market else line.what),
            Cell(shorten(line.before), title=line.before),
            Cell(shorten(line.after), title=line.after),
            Cell(line.evidence, href=line.evidence_href),
        )
        for line in shown
    )
    note = f"The newest {len(shown)} of {format_count(len(rows), 'change')}." if len(rows) > len(shown) else ""
    return Table(caption, heads, body, note)


def change_lines(edition: Edition, places: Sequence[Place], *, limit: int | None = None) -> list[ChangeLine]:
    """Changes of these segments, newest first; only the newest so many, if said."""
    return _lines(edition, places, list_changes(edition.session, [place.segment_id for place in places]), limit)


def _lines(edition: Edition, places: Sequence[Place], rows: Sequence[ChangeRow], limit: int | None) -> list[ChangeLine]:
    """Of all rows in order, since each sets aside what an earlier one set."""
    known = {place.segment_id: place for place in places}
    before, names, paged = values_before(rows), name_facts(rows, known), paged_facts(rows)
    shown = rows[::-1][:limit]
    concerned = {row.segment_id for row in shown if row.market}
    markets = {segment_id: market_names(edition, known[segment_id]) for segment_id in concerned}
    return [
        _line(
            row,
            known[row.segment_id],
            markets.get(row.segment_id, {}),
            name=names[key_of(row)],
            before=before[key_of(row)],
            has_page=key_of(row) in paged,
        )
        for row in shown
    ]


def values_before(rows: Sequence[ChangeRow]) -> dict[tuple[int, int, int, int], str]:
    """What each of these facts, in order, set aside: as it says itself, or as the last one before it set it.

    A market's state is a parameter while it is open and a shutdown afterwards, so the role does not matter.
    """
    last: dict[tuple[int, str, str], str] = {}
    found = {}
    for row in rows:
        what = row.segment_id, row.market or "", subject_of(row)
        found[key_of(row)] = str((row.detail or {}).get("before") or last.get(what, ""))
        last[what] = value_of(row)
    return found


def subject_of(row: ChangeRow) -> str:
    """What was changed: a parameter by its name, else what the event speaks of."""
    detail = row.detail or {}
    if "name" in detail:
        return neat_name(str(detail["name"]).replace("_", " ")).capitalize()
    event = neat(str(detail.get("event", "")), LONGEST_NAME)
    return EVENTS.get(event, event) or ("Control" if row.role == Role.CONTROL else "Parameter")


def value_of(row: ChangeRow) -> str:
    """What it was set to; empty where the fact does not say."""
    detail = row.detail or {}
    told = (detail.get("value"), detail.get("implementation"), row.account)
    return next((str(value) for value in told if value is not None), "")


def _line(  # One line of columns each.
    row: ChangeRow, place: Place, markets: Mapping[str, str], *, name: str, before: str, has_page: bool
) -> ChangeLine:
    return ChangeLine(
        name=name,
        permalink=event_path(name) if has_page else "",
        iso=iso_time(row.block_time),
        when=format_time(row.block_time),
        fund=place.fund.name,
        href=f"/funds/{place.fund.slug}#control",
        kind=kind_words(place.chain.kind),
        what=subject_of(row),
        market=markets.get(row.market or "", neat(shorten(row.market or ""), LONGEST_NAME)),
        before=_said(before, row),
        after=_said(value_of(row), row),
        evidence=evidence_text(row, place.chain),
        evidence_href=evidence_href(row, place.chain),
    )


def _said(value: str, row: ChangeRow) -> str:
    return "nobody" if value == NOBODY else neat(format_setting(value, row.detail or {})) or NOT_KNOWN


def changes_json(edition: Edition) -> Json:
    """The newest changes, one row a fact, and how many there are in all."""
    known = {place.segment_id: place for place in edition.places}
    rows = list_changes(edition.session, list(known))
    before, names = values_before(rows), name_facts(rows, known)
    told = [
        _json(row, known[row.segment_id], before=before[key_of(row)], name=names[key_of(row)])
        for row in rows[::-1][:MOST_ROWS]
    ]
    return envelope(edition, "/changes.json") | {"count": len(rows), "changes": told}


def _json(row: ChangeRow, place: Place, *, before: str, name: str) -> Json:
    return {
        "id": name,
        "fund": place.fund.slug,
        "segment": place.segment.slug,
        "source_kind": place.chain.kind,
        "role": row.role,
        "subject": subject_of(row),
        "market": row.market,
        "before": before or None,
        "after": value_of(row) or None,
        "detail": row.detail,
        "block_number": row.block_number,
        "block_hash": row.block_hash,
        "block_time": iso_time(row.block_time),
        "tx_hash": row.tx_hash,
        "log_index": row.log_index,
        "fact_no": row.fact_no,
        "is_synthetic": is_made_up(place.chain),
        "synthetic": list(MADE_UP_FACT) if is_made_up(place.chain) else [],
    }


def changes_feed(edition: Edition) -> bytes:
    """The newest changes as Atom; an entry keeps its id when the site is rebuilt or moves."""
    lines = change_lines(edition, edition.places, limit=MOST_ENTRIES)
    return render(
        "changes.atom",
        site_url=edition.config.site_url,
        feed_id=f"urn:uuid:{uuid5(NAMESPACE_URL, 'backstop:changes')}",
        entries=[(line, f"urn:uuid:{uuid5(NAMESPACE_URL, 'backstop:event:' + line.name)}") for line in lines],
        updated=max((line.iso for line in lines), default=NEVER),
    )
