"""One fact on a page of its own, with everything that lets a reader check it; or the facts of one day, one by one."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from ledger.alerts import latest_announced
from ledger.evidence import CHANGE_ROLES, Telling, find_block, find_fact, find_log, list_events_between, list_tellings
from ledger.kinds import BlockStatus, Role, SourceKind
from ledger.moments import MADE_UP_WORDS, block_words, evidence_href, evidence_text, is_made_up, moment, shorten
from ledger.numbers import format_count, format_date, format_time
from ledger.pages import EventRow, Place, list_events
from ledger.tables import Fact, RawLog
from ledger.words import role_words, source_words
from web.announced import MOST_SHOWN, iso_time
from web.api import Json, envelope, fund_row
from web.changes import NOT_KNOWN, ChangeLine, change_lines
from web.contexts import Cell, Frame, Link, Table
from web.details import split_detail
from web.edition import Edition
from web.evidence import FAMILIES, amount_text, paged_facts, sum_by_asset, sums_text
from web.found import Found, find_event
from web.frames import frame
from web.happened import fact_row
from web.losses import SIDES
from web.names import LONGEST_NAME, neat
from web.permalinks import Key, event_path, key_of

MOST_ROWS = 300
SENTENCES = {
    Role.SHORTFALL: "A shortfall of {amount} was recorded",
    Role.PAYOUT: "The fund paid {amount}",
    Role.SHORTFALL_COVERED: "A shortfall of {amount} was covered",
    Role.SOCIALISED_LOSS: "Users were made to carry a loss of {amount}",
    Role.ADL: "Positions of other users were closed by auto-deleveraging: {amount}",
    Role.LIQUIDATION: "A position was liquidated: {amount}",
    Role.CONTRIBUTION: "{amount} came in",
    Role.WITHDRAWAL: "{amount} was withdrawn",
    Role.WITHDRAWAL_REQUEST: "A withdrawal of {amount} was asked for",
    Role.SURPLUS_DISTRIBUTION: "Surplus of {amount} was distributed",
}


@dataclass(frozen=True)
class Told:
    """One announcement of the fact."""

    link: Annotated[Link, "its sentence; leads to the log where that still shows it"]
    when: Annotated[str, "chain time of what it announced"]
    is_retracted: Annotated[bool, "true where it was taken back later"]


@dataclass(frozen=True)
class EventPage:
    """One fact, or the facts of one day."""

    frame: Annotated[Frame, "around the page"]
    title: Annotated[str, "role and amount"]
    fund: Annotated[Link, "fund it concerns"]
    sentence: Annotated[str, "what happened, with amount, place and time"]
    facts: Annotated[tuple[tuple[str, Link], ...], "word and value, with a link where somebody else shows the same"]
    tables: Annotated[tuple[Table, ...], "further words of the event; of a day its facts one by one"]
    topics: Annotated[tuple[str, ...], "topics of the raw log; empty where none is shown"]
    data: Annotated[str, "data of the raw log"]
    log_note: Annotated[str, "why no raw log is shown; empty where one is, and of a day"]
    told: Annotated[tuple[Told, ...], "what was announced of it, oldest first"]
    is_day: Annotated[bool, "true for the facts of one day"]


def event_page(edition: Edition, name: str) -> EventPage | None:
    """The page of one fact or of a day's facts; None where there is none of that name."""
    found = find_event(edition, name)
    if found is None:
        return None
    return _day_page(edition, found) if found.is_day else _fact_page(edition, found)


def _frame(edition: Edition, found: Found, title: str, description: str) -> Frame:
    path = event_path(found.name)
    return frame(
        edition,
        path,
        f"{title}, {found.place.fund.name}",
        description=description,
        json_path=f"{path}.json",
        places=[found.place],
    )


def _fact_page(edition: Edition, found: Found) -> EventPage | None:
    place, row = found.place, found.rows[0]
    fact = find_fact(edition.session, place, row)
    if fact is None:
        return None
    title, sentence = _title(edition, found), _sentence(edition, found)
    log = None if is_made_up(place.chain) else find_log(edition.session, fact)
    pairs, tables = split_detail(fact.detail or {})
    return EventPage(
        frame=_frame(edition, found, title, sentence),
        title=title,
        fund=Link(place.fund.name, f"/funds/{place.fund.slug}"),
        sentence=sentence,
        facts=(*_facts(edition, found, fact), *_emitter(place, log), *((word, Link(text, "")) for word, text in pairs)),
        tables=tuple(tables),
        topics=tuple(log.topics.split(",")) if log and log.topics else (),
        data=log.data if log else "",
        log_note="" if log else _no_log(place),
        told=tuple(_told(edition, found, fact)),
        is_day=False,
    )


def _title(edition: Edition, found: Found) -> str:
    row, change = found.rows[0], _change(edition, found)
    if change:
        return f"{change.what}: {shorten(change.before)} → {shorten(change.after)}"
    if row.amount_raw is None and row.asset_id is None:
        return role_words(row.role)
    return f"{role_words(row.role)}: {sums_text(sum_by_asset(found.rows), edition.assets)}"


def _sentence(edition: Edition, found: Found) -> str:
    place, row, change = found.place, found.rows[0], _change(edition, found)
    amount = amount_text(row.amount_raw, edition.assets.get(row.asset_id or 0), exact=True)
    amount = "an unknown amount" if row.amount_raw is None else amount
    said = SENTENCES.get(Role(row.role), role_words(row.role)).format(amount=amount)
    said = f"{change.what} was set to {change.after}" if change else said
    market = found.markets.get(row.market or "") or neat(shorten(row.market or ""), LONGEST_NAME)
    more = source_words(row.source).lower() if row.source else SIDES.get(row.side or "", row.side or "")
    detail = f" ({more})" if more else ""
    where = f"{place.fund.name}, market {market}" if market else place.fund.name
    text = f"{said}{detail} at {where}, at {moment(row.block_number, row.block_time, place.chain)}."
    return text[:1].upper() + text[1:] + (_before(change) if change else "")


def _before(change: ChangeLine) -> str:
    if change.before == NOT_KNOWN:
        return " No earlier fact says what it was before."
    return f" Before it was {change.before}."


def _change(edition: Edition, found: Found) -> ChangeLine | None:
    """The fact as a change of who decides or by which rule; None where it is none."""
    if found.is_day or found.rows[0].role not in CHANGE_ROLES:
        return None
    return next((line for line in change_lines(edition, [found.place]) if line.name == found.name), None)


def _facts(edition: Edition, found: Found, fact: Fact) -> list[tuple[str, Link]]:
    """Everything stored of it; lines without an answer are left out, and what a reconstruction made up is not shown."""
    place, row = found.place, found.rows[0]
    chain, asset = place.chain, edition.assets.get(row.asset_id or 0)
    market = row.market or ""
    market = f"{found.markets[market]} ({market})" if market in found.markets else neat(market)
    amount = amount_text(row.amount_raw, asset, exact=True) if row.amount_raw is not None or asset else ""
    lines = [
        ("What", Link(role_words(row.role), "")),
        ("Amount", Link(amount, "")),
        ("Raw amount", Link("" if row.amount_raw is None else str(row.amount_raw), "")),
        ("Asset", Link(f"{asset.symbol}, {asset.decimals} decimals, {asset.address}" if asset else "", "")),
        ("Source", Link(source_words(row.source) if row.source else "", "")),
        ("Side", Link(SIDES.get(row.side or "", row.side or ""), "")),
        ("Account", _explored(place, "address", row.account)),
        ("Market", Link(market, "")),
        ("Time", Link(f"{row.block_time:%d %b %Y, %H:%M:%S} UTC".lstrip("0"), "")),
        *(_made_up(fact) if is_made_up(chain) else _evidence(edition, found, fact)),
        ("Decoder", Link(fact.decoder, "")),
        ("Name in addresses", Link(found.name, "")),
    ]
    return [(word, link) for word, link in lines if link.text]


def _made_up(fact: Fact) -> list[tuple[str, Link]]:
    genuine = "time, account and amount" if fact.account else "time and amount"
    return [("Evidence", Link(f"{genuine} are genuine; {MADE_UP_WORDS}", ""))]


def _evidence(edition: Edition, found: Found, fact: Fact) -> list[tuple[str, Link]]:
    place, row = found.place, found.rows[0]
    block = find_block(edition.session, fact)
    is_final = block is not None and block.status == BlockStatus.FINALIZED
    finality = "final" if is_final else "not final yet: a reorganisation may still take or move it"
    if place.chain.is_venue:
        return [
            ("Evidence", Link(evidence_text(row, place.chain), "")),
            ("Digest of that poll", Link(fact.block_hash, "")),
            ("Row of the poll", Link(str(fact.log_index), "")),
        ]
    return [
        ("Transaction", Link(fact.tx_hash or "", evidence_href(row, place.chain))),
        ("Block", _explored(place, "block", str(fact.block_number), block_words(fact.block_number, place.chain))),
        ("Hash of that block", Link(fact.block_hash, "")),
        ("Log", Link(f"{fact.log_index}" + (f", fact {fact.fact_no} in it" if fact.fact_no else ""), "")),
        ("Finality", Link(finality, "")),
    ]


def _emitter(place: Place, log: RawLog | None) -> list[tuple[str, Link]]:
    return [("Contract that emitted the log", _explored(place, "address", log.address))] if log else []


def _explored(place: Place, kind: str, key: str | None, text: str = "") -> Link:
    """A link to the chain's explorer; plain text where there is none or the chain is a recording's own."""
    explorer = place.chain.explorer.rstrip("/")
    is_there = place.chain.kind in (SourceKind.LIVE, SourceKind.RECORDED) and explorer.startswith("https://")
    shown = text or neat(key or "")
    is_key = bool(key) and (kind != "address" or re.fullmatch(r"0x[0-9a-f]{40}", key or "") is not None)
    return Link(shown, f"{explorer}/{kind}/{key}" if is_there and is_key else "")


def _no_log(place: Place) -> str:
    if is_made_up(place.chain):
        return "No raw log is shown: this recording's logs were rebuilt from a table of amounts, times and accounts."
    if place.chain.is_venue:
        return "There is no log: this was learned by comparing two polls."
    return "No raw log of it is stored."


def _tellings(edition: Edition, found: Found, fact: Fact) -> list[Telling]:
    """What was announced of it. Page and twin look once."""
    return edition.once(("tellings", found.name), lambda: _find_tellings(edition, found, fact))


def _find_tellings(edition: Edition, found: Found, fact: Fact) -> list[Telling]:
    """Announcements name a fact by its transaction (a poll by its digest) and its place in it."""
    row, within = found.rows[0], fact.tx_hash or fact.block_hash
    rows = list_events_between(
        edition.session, found.place, Role(row.role), since=row.block_time, until=row.block_time + timedelta(seconds=1)
    )
    same = [key_of(one) for one in rows if (one.tx_hash or one.block_hash) == within]
    named = f":{found.place.segment.slug}:{row.role}:{within}:{same.index(key_of(row))}"
    return list_tellings(edition.session, fact, named=named)


def _told(edition: Edition, found: Found, fact: Fact) -> list[Told]:
    tellings = _tellings(edition, found, fact)
    shown = {alert.id for alert in latest_announced(edition.session, MOST_SHOWN)} if tellings else set()
    return [
        Told(
            Link(
                neat(str(one.alert.message.get("sentence", one.alert.title))),
                f"/alerts/log#a{one.alert.id}" if one.alert.id in shown else "",
            ),
            format_time(one.alert.happened_at),
            one.is_retracted,
        )
        for one in tellings
    ]


def _day_page(edition: Edition, found: Found) -> EventPage:
    place, last = found.place, found.rows[-1]
    title = _title(edition, found)
    day = format_date(last.block_time)
    count = format_count(len(found.rows), "fact")
    sentence = f"{count} of {day} at {place.fund.name}: {title[:1].lower()}{title[1:]} in all, one by one below."
    return EventPage(
        frame=_frame(edition, found, f"{title} on {day}", sentence),
        title=f"{title} on {day}",
        fund=Link(place.fund.name, f"/funds/{place.fund.slug}"),
        sentence=sentence,
        facts=(),
        tables=(_day_table(edition, found),),
        topics=(),
        data="",
        log_note="",
        told=(),
        is_day=True,
    )


def _day_table(edition: Edition, found: Found) -> Table:
    place, shown = found.place, list(reversed(found.rows))[:MOST_ROWS]
    paged, markets = _paged(edition, found), found.markets
    body = tuple(
        (
            Cell(f"{row.block_time:%H:%M:%S}", href=event_path(name) if key_of(row) in paged else ""),
            Cell(amount_text(row.amount_raw, edition.assets.get(row.asset_id or 0), exact=True), is_number=True),
            Cell(markets.get(row.market or "") or neat(shorten(row.market or "")) or "–", title=neat(row.market or "")),
            Cell(neat(shorten(row.account or "")) or "–", title=neat(row.account or "")),
            Cell(evidence_text(row, place.chain), href=evidence_href(row, place.chain)),
        )
        for row in shown
        for name in [found.names[key_of(row)]]
    )
    heads = (Cell("Time, UTC"), Cell("Amount", is_number=True), Cell("Market"), Cell("Account"), Cell("Evidence"))
    left = len(found.rows) - len(shown)
    note = f"The newest {len(shown)} of {len(found.rows):,}; all of them are in the files of the fund." if left else ""
    return Table("Newest first", heads, body, note)


def _paged(edition: Edition, found: Found) -> set[Key]:
    """Facts of the segment that have a linked page."""
    role = found.rows[0].role
    family = next((family for family in FAMILIES if role in family), ())
    return paged_facts(list_events(edition.session, [found.place.segment_id], family))


def event_json(edition: Edition, name: str) -> Json | None:
    """The same as JSON, with the raw log and the keys of announcements; None where there is none of that name."""
    found = find_event(edition, name)
    if found is None:
        return None
    told = [
        fact_row(row, found.place, edition, name=found.names[key_of(row)]) | _more(edition, found, row)
        for row in found.rows
    ]
    head = envelope(edition, f"{event_path(found.name)}.json") | fund_row(found.place)
    return head | {"id": found.name, "is_day": found.is_day, "facts": told}


def _more(edition: Edition, found: Found, row: EventRow) -> Json:
    """What only a page of one fact has."""
    fact = None if found.is_day else find_fact(edition.session, found.place, row)
    if fact is None:
        return {}
    block, log = find_block(edition.session, fact), find_log(edition.session, fact)
    return {
        "detail": fact.detail,
        "decoder": fact.decoder,
        "finality": block.status if block else None,
        "log": _log_json(log) if log and not is_made_up(found.place.chain) else None,
        "announced": [
            {
                "key": one.alert.key,
                "event": one.alert.event,
                "title": one.alert.title,
                "happened_at": iso_time(one.alert.happened_at),
                "is_retracted": one.is_retracted,
            }
            for one in _tellings(edition, found, fact)
        ],
    }


def _log_json(log: RawLog) -> Json:
    return {"address": log.address, "topics": log.topics.split(",") if log.topics else [], "data": log.data}
