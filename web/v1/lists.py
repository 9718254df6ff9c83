"""What each address of the API answers: the questions to the ledger, and the rows in their envelope."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from sqlmodel import Session
from starlette.exceptions import HTTPException

from ledger.clock import Clock
from ledger.kinds import Role
from ledger.listings import (
    AlertKey,
    DayKey,
    FactKey,
    ReadingKey,
    ReorgKey,
    find_retracted,
    has_metric,
    latest_standing,
    list_alerts,
    list_chain_facts,
    list_days,
    list_facts,
    list_readings,
    page_reorgs,
)
from ledger.pages import EventRow, Place, latest_metrics
from ledger.tables import Metric
from ledger.words import DISCLAIMER
from web.api import Json, indexed_rows, iso_or_none
from web.catalogue import METRICS
from web.documents import list_terms, load_document
from web.edition import Edition, SiteConfig
from web.evidence import LOSS_ROLES
from web.names import neat_places
from web.v1 import rows
from web.v1.paging import EventQuery, LossQuery, PageQuery, ReadingQuery, Slice, cut, read_cursor

NO_FUND = "There is no fund of that name; /api/v1/funds lists all of them."
NO_METRIC = "That metric was never computed for this fund; /api/v1/funds/{slug}/metrics lists those that were."
ROOT = "/api/v1"


class FundKey(NamedTuple):
    """A fund's place."""

    slug: str


class BriefEdition(Edition):
    """A look at the ledger that knows of all metrics only how each segment stands."""

    @cached_property
    def metrics(self) -> dict[int, dict[str, Metric]]:
        """Latest statuses and balances by segment and name."""
        return latest_standing(self.session, [place.segment_id for place in self.places])


class FundEdition(BriefEdition):
    """The same of one fund alone; answers 404 where there is no such fund."""

    def __init__(self, session: Session, clock: Clock, config: SiteConfig, slug: str) -> None:
        super().__init__(session, clock, config)
        self.slug = slug

    @cached_property
    def places(self) -> list[Place]:
        """The fund's segments."""
        found = neat_places(self.session, self.slug)
        if not found:
            raise HTTPException(404, NO_FUND)
        return found

    @property
    def path(self) -> str:
        """Its address in the API."""
        return f"{ROOT}/funds/{self.slug}"


def _about(edition: Edition, path: str) -> Json:
    return {"self": edition.config.site_url + path, "notice": DISCLAIMER}


def _whole(edition: Edition, path: str, data: Sequence[Json]) -> Json:
    """A list that is short by its nature and is answered as a whole."""
    return _about(edition, path) | {"data": data, "next": None}


def _page(edition: Edition, part: Slice, data: Sequence[Json]) -> Json:
    following = None if part.next is None else edition.config.site_url + part.next
    return _about(edition, part.address) | {"data": data, "next": following}


def all_funds(edition: Edition, query: PageQuery) -> Json:
    """Funds by slug with how their segments stand."""
    path = f"{ROOT}/funds"
    after = read_cursor(path, query, FundKey)
    funds = [places for slug, places in edition.funds().items() if after is None or slug > after.slug]
    keys = [FundKey(places[0].fund.slug) for places in funds]
    part = cut(funds, keys, path, query)
    return _page(edition, part, [rows.fund_brief(edition, places) for places in part.rows])


def one_fund(edition: FundEdition) -> Json:
    """One fund with all that its file says."""
    return _about(edition, edition.path) | {"data": rows.fund_full(edition, edition.places)}


def fund_segments(edition: FundEdition) -> Json:
    """The segments of one fund."""
    return _whole(edition, f"{edition.path}/segments", rows.segment_rows(edition, edition.places))


def fund_metrics(edition: FundEdition) -> Json:
    """The latest row of each metric of each segment."""
    found = latest_metrics(edition.session, [place.segment_id for place in edition.places])
    data = [
        row
        for place in edition.places
        for row in rows.latest_rows(edition, place, found.get(place.segment_id, {}).values())
    ]
    return _whole(edition, f"{edition.path}/metrics", data)


def metric_days(edition: FundEdition, name: str, query: PageQuery) -> Json:
    """One metric of one fund by day."""
    path = f"{edition.path}/metrics/{name}"
    after = read_cursor(path, query, DayKey)
    places = {place.segment_id: place for place in edition.places}
    if not has_metric(edition.session, list(places), name):
        raise HTTPException(404, NO_METRIC)
    found = list_days(edition.session, list(places), name, limit=query.limit + 1, after=after)
    part = cut(found, [DayKey(row.day, row.segment_id) for row in found], path, query)
    return _page(edition, part, [rows.day_row(row, places[row.segment_id]) for row in part.rows])


def fund_readings(edition: FundEdition, query: ReadingQuery) -> Json:
    """The readings of one name of one fund."""
    path = f"{edition.path}/readings"
    after = read_cursor(path, query, ReadingKey)
    places = {place.segment_id: place for place in edition.places}
    found = list_readings(edition.session, list(places), query.name, limit=query.limit + 1, after=after)
    keys = [ReadingKey(row.segment_id, row.subject, row.block_number) for row in found]
    part = cut(found, keys, path, query)
    data = [rows.answer_row(row, places[row.segment_id], edition.assets) for row in part.rows]
    return _page(edition, part, data)


def fund_events(edition: FundEdition, query: EventQuery) -> Json:
    """Facts of one fund."""
    path = f"{edition.path}/events"
    after = read_cursor(path, query, FactKey)
    places = edition.places
    found = list_chain_facts(
        edition.session,
        places[0].chain.chain_id,
        [place.segment_id for place in places],
        [query.role] if query.role else LOSS_ROLES,
        limit=query.limit + 1,
        after=after,
        span=query.span,
    )
    return _events(edition, path, query, found)


def all_events(edition: Edition, query: LossQuery) -> Json:
    """Losses and payouts of all funds."""
    path = f"{ROOT}/events"
    after = read_cursor(path, query, FactKey)
    roles = [Role(query.role)] if query.role else LOSS_ROLES
    ids = [place.segment_id for place in edition.places]
    found = list_facts(edition.session, ids, roles, limit=query.limit + 1, after=after, span=query.span)
    return _events(edition, path, query, found)


def _events(edition: Edition, path: str, query: PageQuery, found: Sequence[EventRow]) -> Json:
    places = {place.segment_id: place for place in edition.places}
    keys = [FactKey(row.block_time, row.block_number, row.log_index, row.fact_no, row.segment_id) for row in found]
    part = cut(found, keys, path, query)
    data = [rows.fact_row(row, places[row.segment_id], edition.assets.get(row.asset_id or 0)) for row in part.rows]
    return _page(edition, part, data)


def all_alerts(edition: Edition, query: PageQuery) -> Json:
    """What was announced."""
    path = f"{ROOT}/alerts"
    found = list_alerts(edition.session, limit=query.limit + 1, after=read_cursor(path, query, AlertKey))
    part = cut(found, [AlertKey(row.happened_at, row.id or 0) for row in found], path, query)
    retracted = find_retracted(edition.session, [row.id for row in part.rows])
    kinds = _kinds(edition)
    data = [rows.alert_row(row, kinds, is_retracted=row.id in retracted) for row in part.rows]
    return _page(edition, part, data)


def all_reorgs(edition: Edition, query: PageQuery) -> Json:
    """Reorganisations on record."""
    path = f"{ROOT}/reorgs"
    found = page_reorgs(edition.session, limit=query.limit + 1, after=read_cursor(path, query, ReorgKey))
    part = cut(found, [ReorgKey(row.id or 0) for row in found], path, query)
    kinds = _kinds(edition)
    return _page(edition, part, [rows.reorg_row(row, kinds) for row in part.rows])


def _kinds(edition: Edition) -> dict[int, str]:
    return {source.state.chain.chain_id: source.state.chain.kind for source in edition.sources}


def all_chains(edition: Edition) -> Json:
    """How each source stands."""
    return _whole(edition, f"{ROOT}/chains", [rows.source_row(source) for source in edition.sources])


def method(edition: Edition) -> Json:
    """The versions of the method, and what each metric means."""
    terms = {
        name: term
        for term in list_terms(edition.config.docs)
        for name in re.split(r"[,\s]+", term.fields.get("Names", ""))
    }
    changes = load_document(edition.config.docs, "methodology").partition("\n## Changelog\n")[2]
    versions = re.findall(r"^### Version (\S+)\n+(.+?)(?=\n### |\Z)", changes, flags=re.MULTILINE | re.DOTALL)
    return _about(edition, f"{ROOT}/methodology") | {
        "method_version": edition.method_version or None,
        "versions": [{"version": version, "changes": " ".join(text.split())} for version, text in versions],
        "metrics": [rows.definition_row(name, entry, terms.get(name)) for name, entry in METRICS.items()],
    }


def site_status(edition: Edition) -> Json:
    """How current the whole is, and what is missing of each segment."""
    oldest, newest = edition.as_of or (None, None)
    return _about(edition, f"{ROOT}/status") | {
        "method_version": edition.method_version or None,
        "digest": edition.digest,
        "oldest_block_time": iso_or_none(oldest),
        "newest_block_time": iso_or_none(newest),
        "source_count": len(edition.sources),
        "current_source_count": sum(source.is_current for source in edition.sources),
        "segments": [
            row | rows.as_of(edition, place)
            for place, row in zip(edition.places, indexed_rows(edition, edition.places), strict=True)
        ],
    }
