"""One consistent state of the ledger, from which pages, twins and feeds are made; what they share is asked once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import Session

from ledger.clock import Clock, chain_now
from ledger.kinds import ChainStatus, SourceKind
from ledger.latest import Number
from ledger.namings import Naming, list_namings, list_tokens
from ledger.pages import (
    ChainState,
    Place,
    assets_by_id,
    list_chains,
    list_coverage,
    metric_history,
    prices_behind,
    readings_behind,
)
from ledger.tables import Asset, Chain, Coverage, Metric, Price, Reading
from ledger.words import chain_title, kind_words
from web.caught import Inbox
from web.contexts import Replay
from web.latest import Computed, Known, Latest, load_latest
from web.names import neat_asset, neat_chain, neat_places

DOCS = Path(__file__).parent.parent / "docs"
Made = TypeVar("Made")
CURRENT_WITHIN = timedelta(minutes=30)  # METHOD M13: older than this is stale.


@dataclass(frozen=True)
class SubscribeConfig:
    """What the pages of subscriptions are handed by whoever knows how messages are sent."""

    is_mail_on: bool
    """False: there is nobody to send a mail, so the pages offer none."""
    check_url: Callable[[str], str | None]
    """What is wrong with the address of a webhook, in a sentence; None: nothing."""
    new_secret: Callable[[], str]
    """Makes a secret to sign with."""


@dataclass(frozen=True)
class SiteConfig:
    """What whoever runs the site decides."""

    site_url: str = ""
    """Address people reach it under, without a slash at the end; empty: links stay relative to the host."""
    docs: Path = field(default=DOCS)
    """Directory with methodology.md and glossary.md."""
    subscribe: SubscribeConfig | None = None
    """None: nobody can subscribe here; feeds are all there is."""
    published: Path | None = None
    """Directory of the published tree: its pages are shown while the database does not answer. None: there is none."""
    inbox: Inbox | None = None
    """Only the demo has one: what it sent, to look at."""


@dataclass(frozen=True)
class SourceState:
    """How one chain, recording or venue stands."""

    state: ChainState
    lag: timedelta | None
    """Time from the tip we followed to now, on the chain's own clock; None before anything was followed."""

    @property
    def is_current(self) -> bool:
        """Followed, and not further behind than the method allows."""
        is_followed = self.state.chain.status == ChainStatus.FOLLOWING
        return is_followed and self.lag is not None and self.lag <= CURRENT_WITHIN


class Edition:
    """Everything the ledger says at one moment; lives as long as its session."""

    def __init__(self, session: Session, clock: Clock, config: SiteConfig, before: Latest | None = None) -> None:
        """`before` is what somebody else has read from the same ledger: what still holds of it is not read again."""
        self._before = before
        self.session = session
        self.clock = clock
        self.config = config
        self._histories: dict[tuple[int, str], list[Metric]] = {}
        self._readings: dict[tuple[int, int], list[Reading]] = {}
        self._prices: dict[tuple[int, int], list[tuple[Price, Asset]]] = {}
        self._made: dict[tuple[object, ...], Any] = {}

    @cached_property
    def namings(self) -> Mapping[int, Naming]:
        """What names each segment, as the ledger has it; read before all that is kept by it."""
        return list_namings(self.session)

    @cached_property
    def places(self) -> list[Place]:
        """All segments, by slug."""
        chains = {source.state.chain.chain_id: source.state.chain for source in self.sources}
        known = self._before.known if self._before is not None and self._before.known.still(self.namings) else None
        if known is None or any(place.chain.chain_id not in chains for place in known.places):
            # One that was registered after the names were read has its turn at the next look.
            return [place for place in neat_places(self.session) if place.segment_id in self.namings]
        return [replace(place, chain=chains[place.chain.chain_id]) for place in known.places]  # Heads have moved.

    @cached_property
    def latest(self) -> Latest:
        """What was computed last."""
        return load_latest(self.session, Known(self.namings, self.places), self._before)

    @cached_property
    def metrics(self) -> Mapping[int, Mapping[str, Number]]:
        """Latest metrics by segment and name."""
        return self.latest.metrics

    @cached_property
    def assets(self) -> dict[int, Asset]:
        """All assets."""
        return {key: neat_asset(asset) for key, asset in assets_by_id(self.session).items()}

    @cached_property
    def told_of_facts(self) -> tuple[object, ...]:
        """What lists of facts are made of: how often these were written, and all that names them; read before them."""
        written = [(source.state.chain.chain_id, source.state.chain.facts_written) for source in self.sources]
        return written, [naming.told for naming in self.namings.values()], self.tokens

    @cached_property
    def tokens(self) -> list[tuple[object, ...]]:
        """What amounts in each asset are printed with."""
        return list_tokens(self.session)

    @cached_property
    def coverage(self) -> list[Coverage]:
        """What was scanned of every segment."""
        return list_coverage(self.session)

    @cached_property
    def sources(self) -> list[SourceState]:
        """All chains a fund lives on."""
        states = (replace(state, chain=neat_chain(state.chain)) for state in list_chains(self.session))
        return [SourceState(state, self._lag(state)) for state in states]

    def _lag(self, state: ChainState) -> timedelta | None:
        now = chain_now(state.chain, self.clock)
        return None if now is None or state.tip_time is None else max(now - state.tip_time, timedelta())

    def history(self, segment_id: int, name: str) -> list[Metric]:
        """One metric of a segment day by day; page and twin ask once."""
        if (segment_id, name) not in self._histories:
            self._histories[segment_id, name] = metric_history(self.session, segment_id, name)
        return self._histories[segment_id, name]

    def readings(self, segment_id: int, names: Sequence[str], number: int) -> list[Reading]:
        """The last readings of these names not above a block, in order of name and subject."""
        if (segment_id, number) not in self._readings:
            self._readings[segment_id, number] = readings_behind(self.session, segment_id, number)
        return [row for row in self._readings[segment_id, number] if row.name in names]

    def prices(self, chain_id: int, number: int) -> list[tuple[Price, Asset]]:
        """The last price of each asset of a chain not above a block."""
        if (chain_id, number) not in self._prices:
            found = prices_behind(self.session, chain_id, number)
            self._prices[chain_id, number] = [(price, neat_asset(asset)) for price, asset in found]
        return self._prices[chain_id, number]

    def computed(self, place: Place) -> Computed:
        """The latest numbers of one segment, and what is kept of them."""
        return self.latest.segments[place.segment_id]

    def metrics_of(self, place: Place) -> Mapping[str, Number]:
        """Latest metrics of one segment; empty where none was computed."""
        return self.metrics.get(place.segment_id, {})

    def once(self, key: tuple[object, ...], make: Callable[[], Made]) -> Made:
        """What several pages of one publication are made of, made by the first of them."""
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    def funds(self) -> dict[str, list[Place]]:
        """Segments by fund slug, in order of slugs."""
        return self._funds

    @cached_property
    def _funds(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for place in self.places:
            found.setdefault(place.fund.slug, []).append(place)
        return found

    @cached_property
    def as_of(self) -> tuple[datetime, datetime] | None:
        """Oldest and newest time of the segments' numbers, or None before any was computed."""
        times = [next(iter(found.values())).as_of_time for found in self.metrics.values() if found]
        return (min(times), max(times)) if times else None

    @cached_property
    def method_version(self) -> str:
        """Version of the method behind the numbers; empty before any was computed."""
        return max((computed.method_version for computed in self.latest.segments.values()), default="")

    @property
    def digest(self) -> str:
        """sha256 of every latest number and fund file."""
        return self.latest.digest


def replays_of(places: list[Place]) -> tuple[Replay, ...]:
    """The recordings behind these segments, each once."""
    chains: dict[int, Chain] = {place.chain.chain_id: place.chain for place in places}
    return tuple(
        Replay(name=chain_title(chain), kind=kind_words(chain.kind), provenance=chain.provenance)
        for chain in chains.values()
        if chain.kind != SourceKind.LIVE
    )
