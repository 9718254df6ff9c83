"""What was computed last of every segment: read once, and shared by all pages until something is computed again."""

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, TypeVar

from sqlmodel import Session

from ledger.latest import LatestNumber, Number, latest_numbers
from ledger.pages import Place

Made = TypeVar("Made")


@dataclass(frozen=True)
class Latest:
    """The latest metrics, and what is drawn and digested from them."""

    metrics: Mapping[int, Mapping[str, Number]]
    """By segment and name."""
    digest: str
    """sha256 of every latest number and fund file."""
    _made: dict[Hashable, tuple[object, Any]] = field(default_factory=dict, init=False)

    def made_of(self, what: object, key: Hashable, make: Callable[[], Made]) -> Made:
        """What is made of these numbers and of `what`: kept, and made anew once `what` reads otherwise.

        It outlives blocks. So `what` is all that it is made of besides, and no clock has a part in it.
        """
        kept = self._made.get(key)
        if kept is None or kept[0] != what:
            kept = self._made[key] = (what, make())
        made: Made = kept[1]
        return made


def load_latest(session: Session, places: Sequence[Place]) -> Latest:
    """The latest metrics of these segments; those never computed are absent."""
    metrics = latest_numbers(session, [place.segment_id for place in places])
    return Latest(metrics, _digest(places, metrics))


def _digest(places: Sequence[Place], metrics: Mapping[int, Mapping[str, LatestNumber]]) -> str:
    """Of JSON as json.dumps() writes it: a list of numbers, by slug and name, and a list of fund files."""
    numbers = [
        _number_json(quoted(place.segment.slug), number)
        for place in places  # By slug.
        for _, number in sorted(metrics.get(place.segment_id, {}).items())
    ]
    files = sorted({(place.fund.slug, place.fund.file_digest) for place in places})
    return hashlib.sha256(f"[[{', '.join(numbers)}], {json.dumps(files)}]".encode()).hexdigest()


def _number_json(slug: str, one: LatestNumber) -> str:
    # Thousands of them: a list of each, walked by json.dumps(), takes twice as long.
    value = None if one.digits is None else Decimal(one.digits)
    text = "null" if one.text is None else quoted(one.text)
    return (
        f"[{slug}, {quoted(one.name)}, {quoted(one.day)}, {quoted(one.as_of_hash)}, {quoted(one.method_version)}, "
        f'"{value}", {text}, {quoted(one.inputs_digest)}]'
    )
