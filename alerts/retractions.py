"""Takes back what stood on a block that a reorganisation replaced, unless the same is true on the new branch."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from alerts.drafts import Draft
from alerts.levels import Look
from alerts.looking import DROPPED, look_at_balances, look_at_numbers
from alerts.machine import Said
from alerts.message import Evidence
from alerts.scene import compose, subject_line
from alerts.telling import list_named
from alerts.watch import Watch
from ledger.alerts import EvidenceRow, HappeningRow, find_alert, list_vanished, move_evidence
from ledger.kinds import AlertEvent
from ledger.numbers import format_block
from ledger.pages import Place
from ledger.tables import Alert


def walk_retractions(watch: Watch) -> Iterator[Draft]:
    """Retractions that are due. What is true on the new branch too only moves to its block, and nobody is told."""
    vanished = list_vanished(watch.session, watch.chain.chain_id)
    if not vanished:
        return
    places = {place.segment_id: place for place in watch.places}
    there = {one.key: one.row for one in list_named(watch, places, after=watch.cursor.live_since)}
    for alert_id, group in groupby(vanished, key=lambda row: row.alert_id):
        rows, alert = list(group), find_alert(watch.session, alert_id)
        if alert is None or alert.event == AlertEvent.RETRACTED:
            continue
        stands = _move_level(watch, rows[0]) if _is_level(watch, rows[0]) else _move_facts(watch, rows, there)
        due = max(row.block_number for row in rows) + watch.rules.retract_after_blocks
        if stands is False and (rows[0].tip_number or 0) >= due:
            yield _take_back(watch, alert, rows)


def _is_level(watch: Watch, row: EvidenceRow) -> bool:
    return _parts(row)[0] in watch.rules.levels


def _parts(row: EvidenceRow) -> list[str]:
    """Of a level's ground: rule, subject, block, what was said."""
    return row.fact_key.split(":")


def _move_facts(watch: Watch, rows: Sequence[EvidenceRow], there: dict[str, HappeningRow]) -> bool:
    """True where every fact is on the new branch too."""
    if not all(row.fact_key in there for row in rows):
        return False
    for row in rows:
        found = there[row.fact_key]
        move_evidence(watch.session, row, number=found.block_number, block_hash=found.block_hash)
    return True


def _move_level(watch: Watch, row: EvidenceRow) -> bool | None:
    """Whether the rule would say the same of the new branch; None while nothing was read there."""
    rule, subject, _, said = _parts(row)
    place = next((place for place in watch.places if place.segment.slug == subject), None)
    look = None if place is None else _latest_look(watch, rule, place, row.block_number)
    if look is None or look.signal is None:
        return None
    if (look.signal.level == 0) != (said == Said.ENDED):
        return False
    move_evidence(watch.session, row, number=look.number, block_hash=look.block_hash)
    return True


def _latest_look(watch: Watch, rule: str, place: Place, number: int) -> Look | None:
    """What the rule has to go by from that height on: what was read below it may be older than the replaced block."""
    if rule == DROPPED:
        looks = look_at_balances(watch, place, above=number - 1)
        return max(looks, key=lambda look: (look.signal.level if look.signal else -1, look.number), default=None)
    looks = look_at_numbers(watch, place, above=number - 1)
    return next((look for look in reversed(looks) if look.rule == rule and look.signal is not None), None)


def _take_back(watch: Watch, alert: Alert, rows: Sequence[EvidenceRow]) -> Draft:
    """The announcement that an earlier one no longer holds; an episode that it began is over without a word."""
    if _is_level(watch, rows[0]):
        watch.book.reset(_parts(rows[0])[0], alert.subject)
    place = next((place for place in watch.places if place.segment.slug == alert.subject), None)
    scene, lost = watch.scene(place), rows[-1]
    blocks = ", ".join(dict.fromkeys(format_block(row.block_number) for row in rows))
    sentence = (
        f"What was announced as “{alert.title}” is taken back: {blocks} of {scene.chain.name} was replaced by a "
        "reorganisation, and the new branch does not have it."
    )
    message = compose(
        scene,
        number=lost.block_number,
        time=alert.happened_at,
        block_hash=lost.block_hash,
        key=f"{AlertEvent.RETRACTED}:{alert.key}",
        event=str(AlertEvent.RETRACTED),
        severity=alert.severity,
        subject=subject_line(scene, "an earlier message is taken back", alert.happened_at),
        sentence=sentence,
        evidence=(Evidence("Reorganisations on record", "/status"),),
        finality=f"Replaced: {blocks} is no longer part of the chain.",
        episode=alert.episode,
        retracts=alert.key,
    )
    return Draft(
        message, alert.subject, alert.fund_slug, alert.chain_id, alert.happened_at, alert.number, retracts=alert.id
    )
