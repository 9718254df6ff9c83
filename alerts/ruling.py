"""One look of all rules at the ledger: alerts, deliveries, states and the cursor that covers them commit together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
from ledger.alerts import hold_cursor, start_cursor
from ledger.clock import Clock, chain_now
from ledger.database import reading, writing
from ledger.pages import ledger_marker, list_chains

RECENT = timedelta(days=1)
FULL_EVERY = timedelta(hours=1)
"""Events of the day before the last look are read at each; so often those of all time, for what a repair found."""
LOOK_SECONDS = 10
"""Even where the ledger stands still, so often is looked at how old it has grown."""


@dataclass(frozen=True)
class Looked:
    """What is remembered of a look at a chain: when all facts were gone through, and where the next one begins.

    `full_at` is by our clock; `until` is the chain's: its tip's time, or that of a fact that waits to be judged.
    """

    full_at: datetime
    until: datetime


class Ruler:
    """Looks at the ledger again and again. `live_since`: chain times, by slug, from which on a recording is announced.

    History is never announced: a chain is live from the first look on, or from the time given for it.
    """

    def __init__(
        self, engine: Engine, clock: Clock, rules: Rules, *, live_since: Mapping[str, datetime] | None = None
    ) -> None:
        self._engine, self._clock, self._rules = engine, clock, rules
        self._live_since = dict(live_since or {})
        self._shares: dict[tuple[str, str], Decimal | None] = {}
        self._looked: dict[int, Looked] = {}
        self._seen: object = None

    def rule(self) -> list[str]:
        """Announces what is new, one transaction a chain, then digests that are due; the keys of what was announced."""
        with reading(self._engine) as session:
            # Most looks find nothing new: they only read, and wait for nobody who writes.
            seen = (ledger_marker(session), self._clock().timestamp() // LOOK_SECONDS)
            if seen == self._seen:
                return []
            chain_ids = [state.chain.chain_id for state in list_chains(session)]
        told: list[str] = []
        ruled: dict[int, Watch] = {}
        for chain_id in chain_ids:
            with writing(self._engine) as session:
                watch = self._watch(session, chain_id)
                told += [] if watch is None else self._rule_chain(watch)
            if watch is not None:  # Only now: what was not committed is looked at again.
                self._remember(watch)
                ruled[chain_id] = watch
        with writing(self._engine) as session:
            watches = [watch for chain_id in ruled if (watch := self._watch(session, chain_id)) is not None]
            for watch in watches:  # The chain may have moved on meanwhile: what it brought is in no alert yet.
                before = ruled[watch.chain.chain_id]
                watch.now, watch.tip_time = before.now, before.tip_time
            drafts = walk_digests(session, watches, self._rules)
            told += self._announce(session, drafts)
        self._seen = seen
        return told

    def _rule_chain(self, watch: Watch) -> list[str]:
        looked = None if watch.follow() else self._last_look(watch)
        after = watch.cursor.live_since if looked is None else looked.until - RECENT
        told: list[str] = []
        for flip, place in walk_flips(watch):
            draft = draft_flip(flip, self._rules, watch.scene(place))
            told += self._announce(watch.session, [draft] if draft else [])
        told += self._announce(watch.session, walk_events(watch, self._shares, after=after))
        told += self._announce(watch.session, walk_retractions(watch))
        watch.cursor.ruled_at = watch.wall_now
        return told

    def _last_look(self, watch: Watch) -> Looked | None:
        """What is remembered of the look before; None where all facts are due again."""
        looked = self._looked.get(watch.chain.chain_id)
        return looked if looked is not None and watch.wall_now - looked.full_at < FULL_EVERY else None

    def _remember(self, watch: Watch) -> None:
        looked = self._last_look(watch)
        full_at = watch.wall_now if looked is None else looked.full_at
        until = watch.tip_time or watch.now
        self._looked[watch.chain.chain_id] = Looked(full_at, min(until, watch.waiting_since or until))

    def _watch(self, session: Session, chain_id: int) -> Watch | None:
        """The chain, its cursor held; None before it has a clock: a recording of which no block was served."""
        cursor = hold_cursor(session, chain_id)
        # Not before: while we waited for the cursor, whoever held it may have seen the chain move on.
        state = next((state for state in list_chains(session) if state.chain.chain_id == chain_id), None)
        now, wall_now = chain_now(state.chain, self._clock) if state else None, self._clock()
        if state is None or now is None:
            return None
        if cursor is None:
            live_since, epoch = self._live_since.get(state.chain.slug, now), state.tip.epoch if state.tip else 0
            start_cursor(session, chain_id, live_since=live_since, epoch=epoch, now=wall_now)
            cursor = hold_cursor(session, chain_id)
            assert cursor is not None  # It was entered a line above.
        return Watch(session, state, cursor, self._rules, now=now, wall_now=wall_now)

    def _announce(self, session: Session, drafts: Iterable[Draft]) -> list[str]:
        keys = [announce(session, draft, now=self._clock()) for draft in drafts]
        return [key for key in keys if key is not None]
