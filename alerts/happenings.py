"""Facts that are announced: which rule speaks of each, by which name it is told once, and in which words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from alerts.drafts import Draft, Ground
from alerts.message import Change, Evidence
from alerts.scene import Scene, compose, subject_line
from alerts.thresholds import EventRule, Rules
from ledger.alerts import HappeningRow
from ledger.kinds import AlertEvent
from ledger.moments import evidence_href, evidence_text, is_made_up, shorten
from ledger.numbers import Rounding, format_amount, format_fraction, format_setting, format_time, scale
from ledger.tables import Asset

MOST_EVIDENCE = 12
"""Facts of a group that are listed one by one."""


@dataclass(frozen=True)
class Happening:
    """One fact under the rule that speaks of it; `key` is the same when a reorganisation moves it to another block."""

    event: AlertEvent
    key: str
    row: HappeningRow
    share: Decimal | None = field(default=None, compare=False)
    """Of a withdrawal: share of the balance before it."""
    before: str = field(default="", compare=False)
    """Of a parameter: its value before."""


def name_happenings(rows: Sequence[HappeningRow], slugs: Mapping[int, str], rules: Rules) -> Iterator[Happening]:
    """Rows (in order of blocks and logs) under each rule that speaks of them.

    A fact is named by its transaction and its place among facts of the same role in it: blocks and log indexes change
    in a reorganisation. A poll has no transaction; its digest names it.
    """
    places: Counter[tuple[int, str, str]] = Counter()
    for row in rows:
        within = row.tx_hash or row.block_hash
        place = places[row.segment_id, row.role, within]
        places[row.segment_id, row.role, within] += 1
        for event, rule in rules.events.items():
            if rule.matches(row.role, (row.detail or {}).get("event")):
                yield Happening(event, f"{event}:{slugs[row.segment_id]}:{row.role}:{within}:{place}", row)


def share_of(row: HappeningRow, before: Decimal | None, asset: Asset | None) -> Decimal | None:
    """Amount ÷ balance before; None where either is unknown or the balance is no positive number."""
    if row.amount_raw is None or before is None or before <= 0 or asset is None:
        return None
    return scale(row.amount_raw, asset.decimals) / before


def draft_happenings(happenings: Sequence[Happening], rule: EventRule, scene: Scene, *, key: str) -> Draft:
    """One announcement of one or several facts of one event and subject; the last one gives time and block."""
    last = happenings[-1].row
    sentence, short = _tell(happenings, scene)
    message = compose(
        scene,
        number=last.block_number,
        time=last.block_time,
        block_hash=last.block_hash,
        key=key,
        event=str(happenings[0].event),
        severity=str(rule.severity),
        subject=subject_line(scene, short, last.block_time),
        sentence=sentence,
        changes=tuple(_changes(happenings)),
        evidence=tuple(_evidence(happenings, scene)),
        tx_hash="" if is_made_up(scene.chain) or len(happenings) > 1 else last.tx_hash or "",
        limits=scene.limits(_limits(happenings[0].event)),
    )
    grounds = tuple(
        Ground(one.key, scene.chain.chain_id, one.row.block_number, one.row.block_hash) for one in happenings
    )
    fund = scene.place.fund.slug if scene.place else None
    number = last.block_number
    return Draft(message, scene.subject, fund, scene.chain.chain_id, last.block_time, number, grounds)


NOUNS: dict[AlertEvent, tuple[str, str]] = {
    AlertEvent.SHORTFALL_RECORDED: ("shortfall", "shortfalls"),
    AlertEvent.ADL_EXECUTED: ("auto-deleveraging", "auto-deleveragings"),
    AlertEvent.LOSS_SOCIALIZED: ("socialised loss", "socialised losses"),
    AlertEvent.SLASHED: ("slashing", "slashings"),
    AlertEvent.OWNER_CHANGED: ("change of the owner", "changes of the owner"),
    AlertEvent.IMPLEMENTATION_CHANGED: ("change of the implementation", "changes of the implementation"),
    AlertEvent.PAUSED: ("pause or shutdown", "pauses or shutdowns"),
    AlertEvent.PARAMETER_CHANGED: ("change of a parameter", "changes of parameters"),
    AlertEvent.WITHDRAWAL_LARGE: ("large withdrawal", "large withdrawals"),
}


def _tell(happenings: Sequence[Happening], scene: Scene) -> tuple[str, str]:
    """The sentence, and the same for a subject line."""
    first, last = happenings[0], happenings[-1]
    one, many = NOUNS[first.event]
    amounts = _amounts(happenings, scene.assets)
    if len(happenings) > 1:
        of = f", {amounts} in all" if amounts else ""
        span = _span(first.row, last.row)
        return f"{len(happenings)} {many} at {scene.name}{span}{of}.", f"{len(happenings)} {many}{of}"
    at = scene.at(last.row.block_number, last.row.block_time)
    of = f" of {amounts}" if amounts else ""
    concerned = _concerned(last.row, scene.assets)
    more = f" ({format_fraction(round(last.share, 3))} of the balance before)" if last.share is not None else ""
    what = _named(last)
    article = "An" if one[0] in "aeiou" else "A"
    return f"{article} {one}{of}{more} at {scene.name}{concerned}{what}, at {at}.", f"{one}{of}{what}"


def _span(first: HappeningRow, last: HappeningRow) -> str:
    if f"{first.block_time:%Y%m%d%H%M}" == f"{last.block_time:%Y%m%d%H%M}":
        return f", at {format_time(first.block_time)}"
    if first.block_time.date() == last.block_time.date():
        return f" between {first.block_time:%H:%M} and {format_time(last.block_time).split(', ')[1]}, {_day(last)}"
    return f" between {format_time(first.block_time)} and {format_time(last.block_time)}"


def _day(row: HappeningRow) -> str:
    return format_time(row.block_time).split(", ")[0]


def _amounts(happenings: Sequence[Happening], assets: Mapping[int, Asset]) -> str:
    """Exact sums by asset, rounded up for print; assets are never added up. Empty where no fact has an amount."""
    sums: dict[int | None, int] = {}
    for one in happenings:
        if one.row.amount_raw is not None:
            sums[one.row.asset_id] = sums.get(one.row.asset_id, 0) + one.row.amount_raw
    parts = []
    for asset_id, raw in sorted(sums.items(), key=lambda item: (item[0] is None, item[0] or 0)):
        asset = assets.get(asset_id or 0)
        if asset is None:
            parts.append(f"{raw:,} smallest units")
        else:
            parts.append(format_amount(scale(raw, asset.decimals), asset.symbol, Rounding.UP))
    return " + ".join(parts)


def _concerned(row: HappeningRow, assets: Mapping[int, Asset]) -> str:
    """The market it happened in."""
    if not row.market:
        return ""
    symbol = next((asset.symbol for asset in assets.values() if asset.address == row.market), "")
    return f", market {symbol or shorten(row.market)}"


def _named(one: Happening) -> str:
    """What changed and to what, as the fact's detail has it."""
    detail = one.row.detail or {}
    if "name" in detail:
        return f": {str(detail['name']).replace('_', ' ')} is now {shorten(_setting(detail))}"
    if one.event is AlertEvent.OWNER_CHANGED and one.row.account:
        return f": it is now {shorten(one.row.account)}"
    return ""


def _setting(detail: Mapping[str, Any]) -> str:
    return format_setting(str(detail.get("value", "unknown")), detail)


def _changes(happenings: Sequence[Happening]) -> Iterator[Change]:
    for one in happenings[:MOST_EVIDENCE]:
        detail = one.row.detail or {}
        if "name" in detail:
            name = str(detail["name"]).replace("_", " ").capitalize()
            yield Change(name, format_setting(one.before, detail), _setting(detail))
        elif one.event is AlertEvent.OWNER_CHANGED:
            yield Change("Owner", str(detail.get("before", "")), one.row.account or "unknown")
        elif one.share is not None:
            yield Change("Share of the balance that left", "", format_fraction(round(one.share, 3)))


def _evidence(happenings: Sequence[Happening], scene: Scene) -> Iterator[Evidence]:
    for one in happenings[:MOST_EVIDENCE]:
        amount = _amounts([one], scene.assets)
        text = evidence_text(one.row, scene.chain)
        yield Evidence(f"{amount}: {text}" if amount else text, evidence_href(one.row, scene.chain))
    left = len(happenings) - MOST_EVIDENCE
    if left > 0:
        yield Evidence(f"and {left} more, one by one on the fund's page")
    if scene.place is not None:
        yield Evidence("All events of the fund", f"/funds/{scene.place.fund.slug}")


def _limits(event: AlertEvent) -> str:
    if event is AlertEvent.SHORTFALL_RECORDED:
        return "A recorded shortfall is what the contract booked; losses that nobody booked are on the fund's page."
    return ""


def group_key(happenings: Sequence[Happening]) -> str:
    """Key of an announcement: the fact's own; of a group that of its first fact and how many follow."""
    more = len(happenings) - 1
    return happenings[0].key + (f":and{more}" if more else "")
