"""One chain within one transaction: its subjects, its clock, its cursor, and how it stands."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property

from sqlmodel import Session

from alerts.book import Book
from alerts.levels import Source
from alerts.scene import Scene
from alerts.thresholds import Rules
from ledger.alerts import find_fork
from ledger.pages import ChainState, Place, assets_by_id, latest_metrics, list_places
from ledger.tables import AlertCursor, Asset, Metric

STILL = timedelta(minutes=1)
"""A tip that has not moved for so long, by our clock, is not waited for."""


class Watch:
    """What the rules need of a chain. `now` is the chain's, `wall_now` ours."""

    def __init__(
        self,
        session: Session,
        state: ChainState,
        cursor: AlertCursor,
        rules: Rules,
        *,
        now: datetime,
        wall_now: datetime,
    ) -> None:
        self.session, self.cursor, self.rules = session, cursor, rules
        self.chain, self.tip, self.tip_time = state.chain, state.tip, state.tip_time
        self.now, self.wall_now = now, wall_now
        self.book = Book(session, state.chain.chain_id, rules)
        self.waiting_since: datetime | None = None
        """Chain time of the first fact that cannot be judged yet: the next look goes back to it."""
        self._metrics: dict[int, Mapping[str, Metric]] = {}

    @cached_property
    def places(self) -> list[Place]:
        """Segments on this chain."""
        return [place for place in list_places(self.session) if place.chain.chain_id == self.chain.chain_id]

    @cached_property
    def assets(self) -> dict[int, Asset]:
        """All assets."""
        return assets_by_id(self.session)

    @property
    def source(self) -> Source | None:
        """How the chain stands; None before anything of it was read."""
        if self.tip is None or self.tip_time is None:
            return None
        return Source(
            self.chain.status, self.chain.status_reason, self.now, self.chain.head_time,
            self.tip.number, self.tip.hash, self.tip_time, self.wall_now - self.cursor.moved_at,
        )  # fmt: skip

    @property
    def read_until(self) -> datetime:
        """Chain time before which nothing more is waited for: the tip's while it moves, even if now is far ahead."""
        if self.tip_time is None or self.wall_now - self.cursor.moved_at >= STILL:
            return self.now
        return min(self.now, self.tip_time)

    def scene(self, place: Place | None) -> Scene:
        """A subject as it stands now, for a message."""
        has_siblings = place is not None and sum(other.fund.slug == place.fund.slug for other in self.places) > 1
        metrics = {} if place is None else self._latest(place)
        return Scene(self.chain, place, metrics, self.assets, has_siblings, self.rules.version)

    def follow(self) -> bool:
        """Moves the cursor to the tip; True where blocks that were judged have been replaced since the last look."""
        if self.tip is None:
            return False
        rollbacks = self.tip.epoch - self.cursor.epoch
        if rollbacks:
            # A chain that was begun again counts its rollbacks from 0: then everything is judged again.
            fork = find_fork(self.session, self.chain.chain_id, rollbacks) if rollbacks > 0 else None
            self.book.forget_above(-1 if fork is None else fork)
        if self.tip.number != self.cursor.number:
            self.cursor.moved_at = self.wall_now
        self.cursor.number, self.cursor.epoch = self.tip.number, self.tip.epoch
        return rollbacks != 0

    def _latest(self, place: Place) -> Mapping[str, Metric]:
        if place.segment_id not in self._metrics:
            found = latest_metrics(self.session, [place.segment_id])
            self._metrics[place.segment_id] = found.get(place.segment_id, {})
        return self._metrics[place.segment_id]
