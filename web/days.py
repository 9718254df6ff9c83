"""The published days of one fund: which there are, their neighbours, and whether a day is settled for ever."""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cache, cached_property

from ledger.kinds import ChainStatus, SegmentStatus
from ledger.pages import EventRow, Place, list_events
from ledger.published import PublishedDay, day_metrics, list_days
from ledger.tables import Chain, Metric, Segment
from web.edition import Edition
from web.evidence import LOSS_ROLES
from web.segments import market_names
from web.templating import TEMPLATES

NEAREST = 3
"""So many days before and after are named where a day has no numbers."""


class FundDays:
    """The published days of one fund; what a day's page needs of the others is asked once for all of them."""

    def __init__(self, edition: Edition, places: Sequence[Place]) -> None:
        self.edition = edition
        self.places = [as_it_was(place) for place in places]
        self._numbers: dict[PublishedDay, dict[str, Metric]] = {}
        self._losses: dict[int, list[EventRow]] = {}
        self._markets: dict[int, Mapping[str, str]] = {}

    @cached_property
    def published(self) -> dict[int, dict[str, PublishedDay]]:
        """Days by segment."""
        return list_days(self.edition.session, [place.segment_id for place in self.places])

    @cached_property
    def names(self) -> list[str]:
        """Every day with numbers of at least one segment, the oldest first."""
        return sorted({day for days in self.published.values() for day in days})

    @cached_property
    def _slowest(self) -> str:
        """The day that every segment of the fund has come to; empty where one has none at all."""
        return min(max(self.published.get(place.segment_id, {}), default="") for place in self.places)

    @cached_property
    def _words(self) -> str:
        """A digest of what a page prints beside numbers: what the fund's file says of it, and the chain's own words."""
        fund = self.places[0].fund
        chains = [[c.name, c.kind, c.provenance, c.explorer] for c in (place.chain for place in self.places)]
        told = [fund.name, fund.kind, fund.waterfall, chains, self.edition.config.site_url, form_digest()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def standing(self, day: str) -> list[tuple[Place, PublishedDay]]:
        """The segments that have numbers of this day, by slug."""
        found = [(place, self.published.get(place.segment_id, {}).get(day)) for place in self.places]
        return [(place, one) for place, one in found if one is not None]

    def before(self, day: str) -> str:
        """The last day with numbers before this one; empty: none."""
        place = bisect_left(self.names, day)
        return self.names[place - 1] if place else ""

    def after(self, day: str) -> str:
        """The first day with numbers after this one; empty: none."""
        place = bisect_right(self.names, day)
        return self.names[place] if place < len(self.names) else ""

    def nearest(self, day: str) -> list[str]:
        """The days with numbers around a day that has none, the oldest first."""
        place = bisect_left(self.names, day)
        return self.names[max(0, place - NEAREST) : place + NEAREST]

    def why_open(self, day: str) -> str:
        """Why the page of this day may still change, in a sentence; empty: it is settled for ever.

        It is settled once every segment of the fund has gone past it and the blocks it stands on are final.
        """
        standing = self.standing(day)
        if not self.are_rows_final(day):
            return "The day was not over, or not all of its blocks were scanned, when these numbers were computed."
        if any(one.number > (place.chain.finalized_number or -1) for place, one in standing):
            return "Its chain may still replace the block that these numbers stand on."
        if self._slowest <= day:
            return "Its numbers are settled; no later day was computed yet that this page could lead to."
        return ""

    def are_rows_final(self, day: str) -> bool:
        """True when no row of this day is ever written again."""
        return all(one.is_final for _, one in self.standing(day))

    def state(self, day: str) -> str:
        """A digest that changes whenever the page of this day would; it stands for its bytes where they are kept.

        Not for a day whose rows are still written: numbers that grow old change without it.
        """
        rows = [
            [place.segment.name, one.number, one.hash, one.method_version, one.inputs_digest]
            for place, one in self.standing(day)
        ]
        around = [self.before(day), self.after(day), self.why_open(day)]
        return hashlib.sha256(json.dumps([self._words, rows, around]).encode()).hexdigest()

    def metrics(self, one: PublishedDay) -> dict[str, Metric]:
        """The numbers of a segment's day; page and twin ask once."""
        if one not in self._numbers:
            self._numbers = {kept: found for kept, found in self._numbers.items() if kept.day == one.day}
            self._numbers[one] = day_metrics(self.edition.session, one)
        return self._numbers[one]

    def losses(self, place: Place, one: PublishedDay) -> list[EventRow]:
        """Losses and payouts of a segment up to the block its day stands on, the oldest first."""
        if place.segment_id not in self._losses:
            self._losses[place.segment_id] = list_events(self.edition.session, [place.segment_id], LOSS_ROLES)
        return [row for row in self._losses[place.segment_id] if row.block_number <= one.number]

    def markets(self, place: Place) -> Mapping[str, str]:
        """Readable names of a segment's markets."""
        if place.segment_id not in self._markets:
            self._markets[place.segment_id] = market_names(self.edition, place)
        return self._markets[place.segment_id]


def as_it_was(place: Place) -> Place:
    """A segment without what is wrong with it today: a chain that stands still now stood in no way of an older day."""
    segment = {**place.segment.model_dump(), "status": SegmentStatus.OK, "status_reason": ""}
    chain = {**place.chain.model_dump(), "status": ChainStatus.FOLLOWING, "status_reason": ""}
    return Place(Segment(**segment), place.fund, place.platform, Chain(**chain), place.asset)


@cache
def form_digest() -> str:
    """A digest of the templates a day's page is made with: another form is another page."""
    parts = [(TEMPLATES / name).read_bytes() for name in ("at.html", "macros.html")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
