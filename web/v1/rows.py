"""One row of each list: what the twins say of it, with the place it belongs to and the words all lists share."""

from collections.abc import Iterable, Mapping

from ledger.listings import ReadingRow
from ledger.moments import MADE_UP_BLOCK, is_made_up
from ledger.pages import EventRow, Place
from ledger.tables import Alert, Asset, Chain, Metric, Reorg
from web.api import (
    Json,
    chain_row,
    event_row,
    fund_row,
    indexed_rows,
    iso_or_none,
    metric_row,
    reading_row,
    standing_row,
    synthetic,
)
from web.catalogue import Entry
from web.documents import Term, find_section
from web.edition import Edition, SourceState
from web.figures import Figures

NO_AMOUNT = "the event states no amount"
NO_DECIMALS = "the asset is not known, so its decimals are not"


def belongs(place: Place) -> Json:
    """Whose row it is."""
    return {"fund": place.fund.slug, "segment": place.segment.slug, "source_kind": place.chain.kind}


def as_of(edition: Edition, place: Place) -> Json:
    """The block of a segment's numbers, null before any was computed, and whether we are up to date with its source."""
    metric = next(iter(edition.metrics_of(place).values()), None)
    return {
        "block_number": metric.as_of_number if metric else None,
        "block_hash": metric.as_of_hash if metric else None,
        "block_time": iso_or_none(metric.as_of_time) if metric else None,
        "is_source_current": _is_current(edition, place.chain),
        "method_version": metric.method_version if metric else None,
    } | synthetic(place.chain, MADE_UP_BLOCK)


def _is_current(edition: Edition, chain: Chain) -> bool:
    return any(source.is_current for source in edition.sources if source.state.chain.chain_id == chain.chain_id)


def fund_brief(edition: Edition, places: list[Place]) -> Json:
    """A fund with how each of its segments stands."""
    segments = [standing_row(edition, place) | as_of(edition, place) for place in places]
    return fund_row(places[0]) | {"segments": segments}


def fund_full(edition: Edition, places: list[Place]) -> Json:
    """The same with all that its file says."""
    fund = places[0].fund
    told = ("summary", "methodology", "control", "contracts", "waterfall", "sources", "caveats", "file_digest")
    return fund_brief(edition, places) | {name: getattr(fund, name) for name in told}


def segment_rows(edition: Edition, places: list[Place]) -> list[Json]:
    """Segments with what was and was not indexed of them."""
    return [
        {"fund": place.fund.slug, "source_kind": place.chain.kind}
        | row
        | as_of(edition, place)
        | {"asset": _asset(place.asset), "start_number": place.segment.start_number}
        for place, row in zip(places, indexed_rows(edition, places), strict=True)
    ]


def _asset(asset: Asset | None) -> Json | None:
    if asset is None:
        return None
    return {"symbol": asset.symbol, "decimals": asset.decimals, "address": asset.address}


def day_row(metric: Metric, place: Place) -> Json:
    """A metric of one day."""
    row = belongs(place) | metric_row(metric, place.chain, with_detail=False)
    return row | {"observed_at": iso_or_none(metric.computed_at)}


def latest_rows(edition: Edition, place: Place, metrics: Iterable[Metric]) -> list[Json]:
    """The latest row of each metric of a segment, with how far they can be relied on now."""
    status, reason = Figures(edition, place).data()
    now = {"data_status": status, "data_reason": reason, "is_source_current": _is_current(edition, place.chain)}
    facts = f"/funds/{place.fund.slug}/facts"
    return [day_row(one, place) | now | {"evidence": f"{facts}/{one.name}.json"} for one in metrics]


def fact_row(row: EventRow, place: Place, asset: Asset | None) -> Json:
    """A fact with its amount in the words of all lists."""
    said = event_row(row, place, asset)
    value = said.pop("amount")
    final = place.chain.finalized_number
    return said | {
        "value_raw": said.pop("amount_raw"),
        "value": value,
        "unit": said.pop("asset"),
        "reason": "" if value is not None else NO_AMOUNT if row.amount_raw is None else NO_DECIMALS,
        "contribution": row.source,
        "side": row.side,
        "is_final": None if final is None else row.block_number <= final,
    }


def answer_row(row: ReadingRow, place: Place, assets: Mapping[int, Asset]) -> Json:
    """A reading; what could not be read says why."""
    said = reading_row(row)
    asset = assets.get(row.asset_id or 0)
    reason = said.pop("error") or ""
    is_known = row.value_raw is not None
    return (
        belongs(place)
        | said
        | {
            "unit": asset.symbol if asset else None,
            "quality": "ok" if is_known else "unknown",
            "reason": reason if reason or is_known else "no answer",
        }
        | synthetic(place.chain, MADE_UP_BLOCK)
    )


def alert_row(alert: Alert, kinds: Mapping[int, str], *, is_retracted: bool) -> Json:
    """An announcement as it was worded then."""
    return {
        "id": alert.id,
        "key": alert.key,
        "event": alert.event,
        "severity": alert.severity,
        "subject": alert.subject,
        "fund": alert.fund_slug,
        "chain_id": alert.chain_id,
        "source_kind": kinds.get(alert.chain_id or 0),
        "block_number": alert.number,
        "block_time": iso_or_none(alert.happened_at),
        "title": alert.title,
        "message": alert.message,
        "retracts": alert.retracts,
        "is_retracted": is_retracted,
        "observed_at": iso_or_none(alert.created_at),
    }


def source_row(source: SourceState) -> Json:
    """A chain, recording or venue with how far it was followed."""
    chain, tip = source.state.chain, source.state.tip
    return chain_row(source) | {
        "slug": chain.slug,
        "provenance": chain.provenance,
        "is_venue": chain.is_venue,
        "followed_hash": tip.hash if tip else None,
        "followed_time": iso_or_none(source.state.tip_time),
        "observed_at": iso_or_none(chain.checked_at),
        "is_synthetic": is_made_up(chain),
    }


def reorg_row(reorg: Reorg, kinds: Mapping[int, str]) -> Json:
    """A reorganisation on record."""
    return {
        "id": reorg.id,
        "chain_id": reorg.chain_id,
        "source_kind": kinds.get(reorg.chain_id),
        "fork_number": reorg.fork_number,
        "depth": reorg.depth,
        "old_hash": reorg.old_hash,
        "new_hash": reorg.new_hash,
        "observed_at": iso_or_none(reorg.detected_at),
    }


def definition_row(name: str, entry: Entry, term: Term | None) -> Json:
    """What a metric means."""
    said = term.fields if term else {}
    return {
        "name": name,
        "title": entry.title,
        "sentence": entry.sentence,
        "formula": said.get("Formula", ""),
        "unit": said.get("Unit", ""),
        "source": said.get("Source", ""),
        "limits": said.get("Limits", ""),
        "readings": [str(reading) for reading in entry.readings],
        "rounding": {"ROUND_FLOOR": "down", "ROUND_CEILING": "up"}.get(entry.rounding, "nearest"),
        "glossary": f"/glossary#{term.anchor}" if term else "/glossary",
        "section": find_section(name),
    }
