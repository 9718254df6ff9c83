"""What was computed last of every segment: read once, and shared by all pages until it is computed again."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, TypeVar

from sqlmodel import Session

from ledger.latest import LatestNumber, Number, latest_numbers
from ledger.namings import Naming
from ledger.pages import Place

Made = TypeVar("Made")


class Kept:
    """What is made for several pages.

    It outlives blocks. So what it is made of besides is named and compared, and no clock has a part in it.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, Any]] = {}

    def find(self, name: str, what: object) -> Any | None:
        """What was made of `what` under this name; None where there is nothing or it was made of something else."""
        made_of, found = self._kept.get(name, (None, None))
        return found if made_of == what else None

    def keep(self, name: str, what: object, made: Made) -> Made:
        """Keeps what was made of `what`, instead of what was there under this name."""
        self._kept[name] = (what, made)
        return made

    def made_of(self, name: str, what: object, make: Callable[[], Made]) -> Made:
        """What is found, or else made and kept."""
        found: Made | None = self.find(name, what)
        return self.keep(name, what, make()) if found is None else found


class Computed(Kept):
    """The latest numbers of one segment, and what is drawn of them."""

    def __init__(self, written: int, slug: str, metrics: Mapping[str, LatestNumber]) -> None:
        super().__init__()
        self.written = written
        """How often they had been written."""
        self.metrics: Mapping[str, Number] = metrics
        """By name; empty where none was computed."""
        self.method_version = max((number.method_version for number in metrics.values()), default="")
        self.json = ", ".join(_number_json(quoted(slug), number) for _, number in sorted(metrics.items()))
        """Its part of what the digest is taken of."""


@dataclass(frozen=True)
class Known:
    """What names the segments, and what the database held of it just before."""

    namings: Mapping[int, Naming]
    places: Sequence[Place]
    """By slug."""

    def still(self, namings: Mapping[int, Naming]) -> bool:
        """Whether all names are as they were."""
        return namings.keys() == self.namings.keys() and all(
            namings[key].told == naming.told for key, naming in self.namings.items()
        )


class Latest:
    """The latest numbers of all segments."""

    def __init__(self, segments: Mapping[int, Computed], known: Known, others: Kept) -> None:
        self.known = known
        """What names them."""
        self.others = others
        """What is made of no numbers: it outlives them."""
        self.segments = segments
        """By segment."""
        self.metrics = {key: one.metrics for key, one in segments.items() if one.metrics}
        """By segment and name; segments never computed are absent."""
        numbers = ", ".join(one.json for one in segments.values() if one.json)
        # Of JSON as json.dumps() writes it: a list of numbers, by slug and name, and a list of fund files.
        files = sorted({(place.fund.slug, place.fund.file_digest) for place in known.places})
        self.digest = hashlib.sha256(f"[[{numbers}], {json.dumps(files)}]".encode()).hexdigest()
        """sha256 of every latest number and fund file."""


def load_latest(session: Session, known: Known, before: Latest | None = None) -> Latest:
    """The latest numbers of these segments; what was not written since `before` is taken from there.

    Names are read before numbers: what is written in between is read twice, and not missed.
    """
    kept = {} if before is None else before.segments
    written = {place.segment_id: known.namings[place.segment_id].written for place in known.places}
    new = [key for key, count in written.items() if key not in kept or kept[key].written != count]
    if before is not None and not new and before.known.still(known.namings):
        return before
    found, slugs = latest_numbers(session, new), {place.segment_id: place.segment.slug for place in known.places}
    read = {key: Computed(written[key], slugs[key], found.get(key, {})) for key in new}
    segments = {key: read[key] if key in read else kept[key] for key in written}
    return Latest(segments, known, Kept() if before is None else before.others)


def _number_json(slug: str, one: LatestNumber) -> str:
    # Thousands of them: a list of each, walked by json.dumps(), takes twice as long.
    value = None if one.digits is None else Decimal(one.digits)
    text = "null" if one.text is None else quoted(one.text)
    return (
        f"[{slug}, {quoted(one.name)}, {quoted(one.day)}, {quoted(one.as_of_hash)}, {quoted(one.method_version)}, "
        f'"{value}", {text}, {quoted(one.inputs_digest)}]'
    )
