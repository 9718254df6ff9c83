"""The daily and the weekly digest: what was announced, what goes on, how every fund stands, or that all was quiet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from alerts.drafts import Draft
from alerts.message import FundLine, Message
from alerts.scene import iso
from alerts.thresholds import Rules
from alerts.watch import Watch
from ledger.alerts import is_announced, list_announced
from ledger.kinds import AlertEvent, Severity, SourceKind
from ledger.numbers import finite, format_count, format_date, format_ratio, format_time
from ledger.tables import Alert
from ledger.words import event_words, lowered

DAY, WEEK = timedelta(days=1), timedelta(days=7)
LATE = timedelta(hours=1)
MOST_LINES = 300


@dataclass(frozen=True)
class Domain:
    """Chains that share a clock: all live ones, or one recording."""

    name: str
    watches: Sequence[Watch]
    until: datetime
    """Chain time before which nothing more is waited for."""

    @property
    def live_since(self) -> datetime:
        """When the first of them went live."""
        return min(watch.cursor.live_since for watch in self.watches)


def domains(watches: Sequence[Watch]) -> list[Domain]:
    """Chains by clock."""
    live = [watch for watch in watches if watch.chain.kind == SourceKind.LIVE]
    recorded = [Domain(watch.chain.slug, [watch], watch.read_until) for watch in watches if watch not in live]
    # Chains that share a digest do not wait long for one that is far behind.
    until = (max(watch.read_until, watch.now - LATE) for watch in live)
    return ([Domain("live", live, min(until))] if live else []) + recorded


@dataclass(frozen=True)
class Span:
    """The time one digest covers: after `start`, up to `end`."""

    event: AlertEvent
    start: datetime
    end: datetime

    @property
    def words(self) -> str:
        """24 May 2021; the week from 17 May 2021."""
        first = format_date(self.start)
        return first if self.event is AlertEvent.DIGEST_DAILY else f"the week from {first}"


def walk_digests(session: Session, watches: Sequence[Watch], rules: Rules) -> Iterator[Draft]:
    """Digests that are due and not written: of the last day that is over, and of the last week that is."""
    for domain in domains(watches):
        midnight = domain.until.replace(hour=0, minute=0, second=0, microsecond=0)
        monday = midnight - midnight.weekday() * DAY
        for span in (
            Span(AlertEvent.DIGEST_DAILY, midnight - DAY, midnight),
            Span(AlertEvent.DIGEST_WEEKLY, monday - WEEK, monday),
        ):
            key = f"{span.event}:{domain.name}:{span.start:%Y-%m-%d}"
            if domain.live_since < span.end and not is_announced(session, key):
                yield _draft(session, domain, span, key=key, version=rules.version)


def _draft(session: Session, domain: Domain, span: Span, *, key: str, version: str) -> Draft:
    chains = [watch.chain.chain_id for watch in domain.watches]
    announced = list_announced(session, after=span.start, until=span.end, chain_ids=chains)
    news = [FundLine(alert.fund_slug or "", _news_line(alert), _name_in(alert)) for alert in announced[-MOST_LINES:]]
    n_funds = len({line.fund_slug for line in news if line.fund_slug})
    told = format_count(len(announced), "announcement") + (f" at {format_count(n_funds, 'fund')}" if n_funds else "")
    replay = domain.watches[0].scene(None).replay
    message = Message(
        key=key,
        event=str(span.event),
        severity=str(Severity.NOTICE),
        subject=f"[Digest] {span.words}: {told if announced else 'nothing happened'}",
        sentence=f"{_capital(span.words)}: {told if announced else 'nothing happened that a rule speaks of'}.",
        happened_at=iso(span.end),
        limits=f"Judged by version {version} of the rules.",
        replay=replay,
        lines=(*news, *_ongoing(domain), *_standing(domain)),
    )
    return Draft(message, domain.name, None, chains[0] if replay else None, span.end, None)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name_in(alert: Alert) -> str:
    return str(alert.message.get("fund_name", ""))


def _news_line(alert: Alert) -> str:
    return f"{format_time(alert.happened_at)}: {alert.message.get('sentence', alert.title)}"


def _ongoing(domain: Domain) -> Iterator[FundLine]:
    """Episodes under way, and what changes too often to be told: the reminders that are no messages of their own."""
    for watch in domain.watches:
        funds = {place.segment.slug: place for place in watch.places}
        for rule, subject, began, is_unstable in watch.book.list_ongoing():
            place = funds.get(subject)
            name = watch.scene(place).name
            what = lowered(event_words(watch.rules.levels[rule].event))
            since = f" since {format_time(began)}" if began else ""
            calm = ", and changes too often to be told each time" if is_unstable else ""
            yield FundLine(
                place.fund.slug if place else "",
                f"Goes on{since}: {what} at {name}{calm}",
                place.fund.name if place else "",
            )


def _standing(domain: Domain) -> Iterator[FundLine]:
    for watch in domain.watches:
        for place in watch.places:
            scene = watch.scene(place)
            found = scene.metrics.get("coverage")
            value = finite(found.value) if found is not None else None
            coverage = f", coverage {format_ratio(value)}" if value is not None else ""
            as_of = next((f", as of {format_time(metric.as_of_time)}" for metric in scene.metrics.values()), "")
            said = f"{scene.name}: {scene.status}{coverage}{as_of}"
            yield FundLine(place.fund.slug, said, place.fund.name, is_calm=True)
