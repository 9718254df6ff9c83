"""Changes of state in words: one message a flip."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from alerts.book import Flip
from alerts.drafts import Draft, Ground
from alerts.levels import Look
from alerts.machine import Said
from alerts.message import Change, Evidence
from alerts.scene import Scene, compose, iso, subject_line
from alerts.thresholds import LevelRule, Rules
from ledger.kinds import Severity
from ledger.moments import block_words
from ledger.numbers import Rounding, format_amount, format_decimal, format_fraction, format_ratio, format_time
from ledger.words import chain_title, event_words, lowered


@dataclass(frozen=True)
class News:
    """What is new: for the subject line, as a sentence, as numbers before and after; the fact page that proves it."""

    short: str
    sentence: str
    change: Change | None
    page: str


Teller = Callable[[Flip, LevelRule, Scene], News]


def draft_flip(flip: Flip, rules: Rules, scene: Scene) -> Draft | None:
    """The announcement of a flip; None where its end is told by the digest alone."""
    rule = rules.levels[flip.rule]
    if flip.said is Said.ENDED and rule.recovered is None:
        return None
    event = rule.recovered if flip.said is Said.ENDED and rule.recovered else rule.event
    severity = Severity.NOTICE if flip.said is Said.ENDED else rule.severity[flip.level - 1]
    look, episode = flip.look, flip.episode(scene.subject)
    news = _unstable(flip, rules, scene) if flip.said is Said.UNSTABLE else TELLERS[flip.rule](flip, rule, scene)
    key = f"{event}:{scene.subject}:{iso(flip.began)}:{flip.said}:{flip.level}"
    message = compose(
        scene,
        number=look.number,
        time=look.time,
        block_hash=look.block_hash,
        key=key,
        event=str(event),
        severity=str(severity),
        subject=subject_line(scene, news.short, look.time),
        sentence=news.sentence,
        changes=(news.change,) if news.change else (),
        evidence=(Evidence(_seen(look, scene), news.page),),
        finality=scene.finality(look.number) if look.is_of_block else "",
        limits=scene.limits(_bound(rule, flip)),
        episode=episode,
    )
    fund = scene.place.fund.slug if scene.place else None
    grounds = tuple(_grounds(flip, scene))
    return Draft(message, scene.subject, fund, scene.chain.chain_id, look.time, look.number, grounds)


def _seen(look: Look, scene: Scene) -> str:
    if look.is_of_block:
        return f"Read at {scene.at(look.number, look.time)}"
    return f"Seen at {format_time(look.time)}; the newest block read is {block_words(look.number, scene.chain)}"


def _grounds(flip: Flip, scene: Scene) -> Iterator[Ground]:
    """The block it was read at. How we stand hangs on no block: a reorganisation takes nothing of it back."""
    if flip.look.is_of_block:
        key = f"{flip.rule}:{scene.subject}:{flip.look.number}:{flip.said}"
        yield Ground(key, scene.chain.chain_id, flip.look.number, flip.look.block_hash)


def _bound(rule: LevelRule, flip: Flip) -> str:
    """When the next word comes, so that silence can be read."""
    if flip.said not in (Said.BEGAN, Said.WORSENED) or rule.recovered is None:
        return ""
    return "Nothing more is sent until it gets worse or is over; the daily digest keeps naming it."


def _unstable(flip: Flip, rules: Rules, scene: Scene) -> News:
    most = rules.max_episodes_a_day
    what = lowered(event_words(rules.levels[flip.rule].event))
    sentence = (
        f"At {scene.name} this began more than {most} times within 24 hours: {what}. "
        "Until it calms down only the digest speaks of it."
    )
    page = f"/funds/{scene.place.fund.slug}" if scene.place else "/status"
    return News("changes too often to be told each time", sentence, None, page)


def _coverage(flip: Flip, rule: LevelRule, scene: Scene) -> News:
    look = flip.look
    now, before = _ratio(look.value), _ratio(flip.before) if flip.before is not None else ""
    at = scene.at(look.number, look.time)
    if flip.said is Said.ENDED:
        limit = f"{format_ratio(Decimal(str(rule.clear)))} or more, at least {rule.clear_after} readings in a row"
        sentence = f"Coverage of {scene.name} is {now} again at {at}."
    else:
        limit = f"below {format_ratio(Decimal(str(rule.enter[flip.level - 1])))}"
        verb = "fell further, to" if flip.said is Said.WORSENED else "fell to"
        sentence = f"Coverage of {scene.name} {verb} {now} at {at}: it could pay less than its reference loss."
    was = f" (was {before})" if before else ""
    return News(f"coverage {now}{was}", sentence, Change("Coverage", before, now, limit), scene.fact_page("coverage"))


def _depleted(flip: Flip, _rule: LevelRule, scene: Scene) -> News:
    found = scene.metrics.get("status")
    why = f": {found.reason.rstrip('.')}" if found is not None and found.reason else ""
    sentence = f"Nothing is left in {scene.name} to pay with at {scene.at(flip.look.number, flip.look.time)}{why}."
    return News("depleted", sentence, Change("Status", "", "Depleted", "a fact"), scene.fact_page("status"))


def _balance(flip: Flip, rule: LevelRule, scene: Scene) -> News:
    look = flip.look
    symbol = scene.place.asset.symbol if scene.place and scene.place.asset else ""
    assert look.value is not None
    assert look.compared is not None
    assert look.hours is not None  # A drop has all three.
    lost = (look.compared - look.value) / look.compared
    share = format_fraction(round(lost, 3)) if lost <= 1 else "more than all of it"
    hours = "an hour" if look.hours == 1 else f"{look.hours:g} hours"
    before, after = format_amount(look.compared, symbol), format_amount(look.value, symbol, Rounding.DOWN)
    sentence = (
        f"The balance of {scene.name} dropped by {share} within {hours}: from {before} to {after}, "
        f"at {scene.at(look.number, look.time)}."
    )
    limit = f"by {format_fraction(Decimal(str(rule.drops[flip.level - 1].share)))} or more within {hours}"
    change = Change("Balance", before, after, limit)
    short = f"balance down {share} within {hours}" if lost <= 1 else f"balance below zero within {hours}"
    return News(short, sentence, change, scene.fact_page("gross_balance"))


def _own_token(flip: Flip, rule: LevelRule, scene: Scene) -> News:
    now = format_fraction(round(flip.look.value or Decimal(0), 3))
    before = "" if flip.before is None else format_fraction(round(flip.before, 3))
    sentence = (
        f"{now} of the value of {scene.name} is in the platform's own token, which falls when the platform does, "
        f"at {scene.at(flip.look.number, flip.look.time)}."
    )
    limit = f"above {format_fraction(Decimal(str(rule.enter[flip.level - 1])))}"
    change = Change("Share of the own token", before, now, limit)
    return News(f"{now} in the platform's own token", sentence, change, scene.fact_page("usable_value"))


def _unreconciled(flip: Flip, _rule: LevelRule, scene: Scene) -> News:
    why = f": {flip.look.reason.rstrip('.')}" if flip.look.reason else ""
    sentence = f"Recorded flows do not explain the balance of {scene.name}{why}."
    return News("flows do not explain the balance", sentence, None, scene.fact_page("explained_share"))


def _stale(flip: Flip, rule: LevelRule, scene: Scene) -> News:
    age = _minutes(flip.look.value)
    if flip.said is Said.ENDED:
        sentence = f"Data of {scene.name} are current again: the newest block read is {age} old."
        limit = f"up to {rule.clear_minutes:g} min"
        return News("data are current again", sentence, Change("Age of the newest block", "", age, limit), "/status")
    why = f" The source says: {flip.look.reason.rstrip('.')}." if flip.look.reason else ""
    sentence = (
        f"Nothing newer than {age} was read for {scene.name}. What is printed about it is old, and nothing new can be "
        f"announced.{why}"
    )
    limit = f"older than {rule.minutes:g} min"
    return News(f"data are {age} old", sentence, Change("Age of the newest block", "", age, limit), "/status")


def _numbers_stale(flip: Flip, _rule: LevelRule, scene: Scene) -> News:
    # Where there is no fund there is no balance, and no page of one.
    page = scene.fact_page("gross_balance" if "gross_balance" in scene.metrics else "data_status")
    if flip.said is Said.ENDED:
        return News("is read again", f"{scene.name} is read again, and its numbers are current.", None, page)
    why = f": {flip.look.reason.rstrip('.')}" if flip.look.reason else ""
    sentence = f"{chain_title(scene.chain)} goes on, but what is read of {scene.name} is old or missing{why}."
    return News("data are old or missing", sentence, None, page)


def _lagging(flip: Flip, rule: LevelRule, scene: Scene) -> News:
    behind = _minutes(flip.look.value)
    sentence = f"Our indexer is {behind} behind the head of {scene.name} that a provider names, and does not catch up."
    change = Change("Behind the head", "", behind, f"more than {rule.minutes:g} min")
    return News(f"indexer {behind} behind", sentence, change, "/status")


def _disagreement(flip: Flip, _rule: LevelRule, scene: Scene) -> News:
    why = f": {flip.look.reason.rstrip('.')}" if flip.look.reason else ""
    sentence = f"{scene.name} contradicts what was final, and indexing has stopped until a person decides{why}."
    return News("sources disagree, indexing has stopped", sentence, None, "/status")


TELLERS: dict[str, Teller] = {
    "coverage_low": _coverage,
    "depleted": _depleted,
    "balance_dropped": _balance,
    "own_token_high": _own_token,
    "unreconciled": _unreconciled,
    "data_stale": _stale,
    "numbers_stale": _numbers_stale,
    "indexer_lagging": _lagging,
    "source_disagreement": _disagreement,
}


def _ratio(value: Decimal | None) -> str:
    return "unknown" if value is None else format_ratio(value)


def _minutes(value: Decimal | None) -> str:
    minutes = value or Decimal(0)
    return f"{format_decimal(minutes, 0)} min" if minutes < 120 else f"{format_decimal(minutes / 60, 0)} h"
