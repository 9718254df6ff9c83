"""From a chain to what event rules have to tell: facts nobody was told of, alone or as a burst."""

from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from alerts.bursts import split_bursts
from alerts.drafts import Draft
from alerts.happenings import Happening, draft_happenings, group_key, name_happenings, share_of
from alerts.watch import Watch
from ledger.alerts import find_balance_before, find_parameter_before, list_happenings, list_told
from ledger.kinds import AlertEvent
from ledger.numbers import scale
from ledger.pages import Place

LONGEST_WAIT = timedelta(days=7)
"""A balance that was not read by then may never be: older facts are gone back to only when all are, hour by hour."""
Shares = MutableMapping[tuple[str, str], Decimal | None]
"""What was worked out of withdrawals, by fact and block: those too small to tell are looked at again and again."""


def walk_events(watch: Watch, shares: Shares, *, after: datetime) -> Iterator[Draft]:
    """Announcements of facts since the chain went live that are later than `after`."""
    places = {place.segment_id: place for place in watch.places}
    untold: dict[tuple[AlertEvent, int], list[Happening]] = defaultdict(list)
    for one in list_untold(watch, places, after=after):
        untold[one.event, one.row.segment_id].append(one)
    for event in watch.rules.events:
        for segment_id, place in places.items():
            wanted = [_judged(watch, one, place, shares) for one in untold.get((event, segment_id), ())]
            yield from _draft_bursts(watch, event, place, [one for one in wanted if one is not None])


def list_untold(watch: Watch, places: dict[int, Place], *, after: datetime) -> Iterator[Happening]:
    """Facts that some rule speaks of and nobody was told of, in order of blocks."""
    told = list_told(watch.session, watch.chain.chain_id)
    return (one for one in list_named(watch, places, after=after) if one.key not in told)


def list_named(watch: Watch, places: dict[int, Place], *, after: datetime) -> Iterator[Happening]:
    """Facts that some rule speaks of, told or not, in order of blocks."""
    later = max(watch.cursor.live_since, after)
    rows = list_happenings(watch.session, list(places), watch.rules.roles, after=later)
    slugs = {segment_id: place.segment.slug for segment_id, place in places.items()}
    return name_happenings(rows, slugs, watch.rules)


def _judged(watch: Watch, one: Happening, place: Place, shares: Shares) -> Happening | None:
    """The fact with what its message needs; None where the rule finds it too small."""
    least = watch.rules.events[one.event].least_share
    if least is None:
        return one
    key = one.key, one.row.block_hash
    if key not in shares:
        if place.asset is None or one.row.asset_id != place.asset.id:
            return None
        balance = find_balance_before(watch.session, place, one.row.block_number)
        if balance is None or balance.value_raw is None:
            # It may be known at the next look, however far the tip has gone by then.
            if watch.now - one.row.block_time < LONGEST_WAIT:
                watch.waiting_since = min(watch.waiting_since or one.row.block_time, one.row.block_time)
            return None
        shares[key] = share_of(one.row, scale(balance.value_raw, balance.decimals), place.asset)
    share = shares[key]
    return None if share is None or share < Decimal(str(least)) else replace(one, share=share)


def _draft_bursts(watch: Watch, event: AlertEvent, place: Place, untold: list[Happening]) -> Iterator[Draft]:
    by_row = {id(one.row): one for one in untold}
    groups, burst = split_bursts(
        [one.row for one in untold],
        watch.book.burst(event, place.segment.slug),
        until=watch.read_until,
        minutes=watch.rules.burst_minutes,
    )
    watch.book.keep_burst(event, place.segment.slug, burst)
    for group in groups:
        happenings = [_with_before(watch, by_row[id(row)]) for row in group]
        yield draft_happenings(happenings, watch.rules.events[event], watch.scene(place), key=group_key(happenings))


def _with_before(watch: Watch, one: Happening) -> Happening:
    if "name" not in (one.row.detail or {}):
        return one
    return replace(one, before=find_parameter_before(watch.session, one.row))
