"""The JSON twins: the same numbers as the pages, every digit as text, each row with its block, quality and version."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ledger.evidence import count_events
from ledger.kinds import Role
from ledger.latest import Number
from ledger.listings import ReadingRow
from ledger.moments import MADE_UP_BLOCK, MADE_UP_FACT, is_made_up
from ledger.numbers import format_exact, scale
from ledger.pages import EventRow, Place, balance_series, list_events, newest_facts
from ledger.tables import Asset, Chain, Reading
from ledger.words import DISCLAIMER, chain_title, kind_words
from web.bands import status_why
from web.catalogue import describe, readings_of
from web.edition import Edition, SourceState
from web.evidence import LOSS_ROLES, sum_by_asset
from web.figures import Figures
from web.losses import count_liquidations
from web.names import INVISIBLE
from web.origins import MOST_READINGS, history_up_to, number_path, shown_metrics
from web.severity import worst_first
from web.sources import segment_holes

MOST_EVENTS = 1000
DELETE = "\x7f"
Json = dict[str, Any]


def to_bytes(content: Json) -> bytes:
    """Canonical JSON, what cannot be seen written out; raises ValueError for NaN and infinities, which are no JSON."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii() or DELETE in text:  # json.dumps has written out the other controls of ASCII.
        text = INVISIBLE.sub(lambda sign: json.dumps(sign[0])[1:-1], text)
    return text.encode() + b"\n"


def iso_or_none(time: datetime | None) -> str | None:
    """ISO 8601 to the second, or null."""
    return None if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def digits(raw: int | None, decimals: int) -> str | None:
    """An exact decimal without separators, or null."""
    return None if raw is None else format_exact(scale(raw, decimals)).replace(",", "").replace("−", "-")


def envelope(edition: Edition, path: str) -> Json:
    """What every twin begins with: its own address, version, digest and disclaimer."""
    return {
        "self": edition.config.site_url + path,
        "method_version": edition.method_version,
        "digest": edition.digest,
        "notice": DISCLAIMER,
    }


def synthetic(chain: Chain, fields: tuple[str, ...]) -> Json:
    """Which fields of a row were made up by a reconstruction; none anywhere else."""
    return {"is_synthetic": is_made_up(chain), "synthetic": list(fields) if is_made_up(chain) else []}


def metric_row(metric: Number, chain: Chain, *, with_detail: bool = True) -> Json:
    """One metric: `value` null is unknown and has a reason."""
    row: Json = {
        "name": metric.name,
        "title": describe(metric.name).title,
        "value": None if metric.value is None else format(metric.value, "f"),
        "unit": metric.unit,
        "text": metric.text,
        "quality": metric.quality,
        "reason": metric.reason,
        "block_number": metric.as_of_number,
        "block_hash": metric.as_of_hash,
        "block_time": iso_or_none(metric.as_of_time),
        "day": metric.day,
        "is_day_final": metric.is_day_final,
        "window_days": metric.window_days,
        "observations": metric.n_obs,
        "events": metric.n_events,
        "interval": None if metric.ci_low is None and metric.ci_high is None else [metric.ci_low, metric.ci_high],
        "method_version": metric.method_version,
        "inputs_digest": metric.inputs_digest,
    } | synthetic(chain, MADE_UP_BLOCK)
    return row | {"detail": metric.detail} if with_detail else row


def event_row(row: EventRow, place: Place, asset: Asset | None) -> Json:
    """One fact with its evidence."""
    return {
        "fund": place.fund.slug,
        "segment": place.segment.slug,
        "source_kind": place.chain.kind,
        "role": row.role,
        "amount_raw": None if row.amount_raw is None else str(row.amount_raw),
        "decimals": asset.decimals if asset else None,
        "amount": digits(row.amount_raw, asset.decimals) if asset else None,
        "asset": asset.symbol if asset else None,
        "account": row.account,
        "market": row.market,
        "block_number": row.block_number,
        "block_hash": row.block_hash,
        "block_time": iso_or_none(row.block_time),
        "since_number": row.since_number,
        "tx_hash": row.tx_hash,
        "log_index": row.log_index,
        "fact_no": row.fact_no,
    } | synthetic(place.chain, MADE_UP_FACT)


def reading_row(row: Reading | ReadingRow) -> Json:
    """One answer of a contract or venue: `value_raw` null is unknown and has its error."""
    return {
        "name": row.name,
        "subject": row.subject,
        "contract": row.contract,
        "call": row.call,
        "block_number": row.block_number,
        "block_hash": row.block_hash,
        "block_time": iso_or_none(row.block_time),
        "value_raw": None if row.value_raw is None else str(row.value_raw),
        "decimals": row.decimals,
        "value": digits(row.value_raw, row.decimals),
        "error": row.error,
    }


def chain_row(source: SourceState) -> Json:
    """How one source stands."""
    chain, tip = source.state.chain, source.state.tip
    return {
        "id": chain.chain_id,
        "name": chain.name,
        "source_kind": chain.kind,
        "status": chain.status,
        "reason": chain.status_reason,
        "is_current": source.is_current,
        "head_number": chain.head_number,
        "head_time": iso_or_none(chain.head_time),
        "finalized_number": chain.finalized_number,
        "followed_to": tip.number if tip else None,
        "lag_seconds": None if source.lag is None else int(source.lag.total_seconds()),
    }


def indexed_rows(edition: Edition, places: Iterable[Place]) -> list[Json]:
    """How segments stand, and what was not scanned of them."""
    holes = segment_holes(edition)
    return [
        standing_row(edition, place)
        | {
            "indexed": place.segment.status,
            "indexed_reason": place.segment.status_reason,
            "holes": holes.get(place.segment.slug, []),
        }
        for place in places
    ]


def standing_row(edition: Edition, place: Place) -> Json:
    """How one segment stands, and how far its data can be relied on."""
    figures = Figures(edition, place)
    badge = figures.badge()
    return {
        "slug": place.segment.slug,
        "name": place.segment.name,
        "status": badge.key,
        "status_words": badge.word,
        "at_best": badge.note or None,
        "status_reason": status_why(figures),
        "data_status": figures.data()[0],
        "data_reason": figures.data()[1],
    }


def fund_row(place: Place) -> Json:
    """What names a fund and its source."""
    chain = place.chain
    return {
        "slug": place.fund.slug,
        "name": place.fund.name,
        "kind": place.fund.kind,
        "platform": place.platform.name,
        "chain": {"id": chain.chain_id, "slug": chain.slug, "name": chain.name},
        "source_kind": chain.kind,
        "replay_of": f"{chain_title(chain)}: {kind_words(chain.kind)}" if kind_words(chain.kind) else None,
        "provenance": chain.provenance or None,
        "synthetic": list(MADE_UP_FACT) if is_made_up(chain) else [],
        "page": f"/funds/{place.fund.slug}",
    }


def funds_json(edition: Edition) -> Json:
    """All funds with the status and latest numbers of each segment; details are in each fund's own twin."""
    funds = []
    for places in edition.funds().values():
        segments = [
            standing_row(edition, place)
            | {
                "metrics": [
                    metric_row(one, place.chain, with_detail=False) for one in edition.metrics_of(place).values()
                ]
            }
            for place in worst_first(edition, places)
        ]
        funds.append(fund_row(places[0]) | {"segments": segments})
    return envelope(edition, "/funds.json") | {"funds": funds}


def fund_json(edition: Edition, slug: str) -> Json | None:
    """One fund with everything its page shows; None where there is no such fund."""
    places = edition.funds().get(slug)
    if not places:
        return None
    fund = places[0].fund
    told = {
        "summary": fund.summary,
        "methodology": fund.methodology,
        "control": fund.control,
        "contracts": fund.contracts,
        "waterfall": fund.waterfall,
        "sources": fund.sources,
        "caveats": fund.caveats,
        "file_digest": fund.file_digest,
        "segments": [_segment(edition, place) for place in worst_first(edition, places)],
    }
    return envelope(edition, f"/funds/{slug}.json") | fund_row(places[0]) | told


def _segment(edition: Edition, place: Place) -> Json:
    losses = list_events(edition.session, [place.segment_id], LOSS_ROLES)
    closed = list_events(edition.session, [place.segment_id], [Role.LIQUIDATION])
    points = balance_series(edition.session, place) if place.asset else []
    return standing_row(edition, place) | {
        "asset": {"symbol": place.asset.symbol, "decimals": place.asset.decimals} if place.asset else None,
        "metrics": [metric_row(one, place.chain) for one in edition.metrics_of(place).values()],
        "losses": [event_row(row, place, edition.assets.get(row.asset_id or 0)) for row in losses],
        "liquidations": {"count": count_liquidations(closed), "sums": _sums(edition, closed)},
        "balance": {
            "columns": ["block_number", "block_time", "value_raw", "value"],
            "rows": [
                [
                    point.number,
                    iso_or_none(point.time),
                    None if point.value_raw is None else str(point.value_raw),
                    digits(point.value_raw, point.decimals),
                ]
                for point in points
            ],
        },
    }


def _sums(edition: Edition, rows: Iterable[EventRow]) -> list[Json]:
    by_side: dict[str, list[EventRow]] = {}
    for row in rows:
        by_side.setdefault(row.side or "", []).append(row)
    found = []
    for side, group in sorted(by_side.items()):
        for one in sum_by_asset(group):
            asset = edition.assets.get(one.asset_id or 0)
            found.append(
                {
                    "side": side,
                    "asset": asset.symbol if asset else None,
                    "asset_address": asset.address if asset else None,
                    "count": one.count,
                    "unknown": one.unknown,
                    "sum_raw": str(one.raw) if one.largest else None,
                    "decimals": asset.decimals if asset else None,
                    "sum": digits(one.raw, asset.decimals) if asset and one.largest else None,
                }
            )
    return found


def number_json(edition: Edition, slug: str, name: str, number: int | None = None) -> Json | None:
    """One number of each segment, the latest or that of a block, with readings, prices and history up to it.

    None where that fund has no such metric, or none at that block.
    """
    found = shown_metrics(edition, slug, name, number)
    if not found:
        return None
    parts = [_number(edition, place, metric) for place, metric in found]
    return envelope(edition, f"{number_path(slug, name, number)}.json") | fund_row(found[0][0]) | {"segments": parts}


def _number(edition: Edition, place: Place, metric: Number) -> Json:
    name = metric.name
    readings = edition.readings(place.segment_id, readings_of(name), metric.as_of_number)
    return {
        "slug": place.segment.slug,
        "metric": metric_row(metric, place.chain),
        "readings_count": len(readings),
        "readings": [reading_row(row) for row in readings[:MOST_READINGS]],
        "prices": [
            {
                "asset": asset.symbol,
                "asset_address": asset.address,
                "feed": price.feed,
                "block_number": price.block_number,
                "block_hash": price.block_hash,
                "answer_raw": None if price.answer_raw is None else str(price.answer_raw),
                "decimals": price.decimals,
                "usd": digits(price.answer_raw, price.decimals),
                "updated_at": iso_or_none(price.updated_at),
                "error": price.error,
            }
            for price, asset in edition.prices(place.chain.chain_id, metric.as_of_number)
        ],
        "history": [metric_row(row, place.chain, with_detail=False) for row in history_up_to(edition, metric)],
    }


def events_json(edition: Edition) -> Json:
    """The newest losses and payouts of all funds, one row a fact, and how many there are in all."""
    places = {place.segment_id: place for place in edition.places}
    newest = newest_facts(edition.session, list(places), LOSS_ROLES, MOST_EVENTS)[::-1]
    shown = [event_row(row, places[row.segment_id], edition.assets.get(row.asset_id or 0)) for row in newest]
    count = count_events(edition.session, list(places), LOSS_ROLES)
    return envelope(edition, "/events.json") | {"count": count, "events": shown}


def status_json(edition: Edition) -> Json:
    """How our own sources stand."""
    chains = [chain_row(source) for source in edition.sources]
    segments = indexed_rows(edition, edition.places)
    return envelope(edition, "/status.json") | {"chains": chains, "segments": segments}
