"""One look of all rules at the ledger: alerts, deliveries, states and the cursor that covers them commit together."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine
from sqlmodel import Session

from alerts.announcing import announce
from alerts.digests import walk_digests
from alerts.drafts import Draft
from alerts.flips import draft_flip
from alerts.looking import walk_flips
from alerts.retractions import walk_retractions
from alerts.telling import walk_events
from alerts.thresholds import Rules
from alerts.watch import Watch
from ledger.alerts import hold_cursor
from ledger.clock import Clock, chain_now
from ledger.database import reading, writing
from ledger.pages import ChainState, ledger_marker, list_chains
from ledger.tables import AlertCursor

FULL_EVERY = timedelta(hours=1)
"""Events of the last day are read at each look; so often those of all time, for what a repair found further back."""
LOOK_SECONDS = 10
"""Even where the ledger stands still, so often is looked at how old it has grown."""


class Ruler:
    """Looks at the ledger again and again. `live_since`: chain times, by slug, from which on a recording is announced.

    History is never announced: a chain is live from the first look on, or from the time given for it.
    """

    def __init__(
        self, engine: Engine, clock: Clock, rules: Rules, *, live_since: Mapping[str, datetime] | None = None
    ) -> None:
        self._engine, self._clock, self._rules = engine, clock, rules
        self._live_since = dict(live_since or {})
        self._shares: dict[str, Decimal | None] = {}
        self._full_at: dict[int, datetime] = {}
        self._seen: object = None

    def rule(self) -> list[str]:
        """Announces what is new, one transaction a chain, then digests that are due; the keys of what was announced."""
        with reading(self._engine) as session:
            # Most looks find nothing new: they only read, and wait for nobody who writes.
            seen = (ledger_marker(session), self._clock().timestamp() // LOOK_SECONDS)
            if seen == self._seen:
                return []
            slugs = [state.chain.slug for state in list_chains(session)]
        told: list[str] = []
        for slug in slugs:
            with writing(self._engine) as session:
                told += self._rule_chain(session, slug)
        with writing(self._engine) as session:
            watches = [self._watch(session, state) for state in list_chains(session)]
            drafts = walk_digests(session, [watch for watch in watches if watch], self._rules)
            told += self._announce(session, drafts)
        self._seen = seen
        return told

    def _rule_chain(self, session: Session, slug: str) -> list[str]:
        state = next(state for state in list_chains(session) if state.chain.slug == slug)
        watch = self._watch(session, state)
        if watch is None:
            return []
        is_rolled_back = watch.follow()
        full_at = self._full_at.get(watch.chain.chain_id)
        is_full = is_rolled_back or full_at is None or watch.wall_now - full_at >= FULL_EVERY
        told: list[str] = []
        for flip, place in walk_flips(watch):
            draft = draft_flip(flip, self._rules, watch.scene(place))
            told += self._announce(session, [draft] if draft else [])
        told += self._announce(session, walk_events(watch, self._shares, is_full=is_full))
        told += self._announce(session, walk_retractions(watch))
        if is_full:
            self._full_at[watch.chain.chain_id] = watch.wall_now
        watch.cursor.ruled_at = watch.wall_now
        return told

    def _watch(self, session: Session, state: ChainState) -> Watch | None:
        """The chain, its cursor held; None before it has a clock: a recording of which no block was served."""
        now, wall_now = chain_now(state.chain, self._clock), self._clock()
        if now is None:
            return None
        cursor = hold_cursor(session, state.chain.chain_id)
        if cursor is None:
            cursor = AlertCursor(
                chain_id=state.chain.chain_id,
                live_since=self._live_since.get(state.chain.slug, now),
                epoch=state.tip.epoch if state.tip else 0,
                moved_at=wall_now,
                ruled_at=wall_now,
            )
            session.add(cursor)
        return Watch(session, state, cursor, self._rules, now=now, wall_now=wall_now)

    def _announce(self, session: Session, drafts: Iterable[Draft]) -> list[str]:
        keys = [announce(session, draft, now=self._clock()) for draft in drafts]
        return [key for key in keys if key is not None]
