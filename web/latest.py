"""What was computed last of every segment: read once, and shared by all pages until something is computed again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

from ledger.pages import Place, latest_metrics
from ledger.tables import Metric
from web.contexts import Spark


@dataclass(frozen=True)
class Latest:
    """The latest metrics, and what is drawn and digested from them alone. No session holds its rows."""

    metrics: dict[int, dict[str, Metric]]
    """By segment and name."""
    digest: str
    """sha256 of every latest number and fund file."""
    sparks: dict[int, Spark | None] = field(default_factory=dict)
    """Small lines by segment, as far as a page has drawn them."""


def load_latest(session: Session, places: Sequence[Place]) -> Latest:
    """The latest metrics of these segments; those never computed are absent."""
    metrics = latest_metrics(session, [place.segment_id for place in places])
    session.expunge_all()  # They outlive this look at the ledger.
    return Latest(metrics, _digest(places, metrics))


def _digest(places: Sequence[Place], metrics: Mapping[int, Mapping[str, Metric]]) -> str:
    numbers = [
        [place.segment.slug, name, m.day, m.as_of_hash, m.method_version, str(m.value), m.text, m.inputs_digest]
        for place in places  # By slug.
        for name, m in sorted(metrics.get(place.segment_id, {}).items())
    ]
    files = sorted({(place.fund.slug, place.fund.file_digest) for place in places})
    return hashlib.sha256(json.dumps([numbers, files]).encode()).hexdigest()
