"""From a chain to what level rules have to tell: new readings of every subject, stepped through their states."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from alerts.book import Flip
from alerts.levels import (
    NUMBERS,
    Look,
    look_at_age,
    look_at_balance,
    look_at_composition,
    look_at_coverage,
    look_at_data,
    look_at_halt,
    look_at_reconciliation,
    look_at_status,
)
from alerts.watch import Watch
from ledger.alerts import find_last_number, find_newest, list_balances, list_numbers
from ledger.kinds import SourceKind
from ledger.pages import Place

COVERAGE, DEPLETED, DROPPED, OWN_TOKEN = "coverage_low", "depleted", "balance_dropped", "own_token_high"
UNRECONCILED, STALE, NUMBERS_STALE = "unreconciled", "data_stale", "numbers_stale"
LAGGING, DISAGREEMENT = "indexer_lagging", "source_disagreement"
OF_NUMBERS = (COVERAGE, DEPLETED, OWN_TOKEN)


def walk_flips(watch: Watch) -> Iterator[tuple[Flip, Place | None]]:
    """Every change of state since the last look, with the segment it is about; None: the chain itself."""
    for place in watch.places:
        subject = place.segment.slug
        fresh = _unseen(watch, place, [*look_at_numbers(watch, place), *look_at_balances(watch, place)])
        yield from ((flip, place) for flip in watch.book.take(subject, [*fresh, *_states(watch, place)]))
    for flip in watch.book.take(watch.chain.slug, _of_chain(watch)):
        yield flip, None


def look_at_numbers(watch: Watch, place: Place, *, above: int | None = None) -> list[Look]:
    """Published numbers of a segment above a block; by default above what every rule has taken, or before live."""
    names = watch.rules.levels
    if above is None:
        seen = [watch.book.seen_number(rule, place.segment.slug) for rule in OF_NUMBERS]
        # What was never read of a fund, such as the coverage of a reserve, is not looked for in all its history again.
        above = min((number for number in seen if number is not None), default=-1)
    if above < 0:
        # Of history only how it ended counts: where a subject stands when it goes live.
        last = find_last_number(watch.session, place.segment_id, until=watch.cursor.live_since)
        above = -1 if last is None else last - 1
    rows = list_numbers(watch.session, place.segment_id, NUMBERS, above=above)
    return [
        *look_at_coverage(COVERAGE, names[COVERAGE], rows),
        *look_at_status(DEPLETED, rows),
        *look_at_composition(OWN_TOKEN, names[OWN_TOKEN], rows),
    ]


def _unseen(watch: Watch, place: Place, looks: list[Look]) -> Iterator[Look]:
    """Looks that a rule has not taken; those of history settle where it stands and are not stepped through."""
    subject, live_since = place.segment.slug, watch.cursor.live_since
    for look in looks:
        seen = watch.book.seen_number(look.rule, subject)
        if seen is not None and look.number <= seen:
            continue
        if look.time > live_since:
            yield look
        else:
            watch.book.settle(subject, look)


def look_at_balances(watch: Watch, place: Place, *, above: int | None = None) -> list[Look]:
    """Balances above a block (by default: not taken yet), each against the hours before it."""
    rule = watch.rules.levels[DROPPED]
    if above is None:
        seen = watch.book.seen_number(DROPPED, place.segment.slug)
        above = -1 if seen is None else seen
    window = timedelta(hours=max(drop.hours for drop in rule.drops))
    seen_time = watch.book.seen_time(DROPPED, place.segment.slug) or watch.cursor.live_since
    # Twice the window: the balance that stood at its beginning was read before it.
    rows = list_balances(watch.session, place, since=max(watch.cursor.live_since, seen_time) - 2 * window)
    return list(look_at_balance(DROPPED, rule, rows, above=above))


def _states(watch: Watch, place: Place) -> Iterator[Look]:
    """What is true of a segment at this moment, whatever was read when."""
    source, levels = watch.source, watch.rules.levels
    if source is None:
        return
    looks = (
        look_at_age(STALE, levels[STALE], source, until=watch.now),
        look_at_reconciliation(UNRECONCILED, place.segment.status, place.segment.status_reason, source),
    )
    yield from _settled(watch, place.segment.slug, looks)
    if watch.chain.kind == SourceKind.LIVE:  # What a recording does not hold will never come.
        newest = partial(find_newest, watch.session, place.segment_id)
        look = look_at_data(NUMBERS_STALE, newest("data_status"), newest("gross_balance"), source)
        yield from _settled(watch, place.segment.slug, (look,))


def _of_chain(watch: Watch) -> Iterator[Look]:
    source, levels = watch.source, watch.rules.levels
    if source is None:
        return
    until = source.head_time or source.tip_time
    looks = (look_at_age(LAGGING, levels[LAGGING], source, until=until), look_at_halt(DISAGREEMENT, source))
    yield from _settled(watch, watch.chain.slug, looks)


def _settled(watch: Watch, subject: str, looks: tuple[Look, ...]) -> Iterator[Look]:
    """Looks of subjects that were looked at before; the first one is settled without a word."""
    for look in looks:
        if watch.book.seen_number(look.rule, subject) is None:
            watch.book.settle(subject, look)
        else:
            yield look
