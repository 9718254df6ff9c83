"""What happened at a fund: losses, payouts, money in and out, liquidations, newest first, each with its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import NAMESPACE_URL, uuid5

from ledger.evidence import count_events, latest_events
from ledger.kinds import Role
from ledger.moments import MADE_UP_WORDS, evidence_href, evidence_text, is_made_up, shorten
from ledger.numbers import format_count, format_date, format_time
from ledger.pages import EventRow, Place
from ledger.words import kind_words, role_words, source_words
from web.api import Json, envelope, event_row, fund_row
from web.contexts import Cell, Choice, EventLine, Frame, Link, Table
from web.csvs import Plain, Value, write_csv
from web.edition import Edition
from web.evidence import (
    LEAVING_ROLES,
    LOSS_ROLES,
    count_lines,
    event_lines,
    newest_groups,
    sum_by_asset,
    sums_text,
)
from web.feeds import NEVER, entry_id
from web.frames import frame
from web.losses import SIDES
from web.names import LONGEST_NAME, neat
from web.permalinks import key_of, name_facts, stem
from web.segments import market_names
from web.templating import render

FED_ROLES = (*LOSS_ROLES, *LEAVING_ROLES)
"""What the feed tells of; inflows and liquidations come by the hundred and are no news."""
DAILY_ROLES = (Role.CONTRIBUTION, Role.LIQUIDATION)
"""What is told by day, with exact sums by source or side."""
EVENT_ROLES = (*FED_ROLES, *DAILY_ROLES)
MOST_LINES = 200
MOST_ENTRIES = 100
MOST_FACTS = 10_000
"""So many facts, the newest, are in the files of one fund: about 4 MB of JSON."""
COLUMNS = (
    "id",
    "segment",
    "role",
    "source",
    "side",
    "amount",
    "asset",
    "amount_raw",
    "decimals",
    "account",
    "market",
    "block_number",
    "block_time",
    "block_hash",
    "since_number",
    "tx_hash",
    "log_index",
    "fact_no",
    "source_kind",
    "synthetic",
)


@dataclass(frozen=True)
class FundEventsPage:
    """What happened at one fund."""

    frame: Annotated[Frame, "around the page"]
    fund: Annotated[Link, "the fund"]
    roles: Annotated[tuple[Choice, ...], "roles to choose from; the first one is all of them"]
    table: Annotated[Table | None, "the newest lines; None where there is nothing"]
    files: Annotated[tuple[Link, ...], "fact by fact, and as a feed"]
    absent: Annotated[str, "why there is no line"]
    mistake: Annotated[str, "what is wrong with the question; empty: nothing"] = ""


def fund_events_page(edition: Edition, slug: str, role: str = "") -> FundEventsPage | None:
    """The page, of one role if named; None where there is no such fund."""
    places = edition.funds().get(slug)
    if not places:
        return None
    is_known = role in {"", *EVENT_ROLES}
    wanted = (Role(role),) if role and is_known else EVENT_ROLES
    lines, count = _lines(edition, places, wanted, MOST_LINES)
    path, fund = f"/funds/{slug}/events", places[0].fund
    return FundEventsPage(
        frame=frame(
            edition,
            path,
            f"Events: {fund.name}",
            description=f"What happened at {fund.name}: losses, payouts, liquidations, money in and out, with evidence",
            json_path=f"{path}.json",
            places=places,
        ),
        fund=Link(fund.name, f"/funds/{slug}"),
        roles=(Choice("", "Everything", not role), *(Choice(one, role_words(one), one == role) for one in EVENT_ROLES)),
        table=_table(lines, count) if lines else None,
        files=(Link("CSV", f"{path}.csv"), Link("JSON", f"{path}.json"), Link("Atom feed", f"{path}.atom")),
        absent="Nothing of this was recognised so far. Not every platform books every loss.",
        mistake="" if is_known else "There is no such kind of event: choose one of the list. Everything is shown.",
    )


def fund_events_asked(
    edition: Edition, slug: str, query: Sequence[tuple[str, str]]
) -> tuple[FundEventsPage | None, int]:
    """The page that `?role=` asks for and its code: 400 where it names no role."""
    page = fund_events_page(edition, slug, next((value for name, value in query if name == "role"), ""))
    return page, 400 if page is not None and page.mistake else 200


def _lines(edition: Edition, places: Sequence[Place], roles: Sequence[Role], limit: int) -> tuple[list[EventLine], int]:
    """The newest lines of these roles, newest first, and how many there are; facts of DAILY_ROLES are told by day."""
    known = {place.segment_id: place for place in places}
    names = {market: name for place in places for market, name in market_names(edition, place).items()}
    rows = latest_events(edition.session, list(known), roles, MOST_FACTS)
    days: dict[tuple[str, int, str, str], list[EventRow]] = {}
    others = []
    for row in rows:
        if row.role in DAILY_ROLES:
            days.setdefault((f"{row.block_time:%Y-%m-%d}", row.segment_id, row.role, _kind(row)), []).append(row)
        else:
            others.append(row)
    found = [
        *event_lines(others, known, edition.assets, names=names, limit=limit),
        *(
            _day_line(edition, group, known[group[0].segment_id], names=names)
            for group in newest_groups(list(days.values()), limit)
        ),
    ]
    newest = sorted(found, key=lambda line: (line.iso, line.anchor), reverse=True)[:limit]
    return newest, count_lines(others) + len(days)


def _kind(row: EventRow) -> str:
    """Source or side: what facts of a day must share besides role and segment to stand in one line."""
    return row.source or row.side or ""


def _day_line(edition: Edition, rows: Sequence[EventRow], place: Place, *, names: Mapping[str, str]) -> EventLine:
    last, is_one, kind = rows[-1], len(rows) == 1, _kind(rows[-1])
    day = f"{last.block_time:%Y-%m-%d}"
    concerned = {row.market or row.account or "" for row in rows}
    who = next(iter(concerned)) if len(concerned) == 1 else ""
    return EventLine(
        anchor=f"{stem(last.role, place)}-{day}-{kind or 'all'}".replace("_", "-"),
        when=format_time(last.block_time) if is_one else format_date(last.block_time),
        iso=f"{last.block_time:%Y-%m-%dT%H:%M:%SZ}",
        fund=place.fund.name,
        href=f"/funds/{place.fund.slug}/events",
        kind=kind_words(place.chain.kind),
        what=_what(last, kind),
        amount=sums_text(sum_by_asset(rows), edition.assets),
        who=(names.get(who) or neat(shorten(who), LONGEST_NAME)) if len(concerned) == 1 else "several",
        count=len(rows),
        evidence=evidence_text(last, place.chain) if is_one else _day_evidence(rows, place),
        evidence_href=evidence_href(last, place.chain) if is_one else f"/funds/{place.fund.slug}/events.csv",
    )


def _what(row: EventRow, kind: str) -> str:
    """Role with source or side: Paid in: liquidation penalty."""
    if not kind:
        return role_words(row.role)
    more = SIDES.get(kind, kind) if row.role == Role.LIQUIDATION else source_words(kind).lower()
    return f"{role_words(row.role)}: {more}"


def _day_evidence(rows: Sequence[EventRow], place: Place) -> str:
    told = f"{format_count(len(rows), 'fact')} of that day, one by one as CSV"
    return f"{told}; {MADE_UP_WORDS}" if is_made_up(place.chain) else told


def _table(shown: Sequence[EventLine], count: int) -> Table:
    heads = (Cell("When"), Cell("What"), Cell("Amount", is_number=True), Cell("Market or account"), Cell("Evidence"))
    body = tuple(
        (
            Cell(line.when, href=line.permalink),
            Cell(line.what + (f" ({line.count:,})" if line.count > 1 else "")),
            Cell(line.amount, is_number=True),
            Cell(line.who or "–"),
            Cell(line.evidence, href=line.evidence_href),
        )
        for line in shown
    )
    note = f"The newest {len(shown)} of {format_count(count, 'line')}." if count > len(shown) else ""
    caption = "Newest first, UTC; what happened several times a day stands in one line with its exact sum"
    return Table(caption, heads, body, note, tuple(line.anchor for line in shown))


def fund_events_json(edition: Edition, slug: str) -> Json | None:
    """The newest facts one by one with their names, and how many there are; None where there is no such fund."""
    places = edition.funds().get(slug)
    if not places:
        return None
    rows = _facts(edition, places)
    count = count_events(edition.session, [place.segment_id for place in places], EVENT_ROLES)
    told = {"count": count, "shown": len(rows), "events": rows[::-1]}
    return envelope(edition, f"/funds/{slug}/events.json") | fund_row(places[0]) | told


def fund_events_csv(edition: Edition, slug: str) -> bytes | None:
    """The same facts as CSV."""
    places = edition.funds().get(slug)
    return write_csv(COLUMNS, map(_csv_row, reversed(_facts(edition, places)))) if places else None


def _csv_row(told: Json) -> tuple[Value, ...]:
    return tuple(
        " ".join(told["synthetic"]) if column == "synthetic" else _exact(column, told[column]) for column in COLUMNS
    )


def _exact(column: str, value: Value) -> Value:
    """Amounts and times are no text of somebody else's."""
    return Plain(value) if column in ("amount", "amount_raw", "block_time") and isinstance(value, str) else value


def _facts(edition: Edition, places: Sequence[Place]) -> list[Json]:
    known = {place.segment_id: place for place in places}
    rows = latest_events(edition.session, list(known), EVENT_ROLES, MOST_FACTS)
    names = name_facts(rows, known)
    return [fact_row(row, known[row.segment_id], edition, name=names[key_of(row)]) for row in rows]


def fact_row(row: EventRow, place: Place, edition: Edition, *, name: str) -> Json:
    """One fact under its name."""
    told = event_row(row, place, edition.assets.get(row.asset_id or 0))
    return {"id": name, **told, "source": row.source, "side": row.side}


def fund_events_feed(edition: Edition, slug: str) -> bytes | None:
    """Losses and what left the fund as Atom, the newest; an entry keeps its id when the site is rebuilt or moves."""
    places = edition.funds().get(slug)
    if not places:
        return None
    lines, _ = _lines(edition, places, FED_ROLES, MOST_ENTRIES)
    return render(
        "fund_events.atom",
        fund=places[0].fund.name,
        path=f"/funds/{slug}/events",
        site_url=edition.config.site_url,
        feed_id=f"urn:uuid:{uuid5(NAMESPACE_URL, f'backstop:events:{slug}')}",
        entries=[(line, entry_id(line)) for line in lines],
        updated=max((line.iso for line in lines), default=NEVER),
    )
